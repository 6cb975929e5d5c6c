//! What a scan finds, follows, and leaves out.

use crate::tree::{RUN, Tree, key, short};
use plx_journal::{ProblemKind, Root, RootState, ScanRules, Seen, scan};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

fn kinds(seen: &Seen) -> Vec<ProblemKind> {
    seen.problems.iter().map(|problem| problem.kind).collect()
}

fn files(seen: &Seen) -> Vec<String> {
    short(seen.files.keys()).into_iter().collect()
}

#[test]
fn odd_names_dotfiles_and_empty_files_are_found() {
    let tree = Tree::new();
    let names = [" lead", "#h", "%20", "*", "-n", ".hid", "a\nb", "a\\b", "q?", "zero", "é世"];
    for name in names {
        tree.write(name, "");
    }
    let seen = tree.scan();
    assert_eq!(files(&seen), names);
    assert!(seen.problems.is_empty());
}

#[test]
fn git_folders_and_what_is_ours_are_left_out() {
    let tree = Tree::new();
    for name in
        [".git/HEAD", "sub/.git/HEAD", ".plx/pod/journal.jsonl", "x/.plx-part.123", ".plx-part.dir/y", "kept"]
    {
        tree.write(name, "x");
    }
    tree.write("worktree/.git", "gitdir: ..");
    assert_eq!(files(&tree.scan()), ["kept", "worktree/.git"]);
    let seen = scan(&[Root::of(&tree.run())], &ScanRules { boundary: tree.art(), skip_git: false });
    assert_eq!(files(&seen), [".git/HEAD", "kept", "sub/.git/HEAD", "worktree/.git"]);
    assert_eq!(short(seen.dirs.keys()).len(), 5, "{:?}", seen.dirs.keys());
}

#[test]
fn links_to_files_are_followed_inside_the_artifacts_only() {
    let tree = Tree::new();
    tree.write("real", "12345");
    fs::write(tree.art().join("shared"), "1234567").unwrap();
    fs::write(tree.outside(), "secret").unwrap();
    tree.link("real", "near");
    tree.link("near", "chain");
    tree.link(tree.art().join("shared"), "far");
    tree.link("../../outside", "relative");
    tree.link(tree.outside(), "out");
    let seen = tree.scan();
    assert_eq!(files(&seen), ["chain", "far", "near", "real"]);
    assert_eq!(kinds(&seen), [ProblemKind::LinkLeaves, ProblemKind::LinkLeaves]);
    let far = &seen.files[&key(&format!("{RUN}/far"))];
    assert_eq!((far.stat.size, &far.path), (7, &fs::canonicalize(tree.art().join("shared")).unwrap()));
    assert!(far.stat.mode & 0o170_000 == 0o100_000, "the mode of the file, not of the link");
}

#[test]
fn links_to_folders_are_not_walked_and_bad_links_are_one_problem_each() {
    let tree = Tree::new();
    tree.write("dir/file", "x");
    tree.write(".plx/secret", "x");
    tree.link("dir", "to-dir");
    tree.link("..", "up");
    tree.link("nowhere", "dangling");
    tree.link("dir/file/below", "through-a-file");
    tree.link("loop-b", "loop-a");
    tree.link("loop-a", "loop-b");
    tree.link(".plx/secret", "own");
    let seen = tree.scan();
    assert_eq!(files(&seen), ["dir/file"]);
    assert_eq!(short(seen.dirs.keys()).len(), 1);
    let wanted = [
        ProblemKind::DanglingLink,
        ProblemKind::LinkLoop,
        ProblemKind::LinkLoop,
        ProblemKind::LinkLeaves,
        ProblemKind::DanglingLink,
    ];
    assert_eq!(kinds(&seen), wanted, "{:?}", seen.problems);
    assert_eq!(seen.problems, tree.scan().problems, "equal each time, so that a caller warns once");
    assert!(seen.problems[0].to_string().contains("nowhere"), "{}", seen.problems[0]);
    // A link that leads away may stand for a file that was stored.
    let unread: Vec<&str> = seen.unread.iter().map(|key| key.name()).collect();
    assert_eq!(unread, ["own"]);
}

#[test]
fn names_that_are_not_utf8_are_a_problem_that_says_to_rename() {
    let tree = Tree::new();
    tree.write("ok", "x");
    fs::write(tree.run().join(OsStr::from_bytes(b"bad\xff")), "x").unwrap();
    fs::create_dir(tree.run().join(OsStr::from_bytes(b"dir\xfe"))).unwrap();
    fs::write(tree.run().join(OsStr::from_bytes(b"dir\xfe/inside")), "x").unwrap();
    let seen = tree.scan();
    assert_eq!(files(&seen), ["ok"]);
    assert_eq!(
        kinds(&seen),
        [ProblemKind::Name, ProblemKind::Name],
        "the folder is said once, not what is in it"
    );
    assert!(seen.problems[0].to_string().contains("rename"));
}

#[test]
fn sockets_and_pipes_are_a_problem_and_never_opened() {
    let tree = Tree::new();
    let _socket = std::os::unix::net::UnixListener::bind(tree.at("sock")).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, tree.at("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    tree.link("pipe", "to-pipe");
    let seen = tree.scan();
    assert_eq!((files(&seen).len(), kinds(&seen)), (0, vec![ProblemKind::Special; 3]));
    assert!(seen.problems[0].to_string().contains("a named pipe"), "{}", seen.problems[0]);
}

#[test]
fn a_root_can_be_missing_or_not_a_folder() {
    let tree = Tree::new();
    fs::write(tree.art().join("plain"), "x").unwrap();
    fs::create_dir(tree.outside()).unwrap();
    std::os::unix::fs::symlink(tree.outside(), tree.art().join("away")).unwrap();
    let roots = ["gone", "plain", "away", RUN].map(|name| Root::of(&tree.art().join(name)));
    let seen = scan(&roots, &ScanRules { boundary: tree.art(), skip_git: true });
    let states: Vec<_> = seen.roots.iter().map(|found| &found.state).collect();
    assert_eq!(*states[0], RootState::Missing);
    assert!(matches!(states[1], RootState::Unreadable(_)) && matches!(states[2], RootState::Unreadable(_)));
    assert!(matches!(states[3], RootState::Present { .. }));
    assert_eq!(
        kinds(&seen),
        [ProblemKind::Unreadable, ProblemKind::Unreadable],
        "a missing root is its state only"
    );
}

#[test]
fn of_two_files_with_one_key_the_first_root_wins() {
    let tree = Tree::new();
    tree.write("a", "own");
    let related = tree.art().join("_related_runs").join(RUN);
    fs::create_dir_all(&related).unwrap();
    fs::write(related.join("a"), "related").unwrap();
    let seen = tree.scan();
    assert_eq!(kinds(&seen), [ProblemKind::Duplicate]);
    assert_eq!(seen.files[&key(&format!("{RUN}/a"))].path, tree.at("a"));
}
