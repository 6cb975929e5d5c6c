//! From a commit to files, and the refs and settings that a clone has.

use crate::GitError;
use crate::flags::Flags;
use crate::revision::{OTHERS, Obtained, Target};
use crate::transport::Session;
use git2::build::CheckoutBuilder;
use git2::{CheckoutNotificationType, ErrorCode, Repository, RepositoryInitOptions};
use std::path::Path;

const ORIGIN: &str = "origin";
/// Of the names that a warning shows.
const SHOWN: usize = 3;

/// An empty repository with `origin`.
pub(crate) fn init(path: &Path, origin: &str, flags: &Flags) -> Result<Repository, GitError> {
    let mut options = RepositoryInitOptions::new();
    options.no_reinit(true).external_template(false);
    let failed = |error| GitError::library(format!("make a repository in {}", path.display()))(error);
    let repo = Repository::init_opts(path, &options).map_err(failed)?;
    settings(&repo, origin, flags).map_err(failed)?;
    Ok(repo)
}

/// `origin` and what the flags say, as `git clone` writes them.
pub(crate) fn settings(repo: &Repository, origin: &str, flags: &Flags) -> Result<(), git2::Error> {
    match repo.find_remote(ORIGIN) {
        Ok(_) => repo.remote_set_url(ORIGIN, origin)?,
        Err(error) if error.code() == ErrorCode::NotFound => {
            repo.remote_with_fetch(ORIGIN, origin, "+refs/heads/*:refs/remotes/origin/*").map(|_| ())?;
        }
        Err(error) => return Err(error),
    }
    let mut config = repo.config()?;
    if flags.tags == Some(false) {
        config.set_str("remote.origin.tagOpt", "--no-tags")?;
    }
    for (key, value) in &flags.written {
        config.set_str(key, value)?;
    }
    Ok(())
}

/// Writes branches, HEAD and files.
pub(crate) fn check_out(
    repo: &Repository,
    obtained: &Obtained,
    session: &Session,
    at: &str,
) -> Result<(), GitError> {
    let work = || -> Result<(), git2::Error> {
        branches(repo, obtained, at)?;
        let commit = repo.find_object(obtained.target.oid(), None)?;
        let mut options = CheckoutBuilder::new();
        options.force();
        options.progress(|_, done, all| session.received.of_files(done, all));
        options.notify_on(CheckoutNotificationType::all());
        options.notify(|_, _, _, _, _| !session.stop.is_cancelled());
        repo.checkout_tree(&commit, Some(&mut options))?;
        match &obtained.target {
            Target::Branch(name, _) => repo.set_head(&format!("refs/heads/{name}")),
            Target::Commit(oid) => repo.set_head_detached(*oid),
        }
    };
    work().map_err(|error| match session.stop.is_cancelled() {
        true => GitError::Stopped { at: at.to_owned() },
        false => GitError::library(format!("{at}: check out {}", obtained.target.oid()))(error),
    })
}

fn branches(repo: &Repository, obtained: &Obtained, at: &str) -> Result<(), git2::Error> {
    let words = format!("clone: from {at}");
    let base = match &obtained.base {
        // A clone of one branch has no other.
        Some(Target::Branch(name, _)) if repo.find_reference(&remote(name)).is_ok() => Some(name),
        _ => None,
    };
    let wanted = match &obtained.target {
        Target::Branch(name, _) => Some(name),
        Target::Commit(_) => None,
    };
    for name in base.into_iter().chain(wanted.filter(|wanted| Some(*wanted) != base)) {
        let oid = repo.find_reference(&remote(name))?.peel_to_commit()?.id();
        repo.reference(&format!("refs/heads/{name}"), oid, true, &words)?;
        let mut config = repo.config()?;
        config.set_str(&format!("branch.{name}.remote"), ORIGIN)?;
        config.set_str(&format!("branch.{name}.merge"), &format!("refs/heads/{name}"))?;
    }
    if let Some(name) = base {
        repo.reference_symbolic("refs/remotes/origin/HEAD", &remote(name), true, &words)?;
    }
    if obtained.single {
        // A later `git fetch` brings what was cloned, and no more.
        let one = wanted.or(base).map(|name| format!("+refs/heads/{name}:{}", remote(name)));
        if let Some(one) = one {
            repo.config()?.set_str("remote.origin.fetch", &one)?;
        }
    }
    Ok(())
}

fn remote(branch: &str) -> String {
    format!("refs/remotes/origin/{branch}")
}

/// Removes the refs that were only needed to find the commit. HEAD holds on to it.
pub(crate) fn tidy(repo: &Repository) -> Result<(), GitError> {
    let work = || -> Result<(), git2::Error> {
        for reference in repo.references_glob(&format!("{OTHERS}*"))? {
            reference?.delete()?;
        }
        Ok(())
    };
    work().map_err(GitError::library("remove refs that are no longer needed"))
}

/// Says that files are missing which git LFS would have fetched.
pub(crate) fn warn_of_pointers(repo: &Repository, at: &str) -> Result<(), GitError> {
    let found = pointers(repo).map_err(GitError::library("look for git LFS"))?;
    if found.is_empty() {
        return Ok(());
    }
    let names = found.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    tracing::warn!(
        "{at}: {} files are kept by git LFS, and only the pointers to them are here ({names}{}): run `git lfs pull` in main, \
         or bring them by an artifacts connection",
        found.len(),
        if found.len() > SHOWN { ", …" } else { "" }
    );
    Ok(())
}

/// Files that git LFS would have fetched; what is here are the pointers to them.
fn pointers(repo: &Repository) -> Result<Vec<String>, git2::Error> {
    let index = repo.index()?;
    let text = |entry: &git2::IndexEntry| String::from_utf8_lossy(&entry.path).into_owned();
    let attributes = |entry: &git2::IndexEntry| {
        let path = &entry.path;
        path == b".gitattributes" || path.ends_with(b"/.gitattributes")
    };
    if !index.iter().any(|entry| attributes(&entry)) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in index.iter() {
        let path = text(&entry);
        let filter = repo.get_attr(Path::new(&path), "filter", git2::AttrCheckFlags::FILE_THEN_INDEX)?;
        if filter == Some("lfs") {
            found.push(path);
        }
    }
    Ok(found)
}
