//! Connections that work: every row is there and well, and the store is afterwards as it was before.

use crate::doctor::REQUESTS;
use crate::lab::{Lab, below, files_only, texts};
use plx_testkit::{
    Azurite, FaultProxy, GcsServer, Match, Moto, S3Front, SERVICE_ACCOUNT_PUBLIC_KEY, loopback,
};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

const OBJECTS: [(&str, &str); 1] = [("a/x", "1")];
const FACTS: [&str; 4] = ["credentials", "endpoint", "proxy", "trust"];

/// A server that keeps buckets as folders: objects, and the hidden files of uploads that were never completed.
#[track_caller]
fn holds_only(data_dir: &Path, wanted: &[&str]) {
    let mut names: Vec<String> = files_only(below(data_dir)).into_keys().collect();
    // Its notes about objects, which it keeps after them.
    names.retain(|name| name.starts_with(".upload") || !name.rsplit('/').next().unwrap().starts_with('.'));
    assert_eq!(names, wanted);
}

#[tokio::test]
async fn a_folder_works_and_holds_nothing_new() {
    let lab = Lab::folder(&OBJECTS);
    let doctor = lab.doctor(&["--connection=data"]).await;
    doctor.healthy().says("mount", &[lab.path("store").to_str().unwrap(), "free"]);
    for row in ["list", "put", "get", "delete"] {
        doctor.row(row);
    }
    assert_eq!(files_only(below(&lab.path("store"))), texts(&OBJECTS));
}

#[tokio::test]
async fn a_bucket_on_a_server_that_checks_signatures_works_and_holds_nothing_new() {
    for objects in [&OBJECTS[..], &[]] {
        let lab = Lab::s3(objects).await;
        let doctor = lab.doctor(&["--connection=data"]).await;
        doctor.healthy();
        for row in FACTS.iter().chain(&["region", "clock"]).chain(&REQUESTS) {
            doctor.row(row);
        }
        let endpoint = lab.env["AWS_ENDPOINT_URL"].clone();
        doctor.says("endpoint", &[&endpoint, "environment variable AWS_ENDPOINT_URL", "path"]);
        doctor
            .says("region", &["us-east-1", "default"])
            .says("trust", &["plain http"])
            .says("proxy", &["none"]);
        doctor.says("credentials", &["environment variable AWS_ACCESS_KEY_ID"]);
        assert!(doctor.table.stdout.starts_with("data (s3) s3://plx/base\n"), "{}", doctor.table.stdout);
        let left: &[&str] = if objects.is_empty() { &[] } else { &["plx/base/a/x"] };
        holds_only(lab.server().data_dir(), left);
    }
}

#[tokio::test]
async fn a_connection_that_is_a_whole_bucket_works_and_holds_nothing_new() {
    let mut lab = Lab::s3(&[]).await;
    lab.catalog(&json!({"name": "data", "kind": "s3", "schema": {"bucket": "s3://plx"}}));
    lab.doctor(&[]).await.healthy();
    holds_only(lab.server().data_dir(), &[]);
}

#[tokio::test]
async fn a_bucket_on_a_server_that_knows_every_call_works_and_has_no_upload_left() {
    let lab = Lab::moto("doctor", &OBJECTS).await;
    lab.doctor(&["--connection=data"]).await.healthy();
    for (query, element, wanted) in [("list-type=2", "<Key>", 1), ("uploads", "<Upload>", 0)] {
        let target = format!("/doctor?{query}");
        let answer = loopback::request(Moto::shared().await.addr(), "GET", &target, b"").await.unwrap();
        let listing = String::from_utf8(answer.body).unwrap();
        assert_eq!((answer.status, listing.matches(element).count()), (200, wanted), "{listing}");
    }
}

#[tokio::test]
async fn an_azure_container_works_and_has_no_block_left() {
    let mut lab = Lab::empty();
    let target = lab.azure("doctor").await;
    let doctor = lab.doctor(&["--connection=data"]).await;
    doctor.healthy();
    for row in FACTS.iter().chain(&["clock"]).chain(&REQUESTS) {
        doctor.row(row);
    }
    let sas = target.sas("rl", SystemTime::now() + Duration::from_secs(600));
    let query = "restype=container&comp=list&include=uncommittedblobs";
    let target = format!("/{}/{}?{query}&{sas}", target.account, target.container);
    let answer = loopback::request(Azurite::shared().await.addr(), "GET", &target, b"").await.unwrap();
    let listing = String::from_utf8(answer.body).unwrap();
    assert_eq!((answer.status, listing.contains("<Blob>")), (200, false), "{listing}");
}

#[tokio::test]
async fn a_gcs_bucket_works_and_holds_nothing_new() {
    let server = GcsServer::start().await;
    server.accept_signed_by(SERVICE_ACCOUNT_PUBLIC_KEY);
    let mut lab = Lab::empty();
    lab.gcs(&server);
    let doctor = lab.doctor(&["--connection=data"]).await;
    doctor.healthy().says("credentials", &["tests@plx-test.iam.gserviceaccount.com", "key.json"]);
    for row in FACTS.iter().chain(&["clock"]).chain(&REQUESTS) {
        doctor.row(row);
    }
    holds_only(server.data_dir(), &[]);
}

#[tokio::test]
async fn only_looking_makes_no_request_that_writes() {
    let mut lab = Lab::s3(&OBJECTS).await;
    let front = S3Front::start(lab.server().addr()).await;
    lab.set("AWS_ENDPOINT_URL", &front.url());
    let doctor = lab.doctor(&["--connection=data", "--read-only"]).await;
    assert_eq!(doctor.json.code, 0, "{}", doctor.table.stdout);
    doctor.skips(&["put", "get", "multipart", "delete"]).says("put", &["--read-only"]);
    for seen in front.requests() {
        assert!(["GET", "HEAD"].contains(&seen.method.as_str()), "{seen:?}");
    }
    assert!(front.count(&Match::method("GET").query_contains("list-type=2")) > 0);

    let mut lab = Lab::empty();
    lab.azure("doctor-read-only").await;
    let proxy = FaultProxy::start(Azurite::shared().await.addr()).await;
    lab.set("AZURE_STORAGE_ENDPOINT", &format!("{}/devstoreaccount1", proxy.url()));
    let doctor = lab.doctor(&["--connection=data", "--read-only"]).await;
    assert_eq!(doctor.json.code, 0, "{}", doctor.table.stdout);
    assert!(proxy.requests().iter().all(|seen| seen.method == "GET") && !proxy.requests().is_empty());

    let lab = Lab::folder(&OBJECTS);
    let changed = || fs::metadata(lab.path("store")).unwrap().modified().unwrap();
    let before = changed();
    let doctor = lab.doctor(&["--read-only"]).await;
    doctor.skips(&["put", "get", "delete"]).says("put", &["--read-only"]);
    assert_eq!((doctor.json.code, changed()), (0, before));
}

#[tokio::test]
async fn all_of_the_catalog_is_looked_at_and_what_is_no_store_is_left_out() {
    let mut lab = Lab::s3(&OBJECTS).await;
    fs::create_dir_all(lab.path("store")).unwrap();
    lab.plant("hunter2-hunter2");
    let bucket = json!({"name": "data", "kind": "s3", "schema": {"bucket": "s3://plx/base"}});
    let folder = json!({"name": "disk", "kind": "host_path", "schema":
        {"hostPath": "/x", "mountPath": lab.path("store").display().to_string()}});
    let git = json!({"name": "code", "kind": "git", "schema": {"url": "https://u:hunter2-hunter2@h/r"}});
    let slack = json!({"name": "talk", "kind": "slack", "schema": {"url": "https://h/hunter2-hunter2"}});
    lab.connections(&[&bucket, &folder, &git, &slack]);
    let names = |doctor: &crate::doctor::Doctor| -> Vec<String> {
        doctor.all.iter().map(|one| one["connection"].as_str().unwrap().to_owned()).collect()
    };
    let doctor = lab.doctor(&[]).await;
    assert_eq!((doctor.json.code, names(&doctor).join(" ")), (0, "data disk code talk".to_owned()));
    assert!(doctor.all.iter().all(|one| one["works"] == true), "{:?}", doctor.all);
    for one in &doctor.all[2..] {
        let rows = one["checks"].as_array().unwrap();
        assert_eq!((rows.len(), &rows[0]["result"]), (1, &"skipped".into()), "{one}");
    }
    let doctor = lab.doctor(&["--connection=disk", "--connection=data"]).await;
    assert_eq!(
        (doctor.json.code, names(&doctor).join(" ")),
        (0, "disk data".to_owned()),
        "as they were asked for"
    );
    assert!(doctor.table.stdout.contains("\ndata (s3) "), "{}", doctor.table.stdout);
    lab.init(&["doctor", "--connection=dta"]).await.failed(78, &["`dta`", "data", "disk", "code", "talk"]);
}

#[tokio::test]
async fn what_one_connection_suffers_from_does_not_keep_the_others_from_being_looked_at() {
    let mut lab = Lab::s3(&OBJECTS).await;
    let away =
        json!({"name": "away", "kind": "volume_claim", "schema": {"volumeClaim": "c", "mountPath": "/none"}});
    let missing = json!({"name": "missing", "kind": "s3", "schema": {"bucket": "s3://not-there"}});
    let good = json!({"name": "good", "kind": "s3", "schema": {"bucket": "s3://plx/base"}});
    lab.connections(&[&away, &missing, &good]);
    let doctor = lab.doctor(&[]).await;
    let works: Vec<bool> = doctor.all.iter().map(|one| one["works"] == true).collect();
    assert_eq!((works, doctor.json.code), (vec![false, false, true], 78), "{}", doctor.table.stdout);
    let message = doctor.json.report["message"].as_str().unwrap();
    assert!(message.starts_with("2 of 3 connections do not work: away: mount: "), "{message}");
}

#[tokio::test]
async fn misuse_is_64() {
    let lab = Lab::folder(&OBJECTS);
    for args in [&["--timeout=0"][..], &["--timeout=soon"], &["--connection"], &["--nope"], &["data"]] {
        let ended = lab.init(&[&["doctor"], args].concat()).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (64, ""), "{ended:?}");
    }
}

#[tokio::test]
async fn a_catalog_that_is_empty_or_missing_is_not_passed_over_in_silence() {
    let mut lab = Lab::empty();
    let missing = lab.init(&["doctor"]).await;
    lab.connections(&[]);
    let empty = lab.init(&["doctor"]).await;
    for ended in [missing, empty] {
        let said = [&ended.stdout[..], &ended.stderr].concat();
        assert!(said.contains("POLYAXON_CONNECTIONS_CATALOG"), "{ended:?}");
    }
}
