//! The init containers of pods that Polyaxon's converter emitted (`tests/fixtures/pods.json`), carried out as they are:
//! only paths, buckets and hosts are those of the test. Git, tools and users' own containers are not among them.

mod stage;

use plx_contract::script::Step;
use plx_testkit::{Content, Moto};
use serde_json::{Value, json};
use stage::{Pod, RUN, containers, mode};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Every folder of the script is there and open to whatever user main runs as.
fn folders_are_open(pod: &Pod) {
    for step in pod.steps() {
        if let Step::MakeFolder(path) = step {
            assert_eq!(mode(&path), 0o777, "{}: {path}", pod.name);
        }
    }
}

fn resumes(pod: &Pod) -> bool {
    pod.steps().iter().any(|step| match step {
        Step::Fetch(fetch) => fetch.sync_fw,
        Step::CopyFile(copy) | Step::CopyFolder(copy) => copy.record.is_some(),
        Step::MakeFolder(_) => false,
    })
}

#[tokio::test]
async fn every_store_container_brings_exactly_what_its_script_names() {
    let all = containers("/bin/sh -c");
    for (number, container) in all.iter().enumerate() {
        let pod = Pod::of(container, &format!("pods-{number}")).await;
        let wanted = pod.stock().await;
        // Only the one pod without resume asks for nothing.
        let asks = pod.argv[2].contains("polyaxon initializer") || pod.argv[2].contains("cp ");
        assert_eq!(wanted.is_empty(), !asks, "{}", pod.name);
        assert_eq!(pod.run().await, wanted, "{}", pod.name);
        folders_are_open(&pod);
        assert_eq!(pod.lab.art(".fs").exists(), resumes(&pod), "{}", pod.name);
        if resumes(&pod) {
            let record: Value = serde_json::from_slice(&fs::read(pod.lab.art(".fs")).unwrap()).unwrap();
            let recorded: BTreeSet<String> = record["file_mapping"]
                .as_object()
                .unwrap()
                .keys()
                .map(|key| format!("artifacts/{key}"))
                .collect();
            assert_eq!(recorded, wanted.into_keys().collect(), "{}", pod.name);
        }
        if let Some(proxy) = &pod.proxy {
            assert!(proxy.targets().contains(&Moto::shared().await.addr().to_string()), "{}", pod.name);
        }
        assert_eq!(pod.api.calls(), [], "{}", pod.name);
    }
    assert_eq!(all.len(), 22);
}

#[tokio::test]
async fn a_first_run_finds_nothing_to_resume_and_leaves_no_record() {
    let mut resumed = 0;
    for (number, container) in containers("/bin/sh -c").iter().enumerate() {
        if container["name"] != "polyaxon-init-artifacts-default" {
            continue;
        }
        let pod = Pod::of(container, &format!("pods-first-{number}")).await;
        resumed += usize::from(resumes(&pod));
        assert_eq!(pod.run().await, BTreeMap::new(), "{}", pod.name);
        folders_are_open(&pod);
        assert_eq!((mode(pod.lab.art(RUN)), mode(pod.lab.art(RUN).join("outputs"))), (0o777, 0o777));
        assert!(!pod.lab.art(".fs").exists(), "{}", pod.name);
    }
    assert_eq!(resumed, 8);
}

#[tokio::test]
async fn every_auth_container_signs_in_by_two_calls_and_leaves_two_keys() {
    let all = containers("initializer auth");
    for container in &all {
        let pod = Pod::of(container, "").await;
        let written = pod.run().await;
        let text = r#"{"POLYAXON_AUTH_USERNAME":"jane","POLYAXON_AUTH_TOKEN":"run-token-1"}"#;
        let file = (".configs/.auth".to_owned(), Content::of(text.as_bytes()));
        assert_eq!((written, mode(pod.lab.path(".configs/.auth"))), ([file].into(), 0o644), "{}", pod.name);
        let who = match pod.lab.env["POLYAXON_AUTHENTICATION_TYPE"].as_str() {
            "InternalToken" => "InternalToken internal-token-0",
            _ => "Token agent-token-0",
        };
        let call = |method: &str, path: &str, who: &str| {
            (method.to_owned(), format!("/api/v1/{path}"), who.to_owned(), Value::Null)
        };
        let impersonate = format!("owner-name/project-name/runs/{RUN}/impersonate");
        let calls = [call("POST", &impersonate, who), call("GET", "users", "Token run-token-1")];
        assert_eq!(pod.asked(), calls, "{}", pod.name);
    }
    assert_eq!(all.len(), 3);
}

#[tokio::test]
async fn every_file_container_leaves_the_file_its_copy_and_one_entry_in_the_lineage() {
    let all = [containers("docker generate"), containers("initializer file")].concat();
    for container in &all {
        let pod = Pod::of(container, "").await;
        let auth = json!({"POLYAXON_AUTH_USERNAME": "jane", "POLYAXON_AUTH_TOKEN": "run-token-1"});
        fs::write(pod.lab.path(".configs/.auth"), auth.to_string()).unwrap();
        let option = |names: &[&str]| {
            let value =
                |word: &String| names.iter().find_map(|name| word.strip_prefix(name)).map(str::to_owned);
            pod.argv.iter().find_map(value).unwrap()
        };
        let context: Value = serde_json::from_str(&option(&["--build-context=", "--file-context="])).unwrap();
        let kind = if context["image"].is_string() { "dockerfile" } else { "file" };
        let name = context["filename"].as_str().unwrap_or("Dockerfile");
        let target = Path::new(&option(&["--destination=", "--filepath="])).join(name);
        assert!(target.starts_with(&pod.root), "{target:?}");
        let copy = pod.lab.art(RUN).join("outputs").join(name);
        let written = pod.run().await;
        let text = fs::read_to_string(&target).unwrap();
        let one = |path: &Path| {
            let path = path.strip_prefix(&pod.root).unwrap().to_str().unwrap().to_owned();
            (path, Content::of(text.as_bytes()))
        };
        assert_eq!(written, [one(&target), one(&copy)].into(), "{}", pod.name);
        let wanted_mode = if context["chmod"] == "+x" { 0o755 } else { 0o644 };
        assert_eq!((mode(&target), mode(&copy)), (wanted_mode, wanted_mode), "{}", pod.name);
        match context["content"].as_str() {
            Some(content) => assert_eq!(text, content, "{}", pod.name),
            None => assert!(text.starts_with(&format!("\nFROM {}\n", context["image"].as_str().unwrap()))),
        }
        for step in context["run"].as_array().into_iter().flatten() {
            assert!(text.contains(&format!("\nRUN {}\n", step.as_str().unwrap())), "{text}");
        }
        let [(method, path, who, body)] = &pod.asked()[..] else { panic!("{}: {:?}", pod.name, pod.asked()) };
        let lineage = format!("/api/v1/owner-name/project-name/runs/{RUN}/lineage/artifacts");
        assert_eq!((method.as_str(), path, who.as_str()), ("POST", &lineage, "Token run-token-1"));
        let [artifact] = &body["artifacts"].as_array().unwrap()[..] else { panic!("{body}") };
        assert_eq!(artifact["kind"], kind, "{body}");
        assert_eq!(artifact["path"], format!("outputs/{name}"), "{body}");
        assert_eq!(artifact["summary"]["path"], format!("{RUN}/outputs/{name}"), "{body}");
        assert_eq!(artifact["is_input"], true, "{body}");
    }
    assert_eq!(all.len(), 4);
}
