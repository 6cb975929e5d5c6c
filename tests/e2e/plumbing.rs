//! From what the converter wrote to a pod of this cluster: the names of images, and plumbing. Nothing else is touched.

use crate::kubectl::{containers, namespace, variable};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The fixture whose store is a bucket of S3, and which asks for nothing else.
pub const STORE_ON_S3: &str =
    include_str!("../../crates/plx-pod/tests/fixtures/pods/store-s3-defaults/pod.json");

/// What stands in a fixture, and what is there instead.
pub struct Place<'a> {
    pub from: &'static str,
    pub to: &'a str,
}

/// A pod of the converter (`metadata`, `initContainers`, `containers`, `volumes`, `rest`), on this cluster.
pub fn pod(fixture: &str, places: &[Place<'_>]) -> Value {
    here(converted(&elsewhere(fixture, places)))
}

/// The same before anything is other than the converter wrote it.
pub fn converted(fixture: &str) -> Value {
    let fixture: Value = serde_json::from_str(fixture).unwrap();
    let mut spec: Map<String, Value> = fixture["rest"].as_object().cloned().unwrap_or_default();
    for list in ["initContainers", "containers", "volumes"] {
        spec.insert(list.to_owned(), fixture[list].clone());
    }
    // As Polyaxon's operator sets it for a job.
    spec.insert("restartPolicy".to_owned(), "Never".into());
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": fixture["metadata"], "spec": spec })
}

/// Gives other names to the secrets, the config maps and the claims of a pod.
pub fn rename_objects(pod: &mut Value, own: &dyn Fn(&str) -> String) {
    match pod {
        Value::Array(items) => items.iter_mut().for_each(|item| rename_objects(item, own)),
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = match key.as_str() {
                    "secretName" | "claimName" => Some(value),
                    "secretRef" | "secretKeyRef" | "configMap" | "configMapRef" | "configMapKeyRef" => {
                        value.get_mut("name")
                    }
                    _ => {
                        rename_objects(value, own);
                        None
                    }
                };
                if let Some(name) = name {
                    *name = own(name.as_str().unwrap()).into();
                }
            }
        }
        _ => {}
    }
}

/// A text with other places in it.
pub fn elsewhere(text: &str, places: &[Place<'_>]) -> String {
    places.iter().fold(text.to_owned(), |text, place| {
        assert!(text.contains(place.from), "{} is not there", place.from);
        text.replace(place.from, place.to)
    })
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
        "busybox" | "training" => "busybox",
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
