//! From what was asked for to the one commit that is meant.
//!
//! The order is that of `git checkout` in a fresh clone: a branch, then whatever `git rev-parse` makes of it. What the
//! reference leaves out (`--depth` hides every other branch from it) is fetched when it is needed.

use crate::GitError;
use crate::flags::Flags;
use crate::link::{Depth, Head, Link, is_id};
use git2::{AutotagOption, ErrorCode, Oid, Repository};

/// Refs that are neither branches nor tags stand here while they are needed.
pub(crate) const OTHERS: &str = "refs/plx-init/";

/// What is to be checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A branch, by its short name.
    Branch(String, Oid),
    /// A commit, on no branch.
    Commit(Oid),
}

impl Target {
    pub fn oid(&self) -> Oid {
        match self {
            Self::Branch(_, oid) | Self::Commit(oid) => *oid,
        }
    }
}

/// What is wanted of a repository.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub revision: Option<&'a str>,
    pub flags: &'a Flags,
}

/// What was brought.
pub(crate) struct Obtained {
    pub target: Target,
    /// What is checked out without a revision: the branch of `--branch`, or the server's own.
    pub base: Option<Target>,
    /// Whether the whole of the branches is there, or the wanted one alone.
    pub single: bool,
}

/// Fetches as much as it takes to have the revision.
pub(crate) fn obtain(repo: &Repository, link: &mut Link<'_>, ask: Ask<'_>) -> Result<Obtained, GitError> {
    let flags = ask.flags;
    let revision = ask.revision;
    let base = base(link, flags)?;
    let depth = flags.depth.map_or(Depth::All, |depth| Depth::Commits(depth.get()));
    let alone = flags.experimental_fetch && revision.is_some();
    let single = flags.single_branch.unwrap_or(flags.depth.is_some()) || alone;
    let named = revision.map(|revision| named(&link.heads, revision));
    if let (Some(revision), Some(Named::Nothing)) = (revision, &named) {
        return Err(missing(link, revision));
    }
    let tags = match (flags.tags, single) {
        (Some(false), _) => AutotagOption::None,
        (Some(true), _) | (None, false) => AutotagOption::All,
        (None, true) => AutotagOption::Auto,
    };
    let (specs, depth) = first(named.as_ref(), single, base.as_ref(), depth, link, tags)?;
    // What the first does not bring: all history, the commit by its id, every ref there is.
    let mut more = vec![(branches(), Depth::All)];
    if let Some(Named::Id(id)) = &named
        && !single
    {
        more.push((wanted(id), Depth::All));
    }
    more.push((vec![format!("+refs/*:{OTHERS}*")], Depth::All));
    match link.fetch(&specs, depth, tags) {
        // One id is asked for, and the server need not give it out.
        Err(error) if is_wanted(&specs) && may_be_refused(&error) => {
            tracing::info!("{}: the server gives no commit by its id: all of history is fetched", link.at());
        }
        done => done?,
    }
    let Some(revision) = revision else {
        let target = base.clone().ok_or_else(|| missing(link, "HEAD"))?;
        return Ok(Obtained { target: finished(target, repo, flags)?, base, single });
    };
    if let Some(target) = resolve(repo, revision, base.as_ref(), link, named.as_ref())? {
        return Ok(Obtained { target: finished(target, repo, flags)?, base, single });
    }
    for (specs, depth) in more {
        match link.fetch(&specs, depth, tags) {
            Err(error) if is_wanted(&specs) && may_be_refused(&error) => continue,
            done => done?,
        }
        if let Some(target) = resolve(repo, revision, base.as_ref(), link, named.as_ref())? {
            return Ok(Obtained { target: finished(target, repo, flags)?, base, single });
        }
    }
    Err(missing(link, revision))
}

/// What is fetched first: as little as can hold the revision.
fn first(
    named: Option<&Named>,
    single: bool,
    base: Option<&Target>,
    depth: Depth,
    link: &Link<'_>,
    tags: AutotagOption,
) -> Result<(Vec<String>, Depth), GitError> {
    // Tags come by themselves unless there are to be none; other refs are nowhere else.
    let comes = |name: &str| {
        name.starts_with("refs/heads/") || (name.starts_with("refs/tags/") && tags == AutotagOption::All)
    };
    Ok(match (named, single) {
        (None | Some(Named::Base), true) => (vec![of_base(base, link)?], depth),
        // Whatever it is counted from, history is needed.
        (Some(Named::BelowBase), true) => (vec![of_base(base, link)?], Depth::All),
        (Some(Named::Below(name)), true) => (vec![spec(name)], Depth::All),
        (Some(Named::Ref(name)), true) => (vec![spec(name)], depth),
        (Some(Named::Id(id)), true) => (wanted(id), depth),
        (None | Some(Named::Base | Named::Id(_)), false) => (branches(), depth),
        (Some(Named::Ref(name)), false) if !comes(name) => ([branches(), vec![spec(name)]].concat(), depth),
        (Some(Named::Ref(_)), false) => (branches(), depth),
        (Some(Named::Below(name)), false) if !comes(name) => {
            ([branches(), vec![spec(name)]].concat(), Depth::All)
        }
        (Some(Named::BelowBase | Named::Below(_)), false) | (Some(Named::InHistory | Named::Nothing), _) => {
            (branches(), Depth::All)
        }
    })
}

fn wanted(id: &str) -> Vec<String> {
    vec![format!("+{id}:{OTHERS}wanted")]
}

fn is_wanted(specs: &[String]) -> bool {
    specs.len() == 1 && specs[0].ends_with("/wanted")
}

/// Whether a server that was asked for one commit may have refused just that.
fn may_be_refused(error: &GitError) -> bool {
    !matches!(error, GitError::Stopped { .. } | GitError::Disk { .. } | GitError::Denied { .. })
}

/// `--experimental-fetch` checks out what it fetched, on no branch.
fn finished(target: Target, repo: &Repository, flags: &Flags) -> Result<Target, GitError> {
    let oid = target.oid();
    repo.find_commit(oid).map_err(GitError::library(format!("commit {oid}")))?;
    Ok(if flags.experimental_fetch { Target::Commit(oid) } else { target })
}

fn branches() -> Vec<String> {
    vec!["+refs/heads/*:refs/remotes/origin/*".to_owned()]
}

/// Brings one ref to where it stands in a clone.
fn spec(name: &str) -> String {
    format!("+{name}:{}", here(name))
}

/// Where a ref of the other side stands in a clone.
fn here(name: &str) -> String {
    match (name.strip_prefix("refs/heads/"), name.strip_prefix("refs/")) {
        (Some(branch), _) => format!("refs/remotes/origin/{branch}"),
        _ if name.starts_with("refs/tags/") => name.to_owned(),
        (_, Some(rest)) => format!("{OTHERS}{rest}"),
        _ => format!("{OTHERS}{name}"),
    }
}

fn of_base(base: Option<&Target>, link: &Link<'_>) -> Result<String, GitError> {
    match base {
        Some(Target::Branch(name, _)) => Ok(spec(&format!("refs/heads/{name}"))),
        Some(Target::Commit(oid)) => {
            let of = |head: &&Head| head.oid == *oid && head.name != "HEAD";
            let tag = |head: &&Head| of(head) && head.name.starts_with("refs/tags/");
            let found = link.heads.iter().find(tag).or_else(|| link.heads.iter().find(of));
            Ok(spec(found.map_or("HEAD", |head| head.name.trim_end_matches("^{}"))))
        }
        None => Err(missing(link, "HEAD")),
    }
}

/// What is checked out when no revision is named.
fn base(link: &Link<'_>, flags: &Flags) -> Result<Option<Target>, GitError> {
    if let Some(branch) = &flags.branch {
        if let Some(head) = link.head(&format!("refs/heads/{branch}")) {
            return Ok(Some(Target::Branch(branch.clone(), head.oid)));
        }
        let tag = [format!("refs/tags/{branch}^{{}}"), format!("refs/tags/{branch}")];
        let tag = tag.iter().find_map(|name| link.head(name));
        return tag.map(|head| Some(Target::Commit(head.oid))).ok_or_else(|| missing(link, branch));
    }
    let Some(head) = link.head("HEAD") else { return Ok(None) };
    let branch = |name: &str| name.strip_prefix("refs/heads/").map(str::to_owned);
    if let Some(name) = head.points_to.as_deref().and_then(branch) {
        // Of the two lines of one answer, that of the branch is what the branch will be.
        let oid = link.head(&format!("refs/heads/{name}")).map_or(head.oid, |branch| branch.oid);
        return Ok(Some(Target::Branch(name, oid)));
    }
    // A server too old to say which branch it is, or one whose HEAD is on none: git guesses in this order.
    let same =
        |name: &str| link.head(&format!("refs/heads/{name}")).is_some_and(|other| other.oid == head.oid);
    let usual = ["master", "main"].into_iter().find(|name| same(name)).map(str::to_owned);
    let any =
        || link.heads.iter().filter(|other| other.oid == head.oid).find_map(|other| branch(&other.name));
    Ok(Some(match usual.or_else(any) {
        Some(name) => Target::Branch(name, head.oid),
        None => Target::Commit(head.oid),
    }))
}

/// What a revision is, as far as the names of the other side tell.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    /// The base itself.
    Base,
    /// Something counted from the base, as `HEAD~2`.
    BelowBase,
    /// A ref, by its whole name.
    Ref(String),
    /// Something counted from that ref, as `dev~1`.
    Below(String),
    /// The whole id of a commit that no ref is at.
    Id(String),
    /// Something that only history tells, as a short id.
    InHistory,
    /// Nothing that could be anything.
    Nothing,
}

fn named(heads: &[Head], revision: &str) -> Named {
    if matches!(revision, "HEAD" | "@") {
        return Named::Base;
    }
    // A whole id is that object whatever is called like it: who may push a branch must not replace a pinned commit.
    if is_id(revision) {
        let id = revision.to_ascii_lowercase();
        let at = |head: &&Head| head.oid.to_string() == id && head.name != "HEAD";
        let tip = heads.iter().find(at).map(|head| head.name.trim_end_matches("^{}").to_owned());
        return tip.map_or(Named::Id(id), Named::Ref);
    }
    if let Some(name) = ref_named(heads, revision) {
        return Named::Ref(name);
    }
    // A clone that was just made has no yesterday: the library would take the tip for it.
    if revision.contains("@{") {
        return Named::Nothing;
    }
    let end = revision.find(['~', '^', '@', ':', '{']).unwrap_or(revision.len());
    let (start, rest) = revision.split_at(end);
    if !rest.is_empty() {
        return match ref_named(heads, start) {
            _ if start.is_empty() || start == "HEAD" => Named::BelowBase,
            Some(name) => Named::Below(name),
            None if is_short_id(start) || is_id(start) => Named::InHistory,
            None => Named::Nothing,
        };
    }
    let described = revision.rsplit_once("-g").is_some_and(|(_, id)| is_short_id(id));
    if is_short_id(revision) || described { Named::InHistory } else { Named::Nothing }
}

fn is_short_id(text: &str) -> bool {
    (4..40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The ref of the other side that a name stands for: a tag before a branch, as `git rev-parse` has it, but for the
/// revision alone a branch is found by [`resolve`] first.
fn ref_named(heads: &[Head], name: &str) -> Option<String> {
    let short = name.strip_prefix("refs/remotes/origin/").or_else(|| name.strip_prefix("origin/"));
    let candidates = [
        name.starts_with("refs/").then(|| name.to_owned()),
        Some(format!("refs/tags/{name}")),
        Some(format!("refs/heads/{name}")),
        short.map(|short| format!("refs/heads/{short}")),
        Some(format!("refs/{name}")),
    ];
    candidates.into_iter().flatten().find(|wanted| heads.iter().any(|head| head.name == *wanted))
}

/// What the revision is in what is here by now.
fn resolve(
    repo: &Repository,
    revision: &str,
    base: Option<&Target>,
    link: &Link<'_>,
    named: Option<&Named>,
) -> Result<Option<Target>, GitError> {
    if matches!(revision, "HEAD" | "@") {
        return Ok(base.cloned());
    }
    if is_id(revision) {
        let object = Oid::from_str(revision).and_then(|oid| repo.find_object(oid, None));
        return Ok(object
            .and_then(|object| object.peel_to_commit())
            .ok()
            .map(|commit| Target::Commit(commit.id())));
    }
    let commit = |name: &str| {
        let reference = repo.find_reference(name).ok()?;
        reference.peel_to_commit().ok().map(|commit| commit.id())
    };
    let branch = commit(&format!("refs/remotes/origin/{revision}")).filter(|_| revision != "HEAD");
    let is_base = matches!(base, Some(Target::Branch(name, _)) if name == revision);
    let tag = commit(&format!("refs/tags/{revision}"));
    if let Some(oid) = branch
        && (is_base || tag.is_none())
    {
        return Ok(Some(Target::Branch(revision.to_owned(), oid)));
    }
    let below = match named {
        // It is counted from that ref, even where its name could be the beginning of an id.
        Some(Named::Below(name)) => {
            let end = revision.find(['~', '^', '@', ':']).unwrap_or(revision.len());
            Some(vec![format!("{}{}", here(name), &revision[end..])])
        }
        _ => None,
    };
    for spelling in below.unwrap_or_else(|| spellings(revision, base)) {
        match repo.revparse_single(&spelling) {
            // What is no commit, as a file in one, is no revision.
            Ok(object) => match object.peel_to_commit() {
                Ok(commit) => return Ok(Some(Target::Commit(commit.id()))),
                Err(_) => continue,
            },
            Err(error) if error.code() == ErrorCode::Ambiguous => {
                if let Some(commit) = only_commit(repo, revision) {
                    return Ok(Some(Target::Commit(commit)));
                }
                return Err(GitError::Ambiguous { at: link.at(), revision: revision.to_owned() });
            }
            // Not there, or nothing that could be there.
            Err(_) => {}
        }
    }
    Ok(None)
}

/// The one commit that a short id stands for among objects of other kinds, as git takes it where a commit is wanted.
fn only_commit(repo: &Repository, short: &str) -> Option<Oid> {
    let short = short.to_ascii_lowercase();
    let mut found = Vec::new();
    let odb = repo.odb().ok()?;
    let collect = |oid: &Oid| {
        if oid.to_string().starts_with(&short) {
            found.push(*oid);
        }
        true
    };
    odb.foreach(collect).ok()?;
    let mut commits: Vec<Oid> = found
        .iter()
        .filter_map(|oid| repo.find_object(*oid, None).ok()?.peel_to_commit().ok())
        .map(|commit| commit.id())
        .collect();
    commits.sort_unstable();
    commits.dedup();
    match commits[..] {
        [one] => Some(one),
        _ => None,
    }
}

/// The revision as it is called in a fresh clone, where the other side's branches are those of `origin`.
fn spellings(revision: &str, base: Option<&Target>) -> Vec<String> {
    let below = revision.strip_prefix("HEAD").or_else(|| revision.strip_prefix('@'));
    if let (Some(rest), Some(base)) = (below, base)
        && rest.starts_with(['~', '^'])
    {
        return vec![format!("{}{rest}", base.oid())];
    }
    if let Some(rest) = revision.strip_prefix("refs/heads/") {
        return vec![format!("refs/remotes/origin/{rest}")];
    }
    let rest = revision.strip_prefix("refs/");
    let ours = ["refs/tags/", "refs/remotes/"].iter().any(|prefix| revision.starts_with(prefix));
    match rest {
        Some(rest) if !ours => vec![format!("{OTHERS}{rest}")],
        _ => vec![revision.to_owned(), format!("origin/{revision}"), format!("{OTHERS}{revision}")],
    }
}

fn missing(link: &Link<'_>, revision: &str) -> GitError {
    let count = |prefix: &str| {
        link.heads.iter().filter(|head| head.name.starts_with(prefix) && !head.name.ends_with("^{}")).count()
    };
    let short = link.heads.iter().filter_map(|head| {
        ["refs/heads/", "refs/tags/"].iter().find_map(|prefix| head.name.strip_prefix(prefix))
    });
    let near = short
        .filter(|name| !name.ends_with("^{}"))
        .map(|name| (strsim::jaro_winkler(name, revision), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    GitError::NoRevision {
        at: link.at(),
        revision: revision.to_owned(),
        looked: format!(
            "a branch ({} there), a tag ({}), another ref, a commit",
            count("refs/heads/"),
            count("refs/tags/")
        ),
        near: near.map(|(_, name)| name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4c6db0121250d54cb0bb81d6501efc272bc4c485";

    #[track_caller]
    fn check(revision: &str, want: Named) {
        let head = |name: &str, oid: &str| Head {
            name: name.to_owned(),
            oid: Oid::from_str(oid).expect("an id"),
            points_to: None,
        };
        let other = "536efe7bb14b20b234907f1f5d6036b4b4426dd1";
        let heads = [
            head("HEAD", ID),
            head("refs/heads/main", ID),
            head("refs/heads/a/b", other),
            head("refs/heads/both", ID),
            head("refs/tags/both", other),
            head("refs/tags/v1", other),
            head("refs/pull/1/head", other),
        ];
        assert_eq!(named(&heads, revision), want, "{revision}");
    }

    #[test]
    fn what_the_names_of_the_other_side_tell_of_a_revision() {
        let is = |name: &str| Named::Ref(name.to_owned());
        check("HEAD", Named::Base);
        check("a/b", is("refs/heads/a/b"));
        check("origin/a/b", is("refs/heads/a/b"));
        check("refs/heads/main", is("refs/heads/main"));
        check("both", is("refs/tags/both"));
        check("pull/1/head", is("refs/pull/1/head"));
        check("v1^{commit}", Named::Below("refs/tags/v1".to_owned()));
        check("a/b~2", Named::Below("refs/heads/a/b".to_owned()));
        check("HEAD~2", Named::BelowBase);
        check("@^", Named::BelowBase);
        check(ID, is("refs/heads/main"));
        check(&ID.to_uppercase(), is("refs/heads/main"));
        let far = "0123456789012345678901234567890123456789";
        check(far, Named::Id(far.to_owned()));
        check("0123456", Named::InHistory);
        check("v1-3-g0123456", Named::InHistory);
        check(&format!("{far}~1"), Named::InHistory);
        for nothing in [
            "main@{yesterday}",
            "HEAD@{0}",
            "@{u}",
            "nope",
            "012",
            "mian",
            "--upload-pack=x",
            "-x",
            "nope~1",
            "v1-3-gxyz",
        ] {
            check(nothing, Named::Nothing);
        }
    }

    #[test]
    fn a_branch_of_the_other_side_is_one_of_origin_here() {
        assert_eq!(spec("refs/heads/a/b"), "+refs/heads/a/b:refs/remotes/origin/a/b");
        assert_eq!(spec("refs/tags/v1"), "+refs/tags/v1:refs/tags/v1");
        assert_eq!(spec("refs/pull/1/head"), "+refs/pull/1/head:refs/plx-init/pull/1/head");
        assert_eq!(spellings("refs/pull/1/head", None), ["refs/plx-init/pull/1/head"]);
        assert_eq!(spellings("refs/heads/x~1", None), ["refs/remotes/origin/x~1"]);
    }
}
