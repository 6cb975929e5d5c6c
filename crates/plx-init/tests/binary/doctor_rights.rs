//! Rights that are missing one by one: that row failed and no other, and the next step names the right.

use crate::lab::{Lab, below};
use plx_testkit::{FaultProxy, Match, Planted, S3Front};
use tokio::process::Command;

/// Requests as the rights of AWS know them.
fn gets() -> Match {
    Match::method("GET").query_lacks("list-type")
}

fn puts() -> Match {
    Match::method("PUT").query_lacks("partNumber")
}

fn deletes() -> Match {
    Match::method("DELETE").query_lacks("uploadId")
}

async fn fronted() -> (Lab, S3Front) {
    let mut lab = Lab::s3(&[("a/x", "1")]).await;
    let front = S3Front::start(lab.server().addr()).await;
    lab.set("AWS_ENDPOINT_URL", &front.url());
    (lab, front)
}

/// Objects that the doctor made and left, and uploads it did not end.
fn left(lab: &Lab) -> Vec<String> {
    let names = below(lab.server().data_dir()).into_keys();
    let ours = |name: &String| name.contains(".plx-doctor-") && !name.ends_with('/');
    names.filter(|name| ours(name) && !name.contains(".metadata") || name.starts_with(".upload")).collect()
}

#[tokio::test]
async fn whatever_right_is_missing_is_named_and_the_rest_is_still_tried() {
    let (lab, front) = fronted().await;
    let listing = Match::method("GET").query_contains("list-type");
    for (denied, row, right, skipped) in [
        (listing, "list", "s3:ListBucket", &[][..]),
        (gets(), "get", "s3:GetObject", &[]),
        (puts(), "put", "s3:PutObject", &["get", "multipart", "delete"]),
        (Match::method("POST").query_contains("uploads"), "multipart", "s3:PutObject", &[]),
        (Match::method("PUT").query_contains("partNumber"), "multipart", "s3:PutObject", &[]),
        (Match::method("POST").query_contains("uploadId"), "multipart", "s3:PutObject", &[]),
    ] {
        front.clear_rules();
        front.deny_matching(denied);
        let doctor = lab.doctor(&[]).await;
        doctor
            .fails(row, "denied", 77, &[right])
            .skips(skipped)
            .says(row, &["denied: HTTP 403 AccessDenied"]);
        assert_eq!(left(&lab), Vec::<String>::new(), "{}", doctor.table.stdout);
    }
}

#[tokio::test]
async fn an_input_that_may_only_be_read_is_healthy_when_it_is_only_looked_at() {
    let (lab, front) = fronted().await;
    for method in ["PUT", "POST", "DELETE"] {
        front.deny(method, "");
    }
    lab.doctor(&[]).await.fails("put", "denied", 77, &["s3:PutObject", "--read-only"]);
    assert_eq!(lab.doctor(&["--read-only"]).await.json.code, 0);
}

#[tokio::test]
async fn several_missing_rights_are_several_rows() {
    let (lab, front) = fronted().await;
    front.deny_matching(Match::method("GET"));
    let doctor = lab.doctor(&[]).await;
    doctor.ends("list", "denied", 77, &["s3:ListBucket"]).says("get", &["s3:GetObject"]);
    let message = doctor.json.report["message"].as_str().unwrap();
    assert!(message.ends_with("; and 1 more"), "{message}");
}

#[tokio::test]
async fn an_upload_that_can_be_neither_ended_nor_aborted_is_told() {
    let (lab, front) = fronted().await;
    front.deny_matching(Match::method("PUT").query_contains("partNumber"));
    front.deny_matching(Match::method("DELETE").query_contains("uploadId"));
    let doctor = lab.doctor(&[]).await;
    doctor.fails("multipart", "denied", 77, &["s3:PutObject"]).says("multipart", &["could not be aborted"]);
    assert!(left(&lab).iter().any(|name| name.starts_with(".upload")), "{:?}", left(&lab));
}

#[tokio::test]
async fn what_cannot_be_deleted_is_named() {
    let (lab, front) = fronted().await;
    front.deny_matching(deletes());
    let doctor = lab.doctor(&[]).await;
    doctor.fails("delete", "denied", 77, &["s3:DeleteObject"]);
    let detail = doctor.row("delete")["detail"].as_str().unwrap().to_owned();
    let scratch = doctor.row("put")["detail"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    let mine: Vec<String> = left(&lab).into_iter().filter(|name| name.contains(&scratch)).collect();
    assert_eq!(mine.len(), 2, "{mine:?}");
    for key in mine {
        let key = key.strip_prefix("plx/").unwrap();
        assert!(detail.contains(key), "{key} stays and is not named in {detail:?}");
    }
}

#[tokio::test]
async fn the_right_to_delete_alone_is_missing() {
    let (lab, front) = fronted().await;
    front.deny_matching(deletes());
    let doctor = lab.doctor(&[]).await;
    doctor
        .fails("delete", "denied", 77, &["s3:DeleteObject"])
        .says("delete", &["/small", "stay in the store"]);
}

#[tokio::test]
async fn bytes_that_come_back_changed_are_65() {
    let (mut lab, front) = fronted().await;
    let proxy = FaultProxy::start(front.addr()).await;
    lab.set("AWS_ENDPOINT_URL", &proxy.url());
    let headers = [("ETag", "\"e\""), ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")];
    proxy.on(gets()).answer(200, "a page of a proxy's own", &headers);
    let doctor = lab.doctor(&[]).await;
    doctor.fails("get", "", 65, &["proxy or gateway"]).says("get", &["23 bytes came back"]);
    assert_eq!(left(&lab), Vec::<String>::new());
}

#[tokio::test]
async fn what_stays_because_the_store_went_away_in_between_is_named() {
    let (mut lab, front) = fronted().await;
    let proxy = FaultProxy::start(front.addr()).await;
    lab.set("AWS_ENDPOINT_URL", &proxy.url());
    proxy.on(gets()).stall();
    let doctor = lab.doctor(&["--timeout=1"]).await;
    doctor.fails("endpoint", "unreachable", 69, &[]);
    let said = [&doctor.json.stdout[..], &doctor.table.stdout].concat();
    for key in left(&lab) {
        assert!(said.contains(key.strip_prefix("plx/").unwrap()), "{key} stays:\n{}", doctor.table.stdout);
    }
}

#[tokio::test]
async fn what_stays_because_it_was_stopped_is_named() {
    let (mut lab, front) = fronted().await;
    let proxy = FaultProxy::start(front.addr()).await;
    lab.set("AWS_ENDPOINT_URL", &proxy.url());
    proxy.on(gets()).stall();
    let left_files = lab.before();
    let running = lab.start(&["doctor"]);
    proxy.seen(gets(), 1).await;
    let id = running.id().unwrap().to_string();
    let told = Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
    assert!(told.success());
    proxy.clear_rules();
    proxy.release();
    let output = running.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    left_files.assert_free(&[]);
    for said in [&output.stdout, &output.stderr] {
        Planted::here().assert_free("the output", said);
    }
    let said = String::from_utf8(output.stdout).unwrap();
    for key in left(&lab) {
        assert!(said.contains(key.strip_prefix("plx/").unwrap()), "{key} stays:\n{said}");
    }
}
