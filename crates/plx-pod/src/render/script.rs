//! The steps of an init container that fetches from a store.

use plx_contract::connection::Connection;
use plx_contract::init::{Artifacts, Subpath};
use plx_contract::script::{Copy, Fetch, Step};
use plx_runtime::Failure;

/// What is fetched, and where to.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Where from.
    pub store: &'a Connection,
    /// Where to.
    pub to: &'a str,
    /// Files and folders; with `paths` absent too the whole store.
    pub artifacts: Option<&'a Artifacts>,
    /// Paths whose kind is looked up.
    pub paths: Option<&'a [Subpath]>,
    /// What was fetched is recorded: a resume.
    pub resume: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    File,
    Folder,
    Path,
}

impl Wanted<'_> {
    /// Its steps: files, folders, paths, each after the folder it goes to.
    ///
    /// # Errors
    /// When the connection is no store.
    pub fn steps(&self) -> Result<Vec<Step>, Failure> {
        let base = self.store.store_path()?;
        let files = self.artifacts.and_then(|one| one.files.as_deref()).unwrap_or_default();
        let folders = self.artifacts.and_then(|one| one.dirs.as_deref()).unwrap_or_default();
        let paths = self.paths.unwrap_or_default();
        let whole = [Subpath::Same(String::new())];
        let nothing = files.is_empty() && folders.is_empty() && paths.is_empty();
        let folders = if nothing { whole.as_slice() } else { folders };
        let all = [(What::File, files), (What::Folder, folders), (What::Path, paths)];
        let mut steps = Vec::new();
        for (what, subpaths) in all {
            for subpath in subpaths {
                let folder = match what {
                    What::Folder => subpath.to(),
                    What::File | What::Path => subpath.to().rsplit_once('/').map_or("", |(folder, _)| folder),
                };
                steps.push(Step::MakeFolder(join(self.to, folder)));
                steps.push(self.copy(what, join(&base, subpath.from()), join(self.to, subpath.to())));
            }
        }
        Ok(steps)
    }

    fn copy(&self, what: What, from: String, to: String) -> Step {
        if self.store.kind.is_mount() && what != What::Path {
            let record = self.resume.then(|| to.clone());
            let copy = Copy { from, to, record };
            return if what == What::File { Step::CopyFile(copy) } else { Step::CopyFolder(copy) };
        }
        Step::Fetch(Fetch {
            connection: self.store.name.clone(),
            kind: self.store.kind.to_string(),
            from,
            to,
            is_file: what == What::File,
            sync_fw: self.resume,
            check_path: what == What::Path,
        })
    }
}

/// One path below another. A leading slash does not lead out of it.
fn join(base: &str, path: &str) -> String {
    let path = path.trim_start_matches('/');
    if base.ends_with('/') { format!("{base}{path}") } else { format!("{base}/{path}") }
}
