//! Every way a pod's life ends, whatever the API says and whether main leaves a marker: the sidecar ends as well, within a
//! bound that has a name, and after a last pass.
//!
//! | bound | what it is |
//! |---|---|
//! | [`AT_ONCE`] | a sign came: the pod's status, or the marker |
//! | [`DEFAULT_GRACE`] | SIGTERM came, and no sign; or none but quiet |
//! | [`LIFELESS`] | nothing came at all (`--lifeless-timeout`) |

use crate::log::Log;
use crate::world::World;
use plx_contract::Class;
use plx_kube::{News, Pod};
use plx_sidecar::DEFAULT_GRACE;
use plx_sidecar::intervals::Schedule;
use plx_sidecar::main_container::{Marker, Signs};
use plx_sidecar::pod_status::PodStatus;
use plx_testkit::{Fault, Op, Times};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

const AT_ONCE: Duration = Duration::from_secs(2);
/// Shorter than it is in a pod, which is only a number.
const LIFELESS: Duration = Duration::from_secs(1200);
/// One look whether main lives comes after the bound.
const LOOK: Duration = Duration::from_secs(301);

/// How main's life ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Life {
    Exit(i64),
    /// Killed by the kernel, and its wrapper with it.
    OutOfMemory,
    /// Killed by somebody, and its wrapper with it.
    Killed,
    Evicted,
    Deleted,
    /// It never begins.
    NoImage,
}

/// What the API says of it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Api {
    Works,
    /// 403.
    Denies,
    /// 404, of a pod that was never seen.
    DoesNotKnow,
    /// 500.
    Fails,
    BlackHole,
}

impl Life {
    /// Main's state in the pod's status, once it came to that.
    fn state(self) -> Value {
        let terminated = |code, reason| json!({"terminated": {"exitCode": code, "reason": reason}});
        match self {
            Self::Exit(0) => terminated(0, "Completed"),
            Self::Exit(code) => terminated(code, "Error"),
            Self::OutOfMemory => terminated(137, "OOMKilled"),
            Self::Killed | Self::Evicted | Self::Deleted => terminated(137, "Error"),
            Self::NoImage => json!({"waiting": {"reason": "ImagePullBackOff"}}),
        }
    }

    /// Kubernetes stops the pod's other containers as well.
    fn takes_the_pod(self) -> bool {
        matches!(self, Self::Evicted | Self::Deleted)
    }

    /// A wrapper that lives on writes what it saw.
    fn leaves_a_marker(self) -> bool {
        matches!(self, Self::Exit(_) | Self::Evicted | Self::Deleted)
    }
}

fn pod(state: &Value, life: Option<Life>) -> News {
    let deleted = (life == Some(Life::Deleted)).then_some("2026-01-01T00:00:00Z");
    let evicted = life == Some(Life::Evicted);
    let value = json!({
        "metadata": {"uid": "u", "deletionTimestamp": deleted},
        "spec": {"restartPolicy": "Never"},
        "status": {
            "phase": if evicted { "Failed" } else { "Running" },
            "reason": if evicted { "Evicted" } else { "" },
            "containerStatuses": [{"name": "polyaxon-main", "state": state}],
        },
    });
    News::Pod(Box::new(serde_json::from_value::<Pod>(value).unwrap()))
}

impl Api {
    /// What one hears of a pod through it.
    fn says(self, state: &Value, life: Option<Life>) -> News {
        match self {
            Self::Works => pod(state, life),
            Self::Denies | Self::DoesNotKnow => News::Silence { since: Instant::now(), refused: true },
            Self::Fails | Self::BlackHole => News::Silence { since: Instant::now(), refused: false },
        }
    }
}

/// How long the sidecar may live after that.
fn bound(life: Life, api: Api, marker: bool) -> Duration {
    match () {
        () if api == Api::Works && life != Life::NoImage => AT_ONCE,
        () if marker && life.leaves_a_marker() => AT_ONCE,
        () if life.takes_the_pod() => DEFAULT_GRACE,
        () => LIFELESS + LOOK,
    }
}

async fn cell(life: Life, api: Api, marker: bool) -> Duration {
    let world = World::with(|config| {
        config.schedule = Schedule::new(10, -1);
        config.lifeless = Some(LIFELESS);
    });
    let (told, mut news) = unbounded_channel();
    let (said, grace) = watch::channel(DEFAULT_GRACE);
    let status = PodStatus::told_by("polyaxon-main", said, |mut listener| async move {
        while let Some(news) = news.recv().await {
            if listener.hear(news).is_break() {
                return;
            }
        }
        std::future::pending().await
    });
    let mut signs = Signs::default().and(status);
    let left = world.art("main-exit.json");
    if marker {
        signs = signs.and(Marker::watch(left.clone()));
    }
    let running = json!({"running": {}});
    let begin = if life == Life::NoImage { life.state() } else { running };
    told.send(api.says(&begin, None)).unwrap();
    let mut sidecar = world.start_given(signs, grace);
    if life != Life::NoImage {
        world.settled(&["outputs/early", "plxlogs/pod-1.jsonl"]);
        // Nobody is impatient with a main that was seen a moment ago, or that just wrote something.
        let early = timeout(LIFELESS / 2, &mut sidecar).await;
        assert!(early.is_err(), "{life:?} {api:?} {marker}: {early:?}");
        world.settled(&["outputs/last"]);
    }
    let ended = Instant::now();
    told.send(api.says(&life.state(), Some(life))).unwrap();
    if marker && life.leaves_a_marker() {
        fs::write(left, r#"{"exit_code":0}"#).unwrap();
    }
    if life.takes_the_pod() {
        world.stop.asked.cancel();
    }
    let bound = bound(life, api, marker);
    let report = timeout(bound, sidecar).await;
    let report =
        report.unwrap_or_else(|_| panic!("{life:?} {api:?} {marker}: not within {bound:?}")).unwrap();
    assert_eq!((report.class, report.exit_code()), (Class::Done, 0), "{}", report.message);
    assert_eq!(world.difference().await, "", "{life:?} {api:?} {marker}: the last pass");
    ended.elapsed()
}

/// One row of the table; `--no-capture` prints it.
async fn row(life: Life) {
    for api in [Api::Works, Api::Denies, Api::DoesNotKnow, Api::Fails, Api::BlackHole] {
        for marker in [true, false] {
            let took = cell(life, api, marker).await;
            let marker = if marker { "marker" } else { "no marker" };
            println!("{life:?}, API {api:?}, {marker}: {:.1} s", took.as_secs_f64());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r12_main_exits_with_0() {
    row(Life::Exit(0)).await;
}

#[tokio::test(start_paused = true)]
async fn main_exits_with_1() {
    row(Life::Exit(1)).await;
}

#[tokio::test(start_paused = true)]
async fn main_is_out_of_memory() {
    row(Life::OutOfMemory).await;
}

#[tokio::test(start_paused = true)]
async fn main_is_killed() {
    row(Life::Killed).await;
}

#[tokio::test(start_paused = true)]
async fn the_pod_is_evicted() {
    row(Life::Evicted).await;
}

#[tokio::test(start_paused = true)]
async fn the_pod_is_deleted() {
    row(Life::Deleted).await;
}

#[tokio::test(start_paused = true)]
async fn mains_image_cannot_be_had() {
    row(Life::NoImage).await;
}

#[tokio::test(start_paused = true)]
async fn as_long_as_the_status_says_that_main_runs_or_files_change_it_is_waited_for() {
    let world = World::with(|config| {
        config.schedule = Schedule::new(10, -1);
        config.lifeless = Some(LIFELESS);
    });
    let (told, mut news) = unbounded_channel();
    let (said, grace) = watch::channel(DEFAULT_GRACE);
    let status = PodStatus::told_by("polyaxon-main", said, |mut listener| async move {
        while let Some(news) = news.recv().await {
            if listener.hear(news).is_break() {
                return;
            }
        }
        std::future::pending().await
    });
    let mut sidecar = world.start_given(Signs::default().and(status), grace);
    told.send(pod(&json!({"running": {}}), None)).unwrap();
    let early = timeout(LIFELESS * 20, &mut sidecar).await;
    assert!(early.is_err(), "it runs: {early:?}");
    told.send(News::Silence { since: Instant::now(), refused: true }).unwrap();
    for round in 0..10 {
        let early = timeout(LIFELESS * 3 / 4, &mut sidecar).await;
        assert!(early.is_err(), "it wrote something in round {round}: {early:?}");
        world.settled(&[&format!("outputs/{round}")]);
    }
    let report = timeout(LIFELESS + 2 * LOOK, sidecar).await.expect("in the end it is not").unwrap();
    assert_eq!(world.difference().await, "");
    let said = report.details.iter().find(|(key, _)| *key == "main").map(|(_, said)| said.to_string());
    assert!(said.as_ref().is_some_and(|said| said.contains("--lifeless-timeout")), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_sidecar_collects_itself_and_passes_without_a_pause_are_no_sign_of_mains_life() {
    let world = World::with(|config| {
        config.schedule = Schedule::new(1, 1);
        config.lifeless = Some(LIFELESS);
    });
    world.settled(&["outputs/a"]);
    // A pass takes longer than the interval, and the next begins at once.
    world.store.set_latency(Duration::from_secs(2));
    world.store.fail(Op::Put, "/a", Fault::status(500, "InternalError"), Times::Always);
    let sidecar = world.start_given(Signs::default(), watch::channel(DEFAULT_GRACE).1);
    let log = Log::capture();
    let own = async {
        for round in 0.. {
            for path in ["outputs/spec.json", "resources/metric/cpu.plx"] {
                world.write(path, &format!("{round}"));
            }
            tokio::time::sleep(Duration::from_secs(15)).await;
        }
    };
    let last_pass = async {
        while log.count("--lifeless-timeout") == 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        ended = timeout(LIFELESS + 2 * LOOK, last_pass) => ended.expect("within the bound"),
        () = own => unreachable!("it goes on for ever"),
    }
    world.store.clear_faults();
    let report = sidecar.await.unwrap();
    assert_eq!((report.class, world.difference().await), (Class::Done, String::new()), "{}", report.message);
}
