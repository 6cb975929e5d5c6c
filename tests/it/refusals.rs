//! A store that says no: which no it is, and what to do about it.

use crate::bench::{bucket, engine, rel, want};
use plx_contract::{Class, Classified};
use plx_testkit::{FaultProxy, Match, Moto, S3Server, S3Target, loopback};
use plx_transfer::WantKind::{File, Folder, Lookup};
use plx_transfer::{Cause, Ended, Remote, TransferError, Upload, plan, remove, upload};
use tokio_util::sync::CancellationToken;

async fn look(remote: &Remote, kind: plx_transfer::WantKind) -> TransferError {
    let plan = plan(&engine(), remote, vec![want("R", "", kind)], &CancellationToken::new()).await;
    let [error] = &plan.missing[..] else { panic!("{plan:?}") };
    error.clone()
}

async fn send(remote: &Remote, size: usize) -> TransferError {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    std::fs::write(&path, vec![1; size]).unwrap();
    let mut ended = Vec::new();
    let job = Upload { key: rel("f"), path, size: size as u64 };
    upload(&engine(), remote, vec![job], &CancellationToken::new(), |_, how| ended.push(how)).await;
    match ended.remove(0) {
        Ended::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

fn is(error: &TransferError, cause: Cause, class: Class, next: &str) {
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
        for size in [10, 9 << 20] {
            is(&send(&remote, size).await, Cause::BadSignature, Class::Denied, "secret key");
        }
        is(&look(&remote, Folder).await, Cause::BadSignature, Class::Denied, "secret key");
        // The answer to HEAD has no body, so it says less.
        for kind in [File, Lookup] {
            assert_eq!(look(&remote, kind).await.class(), Class::Denied);
        }
    }
    // One request each: nobody knocks twice with a wrong key.
    assert_eq!(proxy.requests().len(), 10);
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
            no_bucket(&send(&remote, 10).await);
        }
        assert_eq!(look(&remote, File).await.class(), Class::NotFound);
    }
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_unreachable() {
    let server = S3Server::start().await;
    let target = server.target("bkt").through(&format!("http://127.0.0.1:{}", loopback::free_port()));
    let remote = bucket(&target, "base");
    for error in [look(&remote, Folder).await, look(&remote, File).await, send(&remote, 10).await] {
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
