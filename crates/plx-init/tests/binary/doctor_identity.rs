//! Credentials that are asked of somebody: the source is named, and one that fails is not waited for.

use crate::lab::Lab;
use plx_testkit::{AwsKeys, FaultProxy, IdentityServer, Match, loopback};
use serde_json::json;
use std::fs;
use std::time::Duration;
use tokio::time::Instant;

/// The longest that a diagnosis may take when nobody hands out credentials.
const SOON: Duration = Duration::from_secs(5);
const REFUSED: &str = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
    <Code>AccessDenied</Code><Message>User is not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>";

/// Nobody up yet, no such identity, refused.
const STATUSES: [u16; 5] = [503, 500, 404, 403, 400];

/// A connection whose credentials come from `at`, where nobody listens or `server` refuses.
async fn check_refusals(lab: &mut Lab, set: impl Fn(&mut Lab, &str), source: &str) {
    let server = IdentityServer::start().await;
    let away = format!("http://127.0.0.1:{}", loopback::free_port());
    set(lab, &away);
    let began = Instant::now();
    let doctor = lab.doctor(&[]).await;
    doctor.blames("credentials").stops_all().says("credentials", &[source]);
    assert!(began.elapsed() < SOON, "nobody there: {:?}", began.elapsed());
    set(lab, &server.url());
    for status in STATUSES {
        server.refuse_all(status);
        let began = Instant::now();
        let doctor = lab.doctor(&[]).await;
        let words = [source, &format!("HTTP {status}")];
        doctor.blames("credentials").stops_all().says("credentials", &words);
        if [403, 400].contains(&status) {
            doctor.ends("credentials", "no-credentials", 77, &["credentials allows"]);
        }
        assert!(began.elapsed() < SOON, "{status}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn instance_metadata_that_gives_nothing_fails_as_credentials() {
    let mut lab = Lab::s3(&[]).await;
    lab.env.remove("AWS_ACCESS_KEY_ID");
    lab.env.remove("AWS_SECRET_ACCESS_KEY");
    let set = |lab: &mut Lab, url: &str| lab.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", url);
    check_refusals(&mut lab, set, "instance metadata at http://127.0.0.1").await;
}

#[tokio::test]
async fn the_metadata_server_of_google_that_gives_nothing_fails_as_credentials() {
    let mut lab = Lab::empty();
    lab.catalog(&json!({"name": "data", "kind": "gcs", "schema": {"bucket": "gs://plx/base"}}));
    // Should it ever ask the store, it must not be the real one.
    lab.set("HTTPS_PROXY", "http://127.0.0.1:1");
    let set = |lab: &mut Lab, url: &str| {
        for key in ["GCE_METADATA_HOST", "GCE_METADATA_IP"] {
            lab.set(key, url.strip_prefix("http://").unwrap());
        }
    };
    check_refusals(&mut lab, set, "metadata server at 127.0.0.1").await;
}

#[tokio::test]
async fn a_managed_identity_that_gives_nothing_fails_as_credentials() {
    let mut lab = Lab::empty();
    lab.catalog(&json!({"name": "data", "kind": "wasb", "schema": {"bucket": "box/base"}}));
    lab.set("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:1/account");
    lab.set("AZURE_ACCOUNT_NAME", "account");
    let set = |lab: &mut Lab, url: &str| lab.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", url);
    check_refusals(&mut lab, set, "managed identity at http://127.0.0.1").await;
}

#[tokio::test]
async fn a_service_principal_that_entra_refuses_fails_as_credentials() {
    let mut lab = Lab::empty();
    lab.catalog(&json!({"name": "data", "kind": "wasb", "schema": {"bucket": "box/base"}}));
    lab.set("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:1/account");
    lab.set("AZURE_ACCOUNT_NAME", "account");
    let server = IdentityServer::start().await;
    server.set_client_secret("another-secret-0123456789");
    lab.set("AZURE_AUTHORITY_HOST", &server.url());
    lab.set("AZURE_TENANT_ID", "tenant");
    lab.set("AZURE_CLIENT_ID", "client");
    lab.secret("AZURE_CLIENT_SECRET", "client-secret-0123456789");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "no-credentials", 77, &["secret"]).stops_all();
    doctor.says(
        "credentials",
        &["client secret from environment variable AZURE_CLIENT_SECRET", "AADSTS7000215"],
    );
    lab.cannot_fetch(77, &["AADSTS7000215"]).await;
    assert!(server.requests().iter().all(|seen| seen.method == "POST"));
}

#[tokio::test]
async fn a_source_that_never_answers_costs_one_timeout() {
    let mut lab = Lab::s3(&[]).await;
    lab.env.remove("AWS_ACCESS_KEY_ID");
    lab.env.remove("AWS_SECRET_ACCESS_KEY");
    let server = IdentityServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    proxy.on(Match::any()).stall();
    lab.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &proxy.url());
    let began = Instant::now();
    let doctor = lab.doctor(&["--timeout=1"]).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    doctor.blames("credentials").stops_all().says("credentials", &["instance metadata at"]);
}

#[tokio::test]
async fn a_machine_or_a_pod_that_is_known_is_healthy() {
    let mut lab = Lab::s3(&[]).await;
    lab.env.remove("AWS_ACCESS_KEY_ID");
    lab.env.remove("AWS_SECRET_ACCESS_KEY");
    let server = IdentityServer::start().await;
    lab.plant("session-token-0123456789");
    server.set_aws(AwsKeys {
        access_key: lab.server().access_key().to_owned(),
        secret_key: lab.server().secret_key().to_owned(),
        token: "session-token-0123456789".to_owned(),
        lifetime: Duration::from_secs(3600),
    });
    lab.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.url());
    lab.doctor(&[]).await.healthy().says("credentials", &["instance metadata", "no AWS_PROFILE"]);
    server.set_pod_token("pod-token-0123456789");
    lab.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/v1/credentials", server.url()));
    lab.secret("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token-0123456789");
    lab.doctor(&[]).await.healthy().says("credentials", &["container credentials from http://127.0.0.1"]);
    lab.secret("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong-token-0123456789");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "no-credentials", 77, &["token"]).stops_all();
    doctor.says("credentials", &["container credentials from http://127.0.0.1", "HTTP 401"]);
}

/// A session that STS gave.
fn session(id: &str, secret: &str, token: &str) -> String {
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
}

#[tokio::test]
async fn a_role_is_named_and_one_that_may_not_be_assumed_is_77() {
    let mut lab = Lab::s3(&[]).await;
    let (id, secret) = (lab.server().access_key().to_owned(), lab.server().secret_key().to_owned());
    let sts = FaultProxy::start("127.0.0.1:1".parse().unwrap()).await;
    lab.plant("session-token-0123456789");
    lab.set("AWS_ACCESS_KEY_ID", "AKIAOFSOMEBODYELSE");
    lab.secret("AWS_SECRET_ACCESS_KEY", "another-secret-0123456789");
    lab.set("AWS_ASSUME_ROLE", "true");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "", 78, &["set AWS_ROLE_ARN"]).at_once();
    lab.set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/plx");
    lab.set("AWS_STS_ENDPOINT_URL", &sts.url());
    let role =
        ["role arn:aws:iam::123456789012:role/plx at 127.0.0.1", "by access key from environment variable"];
    sts.on(Match::method("POST")).answer(200, &session(&id, &secret, "session-token-0123456789"), &[]);
    lab.doctor(&[]).await.healthy().says("credentials", &role);
    sts.clear_rules();
    sts.on(Match::method("POST")).answer(403, REFUSED, &[]);
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "no-credentials", 77, &["the role's trust"]).stops_all();
    doctor.says("credentials", &role).says("credentials", &["sts:AssumeRole"]);
    lab.cannot_fetch(77, &["sts:AssumeRole"]).await;
    lab.set("AWS_STS_ENDPOINT_URL", &format!("http://127.0.0.1:{}", loopback::free_port()));
    lab.doctor(&[]).await.blames("credentials").stops_all().says("credentials", &["refused"]);
}

#[tokio::test]
async fn tokens_of_a_pod_are_named_by_their_file_and_77_when_nobody_trusts_them() {
    let mut lab = Lab::s3(&[]).await;
    lab.env.remove("AWS_ACCESS_KEY_ID");
    lab.env.remove("AWS_SECRET_ACCESS_KEY");
    let server = IdentityServer::start().await;
    server.set_aws(AwsKeys {
        access_key: lab.server().access_key().to_owned(),
        secret_key: lab.server().secret_key().to_owned(),
        token: "session-token-0123456789".to_owned(),
        lifetime: Duration::from_secs(3600),
    });
    let file = lab.path("token").display().to_string();
    for token in ["session-token-0123456789", "federated-token-0123456789", "another-token-0123456789"] {
        lab.plant(token);
    }
    fs::write(&file, "federated-token-0123456789").unwrap();
    lab.set("AWS_STS_ENDPOINT_URL", &server.url());
    lab.set("AWS_WEB_IDENTITY_TOKEN_FILE", &file);
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "", 78, &["set AWS_ROLE_ARN"]).at_once();
    lab.set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/plx");
    server.set_federated_token("federated-token-0123456789");
    lab.doctor(&[]).await.healthy().says("credentials", &["web identity: role arn:aws:iam::", &file]);
    fs::write(&file, "another-token-0123456789").unwrap();
    let doctor = lab.doctor(&[]).await;
    doctor
        .fails("credentials", "no-credentials", 77, &["token"])
        .says("credentials", &["web identity", &file]);
    lab.cannot_fetch(77, &[&file]).await;

    lab.catalog(&json!({"name": "data", "kind": "wasb", "schema": {"bucket": "box/base"}}));
    lab.set("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:1/account");
    lab.set("AZURE_ACCOUNT_NAME", "account");
    lab.set("AZURE_AUTHORITY_HOST", &server.url());
    lab.set("AZURE_FEDERATED_TOKEN_FILE", &file);
    lab.doctor(&[]).await.fails("credentials", "", 78, &["set AZURE_TENANT_ID"]).at_once();
    lab.set("AZURE_TENANT_ID", "tenant");
    lab.set("AZURE_CLIENT_ID", "client");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "no-credentials", 77, &["token"]).stops_all();
    doctor.says("credentials", &["workload identity", &file, "AADSTS700213"]);
    fs::remove_file(&file).unwrap();
    let doctor = lab.doctor(&[]).await;
    doctor.blames("credentials").says("credentials", &["token file", &file, "does not exist"]);
}
