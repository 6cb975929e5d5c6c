//! Azure: keys, signatures, service principals, federated tokens, managed identities; and what Azure says no with.

use super::{and, says};
use crate::bench::{Vars, connection, engine, opened, vars};
use crate::carry::{
    Mounted, every_failure, look, look_with, once, only_the_refused_were_sent_twice, send, works,
    works_a_little,
};
use crate::refusals::is;
use plx_contract::{Class, Classified};
use plx_testkit::{
    AzureTarget, Azurite, FaultProxy, IdentityServer, Match, PrivateCa, Snapshot, Tree, azure_jwt,
};
use plx_transfer::WantKind::{File, Folder};
use plx_transfer::{Cause, Remote, WantKind};
use std::time::{Duration, SystemTime};

const HOUR: Duration = Duration::from_secs(3600);
const ALL: &str = "racwdl";

fn bucket(target: &AzureTarget, env: &Vars) -> Remote {
    bucket_with(target, env, "")
}

fn bucket_with(target: &AzureTarget, env: &Vars, more: &str) -> Remote {
    let AzureTarget { container, account, endpoint, .. } = target;
    let url = format!("wasbs://{container}@{account}.blob.core.windows.net/base");
    opened(&connection("wasb", &url, more), &and(env.clone(), [("AZURE_STORAGE_ENDPOINT", endpoint)]))
}

fn hence(seconds: u64) -> SystemTime {
    SystemTime::now() + Duration::from_secs(seconds)
}

/// Where Entra ID stands in a test, and who we are there.
fn principal(identity: &IdentityServer) -> Vars {
    let url = identity.url();
    vars([("AZURE_TENANT_ID", "tenant"), ("AZURE_CLIENT_ID", "client-7"), ("AZURE_AUTHORITY_HOST", &url)])
}

#[tokio::test]
async fn r9_entra_and_the_machine_let_us_in_by_whatever_we_have_to_show() {
    let ca = PrivateCa::new();
    let azurite = Azurite::with_oauth(&ca).await;
    let target = azurite.target("by-entra").await;
    let folder = tempfile::tempdir().unwrap();
    ca.write_to(&folder.path().join("ca.pem")).unwrap();
    let trust = vars([("POLYAXON_SSL_CA_CERT", folder.path().join("ca.pem").display().to_string())]);
    let identity = IdentityServer::start().await;
    identity.set_bearer(&azure_jwt("tenant", HOUR), HOUR);
    identity.set_client_secret("s3cret~+/=&");
    identity.set_federated_token("of-the-pod");
    identity.set_client_id("client-7");
    let token = Mounted::new(&[("token", "of-the-pod")]);
    let machine = format!("{}/metadata/identity/oauth2/token", identity.url());
    let entra = principal(&identity);
    let without_client =
        |mut env: Vars| -> Vars { env.remove("AZURE_CLIENT_ID").map(|_| env).unwrap_or_default() };
    for (env, path) in [
        (and(entra.clone(), [("AZURE_CLIENT_SECRET", "s3cret~+/=&")]), "/tenant/oauth2/v2.0/token"),
        (
            and(entra.clone(), [("AZURE_FEDERATED_TOKEN_FILE", token.file("token"))]),
            "/tenant/oauth2/v2.0/token",
        ),
        (and(entra.clone(), [("IDENTITY_ENDPOINT", &machine)]), "client_id=client-7"),
        (without_client(and(entra.clone(), [("IDENTITY_ENDPOINT", &machine)])), "resource="),
        (and(entra, [("AZURE_POD_IDENTITY_AUTHORITY_HOST", identity.url())]), "client_id=client-7"),
    ] {
        identity.forget_requests();
        works_a_little(&bucket(&target, &and(env, trust.clone()))).await;
        let asked = identity.requests();
        let [asked] = &asked[..] else { panic!("{asked:?}") };
        assert!(asked.path_and_query.contains(path), "{asked:?}");
    }
    // The store's certificate and nothing else is what fails without the authority.
    let env = and(principal(&identity), [("AZURE_CLIENT_SECRET", "s3cret~+/=&")]);
    let error = look(&bucket(&target, &env), File).await;
    is(&error, Cause::Certificate, Class::Config, "POLYAXON_SSL_CA_CERT");
}

#[tokio::test]
async fn what_entra_refuses_is_said_in_its_own_words() {
    let identity = IdentityServer::start().await;
    identity.set_bearer("bearer", HOUR);
    identity.set_client_secret("right");
    identity.set_federated_token("right");
    // Nothing of it is ever asked.
    let target = AzureTarget {
        endpoint: "http://127.0.0.1:9/account".to_owned(),
        account: "account".to_owned(),
        key: String::new(),
        container: "c".to_owned(),
    };
    let token = Mounted::new(&[("token", "hunter2-token")]);
    for (key, value, word, source) in [
        ("AZURE_CLIENT_SECRET", "hunter2-secret".to_owned(), "AADSTS7000215", "service principal"),
        ("AZURE_FEDERATED_TOKEN_FILE", token.file("token"), "AADSTS700213", "workload identity"),
    ] {
        identity.forget_requests();
        let error = look(&bucket(&target, &and(principal(&identity), [(key, value)])), File).await;
        is(&error, Cause::NoIdentity(Class::Denied), Class::Denied, "the secret");
        says(&error, &[word, source]);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        assert_eq!(identity.requests().len(), 1, "a refusal is not asked for again");
    }
    // The machine knows no such identity.
    identity.set_client_id("somebody-else");
    let machine = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", identity.url())];
    let error = look(&bucket(&target, &and(principal(&identity), machine)), File).await;
    assert!(matches!(error.cause(), Some(Cause::NoIdentity(_))), "{error:?}");
    says(&error, &["managed identity at", &identity.url(), "Identity not found"]);
}

#[tokio::test]
async fn a_machine_that_is_not_up_yet_is_waited_for_and_a_token_that_is_over_is_replaced() {
    let identity = IdentityServer::start().await;
    identity.set_bearer("first", HOUR);
    let server = Azurite::shared().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let over = "<Error><Code>InvalidAuthenticationInfo</Code><Message>Server failed to authenticate the request.</Message>\
                <AuthenticationErrorDetail>Lifetime validation failed. The token is expired.</AuthenticationErrorDetail></Error>";
    let nothing =
        "<?xml version=\"1.0\"?><EnumerationResults><Blobs></Blobs><NextMarker/></EnumerationResults>";
    // Azurite takes no tokens without TLS.
    let with = |token: &str| Match::any().header_contains("authorization", &format!("Bearer {token}"));
    proxy.on(with("second")).answer(200, nothing, &[]);
    proxy.on(with("first")).nth(1).answer(200, nothing, &[]);
    proxy.on(with("first")).answer(401, over, &[]);
    let target = server.target("by-machine").await.through(&proxy.url());
    let remote = bucket(&target, &vars([("AZURE_POD_IDENTITY_AUTHORITY_HOST", identity.url())]));
    identity.not_ready(1);
    let absent = look(&remote, Folder).await;
    assert_eq!(absent.cause(), None, "{absent:?}");
    identity.set_bearer("second", HOUR);
    let absent = look(&remote, Folder).await;
    assert_eq!(absent.cause(), None, "{absent:?}");
    assert_eq!((proxy.count(&with("first")), proxy.count(&with("second"))), (2, 1));
    // And one that has no successor is over.
    proxy.clear_rules();
    proxy.on(Match::any()).answer(401, over, &[]);
    is(&look(&remote, Folder).await, Cause::Expired, Class::Denied, "renew");
}

#[tokio::test]
async fn a_signature_opens_what_it_is_for_alone_and_inside_of_a_connection_string() {
    let target = Azurite::shared().await.target("by-signature").await;
    let sas = target.sas(ALL, hence(600));
    let AzureTarget { endpoint, account, .. } = &target;
    let string = format!("BlobEndpoint={endpoint};AccountName={account};SharedAccessSignature={sas}");
    let marked = format!("?{sas}");
    for (key, value) in [
        ("AZURE_SAS_TOKEN", &sas),
        ("AZURE_STORAGE_SAS_TOKEN", &marked),
        ("AZURE_CONNECTION_STRING", &string),
        ("AZURE_STORAGE_CONNECTION_STRING", &string),
    ] {
        works(&bucket(&target, &vars([(key, value)]))).await;
    }
    let reader = bucket(&target, &vars([("AZURE_SAS_TOKEN", target.sas("rl", hence(600)))]));
    let error = crate::carry::refused(&reader, 10).await;
    assert_eq!((error.cause(), error.class()), (Some(Cause::Denied), Class::Denied));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_with_the_signature_that_was_mounted_in_the_middle() {
    let server = Azurite::shared().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let target = server.target("by-rotation").await;
    let (old, new) = (target.sas(ALL, hence(600)), target.sas(ALL, hence(1200)));
    let secret = Mounted::new(&[("AZURE_SAS_TOKEN", &old)]);
    let remote = bucket_with(&target.through(&proxy.url()), &Vars::new(), &secret.secret());
    let block = || Match::method("PUT").query_contains("comp=block&");
    proxy.on(block()).nth(2).stall();
    let engine = engine();
    let tree = Tree::new(1).small(5, 1000).file("large", 28 << 20);
    let (sent, ()) = tokio::join!(send(&engine, &remote, &tree), async {
        proxy.seen(block(), 3).await;
        secret.rotate(&[("AZURE_SAS_TOKEN", &new)]);
        let over = "<Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate the request.</Message>\
                    <AuthenticationErrorDetail>Signature not valid in the specified time frame</AuthenticationErrorDetail></Error>";
        let signature = old.split('&').find(|pair| pair.starts_with("sig=")).unwrap();
        proxy.on(Match::any().query_contains(signature)).answer(403, over, &[]);
        proxy.release();
    });
    assert_eq!(Snapshot::of_store(&target.store(), "base").await.unwrap().diff(&sent), "");
    assert!(only_the_refused_were_sent_twice(&proxy.requests()) >= 1);
}

#[tokio::test]
async fn a_wrong_key_a_signature_that_is_over_and_a_missing_container_are_told_apart() {
    let target = Azurite::shared().await.target("refusing").await;
    // Azurite has one code for all of them, which is Azure's for what a network rule refuses: its words are checked by
    // what Azure itself says, below.
    let wrong = vars([("AZURE_ACCOUNT_KEY", "aHVudGVyMi1pbi1iYXNlNjQ=")]);
    let over = vars([("AZURE_SAS_TOKEN", target.sas(ALL, SystemTime::now() - Duration::from_secs(60)))]);
    for env in [wrong, over] {
        for error in every_failure(&bucket(&target, &env)).await {
            assert_eq!(error.class(), Class::Denied, "{error:?}");
            assert!(!error.may_pass());
        }
    }
    let key = vars([("AZURE_ACCOUNT_KEY", &target.key)]);
    let nowhere = AzureTarget { container: "nowhere".to_owned(), ..target.clone() };
    for error in every_failure(&bucket(&nowhere, &key)).await {
        is(&error, Cause::NoBucket, Class::NotFound, "create the bucket");
    }
}

const NO_MATCH: &str = "Signature did not match. String to sign used was r";
const NOT_NOW: &str = "Signature not valid in the specified time frame: Start";
const NO_TIME: &str = "Signed expiry time [Fri] must be after signed start time";

/// Every request is answered with that, and it is understood as that.
async fn understood(kind: WantKind, answers: &[(u16, &str, &str, Cause)]) {
    let server = Azurite::shared().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let target = server.target("said").await.through(&proxy.url());
    let remote = bucket(&target, &vars([("AZURE_ACCOUNT_KEY", &target.key)]));
    for &(status, code, detail, cause) in answers {
        proxy.clear_rules();
        let body = format!(
            "<Error><Code>{code}</Code><Message>Azure says</Message>\
             <AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail></Error>"
        );
        // The answer to a HEAD has the code in this header alone.
        proxy.on(Match::any()).answer(status, &body, &[("x-ms-error-code", code)]);
        let error = look_with(&once(), &remote, kind).await;
        assert_eq!(error.cause(), Some(cause), "{code} {detail}: {error:?}");
        says(&error, &[code]);
    }
}

const PLAIN: &[(u16, &str, &str, Cause)] = &[
    (403, "AuthenticationFailed", NO_MATCH, Cause::BadSignature),
    (401, "NoAuthenticationInformation", "", Cause::BadSignature),
    (403, "AuthorizationPermissionMismatch", "", Cause::Denied),
    (403, "AuthorizationFailure", "", Cause::Denied),
    (403, "InsufficientAccountPermissions", "", Cause::Denied),
    (404, "ContainerNotFound", "", Cause::NoBucket),
    (409, "ContainerBeingDeleted", "", Cause::NoBucket),
    (503, "ServerBusy", "", Cause::Throttled(None)),
];
const IN_WORDS: &[(u16, &str, &str, Cause)] = &[
    (403, "AuthenticationFailed", NOT_NOW, Cause::Expired),
    (403, "AuthenticationFailed", NO_TIME, Cause::Expired),
    (401, "InvalidAuthenticationInfo", "Lifetime validation failed. The token is expired.", Cause::Expired),
];

#[tokio::test]
async fn what_azure_itself_says_is_understood() {
    understood(Folder, PLAIN).await;
    understood(Folder, IN_WORDS).await;
    understood(File, PLAIN).await;
}

#[tokio::test]
async fn what_azure_says_in_words_alone_is_understood_of_one_object_too() {
    understood(File, IN_WORDS).await;
}
