//! What main uses, seen by a meter that a test reads.

use crate::log::Log;
use crate::world::{World, after};
use futures::FutureExt;
use futures::future::BoxFuture;
use plx_sidecar::resources::{Look, Meter, Sample};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const CPU: &str = "resources/metric/cpu.plx";
const MEMORY: &str = "resources/metric/memory.plx";

/// Shows 1, 2, 3, … percent of CPU and ten times as much memory; the first look has nothing to compare with.
struct Counting(Arc<AtomicU32>);

impl Meter for Counting {
    fn look(&mut self) -> BoxFuture<'_, Look> {
        let looks = self.0.fetch_add(1, Ordering::SeqCst);
        let used = Sample { cpu: f64::from(looks), memory: f64::from(looks) * 10.0 };
        async move { if looks == 0 { Look::Nothing } else { Look::Used(used) } }.boxed()
    }
}

struct Constant(Look);
impl Meter for Constant {
    fn look(&mut self) -> BoxFuture<'_, Look> {
        let look = self.0;
        async move { look }.boxed()
    }
}

/// It never comes back.
struct Hanging;
impl Meter for Hanging {
    fn look(&mut self) -> BoxFuture<'_, Look> {
        futures::future::pending().boxed()
    }
}

fn world(meter: impl Meter) -> World {
    let world = World::new();
    *world.meter.lock().unwrap() = Some(Box::new(meter));
    world
}

fn counting() -> World {
    world(Counting(Arc::default()))
}

/// The values of the rows of a file.
fn values(world: &World, path: &str) -> Vec<String> {
    let text = fs::read_to_string(world.run(path)).unwrap_or_default();
    let rows = text.lines().skip(1);
    rows.map(|row| row.rsplit('|').next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn rows_come_every_ten_seconds_once_it_is_known_that_nobody_else_writes_them() {
    let world = counting();
    let sidecar = world.start();
    after(15.0).await;
    assert!(!world.run("resources").exists(), "a client may still begin");
    after(26.0).await;
    // At 20, 30 and 40 s; the first of them is of all looks before.
    assert_eq!(values(&world, CPU), ["1.5", "3.0", "4.0"]);
    assert_eq!(values(&world, MEMORY), ["20.0", "30.0", "40.0"]);
    after(10.0).await;
    assert!(world.stored(CPU).await.unwrap().starts_with("step|timestamp|metric\n|20"));
    world.main.cancel();
    sidecar.await.unwrap();
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn the_end_has_a_row_of_its_own_and_a_sidecar_that_starts_again_goes_on() {
    let world = counting();
    let sidecar = world.start();
    after(12.0).await;
    world.main.cancel();
    sidecar.await.unwrap();
    assert_eq!(values(&world, CPU), ["1.0"]);
    let first = fs::read_to_string(world.run(CPU)).unwrap();
    *world.meter.lock().unwrap() = Some(Box::new(Counting(Arc::default())));
    let sidecar = world.start_without_signs();
    after(25.0).await;
    let text = fs::read_to_string(world.run(CPU)).unwrap();
    assert!(text.starts_with(&first), "{text}");
    assert_eq!(values(&world, CPU), ["1.0", "1.5"]);
    sidecar.abort();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_begins_to_write_is_left_alone() {
    let log = Log::capture();
    let world = counting();
    let sidecar = world.start();
    after(35.0).await;
    assert_eq!(values(&world, CPU).len(), 2);
    let client = "\n|2024-05-06 07:08:09.123456+00:00|99.0";
    OpenOptions::new().append(true).open(world.run(CPU)).unwrap().write_all(client.as_bytes()).unwrap();
    after(100.0).await;
    assert_eq!(values(&world, CPU), ["1.5", "3.0", "99.0"]);
    assert_eq!(log.count("resources/metric/cpu.plx is written by main itself"), 1, "{}", log.text());
    world.main.cancel();
    sidecar.await.unwrap();
    assert_eq!(values(&world, CPU).len(), 3);
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_writes_from_the_beginning_is_alone() {
    let world = counting();
    world.write(CPU, "step|timestamp|metric");
    let sidecar = world.start();
    after(9.0).await;
    world.write(CPU, "step|timestamp|metric\n|2024-05-06 07:08:09.123456+00:00|99.0");
    after(100.0).await;
    world.main.cancel();
    sidecar.await.unwrap();
    assert_eq!((values(&world, CPU), world.run(MEMORY).exists()), (vec!["99.0".to_owned()], false));
}

#[tokio::test(start_paused = true)]
async fn after_sigterm_a_row_does_not_break_the_quiet_that_ends_it() {
    let world = counting();
    let sidecar = world.start_without_signs();
    after(28.0).await;
    world.settle();
    world.stop.asked.cancel();
    let asked = tokio::time::Instant::now();
    sidecar.await.unwrap();
    // Three quiet passes, and an end that waits until its last rows hold still. By the deadline it would be 26 s.
    assert!(asked.elapsed().as_secs() < 10, "{:?}", asked.elapsed());
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_meter_that_hangs_or_has_nothing_leaves_nothing_and_holds_up_nothing() {
    let meters: [Box<dyn Meter>; 3] =
        [Box::new(Hanging), Box::new(Constant(Look::Nothing)), Box::new(Constant(Look::Unwanted))];
    for meter in meters {
        let world = World::new();
        *world.meter.lock().unwrap() = Some(meter);
        let sidecar = world.start();
        world.settled(&["outputs/a"]);
        after(100.0).await;
        assert!(world.stored("outputs/a").await.is_some());
        let begun = tokio::time::Instant::now();
        world.main.cancel();
        sidecar.await.unwrap();
        assert!(begun.elapsed().as_secs() < 3, "{:?}", begun.elapsed());
        assert!(!world.run("resources").exists());
    }
}
