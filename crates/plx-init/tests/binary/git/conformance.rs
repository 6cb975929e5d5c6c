//! What the reference did (`tests/fixtures/git_runs.json`), with the list of what we do otherwise: exit code (zero or
//! not), what git says of the clone, and the calls of the tracking API.

use super::scene::{RUN, code};
use crate::lab::Lab;
use plx_testkit::{FakeTracking, GitRepo};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

const CASES: &str = include_str!("../../fixtures/git_runs.json");

/// A deliberate difference: the case, what comes instead (nothing: it fails), and why.
struct Otherwise {
    case: &'static str,
    becomes: Option<Clone>,
    why: &'static str,
}

/// A clone: the revision it is at in the repository, its branch, how many commits it has, and the submodule's files.
struct Clone {
    revision: &'static str,
    branch: &'static str,
    commits: &'static str,
    submodule: Option<&'static [&'static str]>,
}

const JSON: &str =
    "CONTRACT 9.2: the form that the converter emits, which the reference splits at its commas and fails";

const DIFFERENCES: &[Otherwise] = &[
    Otherwise {
        case: "git-bad-revision",
        becomes: None,
        why: "CONTRACT 9.2: a revision that is not there is an error, and not the default branch",
    },
    Otherwise {
        case: "git-experimental-bad-revision",
        becomes: None,
        why: "CONTRACT 9.2: a revision that is not there is an error, and not an empty repository",
    },
    Otherwise {
        case: "git-depth-json-flags",
        becomes: Some(Clone { revision: "main", branch: "main", commits: "1", submodule: Some(&[]) }),
        why: JSON,
    },
    Otherwise {
        case: "git-recurse-submodules-json",
        becomes: Some(Clone {
            revision: "main",
            branch: "main",
            commits: "2",
            submodule: Some(&[".git", "s"]),
        }),
        why: JSON,
    },
    Otherwise {
        case: "git-recurse-submodules-json-revision",
        becomes: Some(Clone {
            revision: "dev",
            branch: "dev",
            commits: "3",
            submodule: Some(&[".git", "s"]),
        }),
        why: JSON,
    },
    Otherwise {
        case: "git-experimental-json",
        becomes: Some(Clone { revision: "dev", branch: "HEAD", commits: "1", submodule: Some(&[]) }),
        why: JSON,
    },
    Otherwise {
        case: "git-unsafe-config-flag",
        becomes: Some(Clone { revision: "main", branch: "main", commits: "2", submodule: Some(&[]) }),
        why: "CONTRACT 9.2: the documented `-c http.sslVerify=false` works, which the reference's library refuses",
    },
];

/// The hashes of the recording and ours, which differ by the address of the submodule.
fn renamed(repo: &GitRepo) -> Vec<(String, String)> {
    let of = |case: &str| {
        let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
        let case = cases.into_iter().find(|found| found["name"] == case).unwrap();
        case["after"]["head"].as_str().unwrap().to_owned()
    };
    let names = [("git-default", "main"), ("git-branch", "dev"), ("git-tag", "v1")];
    names.map(|(case, revision)| (of(case), repo.git(&["rev-parse", revision]))).into()
}

/// As the recording's runner looked at a clone; what git has no answer to is not compared.
fn after(lab: &Lab) -> Value {
    let folder = code(lab);
    if !folder.join(".git").exists() {
        return Value::Null;
    }
    let git = |args: &[&str]| super::scene::git(lab, args);
    let submodule = fs::read_dir(folder.join("submod")).ok().map(|entries| {
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    });
    json!({
        "remote": git(&["remote", "-v"]),
        "head": git(&["rev-parse", "HEAD"]),
        "branch": git(&["rev-parse", "--abbrev-ref", "HEAD"]),
        "depth": git(&["rev-list", "--count", "HEAD"]),
        "sub": submodule,
        "a": fs::read_to_string(folder.join("a")).ok(),
    })
}

/// Path and body of every call; times are left out.
fn calls(api: &FakeTracking) -> Value {
    let call = |call: plx_testkit::SeenCall| json!({"method": call.method, "path": call.path, "body": untimed(call.body)});
    api.calls().into_iter().map(call).collect()
}

fn untimed(mut body: Value) -> Value {
    if let Some(condition) = body.get_mut("condition").and_then(Value::as_object_mut) {
        condition.retain(|key, _| !key.ends_with("_time"));
    }
    body
}

fn told(case: &Value, clone: &Value, connection: &Value) -> Value {
    let url =
        case["argv"].as_array().unwrap().iter().find_map(|arg| arg.as_str().unwrap().strip_prefix("--url="));
    let head = &clone["head"];
    let summary = json!({"commit": head, "branch": clone["branch"], "url": url});
    let mut artifact = json!({"name": head, "kind": "coderef", "summary": summary, "is_input": true});
    if !connection.is_null() {
        artifact["connection"] = connection.clone();
    }
    let path = format!("/api/v1/owner-name/project-name/runs/{RUN}/lineage/artifacts");
    json!([{"method": "POST", "path": path, "body": {"artifacts": [artifact]}}])
}

fn warned() -> Value {
    let message = "Error cloning git repo. Please check the git init container's logs for more details.";
    let condition =
        json!({"type": "warning", "status": true, "reason": "GitInitializer", "message": message});
    let path = format!("/api/v1/owner-name/project-name/runs/{RUN}/statuses");
    json!([{"method": "POST", "path": path, "body": {"condition": condition}}])
}

#[tokio::test]
async fn every_recorded_clone_ends_the_same_or_better() {
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    assert_eq!(cases.len(), 17);
    let repo = GitRepo::sample();
    for known in DIFFERENCES {
        assert!(
            cases.iter().any(|case| case["name"] == known.case) && known.why.len() > 20,
            "{}",
            known.case
        );
    }
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let mut lab = Lab::empty();
        let git = lab.path("git");
        fs::create_dir_all(&git).unwrap();
        assert!(
            Command::new("ln").arg("-s").arg(repo.path()).arg(git.join("repo")).status().unwrap().success()
        );
        lab.set("POLYAXON_CONTEXT_ROOT", &lab.path("").display().to_string());
        fs::create_dir_all(lab.path(".configs")).unwrap();
        fs::write(lab.path(".configs/.auth"), r#"{"username": "jane", "token": "file-token"}"#).unwrap();
        lab.plant("file-token");
        let (root, to) = (lab.path("").display().to_string(), code(&lab).display().to_string());
        let here = |text: &str| {
            text.replace("/plx-context/artifacts/repo", &to).replace("/TMP", root.trim_end_matches('/'))
        };
        let api = FakeTracking::start().await;
        for (key, value) in case["env_extra"].as_object().unwrap() {
            lab.set(key, &here(value.as_str().unwrap()));
        }
        if case["env_extra"]["POLYAXON_NO_API"].is_null() {
            lab.set("POLYAXON_HOST", &api.url());
            lab.set("POLYAXON_RUN_INSTANCE", &format!("owner-name.project-name.runs.{RUN}"));
        }
        if name == "git-existing-dir" {
            fs::create_dir_all(code(&lab)).unwrap();
            fs::write(code(&lab).join("x"), "x").unwrap();
        }
        if let Some((_, password)) =
            case["env_extra"]["POLYAXON_GIT_CREDENTIALS"].as_str().and_then(|both| both.split_once(':'))
        {
            lab.plant(&format!("user:{password}"));
        }
        let argv: Vec<String> =
            case["argv"].as_array().unwrap().iter().map(|arg| here(arg.as_str().unwrap())).collect();
        let ended = lab.polyaxon(&argv.iter().map(String::as_str).collect::<Vec<_>>()).await;

        let known = DIFFERENCES.iter().find(|known| known.case == name);
        let connection =
            argv.iter().find_map(|arg| arg.strip_prefix("--connection=")).map_or(Value::Null, Value::from);
        let (want, wanted_calls) = match known.map(|known| &known.becomes) {
            None => (case["after"].clone(), case["requests"].clone()),
            Some(None) => (Value::Null, warned()),
            Some(Some(clone)) => {
                let url = case["argv"][3].as_str().unwrap().strip_prefix("--url=").unwrap();
                let after = json!({
                    "remote": format!("origin\t{url} (fetch)\norigin\t{url} (push)"),
                    "head": repo.git(&["rev-parse", clone.revision]),
                    "branch": clone.branch,
                    "depth": clone.commits,
                    "sub": clone.submodule,
                    "a": repo.git(&["show", &format!("{}:a", clone.revision)]),
                });
                let told = told(case, &after, &connection);
                (after, told)
            }
        };
        let ours = |value: Value| {
            let mut text = here(&value.to_string());
            for (theirs, ours) in renamed(&repo) {
                text = text.replace(&theirs, &ours);
            }
            serde_json::from_str::<Value>(&text).unwrap()
        };
        let (want, wanted_calls) = (ours(want), ours(wanted_calls));
        let succeeds = !want.is_null();
        assert!(known.is_some() || (case["rc"] == 0) == succeeds, "{name}");
        assert_eq!(ended.code == 0, succeeds, "{name}: {ended:?}");
        assert_eq!(after(&lab), want, "{name}: {ended:?}");
        assert_eq!(calls(&api), wanted_calls, "{name}: {ended:?}");
        if succeeds {
            assert_eq!(ended.stdout, format!("Git Repo is initialized, path: `{to}`\n"), "{name}");
        }
        ended.says_nowhere("s3cret");
    }
}
