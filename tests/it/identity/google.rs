//! Google: the key of a service account wherever it may stand, and the metadata server.

use super::{and, says};
use crate::bench::{Vars, connection, engine, opened, try_open, vars};
use crate::carry::{Mounted, fetch, look, send, works, works_a_little};
use crate::pretender::{Pretender, all_goes_through};
use crate::refusals::is;
use plx_contract::{Class, Classified};
use plx_testkit::{
    FaultProxy, ForwardProxy, GcsServer, GcsTarget, IdentityServer, Match, SERVICE_ACCOUNT_PUBLIC_KEY, Tree,
};
use plx_transfer::WantKind::{File, Folder};
use plx_transfer::{Cause, Remote};
use std::net::SocketAddr;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn bucket(env: &Vars) -> Remote {
    opened(&connection("gcs", "gs://bkt/base", ""), env)
}

/// Google's own address leads to that server, over TLS and through a proxy: nothing else stands in for it without a key
/// that says so.
async fn google(server: SocketAddr) -> (Vars, ForwardProxy, Pretender) {
    let pretender = Pretender::start(&["storage.googleapis.com"], server).await;
    let proxy = ForwardProxy::start().await;
    proxy.route("storage.googleapis.com:443", pretender.addr());
    let env = vars([("https_proxy", proxy.url()), ("POLYAXON_SSL_CA_CERT", pretender.ca())]);
    all_goes_through(&proxy, &env).await;
    (env, proxy, pretender)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metadata_servers_token_is_renewed_when_it_is_over_in_the_middle() {
    let server = GcsServer::start().await;
    server.create_bucket("bkt").unwrap();
    server.accept("first-token");
    let identity = IdentityServer::start().await;
    identity.set_bearer("first-token", HOUR);
    let stalling = FaultProxy::start(server.addr()).await;
    let (env, proxy, _pretender) = google(stalling.addr()).await;
    let remote = bucket(&and(env, [("GCE_METADATA_HOST", identity.addr().to_string())]));
    works_a_little(&remote).await;
    let part = || Match::method("PUT").query_contains("partNumber=");
    stalling.on(part()).nth(2).stall();
    server.forget_requests();
    let engine = engine();
    let tree = Tree::new(3).file("later", 28 << 20);
    let (sent, ()) = tokio::join!(send(&engine, &remote, &tree), async {
        stalling.seen(part(), 3).await;
        identity.set_bearer("second-token", HOUR);
        server.revoke("first-token");
        server.accept("second-token");
        stalling.release();
    });
    let seen = server.requests();
    let refused = seen.iter().filter(|seen| seen.status == 401).count();
    assert!(refused >= 1);
    let parts = seen.iter().filter(|seen| seen.path_and_query.contains("partNumber=")).count();
    assert_eq!(parts, 4 + seen.iter().filter(|seen| seen.status == 401 && seen.method == "PUT").count());
    let all = fetch(&engine, &remote).await;
    assert_eq!(all.files["later"], sent.files["later"]);
    // The machine was asked by itself, and twice.
    let asked = identity.requests();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().all(|seen| seen.header("metadata-flavor") == Some("Google")));
    let metadata = identity.addr().to_string();
    assert!(proxy.targets().iter().all(|target| *target != metadata));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metadata_server_that_is_not_up_yet_is_waited_for() {
    let server = GcsServer::start().await;
    server.create_bucket("bkt").unwrap();
    server.accept("token");
    let identity = IdentityServer::start().await;
    identity.set_bearer("token", HOUR);
    let (env, _proxy, _pretender) = google(server.addr()).await;
    let env = and(env, [("GCE_METADATA_HOST", identity.addr().to_string())]);
    identity.unreachable(1);
    works_a_little(&bucket(&env)).await;
    identity.not_ready(1);
    works_a_little(&bucket(&env)).await;
    assert!(server.requests().iter().all(|seen| seen.authorization.as_deref() == Some("Bearer token")));
    // One that says no is not.
    identity.refuse_all(403);
    let error = look(&bucket(&env), File).await;
    is(&error, Cause::NoIdentity(Class::Denied), Class::Denied, "source of the credentials");
    says(&error, &["metadata server at", &identity.addr().to_string(), "403"]);
}

#[tokio::test]
async fn a_service_accounts_key_is_found_wherever_it_stands() {
    let server = GcsServer::start().await;
    server.accept_signed_by(SERVICE_ACCOUNT_PUBLIC_KEY);
    let key = server.target("bkt").signing_key_json();
    let files = Mounted::new(&[("key.json", &key), ("GC_KEYFILE_DICT", &key)]);
    let context = tempfile::tempdir().unwrap();
    std::fs::create_dir(context.path().join(".gc")).unwrap();
    std::fs::write(context.path().join(".gc/gc-secret.json"), &key).unwrap();
    let root = context.path().display().to_string();
    // As a template writes it: the line ends inside of the key are a backslash and an n, once more escaped.
    let written_out = key.replace("\\n", "\\\\n");
    assert_ne!(written_out, key);
    for (name, value) in [
        ("GC_KEY_PATH", &files.file("key.json")),
        ("GOOGLE_KEY_PATH", &files.file("key.json")),
        ("GOOGLE_APPLICATION_CREDENTIALS", &files.file("key.json")),
        ("GC_KEYFILE_DICT", &key),
        ("GC_KEYFILE_DICT", &written_out),
        ("GOOGLE_KEYFILE_DICT", &key),
        ("POLYAXON_CONTEXT_ROOT", &root),
    ] {
        works_a_little(&bucket(&vars([(name, value)]))).await;
    }
    let secret = opened(&connection("gcs", "gs://bkt/base", &files.secret()), &Vars::new());
    works(&secret).await;
    let signed = |seen: &plx_testkit::SeenGcs| {
        seen.authorization.as_deref().is_some_and(|value| value.starts_with("Bearer ey"))
    };
    assert!(server.requests().iter().all(|seen| signed(seen) && seen.status == 200));
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_named_and_never_shown() {
    let server = GcsServer::start().await;
    let target: GcsTarget = server.target("bkt");
    let half = r#"{"type":"service_account","client_email":"a@b","private_key":"hunter2-half"}"#;
    let no_pem = target.signing_key_json().replace("-----BEGIN", "hunter2");
    let user = r#"{"type":"external_account","token":"hunter2"}"#;
    for (value, word) in [
        (half, "private_key_id"),
        (&*no_pem, "PEM"),
        (user, "external_account"),
        ("hunter2", "JSON"),
        ("\"hunter2\"", "JSON"),
    ] {
        let Err(error) =
            try_open(&connection("gcs", "gs://bkt/base", ""), &vars([("GC_KEYFILE_DICT", value)]))
        else {
            panic!("{word}: it opened")
        };
        assert_eq!(error.class(), Class::Config);
        assert!(error.to_string().contains(word) && error.to_string().contains("GC_KEYFILE_DICT"), "{error}");
        assert!(!format!("{error} {error:?} {:?}", error.next_step()).contains("hunter2"), "{error:?}");
    }
    let missing = vars([("GC_KEY_PATH", "/nowhere/key.json")]);
    let Err(error) = try_open(&connection("gcs", "gs://bkt/base", ""), &missing) else { panic!("it opened") };
    assert!(error.to_string().contains("/nowhere/key.json"), "{error}");
}

#[tokio::test]
async fn a_key_that_is_known_no_more_and_a_bucket_that_is_not_there_are_told_apart() {
    let server = GcsServer::start().await;
    let key = server.target("bkt").signing_key_json();
    let env = vars([("GC_KEYFILE_DICT", &key)]);
    // Nobody knows the account.
    for kind in [File, Folder] {
        is(&look(&bucket(&env), kind).await, Cause::BadSignature, Class::Denied, "token");
    }
    server.accept_signed_by(SERVICE_ACCOUNT_PUBLIC_KEY);
    let nowhere = opened(&connection("gcs", "gs://nowhere/base", ""), &env);
    for kind in [File, Folder] {
        is(&look(&nowhere, kind).await, Cause::NoBucket, Class::NotFound, "create the bucket");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_taken_back_for_good_ends_the_run() {
    let server = GcsServer::start().await;
    server.create_bucket("bkt").unwrap();
    server.accept("hunter2-token");
    let identity = IdentityServer::start().await;
    identity.set_bearer("hunter2-token", HOUR);
    let (env, _proxy, _pretender) = google(server.addr()).await;
    let remote = bucket(&and(env, [("GCE_METADATA_HOST", identity.addr().to_string())]));
    works_a_little(&remote).await;
    server.revoke("hunter2-token");
    server.forget_requests();
    for kind in [File, Folder] {
        let error = look(&remote, kind).await;
        is(&error, Cause::BadSignature, Class::Denied, "token");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    // The same token again is no new one: neither the store nor the machine is asked over and over.
    assert_eq!(server.requests().len(), 3);
    assert_eq!(identity.requests().len(), 2);
}
