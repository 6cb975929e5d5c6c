//! Bad input: its class, a message that names the thing, and the next step.

use crate::lab::Lab;
use plx_testkit::{FaultProxy, Match, loopback};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

const OBJECTS: [(&str, &str); 2] = [("a/x", "1"), ("b", "2")];

#[tokio::test]
async fn an_absent_input_is_66_whatever_is_asked_for() {
    // `S3Server` cannot be asked whether a folder's name is an object: it answers 500.
    for lab in [Lab::folder(&OBJECTS), Lab::moto("absent", &OBJECTS).await] {
        for flag in ["--file=none", "--dir=none", "--path=none", "--file=a"] {
            let ended = lab.artifacts(&[flag]).await;
            ended.failed(66, &[&flag[flag.len() - 1..], "does not exist"]);
        }
        assert_eq!(lab.files().len(), 0);
    }
}

#[tokio::test]
async fn r5_a_wrong_secret_is_77_and_never_passes_as_optional_or_as_a_fresh_run() {
    let mut lab = Lab::s3(&OBJECTS).await;
    lab.secret("AWS_SECRET_ACCESS_KEY", "wrong-secret-0123456789");
    lab.set("POLYAXON_LOG_LEVEL", "debug");
    let to = lab.art("R").display().to_string();
    for args in [&["--dir=a"][..], &["--dir=none", "--optional"], &["--dir=a", "--sync-fw"], &["--file=none"]]
    {
        let ended = lab.artifacts(args).await;
        ended.failed(77, &["s3://plx"]);
    }
    let from = ["--path-from=s3://plx/base/none", "--path-to", &to, "--sync-fw"];
    let ended = lab.polyaxon(&[&["initializer", "path", "--connection-name=data"], &from[..]].concat()).await;
    ended.failed(77, &["s3://plx"]);
    assert!(!lab.art(".fs").exists());
}

#[tokio::test]
async fn a_missing_bucket_is_66_and_not_a_missing_folder_in_it() {
    let mut lab = Lab::s3(&OBJECTS).await;
    lab.catalog(&json!({"name": "data", "kind": "s3", "schema": {"bucket": "s3://no-such-bucket"}}));
    for args in [&["--dir=a"][..], &["--whole"], &["--file=b"]] {
        lab.artifacts(args).await.failed(66, &["no-such-bucket"]);
    }
    let ended = lab.artifacts(&["--dir=a", "--sync-fw"]).await;
    ended.failed(66, &["no-such-bucket"]);
    let ended = lab.artifacts(&["--dir=a", "--optional"]).await;
    assert_ne!(ended.code, 0, "a bucket that is not there is no absent input: {ended:?}");
}

#[tokio::test]
async fn a_malformed_catalog_and_an_unknown_connection_are_78_and_never_the_local_disk() {
    let mut lab = Lab::folder(&OBJECTS);
    let from = format!("--path-from={}", lab.path("store/a").display());
    let to = format!("--path-to={}", lab.art("a").display());
    let ended = lab.init(&["path", "--connection-name=zz", "--connection-kind=s3", &from, &to]).await;
    ended.failed(78, &["unknown connection `zz`", "data"]);
    lab.init(&["artifacts", "--connection", "zz"]).await.failed(78, &["unknown connection `zz`"]);
    lab.set("POLYAXON_CONNECTIONS_CATALOG", r#"{"connections":[{"name":"data","password":"hunter2"}]}"#);
    let ended = lab.artifacts(&[]).await;
    ended.failed(78, &["POLYAXON_CONNECTIONS_CATALOG", "line 1"]);
    ended.says_nowhere("hunter2");
    lab.set("POLYAXON_CONNECTIONS_CATALOG", "{");
    lab.artifacts(&[]).await.failed(78, &["ends too early"]);
    lab.catalog(&json!({"name": "data", "kind": "s3", "schema": {"mountPath": "/x"}}));
    lab.artifacts(&[]).await.failed(78, &["`data`", "{\"bucket\": …}"]);
    lab.catalog(&json!({"name": "data", "kind": "git", "schema": {"url": "https://u:hunter2@h/r"}}));
    let ended = lab.artifacts(&[]).await;
    ended.failed(78, &["`data`", "git"]);
    ended.says_nowhere("hunter2");
    assert_eq!(lab.files().len(), 0);
}

#[tokio::test]
async fn an_endpoint_that_nobody_answers_is_69_as_soon_as_patience_ends() {
    let mut lab = Lab::s3(&OBJECTS).await;
    lab.set("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{}", loopback::free_port()));
    lab.set("PLX_RETRY_SECONDS", "0");
    lab.artifacts(&["--dir=a"]).await.failed(69, &["s3://plx/base/a"]);
    lab.set("AWS_ENDPOINT_URL", "http://user:hunter2@127.0.0.1:1");
    let ended = lab.artifacts(&["--dir=a"]).await;
    ended.failed(78, &["AWS_ENDPOINT_URL"]);
    ended.says_nowhere("hunter2");
}

#[tokio::test]
async fn a_target_that_cannot_be_written_is_73() {
    let lab = Lab::folder(&OBJECTS);
    fs::write(lab.path("file"), "in the way").unwrap();
    for to in ["file", "file/below"] {
        let to = lab.path(to).display().to_string();
        lab.artifacts(&["--to", &to]).await.failed(73, &[&to]);
    }
    assert_eq!(fs::read_to_string(lab.path("file")).unwrap(), "in the way");
}

const LISTING: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>plx</Name><KeyCount>2</KeyCount>
<IsTruncated>false</IsTruncated>
<Contents><Key>base/a/fine</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"e"</ETag><Size>1</Size></Contents>
<Contents><Key>EVIL</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"e"</ETag><Size>1</Size></Contents>
</ListBucketResult>"#;

#[tokio::test]
async fn a_key_that_would_leave_the_target_is_65_and_nothing_is_written() {
    let mut lab = Lab::s3(&OBJECTS).await;
    let server = lab.env["AWS_ENDPOINT_URL"].strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = FaultProxy::start(server).await;
    lab.set("AWS_ENDPOINT_URL", &proxy.url());
    for evil in ["base/a/../../../escaped", "base/a/..", "base/a/x/../../b", "base/a/../c"] {
        proxy.clear_rules();
        let listing = LISTING.replace("EVIL", evil);
        let asked = Match::method("GET").query_contains("list-type=2");
        proxy.on(asked).answer(200, &listing, &[("Content-Type", "application/xml")]);
        lab.artifacts(&["--dir=a"]).await.failed(65, &["s3://plx"]);
        assert_eq!(lab.files().len(), 0, "{evil}");
    }
    lab.artifacts(&["--dir=../a"]).await.failed(65, &["../a", "`..`"]);
    lab.artifacts(&["--file=[\"b\",\"../../b\"]"]).await.failed(65, &["../../b"]);
}

#[tokio::test]
async fn a_link_in_the_target_that_leads_outside_is_65_and_nothing_is_written_there() {
    for lab in [Lab::folder(&OBJECTS), Lab::s3(&OBJECTS).await] {
        let outside = lab.path("outside");
        fs::create_dir_all(&outside).unwrap();
        fs::create_dir_all(lab.art("data")).unwrap();
        symlink(&outside, lab.art("data/a")).unwrap();
        lab.artifacts(&["--dir=a"]).await.failed(65, &["object a", "link leads outside"]);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn misuse_is_64_and_under_polyaxons_name_2() {
    let lab = Lab::folder(&OBJECTS);
    for args in [&["artifacts"][..], &["--nope"], &["artifacts", "--connection", "data", "--nope"], &["bake"]]
    {
        let ended = lab.init(args).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (64, ""), "{ended:?}");
        assert!(ended.stderr.contains("Usage") || ended.stderr.contains("error:"), "{}", ended.stderr);
    }
    lab.artifacts(&["--artifacts", "{\"filez\":[]}"]).await.failed(64, &["--artifacts", "filez"]);
    lab.artifacts(&["--dir=a", "--dir=b", "--sync-fw"]).await.failed(64, &["--sync-fw", "one folder"]);
    lab.init(&["path", "--connection-name=data"]).await.failed(64, &["--path-from"]);
    for args in [&["initializer", "path", "--nope"][..], &["bake"], &["initializer", "fswatch"]] {
        assert_eq!(lab.polyaxon(args).await.code, 2, "{args:?}");
    }
    assert_eq!(lab.init(&["--help"]).await.code, 0);
    assert_eq!(lab.polyaxon(&["--version"]).await.code, 0);
}

#[tokio::test]
async fn a_store_that_breaks_some_downloads_is_tried_again_and_gives_whole_files() {
    let mut lab = Lab::s3(&[("d/1", "one"), ("d/2", "two"), ("d/3", "three"), ("d/4", "four")]).await;
    let server = lab.env["AWS_ENDPOINT_URL"].strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = FaultProxy::start(server).await;
    lab.set("AWS_ENDPOINT_URL", &proxy.url());
    lab.set("PLX_RETRY_SECONDS", "30");
    let get = |name: &str| Match::method("GET").path_ends_with(name);
    proxy.on(get("/d/1")).first(2).answer(503, "<Error><Code>SlowDown</Code></Error>", &[]);
    proxy.on(get("/d/2")).first(2).cut_after_response_bytes(1);
    proxy.on(get("/d/3")).first(2).refuse();
    lab.artifacts(&["--dir=d"]).await.succeeded();
    let want = [("data/d/1", "one"), ("data/d/2", "two"), ("data/d/3", "three"), ("data/d/4", "four")];
    assert_eq!(crate::lab::files_only(lab.files()), crate::lab::texts(&want));
}
