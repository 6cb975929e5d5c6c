//! What only an object store holds: markers of folders, and keys that are no paths.

use crate::bench::{bucket, engine, names, want};
use plx_contract::{Class, Classified};
use plx_testkit::{FaultProxy, Match, Moto, S3Server, Snapshot, loopback};
use plx_transfer::{Cause, WantKind::Folder, download, plan};
use tokio_util::sync::CancellationToken;

/// A bucket of moto's own with exactly these keys. Moto checks no signatures, so nothing need be signed.
async fn raw(name: &str, keys: &[&str]) -> plx_testkit::S3Target {
    let moto = Moto::shared().await;
    let target = moto.target(name).await;
    for key in keys {
        let encoded: String = key
            .bytes()
            .map(|byte| match byte {
                b'/' => "/".to_owned(),
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        let answer = loopback::request(moto.addr(), "PUT", &format!("/{name}/{encoded}"), b"").await.unwrap();
        assert_eq!(answer.status, 200, "{key}: {}", answer.head);
    }
    target
}

#[tokio::test]
async fn a_marker_makes_an_empty_folder() {
    let keys = ["base/R/", "base/R/empty/", "base/R/zero", "base/R/sub/", "base/R/sub/b", "base/R/deep/er/"];
    let target = raw("it-markers", &keys).await;
    let (engine, stop, to) = (engine(), CancellationToken::new(), tempfile::tempdir().unwrap());
    let remote = bucket(&target, "base");
    let plan = plan(&engine, &remote, vec![want("R", "", Folder)], &stop).await;
    assert!(plan.missing.is_empty(), "{:?}", plan.missing);
    let outcome = download(&engine, &remote, plan, to.path(), &stop).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    let got = Snapshot::of(to.path()).unwrap();
    assert_eq!(names(&got), ["sub/b", "zero"]);
    assert_eq!(got.empty_dirs, ["deep/er", "empty"].map(str::to_owned).into());
}

#[tokio::test]
async fn a_folder_that_is_nothing_but_its_marker_is_an_empty_folder() {
    let target = raw("it-only-marker", &["base/R/"]).await;
    let (engine, stop, to) = (engine(), CancellationToken::new(), tempfile::tempdir().unwrap());
    let remote = bucket(&target, "base");
    let plan = plan(&engine, &remote, vec![want("R", "it", Folder)], &stop).await;
    assert!(plan.missing.is_empty(), "{:?}", plan.missing);
    let outcome = download(&engine, &remote, plan, to.path(), &stop).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    assert_eq!(Snapshot::of(to.path()).unwrap().empty_dirs, ["it".to_owned()].into());
}

#[tokio::test]
async fn a_key_that_is_no_path_is_refused_and_nothing_is_written() {
    let server = S3Server::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let target = server.target("b").through(&proxy.url());
    let keys =
        ["base/R/../../evil", "base/R/..", "base/R//x", "base/R/./x", "base/R/x&#10;y", "base/R/../R/ok"];
    for key in keys {
        proxy.clear_rules();
        let object = |key: &str| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                     <ETag>\"e\"</ETag><Size>1</Size></Contents>"
            )
        };
        let body = format!("<ListBucketResult>{}{}</ListBucketResult>", object("base/R/a"), object(key));
        proxy.on(Match::method("GET").query_contains("list-type=2")).answer(200, &body, &[]);
        proxy.on(Match::method("GET")).answer(
            200,
            "x",
            &[("ETag", "\"e\""), ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")],
        );
        let (engine, stop, folder) = (engine(), CancellationToken::new(), tempfile::tempdir().unwrap());
        let remote = bucket(&target, "base");
        let started = proxy.requests().len();
        let plan = plan(&engine, &remote, vec![want("R", "", Folder)], &stop).await;
        let [error] = &plan.missing[..] else { panic!("{key}: {plan:?}") };
        assert_eq!(
            (error.class(), error.cause().is_none_or(|cause| cause == Cause::BadKey)),
            (Class::Integrity, true),
            "{key}: {error:?}"
        );
        assert!(error.to_string().contains("base/R"), "{error}");
        assert!(error.next_step().unwrap().contains("rename"), "{error:?}");
        assert_eq!(proxy.requests().len() - started, 1, "a bad key is not asked for again");
        let outcome = download(&engine, &remote, plan, &folder.path().join("to"), &stop).await;
        assert_eq!(outcome.objects, 0);
        assert_eq!(names(&Snapshot::of(folder.path()).unwrap()), [""; 0]);
    }
}
