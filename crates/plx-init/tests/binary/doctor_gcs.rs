//! GCS set-ups that do not work.

use crate::lab::Lab;
use plx_testkit::{FaultProxy, GcsServer, Match, SERVICE_ACCOUNT_KEY, SERVICE_ACCOUNT_PUBLIC_KEY};
use serde_json::{Value, json};
use std::fs;

/// A bucket, and the key file's JSON to be spoilt.
async fn bucket() -> (Lab, GcsServer, Value) {
    let server = GcsServer::start().await;
    server.accept_signed_by(SERVICE_ACCOUNT_PUBLIC_KEY);
    let mut lab = Lab::empty();
    lab.gcs(&server);
    let key = serde_json::from_str(&fs::read_to_string(lab.path("key.json")).unwrap()).unwrap();
    (lab, server, key)
}

#[tokio::test]
async fn a_key_that_is_none_is_told_without_a_request() {
    let (mut lab, server, key) = bucket().await;
    let spoilt = |field: &str, value: Value| {
        let mut key = key.clone();
        key[field] = value;
        key.to_string()
    };
    let without_id = {
        let mut key = key.clone();
        key.as_object_mut().unwrap().remove("private_key_id");
        key.to_string()
    };
    let middle = SERVICE_ACCOUNT_KEY.lines().nth(5).unwrap();
    let cut = SERVICE_ACCOUNT_KEY.replace(middle, "hunter2-hunter2!");
    lab.plant("hunter2-hunter2");
    for (text, words) in [
        ("hunter2-hunter2", ["no JSON object", "download the key again"]),
        ("[\"hunter2-hunter2\"]", ["no JSON object", "download the key again"]),
        (&key.to_string()[..900], ["no JSON object", "download the key again"]),
        (&spoilt("type", json!("external_account")), ["external_account", "service account's key"]),
        (&spoilt("private_key", json!(cut)), ["private key", "download the key again"]),
        (&spoilt("private_key", json!("hunter2-hunter2")), ["private key", "download the key again"]),
        (&without_id, ["private_key_id", "download the key again"]),
    ] {
        fs::write(lab.path("key.json"), text).unwrap();
        let doctor = lab.doctor(&[]).await;
        doctor.fails("credentials", "", 78, &[]).at_once().says("credentials", &words);
        doctor.says("credentials", &["key.json", "environment variable GC_KEY_PATH"]);
        lab.cannot_fetch(78, &words).await;
    }
    fs::remove_file(lab.path("key.json")).unwrap();
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "", 78, &["mount it"]).at_once();
    doctor.says("credentials", &["key.json", "does not exist", "GC_KEY_PATH"]);
    lab.env.remove("GC_KEY_PATH");
    lab.set("GOOGLE_KEYFILE_DICT", "{\"private_key\": \"hunter2-hunter2\"");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "", 78, &["as JSON"]).says("credentials", &["GOOGLE_KEYFILE_DICT"]);
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn what_the_store_refuses_is_named_after_what_is_at_fault() {
    let (mut lab, _server, _) = bucket().await;
    lab.catalog(&json!({"name": "data", "kind": "gcs", "schema": {"bucket": "gs://not-there/base"}}));
    let doctor = lab.doctor(&[]).await;
    doctor.fails("bucket", "no-such-bucket", 66, &["schema"]).stops_all();
    lab.catalog(&json!({"name": "data", "kind": "gcs", "schema": {"bucket": "gs://"}}));
    lab.doctor(&[]).await.fails("open", "", 78, &[]).at_once();
    // It never heard of this account's key.
    let stranger = GcsServer::start().await;
    lab.gcs(&stranger);
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "wrong-signature", 77, &["key"]).stops_all();
    doctor.says("credentials", &["account tests@plx-test.iam.gserviceaccount.com"]);
    lab.cannot_fetch(77, &[]).await;
}

const DENIED: &str = "<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access denied.</Message>\
    <Details>tests@plx-test.iam.gserviceaccount.com does not have that access.</Details></Error>";

#[tokio::test]
async fn whatever_right_is_missing_is_named_as_google_names_it() {
    let (lab, server, _) = bucket().await;
    let proxy = FaultProxy::start(server.addr()).await;
    fs::write(lab.path("key.json"), server.target("plx").through(&proxy.url()).signing_key_json()).unwrap();
    for (denied, row, right) in [
        (Match::method("GET").query_contains("list-type"), "list", "storage.objects.list"),
        (Match::method("GET").query_lacks("list-type"), "get", "storage.objects.get"),
        (Match::method("PUT").query_lacks("partNumber"), "put", "storage.objects.create"),
        (Match::method("POST").query_contains("uploads"), "multipart", "storage.objects.create"),
        (Match::method("DELETE").query_lacks("uploadId"), "delete", "storage.objects.delete"),
    ] {
        proxy.clear_rules();
        proxy.on(denied).answer(403, DENIED, &[]);
        lab.doctor(&[]).await.fails(row, "denied", 77, &[right]);
    }
}

#[tokio::test]
async fn a_key_of_an_emulator_and_one_that_went_through_a_shell_work() {
    let (mut lab, server, key) = bucket().await;
    let mut through_a_shell = key.clone();
    through_a_shell["private_key"] = json!(SERVICE_ACCOUNT_KEY.replace('\n', "\\n"));
    fs::write(lab.path("key.json"), through_a_shell.to_string()).unwrap();
    lab.doctor(&[]).await.healthy();
    lab.env.remove("GC_KEY_PATH");
    lab.set("GC_KEYFILE_DICT", &key.to_string());
    lab.doctor(&[]).await.healthy().says("credentials", &["key from environment variable GC_KEYFILE_DICT"]);
    server.accept_any();
    lab.set("GC_KEYFILE_DICT", &server.target("plx").key_json());
    lab.doctor(&[]).await.healthy();
}
