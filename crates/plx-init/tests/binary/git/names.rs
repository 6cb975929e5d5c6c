//! Names that may mean two things.

use super::scene::{history, lands, misses};
use plx_testkit::GitRepo;
use plx_testkit::git::git_command;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

#[tokio::test]
async fn a_name_of_a_tag_and_of_another_branch_is_the_tag_as_in_git() {
    let repo = history();
    repo.git(&["branch", "--quiet", "both", "dev"]);
    repo.git(&["tag", "both", "v1"]);
    let tag = repo.git(&["rev-parse", "v1"]);
    lands(repo, &["--revision=both"], &tag, "HEAD").await;
}

#[tokio::test]
async fn a_name_of_a_tag_and_of_the_default_branch_is_the_branch_as_in_git() {
    let repo = history();
    repo.git(&["tag", "main", "v1"]);
    let head = repo.git(&["rev-parse", "refs/heads/main"]);
    // Git itself writes such a branch as `heads/main`.
    let scene = super::scene::Scene::of(repo).await;
    let ended = scene.clone(&["--revision=main"]).await;
    ended.succeeded();
    assert_eq!(super::scene::git(&scene.lab, &["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!((&ended.report["commit"], &ended.report["branch"]), (&head.into(), &"main".into()));
}

#[tokio::test]
async fn a_branch_whose_name_looks_like_a_short_id_is_the_branch() {
    for name in ["deadbeef", "1234567"] {
        let repo = history();
        repo.git(&["branch", "--quiet", name, "dev"]);
        let dev = repo.git(&["rev-parse", "dev"]);
        lands(repo, &["--revision", name], &dev, name).await;
    }
}

#[tokio::test]
async fn a_branch_or_tag_named_as_a_whole_id_never_stands_in_for_that_commit() {
    for kind in ["heads", "tags"] {
        let repo = history();
        let pinned = repo.git(&["rev-parse", "v1"]);
        repo.git(&["update-ref", &format!("refs/{kind}/{pinned}"), "dev"]);
        lands(repo, &["--revision", &pinned], &pinned, "HEAD").await;
    }
}

#[tokio::test]
async fn a_tag_whose_name_is_the_short_id_of_another_commit_is_the_tag() {
    let repo = history();
    let (dev, tagged) = (repo.git(&["rev-parse", "dev"]), repo.git(&["rev-parse", "v1"]));
    repo.git(&["tag", &dev[..7], "v1"]);
    lands(repo, &["--revision", &dev[..7]], &tagged, "HEAD").await;
}

/// A thousand commits; four digits that two of them begin with, and a longer start of one of those.
fn crowded() -> (GitRepo, String, String) {
    let repo = GitRepo::new();
    let commit = |number: usize| {
        let message = format!("commit {number}");
        format!(
            "commit refs/heads/main\ncommitter n <a@b.c> 1700000000 +0000\ndata {}\n{message}\n",
            message.len()
        )
    };
    let stream: String = (0..1000).map(commit).collect();
    let mut import = git_command();
    import.current_dir(repo.path()).args(["fast-import", "--quiet"]).stdin(Stdio::piped());
    let mut import = import.spawn().unwrap();
    import.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
    let mut seen = BTreeMap::<String, Vec<String>>::new();
    for id in repo.git(&["rev-list", "main"]).lines() {
        seen.entry(id[..4].to_owned()).or_default().push(id.to_owned());
    }
    let (start, ids) = seen.into_iter().find(|(_, ids)| ids.len() > 1).expect("two of a thousand");
    (repo, start, ids[0].clone())
}

#[tokio::test]
async fn digits_that_two_commits_begin_with_are_64_and_more_digits_help() {
    let (repo, start, id) = crowded();
    misses(repo, &["--revision", &start], 64, &[&start, "more than one", "more digits"]).await;
    let (repo, _, _) = crowded();
    lands(repo, &["--revision", &id[..12]], &id, "HEAD").await;
}

#[tokio::test]
async fn digits_that_a_commit_and_a_file_begin_with_are_the_commit_as_in_git() {
    let (repo, start, id) = {
        let repo = history();
        let id = repo.git(&["rev-parse", "v1"]);
        let start = id[..4].to_owned();
        // Some content whose id begins alike.
        let text =
            (0..).map(|number| format!("text {number}")).find(|text| blob(text).starts_with(&start)).unwrap();
        repo.commit(&[("alike", &text)], "alike");
        assert!(repo.git(&["rev-parse", "HEAD:alike"]).starts_with(&start));
        (repo, start, id)
    };
    assert_eq!(repo.git(&["rev-parse", &format!("{start}^{{commit}}")]), id);
    lands(repo, &["--revision", &start], &id, "HEAD").await;
}

/// The id that git gives a file's content.
fn blob(text: &str) -> String {
    sha1(format!("blob {}\0{text}", text.len()).as_bytes())
}

/// SHA-1 (RFC 3174), for a few short texts.
fn sha1(data: &[u8]) -> String {
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = data.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64) + if padded.len() % 64 > 56 { 64 } else { 0 }, 0);
    let end = padded.len() - 8;
    padded[end..].copy_from_slice(&(data.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        let mut words: Vec<u32> =
            block.chunks(4).map(|four| u32::from_be_bytes(four.try_into().unwrap())).collect();
        for at in 16..80 {
            words.push((words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (mix, constant) = match at {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999_u32),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let next =
                a.rotate_left(5).wrapping_add(mix).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}
