//! Repositories on this machine. libgit2's own transport for them makes a new pack of every object (seven times the time
//! of a clone over HTTP, and three times the memory), and knows neither depth nor commits by their id.
//!
//! All of a history is a copy of the files that hold the objects, as `git clone` does it; some commits are a pack.

use crate::GitError;
use crate::address::Address;
use crate::link::{Depth, Head, commit_of};
use crate::transport::Conversation;
use git2::{AutotagOption, ErrorCode, Odb, Oid, Repository};
use plx_contract::Class;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Repositories that borrow from one another, one behind the other; git stops there too.
const BORROWED: usize = 5;

/// Opens a repository on this machine.
pub(crate) fn open(address: &Address) -> Result<Repository, GitError> {
    let path = address.to_request();
    let at = address.to_string();
    match Repository::open(&path) {
        Ok(repo) => Ok(repo),
        Err(error) if error.code() == ErrorCode::NotFound => {
            let why = if Path::new(&path).exists() { "the path is no git repository" } else { "" };
            Err(GitError::NoRepository { at, why: why.to_owned() })
        }
        Err(error) => Err(GitError::library(at)(error)),
    }
}

/// Brings what refspecs ask for.
pub(crate) fn fetch(
    repo: &Repository,
    talk: &Conversation,
    heads: &[Head],
    specs: &[String],
    depth: Depth,
    tags: AutotagOption,
) -> Result<(), GitError> {
    let at = talk.address.to_string();
    let source = open(&talk.address)?;
    let mut wanted = wanted(heads, specs);
    if tags == AutotagOption::All {
        wanted.extend(self::wanted(heads, &["+refs/tags/*:refs/tags/*".to_owned()]));
    }
    // A commit by its id may be no object of that repository.
    if let Some(oid) = wanted.values().find(|oid| source.find_object(**oid, None).is_err()) {
        return Err(GitError::Library {
            what: format!("{at}: fetch"),
            why: format!("there is no object {oid}"),
            class: Class::NotFound,
        });
    }
    let library = |error| GitError::library(format!("{at}: fetch"))(error);
    match depth {
        Depth::All => {
            copy_objects(&source.commondir().join("objects"), &repo.path().join("objects"), talk, 0)?;
            copy_ends(&source, repo)?;
            // What was copied is seen by a listing of packs that is made anew.
            repo.odb().and_then(|odb| odb.refresh()).map_err(library)?;
        }
        Depth::Commits(most) => pack(repo, &source, &wanted, most, talk).map_err(library)?,
    }
    let words = format!("fetch from {at}");
    for (name, oid) in &wanted {
        if let Some(name) = name {
            repo.reference(name, *oid, true, &words).map_err(library)?;
        }
    }
    if tags == AutotagOption::Auto {
        follow_tags(repo, heads, &wanted, depth, &words, talk).map_err(|error| {
            match talk.session.stop.is_cancelled() {
                true => GitError::Stopped { at: at.clone() },
                false => library(error),
            }
        })?;
    }
    Ok(())
}

/// Adds the tags of what is here, as git does when it fetches a branch.
fn follow_tags(
    repo: &Repository,
    heads: &[Head],
    wanted: &Wanted,
    depth: Depth,
    words: &str,
    talk: &Conversation,
) -> Result<(), git2::Error> {
    let mut history = HashSet::new();
    // Of some commits only those are here; of all, everything is.
    if depth == Depth::All {
        let mut walk = repo.revwalk()?;
        for tip in wanted.values() {
            walk.push(repo.find_object(*tip, None)?.peel_to_commit()?.id())?;
        }
        for commit in walk {
            history.insert(commit?);
            if talk.session.stop.is_cancelled() {
                return Err(git2::Error::from_str("stopped"));
            }
        }
    }
    let tags = heads.iter().filter(|head| head.name.starts_with("refs/tags/") && !head.name.ends_with("^{}"));
    for head in tags {
        let Ok(commit) = repo.find_object(head.oid, None).and_then(|object| object.peel_to_commit()) else {
            continue;
        };
        if depth != Depth::All || history.contains(&commit.id()) {
            repo.reference(&head.name, head.oid, true, words)?;
        }
    }
    Ok(())
}

/// Copies the files that hold objects, those of other repositories that this one borrows from too.
fn copy_objects(from: &Path, to: &Path, talk: &Conversation, level: usize) -> Result<(), GitError> {
    let list = from.join("info/alternates");
    let borrowed = match fs::read_to_string(&list) {
        // Most borrow nothing.
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        // Without it a part of history would be missing, and nobody would notice.
        read => read.map_err(GitError::disk("read", &list))?,
    };
    for line in borrowed.lines().filter(|line| !line.is_empty() && !line.starts_with('#') && level < BORROWED)
    {
        copy_objects(&from.join(line), to, talk, level + 1)?;
    }
    // A pack counts from when its index is there.
    for ending in ["pack", "idx"] {
        copy_files(&from.join("pack"), &to.join("pack"), talk, |name| {
            name.starts_with("pack-") && name.rsplit('.').next() == Some(ending)
        })?;
    }
    for entry in entries(from)? {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.len() == 2 && is_hex(&name) {
            copy_files(&entry.path(), &to.join(&name), talk, |name| name.len() == 38 && is_hex(name))?;
        }
    }
    Ok(())
}

fn is_hex(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, GitError> {
    let read = fs::read_dir(folder).and_then(Iterator::collect);
    read.map_err(GitError::disk("read", folder))
}

fn copy_files(
    from: &Path,
    to: &Path,
    talk: &Conversation,
    is_one: impl Fn(&str) -> bool,
) -> Result<(), GitError> {
    if !from.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(to).map_err(GitError::disk("make", to))?;
    for entry in entries(from)? {
        let name = entry.file_name();
        let target = to.join(&name);
        if !is_one(&name.to_string_lossy()) || target.exists() {
            continue;
        }
        if talk.session.stop.is_cancelled() {
            return Err(GitError::Stopped { at: talk.address.to_string() });
        }
        let bytes = fs::copy(entry.path(), &target).map_err(GitError::disk("copy an object to", &target))?;
        talk.session.received.add(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    Ok(())
}

/// Where the history of a source ends that is shallow itself.
fn copy_ends(source: &Repository, repo: &Repository) -> Result<(), GitError> {
    let (from, to) = (source.commondir().join("shallow"), repo.path().join("shallow"));
    match fs::copy(&from, &to) {
        Err(error) if error.kind() == ErrorKind::NotFound => match fs::remove_file(&to) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done.map_err(GitError::disk("remove", &to)),
        },
        done => done.map(|_| ()).map_err(GitError::disk("copy the end of history to", &to)),
    }
}

/// Makes a pack of some commits.
fn pack(
    repo: &Repository,
    source: &Repository,
    wanted: &Wanted,
    most: u32,
    talk: &Conversation,
) -> Result<(), git2::Error> {
    let mut builder = source.packbuilder()?;
    builder.set_threads(1);
    let (mut commits, mut ends) = (HashSet::new(), Vec::new());
    for oid in wanted.values() {
        let mut object = source.find_object(*oid, None)?;
        // A tag that stands for a tag.
        while let Some(tag) = object.as_tag() {
            builder.insert_object(tag.id(), None)?;
            object = tag.target()?;
        }
        walk(source, object.id(), most, &mut commits, &mut ends)?;
    }
    for commit in &commits {
        builder.insert_commit(*commit)?;
    }
    write(&mut builder, &repo.odb()?, talk)?;
    shallow(repo, &ends)
}

type Wanted = BTreeMap<Option<String>, Oid>;

/// Our name and the object, of everything the refspecs ask for.
fn wanted(heads: &[Head], specs: &[String]) -> Wanted {
    let mut wanted = BTreeMap::new();
    for spec in specs {
        let (from, to) = spec.trim_start_matches('+').split_once(':').unwrap_or((spec, ""));
        if let Some(oid) = commit_of(spec) {
            wanted.insert((!to.is_empty()).then(|| to.to_owned()), oid);
            continue;
        }
        for head in heads.iter().filter(|head| !head.name.ends_with("^{}")) {
            let to = match (from.strip_suffix('*'), to.strip_suffix('*')) {
                (Some(from), Some(to)) => head.name.strip_prefix(from).map(|rest| format!("{to}{rest}")),
                _ => (head.name == from).then(|| to.to_owned()),
            };
            if let Some(to) = to {
                wanted.insert((!to.is_empty()).then_some(to), head.oid);
            }
        }
    }
    wanted
}

/// Adds the commits that are so near to one, and those whose parents are not among them.
fn walk(
    source: &Repository,
    start: Oid,
    most: u32,
    commits: &mut HashSet<Oid>,
    ends: &mut Vec<Oid>,
) -> Result<(), git2::Error> {
    let mut open = VecDeque::from([(start, 1)]);
    while let Some((oid, level)) = open.pop_front() {
        if !commits.insert(oid) {
            continue;
        }
        let commit = source.find_commit(oid)?;
        let parents: Vec<Oid> = commit.parent_ids().collect();
        // The source may be shallow itself.
        let cut = level >= most || parents.iter().any(|parent| source.find_commit(*parent).is_err());
        if cut && !parents.is_empty() {
            ends.push(oid);
        } else {
            open.extend(parents.into_iter().map(|parent| (parent, level + 1)));
        }
    }
    Ok(())
}

fn write(builder: &mut git2::PackBuilder<'_>, odb: &Odb<'_>, talk: &Conversation) -> Result<(), git2::Error> {
    let mut writer = odb.packwriter()?;
    let mut failed = None;
    let session = &talk.session;
    builder.foreach(|piece| {
        session.received.add(piece.len());
        match writer.write_all(piece) {
            Ok(()) => !session.stop.is_cancelled(),
            Err(error) => {
                failed = Some(error);
                false
            }
        }
    })?;
    match failed {
        Some(error) => Err(git2::Error::from_str(&error.to_string())),
        None => writer.commit().map(|_| ()),
    }
}

/// Says where history ends, as git does.
fn shallow(repo: &Repository, ends: &[Oid]) -> Result<(), git2::Error> {
    if ends.is_empty() {
        return Ok(());
    }
    let text: String = ends.iter().map(|oid| format!("{oid}\n")).collect();
    let failed = |error: std::io::Error| git2::Error::from_str(&format!("write shallow: {error}"));
    fs::write(repo.path().join("shallow"), text).map_err(failed)
}
