//! S3 set-ups that do not work: who asks, for what, in which region, by which clock.

use crate::lab::Lab;
use plx_testkit::{RegionHint, S3Front, S3Server};
use serde_json::json;
use std::time::Duration;

const OBJECTS: [(&str, &str); 1] = [("a/x", "1")];

/// A bucket behind a server that behaves as AWS where small servers do not.
async fn fronted() -> (Lab, S3Front) {
    let mut lab = Lab::s3_on(S3Server::with_any_clock().await, &OBJECTS);
    let front = S3Front::start(lab.server().addr()).await;
    lab.set("AWS_ENDPOINT_URL", &front.url());
    (lab, front)
}

#[tokio::test]
async fn no_keys_and_half_a_pair_are_told_without_a_request() {
    let (mut lab, front) = fronted().await;
    let secret = lab.env.remove("AWS_SECRET_ACCESS_KEY").unwrap();
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "", 78, &["set AWS_SECRET_ACCESS_KEY"]).at_once();
    doctor.says("credentials", &["AWS_ACCESS_KEY_ID (environment variable AWS_ACCESS_KEY_ID) is set"]);
    let id = lab.env.remove("AWS_ACCESS_KEY_ID").unwrap();
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "", 78, &["secret"]).at_once();
    doctor.says(
        "credentials",
        &["no AWS_ACCESS_KEY_ID in", "no AWS_PROFILE", "instance metadata is not asked"],
    );
    lab.set("AWS_SECRET_ACCESS_KEY", &secret);
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "", 78, &["set AWS_ACCESS_KEY_ID"]).at_once();
    lab.cannot_fetch(78, &["AWS_ACCESS_KEY_ID"]).await;
    // As pasted, with a line break in the middle.
    lab.set("AWS_ACCESS_KEY_ID", &format!("{id}\n{id}"));
    lab.doctor(&[]).await.fails("credentials", "", 78, &["without blanks"]).at_once();
    assert_eq!(front.requests(), []);
}

#[tokio::test]
async fn keys_that_the_store_does_not_take_are_77_and_the_credentials_row_says_where_they_are_from() {
    let (mut lab, front) = fronted().await;
    let right = lab.env["AWS_SECRET_ACCESS_KEY"].clone();
    let source = "access key from environment variable AWS_ACCESS_KEY_ID";
    lab.secret("AWS_SECRET_ACCESS_KEY", "wrong-secret-0123456789");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "wrong-signature", 77, &["access key", "secret key"]).stops_all();
    doctor.says("credentials", &[source, "SignatureDoesNotMatch"]);
    lab.cannot_fetch(77, &[]).await;

    lab.set("AWS_SECRET_ACCESS_KEY", &right);
    front.revoke_key(&lab.env["AWS_ACCESS_KEY_ID"]);
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "wrong-signature", 77, &["access key"]).stops_all();
    doctor.says("credentials", &[source, "InvalidAccessKeyId"]);

    front.clear_rules();
    lab.secret("AWS_SESSION_TOKEN", "session-token-0123456789");
    front.expire("session-token-0123456789");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "expired", 77, &["renew"]).stops_all();
    doctor.says("credentials", &[source, "session token from environment variable AWS_SESSION_TOKEN"]);
    lab.cannot_fetch(77, &[]).await;

    lab.env.remove("AWS_SESSION_TOKEN");
    front.require_token();
    lab.doctor(&[]).await.ends("list", "denied", 77, &["s3:ListBucket"]);
}

#[tokio::test]
async fn another_region_is_a_failure_when_nobody_names_the_right_one_and_else_a_warning() {
    let (mut lab, front) = fronted().await;
    lab.set("AWS_REGION", "us-east-2");
    for redirects in [false, true] {
        front.clear_rules();
        front.redirects(redirects);
        front.region("eu-west-1", RegionHint::Silent);
        let doctor = lab.doctor(&[]).await;
        doctor.fails("region", "wrong-region", 78, &["AWS_REGION"]).stops_all();
        doctor.says("region", &["us-east-2", "environment variable AWS_REGION"]);
        for hint in [RegionHint::Header, RegionHint::Body, RegionHint::Both] {
            if redirects && hint == RegionHint::Body {
                continue; // its body names an endpoint and no region
            }
            front.region("eu-west-1", hint);
            let doctor = lab.doctor(&[]).await;
            doctor.warns("region", &["us-east-2", "the bucket is in eu-west-1", "AWS_REGION=eu-west-1"]);
        }
    }
    lab.set("AWS_REGION", "eu-west-1");
    lab.doctor(&[]).await.healthy();
}

#[tokio::test]
async fn a_clock_that_is_off_is_a_failure_when_the_store_refuses_it_and_else_a_warning() {
    let (lab, front) = fronted().await;
    let minutes = |n: u64| Duration::from_secs(60 * n);
    front.clock_ahead(minutes(20));
    let doctor = lab.doctor(&[]).await;
    doctor.fails("clock", "clock-skew", 77, &["clock", "NTP"]).stops_all().says("clock", &["s behind the s"]);
    front.clock_behind(minutes(20));
    let doctor = lab.doctor(&[]).await;
    doctor
        .fails("clock", "clock-skew", 77, &["clock", "NTP"])
        .stops_all()
        .says("clock", &["s ahead of the s"]);
    for (by, word) in [(3, "behind"), (8, "behind"), (14, "behind")] {
        front.clock_ahead(minutes(by));
        lab.doctor(&[]).await.warns("clock", &[word, "NTP"]);
    }
    front.clock_behind(minutes(8));
    lab.doctor(&[]).await.warns("clock", &["ahead of", "NTP"]);
    front.clock_behind(Duration::from_secs(20));
    lab.doctor(&[]).await.healthy();
}

#[tokio::test]
async fn a_server_that_refuses_newer_checksums_is_healthy() {
    let (lab, front) = fronted().await;
    front.refuse_new_checksums();
    lab.doctor(&[]).await.healthy();
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_66_and_a_name_that_is_none_is_78() {
    let (mut lab, _front) = fronted().await;
    let mut bucket =
        |url: &str| lab.catalog(&json!({"name": "data", "kind": "s3", "schema": {"bucket": url}}));
    bucket("s3://not-there/base");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("bucket", "no-such-bucket", 66, &["create the bucket", "schema"]).stops_all();
    for wrong in ["s3://", "s3://a bucket", "http://b/base", "s3://user@b", "s3://b/../c"] {
        lab.catalog(&json!({"name": "data", "kind": "s3", "schema": {"bucket": wrong}}));
        lab.doctor(&[]).await.fails("open", "", 78, &["schema"]).at_once();
    }
    lab.catalog(&json!({"name": "data", "kind": "s3", "schema": {"mountPath": "/x"}}));
    lab.doctor(&[]).await.fails("open", "", 78, &[]).at_once();
    // Nothing forbids them here, so the store has the word.
    lab.catalog(&json!({"name": "data", "kind": "s3", "schema": {"bucket": "s3://A_Bucket/base"}}));
    lab.doctor(&[]).await.fails("bucket", "no-such-bucket", 66, &["schema"]).stops_all();
}
