//! Whatever goes wrong with whatever credentials, nothing that is said shows them.

use super::and;
use crate::bench::{Vars, connection, remote, try_open, vars};
use crate::carry::{Mounted, look_with, once};
use plx_contract::Classified;
use plx_store::Opened;
use plx_testkit::{GcsTarget, IdentityServer, S3Front, S3Server, loopback};
use plx_transfer::WantKind::{File, Folder};
use std::fmt::Debug;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::filter::{LevelFilter as Level, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// In every secret of this file.
const SECRET: &str = "hunter2";

/// All that is said of an opened connection and of what it cannot do. It must not work.
async fn all_that_is_said(name: &str, kind: &str, env: &Vars) -> String {
    let bucket = match kind {
        "s3" => "s3://bkt/base",
        "gcs" => "gs://bkt/base",
        _ => "wasbs://bkt@account.blob.core.windows.net/base",
    };
    let words = |error: &(dyn Classified + '_), debug: &dyn Debug| {
        format!("{error} {debug:?} {:?}\n", error.next_step())
    };
    let opened = match try_open(&connection(kind, bucket, ""), env) {
        Ok(opened) => opened,
        Err(error) => return words(&error, &error),
    };
    let Opened::Bucket(bucket) = &opened else { panic!("{name}: no bucket") };
    let mut said = format!("{opened} {opened:?} {:?} {:?}\n", bucket.about, bucket.store);
    let remote = remote(opened);
    for kind in [Folder, File] {
        let error = look_with(&once(), &remote, kind).await;
        assert!(error.cause().is_some(), "{name}: {error:?}");
        said.push_str(&words(&error, &error));
    }
    said
}

/// What is logged at the loudest level of our own, and at the default of others, as in the programs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Until the guard is dropped, of this thread.
    fn start(&self) -> impl Sized {
        let log = self.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || log.clone()).with_ansi(false);
        let filter = Targets::new().with_default(Level::WARN).with_target("plx_", Level::TRACE);
        tracing_subscriber::registry().with(filter).with(layer).set_default()
    }

    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

fn free() -> String {
    format!("http://127.0.0.1:{}", loopback::free_port())
}

#[tokio::test]
async fn no_secret_is_shown_by_an_error_or_by_what_was_opened() {
    let server = S3Server::start().await;
    let front = S3Front::start(server.addr()).await;
    front.valid_tokens([""; 0]);
    let identity = IdentityServer::start().await;
    identity.refuse_all(403);
    let (refusing, nobody) = (front.url(), free());
    let file = Mounted::new(&[("token", "hunter2-token")]);
    let token_file = file.file("token");
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
    let keys = vars([
        ("AWS_ACCESS_KEY_ID", "AKTEST"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2-secret"),
        ("AWS_SESSION_TOKEN", "hunter2-session"),
    ]);
    let entra = vars([("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c")]);
    let key = "aHVudGVyMg=="; // hunter2 in base64
    let sas = "sv=2020&sig=hunter2-sig%3D&se=2099-01-01";
    let gcs = |at: &str| GcsTarget { base_url: at.to_owned(), bucket: "bkt".to_owned() }.signing_key_json();
    let mut cases: Vec<(&str, &str, Vars)> = Vec::new();
    for store in [&refusing, &nobody] {
        let s3 = vars([("AWS_ENDPOINT_URL", store)]);
        let azure = vars([("AZURE_STORAGE_ENDPOINT", format!("{store}/account"))]);
        cases.push(("keys", "s3", and(keys.clone(), s3.clone())));
        cases.push(("google key", "gcs", vars([("GC_KEYFILE_DICT", gcs(store))])));
        for (name, value) in [
            ("AZURE_ACCOUNT_KEY", key.to_owned()),
            ("AZURE_SAS_TOKEN", sas.to_owned()),
            ("AZURE_CONNECTION_STRING", format!("AccountName=a;AccountKey={key};BlobEndpoint={store}/a")),
            (
                "AZURE_CONNECTION_STRING",
                format!("AccountName=a;SharedAccessSignature={sas};BlobEndpoint={store}/a"),
            ),
        ] {
            cases.push((name, "wasb", and(azure.clone(), [(name, value)])));
        }
        for source in [&identity.url(), &nobody] {
            let sts = and(s3.clone(), [role, ("AWS_STS_ENDPOINT_URL", source)]);
            cases.push(("role", "s3", and(and(keys.clone(), sts.clone()), [("AWS_ASSUME_ROLE", "true")])));
            cases.push(("web identity", "s3", and(sts, [("AWS_WEB_IDENTITY_TOKEN_FILE", &token_file)])));
            let agent = format!("{source}/v1/credentials");
            let agent = and(s3.clone(), [("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent)]);
            let shown = [("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2-agent")];
            cases.push(("agent", "s3", and(agent.clone(), shown)));
            let shown = [("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token_file)];
            cases.push(("agent's file", "s3", and(agent, shown)));
            let entra = and(and(entra.clone(), azure.clone()), [("AZURE_AUTHORITY_HOST", source)]);
            cases.push(("client", "wasb", and(entra.clone(), [("AZURE_CLIENT_SECRET", "hunter2-client")])));
            cases.push(("federated", "wasb", and(entra, [("AZURE_FEDERATED_TOKEN_FILE", &token_file)])));
        }
    }
    let log = Log::default();
    let _logging = log.start();
    let mut logged = 0;
    for (name, kind, env) in cases {
        let mut said = all_that_is_said(name, kind, &env).await;
        let lines = log.take();
        logged += lines.len();
        said.push_str(&lines);
        assert!(!said.contains(SECRET) && !said.contains(key), "{name}: {said}");
        assert!(!said.contains("PRIVATE KEY") && !said.contains("Bearer ey"), "{name}: {said}");
    }
    assert!(logged > 1000, "little was logged");
}

#[tokio::test]
async fn no_secret_is_shown_by_what_is_too_wrong_to_be_opened() {
    let keys = vars([("AWS_ACCESS_KEY_ID", "AKTEST"), ("AWS_SECRET_ACCESS_KEY", "hunter2-secret")]);
    let s3 = and(keys.clone(), [("AWS_ENDPOINT_URL", free())]);
    let azure = vars([("AZURE_STORAGE_ENDPOINT", format!("{}/account", free()))]);
    for (kind, env) in [
        ("s3", and(s3.clone(), [("AWS_SESSION_TOKEN", "hunter2 with a blank")])),
        ("s3", and(s3.clone(), [("AWS_ACCESS_KEY_ID", "hunter2\nid")])),
        ("s3", and(keys.clone(), [("AWS_ENDPOINT_URL", "http://user:hunter2@store:9000")])),
        ("s3", and(keys, [("AWS_ENDPOINT_URL", "http://user:hunter2@:x")])),
        (
            "s3",
            and(
                s3.clone(),
                [("AWS_STS_ENDPOINT_URL", "//u:hunter2@"), ("AWS_ASSUME_ROLE", "1"), ("AWS_ROLE_ARN", "r")],
            ),
        ),
        ("s3", and(s3.clone(), [("http_proxy", "http://user:hunter2@:x")])),
        ("s3", and(s3.clone(), [("https_proxy", "user:hunter2@[")])),
        ("s3", and(s3.clone(), [("AWS_VERIFY_SSL", "hunter2")])),
        ("s3", vars([("AWS_SECRET_ACCESS_KEY", "hunter2")])),
        ("wasb", and(azure.clone(), [("AZURE_ACCOUNT_KEY", "hunter2!")])),
        ("wasb", and(azure.clone(), [("AZURE_SAS_TOKEN", "hunter2")])),
        ("wasb", and(azure.clone(), [("AZURE_CONNECTION_STRING", "AccountName=a;hunter2")])),
        ("wasb", and(azure.clone(), [("AZURE_CLIENT_SECRET", "hunter2"), ("AZURE_TENANT_ID", "t")])),
        ("wasb", vars([("AZURE_ACCOUNT_KEY", "aGk="), ("AZURE_STORAGE_ENDPOINT", "http://u:hunter2@x/y")])),
        ("gcs", vars([("GC_KEYFILE_DICT", r#"{"type":"service_account","private_key":"hunter2"}"#)])),
    ] {
        let bucket = if kind == "gcs" { "gs://b" } else { "b://b" };
        let bucket = match kind {
            "s3" => "s3://b",
            "wasb" => "wasb://b@account.blob.core.windows.net",
            _ => bucket,
        };
        let Err(error) = try_open(&connection(kind, bucket, ""), &env) else { panic!("it opened: {env:?}") };
        assert_eq!(error.class(), plx_contract::Class::Config, "{error:?}");
        let said = format!("{error} {error:?} {:?}", error.next_step());
        assert!(!said.contains(SECRET), "{said}");
    }
}
