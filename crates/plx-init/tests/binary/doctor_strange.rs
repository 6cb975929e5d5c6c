//! Endpoints that answer and are no store, or not in the way they are asked.

use crate::lab::Lab;
use plx_testkit::{FaultProxy, Match, PrivateCa, TlsFront};
use serde_json::json;

const PAGE: &str = "<!DOCTYPE html><html><head><title>Welcome</title></head><body>It works</body></html>";

async fn answering(status: u16, body: &str) -> (Lab, FaultProxy) {
    let mut lab = Lab::s3(&[]).await;
    let proxy = FaultProxy::start(lab.server().addr()).await;
    proxy.on(Match::any()).answer(status, body, &[("Content-Type", "text/html")]);
    lab.set("AWS_ENDPOINT_URL", &proxy.url());
    (lab, proxy)
}

#[tokio::test]
async fn https_to_a_server_that_speaks_plainly_fails_as_endpoint() {
    let mut lab = Lab::s3(&[]).await;
    let address = lab.server().addr();
    // Without a scheme it is https, as in the AWS tools.
    for endpoint in [format!("https://{address}"), address.to_string()] {
        lab.set("AWS_ENDPOINT_URL", &endpoint);
        let doctor = lab.doctor(&[]).await;
        doctor.fails("endpoint", "not-a-store", 78, &["write the endpoint with http://"]).stops_all();
        doctor.says("endpoint", &[&format!("https://{address}"), "InvalidContentType"]);
    }
}

#[tokio::test]
async fn plain_requests_to_a_server_that_speaks_tls_fail_as_endpoint() {
    let mut lab = Lab::s3(&[]).await;
    let front = TlsFront::start(lab.server().addr(), &PrivateCa::new()).await;
    lab.set("AWS_ENDPOINT_URL", &front.url().replace("https:", "http:"));
    let doctor = lab.doctor(&[]).await;
    doctor.fails("endpoint", "not-a-store", 78, &["write the endpoint with https://"]).stops_all();
}

#[tokio::test]
async fn a_web_server_that_refuses_is_told_by_its_status() {
    for (status, row, cause, code) in [
        (401, "credentials", "wrong-signature", 77),
        (403, "list", "denied", 77),
        (404, "endpoint", "not-a-store", 78),
        (405, "endpoint", "not-a-store", 78),
    ] {
        let (lab, _proxy) = answering(status, PAGE).await;
        let doctor = lab.doctor(&[]).await;
        doctor.ends(row, cause, code, &[]).says(row, &[&format!("HTTP {status}")]);
        assert!(!doctor.table.stdout.contains("It works"), "{}", doctor.table.stdout);
    }
}

#[tokio::test]
async fn a_web_server_that_takes_everything_is_no_healthy_store() {
    let (lab, _proxy) = answering(200, PAGE).await;
    lab.doctor(&[]).await.fails("endpoint", "not-a-store", 78, &["no object store"]).stops_all();
}

#[tokio::test]
async fn a_web_page_is_no_listing() {
    let (lab, _proxy) = answering(200, PAGE).await;
    assert_ne!(lab.doctor(&["--read-only"]).await.json.code, 0);
}

#[tokio::test]
async fn a_server_that_resets_every_request_is_69() {
    let (lab, proxy) = answering(200, "").await;
    proxy.clear_rules();
    proxy.on(Match::any()).refuse();
    lab.doctor(&[])
        .await
        .ends("endpoint", "broken-off", 69, &["try again"])
        .says("endpoint", &["reset by peer"]);
}

#[tokio::test]
async fn a_password_in_an_address_of_a_store_is_not_repeated() {
    let mut lab = Lab::s3(&[]).await;
    lab.plant("hunter2-hunter2");
    lab.catalog(
        &json!({"name": "data", "kind": "s3", "schema": {"bucket": "s3://user:hunter2-hunter2@plx/base"}}),
    );
    lab.doctor(&[]).await.fails("open", "", 78, &["schema"]).at_once();
    lab.catalog(&json!({"name": "data", "kind": "s3", "schema": {"bucket": "s3://plx/base"}}));
    lab.set("AWS_ASSUME_ROLE", "true");
    lab.set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/plx");
    lab.set("AWS_STS_ENDPOINT_URL", "http://user:hunter2-hunter2@127.0.0.1:1");
    lab.doctor(&[]).await.fails("endpoint", "", 78, &["AWS_STS_ENDPOINT_URL"]).at_once();
}

#[tokio::test]
async fn a_password_in_an_address_of_a_metadata_service_is_not_repeated() {
    let mut lab = Lab::s3(&[]).await;
    lab.plant("hunter2-hunter2");
    lab.env.remove("AWS_ACCESS_KEY_ID");
    lab.env.remove("AWS_SECRET_ACCESS_KEY");
    lab.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://user:hunter2-hunter2@127.0.0.1:1");
    lab.doctor(&[]).await.blames("credentials");
    lab.catalog(&json!({"name": "data", "kind": "gcs", "schema": {"bucket": "gs://plx/base"}}));
    lab.set("HTTPS_PROXY", "http://127.0.0.1:1");
    lab.set("GCE_METADATA_HOST", "user:hunter2-hunter2@127.0.0.1:1");
    lab.set("GCE_METADATA_IP", "127.0.0.1:1");
    lab.doctor(&[]).await.blames("credentials");
}
