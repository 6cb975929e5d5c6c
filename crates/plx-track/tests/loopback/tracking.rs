use crate::{Disk, R, env};
use plx_contract::lineage::{Artifact, Status};
use plx_testkit::{FakeTracking, loopback};
use plx_track::{LONGEST_WAIT, Tracker};
use std::collections::BTreeMap;
use tokio::time::Instant;

fn pod(host: &str) -> BTreeMap<String, String> {
    rustls::crypto::ring::default_provider().install_default().ok();
    env(&[
        ("POLYAXON_HOST", host),
        ("POLYAXON_RUN_INSTANCE", &format!("owner.project.runs.{R}")),
        ("POLYAXON_AUTH_TOKEN", "hunter2"),
    ])
}

fn code() -> Vec<Artifact> {
    vec![Artifact::code("58f0", "main", "https://h/r", None)]
}

#[tokio::test]
async fn posts_arrive_in_order() {
    let api = FakeTracking::start().await;
    let tracker = Tracker::start(&pod(&api.url()), &Disk);
    assert_eq!(tracker.run().unwrap().uuid.as_str(), R);
    tracker.artifacts(code());
    tracker.status(Status { kind: "warning", reason: "A".into(), message: "b".into() });
    tracker.finish().await;
    let paths: Vec<String> =
        api.calls().iter().map(|call| call.path.rsplit('/').next().unwrap().into()).collect();
    assert_eq!(paths, ["artifacts", "statuses"]);
    assert_eq!(api.artifacts(R)[0]["name"], "58f0");
    assert_eq!(api.statuses(R)[0]["condition"]["reason"], "A");
}

#[tokio::test]
async fn one_that_is_refused_does_not_keep_the_next_back() {
    let api = FakeTracking::start().await;
    api.fail("/artifacts", 403, 1);
    let tracker = Tracker::start(&pod(&api.url()), &Disk);
    tracker.artifacts(code());
    tracker.status(Status { kind: "warning", reason: "A".into(), message: "b".into() });
    tracker.finish().await;
    assert_eq!(api.statuses(R).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_api_that_never_answers_is_waited_for_no_longer_than_stated() {
    let api = FakeTracking::start().await;
    api.hang("/artifacts");
    let tracker = Tracker::start(&pod(&api.url()), &Disk);
    let start = Instant::now();
    tracker.artifacts(code());
    tracker.finish().await;
    let waited = start.elapsed();
    assert!(waited >= LONGEST_WAIT && waited < LONGEST_WAIT * 2, "{waited:?}");
}

#[tokio::test]
async fn off_unset_wrong_or_away_it_fails_nobody() {
    let api = FakeTracking::start().await;
    let without = |key: &str| {
        let mut env = pod(&api.url());
        env.remove(key);
        env
    };
    let with = |key: &str, value: &str| {
        let mut env = pod(&api.url());
        env.insert(key.to_owned(), value.to_owned());
        env
    };
    for env in [
        with("POLYAXON_NO_API", "true"),
        with("POLYAXON_NO_OP", "1"),
        with("POLYAXON_IS_OFFLINE", "yes"),
        with("POLYAXON_NO_API", "maybe"),
        with("POLYAXON_RUN_INSTANCE", "nonsense"),
        without("POLYAXON_RUN_INSTANCE"),
    ] {
        let tracker = Tracker::start(&env, &Disk);
        assert_eq!(tracker.run(), None);
        tracker.artifacts(code());
        tracker.finish().await;
    }
    assert_eq!(api.calls(), []);

    let mut away = pod(&format!("http://127.0.0.1:{}", loopback::free_port()));
    away.insert("POLYAXON_RETRIES".to_owned(), "0".to_owned());
    let tracker = Tracker::start(&away, &Disk);
    tracker.artifacts(code());
    tracker.finish().await;
}
