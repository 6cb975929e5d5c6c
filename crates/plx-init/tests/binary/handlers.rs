//! What the reference's other handlers did (`tests/fixtures/handlers.json`, `plx-contract/tests/fixtures/files`), with the
//! list of what we do otherwise: exit code (zero or not), files, modes, and the calls of the tracking API.

use crate::lab::{Lab, put_files};
use plx_testkit::{FakeTracking, SeenCall};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const CASES: &str = include_str!("../fixtures/handlers.json");
const RUNS: [&str; 2] = ["c7c0a8a6d6914b8a9c1b2b3f9e6e1d11", "11c0a8a6d6914b8a9c1b2b3f9e6e1d22"];

/// Name to mode and text; folders end in `/` and have no text.
type Tree = BTreeMap<String, (String, Option<String>)>;

/// A deliberate difference: the case, whether we succeed, how our files differ, and why.
struct Otherwise {
    case: &'static str,
    succeeds: bool,
    changed: &'static [(&'static str, Option<(&'static str, &'static str)>)],
    why: &'static str,
}

const SCRIPT: &str =
    "tensorboard  --logdir=/plx-context/artifacts/tensorboard --port=6006 --path_prefix= --host=0.0.0.0";

const DIFFERENCES: &[Otherwise] = &[
    Otherwise {
        case: "file-no-filename",
        succeeds: true,
        changed: &[("artifacts/file", Some(("0o644", "x")))],
        why: "CONTRACT 8: the converter's default name, `file`, where the reference crashes",
    },
    Otherwise {
        case: "file-bad-chmod",
        succeeds: false,
        changed: &[("artifacts/f", None)],
        why: "nothing is half-written: the mode is checked before the file is made",
    },
    Otherwise {
        case: "file-traversal",
        succeeds: false,
        changed: &[],
        why: "CONTRACT 8: a name that leaves the target is refused",
    },
    Otherwise {
        case: "tensorboard-s3-store",
        succeeds: false,
        changed: &[
            ("artifacts/start_tensorboard", None),
            ("artifacts/tensorboard/", None),
            ("artifacts/tensorboard/c7c0a8a6d6914b8a9c1b2b3f9e6e1d11/", None),
        ],
        why: "CONTRACT 1.8: the bucket is fetched from; here nobody listens where it should be",
    },
    Otherwise {
        case: "sh-resume-volume",
        succeeds: true,
        changed: &[("artifacts/R/.hidden", Some(("0o644", "h")))],
        why: "HOUSE 4: dotfiles are copied",
    },
    Otherwise {
        case: "sh-resume-volume-only-hidden",
        succeeds: true,
        changed: &[("artifacts/R/.h", Some(("0o644", "h")))],
        why: "HOUSE 4: dotfiles are copied",
    },
];

fn tree(root: &Path) -> Tree {
    let mut found = Tree::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            let mode = format!("0o{:o}", fs::metadata(&path).unwrap().permissions().mode() & 0o7777);
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.insert(format!("{name}/"), (mode, None));
                open.push(path);
            } else {
                found.insert(name, (mode, Some(fs::read_to_string(&path).unwrap())));
            }
        }
    }
    found
}

fn recorded(case: &Value) -> Tree {
    let files = case["files"].as_object().cloned().unwrap_or_default();
    let entry = |(name, entry): (String, Value)| {
        let text = entry["text"].as_str().map(str::to_owned);
        (name, (entry["mode"].as_str().unwrap().to_owned(), text))
    };
    files.into_iter().map(entry).collect()
}

/// Of `.fs` only that it is there: its times differ, and other tests compare the rest. A folder that we make is open to
/// every user, and one that stood there before is the test's own.
fn comparable(mut tree: Tree) -> Tree {
    for (name, (mode, text)) in &mut tree {
        if name.ends_with("/.fs") {
            *text = None;
        }
        if name.ends_with('/') {
            mode.clear();
        }
    }
    tree
}

fn set_up(lab: &mut Lab, name: &str) {
    fs::create_dir_all(lab.path("ctx/artifacts")).unwrap();
    fs::create_dir_all(lab.path("ctx/.configs")).unwrap();
    lab.set("POLYAXON_CONTEXT_ROOT", &lab.path("ctx").display().to_string());
    lab.set("HOME", &lab.path("home").display().to_string());
    lab.set("AWS_EC2_METADATA_DISABLED", "true");
    let store = lab.path("store");
    put_files(
        &store,
        &[("f.txt", "f"), ("d/a", "a"), ("d/sub/b", "b"), ("d/.hidden", "h"), ("onlyhidden/.h", "h")],
    );
    for run in RUNS {
        put_files(&store, &[(&format!("{run}/outputs/tensorboard/ev"), run)]);
    }
    if name == "file-context-is-a-path" {
        fs::write(lab.path("ctx/c.yaml"), "content: from yaml\nfilename: y.txt\n").unwrap();
    }
}

/// The API as the recording had it: one run of this pod, two others of one name, and what goes wrong by the case's name.
async fn api(lab: &mut Lab, name: &str) -> FakeTracking {
    const RUN: &str = "8aac02e3a62a4f0aaa257c59da5eab80";
    let api = FakeTracking::start().await;
    api.add_run("owner-name", "project-name", RUN, None);
    for run in RUNS {
        api.add_run("owner-name", "project-name", run, Some("exp"));
    }
    api.give("run-token-1", "jane");
    match name {
        "auth-retry-once-403" => api.fail("/impersonate", 403, 1),
        "auth-users-401" => api.fail("/api/v1/users", 401, 2),
        "file-api-down" => api.fail("/lineage/artifacts", 500, 20),
        "tensorboard-names-api-500" => api.fail("/runs", 500, 5),
        _ => {}
    }
    // As the recording's pods had it; without it they belong to no run.
    let managed = ["auth-", "file-", "dockerfile-", "tensorboard"].iter().any(|kind| name.starts_with(kind));
    if managed && name != "file-no-api" {
        lab.set("POLYAXON_HOST", &api.url());
        lab.set("POLYAXON_RUN_INSTANCE", &format!("owner-name.project-name.runs.{RUN}"));
        lab.set("POLYAXON_HEADER", "X-POLYAXON-SERVICE");
        lab.set("POLYAXON_HEADER_SERVICE", "initializer");
        lab.set("POLYAXON_AUTHENTICATION_TYPE", "Token");
    } else {
        lab.set("POLYAXON_NO_API", "true");
    }
    let signed_in =
        fs::write(lab.path("ctx/.configs/.auth"), r#"{"username": "jane", "token": "file-token"}"#);
    if serde_json::from_str::<Vec<Value>>(CASES).unwrap().iter().any(|case| {
        case["name"] == name && case["files"].get(".configs/.auth").is_some() && !name.starts_with("auth-")
    }) {
        signed_in.unwrap();
    } else {
        fs::remove_file(lab.path("ctx/.configs/.auth")).unwrap();
    }
    api
}

/// Method, path, query, who asks, and what is sent.
type Call = (String, String, String, String, Value);

fn asked(api: &FakeTracking) -> Vec<Call> {
    let call = |call: SeenCall| {
        let authorization = call.header("authorization").unwrap_or_default().to_owned();
        assert_eq!(call.header("x-polyaxon-service"), Some("initializer"));
        (call.method.clone(), call.path.clone(), call.query.clone(), authorization, call.body)
    };
    api.calls().into_iter().map(call).collect()
}

fn recorded_calls(case: &Value) -> Vec<Call> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let call = |call: &Value| {
        let authorization = text(&call["headers"]["Authorization"]);
        (
            text(&call["method"]),
            text(&call["path"]),
            text(&call["query"]),
            authorization,
            call["body"].clone(),
        )
    };
    case["requests"].as_array().unwrap().iter().map(call).collect()
}

#[tokio::test]
async fn every_recorded_run_of_a_handler_ends_the_same_or_better() {
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    let mut compared = 0;
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        // Fourteen seconds of pauses; made in-process, where they take no time.
        if name == "auth-fails" {
            continue;
        }
        let mut lab = Lab::empty();
        set_up(&mut lab, name);
        for secret in ["agent-token", "run-token-1", "file-token", "env-token-xyz"] {
            lab.plant(secret);
        }
        let api = api(&mut lab, name).await;
        let (ctx, root) = (lab.path("ctx").display().to_string(), lab.path("").display().to_string());
        let here =
            |text: &str| text.replace("/plx-context", &ctx).replace("/TMP", root.trim_end_matches('/'));
        for (key, value) in case["env_extra"].as_object().unwrap() {
            lab.set(key, &here(value.as_str().unwrap()));
        }
        let argv: Vec<String> =
            case["argv"].as_array().unwrap().iter().map(|arg| here(arg.as_str().unwrap())).collect();
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let ended = match case["shell"].as_bool() {
            Some(true) => lab.sh(argv[0]).await,
            _ => lab.polyaxon(&argv).await,
        };
        let mut want = recorded(case);
        let mut succeeds = case["rc"] == 0;
        if let Some(known) = DIFFERENCES.iter().find(|known| known.case == name) {
            assert!(known.why.len() > 20);
            succeeds = known.succeeds;
            for (file, now) in known.changed {
                match now {
                    Some((mode, text)) => {
                        want.insert((*file).to_owned(), ((*mode).to_owned(), Some((*text).to_owned())));
                    }
                    None => assert!(want.remove(*file).is_some(), "{name}: {file} is not in the fixture"),
                }
            }
        }
        if name.starts_with("tensorboard-names") && succeeds {
            // CONTRACT 1.8: a prefix that was not given prints as none, not as `None`.
            want.insert("artifacts/start_tensorboard".into(), ("0o755".into(), Some(SCRIPT.into())));
        }
        let want: Tree = want
            .into_iter()
            .map(|(name, (mode, text))| (name, (mode, text.map(|text| here(&text)))))
            .collect();
        assert_eq!(ended.code == 0, succeeds, "{name}: {ended:?}");
        assert_eq!(comparable(tree(&lab.path("ctx"))), comparable(want), "{name}: {ended:?}");
        assert_eq!(asked(&api), recorded_calls(case), "{name}: {ended:?}");
        compared += 1;
    }
    assert!(compared >= 20, "{compared} cases");
}

#[tokio::test]
async fn every_recorded_file_has_the_same_bytes_and_the_same_mode() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plx-contract/tests/fixtures/files");
    let mut compared = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let case = entry.unwrap().path();
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        let lab = Lab::empty();
        let context = fs::read_to_string(case.join("context.json")).unwrap();
        let result: Value =
            serde_json::from_str(&fs::read_to_string(case.join("result.json")).unwrap()).unwrap();
        let (to, copy) =
            (lab.path("dest").display().to_string(), lab.path("dest/copy").display().to_string());
        let args =
            ["initializer", "file", "--file-context", &context, "--filepath", &to, "--copy-path", &copy];
        let ended = lab.polyaxon(&args).await;
        assert_eq!(ended.code == 0, result["rc"] == 0, "{name}: {ended:?}");
        let mut want = BTreeMap::new();
        for (file, seen) in result["files"].as_object().unwrap() {
            want.insert(file.clone(), (seen["mode"].clone(), seen["bytes_hex"].clone()));
        }
        if name == "bad-chmod" {
            want.clear(); // nothing is half-written
        }
        let mut got = BTreeMap::new();
        for (file, (mode, text)) in tree(&lab.path("dest")) {
            if let Some(text) = text {
                let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
                got.insert(file, (Value::from(mode), Value::from(hex)));
            }
        }
        assert_eq!(got, want, "{name}");
        compared += 1;
    }
    assert!(compared >= 15, "{compared} cases");
}

#[tokio::test]
async fn a_context_that_is_wrong_is_64_and_its_content_is_not_repeated() {
    let lab = Lab::empty();
    for (context, word) in [
        ("{\"filename\": \"x\"}", "content"),
        ("{\"content\": 5, \"filename\": \"hunter2\"}", "content"),
        ("{\"content\": \"hunter2\", \"mode\": \"0600\"}", "mode"),
        ("content: [hunter2", "neither JSON nor YAML"),
        ("hunter2", "neither a JSON or YAML object"),
        ("{\"content\": \"hunter2\", \"chmod\": \"zz\"}", "chmod"),
    ] {
        let ended = lab.polyaxon(&["initializer", "file", "--file-context", context]).await;
        ended.failed(64, &[word]);
        ended.says_nowhere("hunter2");
    }
    let ended =
        lab.polyaxon(&["docker", "generate", "--build-context={\"image\":\"a b\"}", "--destination=."]).await;
    ended.failed(64, &["image"]);
    assert_eq!(lab.files().len(), 0);
}

#[tokio::test]
async fn a_name_that_leads_outside_is_65_and_writes_nothing() {
    let lab = Lab::empty();
    let to = lab.art("in");
    std::os::unix::fs::symlink(lab.path(""), lab.art("out")).unwrap();
    for (name, code) in [("../x", 65), ("a/../../x", 65), ("/x", 64), ("", 0)] {
        let context = serde_json::json!({"content": "x", "filename": name}).to_string();
        let args = ["initializer", "file", "--file-context", &context, "--filepath", to.to_str().unwrap()];
        let ended = lab.polyaxon(&args).await;
        assert_eq!(ended.code, code, "{name}: {ended:?}");
    }
    // An empty name is no name: then it is the default one.
    assert!(to.join("file").exists() && !to.join("x").exists());
    let art = lab.art("").display().to_string();
    let context = r#"{"content":"x","filename":"out/x"}"#;
    lab.polyaxon(&["initializer", "file", "--file-context", context, "--filepath", &art])
        .await
        .failed(65, &[]);
    assert!(!lab.path("x").exists());
}

#[tokio::test]
async fn the_program_that_runs_main_is_placed_whole_for_any_user() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("plx-entry"), folder.path().join("volume/.plx-main"));
    let place = |from: &Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_plx-init"));
        command
            .args(["entry", "--to", to.to_str().unwrap(), "--from", from.to_str().unwrap()])
            .output()
            .unwrap()
    };
    let missing = place(&from);
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(missing.status.code() == Some(78) && said.contains("is not there"), "{said}");
    fs::write(&from, "a program").unwrap();
    // A second attempt of the pod's places it anew.
    for _ in 0..2 {
        assert!(place(&from).status.success());
        assert_eq!(fs::read(to.join("plx-entry")).unwrap(), b"a program");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&to), mode(&to.join("plx-entry"))), (0o777, 0o755));
        assert_eq!(fs::read_dir(&to).unwrap().count(), 1, "nothing half there");
    }
    fs::write(folder.path().join("file"), "").unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_plx-init"));
    let blocked = folder.path().join("file/below").display().to_string();
    let blocked =
        command.args(["entry", "--to", &blocked, "--from", from.to_str().unwrap()]).output().unwrap();
    assert_eq!(blocked.status.code(), Some(73), "{}", String::from_utf8_lossy(&blocked.stderr));
}
