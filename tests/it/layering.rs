//! The import table of ARCHITECTURE.md, as a test: what may use what, and what must never be reached.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A crate, what it may use of ours, and what it must not reach, however far away.
struct Row {
    name: &'static str,
    ours: &'static [&'static str],
    never: &'static [&'static str],
}

const PURE: &[&str] = &["tokio", "hyper", "reqwest", "rustls", "object_store", "kube"];
const STEPS: &[&str] = &[
    "plx-contract",
    "plx-git",
    "plx-journal",
    "plx-store",
    "plx-transfer",
    "plx-kube",
    "plx-track",
    "plx-runtime",
];

const TABLE: &[Row] = &[
    Row {
        name: "plx-contract",
        ours: &[],
        never: &[
            "tokio",
            "hyper",
            "reqwest",
            "rustls",
            "object_store",
            "kube",
            "walkdir",
            "rustix",
            "cap-std",
        ],
    },
    Row { name: "plx-journal", ours: &["plx-contract"], never: PURE },
    Row { name: "plx-store", ours: &["plx-contract"], never: &["kube", "git2", "walkdir", "cap-std"] },
    Row { name: "plx-transfer", ours: &["plx-contract"], never: &["kube", "git2"] },
    Row {
        name: "plx-git",
        ours: &["plx-contract"],
        never: &["object_store", "kube", "openssl-sys", "libssh2-sys"],
    },
    Row { name: "plx-kube", ours: &["plx-contract"], never: &["object_store", "git2"] },
    Row { name: "plx-track", ours: &["plx-contract"], never: &["object_store", "kube", "git2"] },
    Row {
        name: "plx-entry",
        ours: &["plx-contract"],
        // A copy of it is made for every pod.
        never: &["tokio", "hyper", "reqwest", "rustls", "object_store", "clap"],
    },
    Row {
        name: "plx-runtime",
        ours: &["plx-contract"],
        never: &["object_store", "reqwest", "hyper", "kube", "git2"],
    },
    Row { name: "plx-init", ours: STEPS, never: &[] },
    Row { name: "plx-sidecar", ours: STEPS, never: &["git2", "libgit2-sys"] },
    Row {
        name: "plx-pod",
        ours: &["plx-contract", "plx-entry", "plx-runtime", "plx-init", "plx-sidecar"],
        never: &[],
    },
    Row { name: "plx-testkit", ours: &["plx-contract"], never: &[] },
    Row { name: "plx-tests", ours: &[], never: &[] },
];

/// A minute of C for what ring does in seconds; a second TLS library.
const NEVER_ANYWHERE: &[&str] = &["aws-lc-rs", "aws-lc-sys", "native-tls"];
/// Only beside tests.
const ONLY_FOR_TESTS: &[&str] =
    &["plx-testkit", "plx-tests", "s3s", "s3s-fs", "proptest", "tempfile", "filetime"];
/// The two that exist for tests.
const TESTS: &[&str] = &["plx-testkit", "plx-tests"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata(options: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1"])
        .args(options)
        .current_dir(workspace())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// Each of our crates with its direct dependencies: name and kind, `normal`, `dev` or `build`.
fn direct() -> BTreeMap<String, Vec<(String, String)>> {
    let metadata = metadata(&["--no-deps"]);
    let of = |package: &Value| {
        let kind = |dependency: &Value| dependency["kind"].as_str().unwrap_or("normal").to_owned();
        let all = list(package, "dependencies").map(|d| (text(d, "name").to_owned(), kind(d))).collect();
        (text(package, "name").to_owned(), all)
    };
    list(&metadata, "packages").map(of).collect()
}

#[test]
fn every_crate_stands_in_the_table_and_uses_of_ours_what_it_may() {
    let mut wrong = Vec::new();
    for (name, dependencies) in direct() {
        let Some(row) = TABLE.iter().find(|row| row.name == name) else {
            wrong.push(format!(
                "{name} stands in no row of the table: give it one here and in ARCHITECTURE.md"
            ));
            continue;
        };
        for (used, kind) in &dependencies {
            if used.starts_with("plx-") && kind != "dev" && !row.ours.contains(&used.as_str()) {
                wrong.push(format!("{name} must not use {used}; it may use {:?}", row.ours));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_tests_need_stands_only_under_dev_dependencies() {
    let mut wrong = Vec::new();
    for (name, dependencies) in direct() {
        for (used, kind) in dependencies {
            if kind != "dev" && ONLY_FOR_TESTS.contains(&used.as_str()) && !TESTS.contains(&name.as_str()) {
                wrong.push(format!("{name} has {used} under its {kind} dependencies"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_crate_of_ours_leads_back_to_itself_not_even_by_its_tests() {
    let all = direct();
    let ours = |name: &str| -> Vec<String> {
        all.get(name)
            .into_iter()
            .flatten()
            .map(|(used, _)| used.clone())
            .filter(|used| all.contains_key(used))
            .collect()
    };
    for name in all.keys() {
        let (mut reached, mut next) = (BTreeSet::new(), ours(name));
        while let Some(used) = next.pop() {
            assert_ne!(&used, name, "{name} leads back to itself through one of {reached:?}");
            if reached.insert(used.clone()) {
                next.extend(ours(&used));
            }
        }
    }
}

#[test]
fn nothing_reaches_what_it_must_never_reach() {
    // For the platform of the images: other platforms' crates need not be downloaded for this.
    let metadata = metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let names: BTreeMap<&str, &str> =
        list(&metadata, "packages").map(|package| (text(package, "id"), text(package, "name"))).collect();
    let normal = |node: &'_ Value| -> Vec<String> {
        let used = list(node, "deps").filter(|dep| list(dep, "dep_kinds").any(|kind| kind["kind"].is_null()));
        used.map(|dep| text(dep, "pkg").to_owned()).collect()
    };
    let uses: BTreeMap<&str, Vec<String>> =
        list(&metadata["resolve"], "nodes").map(|node| (text(node, "id"), normal(node))).collect();

    let mut wrong = Vec::new();
    for row in TABLE {
        let Some((&id, _)) = names.iter().find(|(_, name)| **name == row.name) else { continue };
        // Each reached package, and through which other it was reached first.
        let mut through: BTreeMap<&str, &str> = BTreeMap::new();
        let mut next = vec![id];
        while let Some(user) = next.pop() {
            for used in uses.get(user).into_iter().flatten() {
                if used != id && !through.contains_key(used.as_str()) {
                    through.insert(used, user);
                    next.push(used);
                }
            }
        }
        for reached in through.keys() {
            if row.never.contains(&names[reached]) || NEVER_ANYWHERE.contains(&names[reached]) {
                let way = std::iter::successors(Some(*reached), |at| through.get(at).copied());
                let way: Vec<&str> = way.map(|at| names[at]).collect();
                wrong.push(way.join(" <- "));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_contract_touches_neither_the_environment_nor_the_disk() {
    let mut folders = vec![workspace().join("crates/plx-contract/src")];
    let (mut files, mut wrong) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let source = std::fs::read_to_string(&path).unwrap();
            let code = source.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
            for (number, line) in code {
                for banned in ["std::env", "std::fs", "std::net", "std::process"] {
                    if line.contains(banned) {
                        wrong.push(format!("{}:{}: {banned}", path.display(), number + 1));
                    }
                }
            }
        }
    }
    assert!(files > 5, "the sources are elsewhere: {files} files found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
