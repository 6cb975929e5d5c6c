//! From what the converter wrote to a pod of this cluster: the names of images, and plumbing. Nothing else is touched.

use crate::kubectl::{containers, namespace, variable};
use serde_json::{Map, Value, json};
use std::path::Path;

/// What stands in a fixture, and what is there instead.
pub struct Place<'a> {
    pub from: &'static str,
    pub to: &'a str,
}

/// A pod of the converter (`metadata`, `initContainers`, `containers`, `volumes`, `rest`), on this cluster.
pub fn pod(fixture: &str, places: &[Place<'_>]) -> Value {
    let mut text = fixture.to_owned();
    for place in places {
        assert!(text.contains(place.from), "{} is not there", place.from);
        text = text.replace(place.from, place.to);
    }
    let fixture: Value = serde_json::from_str(&text).unwrap();
    let mut spec: Map<String, Value> = fixture["rest"].as_object().cloned().unwrap_or_default();
    for list in ["initContainers", "containers", "volumes"] {
        spec.insert(list.to_owned(), fixture[list].clone());
    }
    // As Polyaxon's operator sets it for a job.
    spec.insert("restartPolicy".to_owned(), "Never".into());
    here(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": fixture["metadata"], "spec": spec }))
}

/// A pod as somebody would apply it, on this cluster.
pub fn here(pod: Value) -> Value {
    let mut pod = without_rights(pod);
    if variable("PLX_E2E_CLUSTER") == "bare" {
        with_token(&mut pod);
    }
    pod
}

/// The same without a token for the cluster's API, but where the pod says that it is to have one.
pub fn without_rights(mut pod: Value) -> Value {
    // Servers are on this machine's loopback.
    pod["spec"]["hostNetwork"] = true.into();
    pod["metadata"]["namespace"] = namespace().into();
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array_mut().unwrap() {
            container["image"] = image(container).into();
        }
    }
    if variable("PLX_E2E_CLUSTER") == "bare" {
        // What a scheduler does elsewhere.
        pod["spec"]["nodeName"] = "localhost".into();
        pod["spec"]["automountServiceAccountToken"] = false.into();
    }
    pod
}

fn image(container: &Value) -> String {
    let named = container["image"].as_str().unwrap();
    let images = std::fs::read_to_string(Path::new(&variable("PLX_E2E_ARCHIVES")).join("images")).unwrap();
    let program = match named.split(':').next().unwrap() {
        "polyaxon/polyaxon-init" | "plx-init" => "init",
        "polyaxon/polyaxon-sidecar" | "plx-sidecar" => "sidecar",
        // The sample's own main knows of no run.
        "busybox" if container["name"] == "polyaxon-main" && container["env"].is_array() => "main",
        "busybox" => "busybox",
        other => panic!("no image stands for {other}"),
    };
    let line = images.lines().find_map(|line| line.strip_prefix(program)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no image for {program}")).to_owned()
}

/// What an admission controller and a service network do elsewhere.
fn with_token(pod: &mut Value) {
    const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let all = containers(pod).count();
    assert!(all > 0);
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array_mut().unwrap() {
            for (name, value) in [
                ("KUBERNETES_SERVICE_HOST", "127.0.0.1".to_owned()),
                ("KUBERNETES_SERVICE_PORT", variable("PLX_CLUSTER_PORT")),
            ] {
                push(container, "env", json!({ "name": name, "value": value }));
            }
            push(
                container,
                "volumeMounts",
                json!({ "name": "account", "mountPath": ACCOUNT, "readOnly": true }),
            );
        }
    }
    let sources = json!([
        { "serviceAccountToken": { "path": "token", "expirationSeconds": 3600 } },
        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [{ "path": "namespace", "fieldRef": { "fieldPath": "metadata.namespace" } }] } },
    ]);
    push(&mut pod["spec"], "volumes", json!({ "name": "account", "projected": { "sources": sources } }));
}

fn push(object: &mut Value, list: &str, value: Value) {
    let list = &mut object[list];
    if list.is_null() {
        *list = json!([]);
    }
    list.as_array_mut().unwrap().push(value);
}
