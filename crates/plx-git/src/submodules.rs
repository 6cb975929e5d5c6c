//! Repositories in a repository, however deep.

use crate::GitError;
use crate::address::{Address, Scheme};
use crate::checkout::{check_out, settings, tidy, warn_of_pointers};
use crate::flags::Flags;
use crate::link::Link;
use crate::revision::{Ask, obtain};
use crate::transport::{Conversation, Session};
use git2::{Repository, Submodule, SubmoduleUpdate};
use std::collections::HashSet;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Deeper than anybody nests them by intent.
const DEEPEST: usize = 24;
/// In all. Repositories that hold each other twice would be more than anybody can wait for.
const MOST: usize = 1000;

/// Brings in the submodules of what is checked out, and theirs.
pub(crate) fn bring(
    session: &Arc<Session>,
    repo: &Repository,
    address: &Address,
    flags: &Flags,
    level: usize,
) -> Result<(), GitError> {
    let only = flags.recurse_submodules.as_deref().unwrap_or_default();
    let all = repo.submodules().map_err(GitError::library(format!("{address}: read its submodules")))?;
    let listed: HashSet<PathBuf> = all.iter().map(|submodule| submodule.path().to_owned()).collect();
    for path in gitlinks(repo).map_err(GitError::library(format!("{address}: read its submodules")))? {
        if !listed.contains(&path) && (level > 0 || is_wanted(only, &path)) {
            return Err(GitError::BadSubmodule {
                name: path.display().to_string(),
                why: "has no url in .gitmodules".to_owned(),
                next: "add it there, and commit that".to_owned(),
            });
        }
    }
    for mut submodule in all {
        let path = submodule.path().to_owned();
        // What `.gitmodules` names and the commit does not have is none.
        if submodule.index_id().is_none() || (level == 0 && !is_wanted(only, &path)) {
            continue;
        }
        let name = path.display().to_string();
        if level >= DEEPEST {
            return Err(GitError::BadSubmodule {
                name,
                why: format!("is the {DEEPEST}th within another"),
                next: "leave out `--recurse-submodules`, or name the submodules that are needed".to_owned(),
            });
        }
        if session.count_submodule() > MOST {
            return Err(GitError::BadSubmodule {
                name,
                why: format!("is one more than {MOST} submodules"),
                next: "name the submodules that are needed: `--recurse-submodules=PATH`".to_owned(),
            });
        }
        one(session, repo, address, flags, &mut submodule, level).map_err(|error| match error {
            GitError::Submodule { name: inner, source } => {
                GitError::Submodule { name: format!("{name}/{inner}"), source }
            }
            GitError::BadSubmodule { .. } | GitError::Stopped { .. } => error,
            error => GitError::Submodule { name, source: Box::new(error) },
        })?;
    }
    Ok(())
}

/// The folders of the commit that stand for commits of other repositories. Without `.gitmodules` the library lists none.
fn gitlinks(repo: &Repository) -> Result<Vec<PathBuf>, git2::Error> {
    let index = repo.index()?;
    let links = index.iter().filter(|entry| entry.mode == 0o160_000);
    Ok(links.map(|entry| PathBuf::from(OsString::from_vec(entry.path))).collect())
}

/// Whether one of the pathspecs is it or leads to it.
fn is_wanted(only: &[String], path: &Path) -> bool {
    only.is_empty()
        || only.iter().any(|wanted| wanted == "." || path.starts_with(wanted.trim_end_matches('/')))
}

fn one(
    session: &Arc<Session>,
    parent: &Repository,
    parent_address: &Address,
    flags: &Flags,
    submodule: &mut Submodule<'_>,
    level: usize,
) -> Result<(), GitError> {
    let path = submodule.path().display().to_string();
    let bad = |why: &str, next: &str| GitError::BadSubmodule {
        name: path.clone(),
        why: why.to_owned(),
        next: next.to_owned(),
    };
    let library = |what: &str| GitError::library(format!("{what} {path}"));
    if submodule.update_strategy() == SubmoduleUpdate::None {
        tracing::info!("submodule `{path}`: left out, as its `update = none` says");
        return Ok(());
    }
    let Some(commit) = submodule.index_id() else { return Ok(()) };
    let raw = submodule.url().ok().flatten().filter(|url| !url.is_empty()).map(str::to_owned);
    let raw = raw.ok_or_else(|| bad("has no url in .gitmodules", "add it there, and commit that"))?;
    let name = submodule.name().map_err(library("read the name of"))?.to_owned();
    let (address, given) = parent_address.join(&session.replaced(&raw))?;
    allowed(session, parent_address, &address)
        .map_err(|why| bad(&why, "give it a url that this pod may clone from"))?;
    // The main repository's login is for its host, and for no other.
    let login = given.or_else(|| session.main_login(&address));
    let login = session.access.complete(&address, login)?;
    let mut write = || -> Result<Repository, git2::Error> {
        let mut config = parent.config()?;
        // The library makes the repository from these.
        config.set_str(&format!("submodule.{name}.url"), &address.to_string())?;
        config.set_bool(&format!("submodule.{name}.active"), true)?;
        let repo = submodule.repo_init(true)?;
        settings(&repo, &address.to_string(), &Flags { written: flags.written.clone(), ..Flags::default() })?;
        Ok(repo)
    };
    let repo = write().map_err(library("make the repository of"))?;
    let talk = Conversation::new(session, address.clone(), login);
    let mut link = Link::open(&repo, talk)?;
    let own = Flags {
        depth: flags.shallow_submodules.unwrap_or(false).then_some(NonZeroU32::MIN),
        tags: flags.tags,
        ..Flags::default()
    };
    let id = commit.to_string();
    let obtained = obtain(&repo, &mut link, Ask { revision: Some(&id), flags: &own })?;
    drop(link);
    check_out(&repo, &obtained, session, &address.to_string())?;
    tidy(&repo)?;
    warn_of_pointers(&repo, &address.to_string())?;
    bring(session, &repo, &address, flags, level + 1)
}

/// A repository from elsewhere must not read this machine's files, nor leave an encrypted way for an open one.
fn allowed(session: &Session, parent: &Address, address: &Address) -> Result<(), String> {
    if address.scheme.is_local() && !parent.scheme.is_local() && session.transfer.allow_file != Some(true) {
        return Err(format!("{address} is on this machine, which a repository from elsewhere may not read"));
    }
    if address.scheme.is_local() && session.transfer.allow_file == Some(false) {
        return Err(format!("{address} is on this machine, which protocol.file.allow forbids"));
    }
    if parent.scheme == Scheme::Https && matches!(address.scheme, Scheme::Http | Scheme::Git) {
        tracing::warn!("{address}: a submodule that comes unencrypted, while the repository does not");
    }
    Ok(())
}
