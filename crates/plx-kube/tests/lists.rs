//! Lists and metrics, from a cluster that gives them in parts, refuses them, and has none.

use plx_contract::credential::Files;
use plx_contract::{Class, Classified};
use plx_kube::{Cluster, Selector};
use plx_testkit::{FakeKube, KubeFault, Times};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

const RUN: &str = "8aac02e3";

struct Disk;
impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        std::fs::read_to_string(path).map(Some)
    }
}

async fn cluster() -> (FakeKube, Cluster<Disk>) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let kube = FakeKube::start().await;
    let env: BTreeMap<String, String> =
        kube.env().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let cluster = Cluster::of_this_pod(&env, Disk).expect("a pod");
    (kube, cluster)
}

#[tokio::test]
async fn a_list_is_read_in_parts_that_are_whole_together() {
    let (kube, cluster) = cluster().await;
    for number in 0..41 {
        let name = format!("pod-{number:02}");
        kube.start_pod(&name, "Never");
        kube.belongs_to(&name, RUN, "job");
    }
    kube.start_pod("of-another-run", "Never");
    let (mut names, mut parts, mut after) = (Vec::new(), 0, None);
    loop {
        let page = cluster.page("pods", &Selector::of_run(RUN), after.as_deref()).await.expect("a page");
        names.extend(
            page.items.iter().map(|pod| pod["metadata"]["name"].as_str().expect("a name").to_owned()),
        );
        (parts, after) = (parts + 1, page.next);
        if after.is_none() {
            break;
        }
    }
    assert_eq!((parts, names.len()), (3, 41));
    assert!(names.is_sorted() && !names.contains(&"of-another-run".to_owned()), "{names:?}");
    kube.happened("Pod", "pod-00", "Pulled", "it is there");
    kube.happened("Service", "pod-00", "Made", "it is there");
    let events = cluster.page("events", &Selector::about("Pod", "pod-00"), None).await.expect("a page");
    assert_eq!((events.items.len(), &events.items[0]["reason"]), (1, &"Pulled".into()));
    let services = cluster.page("services", &Selector::of_run(RUN), None).await.expect("a page");
    assert_eq!((services.items.len(), services.next), (0, None));
}

#[tokio::test]
async fn a_list_that_is_refused_fails_or_is_none_is_an_error_of_its_class() {
    let (kube, cluster) = cluster().await;
    let about = Selector::about("Pod", "p");
    let ask = || cluster.page("events", &about, None);
    kube.deny("list", "events");
    let denied = ask().await.expect_err("denied");
    assert_eq!(denied.class(), Class::Denied);
    assert!(denied.to_string().contains(r#"cannot list resource "events""#), "{denied}");
    kube.allow_all();
    kube.fail("list", KubeFault::Status(503), Times::Nth(1));
    kube.fail("list", KubeFault::Reset, Times::Nth(2));
    for _ in 0..2 {
        let away = ask().await.expect_err("away");
        assert_eq!((away.class(), away.is_refusal()), (Class::Unavailable, false));
    }
    assert!(ask().await.expect("a page").items.is_empty());
    let nothing = cluster.page("nothing", &Selector::of_run(RUN), None).await.expect_err("404");
    assert_eq!(nothing.class(), Class::Unavailable);
}

#[tokio::test]
async fn what_containers_use_is_read_where_it_is_known() {
    let (kube, cluster) = cluster().await;
    kube.start_pod("pod-1", "Never");
    assert_eq!(cluster.usage("pod-1").await.expect("no metrics API is no failure"), None);
    kube.has_metrics();
    assert_eq!(cluster.usage("pod-1").await.expect("nor is a pod that is not known yet"), None);
    let used = [("main", "1250m", "1Gi"), ("other", "much", "1Mi")];
    kube.uses("pod-1", "2026-01-01T00:00:00Z", &used);
    let found = cluster.usage("pod-1").await.expect("an answer").expect("metrics");
    assert_eq!(found.at, "2026-01-01T00:00:00Z");
    // What cannot be read is left out.
    assert_eq!(found.containers.keys().collect::<Vec<_>>(), ["main"]);
    let main = found.containers["main"];
    assert!((main.cores - 1.25).abs() < 1e-9 && (main.bytes - 1_073_741_824.0).abs() < 1.0, "{main:?}");
    kube.deny("get", "pods.metrics.k8s.io");
    assert_eq!(cluster.usage("pod-1").await.expect_err("denied").class(), Class::Denied);
}
