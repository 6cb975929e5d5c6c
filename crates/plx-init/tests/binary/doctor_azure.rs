//! Azure set-ups that do not work.

use crate::lab::Lab;
use plx_testkit::{FaultProxy, Match};
use serde_json::json;
use std::time::{Duration, SystemTime};

fn hence(seconds: u64) -> SystemTime {
    SystemTime::now() + Duration::from_secs(seconds)
}

/// A signature as it is written and as it is shown when it is decoded.
fn plant_sas(lab: &mut Lab, sas: &str) {
    let signature = sas.split("sig=").nth(1).unwrap().split('&').next().unwrap();
    lab.plant(signature);
    lab.plant(&signature.replace("%2B", "+").replace("%2F", "/").replace("%3D", "="));
}

#[tokio::test]
async fn what_is_wrong_with_an_account_is_told_without_a_request() {
    let mut lab = Lab::empty();
    lab.catalog(&json!({"name": "data", "kind": "wasb", "schema": {"bucket": "box/base"}}));
    lab.set("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:1/account");
    lab.secret("AZURE_ACCOUNT_KEY", "c2VjcmV0LXNlY3JldC1zZWNyZXQ=");
    lab.doctor(&[]).await.fails("credentials", "", 78, &["AZURE_ACCOUNT_NAME"]).at_once();
    lab.set("AZURE_ACCOUNT_NAME", "account");
    lab.secret("AZURE_ACCOUNT_KEY", "not base64: hunter2");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "", 78, &["copy it anew"]).at_once();
    doctor.says("credentials", &["environment variable AZURE_ACCOUNT_KEY", "base64"]);
    lab.cannot_fetch(78, &["base64"]).await;
    lab.env.remove("AZURE_ACCOUNT_KEY");
    lab.secret("AZURE_STORAGE_SAS_TOKEN", "no-signature-hunter2");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "", 78, &["sv=…&sig=…"]).at_once();
    lab.env.remove("AZURE_STORAGE_SAS_TOKEN");
    lab.secret("AZURE_CONNECTION_STRING", "AccountName=a;hunter2-hunter2");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "", 78, &["copy it anew"]).says("credentials", &["AZURE_CONNECTION_STRING"]);
    lab.env.remove("AZURE_CONNECTION_STRING");
    lab.secret("AZURE_CLIENT_SECRET", "client-secret-0123456789");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "", 78, &["set AZURE_TENANT_ID"]).at_once();
    lab.set("AZURE_TENANT_ID", "tenant");
    lab.doctor(&[]).await.fails("credentials", "", 78, &["set AZURE_CLIENT_ID"]).at_once();
    for wrong in ["ftp://nowhere", "https://nowhere/?sig=hunter2", "http://hunter2@nowhere"] {
        lab.set("AZURE_STORAGE_ENDPOINT", wrong);
        lab.doctor(&[]).await.fails("endpoint", "", 78, &["AZURE_STORAGE_ENDPOINT"]).at_once();
    }
}

#[tokio::test]
async fn what_the_account_refuses_is_named_after_what_is_at_fault() {
    let mut lab = Lab::empty();
    let target = lab.azure("doctor-refused").await;
    lab.catalog(&json!({"name": "data", "kind": "wasb", "schema": {"bucket": "not-there/base"}}));
    let doctor = lab.doctor(&[]).await;
    doctor.fails("bucket", "no-such-bucket", 66, &["schema"]).stops_all();

    lab.catalog(&json!({"name": "data", "kind": "wasb", "schema": {"bucket": "doctor-refused/base"}}));
    lab.env.remove("AZURE_ACCOUNT_KEY");
    for (permissions, row) in [("rl", "put"), ("rawcd", "list"), ("acwdl", "get")] {
        let sas = target.sas(permissions, hence(600));
        plant_sas(&mut lab, &sas);
        lab.set("AZURE_SAS_TOKEN", &sas);
        let doctor = lab.doctor(&[]).await;
        doctor.ends(row, "denied", 77, &["shared access signature"]);
    }
    let sas = target.sas("rl", hence(600));
    plant_sas(&mut lab, &sas);
    lab.set("AZURE_SAS_TOKEN", &format!("?{sas}"));
    assert_eq!(lab.doctor(&["--read-only"]).await.json.code, 0);
    lab.env.remove("AZURE_SAS_TOKEN");
    lab.plant(&target.key);
    lab.set("AZURE_CONNECTION_STRING", &target.connection_string());
    let doctor = lab.doctor(&["--read-only"]).await;
    assert_eq!(doctor.json.code, 0, "{}", doctor.table.stdout);
    doctor.says("credentials", &["connection string"]).says("endpoint", &["from connection string"]);
}

/// As Azure itself says it (Azurite has another code, which is Azure's for what a network rule refuses): one code, and words for what is wrong.
fn unauthenticated(detail: &str) -> String {
    format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthenticationFailed</Code><Message>Server failed to \
         authenticate the request. Make sure the value of Authorization header is formed correctly including the \
         signature.\nRequestId:1\nTime:2026-01-01T00:00:00Z</Message>\
         <AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail></Error>"
    )
}

#[tokio::test]
async fn a_wrong_key_and_a_signature_that_is_over_fail_as_credentials() {
    let mut lab = Lab::empty();
    lab.catalog(&json!({"name": "data", "kind": "wasb", "schema": {"bucket": "box/base"}}));
    let server = FaultProxy::start("127.0.0.1:1".parse().unwrap()).await;
    let refuses = |detail: &str| {
        server.clear_rules();
        server.on(Match::any()).answer(
            403,
            &unauthenticated(detail),
            &[("x-ms-error-code", "AuthenticationFailed")],
        );
    };
    lab.set("AZURE_STORAGE_ENDPOINT", &format!("{}/account", server.url()));
    lab.set("AZURE_ACCOUNT_NAME", "account");
    lab.secret("AZURE_ACCOUNT_KEY", "d3Jvbmcta2V5LXdyb25nLWtleQ==");
    refuses("The MAC signature found in the HTTP request 'x' is not the same as any computed signature.");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "wrong-signature", 77, &["key"]).stops_all();
    doctor.says("credentials", &["account key from environment variable AZURE_ACCOUNT_KEY", "MAC signature"]);
    lab.cannot_fetch(77, &["MAC signature"]).await;

    lab.env.remove("AZURE_ACCOUNT_KEY");
    lab.plant("signature-0123456789");
    lab.set("AZURE_SAS_TOKEN", "sv=2020-12-06&se=2026-01-01T00%3A00%3A00Z&sp=rl&sig=signature-0123456789");
    refuses("Signature not valid in the specified time frame: Start [a] - Expiry [b] - Current [c]");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "expired", 77, &["renew"]).stops_all();
    doctor.says(
        "credentials",
        &["shared access signature from environment variable AZURE_SAS_TOKEN", "time frame"],
    );
    lab.cannot_fetch(77, &["time frame"]).await;
}

#[tokio::test]
async fn every_way_in_may_delete_what_it_put() {
    let mut lab = Lab::empty();
    let target = lab.azure("doctor-ways").await;
    lab.doctor(&[]).await.healthy();
    lab.env.remove("AZURE_ACCOUNT_KEY");
    let sas = target.sas("racwdl", hence(600));
    plant_sas(&mut lab, &sas);
    lab.set("AZURE_SAS_TOKEN", &sas);
    lab.doctor(&[]).await.healthy();
    let sas = target.sas("racwl", hence(600));
    plant_sas(&mut lab, &sas);
    lab.set("AZURE_SAS_TOKEN", &sas);
    lab.doctor(&[]).await.fails("delete", "denied", 77, &["shared access signature"]);
}
