//! The built program and the tracking API.

use crate::pod::{Ended, Pod, RUN};
use plx_testkit::{FakeTracking, SeenCall, loopback};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

const LOSS: &str = "step|timestamp|metric\n0|2024-05-06 07:08:09+00:00|1.5";

/// A pod whose API is that one.
async fn pod(api: &FakeTracking) -> Pod {
    let mut pod = Pod::new().await;
    api.accept("Token run-token");
    pod.set("POLYAXON_HOST", &api.url());
    pod.set("POLYAXON_AUTH_TOKEN", "run-token");
    pod.set("POLYAXON_HEADER", "X-POLYAXON-SERVICE");
    pod.set("POLYAXON_HEADER_SERVICE", "sidecar");
    pod
}

fn marker(pod: &Pod) -> PathBuf {
    pod.path("main-exit.json")
}

/// A whole life after main has ended.
async fn last_pass(pod: &Pod, more: &[&str]) -> Ended {
    fs::write(marker(pod), "{}").unwrap();
    let marker = marker(pod);
    let args = [&["--main-marker", marker.to_str().unwrap()], more].concat();
    pod.start(&args).end().await
}

fn lines(calls: &[SeenCall]) -> Vec<String> {
    calls
        .iter()
        .map(|call| format!("{} {} {}", call.method, call.path, call.status.unwrap_or_default()))
        .collect()
}

#[tokio::test]
async fn the_references_own_calls_with_a_bad_file_beside() {
    let api = FakeTracking::start().await;
    let pod = pod(&api).await;
    pod.write("events/metric/loss.plx", LOSS);
    pod.write("events/metric/bad.plx", "no events at all\n");
    pod.write("events/metric/empty.plx", "");
    let ended = last_pass(&pod, &[]).await;
    assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("done")), "{ended:?}");
    assert!(ended.stderr.contains("events/metric/bad.plx is not summarised"), "{}", ended.stderr);
    let calls = api.calls();
    let run = format!("/api/v1/owner/project/runs/{RUN}");
    assert_eq!(lines(&calls), [format!("POST {run}/lineage/artifacts 201"), format!("PATCH {run} 200")]);
    // The calls of the reference in its case `normal`, to the byte.
    assert_eq!(
        calls[0].text,
        r#"{"artifacts":[{"name":"loss","kind":"metric","path":"events/metric/loss.plx","summary":{"is_event":true,"step":{"count":1,"min":0,"max":0},"timestamp":{"min":"2024-05-06T07:08:09+00:00","max":"2024-05-06T07:08:09+00:00"},"metric":{"count":1.0,"mean":1.5,"std":null,"min":1.5,"25%":1.5,"50%":1.5,"75%":1.5,"max":1.5,"last":1.5}},"connection":"store","is_input":false}]}"#
    );
    assert_eq!(calls[1].text, r#"{"outputs":{"loss":1.5},"merge":true}"#);
    for call in &calls {
        assert_eq!(call.header("authorization"), Some("Token run-token"));
        assert_eq!(call.header("x-polyaxon-service"), Some("sidecar"));
        assert_eq!(call.header("content-type"), Some("application/json"));
    }
    assert_eq!(pod.difference().await, "");
}

#[tokio::test]
async fn an_api_that_fails_first_is_told_in_the_next_pass() {
    let api = FakeTracking::start().await;
    api.fail("/lineage/artifacts", 500, 1);
    let pod = pod(&api).await;
    pod.write("events/metric/loss.plx", LOSS);
    let marker_path = marker(&pod);
    let sidecar = pod.start(&[
        "--sync-interval=1",
        "--sleep-interval=1",
        "--main-marker",
        marker_path.to_str().unwrap(),
    ]);
    api.came(3).await;
    fs::write(marker_path, "{}").unwrap();
    let ended = sidecar.end().await;
    assert_eq!((ended.code, &ended.report["undelivered"]), (Some(0), &Value::Null), "{ended:?}");
    let run = format!("/api/v1/owner/project/runs/{RUN}");
    let post = |status: u16| format!("POST {run}/lineage/artifacts {status}");
    assert_eq!(lines(&api.calls()), [post(500), post(201), format!("PATCH {run} 200")]);
    assert_eq!((api.artifacts(RUN).len(), api.outputs(RUN)), (1, json!({ "loss": 1.5 })));
}

#[tokio::test]
async fn a_summary_that_the_api_does_not_take_costs_no_other() {
    let api = FakeTracking::start().await;
    let pod = pod(&api).await;
    for name in ["metric/a", "metric/b", "image/c", "zz/bad", "text/d"] {
        let kind = name.split('/').next().unwrap();
        let text = format!("step|timestamp|{kind}\n0|2024-05-06 07:08:09+00:00|1.5\n");
        pod.write(&format!("events/{name}.plx"), &text);
    }
    let ended = last_pass(&pod, &[]).await;
    let mut names: Vec<Value> = api.artifacts(RUN).iter().map(|artifact| artifact["name"].clone()).collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["a", "b", "c", "d"], "{ended:?}");
    assert_eq!(api.outputs(RUN), json!({ "a": 1.5, "b": 1.5 }));
    assert_eq!((ended.code, &ended.report["undelivered"]), (Some(0), &json!(["events/zz/bad.plx"])));
    assert!(ended.stderr.contains("does not take the summary of events/zz/bad.plx"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_restarted_sidecar_tells_nothing_again_and_then_only_what_changed() {
    let api = FakeTracking::start().await;
    let pod = pod(&api).await;
    pod.write("events/metric/loss.plx", LOSS);
    pod.write("events/metric/acc.plx", LOSS);
    last_pass(&pod, &[]).await;
    assert_eq!(api.calls().len(), 2);
    api.forget_calls();
    last_pass(&pod, &[]).await;
    assert_eq!(api.calls(), []);
    pod.write("events/metric/acc.plx", &format!("{LOSS}\n1|2024-05-06 07:08:10+00:00|2.5"));
    last_pass(&pod, &[]).await;
    let bodies: Vec<Value> = api.calls().into_iter().map(|call| call.body).collect();
    assert_eq!(
        (bodies[0]["artifacts"].as_array().unwrap().len(), &bodies[1]["outputs"]),
        (1, &json!({ "acc": 2.5 }))
    );
}

#[tokio::test]
async fn an_api_that_is_away_to_the_end_fails_nothing_and_is_named() {
    let mut pod = Pod::new().await;
    pod.set("POLYAXON_HOST", &format!("http://127.0.0.1:{}", loopback::free_port()));
    pod.set("POLYAXON_RETRIES", "0");
    pod.write("events/metric/loss.plx", LOSS);
    pod.write("outputs/a", "a");
    let ended = last_pass(&pod, &["--finish-timeout=2", "--on-incomplete=fail"]).await;
    assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("done")), "{ended:?}");
    assert_eq!(ended.report["undelivered"], json!(["events/metric/loss.plx"]));
    let message = ended.report["message"].as_str().unwrap();
    assert!(message.contains("cannot reach the tracking API"), "{message}");
    assert_eq!(pod.difference().await, "");
}

#[tokio::test]
async fn an_api_that_is_off_or_set_wrongly_is_not_called() {
    let api = FakeTracking::start().await;
    let mut pod = pod(&api).await;
    pod.write("events/metric/loss.plx", LOSS);
    pod.set("POLYAXON_NO_API", "true");
    let ended = last_pass(&pod, &[]).await;
    assert_eq!((ended.code, &ended.report["undelivered"]), (Some(0), &Value::Null), "{ended:?}");
    pod.set("POLYAXON_NO_API", "false");
    pod.set("POLYAXON_TIMEOUT", "soon");
    let ended = last_pass(&pod, &[]).await;
    assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("done")), "{ended:?}");
    assert!(ended.stderr.contains("no summaries of events are sent: POLYAXON_TIMEOUT"), "{}", ended.stderr);
    assert_eq!(api.calls(), []);
}
