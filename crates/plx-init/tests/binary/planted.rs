//! The lab finds a secret in all that a call says, leaves and sends. Without that the other tests would prove nothing.

use crate::lab::Lab;
use plx_testkit::{FakeTracking, loopback};
use serde_json::json;
use std::fs;

const SECRET: &str = "planted-secret-0123456789";

fn lab() -> Lab {
    let mut lab = Lab::empty();
    lab.set("POLYAXON_NO_API", "true");
    lab.plant(SECRET);
    lab
}

async fn write(lab: &Lab, filename: &str, content: &str) {
    let context = json!({"filename": filename, "content": content}).to_string();
    lab.polyaxon(&["initializer", "file", "--file-context", &context]).await.succeeded();
}

#[tokio::test]
#[should_panic(expected = "in stderr")]
async fn a_secret_that_is_printed_fails_the_test() {
    lab().init(&["artifacts", "--connection", SECRET]).await;
}

#[tokio::test]
#[should_panic(expected = "in the file")]
async fn a_secret_that_is_left_in_a_file_fails_the_test() {
    write(&lab(), "harmless", &format!("password={SECRET}")).await;
}

#[tokio::test]
#[should_panic(expected = "in the name")]
async fn a_secret_that_names_a_file_fails_the_test() {
    let lab = lab();
    let left = lab.before();
    fs::write(lab.art(SECRET), "harmless").unwrap();
    left.assert_free(&[]);
}

#[tokio::test]
#[should_panic(expected = "was sent to the tracking API")]
async fn a_secret_that_is_sent_where_it_does_not_belong_fails_the_test() {
    let (lab, api) = (lab(), FakeTracking::start().await);
    loopback::request(api.addr(), "POST", "/api/v1/x", SECRET.as_bytes()).await.unwrap();
    lab.init(&["--version"]).await;
}

#[tokio::test]
#[should_panic(expected = "was sent to the tracking API")]
async fn a_secret_that_is_sent_after_the_last_call_fails_the_test_too() {
    let (lab, api) = (lab(), FakeTracking::start().await);
    loopback::request(api.addr(), "GET", &format!("/api?x={SECRET}"), b"").await.unwrap();
    drop((lab, api));
}

#[tokio::test]
async fn what_the_test_itself_put_there_is_no_find() {
    let lab = lab();
    fs::write(lab.path("key"), SECRET).unwrap();
    write(&lab, "harmless", "harmless").await;
}
