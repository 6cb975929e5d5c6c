use super::*;

fn pod(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = json!({
        "metadata": {"name": "pod-1", "resourceVersion": "12", "managedFields": [{"time": "2026-01-01T00:00:00Z"}]},
        "spec": {"containers": [{"name": "main", "env": [
            {"name": "DB_PASSWORD", "value": "hunter2-plain"},
            {"name": "POLYAXON_RUN_INSTANCE", "value": "o.p.runs.1"},
        ]}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "lastProbeTime": null}]},
    });
    change(&mut pod);
    pod
}

fn event(change: impl FnOnce(&mut Value)) -> Value {
    let mut event = json!({
        "metadata": {"name": "e1", "resourceVersion": "3"},
        "involvedObject": {"kind": "Pod", "name": "pod-1"},
        "reason": "Pulled",
        "message": "it has hunter2-plain",
        "firstTimestamp": "2024-05-06T07:08:09Z",
        "lastTimestamp": "2024-05-06T07:08:09Z",
        "count": 4,
        "type": "Normal",
    });
    change(&mut event);
    event
}

fn document(pod: Value, events: Vec<Value>) -> Document {
    let mut document = Document::default();
    document.pod("pod-1", pod, events.iter().map(reduced).collect());
    document
}

fn unchanged(_: &mut Value) {}

#[test]
fn it_is_as_the_reference_writes_it_without_secrets() {
    // What the reference wrote in its case `normal`, from what the API answered there.
    let wanted = r#"{"pods":{"pod-1":{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"operation.polyaxon.com/kind":"job"},"labels":{"a":"b"},"name":"pod-1","namespace":"polyaxon"},"spec":{"containers":[{"image":"i","name":"polyaxon-main"},{"image":"i","name":"polyaxon-sidecar"}],"initContainers":[{"image":"i","name":"polyaxon-init-auth"}],"nodeName":"node-1"},"status":{"containerStatuses":[{"image":"i","imageID":"x","name":"polyaxon-main","ready":false,"restartCount":0,"state":{"terminated":{"exitCode":0}}}],"phase":"Running"},"events":[{"reason":"Pulled","message":"ok","first_timestamp":"2024-05-06T07:08:09+00:00","last_timestamp":"2024-05-06T07:08:09+00:00","count":1,"type":"Normal"}]}},"services":{}}"#;
    let pod = json!({"kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": "pod-1", "namespace": "polyaxon", "annotations": {"operation.polyaxon.com/kind": "job"}, "labels": {"a": "b"}},
        "spec": {"nodeName": "node-1", "initContainers": [{"name": "polyaxon-init-auth", "image": "i"}],
            "containers": [{"name": "polyaxon-main", "image": "i"}, {"name": "polyaxon-sidecar", "image": "i"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "polyaxon-main", "ready": false, "restartCount": 0, "image": "i", "imageID": "x", "state": {"terminated": {"exitCode": 0}}}]}});
    let happened = json!({"metadata": {"name": "e1", "namespace": "polyaxon"}, "involvedObject": {"kind": "Pod", "name": "pod-1"},
        "reason": "Pulled", "message": "ok", "count": 1, "type": "Normal", "firstTimestamp": "2024-05-06T07:08:09Z", "lastTimestamp": "2024-05-06T07:08:09Z"});
    let text = document(pod, vec![happened]).text();
    let parsed = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    // Members of an object have no order in JSON.
    assert_eq!(parsed(&text), parsed(wanted));
    assert!(text.starts_with(r#"{"pods":{"pod-1":{"kind":"Pod","#) && !text.contains(": "), "{text}");
    assert!(text.ends_with(r#""count":1,"type":"Normal"}]}},"services":{}}"#), "{text}");

    let text = document(super::tests::pod(unchanged), vec![event(unchanged)]).text();
    assert!(!text.contains("hunter2") && text.contains("o.p.runs.1"), "{text}");
    assert!(text.contains(r#""message":"it has [redacted]""#), "{text}");
    // What an event has not is null, as there.
    let text = document(json!({}), vec![json!({"reason": "x"})]).text();
    assert!(text.contains(r#"{"reason":"x","message":null,"first_timestamp":null,"last_timestamp":null,"count":null,"type":null}"#), "{text}");
    assert_eq!(Document::default().text(), r#"{"pods":{},"services":{}}"#);
}

#[test]
fn what_says_nothing_new_is_no_change() {
    let meaning = document(pod(unchanged), vec![event(unchanged)]).meaning();
    let of = |pod: Value, event: Value| document(pod, vec![event]).meaning();
    for same in [
        of(pod(|pod| pod["metadata"]["resourceVersion"] = json!("99")), event(unchanged)),
        of(pod(|pod| pod["metadata"]["managedFields"] = json!([{"time": "2027"}])), event(unchanged)),
        of(pod(|pod| pod["status"]["conditions"][0]["lastProbeTime"] = json!("2027")), event(unchanged)),
        of(pod(unchanged), event(|event| event["lastTimestamp"] = json!("2024-05-06T09:00:00Z"))),
        of(pod(unchanged), event(|event| event["count"] = json!(7))),
        of(
            pod(|pod| pod["spec"]["containers"][0]["env"][0]["value"] = json!("another")),
            event(|event| {
                event["message"] = json!("it has another");
            }),
        ),
    ] {
        assert_eq!(same, meaning);
    }
    for other in [
        of(pod(|pod| pod["status"]["phase"] = json!("Failed")), event(unchanged)),
        of(pod(|pod| pod["metadata"]["annotations"] = json!({"a": "b"})), event(unchanged)),
        of(pod(unchanged), event(|event| event["count"] = json!(8))),
        of(pod(unchanged), event(|event| event["reason"] = json!("Failed"))),
        document(pod(unchanged), vec![]).meaning(),
    ] {
        assert_ne!(other, meaning);
    }
    let mut service = Document::default();
    service.service("pod-1", pod(unchanged), vec![reduced(&event(unchanged))]);
    assert_ne!(service.meaning(), meaning);
}

#[test]
fn a_document_that_was_written_means_the_same_when_it_is_read() {
    let mut document = document(pod(unchanged), vec![reduced(&event(unchanged))]);
    document.service("service-1", json!({"metadata": {"name": "service-1"}}), vec![]);
    assert_eq!(meaning_of(document.text().as_bytes()), Some(document.meaning()));
    assert_eq!(meaning_of(b"{\"pods\":{}}"), None);
    assert_eq!(meaning_of(b"{\"pods\":{},\"serv"), None);
}
