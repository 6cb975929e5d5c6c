//! The pod's status as a sign of main's end, told by a test in place of a cluster.

use crate::log::Log;
use crate::world::{World, after};
use plx_contract::Class;
pub use plx_kube::News;
use plx_kube::Pod;
use plx_runtime::Report;
use plx_sidecar::DEFAULT_GRACE;
use plx_sidecar::intervals::Schedule;
use plx_sidecar::main_container::{MainContainer, Signs};
use plx_sidecar::pod_status::{PodStatus, SILENCE};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A status that a test tells.
fn told() -> (UnboundedSender<News>, PodStatus, watch::Receiver<Duration>) {
    let (sender, mut news) = unbounded_channel();
    let (said, grace) = watch::channel(DEFAULT_GRACE);
    let status = PodStatus::told_by("polyaxon-main", said, |mut listener| async move {
        while let Some(news) = news.recv().await {
            if listener.hear(news).is_break() {
                return;
            }
        }
        // A feed goes on, whatever happens.
        std::future::pending().await
    });
    (sender, status, grace)
}

fn pod(restart_policy: &str, phase: &str, state: Value) -> News {
    let value = json!({
        "metadata": {"uid": "u"},
        "spec": {"restartPolicy": restart_policy},
        "status": {"phase": phase, "containerStatuses": [{"name": "polyaxon-main", "state": state}]},
    });
    News::Pod(Box::new(serde_json::from_value::<Pod>(value).unwrap()))
}

/// A pod, as the API gives it.
pub fn told_pod(json: &str) -> News {
    News::Pod(Box::new(serde_json::from_str(json).unwrap()))
}

fn running() -> News {
    pod("Never", "Running", json!({"running": {}}))
}

fn terminated(restart_policy: &str, exit_code: i64, reason: &str) -> News {
    pod(restart_policy, "Running", json!({"terminated": {"exitCode": exit_code, "reason": reason}}))
}

fn silence(refused: bool) -> News {
    News::Silence { since: Instant::now(), refused }
}

/// A sidecar that knows of main what it is told.
pub fn start(world: &World) -> (UnboundedSender<News>, JoinHandle<Report>) {
    let (news, status, grace) = told();
    (news, world.start_given(Signs::default().and(status), grace))
}

/// Waits for an end, which must come by then.
async fn ends_within(sidecar: JoinHandle<Report>, seconds: u64) -> Report {
    let ended = tokio::time::timeout(Duration::from_secs(seconds), sidecar).await;
    let report = ended.expect("it ends within its bound").unwrap();
    assert_eq!((report.class, report.exit_code()), (Class::Done, 0), "{}", report.message);
    report
}

#[tokio::test(start_paused = true)]
async fn whichever_way_main_ends_all_it_left_is_stored() {
    let evicted = json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "no memory"}});
    let evicted = News::Pod(Box::new(serde_json::from_value(evicted).unwrap()));
    for (news, words) in [
        (
            terminated("Never", 0, "Completed"),
            "main ended with 0 (pod status: polyaxon-main terminated, exit code 0)",
        ),
        (
            terminated("Never", 1, "Error"),
            "main ended with 1 (pod status: polyaxon-main terminated, exit code 1)",
        ),
        (
            terminated("Never", 137, "OOMKilled"),
            "main ended with 137 (pod status: polyaxon-main terminated, exit code 137 (OOMKilled))",
        ),
        (evicted, "main is gone (pod status: pod Failed (Evicted: no memory))"),
        (News::Gone { how: "pod p is gone".to_owned() }, "main is gone (pod status: pod p is gone)"),
    ] {
        let log = Log::capture();
        let world = World::with(|config| config.schedule = Schedule::new(10, -1));
        world.settled(&["outputs/early"]);
        let (told, sidecar) = start(&world);
        told.send(running()).unwrap();
        after(1000.0).await;
        assert!(!sidecar.is_finished(), "{words}");
        world.settled(&["outputs/last"]);
        told.send(news).unwrap();
        ends_within(sidecar, 1).await;
        assert_eq!(world.difference().await, "", "{words}");
        assert_eq!(log.count(words), 1, "{words} in {}", log.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_main_that_is_started_again_is_still_served() {
    let world = World::new();
    let (told, sidecar) = start(&world);
    told.send(terminated("OnFailure", 1, "Error")).unwrap();
    after(60.0).await;
    told.send(pod("OnFailure", "Running", json!({"waiting": {"reason": "CrashLoopBackOff"}}))).unwrap();
    after(60.0).await;
    told.send(pod("OnFailure", "Running", json!({"running": {}}))).unwrap();
    world.settled(&["outputs/second-attempt"]);
    after(11.0).await;
    assert!(world.stored("outputs/second-attempt").await.is_some());
    assert!(!sidecar.is_finished());
    told.send(terminated("OnFailure", 0, "Completed")).unwrap();
    ends_within(sidecar, 1).await;
}

#[tokio::test(start_paused = true)]
async fn after_sigterm_quiet_is_no_sign_while_the_api_says_that_main_runs() {
    let world = World::with(|config| config.grace = Some(Duration::from_secs(600)));
    world.settled(&["a"]);
    let (told, sidecar) = start(&world);
    told.send(running()).unwrap();
    world.stop.asked.cancel();
    after(300.0).await;
    assert!(!sidecar.is_finished(), "main writes its last checkpoint");
    // A call that fails does not make three minutes of quiet the end.
    told.send(silence(true)).unwrap();
    after(1.5).await;
    told.send(running()).unwrap();
    after(30.0).await;
    assert!(!sidecar.is_finished());
    world.settled(&["checkpoint"]);
    told.send(terminated("Never", 0, "Completed")).unwrap();
    ends_within(sidecar, 1).await;
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn an_api_that_refuses_never_ends_it_and_after_sigterm_quiet_counts_at_once() {
    let log = Log::capture();
    let world = World::new();
    world.settled(&["a"]);
    let (told, sidecar) = start(&world);
    told.send(running()).unwrap();
    told.send(silence(true)).unwrap();
    after(10_000.0).await;
    assert!(!sidecar.is_finished());
    world.stop.asked.cancel();
    ends_within(sidecar, 6).await;
    assert_eq!(log.count("quiet since SIGTERM"), 1, "{}", log.text());
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_silent_is_waited_for_as_long_as_its_bound_and_no_longer() {
    for seen_before in [true, false] {
        let world = World::with(|config| config.grace = Some(Duration::from_secs(600)));
        world.settled(&["a"]);
        let (told, sidecar) = start(&world);
        if seen_before {
            told.send(running()).unwrap();
            after(100.0).await;
            told.send(silence(false)).unwrap();
        }
        let silent = Instant::now();
        world.stop.asked.cancel();
        after(SILENCE.as_secs_f64() - 0.1).await;
        assert!(!sidecar.is_finished(), "it may still answer");
        ends_within(sidecar, 6).await;
        assert!(silent.elapsed() < SILENCE + Duration::from_secs(6), "{:?}", silent.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn when_it_answers_again_it_can_tell_again() {
    let world = World::with(|config| config.grace = Some(Duration::from_secs(600)));
    let (told, sidecar) = start(&world);
    told.send(silence(true)).unwrap();
    after(100.0).await;
    told.send(running()).unwrap();
    world.stop.asked.cancel();
    after(100.0).await;
    assert!(!sidecar.is_finished());
    told.send(terminated("Never", 0, "Completed")).unwrap();
    ends_within(sidecar, 1).await;
}

#[tokio::test(start_paused = true)]
async fn beside_an_api_that_refuses_another_sign_still_tells() {
    let world = World::with(|config| config.grace = Some(Duration::from_secs(600)));
    let (told, status, _) = told();
    let sidecar = world.start_with(Signs::default().and(status).and(crate::world::Told(world.main.clone())));
    told.send(silence(true)).unwrap();
    world.stop.asked.cancel();
    after(300.0).await;
    assert!(!sidecar.is_finished());
    world.main.cancel();
    ends_within(sidecar, 1).await;
}

#[tokio::test(start_paused = true)]
async fn the_answer_stays_the_same_and_the_task_ends_with_its_sign() {
    let (told, mut status, _) = told();
    told.send(running()).unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(60), status.gone()).await.is_err());
    told.send(terminated("Never", 2, "Error")).unwrap();
    let first = status.gone().await;
    assert_eq!((first.exit_code, status.gone().await), (Some(2), first.clone()));
    assert!(status.can_tell());
    told.closed().await;

    let (told, status, _) = self::told();
    drop(status);
    told.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_lost_tells_nothing_and_ends_nothing() {
    let mut status =
        PodStatus::told_by("polyaxon-main", watch::channel(DEFAULT_GRACE).0, |mut listener| async move {
            let _goes_on = listener.hear(running());
        });
    assert!(tokio::time::timeout(Duration::from_secs(60), status.gone()).await.is_err());
    assert!(!status.can_tell());
}

/// Deleted with so much time, while main goes on.
fn deleted(seconds: u64) -> News {
    let value = json!({
        "metadata": {"uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": seconds},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 120},
        "status": {"phase": "Running", "containerStatuses": [{"name": "polyaxon-main", "state": {"running": {}}}]},
    });
    News::Pod(Box::new(serde_json::from_value::<Pod>(value).unwrap()))
}

/// How long it goes on after SIGTERM, when its pod says that.
async fn lasts(configured: Option<u64>, news: impl IntoIterator<Item = News>) -> u64 {
    let world = World::with(|config| config.grace = configured.map(Duration::from_secs));
    world.settled(&["outputs/a"]);
    let (told, sidecar) = start(&world);
    told.send(running()).unwrap();
    after(60.0).await;
    world.stop.asked.cancel();
    let asked = Instant::now();
    for news in news {
        told.send(news).unwrap();
    }
    sidecar.await.unwrap();
    assert_eq!(world.difference().await, "");
    asked.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn the_pod_says_how_long_there_is_and_what_is_configured_wins() {
    let pod = || {
        let value = json!({"spec": {"terminationGracePeriodSeconds": 120}, "status": {"phase": "Running"}});
        News::Pod(Box::new(serde_json::from_value::<Pod>(value).unwrap()))
    };
    assert_eq!(lasts(None, []).await, 26, "Kubernetes' default less what the report takes");
    assert_eq!(lasts(None, [pod()]).await, 116);
    assert_eq!(lasts(None, [deleted(10)]).await, 8);
    assert_eq!(lasts(None, [deleted(600), deleted(5)]).await, 4, "deleted again, with less time");
    assert_eq!(lasts(Some(40), [deleted(10)]).await, 36);
    assert_eq!(lasts(None, [deleted(u64::MAX), deleted(2)]).await, 1);
}
