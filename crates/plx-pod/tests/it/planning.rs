use crate::{component, pod_of, vars};
use plx_pod::plan::{Container, Pod};
use std::path::PathBuf;

const ROOT: &str = "/w/.plx/pods/plx-operation-u1";

fn pod(run: &str) -> Pod {
    pod_of(&component(run), &[], &vars(&[])).expect("a pod")
}

fn argv(container: &Container) -> String {
    container.program.words().join(" ").replace(ROOT, "ROOT")
}

#[track_caller]
fn entry(entry: &str, want: &str) {
    let run = format!("  init:\n  - {entry}\n  container: {{command: [a]}}\n");
    assert_eq!(argv(&pod(&run).inits[1]), want);
}

const HEAD: &str = "plx-init artifacts --connection local --to";

#[test]
fn the_argv_of_each_kind_of_entry() {
    entry("artifacts: {dirs: [a]}", &format!("{HEAD} ROOT/artifacts --artifacts {{\"dirs\":[\"a\"]}}"));
    entry(
        "artifacts: {files: [a, [b, c]], workers: 3}",
        &format!("{HEAD} ROOT/artifacts --artifacts {{\"files\":[\"a\",[\"b\",\"c\"]],\"workers\":3}}"),
    );
    entry("paths: ['x/{{ uuid }}']", &format!("{HEAD} ROOT/artifacts --paths [\"x/u1\"]"));
    entry("connection: local", &format!("{HEAD} ROOT/artifacts --whole"));
    entry("artifacts: {workers: 2}", &format!("{HEAD} ROOT/artifacts --whole --workers 2"));
    entry("{path: /s3-path/, connection: local}", &format!("{HEAD} ROOT/paths/s3-path --whole"));
    entry("{path: /plx-context/x, connection: local}", &format!("{HEAD} ROOT/x --whole"));
    entry("{path: '{{ artifacts_path }}/x', connection: local}", &format!("{HEAD} ROOT/artifacts/x --whole"));
}

#[test]
fn the_default_init_comes_first_and_containers_last() {
    let pod = pod(
        "  init:\n  - container: {name: mine, command: [b, /data/x]}\n  - {path: /data, connection: local}\n  \
                   container: {command: [ls, /data, /plx-context/artifacts]}\n",
    );
    assert_eq!(
        pod.inits.iter().map(argv).collect::<Vec<_>>(),
        [
            format!("{HEAD} ROOT/artifacts --artifacts {{\"dirs\":[\"u1\"]}} --sync-fw"),
            format!("{HEAD} ROOT/paths/data --whole"),
            "b ROOT/paths/data/x".to_owned(),
        ]
    );
    assert_eq!(argv(&pod.main), "ls ROOT/paths/data ROOT/artifacts");
    assert_eq!(pod.inits[0].name, "polyaxon-init-artifacts-default");
    assert_eq!(pod.inits[2].name, "mine");
    let folders = ["artifacts", "paths/data", "artifacts/u1", "artifacts/u1/outputs"];
    assert_eq!(pod.folders, folders.map(|folder| PathBuf::from(ROOT).join(folder)));
    assert_eq!(pod.stored_at.as_deref(), Some("/w/.plx/store/u1"));
}

#[test]
fn another_connection_has_its_own_folder() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("c.yaml");
    std::fs::write(
        &file,
        "connections: [{name: d, kind: host_path, schema: {hostPath: /host, mountPath: /mnt}}]\n",
    )
    .expect("written");
    let file = file.to_str().expect("UTF-8");
    let document = component(
        "  init: [{connection: d}]\n  connections: [d]\n  \
         container: {command: [cat, /mnt/x, '{{ connections.d.mountPath }}', '{{ init.d.hostPath }}']}\n",
    );
    let pod = pod_of(&document, &["--connections", file], &vars(&[])).expect("a pod");
    assert_eq!(argv(&pod.inits[1]), "plx-init artifacts --connection d --to ROOT/artifacts/d --whole");
    assert_eq!(argv(&pod.main), "cat /host/x /host /host");
    let catalog = &pod.inits[1].vars["POLYAXON_CONNECTIONS_CATALOG"];
    assert!(catalog.contains("\"mountPath\":\"/host\"") && !catalog.contains("local"), "{catalog}");
}

#[test]
fn credentials_reach_only_who_uses_the_connection() {
    let caller = vars(&[
        ("PATH", "/bin"),
        ("AWS_ACCESS_KEY_ID", "K"),
        ("aws_secret_access_key", "S"),
        ("POLYAXON_AWS_REGION", "R"),
        ("SECRET_OF_MINE", "no"),
        ("WANTED", "yes"),
        ("TERM", "x"),
    ]);
    let words = ["--store", "s3://b", "--env-pass", "WANTED"];
    let container = "  container: {command: [a], env: [{name: POLYAXON_K8S_NODE_NAME, value: mine}, {name: N, value: 1}]}\n";
    let pod = pod_of(&component(container), &words, &caller).expect("a pod");
    let sidecar = pod.sidecar.as_ref().expect("a sidecar");
    for with in [&pod.inits[0].vars, &sidecar.vars] {
        assert_eq!((&*with["AWS_ACCESS_KEY_ID"], &*with["aws_secret_access_key"]), ("K", "S"));
        assert_eq!(with["POLYAXON_AWS_REGION"], "R");
    }
    let main = &pod.main.vars;
    assert!(!main.keys().any(|key| key.to_uppercase().contains("AWS")), "{:?}", main.keys());
    assert!(!main.contains_key("POLYAXON_CONNECTIONS_CATALOG") && !main.contains_key("SECRET_OF_MINE"));
    let want = [
        ("PATH", "/bin"),
        ("TERM", "x"),
        ("WANTED", "yes"),
        ("N", "1"),
        ("POLYAXON_RUN_INSTANCE", "local.local.runs.u1"),
        ("POLYAXON_K8S_POD_ID", "plx-operation-u1"),
        ("POLYAXON_K8S_NODE_NAME", "local"), // the built-in value beats the document's
        ("POLYAXON_CONTEXT_ROOT", ROOT),
        ("POLYAXON_ARTIFACTS_STORE_NAME", "s3"),
        ("POLYAXON_COLLECT_ARTIFACTS", "true"),
        ("POLYAXON_NO_API", "true"),
        ("POLYAXON_IS_OFFLINE", "true"),
    ];
    for (key, value) in want {
        assert_eq!(main.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert_eq!(main["POLYAXON_RUN_OUTPUTS_PATH"], format!("{ROOT}/artifacts/u1/outputs"));
    assert!(!pod.inits[0].vars.contains_key("POLYAXON_RUN_INSTANCE"), "as in the platform");
    let document = format!("{}plugins: {{mountArtifactsStore: true}}\n", component(container));
    let pod = pod_of(&document, &words, &caller).expect("a pod");
    assert_eq!(pod.main.vars["AWS_ACCESS_KEY_ID"], "K");
}

#[test]
fn the_sidecars_intervals_come_from_the_command_line_then_the_file_then_ten() {
    let marker =
        format!("--main-marker={ROOT}/artifacts/.plx/plx-operation-u1/main-exit.json").replace(ROOT, "ROOT");
    let check = |plugins: &str, words: &[&str], sleep: i64, sync: i64, rest: &str| {
        let document = format!("{}plugins: {plugins}\n", component("  container: {command: [a]}\n"));
        let pod = pod_of(&document, words, &vars(&[])).expect("a pod");
        let want = format!(
            "plx-sidecar --container-id=polyaxon-main --sleep-interval={sleep} --sync-interval={sync} {marker} {rest}"
        );
        assert_eq!(argv(pod.sidecar.as_ref().expect("a sidecar")), want);
    };
    check("{sidecar: {syncInterval: null}}", &[], 10, 10, "--grace-period=30");
    check("{sidecar: {syncInterval: -1, sleepInterval: 2}}", &[], 2, -1, "--grace-period=30");
    let words =
        ["--sync-interval", "5", "--sleep-interval", "1", "--grace-period", "9", "--finish-timeout", "60"];
    check("{sidecar: {syncInterval: -1}}", &words, 1, 5, "--grace-period=9 --finish-timeout=60");
}

#[test]
fn without_collection_main_works_on_the_store_itself() {
    let document = component("  container: {command: ['{{ run_artifacts_path }}', '{{ store_path }}']}\n");
    let document = format!("{document}plugins: {{collectArtifacts: false}}\n");
    let pod = pod_of(&document, &[], &vars(&[])).expect("a pod");
    assert_eq!(argv(&pod.main), "/w/.plx/store/u1 /w/.plx/store");
    assert!(pod.sidecar.is_none() && pod.log.is_none() && pod.inits.is_empty());
    assert_eq!(pod.main.vars["POLYAXON_RUN_OUTPUTS_PATH"], "/w/.plx/store/u1/outputs");
}

#[test]
fn what_cannot_be_done_here_is_refused_before_anything_starts() {
    let refused = |run: &str, want: &str| {
        let message = pod_of(&component(run), &[], &vars(&[])).expect_err(run).message;
        assert_eq!(message, want);
    };
    let with =
        |entry: &str| format!("  init:\n  - artifacts: {{}}\n  - {entry}\n  container: {{command: [a]}}\n");
    refused(
        &with("git: {}"),
        "f.yaml:7:5: init entry 2: `git` has neither a url nor a connection that has one",
    );
    refused(
        &with("connection: zz"),
        "f.yaml:7:5: init entry 2: init entry names the unknown connection `zz`",
    );
    let odd = "is not absolute, or the root, or holds `..`";
    for path in ["/", "data", "/a/../b"] {
        let want = format!("f.yaml:7:5: init entry 2: path `{path}` {odd}");
        refused(&with(&format!("{{path: {path}, connection: local}}")), &want);
    }
    refused("  container: {image: x}\n", "f.yaml:5:3: the container has no command");
    refused("  connections: []\n", "f.yaml:3:1: run has no container");
    refused("  connections: [zz]\n  container: {command: [a]}\n", "f.yaml:5:17: unknown connection `zz`");
}

#[test]
fn what_is_generated_is_the_entry_as_it_is_written_with_this_machines_paths() {
    let entry =
        "{file: {filename: run.sh, chmod: +x, content: 'cat /plx-context/artifacts {{ globals.uuid }}'}}";
    let other = "{dockerfile: {image: 'python:3', env: {A: 1}}, path: /data/x}";
    let run = format!("  init:\n  - {entry}\n  - {other}\n  container: {{command: [a]}}\n");
    let pod = pod_of(&component(&run), &[], &vars(&[])).expect("a pod");
    let words: Vec<Vec<String>> = pod.inits.iter().map(|init| init.program.words()).collect();
    let parsed = |words: &[String]| {
        let [program, command, entry] = words else { panic!("{words:?}") };
        assert_eq!((program.as_str(), command.as_str()), ("plx-init", "run"));
        serde_json::from_str::<serde_json::Value>(entry).expect("JSON")
    };
    let count = words.len();
    let (file, dockerfile) = (parsed(&words[count - 2]), parsed(&words[count - 1]));
    let root = pod.main.vars["POLYAXON_CONTEXT_ROOT"].as_str();
    assert_eq!(file["file"]["content"], format!("cat {root}/artifacts u1"));
    assert_eq!(file["path"], format!("{root}/artifacts"));
    assert_eq!(dockerfile["dockerfile"]["env"]["A"], 1);
    assert_eq!(dockerfile["path"], format!("{root}/paths/data/x"));
}

#[test]
fn a_repository_is_cloned_below_the_entrys_path_and_by_its_connection() {
    let run = "  init:\n  - {git: {url: /r/code, revision: dev, flags: ['--depth 1']}, path: /src}\n  container: {command: [ls, /src/code]}\n";
    let pod = pod_of(&component(run), &[], &vars(&[("POLYAXON_GIT_CREDENTIALS", "u:t")])).expect("a pod");
    let init = pod.inits.last().expect("an init");
    let entry: serde_json::Value = serde_json::from_str(&init.program.words()[2]).expect("JSON");
    let root = pod.main.vars["POLYAXON_CONTEXT_ROOT"].as_str();
    assert_eq!(
        entry["git"],
        serde_json::json!({"url": "/r/code", "revision": "dev", "flags": ["--depth 1"]})
    );
    assert_eq!(entry["path"], format!("{root}/paths/src"));
    assert_eq!(argv(&pod.main), "ls ROOT/paths/src/code");
    assert!(!init.vars.contains_key("POLYAXON_GIT_CREDENTIALS"), "it names no connection that they are for");
}

#[test]
fn a_value_from_a_secret_is_the_callers_variable() {
    let run =
        "  container: {command: [a], env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}]}\n";
    let failure = pod_of(&component(run), &[], &vars(&[])).expect_err("not set");
    assert_eq!(failure.message, "f.yaml:5:35: variable TOKEN: `valueFrom` needs a cluster");
    let pod = pod_of(&component(run), &[], &vars(&[("TOKEN", "t")])).expect("a pod");
    assert_eq!(pod.main.vars["TOKEN"], "t");
}

/// A pod with the connections file `config`.
fn with_file(document: &str, config: &str, caller: &crate::Vars) -> Result<Pod, plx_runtime::Failure> {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("c.yaml");
    std::fs::write(&file, config).expect("written");
    pod_of(document, &["--connections", file.to_str().expect("UTF-8")], caller)
}

#[test]
fn volumes_of_older_documents_are_folders_of_this_machine() {
    let config = "persistence:\n  data:\n    d1: {mountPath: /data/1, hostPath: /host/one}\n    d2: {mountPath: /data/2, \
                  existingClaim: c}\n    d3: {store: s3, bucket: 's3://b', secret: s, secretKey: K}\n  outputs:\n    o: \
                  {mountPath: /out, hostPath: /host/out}\n";
    let run = |environment: &str| {
        component(&format!("  environment: {environment}\n  container: {{command: [ls, /data/1/x]}}\n"))
    };
    let pod = with_file(&run("{}"), config, &vars(&[("K", "key")])).expect("a pod");
    assert_eq!(pod.main.vars["POLYAXON_RUN_DATA_PATHS"], r#"{"d1": "/host/one", "d3": "s3://b"}"#);
    assert_eq!(pod.main.vars["POLYAXON_RUN_OUTPUTS_PATH"], "/host/out/local/local/jobs/u1");
    assert_eq!(pod.main.vars["K"], "key");
    assert_eq!(argv(&pod.main), "ls /host/one/x");
    assert!(pod.folders.contains(&PathBuf::from("/host/out/local/local/jobs/u1")), "{:?}", pod.folders);
    assert!(pod.notes.iter().any(|note| note.contains("`d2` is the claim `c`")), "{:?}", pod.notes);

    let some = with_file(&run("{persistence: {data: [d1]}}"), config, &vars(&[])).expect("a pod");
    assert_eq!(some.main.vars["POLYAXON_RUN_DATA_PATHS"], r#"{"d1": "/host/one"}"#);
    assert!(!some.main.vars.contains_key("K"));
    let failure = with_file(&run("{data_refs: [d2]}"), config, &vars(&[])).map(|_| ()).expect_err("a claim");
    assert!(failure.message.contains("needs a cluster"), "{}", failure.message);

    let by_default = with_file(&run("{}"), "persistence: {}\n", &vars(&[])).expect("a pod");
    assert_eq!(by_default.main.vars["POLYAXON_RUN_DATA_PATHS"], r#"{"data": "/w/.plx/data"}"#);
    assert_eq!(by_default.main.vars["POLYAXON_RUN_OUTPUTS_PATH"], "/w/.plx/outputs/local/local/jobs/u1");
}

#[test]
fn inputs_are_known_to_templates_and_to_main() {
    let text = "version: 1.1\nkind: operation\nparams: {lr: {value: 0.1}}\ncomponent:\n  inputs:\n  - {name: lr, type: float}\n  - \
                {name: who, value: me, toEnv: WHO}\n  run:\n    kind: job\n    container: {command: [a, '{{ lr }}', '{{ \
                params.who.as_arg }}']}\n";
    let pod = pod_of(text, &[], &vars(&[])).expect("a pod");
    assert_eq!(argv(&pod.main), "a 0.1 --who=me");
    assert_eq!(pod.main.vars["WHO"], "me");
    let other = text.replace("{value: 0.1}", "{value: outputs.x, ref: ops.a}");
    let failure = pod_of(&other, &[], &vars(&[])).map(|_| ()).expect_err("a reference");
    assert_eq!(failure.message, "f.yaml:3:10: `ref` of parameter `lr` needs the platform");
}
