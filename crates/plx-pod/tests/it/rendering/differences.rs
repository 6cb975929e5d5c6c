//! The table of deliberate differences: what `docs/render.md` says, carried out on what the converter made.

use super::normal;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The rows of the documentation.
pub struct Table {
    rows: Vec<Row>,
    used: BTreeSet<String>,
}

struct Row {
    id: String,
    /// The cases it applies to; all when empty.
    cases: Vec<String>,
}

impl Table {
    /// Reads it: `| `id` | what we do | why | cases |`.
    pub fn of_the_docs() -> Self {
        let text = include_str!("../../../../../docs/render.md");
        let (_, table) = text.split_once("<!-- differences -->").expect("where the table begins");
        let (table, _) = table.split_once("<!-- end of differences -->").expect("where it ends");
        let rows = table.lines().filter(|line| line.starts_with("| `")).map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            assert_eq!(cells.len(), 4, "{line}");
            let names = cells[3].split(',').map(|name| name.trim().trim_matches('`').to_owned());
            Row {
                id: cells[0].trim_matches('`').to_owned(),
                cases: if cells[3] == "all" { Vec::new() } else { names.collect() },
            }
        });
        Self { rows: rows.collect(), used: BTreeSet::new() }
    }

    /// What a case must come to: the converter's pod with the differences, or the error that is given instead.
    pub fn expected(&mut self, case: &str, pod: Option<Value>) -> Result<Value, String> {
        let mut pod = pod.map(|pod| normal::of_theirs(&pod));
        for row in &self.rows {
            let listed = row.cases.iter().any(|name| name == case);
            if !listed && !row.cases.is_empty() {
                continue;
            }
            match apply(&row.id, case, &mut pod) {
                Effect::Error(message) => {
                    self.used.insert(row.id.clone());
                    return Err(message.to_owned());
                }
                Effect::Changed => {
                    self.used.insert(row.id.clone());
                }
                Effect::Nothing => {
                    assert!(!listed, "the row {} of docs/render.md changes nothing in {case}", row.id)
                }
            }
        }
        Ok(pod.unwrap_or_default())
    }

    pub fn all_rows_were_used(&self) {
        let rows: BTreeSet<String> = self.rows.iter().map(|row| row.id.clone()).collect();
        assert_eq!(rows, self.used);
    }
}

enum Effect {
    Changed,
    Nothing,
    Error(&'static str),
}

const RUN: &str = "8aac02e3a62a4f0aaa257c59da5eab80";

fn apply(id: &str, case: &str, pod: &mut Option<Value>) -> Effect {
    let refused = match id {
        "distributed" => Some("run.kind is `tfjob`, wanted job or service"),
        "sandbox" => Some("needs programs of Polyaxon's own image"),
        _ => None,
    };
    if let Some(message) = refused {
        return Effect::Error(message);
    }
    if id == "references" {
        assert!(pod.is_none(), "the converter makes no pod of {case}");
        *pod = Some(with_references());
        return Effect::Changed;
    }
    let pod = pod.as_mut().expect("a recorded pod, or the row `references`");
    match id {
        "outputs-path" => {
            let stored = case.starts_with("plugins-collect-")
                && !case.ends_with("logs-false")
                && !case.ends_with("resources-false");
            let base = match case {
                "client-no-api" => "s3://plx-artifacts",
                _ if stored => "/outputs/2",
                _ => "/plx-context/artifacts",
            };
            add_var(
                &mut pod["spec"]["containers"][0],
                "POLYAXON_RUN_OUTPUTS_PATH",
                &format!("{base}/{RUN}/outputs"),
            )
        }
        "restart-policy" => {
            let service = pod["metadata"]["annotations"]["operation.polyaxon.com/kind"] == "service";
            if service || pod["spec"].get("restartPolicy").is_some() {
                return Effect::Nothing;
            }
            pod["spec"]["restartPolicy"] = json!("Never");
            Effect::Changed
        }
        "logs-off" => drop_args(pod, &["--monitor-logs"]),
        "monitors-off" => drop_args(pod, &["--monitor-logs", "--monitor-spec"]),
        "logs-folder" => {
            let mount = json!({"name": "artifacts-context", "mountPath": "/plx-context/artifacts", "readOnly": false});
            let mounts = sidecar(pod)["volumeMounts"].as_array_mut().expect("mounts");
            // After the login, before the store.
            mounts.insert(1, mount);
            Effect::Changed
        }
        "secret-items" => {
            for volume in pod["spec"]["volumes"].as_array_mut().expect("volumes") {
                let source = if volume.get("secret").is_some() { "secret" } else { "configMap" };
                let items = volume.get_mut(source).and_then(|source| source.get_mut("items")?.as_array_mut());
                for item in items.into_iter().flatten() {
                    *item = json!({"key": item, "path": item});
                }
            }
            Effect::Changed
        }
        "default-mode" => {
            let volumes = pod["spec"]["volumes"].as_array_mut().expect("volumes");
            let mode =
                volumes.iter_mut().find_map(|volume| volume.get_mut("configMap")?.get_mut("defaultMode"));
            let mode = mode.expect("a mode");
            assert_eq!(*mode, "0400");
            *mode = json!(0o400);
            Effect::Changed
        }
        "connection-env" => {
            let mut effect = Effect::Nothing;
            for list in ["initContainers", "containers"] {
                for container in pod["spec"][list].as_array_mut().expect("containers") {
                    for var in container["env"].as_array_mut().into_iter().flatten() {
                        if let Some(value) = var.get("SLACK_CHANNEL").cloned() {
                            *var = json!({"name": "SLACK_CHANNEL", "value": value});
                            effect = Effect::Changed;
                        }
                    }
                }
            }
            effect
        }
        "pull-policy" => {
            sidecar(pod)["imagePullPolicy"] = json!("IfNotPresent");
            Effect::Changed
        }
        "short-forms" => {
            let words = pod["spec"]["containers"][0]["command"].as_array_mut().expect("words");
            words.insert(2, json!(format!("/plx-context/artifacts/{RUN}")));
            Effect::Changed
        }
        "termination" => {
            pod["spec"]["activeDeadlineSeconds"] = json!(60);
            Effect::Changed
        }
        "one-string" => {
            let main = &mut pod["spec"]["containers"][0];
            main["command"] = json!(["sh", "-c", "cp /a /b \"$@\"", "sh", "x"]);
            main.as_object_mut().expect("a container").remove("args");
            Effect::Changed
        }
        "empty-words" => {
            let args = pod["spec"]["containers"][0]["args"].as_array_mut().expect("arguments");
            args.insert(1, json!(""));
            Effect::Changed
        }
        "revision" => {
            let vars = pod["spec"]["containers"][0]["env"].as_array_mut().expect("variables");
            let catalog = vars.iter_mut().find(|var| var["name"] == "POLYAXON_CONNECTIONS_CATALOG");
            catalog.expect("a catalog")["value"]["json"]["connections"][0]["schema"]["revision"] =
                json!("main");
            Effect::Changed
        }
        "secret-and-map" => {
            let sources = pod["spec"]["initContainers"][2]["envFrom"].as_array_mut().expect("sources");
            sources.insert(0, json!({"secretRef": {"name": "tok"}}));
            Effect::Changed
        }
        "two-forms" => {
            let spec = &mut pod["spec"];
            let volumes = spec["volumes"].as_array_mut().expect("volumes");
            volumes.insert(0, json!({"name": "pg2", "secret": {"secretName": "pg2"}}));
            let mounts = spec["containers"][0]["volumeMounts"].as_array_mut().expect("mounts");
            mounts.push(json!({"name": "pg2", "mountPath": "/pg", "readOnly": true}));
            Effect::Changed
        }
        "host-pid" => {
            pod["spec"]["hostPID"] = json!(true);
            Effect::Changed
        }
        "sidecar-of-a-run" => {
            let sidecar = sidecar(pod);
            sidecar["args"][2] = json!("--sync-interval=0");
            sidecar["image"] = json!("mine/sidecar:dev");
            sidecar["imagePullPolicy"] = json!("Always");
            sidecar["resources"] = json!({"limits": {"cpu": "3"}});
            Effect::Changed
        }
        "subpath" => {
            let to = "/plx-context/artifacts/data-host/sub";
            let script = format!(
                "if [ ! -d \"{to}\" ]; then mkdir -m 0777 -p {to}; fi; if [ -d /data/1/sub ] && [ \"$(ls -A /data/1/sub)\" ]; \
                 then cp -R /data/1/sub/* {to};  fi;"
            );
            pod["spec"]["initContainers"][2]["args"] = json!([script]);
            Effect::Changed
        }
        _ => unreachable!("docs/render.md has a row `{id}` that this test does not know"),
    }
}

fn add_var(container: &mut Value, name: &str, value: &str) -> Effect {
    let vars = container["env"].as_array_mut().expect("variables");
    vars.push(json!({"name": name, "value": value}));
    Effect::Changed
}

fn sidecar(pod: &mut Value) -> &mut Value {
    let containers = pod["spec"]["containers"].as_array_mut().expect("containers");
    containers.iter_mut().find(|one| one["name"] == "polyaxon-sidecar").expect("a sidecar")
}

fn drop_args(pod: &mut Value, dropped: &[&str]) -> Effect {
    let args = sidecar(pod)["args"].as_array_mut().expect("arguments");
    args.retain(|arg| !dropped.iter().any(|one| arg == one));
    Effect::Changed
}

/// What the converter would make of references if it made anything: the pod of an operation without them, and one
/// container each.
fn with_references() -> Value {
    let plain = std::fs::read_to_string(super::folder().join("store-s3-defaults/pod.json")).expect("a pod");
    let mut pod = normal::of_theirs(&serde_json::from_str(&plain).expect("JSON"));
    let inits = pod["spec"]["initContainers"].as_array().expect("init containers").clone();
    let login = |inits: &[Value]| inits[0]["env"].as_array().expect("variables").clone();
    let (store, mut vars) = (inits[1].clone(), login(&inits));
    vars.retain(|var| var["name"] != "POLYAXON_AUTH_TOKEN");
    vars.push(json!({"name": "POLYAXON_ARTIFACTS_STORE_NAME", "value": "s3-store"}));
    vars.extend(store["env"].as_array().expect("variables").iter().cloned());
    for (kind, name) in [
        ("lineage", "281081ab11794df0867e80d6ff20f960:artifactLineageRef"),
        ("model", "otherProjectName:version"),
        ("artifact", "artifactVersion"),
    ] {
        let mut container = store.clone();
        container["name"] = json!(format!("polyaxon-init-ref-{kind}-X"));
        container["command"] = json!(["plx-init", "ref"]);
        container["args"] = json!([format!("--{kind}-ref={name}")]);
        container["env"] = json!(vars);
        let mounts = container["volumeMounts"].as_array_mut().expect("mounts");
        mounts
            .push(json!({"name": "configs-context", "mountPath": "/plx-context/.configs", "readOnly": true}));
        pod["spec"]["initContainers"].as_array_mut().expect("init containers").push(container);
    }
    pod
}
