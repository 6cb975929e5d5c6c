//! What the tracking API is told of events, and what happens when it does not listen.

use crate::log::Log;
use crate::world::{World, after, detail};
use futures::FutureExt;
use futures::future::BoxFuture;
use plx_contract::Class;
use plx_contract::fault::HttpFault;
use plx_contract::lineage::{Artifact, Status};
use plx_sidecar::DEFAULT_GRACE;
use plx_sidecar::summaries::{LAST_DELIVERY, Lineage};
use plx_testkit::{Fault, Op, Times};
use plx_track::TrackError;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const HEAD: &str = "step|timestamp|metric";
const ROW: &str = "2024-05-06 07:08:09+00:00";

/// What an API does with a call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Takes,
    /// It cannot be reached.
    Away,
    /// It never answers.
    Silent,
    /// It says no, for good.
    Denies,
    /// It takes lineage, and cannot be reached for outputs.
    Half,
}

struct Api {
    mood: Mutex<Mood>,
    /// What was taken: names of artifacts, or outputs.
    taken: Mutex<Vec<Value>>,
    asked: Mutex<usize>,
}

impl Api {
    fn of(world: &mut World, mood: Mood) -> Arc<Self> {
        let api = Arc::new(Self { mood: Mutex::new(mood), taken: Mutex::default(), asked: Mutex::default() });
        world.api = Some(Arc::<Self>::clone(&api));
        api
    }

    fn is_now(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// What was taken since this was asked last.
    fn taken(&self) -> Vec<Value> {
        std::mem::take(&mut *self.taken.lock().unwrap())
    }

    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }

    async fn call(&self, body: Value, is_outputs: bool) -> Result<(), TrackError> {
        *self.asked.lock().unwrap() += 1;
        let mood = *self.mood.lock().unwrap();
        let call = "POST http://api/here".to_owned();
        match mood {
            Mood::Half if !is_outputs => {}
            Mood::Takes => {}
            Mood::Away | Mood::Half => {
                return Err(TrackError::Unreachable { call, why: "nobody there".to_owned() });
            }
            Mood::Silent => std::future::pending().await,
            Mood::Denies => {
                let fault = Box::new(HttpFault { status: 403, ..HttpFault::default() });
                return Err(TrackError::Refused { call, fault, with_token: true });
            }
        }
        self.taken.lock().unwrap().push(body);
        Ok(())
    }
}

impl Lineage for Api {
    fn artifacts<'a>(&'a self, artifacts: &'a [Artifact]) -> BoxFuture<'a, Result<(), TrackError>> {
        let names: Vec<&String> = artifacts.iter().map(|artifact| &artifact.name).collect();
        self.call(json!(names), false).boxed()
    }

    fn outputs<'a>(&'a self, outputs: &'a Map<String, Value>) -> BoxFuture<'a, Result<(), TrackError>> {
        self.call(json!(outputs), true).boxed()
    }

    fn status<'a>(&'a self, status: &'a Status) -> BoxFuture<'a, Result<(), TrackError>> {
        self.call(json!({ "status": status.kind, "message": status.message }), false).boxed()
    }
}

/// Writes a metric with these values.
fn metric(world: &World, name: &str, values: &[f64]) {
    let rows = values.iter().enumerate().map(|(step, value)| format!("\n{step}|{ROW}|{value:?}"));
    world.write(&format!("events/metric/{name}.plx"), &format!("{HEAD}{}", rows.collect::<String>()));
}

#[tokio::test(start_paused = true)]
async fn one_call_for_lineage_and_one_for_outputs_of_what_a_pass_saw() {
    let mut world = World::new();
    let api = Api::of(&mut world, Mood::Takes);
    metric(&world, "loss", &[1.0, 0.5]);
    metric(&world, "a.b c", &[2.0]);
    world.write("events/metric/empty.plx", "");
    world.write("events/metric/header.plx", HEAD);
    world.write("events/metric/garbage.plx", "one\ntwo\n");
    world.write(
        "events/text/note.plx",
        &format!("\n{{\"timestamp\": \"{ROW}\", \"step\": 1, \"text\": \"a\"}}\n{{\"ti"),
    );
    world.write("resources/metric/cpu.plx", &format!("{HEAD}\n|{ROW}|10.0"));
    world.settled(&["outputs/a"]);
    let log = Log::capture();
    let sidecar = world.start();
    after(11.0).await;
    assert_eq!(
        api.taken(),
        [json!(["a.b c", "loss", "note", "cpu"]), json!({ "a-b-c": 2.0, "loss": 0.5 })],
        "{}",
        log.text()
    );
    after(30.0).await;
    assert_eq!(api.taken(), [] as [Value; 0], "nothing changed");

    // One that was empty, and one more row.
    metric(&world, "empty", &[7.0]);
    metric(&world, "loss", &[1.0, 0.5, 0.25]);
    after(10.0).await;
    assert_eq!(api.taken(), [json!(["empty", "loss"]), json!({ "empty": 7.0, "loss": 0.25 })]);

    metric(&world, "loss", &[1.0, 0.5, 0.25, 0.125]);
    world.main.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!(api.taken(), [json!(["loss"]), json!({ "loss": 0.125 })], "what main wrote last");
    assert_eq!((report.class, detail(&report, "undelivered")), (Class::Done, Value::Null));
    assert_eq!(log.count("garbage.plx is not summarised"), 1, "{}", log.text());
    assert_eq!(log.count("empty.plx is not"), 0, "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_not_whole_is_told_once_it_is() {
    let mut world = World::new();
    let api = Api::of(&mut world, Mood::Takes);
    world.write("events/metric/m.plx", &format!("{HEAD}\n0|{ROW}|1.5\n1|2024-05-06 07"));
    let sidecar = world.start();
    after(11.0).await;
    assert_eq!(api.taken(), [json!(["m"]), json!({ "m": 1.5 })]);
    metric(&world, "m", &[1.5, 2.5]);
    after(10.0).await;
    assert_eq!(api.taken(), [json!(["m"]), json!({ "m": 2.5 })]);
    world.main.cancel();
    sidecar.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_not_taken_is_told_in_the_next_pass_with_what_is_new() {
    let mut world = World::new();
    let api = Api::of(&mut world, Mood::Away);
    metric(&world, "loss", &[1.0]);
    let log = Log::capture();
    let sidecar = world.start();
    after(25.0).await;
    assert_eq!((api.taken().len(), api.asked()), (0, 2), "once a pass");
    assert_eq!(log.count("wait for the tracking API"), 1, "{}", log.text());
    metric(&world, "acc", &[0.9]);
    api.is_now(Mood::Takes);
    after(10.0).await;
    assert_eq!(api.taken(), [json!(["acc", "loss"]), json!({ "acc": 0.9, "loss": 1.0 })]);
    assert_eq!(log.count("takes summaries again"), 1, "{}", log.text());
    world.main.cancel();
    sidecar.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_api_that_never_answers_keeps_no_file_from_the_store_and_the_end_not_for_long() {
    let mut world = World::new();
    let api = Api::of(&mut world, Mood::Silent);
    metric(&world, "loss", &[1.0]);
    world.settled(&["outputs/a"]);
    let sidecar = world.start();
    after(11.0).await;
    assert_eq!((api.asked(), world.stored("outputs/a").await.is_some()), (1, true));
    world.settled(&["outputs/b"]);
    after(10.0).await;
    assert!(world.stored("outputs/b").await.is_some(), "a pass waits for no API");
    world.settled(&["outputs/c"]);
    world.main.cancel();
    let ended = Instant::now();
    let report = sidecar.await.unwrap();
    let took = ended.elapsed();
    assert!(took >= LAST_DELIVERY && took < LAST_DELIVERY + Duration::from_secs(5), "{took:?}");
    assert_eq!(world.difference().await, "");
    assert_eq!((report.class, report.exit_code()), (Class::Done, 0));
    assert_eq!(detail(&report, "undelivered"), json!(["events/metric/loss.plx"]));
    assert!(report.message.contains("was not told of 1 summaries"), "{}", report.message);
}

#[tokio::test(start_paused = true)]
async fn the_grace_period_bounds_the_last_calls_too() {
    let mut world = World::with(|config| config.grace = Some(Duration::from_secs(8)));
    Api::of(&mut world, Mood::Silent);
    metric(&world, "loss", &[1.0]);
    let sidecar = world.start();
    world.stop.asked.cancel();
    let asked = Instant::now();
    after(1.5).await;
    world.main.cancel();
    let report = sidecar.await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    assert_eq!(world.difference().await, "");
    assert_eq!((report.class, detail(&report, "untold")), (Class::Done, json!(1)), "{}", report.message);
}

#[tokio::test(start_paused = true)]
async fn an_api_that_comes_back_at_the_end_is_told_everything() {
    let mut world = World::new();
    let api = Api::of(&mut world, Mood::Away);
    metric(&world, "loss", &[1.0]);
    let sidecar = world.start();
    after(11.0).await;
    world.main.cancel();
    after(6.0).await;
    assert!(!sidecar.is_finished(), "it still tries");
    api.is_now(Mood::Takes);
    let report = sidecar.await.unwrap();
    assert_eq!(api.taken(), [json!(["loss"]), json!({ "loss": 1.0 })]);
    assert_eq!(detail(&report, "undelivered"), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_waiting_does_not_cure_is_not_waited_for() {
    let mut world = World::new();
    Api::of(&mut world, Mood::Denies);
    metric(&world, "loss", &[1.0]);
    let sidecar = world.start();
    world.main.cancel();
    let ended = Instant::now();
    let report = sidecar.await.unwrap();
    assert!(ended.elapsed() < Duration::from_secs(3), "{:?}", ended.elapsed());
    assert!(report.message.contains("HTTP 403"), "{}", report.message);
    assert_eq!(detail(&report, "untold"), json!(1));
}

#[tokio::test(start_paused = true)]
async fn a_restarted_sidecar_tells_only_what_was_not_taken() {
    let mut world = World::new();
    let api = Api::of(&mut world, Mood::Half);
    metric(&world, "loss", &[1.0]);
    world.main.cancel();
    let report = world.start().await.unwrap();
    assert_eq!(api.taken(), [json!(["loss"])]);
    assert_eq!(detail(&report, "undelivered"), json!(["output loss"]));

    api.is_now(Mood::Takes);
    metric(&world, "new", &[2.0]);
    world.start().await.unwrap();
    assert_eq!(api.taken(), [json!(["new"]), json!({ "loss": 1.0, "new": 2.0 })]);
    let report = world.start().await.unwrap();
    assert_eq!(api.taken(), [] as [Value; 0]);
    assert_eq!(detail(&report, "undelivered"), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn whoever_looks_at_the_run_is_warned_of_what_is_missing() {
    let mut world = World::with(|config| config.finish = Duration::from_secs(60));
    let api = Api::of(&mut world, Mood::Away);
    world.settled(&["outputs/kept", "outputs/lost"]);
    world.store.fail(Op::Put, "lost", Fault::Denied, Times::Always);
    let sidecar = world.start();
    world.main.cancel();
    // It comes back within the time there is.
    world.called(Op::Put, "lost", 3).await;
    after(16.0).await;
    api.is_now(Mood::Takes);
    let report = sidecar.await.unwrap();
    assert_eq!(report.class, Class::Incomplete);
    let taken = api.taken();
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert_eq!(taken[0]["status"], "warning");
    let message = taken[0]["message"].as_str().unwrap();
    for said in ["outputs incomplete", "1 in all", "outputs/lost", "next: "] {
        assert!(message.contains(said), "{said} in {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_that_never_answers_delays_an_incomplete_end_by_seconds_and_a_complete_one_says_nothing() {
    for (lost, mood) in [(true, Mood::Silent), (false, Mood::Takes)] {
        let mut world = World::new();
        let api = Api::of(&mut world, mood);
        world.settled(&["outputs/a"]);
        if lost {
            world.store.fail(Op::Put, "", Fault::Stall, Times::Always);
        }
        let sidecar = world.start_without_signs();
        let asked = Instant::now();
        world.stop.asked.cancel();
        let report = sidecar.await.unwrap();
        assert_eq!(report.class == Class::Incomplete, lost, "{}", report.message);
        assert!(asked.elapsed() < DEFAULT_GRACE, "{:?}", asked.elapsed());
        assert_eq!(api.taken(), [Value::Null; 0], "nothing is missing, or nobody listens");
        assert_eq!(api.asked() > 0, lost);
    }
}
