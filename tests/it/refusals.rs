//! A store that says no: which no it is, and what to do about it.

use crate::bench::{bucket, bucket_with, engine, rel};
use crate::carry::{every_failure, look, look_with, once, refused, send, works_a_little};
use plx_contract::{Class, Classified};
use plx_testkit::{
    FaultProxy, Match, Moto, PrivateCa, S3Front, S3Server, S3Target, TlsFront, Tree, loopback,
};
use plx_transfer::WantKind::{File, Folder, Lookup};
use plx_transfer::{Cause, TransferError, remove};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// An error, its class and what it says to do.
pub fn is(error: &TransferError, cause: Cause, class: Class, next: &str) {
    assert_eq!((error.cause(), error.class()), (Some(cause), class), "{error:?}");
    assert!(error.next_step().unwrap().contains(next), "{:?}", error.next_step());
}

#[tokio::test]
async fn a_wrong_secret_key_is_denied_and_says_which_keys_to_correct() {
    let server = S3Server::start().await;
    let right = server.target("bkt");
    let proxy = FaultProxy::start(server.addr()).await;
    // Another server, another word: this one says `NotSignedUp` of a key that S3 calls `InvalidAccessKeyId`.
    proxy.on(Match::any().path_contains("nobody")).answer(
        403,
        "<Error><Code>InvalidAccessKeyId</Code></Error>",
        &[],
    );
    for (prefix, wrong) in [
        ("base", S3Target { secret_key: "wrong".to_owned(), ..right.clone() }),
        (
            "nobody",
            S3Target { access_key: "AKNOBODY".to_owned(), bucket: "nobody".to_owned(), ..right.clone() },
        ),
    ] {
        let remote = bucket(&wrong.through(&proxy.url()), prefix);
        for error in every_failure(&remote).await {
            is(&error, Cause::BadSignature, Class::Denied, "secret key");
        }
    }
    // One request each: nobody knocks twice with a wrong key. The answer to a HEAD has no words, so what it meant is
    // asked once more.
    let asked = |method| proxy.count(&Match::method(method));
    assert_eq!((asked("HEAD"), asked("GET"), asked("PUT"), asked("POST")), (4, 6, 2, 2));
    assert_eq!(proxy.count(&Match::method("GET").header_contains("range", "bytes=0-0")), 4);
    assert!(!format!("{:?}", look(&bucket(&right, "base"), Folder).await).contains(&right.secret_key));
}

#[tokio::test]
async fn a_missing_bucket_is_said_to_be_missing() {
    let moto = Moto::shared().await;
    let there = moto.target("it-there").await;
    let server = S3Server::start().await;
    for (target, refuses) in [(there, true), (server.target("there"), false)] {
        let remote = bucket(&S3Target { bucket: "it-nowhere".to_owned(), ..target }, "base");
        let no_bucket =
            |error: &TransferError| is(error, Cause::NoBucket, Class::NotFound, "create the bucket");
        no_bucket(&look(&remote, Folder).await);
        no_bucket(&look(&remote, Lookup).await);
        // The other one makes the folder of a missing bucket by the way.
        if refuses {
            no_bucket(&refused(&remote, 10).await);
        }
        no_bucket(&look(&remote, File).await);
    }
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_unreachable() {
    let server = S3Server::start().await;
    let target = server.target("bkt").through(&format!("http://127.0.0.1:{}", loopback::free_port()));
    let remote = bucket(&target, "base");
    for error in [look(&remote, Folder).await, look(&remote, File).await, refused(&remote, 10).await] {
        is(&error, Cause::Unreachable, Class::Unavailable, "endpoint");
    }
}

#[tokio::test]
async fn a_refused_delete_is_refused_at_once() {
    let server = S3Server::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
    proxy.on(Match::method("DELETE")).answer(403, denied, &[]);
    // As S3 answers a bulk delete whose keys are refused one by one.
    let bulk = "<DeleteResult><Error><Key>base/a</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>";
    proxy.on(Match::method("POST")).answer(200, bulk, &[]);
    let remote = bucket(&server.target("bkt").through(&proxy.url()), "base");
    let mut ended = Vec::new();
    remove(&engine(), &remote, vec![rel("a")], &CancellationToken::new(), |_, how| ended.push(how)).await;
    is(ended[0].as_ref().unwrap_err(), Cause::Denied, Class::Denied, "grant");
    assert_eq!(proxy.requests().len(), 1);
}

#[tokio::test]
async fn a_session_that_is_over_is_told_from_a_wrong_key() {
    let server = S3Server::start().await;
    let front = S3Front::start(server.addr()).await;
    let target = server.target("bkt").through(&front.url());
    front.valid_tokens(["new"]);
    let remote = bucket_with(&target, [("AWS_SESSION_TOKEN", "old")]);
    for error in every_failure(&remote).await {
        is(&error, Cause::Expired, Class::Denied, "renew");
        assert!(error.to_string().contains("ExpiredToken"), "{error}");
    }
    // Nothing was there to renew it from, so nothing was sent twice: only the two HEADs were asked what they meant.
    assert_eq!(front.requests().len(), 5 + 2);
    works_a_little(&bucket_with(&target, [("AWS_SESSION_TOKEN", "new")])).await;
    front.expire("new");
    is(
        &look(&bucket_with(&target, [("AWS_SECURITY_TOKEN", "new")]), File).await,
        Cause::Expired,
        Class::Denied,
        "renew",
    );
}

#[tokio::test]
async fn a_key_without_rights_is_denied_and_not_called_wrong() {
    let server = S3Server::start().await;
    let front = S3Front::start(server.addr()).await;
    front.deny_matching(Match::any());
    let remote = bucket(&server.target("bkt").through(&front.url()), "base");
    for error in every_failure(&remote).await {
        is(&error, Cause::Denied, Class::Denied, "grant");
        assert!(error.to_string().contains("AccessDenied"), "{error}");
    }
    assert_eq!(front.requests().len(), 5 + 2);
    // A HEAD that is refused where a GET is not stays refused.
    front.clear_rules();
    let direct = bucket(&server.target("bkt"), "base");
    send(&engine(), &direct, &Tree::new(1).file("R", 10)).await;
    front.deny("HEAD", "");
    is(&look(&remote, File).await, Cause::Denied, Class::Denied, "grant");
}

#[tokio::test]
async fn a_key_that_was_taken_back_is_no_longer_known() {
    let server = S3Server::start().await;
    let front = S3Front::start(server.addr()).await;
    let target = server.target("bkt").through(&front.url());
    let remote = bucket(&target, "base");
    works_a_little(&remote).await;
    front.revoke_key(&target.access_key);
    is(&look(&remote, File).await, Cause::BadSignature, Class::Denied, "secret key");
}

#[tokio::test]
async fn a_store_that_asks_to_slow_down_to_the_end_is_throttled() {
    let server = S3Server::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let remote = bucket(&server.target("bkt").through(&proxy.url()), "base");
    for (status, code) in
        [(503, "SlowDown"), (429, "TooManyRequests"), (400, "ThrottlingException"), (503, "")]
    {
        proxy.clear_rules();
        let body = format!("<Error><Code>{code}</Code><Message>calm down</Message></Error>");
        proxy.on(Match::any()).answer(status, &body, &[("Retry-After", "7")]);
        for kind in [Folder, File] {
            let error = look_with(&once(), &remote, kind).await;
            let seven = Cause::Throttled(Some(Duration::from_secs(7)));
            is(&error, seven, Class::Unavailable, "slow down");
            assert!(error.may_pass());
        }
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_a_matter_of_configuration() {
    let server = S3Server::start().await;
    let (ca, other) = (PrivateCa::new(), PrivateCa::new());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, ca: &PrivateCa| {
        ca.write_to(&folder.path().join(name)).unwrap();
        folder.path().join(name).display().to_string()
    };
    let (trusted, stranger) = (file("ca.pem", &ca), file("other.pem", &other));
    let good = TlsFront::start(server.addr(), &ca).await;
    let expired = TlsFront::expired(server.addr(), &ca).await;
    let elsewhere = TlsFront::wrong_name(server.addr(), &ca).await;
    for (front, file, next) in [
        (&good, &stranger, "POLYAXON_SSL_CA_CERT"),
        (&expired, &trusted, "renew the server's certificate"),
        (&elsewhere, &trusted, "host name"),
    ] {
        let target = server.target("bkt").through(&front.url());
        let remote = bucket_with(&target, [("POLYAXON_SSL_CA_CERT", file)]);
        for error in every_failure(&remote).await {
            is(&error, Cause::Certificate, Class::Config, next);
        }
    }
    let target = server.target("bkt").through(&good.url());
    is(
        &look(&bucket(&target, "base"), File).await,
        Cause::Certificate,
        Class::Config,
        "POLYAXON_SSL_CA_CERT",
    );
    works_a_little(&bucket_with(&target, [("POLYAXON_SSL_CA_CERT", &trusted)])).await;
}

#[tokio::test]
async fn what_answers_and_is_no_store_is_a_matter_of_the_endpoint() {
    let server = S3Server::start().await;
    let tls = TlsFront::start(server.addr(), &PrivateCa::new()).await;
    let proxy = FaultProxy::start(server.addr()).await;
    let page = "<!DOCTYPE html><html><body>Welcome</body></html>";
    proxy.on(Match::any()).answer(404, page, &[("Content-Type", "text/html")]);
    for (endpoint, next) in [
        (tls.url().replace("https", "http"), "endpoint"),
        (format!("https://{}", server.addr()), "http://"),
        (proxy.url(), "no object store"),
    ] {
        let remote = bucket(&server.target("bkt").through(&endpoint), "base");
        for kind in [Folder, File] {
            is(&look_with(&once(), &remote, kind).await, Cause::NotAStore, Class::Config, next);
        }
    }
}
