//! Several pods of one run, which store under the same keys.

use crate::log::Log;
use crate::world::{RUN, World, after};
use futures::FutureExt;
use futures::future::BoxFuture;
use plx_contract::Class;
use plx_journal::{FsFile, Root};
use plx_kube::{KubeError, Page, Selector};
use plx_runtime::Report;
use plx_sidecar::spec::Source;
use plx_testkit::{Fault, Op, Times};
use serde_json::{Value, json};
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// The pods of the run, as a cluster has them.
#[derive(Clone, Default)]
struct Cluster(Arc<Mutex<Vec<Value>>>);

impl Cluster {
    fn of(pods: &[(&str, i64, Option<i64>)]) -> Self {
        let pods = pods.iter().map(|(name, began, ended)| {
            let state = ended.map(|ended| json!({"state": {"terminated": {"finishedAt": stamp(ended)}}}));
            json!({
                "metadata": {"name": name, "creationTimestamp": stamp(*began)},
                "status": {
                    "phase": if ended.is_some() { "Failed" } else { "Running" },
                    "containerStatuses": state.into_iter().collect::<Vec<_>>(),
                },
            })
        });
        Self(Arc::new(Mutex::new(pods.collect())))
    }
}

/// So many seconds from now.
fn stamp(seconds: i64) -> String {
    let now = chrono::DateTime::<chrono::Utc>::from(SystemTime::now());
    (now + chrono::TimeDelta::seconds(seconds)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

impl Source for Cluster {
    fn page<'a>(
        &'a self,
        _: &'a str,
        _: &'a Selector,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, KubeError>> {
        let items = self.0.lock().unwrap().clone();
        async move { Ok(Page { items, next: None }) }.boxed()
    }
}

/// Two pods of one run, each with its own disk, and one store.
fn two(cluster: Option<Cluster>) -> (World, World) {
    let mut first = World::with(|config| config.pod = "pod-a".to_owned());
    let mut second = World::with(|config| config.pod = "pod-b".to_owned());
    second.store = first.store.clone();
    for world in [&mut first, &mut second] {
        world.cluster = cluster.clone().map(|cluster| Arc::new(cluster) as Arc<dyn Source>);
        world.sees_others = true;
    }
    (first, second)
}

fn both() -> Option<Cluster> {
    Some(Cluster::of(&[("pod-a", -60, None), ("pod-b", -58, None)]))
}

async fn end(world: &World, sidecar: tokio::task::JoinHandle<Report>) -> Report {
    world.main.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!(report.class, Class::Done, "{}", report.message);
    report
}

const SIDE: &str = "replicas/pod-b/outputs/model.pt";

#[tokio::test(start_paused = true)]
async fn pods_that_live_together_keep_what_each_stored() {
    let (log, (a, b)) = (Log::capture(), two(both()));
    a.settled(&["outputs/of-a"]);
    a.write("outputs/model.pt", "a's");
    a.write("outputs/same.json", "{}");
    a.settle();
    let running_a = a.start();
    after(11.0).await;
    b.settled(&["outputs/of-b"]);
    b.write("outputs/model.pt", "b's");
    b.write("outputs/same.json", "{}");
    b.settle();
    let running_b = b.start();
    after(11.0).await;
    // Both go on.
    a.write("outputs/model.pt", "a's second");
    b.write("outputs/model.pt", "b's second");
    fs::remove_file(b.run("outputs/same.json")).unwrap();
    a.settle();
    after(700.0).await;
    let report = end(&b, running_b).await;
    assert!(report.message.contains(&format!("1 of them below {RUN}/replicas/pod-b")), "{}", report.message);
    let report = end(&a, running_a).await;
    assert!(!report.message.contains("replicas"), "{}", report.message);
    let stored = |path: &'static str| a.stored(path);
    assert_eq!(stored("outputs/model.pt").await.as_deref(), Some("a's second"), "{}", log.text());
    assert_eq!(stored(SIDE).await.as_deref(), Some("b's second"), "{}", log.text());
    assert!(stored("outputs/of-a").await.is_some() && stored("outputs/of-b").await.is_some());
    assert_eq!(
        stored("outputs/same.json").await.as_deref(),
        Some("{}"),
        "the other one's still: {}",
        log.text()
    );
    assert_eq!(log.count("was stored by"), 1, "said once: {}", log.text());
}

#[tokio::test(start_paused = true)]
async fn without_a_cluster_they_see_each_other_in_the_store_and_leave_no_mark_there() {
    let (a, b) = two(None);
    a.settled(&["outputs/model.pt"]);
    let running_a = a.start();
    after(11.0).await;
    b.write("outputs/model.pt", "b's");
    b.settle();
    let running_b = b.start();
    after(11.0).await;
    assert_eq!(a.stored("outputs/model.pt").await.as_deref(), Some("outputs/model.pt"));
    assert_eq!(a.store.keys().await.iter().filter(|key| key.starts_with("base/.plx/")).count(), 2);
    end(&b, running_b).await;
    end(&a, running_a).await;
    assert_eq!(a.stored("outputs/model.pt").await.as_deref(), Some("outputs/model.pt"));
    assert_eq!(a.stored(SIDE).await.as_deref(), Some("b's"));
    let keys = a.store.keys().await;
    assert!(keys.iter().all(|key| !key.contains(".plx")), "{keys:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_comes_after_another_takes_over_what_that_one_left() {
    let cluster = Cluster::of(&[("pod-a", -90, Some(-60)), ("pod-b", 0, None)]);
    for cluster in [Some(cluster), None] {
        let (a, b) = two(cluster);
        a.settled(&["outputs/model.pt", "outputs/same"]);
        let running = a.start();
        after(11.0).await;
        end(&a, running).await;
        b.write("outputs/model.pt", "of the second try");
        b.settled(&["outputs/same"]);
        let running = b.start();
        after(11.0).await;
        end(&b, running).await;
        assert_eq!(b.stored("outputs/model.pt").await.as_deref(), Some("of the second try"));
        assert_eq!(b.stored(SIDE).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_pod_stored_since_is_not_deleted_with_a_file_of_that_name() {
    let (log, (a, b)) = (Log::capture(), two(both()));
    b.settled(&["outputs/last.pt", "outputs/of-b"]);
    let running = b.start();
    after(11.0).await;
    // The other pod has no such rule, or the store took its write all the same.
    a.store.insert(&format!("base/{RUN}/outputs/last.pt"), "a's").await;
    fs::remove_file(b.run("outputs/last.pt")).unwrap();
    fs::remove_file(b.run("outputs/of-b")).unwrap();
    after(61.0).await;
    end(&b, running).await;
    assert_eq!(b.stored("outputs/last.pt").await.as_deref(), Some("a's"), "{}", log.text());
    assert_eq!(b.stored("outputs/of-b").await, None);
    assert_eq!(log.count("another pod of the run stored it"), 1, "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn what_init_fetched_of_another_pod_is_not_sent_back_over_what_that_one_has_stored_since() {
    let (log, (a, b)) = (Log::capture(), two(both()));
    a.settled(&["outputs/log.txt", "outputs/gone"]);
    let running_a = a.start();
    after(11.0).await;
    // As the resume step leaves it: files, and `.fs`.
    b.settled(&["outputs/log.txt", "outputs/gone"]);
    FsFile::record(&Root::of(&b.run(""))).save(&b.config.layout.fs_file()).unwrap();
    b.settled(&["outputs/of-b"]);
    let running_b = b.start();
    after(11.0).await;
    a.write("outputs/log.txt", "longer than it was before");
    fs::remove_file(a.run("outputs/gone")).unwrap();
    a.settle();
    after(11.0).await;
    end(&b, running_b).await;
    assert_eq!(a.stored("outputs/log.txt").await.as_deref(), Some("longer than it was before"));
    let keys = a.store.keys().await;
    let wanted = ["outputs/log.txt", "outputs/of-b"].map(|key| format!("base/{RUN}/{key}"));
    assert_eq!(keys, wanted, "{}", log.text());
    end(&a, running_a).await;
    assert_eq!(a.store.keys().await, wanted);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_costs_no_file_its_name() {
    let (a, _b) = two(both());
    a.settled(&["outputs/model.pt"]);
    a.store.fail(Op::Put, "model.pt", Fault::Lost, Times::Nth(1));
    let running = a.start();
    after(11.0).await;
    end(&a, running).await;
    assert!(a.stored("outputs/model.pt").await.is_some());
    assert_eq!(a.stored("replicas/pod-a/outputs/model.pt").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_knows_no_conditions_is_looked_at_first() {
    for refusal in [Fault::status(501, "NotImplemented"), Fault::status(400, "InvalidArgument")] {
        let (a, b) = two(both());
        a.store.refuse_conditions(refusal);
        a.settled(&["outputs/model.pt"]);
        let running_a = a.start();
        after(11.0).await;
        b.write("outputs/model.pt", "b's");
        b.settle();
        let running_b = b.start();
        after(11.0).await;
        a.write("outputs/model.pt", "a's second");
        a.settle();
        after(11.0).await;
        end(&b, running_b).await;
        end(&a, running_a).await;
        assert_eq!(a.stored("outputs/model.pt").await.as_deref(), Some("a's second"));
        assert_eq!(a.stored(SIDE).await.as_deref(), Some("b's"));
    }
}

#[tokio::test(start_paused = true)]
async fn where_it_cannot_be_found_out_who_lives_a_file_waits_and_lies_aside_at_the_end() {
    let (log, (a, b)) = (Log::capture(), two(None));
    a.settled(&["outputs/model.pt"]);
    let running_a = a.start();
    after(11.0).await;
    // It is killed, and its mark stays.
    running_a.abort();
    b.write("outputs/model.pt", "b's");
    b.settle();
    let running_b = b.start();
    after(11.0).await;
    assert_eq!(log.count("may still live"), 1, "{}", log.text());
    assert_eq!(b.stored("outputs/model.pt").await.as_deref(), Some("outputs/model.pt"));
    end(&b, running_b).await;
    assert_eq!(b.stored("outputs/model.pt").await.as_deref(), Some("outputs/model.pt"));
    assert_eq!(b.stored(SIDE).await.as_deref(), Some("b's"));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_names_objects_otherwise_later_is_not_taken_for_somebody_else() {
    let (log, (a, b)) = (Log::capture(), two(both()));
    a.store.rename_what_is_put();
    a.settled(&["outputs/model.pt", "outputs/other"]);
    let running = a.start();
    after(11.0).await;
    for content in ["the second", "the third"] {
        a.store.forget_calls();
        a.write("outputs/model.pt", content);
        a.settle();
        after(11.0).await;
    }
    assert_eq!(a.calls(Op::Put), ["outputs/model.pt"], "it is found out once");
    end(&a, running).await;
    assert_eq!(a.stored("outputs/model.pt").await.as_deref(), Some("the third"));
    assert_eq!(log.count("WARN"), 0, "{}", log.text());
    // What was there first is protected all the same.
    b.write("outputs/model.pt", "b's");
    b.settle();
    let running = b.start();
    after(11.0).await;
    end(&b, running).await;
    assert_eq!(b.stored(SIDE).await.as_deref(), Some("b's"));
}

/// A cluster that answers so often, and never again.
struct Silent(Cluster, AtomicU32);

impl Source for Silent {
    fn page<'a>(
        &'a self,
        resource: &'a str,
        selector: &'a Selector,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, KubeError>> {
        match self.1.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => self.0.page(resource, selector, after),
            Err(_) => std::future::pending().boxed(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_falls_silent_does_not_mean_that_nobody_else_lives() {
    let (log, (a, mut b)) = (Log::capture(), two(both()));
    a.settled(&["outputs/model.pt"]);
    let running_a = a.start();
    after(11.0).await;
    b.cluster = Some(Arc::new(Silent(both().unwrap(), AtomicU32::new(1))));
    b.write("outputs/model.pt", "b's");
    b.settle();
    let running_b = b.start();
    after(30.0).await;
    assert_eq!(log.count("does not say which pods the run has"), 1, "{}", log.text());
    end(&b, running_b).await;
    end(&a, running_a).await;
    assert_eq!(a.stored("outputs/model.pt").await.as_deref(), Some("outputs/model.pt"));
    assert_eq!(a.stored(SIDE).await.as_deref(), Some("b's"));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_does_not_answer_costs_an_end_in_a_hurry_a_second() {
    let mut world = World::with(|config| config.grace = Some(std::time::Duration::from_secs(10)));
    world.cluster = Some(Arc::new(Silent(Cluster::default(), AtomicU32::new(0))));
    world.sees_others = true;
    for name in ["outputs/a", "outputs/b"] {
        world.write(name, "mine");
        world.store.insert(&format!("base/{RUN}/{name}"), "of another").await;
    }
    world.settle();
    let begun = tokio::time::Instant::now();
    let sidecar = world.start();
    world.stop.asked.cancel();
    world.main.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!(report.class, Class::Done, "{}", report.message);
    assert!(begun.elapsed() < std::time::Duration::from_secs(9), "{:?}", begun.elapsed());
    assert_eq!(world.stored("outputs/a").await.as_deref(), Some("of another"), "nobody knows whose it is");
    assert_eq!(world.stored("replicas/pod-1/outputs/a").await.as_deref(), Some("mine"));
}

#[tokio::test(start_paused = true)]
async fn when_time_is_short_a_small_file_of_a_name_that_is_taken_lies_aside_before_a_checkpoint_is_through() {
    let (a, b) = two(both());
    a.settled(&["outputs/metrics.json"]);
    let running_a = a.start();
    after(11.0).await;
    a.store.fail(Op::Put, "newest.pt", Fault::Stall, Times::Always);
    b.write("outputs/metrics.json", "b's");
    b.write("outputs/newest.pt", &"x".repeat(3 << 20));
    b.settle();
    let running_b = b.start();
    b.stop.asked.cancel();
    after(29.0).await;
    b.main.cancel();
    let report = running_b.await.unwrap();
    assert_eq!(report.class, Class::Incomplete, "{}", report.message);
    assert_eq!(b.stored("replicas/pod-b/outputs/metrics.json").await.as_deref(), Some("b's"));
    end(&a, running_a).await;
    assert_eq!(a.stored("outputs/metrics.json").await.as_deref(), Some("outputs/metrics.json"));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_goes_on_under_its_old_name_may_have_on_disk_what_it_had_aside() {
    let (log, (a, b)) = (Log::capture(), two(both()));
    a.settled(&["outputs/model.pt"]);
    let running_a = a.start();
    after(11.0).await;
    a.store.insert(&format!("base/{RUN}/{SIDE}"), "of the start before").await;
    b.write(SIDE, "of the start before");
    b.settle();
    FsFile::record(&Root::of(&b.run(""))).save(&b.config.layout.fs_file()).unwrap();
    b.write("outputs/model.pt", "b's");
    b.settle();
    let running_b = b.start();
    after(11.0).await;
    b.store.forget_calls();
    end(&b, running_b).await;
    end(&a, running_a).await;
    assert_eq!(b.calls(Op::Put), [] as [String; 0], "{}", log.text());
    assert_eq!(b.stored(SIDE).await.as_deref(), Some("b's"));
    assert_eq!(log.count("differ in the store once more"), 0, "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_passes_over_conditions_is_looked_at_first_where_several_pods_live() {
    for cluster in [both(), None] {
        let (a, b) = two(cluster.clone());
        a.store.ignore_conditions();
        a.settled(&["outputs/model.pt"]);
        let running_a = a.start();
        after(11.0).await;
        b.write("outputs/model.pt", "b's");
        b.settle();
        let running_b = b.start();
        after(11.0).await;
        assert_eq!(a.stored("outputs/model.pt").await.as_deref(), Some("outputs/model.pt"));
        end(&b, running_b).await;
        end(&a, running_a).await;
        assert_eq!(a.stored("outputs/model.pt").await.as_deref(), Some("outputs/model.pt"));
        assert_eq!(a.stored(SIDE).await.as_deref(), Some("b's"));
        assert!(a.store.keys().await.iter().all(|key| !key.contains(".plx")));
    }
}
