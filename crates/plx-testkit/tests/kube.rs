//! The cluster that tests meet, asked as any client would.

#![expect(clippy::unwrap_used, reason = "in helpers of tests, too, a surprise ends the test")]

use std::fs;
use std::time::Duration;

use plx_testkit::{FakeKube, KubeFault, Times};
use reqwest::{Client, Response};
use serde_json::Value;

const PODS: &str = "/api/v1/namespaces/polyaxon/pods";

struct Asker {
    base: String,
    client: Client,
    token: String,
}

impl Asker {
    fn of(kube: &FakeKube) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let ca = fs::read(kube.account().join("ca.crt")).unwrap();
        let trusted = reqwest::Certificate::from_pem_bundle(&ca).unwrap();
        let client = Client::builder().tls_certs_only(trusted).no_proxy().build().unwrap();
        let port = kube.env().into_iter().find(|(key, _)| *key == "KUBERNETES_SERVICE_PORT").unwrap().1;
        let token = fs::read_to_string(kube.account().join("token")).unwrap();
        Self { base: format!("https://127.0.0.1:{port}"), client, token }
    }

    async fn ask(&self, path: &str) -> reqwest::Result<Response> {
        self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.token).send().await
    }

    async fn json(&self, path: &str) -> (u16, Value) {
        let response = self.ask(path).await.unwrap();
        (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    /// All lines of a watch that ends.
    async fn lines(&self, query: &str) -> Vec<Value> {
        let response = self.ask(&format!("{PODS}?watch=true{query}")).await.unwrap();
        assert_eq!(response.status(), 200);
        let text = response.text().await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn pods_are_read_and_listed_and_have_growing_versions() {
    let kube = FakeKube::start().await;
    kube.start_pod("pod-1", "Never");
    kube.start_pod("pod-2", "Never");
    let asker = Asker::of(&kube);
    let (status, first) = asker.json(&format!("{PODS}/pod-1")).await;
    assert_eq!((status, &first["status"]["phase"]), (200, &"Running".into()));
    kube.main_ended("pod-1", 137, "OOMKilled");
    let (_, second) = asker.json(&format!("{PODS}/pod-1/status")).await;
    assert!(version(&second) > version(&first));
    assert_eq!(second["metadata"]["uid"], first["metadata"]["uid"]);
    let ended = &second["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&ended["exitCode"], &ended["reason"]), (&137.into(), &"OOMKilled".into()));
    let (_, all) = asker.json(PODS).await;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(2));
    let (_, one) = asker.json(&format!("{PODS}?fieldSelector=metadata.name%3Dpod-2")).await;
    assert_eq!(one["items"][0]["metadata"]["name"], "pod-2");
    assert_eq!(asker.json(&format!("{PODS}?fieldSelector=spec.x%3D1")).await.0, 400);
    kube.start_pod("pod-1", "Never");
    let (_, third) = asker.json(&format!("{PODS}/pod-1")).await;
    assert_ne!(third["metadata"]["uid"], first["metadata"]["uid"]);
}

#[tokio::test]
async fn who_may_not_is_told_so_as_by_the_real_one() {
    let kube = FakeKube::start().await;
    kube.start_pod("pod-1", "Never");
    let mut asker = Asker::of(&kube);
    let (status, gone) = asker.json(&format!("{PODS}/pod-9")).await;
    assert_eq!((status, &gone["kind"], &gone["reason"]), (404, &"Status".into(), &"NotFound".into()));
    assert_eq!(asker.json("/api/v1/namespaces/other/pods/pod-1").await.0, 404);
    kube.deny("watch", "pods");
    kube.deny("get", "pods");
    let (status, denied) = asker.json(&format!("{PODS}/pod-1")).await;
    assert_eq!((status, &denied["reason"]), (403, &"Forbidden".into()));
    assert!(denied["message"].as_str().unwrap().contains(r#"cannot get resource "pods""#), "{denied}");
    assert_eq!(asker.json(&format!("{PODS}?watch=true")).await.0, 403);
    assert_eq!(asker.json(&format!("{PODS}/pod-1/status")).await.0, 200);
    assert_eq!(asker.json(PODS).await.0, 200);
    kube.allow_all();
    assert_eq!(asker.json(&format!("{PODS}/pod-1")).await.0, 200);
    kube.rotate_token();
    assert_eq!(asker.json(&format!("{PODS}/pod-1")).await.0, 401);
    asker.token = fs::read_to_string(kube.account().join("token")).unwrap();
    assert_eq!(asker.json(&format!("{PODS}/pod-1")).await.0, 200);
    let statuses: Vec<_> = kube.calls().iter().map(|call| (call.verb, call.status.unwrap())).collect();
    assert_eq!(statuses[2..5], [("get", 403), ("watch", 403), ("get", 200)]);
}

#[tokio::test]
async fn a_watch_tells_what_changed_since_a_version_and_ends_with_a_bookmark() {
    let kube = FakeKube::start().await;
    kube.start_pod("pod-1", "Never");
    let asker = Asker::of(&kube);
    let (_, pod) = asker.json(&format!("{PODS}/pod-1")).await;
    let since = version(&pod);
    kube.start_pod("pod-2", "Never");
    kube.main_ended("pod-1", 0, "Completed");
    kube.delete_pod("pod-1");
    let one = format!("&fieldSelector=metadata.name%3Dpod-1&resourceVersion={since}&timeoutSeconds=1");
    let kinds = |lines: &[Value]| lines.iter().map(|line| line["type"].to_string()).collect::<Vec<_>>();
    let lines = asker.lines(&format!("{one}&allowWatchBookmarks=true")).await;
    assert_eq!(kinds(&lines), ["\"MODIFIED\"", "\"DELETED\"", "\"BOOKMARK\""]);
    assert!(version(&lines[2]["object"]) >= version(&lines[1]["object"]));
    assert_eq!(kinds(&asker.lines(&one).await), ["\"MODIFIED\"", "\"DELETED\""]);
    // Without a version it begins with what is there.
    let lines = asker.lines("&timeoutSeconds=1").await;
    assert_eq!(
        (kinds(&lines), &lines[0]["object"]["metadata"]["name"]),
        (vec!["\"ADDED\"".to_owned()], &"pod-2".into())
    );
    kube.forget_changes();
    let lines = asker.lines(&one).await;
    assert_eq!((kinds(&lines), &lines[0]["object"]["code"]), (vec!["\"ERROR\"".to_owned()], &410.into()));
}

#[tokio::test]
async fn a_watch_goes_on_while_things_change_and_can_be_cut_in_the_middle_of_a_line() {
    let kube = FakeKube::start().await;
    kube.start_pod("pod-1", "Never");
    let asker = Asker::of(&kube);
    let mut response = asker.ask(&format!("{PODS}?watch=true")).await.unwrap();
    assert!(response.chunk().await.unwrap().unwrap().ends_with(b"\n"));
    // It is open: taking the right away does not end it.
    kube.deny("*", "*");
    kube.main_ended("pod-1", 1, "Error");
    let line = response.chunk().await.unwrap().unwrap();
    assert!(line.starts_with(br#"{"type":"MODIFIED""#) && line.ends_with(b"\n"));
    kube.cut_watches();
    let half = response.chunk().await.unwrap().unwrap();
    assert!(!half.is_empty() && line.starts_with(&half) && half.len() < line.len());
    assert!(response.chunk().await.is_err());
}

#[tokio::test]
async fn logs_are_of_a_start_and_begin_at_a_second() {
    const SECOND: i64 = 1_000_000_000;
    let kube = FakeKube::start().await;
    kube.start_pod("pod-1", "OnFailure");
    let asker = Asker::of(&kube);
    let log = async |query: &str| {
        let response = asker.ask(&format!("{PODS}/pod-1/log?container=polyaxon-main{query}")).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    kube.print("pod-1", FakeKube::MAIN, SECOND, "a");
    kube.print("pod-1", FakeKube::MAIN, 2 * SECOND + 5, "b");
    kube.print_without_end("pod-1", FakeKube::MAIN, 3 * SECOND + 500_000_000, "c");
    let all = "1970-01-01T00:00:01Z a\n1970-01-01T00:00:02.000000005Z b\n1970-01-01T00:00:03.500Z c";
    assert_eq!(log("&timestamps=true").await, (200, all.to_owned()));
    // A fraction of a second does not count.
    assert_eq!(log("&sinceTime=1970-01-01T00:00:02.9Z").await, (200, "b\nc".to_owned()));
    let (status, said) = log("&previous=true").await;
    assert!(status == 400 && said.contains("previous terminated container"), "{said}");
    kube.main_ended("pod-1", 1, "Error");
    assert_eq!(log("&follow=true").await, (200, "a\nb\nc".to_owned()));
    kube.main_runs("pod-1");
    kube.print("pod-1", FakeKube::MAIN, 9 * SECOND, "d");
    assert_eq!((log("&previous=true").await.1, log("").await.1), ("a\nb\nc".to_owned(), "d\n".to_owned()));
    kube.rotate_log("pod-1", FakeKube::MAIN, 0);
    assert_eq!(log("").await, (200, String::new()));
    let other = asker.ask(&format!("{PODS}/pod-1/log?container=nobody")).await.unwrap();
    assert_eq!(other.status(), 400);
    kube.deny("get", "pods/log");
    assert_eq!(log("").await.0, 403);
}

#[tokio::test]
async fn a_log_that_is_followed_goes_on_until_it_is_cut() {
    let kube = FakeKube::start().await;
    kube.start_pod("pod-1", "Never");
    let asker = Asker::of(&kube);
    let follow = format!("{PODS}/pod-1/log?container=polyaxon-main&follow=true");
    let mut response = asker.ask(&follow).await.unwrap();
    for line in ["first", "second"] {
        kube.print("pod-1", FakeKube::MAIN, 1, line);
        assert_eq!(response.chunk().await.unwrap().unwrap(), format!("{line}\n"));
    }
    kube.cut_logs();
    assert!(response.chunk().await.is_err());
    kube.cut_next_logs_after([8]);
    let mut response = asker.ask(&follow).await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "first\nse");
    assert!(response.chunk().await.is_err());
}

#[tokio::test]
async fn it_fails_on_demand() {
    let kube = FakeKube::start().await;
    kube.start_pod("pod-1", "Never");
    let asker = Asker::of(&kube);
    let path = format!("{PODS}/pod-1");
    kube.fail("get", KubeFault::Status(503), Times::First(1));
    kube.fail("get", KubeFault::TooMany(7), Times::Nth(2));
    kube.fail("get", KubeFault::Reset, Times::Nth(3));
    let (status, said) = asker.json(&path).await;
    assert_eq!((status, &said["kind"]), (503, &"Status".into()));
    let throttled = asker.ask(&path).await.unwrap();
    assert_eq!(
        (throttled.status().as_u16(), &throttled.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    assert!(asker.ask(&path).await.is_err());
    assert_eq!(asker.json(&path).await.0, 200);
    let mut watch = asker.ask(&format!("{PODS}?watch=true&timeoutSeconds=1")).await.unwrap();
    assert!(watch.chunk().await.unwrap().is_some());
    kube.black_hole();
    kube.main_ended("pod-1", 0, "Completed");
    let silence = Duration::from_millis(1500);
    assert!(tokio::time::timeout(silence, watch.chunk()).await.is_err(), "not even its end");
    assert!(tokio::time::timeout(Duration::from_millis(300), asker.ask(&path)).await.is_err());
    kube.recover();
    assert_eq!(asker.json(&path).await.0, 200);
}

#[tokio::test]
async fn lists_are_selected_and_come_in_parts() {
    let kube = FakeKube::start().await;
    for name in ["pod-1", "pod-2", "pod-3"] {
        kube.start_pod(name, "Never");
        kube.belongs_to(name, "run-1", "tfjob");
    }
    kube.start_pod("other", "Never");
    kube.start_service("service-1", "run-1");
    let asker = Asker::of(&kube);
    let of_run =
        "labelSelector=app.kubernetes.io%2Finstance%3Drun-1,app.kubernetes.io%2Fmanaged-by%3Dpolyaxon";
    let names = |list: &Value| {
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (_, first) = asker.json(&format!("{PODS}?{of_run}&limit=2")).await;
    assert_eq!(
        (names(&first), &first["items"][0]["kind"]),
        (vec!["pod-1".into(), "pod-2".into()], &Value::Null)
    );
    let next = first["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = asker.json(&format!("{PODS}?{of_run}&limit=2&continue={next}")).await;
    assert_eq!((names(&rest), &rest["metadata"]["continue"]), (vec!["pod-3".to_owned()], &Value::Null));
    let namespace = "/api/v1/namespaces/polyaxon";
    let (_, services) = asker.json(&format!("{namespace}/services?{of_run}")).await;
    assert_eq!(names(&services), ["service-1"]);
    assert_eq!(asker.json(&format!("{PODS}?labelSelector=a%20in%20(b)")).await.0, 400);

    kube.happened("Pod", "pod-1", "Pulled", "it is there");
    kube.happened("Pod", "pod-1", "Pulled", "it is there");
    kube.happened("Pod", "pod-2", "Pulled", "it is there");
    let about = "fieldSelector=involvedObject.kind%3DPod%2CinvolvedObject.name%3Dpod-1";
    let (_, events) = asker.json(&format!("{namespace}/events?{about}")).await;
    let event = &events["items"][0];
    assert_eq!((events["items"].as_array().map(Vec::len), &event["count"]), (Some(1), &2.into()));
    assert_ne!(event["firstTimestamp"], event["lastTimestamp"]);
    kube.deny("list", "events");
    let (status, denied) = asker.json(&format!("{namespace}/events?{about}")).await;
    assert!(
        status == 403 && denied["message"].as_str().unwrap().contains(r#"cannot list resource "events""#)
    );
}

#[tokio::test]
async fn what_containers_use_is_told_where_there_is_a_metrics_api() {
    let kube = FakeKube::start().await;
    kube.start_pod("pod-1", "Never");
    let asker = Asker::of(&kube);
    let path = "/apis/metrics.k8s.io/v1beta1/namespaces/polyaxon/pods/pod-1";
    let response = asker.ask(path).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.text().await.unwrap().as_str()),
        (404, "404 page not found\n")
    );
    kube.has_metrics();
    let (status, said) = asker.json(path).await;
    assert_eq!((status, &said["reason"]), (404, &"NotFound".into()));
    kube.uses("pod-1", "2026-01-01T00:00:00Z", &[("polyaxon-main", "250m", "64Mi")]);
    let (_, metrics) = asker.json(path).await;
    assert_eq!(metrics["containers"][0]["usage"]["cpu"], "250m");
    kube.deny("get", "pods.metrics.k8s.io");
    let (status, said) = asker.json(path).await;
    let said = said["message"].as_str().unwrap();
    assert!(status == 403 && said.contains(r#"resource "pods" in API group "metrics.k8s.io""#), "{said}");
}
