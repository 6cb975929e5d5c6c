//! `--sync-fw` and `fswatch`: the hand-over to the sidecar.

use crate::lab::{Ended, Lab};
use plx_contract::run::RunUuid;
use plx_journal::{FsFile, Journal, Root, ScanRules, Underway, scan};
use plx_testkit::{FaultProxy, Match};
use std::fs;
use std::time::Duration;

const OBJECTS: [(&str, &str); 3] =
    [("R/outputs/m", "model"), ("R/outputs/.h", "dot"), ("R2/x", "another run")];

async fn resume(lab: &Lab, from: &str) -> Ended {
    let (from, to) = (format!("--path-from={from}"), format!("--path-to={}", lab.art("R").display()));
    lab.polyaxon(&["initializer", "path", "--connection-name=data", &from, &to, "--sync-fw"]).await
}

async fn both(objects: &[(&str, &str)]) -> [(Lab, String); 2] {
    let folder = Lab::folder(objects);
    let mount = folder.path("store/R").display().to_string();
    [(folder, mount), (Lab::s3(objects).await, "s3://plx/base/R".to_owned())]
}

/// What a sidecar would upload, given what init left.
fn puts(lab: &Lab) -> usize {
    let hand_over = FsFile::load(&lab.art(".fs")).unwrap().expect("a hand-over");
    let run = RunUuid::new("R").unwrap();
    let mut journal = Journal::open(&lab.art(".plx/pod"), Some(&run), Some(&hand_over)).unwrap();
    let rules = ScanRules { boundary: lab.art(""), skip_git: true };
    let seen = scan(&[Root::of(&lab.art("R"))], &rules);
    assert!(!seen.files.is_empty());
    let changes = journal.plan(&seen);
    assert_eq!((changes.deletes, changes.blocking), (vec![], vec![]));
    changes.puts.len()
}

#[tokio::test]
async fn what_a_resume_fetched_is_recorded_and_the_sidecar_uploads_none_of_it() {
    for (lab, from) in both(&OBJECTS).await {
        resume(&lab, &from).await.succeeded();
        assert_eq!(fs::read_to_string(lab.art("R/outputs/m")).unwrap(), "model");
        assert!(!lab.art("R2").exists());
        let text = fs::read_to_string(lab.art(".fs")).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["file_mapping"]["R/outputs/m"][0], lab.path("artifacts").to_str().unwrap());
        assert_eq!(value["file_mapping"]["R/outputs/m"][2], "put");
        let stamp = value["file_mapping"]["R/outputs/m"][1].as_str().unwrap();
        assert!(stamp.ends_with("+00:00") && stamp.contains('T'), "{stamp}");
        assert!(!text.contains('\n') && !text.contains(": "), "one compact line: {text}");
        assert_eq!(puts(&lab), 0);
        fs::write(lab.art("R/outputs/new"), "trained").unwrap();
        assert_eq!(puts(&lab), 1);
    }
}

#[tokio::test]
async fn a_sidecar_that_runs_already_can_see_that_a_hand_over_will_come() {
    let mut lab = Lab::s3(&OBJECTS).await;
    let proxy = FaultProxy::start(lab.server().addr()).await;
    lab.set("AWS_ENDPOINT_URL", &proxy.url());
    proxy.on(Match::any().path_ends_with("outputs/m")).stall();
    let (from, to) = ("--path-from=s3://plx/base/R", format!("--path-to={}", lab.art("R").display()));
    let mut init = lab.start(&["path", "--connection-name=data", from, &to, "--sync-fw"]);
    let path = lab.art(".fs");
    let shows = async |shows: bool| {
        let looks = async {
            while Underway::is(&path) != shows {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), looks).await.expect("it shows in time");
    };
    shows(true).await;
    init.kill().await.unwrap();
    shows(false).await;
    proxy.clear_rules();
    resume(&lab, "s3://plx/base/R").await.succeeded();
    assert!(!Underway::is(&path));
    let left = fs::read_dir(lab.art("")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut left: Vec<_> = left.collect();
    left.sort();
    assert_eq!(left, [".fs", "R"], "nothing is left of it");
}

#[tokio::test]
async fn a_run_path_that_holds_nothing_yet_is_a_fresh_run() {
    for (lab, from) in both(&[("R2/x", "another run")]).await {
        let ended = resume(&lab, &from).await;
        ended.succeeded();
        assert!(ended.stdout.contains("a fresh run"), "{}", ended.stdout);
        assert_eq!(lab.files(), [("R/".to_owned(), None)].into(), "an empty folder, and no record");
    }
}

#[tokio::test]
async fn without_sync_fw_a_run_path_that_holds_nothing_is_missing() {
    for (lab, from) in both(&[("R2/x", "another run")]).await {
        let (from, to) = (format!("--path-from={from}"), format!("--path-to={}", lab.art("R").display()));
        let ended = lab.polyaxon(&["initializer", "path", "--connection-name=data", &from, &to]).await;
        ended.failed(66, &["does not exist"]);
    }
}

#[tokio::test]
async fn fswatch_records_a_folder_with_or_without_a_trailing_slash() {
    for slash in ["", "/"] {
        let lab = Lab::folder(&[]);
        fs::create_dir_all(lab.art("R/outputs")).unwrap();
        fs::write(lab.art("R/outputs/m"), "m").unwrap();
        let path = format!("--path={}{slash}", lab.art("R").display());
        let ended = lab.polyaxon(&["initializer", "fswatch", &path]).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{ended:?}");
        assert_eq!(puts(&lab), 0, "{slash:?}");
    }
    let lab = Lab::folder(&[]);
    let path = format!("--path={}", lab.art("none").display());
    lab.polyaxon(&["initializer", "fswatch", &path]).await.succeeded();
    assert_eq!(fs::read_to_string(lab.art(".fs")).unwrap(), "{}");
}

#[tokio::test]
async fn a_resume_by_our_own_name_does_the_same() {
    for (mut lab, _) in both(&OBJECTS).await {
        lab.set("POLYAXON_ARTIFACTS_STORE_NAME", "data");
        lab.artifacts(&["--dir=R", "--sync-fw"]).await.succeeded();
        assert_eq!(puts(&lab), 0);
        fs::remove_file(lab.art(".fs")).unwrap();
        lab.artifacts(&["--dir=fresh", "--sync-fw"]).await.succeeded();
        assert!(!lab.art(".fs").exists());
    }
}
