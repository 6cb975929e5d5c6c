//! When passes begin.

use crate::world::{World, after, detail};
use plx_contract::Class;
use plx_sidecar::intervals::Schedule;
use plx_testkit::{Fault, Op, Times};
use serde_json::json;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn r4_only_at_the_end_means_no_pass_before_the_end() {
    let world = World::with(|config| config.schedule = Schedule::new(10, -1));
    world.settled(&["outputs/a"]);
    let sidecar = world.start();
    after(10_000.0).await;
    assert!(world.store.calls().is_empty(), "{:?}", world.store.calls());
    world.main.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!((report.class, report.exit_code()), (Class::Done, 0));
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn r4_a_pass_begins_every_n_seconds_and_not_before() {
    let world = World::new();
    let sidecar = world.start();
    for (at, name) in [(9.0, "a"), (19.0, "b"), (29.0, "c")] {
        world.settled(&[name]);
        // Between the passes, wherever this one is: 9, 19 and 29 seconds after the start.
        after(if at < 10.0 { 9.0 } else { 8.0 }).await;
        assert_eq!(world.stored(name).await, None, "{name} before {at}");
        after(2.0).await;
        assert_eq!(world.stored(name).await.as_deref(), Some(name), "{name} after {at}");
    }
    world.main.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!(detail(&report, "passes"), json!(4), "three while main ran and the last one");
}

#[tokio::test(start_paused = true)]
async fn an_interval_below_the_sleep_interval_is_the_sleep_interval() {
    let world = World::with(|config| config.schedule = Schedule::new(20, 5));
    world.settled(&["a"]);
    let sidecar = world.start();
    after(19.0).await;
    assert_eq!(world.stored("a").await, None);
    after(2.0).await;
    assert_eq!(world.stored("a").await.as_deref(), Some("a"));
    world.main.cancel();
    assert_eq!(detail(&sidecar.await.unwrap(), "passes"), json!(2));
}

#[tokio::test(start_paused = true)]
async fn a_slow_pass_delays_the_next_and_none_pile_up() {
    let world = World::new();
    world.settled(&["slow"]);
    world.store.fail(Op::Put, "slow", Fault::Slow(Duration::from_secs(45)), Times::First(1));
    let sidecar = world.start();
    // The first begins at 10 and ends at 55. The next begins at once, and then every 10 seconds again: 60, 70.
    after(54.0).await;
    world.settled(&["next"]);
    assert_eq!(world.stored("slow").await, None);
    after(2.0).await;
    assert_eq!(world.stored("next").await.as_deref(), Some("next"));
    after(19.0).await; // 75
    world.main.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!(detail(&report, "passes"), json!(5), "10, 55, 60, 70 and the last one");
}
