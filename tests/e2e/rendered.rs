//! What we render, before API servers: every recorded operation and every document, as a pod and as a job.

#[path = "../../crates/plx-pod/tests/it/rendering/case.rs"]
mod case;

use crate::documents;
use crate::kubectl::{LABEL, clean, create, kubectl_text, namespace, variable};
use crate::plumbing::{Place, elsewhere};
use crate::world::{HOST, World};
use plx_pod::render::Rendered;
use plx_runtime::Failure;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const OWNER: &str = "rendered";

/// The cases that are an error of ours, by the table in docs/render.md.
const REFUSED: [&str; 2] = ["plugins-tools-sandbox-ssh", "tfjob-replicas"];

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/plx-pod/tests/fixtures/pods")
}

/// All of them, each as a run of its own; a service is no job.
fn rendered(words: &[&str]) -> Vec<Rendered> {
    let namespace = namespace();
    let (mut all, mut refused) = (Vec::new(), Vec::new());
    let mut add = |name: &str, form: &str, rendered: Result<Rendered, Failure>| match rendered {
        Ok(rendered) => all.push(rendered),
        Err(failure) if form == "job" && failure.message.contains("a service has no end") => {}
        Err(failure) if form == "wrapped" && failure.message.contains("no command") => {}
        Err(_) if REFUSED.contains(&name) => refused.push(name.to_owned()),
        Err(failure) => panic!("{name}: {}", failure.message),
    };
    let forms: [(&str, &[&str]); 3] =
        [("pod", &["--as", "pod"]), ("job", &["--as", "job"]), ("wrapped", &["--as", "pod", "--wrap-main"])];
    for (form, asked) in forms {
        let words = [words, &["--namespace", &namespace], asked].concat();
        for mut case in case::cases(&fixtures()) {
            case.options["run_uuid"] = format!("{:.40}-{form}", case.name).into();
            add(&case.name, form, case.render(&words));
        }
        for (number, documents::Row { document, config, .. }) in documents::table().iter().enumerate() {
            let uuid = format!("document-{number}-{form}");
            let words = [&words[..], &["--run-uuid", &uuid]].concat();
            add(document, form, documents::render(document, config.as_deref(), &[], "", &words));
        }
    }
    assert_eq!(refused, REFUSED.repeat(3));
    all
}

/// A case as we render it with these words, as a pod in this world. `more` is what else is elsewhere.
pub fn pod(world: &World, case: &str, words: &[&str], more: &[Place<'_>]) -> Value {
    let mut found = case::cases(&fixtures()).into_iter().find(|one| one.name == case).unwrap();
    found.options["run_uuid"] = world.run.as_str().into();
    let namespace = namespace();
    let rendered = found.render(&[&["--namespace", &namespace], words].concat());
    let rendered = rendered.unwrap_or_else(|failure| panic!("{case}: {}", failure.message));
    let own = [Place { from: HOST, to: &world.platform.url() }];
    let text = elsewhere(&elsewhere(&rendered.resource.to_string(), more), &own);
    world.place(serde_json::from_str(&text).unwrap())
}

fn name(resource: &Value) -> String {
    format!(
        "{}/{}",
        resource["kind"].as_str().unwrap().to_lowercase(),
        resource["metadata"]["name"].as_str().unwrap()
    )
}

fn names(all: &[Rendered]) -> BTreeSet<String> {
    let names: BTreeSet<String> = all.iter().map(|one| name(&one.resource)).collect();
    assert_eq!(names.len(), all.len(), "each has a name of its own");
    names
}

/// What a server checks before it looks at a pod at all: accounts and classes must be there.
async fn surroundings(all: &[Rendered]) {
    let named = |key: &str| -> BTreeSet<String> {
        all.iter().filter_map(|one| one.pod()["spec"][key].as_str()).map(str::to_owned).collect()
    };
    let meta = |name: &str| json!({ "name": name, "labels": { LABEL: OWNER } });
    for account in named("serviceAccountName").iter().filter(|name| *name != "polyaxon-runs") {
        create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(account),
            "automountServiceAccountToken": false }))
        .await;
    }
    let classes: BTreeMap<&str, &Value> = all
        .iter()
        .filter_map(|one| {
            Some((one.pod()["spec"]["priorityClassName"].as_str()?, &one.pod()["spec"]["priority"]))
        })
        .collect();
    for (class, value) in classes {
        create(&json!({ "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": meta(class), "value": value }))
            .await;
    }
    for class in named("runtimeClassName") {
        create(&json!({ "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": meta(&class), "handler": "h" }))
            .await;
    }
}

/// `kubectl apply --dry-run=server` on texts; the names of what was accepted, or what was complained of.
async fn accepted(texts: &[String]) -> Result<BTreeSet<String>, String> {
    let said = kubectl_text(&["apply", "--dry-run=server", "-f", "-"], &texts.join("\n---\n")).await?;
    let names = said.lines().filter_map(|line| line.strip_suffix(" created (server dry run)"));
    Ok(names.map(|name| name.replace("job.batch/", "job/")).collect())
}

#[tokio::test]
async fn an_api_server_takes_everything_that_is_rendered() {
    clean(OWNER).await;
    let all = rendered(&[]);
    surroundings(&all).await;
    let texts: Vec<String> = all.iter().map(|one| one.yaml().unwrap()).collect();
    let taken = accepted(&texts).await.unwrap_or_else(|said| panic!("{said}"));
    assert_eq!(taken, names(&all));
    assert!(all.len() > 150, "{} of them", all.len());
    println!("{} resources were accepted", all.len());
    // It would have told: a field that nobody knows, and one at the wrong place.
    for (path, key) in [("/spec/initContainers/0", "restartPolice"), ("/spec/containers/0", "volumes")] {
        let mut resource = all[0].resource.clone();
        resource.pointer_mut(path).unwrap()[key] = "Always".into();
        let said = accepted(&[resource.to_string()]).await.expect_err(key);
        assert!(said.contains("unknown field") && said.contains(key), "{said}");
    }
    clean(OWNER).await;
}

/// The tests' cluster is older than native sidecars.
#[tokio::test]
async fn native_sidecars_have_the_types_of_a_newer_api() {
    let all = rendered(&["--native-sidecar"]);
    names(&all);
    let resources: Vec<Value> = all.iter().map(|one| one.resource.clone()).collect();
    let said = of_newer_types(&resources).await.unwrap_or_else(|said| panic!("{said}"));
    let (count, version) = said.trim().split_once(' ').unwrap();
    assert_eq!(count, all.len().to_string());
    let major: u32 = version.split('.').next().unwrap().parse().unwrap();
    assert!(major >= 29, "{version}: native sidecars are of 1.29");
    println!("{count} resources have the types of {version}");
    let native = |one: &&Rendered| one.pod()["spec"]["initContainers"][0]["restartPolicy"] == "Always";
    assert!(all.iter().filter(native).count() > 100);
    // It would have told.
    let wrong = |change: &dyn Fn(&mut Value)| {
        let mut resource = resources.iter().find(|one| one["kind"] == "Pod").unwrap().clone();
        change(&mut resource["spec"]);
        resource
    };
    for (wanted, resource) in [
        (
            "V1Container has no field restartPolice",
            wrong(&|spec| spec["initContainers"][0]["restartPolice"] = "Always".into()),
        ),
        ("V1PodSpec has no field image", wrong(&|spec| spec["image"] = "busybox".into())),
        (
            "terminationGracePeriodSeconds: wanted int",
            wrong(&|spec| spec["terminationGracePeriodSeconds"] = "300".into()),
        ),
        ("`name`, must not be `None`", wrong(&|spec| spec["containers"][0]["name"] = Value::Null)),
    ] {
        let said = of_newer_types(&[resource]).await.expect_err(wanted);
        assert!(said.contains(wanted), "{said}");
    }
}

async fn of_newer_types(resources: &[Value]) -> Result<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/api/newer.py");
    let mut command = Command::new(variable("PLX_E2E_PYTHON"));
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines: String = resources.iter().map(|one| format!("{one}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
