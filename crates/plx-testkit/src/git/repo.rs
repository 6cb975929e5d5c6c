//! Repositories that the real git makes, always the same.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::program::git_in;

/// A repository with a work tree, in a temporary folder that goes with it.
///
/// What is committed, and when, is the same each time, and so are the hashes.
///
/// ```no_run
/// let repo = plx_testkit::GitRepo::new();
/// let first = repo.commit(&[("a", "1"), ("src/b", "2")], "one");
/// repo.tag("v1");
/// assert_eq!(repo.git(&["rev-parse", "v1"]), first);
/// ```
#[derive(Debug)]
pub struct GitRepo {
    folder: TempDir,
}

impl GitRepo {
    /// An empty one, on `main`.
    ///
    /// # Panics
    /// When git is not installed, or there is no place for it.
    #[expect(clippy::new_without_default, reason = "it runs git: nobody should get one by default")]
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("plx-git-").expect("a temporary folder");
        git_in(folder.path(), &["init", "--quiet", "--template=", "repo"]);
        Self { folder }
    }

    /// The one of the contract's runner: `main` with a file `a` of "1" (tag `v1`), then of "2" beside the submodule
    /// `submod`, which holds a file `s`; `dev` with a third commit of "3"; any commit can be asked for.
    ///
    /// # Panics
    /// As [`GitRepo::new`].
    pub fn sample() -> Self {
        let repo = Self::new();
        let part = repo.folder.path().join("sub");
        git_in(repo.folder.path(), &["init", "--quiet", "--template=", "sub"]);
        commit(&part, &[("s", "s")], "s");
        repo.commit(&[("a", "1")], "one");
        repo.tag("v1");
        repo.add_submodule(part.to_str().expect("temporary folders have plain names"), "submod");
        repo.commit(&[("a", "2")], "two");
        repo.branch("dev");
        repo.checkout("dev");
        repo.commit(&[("a", "3")], "three");
        repo.checkout("main");
        repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        repo
    }

    /// Writes files and commits them with all that is staged. The commit's hash.
    ///
    /// # Panics
    /// When a file cannot be written.
    pub fn commit(&self, files: &[(&str, &str)], message: &str) -> String {
        commit(&self.path(), files, message)
    }

    /// Makes a branch where `HEAD` is; it is not checked out.
    pub fn branch(&self, name: &str) {
        self.git(&["branch", "--quiet", name]);
    }

    /// Checks out a branch, tag or commit.
    pub fn checkout(&self, name: &str) {
        self.git(&["checkout", "--quiet", name]);
    }

    /// Makes a lightweight tag on `HEAD`.
    pub fn tag(&self, name: &str) {
        self.git(&["tag", name]);
    }

    /// Makes an annotated tag on `HEAD`.
    pub fn annotated_tag(&self, name: &str) {
        self.git(&["tag", "--annotate", "--message", name, name]);
    }

    /// Clones a submodule and stages it; the next commit has it.
    pub fn add_submodule(&self, url: &str, path: &str) {
        self.git(&["submodule", "--quiet", "add", url, path]);
    }

    /// Stages a submodule at that commit and asks nobody for it: the address may be relative, wrong, or want a password.
    pub fn name_submodule(&self, url: &str, path: &str, commit: &str) {
        let key = |what: &str| format!("submodule.{path}.{what}");
        self.git(&["config", "--file", ".gitmodules", &key("path"), path]);
        self.git(&["config", "--file", ".gitmodules", &key("url"), url]);
        self.git(&["add", ".gitmodules"]);
        fs::create_dir_all(self.path().join(path)).expect("a folder for a submodule");
        self.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
    }

    /// Runs git in the work tree and returns what it printed, without the last line's end.
    ///
    /// # Panics
    /// When it fails; with what it said.
    pub fn git(&self, arguments: &[&str]) -> String {
        git_in(&self.path(), arguments)
    }

    /// The hash of `HEAD`.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// The work tree.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    /// As `file:///PATH`.
    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }
}

fn commit(repo: &Path, files: &[(&str, &str)], message: &str) -> String {
    for (name, text) in files {
        let file = repo.join(name);
        fs::create_dir_all(file.parent().expect("a file stands in a folder")).expect("a folder for a file");
        fs::write(&file, text).unwrap_or_else(|error| unwritable(&file, &error));
        git_in(repo, &["add", "--force", "--", name]);
    }
    let staged = ["commit", "--quiet", "--allow-empty", "--message", message];
    git_in(repo, &staged);
    git_in(repo, &["rev-parse", "HEAD"])
}

#[expect(clippy::panic, reason = "a test cannot go on without its repository")]
fn unwritable(file: &Path, error: &std::io::Error) {
    panic!("cannot write {}: {error}", file.display());
}
