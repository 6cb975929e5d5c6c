//! The spec of the run's pods, from an API that tells, refuses, fails and hangs.

use crate::log::Log;
use crate::world::{RUN, World, after};
use futures::FutureExt;
use futures::future::BoxFuture;
use plx_kube::{KubeError, Page, Selector};
use plx_sidecar::intervals::Schedule;
use plx_sidecar::spec::{LAST, Source};
use plx_testkit::Op;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const SPEC: &str = "outputs/spec.json";

/// What the API does with a call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Answers,
    Denies(&'static str),
    Fails,
    Hangs,
}

struct Api(Mutex<State>);

struct State {
    mood: Mood,
    pods: BTreeMap<String, Value>,
    events: Vec<Value>,
    /// After each part of the events comes another.
    endless: bool,
    /// Resources that were asked for.
    asked: Vec<String>,
    /// So many lists of pods from now on show main as it was before.
    behind: usize,
}

impl Api {
    fn of(world: &mut World) -> Arc<Self> {
        let pods = BTreeMap::from([("pod-1".to_owned(), pod("pod-1"))]);
        let state =
            State { mood: Mood::Answers, pods, events: vec![], endless: false, asked: vec![], behind: 0 };
        let api = Arc::new(Self(Mutex::new(state)));
        world.source = Some(Arc::<Self>::clone(&api));
        api
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    fn asked(&self, resource: &str) -> usize {
        self.0.lock().unwrap().asked.iter().filter(|asked| *asked == resource).count()
    }

    fn main_ended(&self, behind: usize) {
        self.change(|state| {
            state.behind = behind;
            let main = &mut state.pods.get_mut("pod-1").unwrap()["status"]["containerStatuses"][0];
            main["state"] = json!({"terminated": {"exitCode": 3}});
        });
    }
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "resourceVersion": "1", "annotations": {"operation.polyaxon.com/kind": "job"}},
        "spec": {"restartPolicy": "Never"},
        "status": {"phase": "Running", "containerStatuses": [{"name": "polyaxon-main", "state": {"running": {}}}]},
    })
}

fn refused(status: u16) -> KubeError {
    KubeError::Refused { path: "/pods".to_owned(), status, said: "no".to_owned() }
}

impl Source for Api {
    fn page<'a>(
        &'a self,
        resource: &'a str,
        selector: &'a Selector,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, KubeError>> {
        let mut state = self.0.lock().unwrap();
        state.asked.push(resource.to_owned());
        let mood = state.mood;
        let next = (state.endless && resource == "events").then(|| "on".to_owned());
        let items = match resource {
            "pods" => {
                assert_eq!(selector, &Selector::of_run(RUN));
                let mut pods: Vec<Value> = state.pods.values().cloned().collect();
                if state.behind > 0 {
                    state.behind -= 1;
                    pods = vec![pod("pod-1")];
                }
                pods
            }
            "events" => state.events.clone(),
            _ => vec![json!({"metadata": {"name": "service-1"}})],
        };
        async move {
            match mood {
                Mood::Hangs => std::future::pending().await,
                Mood::Fails => Err(refused(503)),
                Mood::Denies(what) if what == resource => Err(refused(403)),
                Mood::Answers | Mood::Denies(_) => Ok(Page { items, next }),
            }
        }
        .boxed()
    }
}

async fn stored(world: &World) -> Value {
    let text = world.stored(SPEC).await.expect("it is in the store");
    serde_json::from_str(&text).expect("JSON")
}

/// How often it was sent.
fn sent(world: &World) -> usize {
    world.calls(Op::Put).iter().filter(|key| *key == SPEC).count()
}

#[tokio::test(start_paused = true)]
async fn it_is_sent_when_it_says_something_new_and_only_then() {
    let mut world = World::new();
    let api = Api::of(&mut world);
    let sidecar = world.start();
    after(1.0).await;
    // Nothing later can have the times of this version.
    world.settle();
    after(10.0).await;
    assert_eq!(stored(&world).await["pods"]["pod-1"]["events"], json!([]));
    assert_eq!(fs::metadata(world.run(SPEC)).unwrap().permissions().mode() & 0o777, 0o644);
    let before = sent(&world);
    api.change(|state| state.pods.get_mut("pod-1").unwrap()["metadata"]["resourceVersion"] = json!("2"));
    after(300.0).await;
    assert!(api.asked("pods") >= 19 && api.asked("services") == 0, "{}", api.asked("pods"));
    assert_eq!(sent(&world), before, "it says the same");

    api.change(|state| {
        state
            .events
            .push(json!({"reason": "Unhealthy", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 1}));
        let env = json!([{"name": "DB_PASSWORD", "value": "hunter2-plain"}]);
        state.pods.get_mut("pod-1").unwrap()["spec"]["containers"] =
            json!([{"name": "polyaxon-main", "env": env}]);
    });
    after(26.0).await;
    let spec = stored(&world).await;
    assert_eq!(spec["pods"]["pod-1"]["events"][0]["last_timestamp"], "2026-01-01T00:00:00+00:00");
    assert_eq!(spec["pods"]["pod-1"]["spec"]["containers"][0]["env"][0]["value"], "[redacted]");
    api.main_ended(0);
    world.main.cancel();
    sidecar.await.unwrap();
    let main = &stored(&world).await["pods"]["pod-1"]["status"]["containerStatuses"][0];
    assert_eq!(main["state"]["terminated"]["exitCode"], 3);
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_mains_end_also_when_the_api_is_behind_and_asks_only_then_when_nothing_is_sent_before() {
    let mut world = World::with(|config| config.schedule = Schedule::new(10, -1));
    let api = Api::of(&mut world);
    let sidecar = world.start();
    after(1000.0).await;
    assert_eq!(api.asked("pods"), 0);
    api.main_ended(3);
    let begun = Instant::now();
    world.main.cancel();
    sidecar.await.unwrap();
    // The file has to hold still before it is sent.
    assert!(begun.elapsed() < LAST + Duration::from_secs(1), "{:?}", begun.elapsed());
    let main = &stored(&world).await["pods"]["pod-1"]["status"]["containerStatuses"][0];
    assert_eq!((&main["state"]["terminated"]["exitCode"], api.asked("pods")), (&json!(3), 4));
}

#[tokio::test(start_paused = true)]
async fn an_api_that_hangs_or_fails_holds_up_nothing_and_what_was_there_stays() {
    for mood in [Mood::Hangs, Mood::Fails] {
        let log = Log::capture();
        let mut world = World::new();
        let api = Api::of(&mut world);
        let sidecar = world.start();
        after(11.0).await;
        let before = stored(&world).await;
        api.change(|state| state.mood = mood);
        world.settled(&["outputs/a"]);
        after(10.0).await;
        assert!(world.stored("outputs/a").await.is_some());
        after(200.0).await;
        assert_eq!(log.count("the spec stays as it is"), 1, "{mood:?}: {}", log.text());
        let begun = Instant::now();
        world.main.cancel();
        sidecar.await.unwrap();
        assert!(begun.elapsed() < LAST + Duration::from_secs(1), "{mood:?}: {:?}", begun.elapsed());
        assert_eq!((stored(&world).await, world.difference().await), (before, String::new()));
    }
}

#[tokio::test(start_paused = true)]
async fn time_that_is_up_waits_for_no_spec() {
    let mut world = World::with(|config| config.grace = Some(Duration::from_secs(30)));
    let api = Api::of(&mut world);
    api.change(|state| state.mood = Mood::Hangs);
    let sidecar = world.start();
    after(5.0).await;
    let begun = Instant::now();
    world.stop.asked.cancel();
    sidecar.await.unwrap();
    assert!(begun.elapsed() <= Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_listed_is_an_empty_list_and_is_said_once() {
    for (resource, wanted) in [
        ("pods", json!({"pods": {}, "services": {}})),
        ("events", json!({"pods": {"pod-1": {"events": []}}, "services": {}})),
    ] {
        let log = Log::capture();
        let mut world = World::new();
        let api = Api::of(&mut world);
        api.change(|state| {
            state.mood = Mood::Denies(resource);
            state.events.push(json!({"reason": "Pulled"}));
        });
        let sidecar = world.start();
        after(100.0).await;
        let mut spec = stored(&world).await;
        if let Some(pod) = spec.pointer_mut("/pods/pod-1").and_then(Value::as_object_mut) {
            pod.retain(|name, _| name == "events");
        }
        assert_eq!(spec, wanted);
        assert_eq!(log.count(&format!("the spec has no {resource}")), 1, "{}", log.text());
        world.main.cancel();
        sidecar.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_taken_away_or_a_pod_that_is_gone_does_not_cost_what_was_known() {
    let changes: [fn(&mut State); 2] =
        [|state| state.mood = Mood::Denies("pods"), |state| state.pods.clear()];
    for change in changes {
        let mut world = World::new();
        let api = Api::of(&mut world);
        let sidecar = world.start();
        after(11.0).await;
        api.change(change);
        after(60.0).await;
        world.main.cancel();
        sidecar.await.unwrap();
        assert!(stored(&world).await["pods"]["pod-1"].is_object());
    }
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_run_share_the_asking_and_a_kind_with_services_has_them() {
    let mut world = World::new();
    let api = Api::of(&mut world);
    api.change(|state| {
        for number in 2..=10 {
            state.pods.insert(format!("pod-{number}"), pod(&format!("pod-{number}")));
        }
        let kind = &mut state.pods.get_mut("pod-1").unwrap()["metadata"]["annotations"];
        kind["operation.polyaxon.com/kind"] = json!("tfjob");
    });
    let sidecar = world.start();
    after(1500.0).await;
    // Every 15 s for each of ten.
    assert!((10..=11).contains(&api.asked("pods")), "{}", api.asked("pods"));
    assert_eq!(
        stored(&world).await["services"],
        json!({"service-1": {"metadata": {"name": "service-1"}, "events": []}})
    );
    world.main.cancel();
    sidecar.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_that_is_started_again_does_not_write_the_same_again_and_makes_good_what_was_taken_away() {
    let mut world = World::new();
    let _api = Api::of(&mut world);
    let first = world.start();
    after(11.0).await;
    first.abort();
    world.settle();
    let version = || fs::metadata(world.run(SPEC)).unwrap().modified().unwrap();
    let before = version();
    let sidecar = world.start();
    after(100.0).await;
    assert_eq!(version(), before);
    fs::remove_file(world.run(SPEC)).unwrap();
    after(30.0).await;
    assert!(world.run(SPEC).exists());
    world.main.cancel();
    sidecar.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_spec_of_more_than_2_mib_leaves_the_file_as_it_is_and_no_more_than_that_is_asked_for() {
    let event = json!({"reason": "Failed", "message": "x".repeat(300 << 10), "count": 1});
    let many: fn(&mut State, Value) = |state, event| state.events = vec![event; 8];
    let endless: fn(&mut State, Value) = |state, event| (state.events, state.endless) = (vec![event], true);
    let pods: fn(&mut State, Value) = |state, event| {
        for number in 2..10 {
            let mut large = pod(&format!("pod-{number}"));
            large["metadata"]["annotations"]["large"] = event["message"].clone();
            state.pods.insert(format!("pod-{number}"), large);
        }
    };
    for grow in [many, endless, pods] {
        let log = Log::capture();
        let mut world = World::new();
        let api = Api::of(&mut world);
        let sidecar = world.start();
        world.called(Op::Put, SPEC, 1).await;
        after(1.0).await;
        let before = world.stored(SPEC).await;
        assert!(before.is_some());
        let asked = api.asked("events");
        api.change(|state| {
            state.pods.get_mut("pod-1").unwrap()["status"]["phase"] = json!("Unknown");
            grow(state, event.clone());
        });
        after(40.0).await;
        assert_eq!(world.stored(SPEC).await, before);
        assert!(api.asked("events") > asked && api.asked("events") < asked + 40, "{}", api.asked("events"));
        assert_eq!(log.count("the pods of the run have more than 2 MiB"), 1, "{}", log.text());
        // It is small again.
        api.change(|state| {
            (state.events, state.endless) = (vec![], false);
            state.pods.retain(|name, _| name == "pod-1");
        });
        after(60.0).await;
        assert_eq!(stored(&world).await["pods"]["pod-1"]["status"]["phase"], "Unknown");
        world.main.cancel();
        sidecar.await.unwrap();
    }
}
