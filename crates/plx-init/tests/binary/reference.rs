//! The reference's own runs (`tests/fixtures`), with the list of what we do otherwise.

use crate::lab::{Lab, put_files, put_objects};
use plx_testkit::Moto;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

const S3: &str = include_str!("../fixtures/s3.json");
const MOUNT: &str = include_str!("../fixtures/mount.json");

type Files = BTreeMap<String, Option<String>>;

/// What differs on purpose: the case, our exit code, our files when they differ as `(gone, new)`, and the rule.
struct Otherwise {
    case: &'static str,
    code: i32,
    without: &'static [&'static str],
    with: &'static [(&'static str, &'static str)],
    why: &'static str,
}

const fn fails(
    case: &'static str,
    code: i32,
    folder: &'static [&'static str],
    why: &'static str,
) -> Otherwise {
    Otherwise { case, code, without: folder, with: &[], why }
}

const MISSING: &str = "HOUSE 4: a missing or refused input fails, and leaves nothing that looks fetched";
const UNKNOWN: &str = "HOUSE 4, issue 2: an unknown connection is an error, never the local disk";

const DIFFERENCES: &[Otherwise] = &[
    fails("dir-missing", 66, &["R/"], MISSING),
    fails("dir-missing-raise", 66, &["R/"], MISSING),
    fails("no-bucket", 66, &["R/"], MISSING),
    fails("endpoint-down", 69, &["R/"], MISSING),
    Otherwise {
        case: "file-with-glob-chars",
        code: 0,
        without: &["o/a[1].txt/a1.txt", "o/a[1].txt/"],
        with: &[("o/a[1].txt", "1")],
        why: "HOUSE 4, CONTRACT 1.4: keys are literal, not globs",
    },
    fails(
        "double-slash-key",
        65,
        &["R/", "R/x", "R/y"],
        "object_store cannot name a key with an empty segment: refused, not left out in silence",
    ),
    fails("path-missing-raise", 66, &["n/"], MISSING),
    fails("path-missing-debug", 66, &["n/"], MISSING),
    fails("path-dir-is-file-flag", 66, &[], "HOUSE 4: the reference copies nothing and says that it did"),
    fails("path-unknown-connection", 78, &["d/", "d/.hidden", "d/a", "d/sub/", "d/sub/b"], UNKNOWN),
    fails("path-no-catalog-s3-url", 78, &["d/"], UNKNOWN),
    Otherwise {
        case: "no-service-env",
        code: 0,
        without: &[],
        with: &[(".fs", "")],
        why: "POLYAXON_SERVICE picks the commands of the reference's one program; ours has them all",
    },
];

/// Exit code and files of the reference, changed as the list says. Text of `.fs` is compared elsewhere: it has times.
fn wanted(case: &str, code: &Value, files: &Value) -> (i32, Files) {
    let mut files: Files = serde_json::from_value(files.clone()).unwrap();
    let mut code = i32::try_from(code.as_i64().unwrap()).unwrap();
    if let Some(known) = DIFFERENCES.iter().find(|known| known.case == case) {
        assert!(known.why.len() > 20);
        code = known.code;
        for name in known.without {
            assert!(files.remove(*name).is_some(), "{case}: {name} is not in the fixture");
        }
        files.extend(known.with.iter().map(|(name, text)| ((*name).to_owned(), Some((*text).to_owned()))));
    }
    (code, without_times(files))
}

/// Of `.fs` only which files it records.
fn without_times(mut files: Files) -> Files {
    if let Some(Some(text)) = files.get_mut(".fs") {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let keys = |mapping: &str| -> Vec<String> {
            let mapping = value[mapping].as_object();
            let mut keys: Vec<String> = mapping.into_iter().flatten().map(|(key, _)| key.clone()).collect();
            keys.sort();
            keys
        };
        *text = format!("{:?} {:?}", keys("dir_mapping"), keys("file_mapping"));
    }
    files
}

/// Runs one case of the S3 fixture in a bucket that holds its objects.
async fn check_s3(case: &Value, bucket: &str, lab: Lab) {
    let name = case["name"].as_str().unwrap();
    let mut lab = lab;
    if let Some(endpoint) = case["env_extra"]["AWS_ENDPOINT_URL"].as_str() {
        lab.set("AWS_ENDPOINT_URL", endpoint);
        lab.set("PLX_RETRY_SECONDS", "0");
    }
    let root = lab.path("").display().to_string();
    let mut args =
        ["initializer", "path", "--connection-name=data", "--connection-kind=s3"].map(str::to_owned).to_vec();
    for arg in case["args"].as_array().unwrap() {
        let arg = arg.as_str().unwrap().replace("$CTX", root.trim_end_matches('/'));
        args.push(arg.replace("s3://plx/", &format!("s3://{bucket}/")));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ended = lab.polyaxon(&args).await;
    if let Some(count) = case["files"]["count"].as_u64() {
        assert_eq!((ended.code, lab.files().len() as u64), (0, count + 1), "{name}: {ended:?}");
        return;
    }
    let (code, files) = wanted(name, &case["rc"], &case["files"]);
    assert_eq!((ended.code, without_times(lab.files())), (code, files), "{name}: {ended:?}");
    let said = case["stdout"]
        .as_str()
        .unwrap()
        .replace('\n', "")
        .replace("/plx-context", root.trim_end_matches('/'));
    if code == 0 && !said.is_empty() {
        assert_eq!(
            ended.stdout,
            said + "\n",
            "{name}: one line, not wrapped as the reference's console does"
        );
    }
}

fn objects(case: &Value) -> Vec<(String, String)> {
    match case["objects"].as_object() {
        Some(objects) => objects
            .iter()
            .map(|(key, text)| {
                (key.strip_prefix("base/").unwrap().to_owned(), text.as_str().unwrap().to_owned())
            })
            .collect(),
        None => (0..1200).map(|n| (format!("R/f{n:04}"), n.to_string())).collect(),
    }
}

fn borrowed(objects: &[(String, String)]) -> Vec<(&str, &str)> {
    objects.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect()
}

#[tokio::test]
async fn the_path_cases_on_an_s3_server_that_checks_signatures() {
    let cases: Vec<Value> = serde_json::from_str(S3).unwrap();
    for case in &cases {
        // Its keys are files: there are no folder markers and no empty names, and asking for a folder's name gives 500.
        let mut objects = objects(case);
        if objects.iter().any(|(key, _)| key.contains("//")) || case["name"] == "check-dir" {
            continue;
        }
        objects.retain(|(key, _)| !key.ends_with('/'));
        let lab = Lab::s3(&borrowed(&objects)).await;
        let mut case = case.clone();
        if let Some(files) = case["files"].as_object_mut() {
            files.retain(|name, _| !name.ends_with("empty/"));
            if let Some(fs) = files.get_mut(".fs") {
                let cut = without_empty(fs.as_str().unwrap());
                *fs = json!(cut);
            }
        }
        check_s3(&case, "plx", lab).await;
    }
}

/// A `.fs` without the folder that a folder marker made.
fn without_empty(text: &str) -> String {
    let mut value: Value = serde_json::from_str(text).unwrap();
    value["dir_mapping"].as_object_mut().unwrap().remove("R/empty");
    value.to_string()
}

#[tokio::test]
async fn the_path_cases_on_a_server_that_takes_every_key() {
    let cases: Vec<Value> = serde_json::from_str(S3).unwrap();
    for (number, case) in cases.iter().enumerate() {
        if case["files"]["count"].is_u64() {
            continue; // the other server has it, and quicker
        }
        let bucket = format!("reference-{number}");
        let lab = Lab::moto(&bucket, &[]).await;
        put_objects(Moto::shared().await.addr(), &bucket, &borrowed(&objects(case))).await;
        check_s3(case, &bucket, lab).await;
    }
}

#[tokio::test]
async fn the_path_and_fswatch_cases_on_a_mounted_folder() {
    let cases: Vec<Value> = serde_json::from_str(MOUNT).unwrap();
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let mut lab = Lab::empty();
        put_files(&lab.path("store"), &[("f.txt", "f"), ("d/a", "a"), ("d/sub/b", "b"), ("d/.hidden", "h")]);
        if name.starts_with("fswatch") {
            put_files(&lab.art("8aac02e3a62a4f0aaa257c59da5eab80"), &[("outputs/m", "m")]);
        }
        let root = lab.path("").display().to_string();
        let root = root.trim_end_matches('/');
        let here = |text: &str| text.replace("/TMP", root).replace("/plx-context", root);
        if let Some(catalog) = case["catalog"].as_str() {
            lab.set("POLYAXON_CONNECTIONS_CATALOG", &here(catalog));
        }
        let args: Vec<String> =
            case["argv"].as_array().unwrap().iter().map(|arg| here(arg.as_str().unwrap())).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ended = lab.polyaxon(&args).await;
        let (code, mut files) = wanted(name, &case["rc"], &case["files"]);
        if name == "fswatch-trailing-slash" {
            // CONTRACT 3: the reference loses the run's prefix then. Ours keeps it; the sidecar takes both.
            let run = "8aac02e3a62a4f0aaa257c59da5eab80";
            files.insert(".fs".to_owned(), Some(format!("[\"{run}/outputs\"] [\"{run}/outputs/m\"]")));
        }
        assert_eq!((ended.code, without_times(lab.files())), (code, files), "{name}: {ended:?}");
        let said = here(&case["stdout"].as_str().unwrap().replace('\n', ""));
        if code == 0 {
            assert_eq!(ended.stdout.trim_end(), said, "{name}");
        }
        if name.starts_with("path-sync-fw") {
            assert!(fs::read_to_string(lab.art(".fs")).unwrap().contains("+00:00"));
        }
    }
}
