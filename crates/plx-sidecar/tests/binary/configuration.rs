//! A sidecar that cannot start says why, where, and what to do.

use crate::pod::{Ended, Pod};
use serde_json::json;

/// Starts a sidecar with one variable changed, or removed, and checks how it fails.
async fn fails(key: &str, value: Option<&str>, code: i32, words: &[&str]) -> Ended {
    let mut pod = Pod::new().await;
    pod.set("POLYAXON_LOG_LEVEL", "debug");
    pod.env.remove(key);
    if let Some(value) = value {
        pod.set(key, value);
    }
    let ended = pod.start(&["--sync-interval=1"]).end().await;
    assert_eq!(ended.code, Some(code), "{key}: {ended:?}");
    assert_eq!(ended.report["code"], json!(code), "{key}: {ended:?}");
    assert_eq!(ended.report["program"], json!("plx-sidecar"));
    let message = ended.report["message"].as_str().unwrap();
    let next = ended.report["next"].as_str().unwrap_or_else(|| panic!("no next step: {ended:?}"));
    for word in words {
        assert!(message.contains(word) || next.contains(word), "{word:?} in {message:?} or {next:?}");
    }
    assert!(ended.stderr.contains(&format!("error: {message}")), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("next: {next}")), "{}", ended.stderr);
    ended.says_nowhere(&pod.target.secret_key);
    ended
}

#[tokio::test]
async fn a_missing_variable_of_the_converter_is_named() {
    for key in ["POLYAXON_RUN_INSTANCE", "POLYAXON_K8S_POD_ID", "POLYAXON_ARTIFACTS_STORE_NAME"] {
        fails(key, None, 78, &[key, "is not set"]).await;
    }
    fails("POLYAXON_RUN_INSTANCE", Some("no-run"), 78, &["no-run", "OWNER.PROJECT.runs.UUID"]).await;
    fails("PLX_GRACE_SECONDS", Some("soon"), 78, &["PLX_GRACE_SECONDS", "soon"]).await;
}

#[tokio::test]
async fn a_malformed_catalog_is_pointed_at_and_not_repeated() {
    let catalog = r#"{"connections":[{"name":"store","secret_key":"hunter2-hunter2"}"#;
    let words = ["POLYAXON_CONNECTIONS_CATALOG", "line 1 column"];
    fails("POLYAXON_CONNECTIONS_CATALOG", Some(catalog), 78, &words).await.says_nowhere("hunter2");
}

#[tokio::test]
async fn an_unknown_store_is_an_error_and_the_known_ones_are_named() {
    let words = ["unknown connection `elsewhere`", "store"];
    fails("POLYAXON_ARTIFACTS_STORE_NAME", Some("elsewhere"), 78, &words).await;
    fails("POLYAXON_CONNECTIONS_CATALOG", None, 78, &["unknown connection `store`", "catalog is empty"])
        .await;
    fails("POLYAXON_ARTIFACTS_STORE_NAME", Some("git"), 78, &["`git`", "no artifacts store"]).await;
}

#[tokio::test]
async fn keys_that_are_not_there_are_named_with_the_places_that_were_looked_at() {
    fails("AWS_ACCESS_KEY_ID", None, 78, &["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "`store`"]).await;
}

#[tokio::test]
async fn a_read_only_store_is_refused_at_once() {
    let catalog = json!({"connections": [{"name": "store", "kind": "volume_claim", "schema":
        {"volumeClaim": "c", "mountPath": "/tmp", "readOnly": true}}]});
    let words = ["`store`", "read-only"];
    fails("POLYAXON_CONNECTIONS_CATALOG", Some(&catalog.to_string()), 78, &words).await;
}

#[tokio::test]
async fn a_store_that_is_not_mounted_is_never_made_here() {
    let catalog = json!({"connections": [{"name": "store", "kind": "volume_claim", "schema":
        {"volumeClaim": "c", "mountPath": "/nowhere/at/all"}}]});
    let words = ["`store`", "nothing is mounted at /nowhere/at/all"];
    fails("POLYAXON_CONNECTIONS_CATALOG", Some(&catalog.to_string()), 78, &words).await;
    assert!(!std::path::Path::new("/nowhere").exists());
}

#[tokio::test]
async fn an_unknown_option_is_misuse() {
    let pod = Pod::new().await;
    let ended = pod.start(&["--nope"]).end().await;
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(ended.stderr.contains("--nope"), "{}", ended.stderr);
    let ended = pod.start(&["--help"]).end().await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains("--main-marker"), "{}", ended.stdout);
    let ended = pod.start(&["--main-pid=0"]).end().await;
    assert_eq!((ended.code, &ended.report["class"]), (Some(64), &json!("usage")), "{ended:?}");
}

#[tokio::test]
async fn json_lines_are_json_and_a_level_silences_what_is_below_it() {
    let mut pod = Pod::new().await;
    pod.write("outputs/a", "a");
    pod.set("PLX_LOG_FORMAT", "json");
    let marker = pod.path("marker");
    std::fs::write(&marker, "{}").unwrap();
    let ended = pod.start(&["--main-marker", marker.to_str().unwrap()]).end().await;
    assert!(ended.stderr.lines().count() >= 3, "{}", ended.stderr);
    for line in ended.stderr.lines() {
        let value: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value["message"].is_string() && value["level"].is_string(), "{line}");
    }
    pod.set("POLYAXON_LOG_LEVEL", "WARNING");
    let ended = pod.start(&["--main-marker", marker.to_str().unwrap()]).end().await;
    assert_eq!((ended.code, ended.stderr.as_str(), ended.stdout.as_str()), (Some(0), "", ""));
}
