//! A real client and a real server, and a network between them that fails.

use crate::bench::{Bench, bucket, engine, names, rel, want};
use plx_testkit::{FaultProxy, Match, Moto, S3Server, S3Target, Snapshot, Tree};
use plx_transfer::WantKind::Folder;
use plx_transfer::{Cause, Ended, Engine, Expected, Remote, Settings, Upload, download, plan, upload};
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;

struct World {
    target: S3Target,
    proxy: FaultProxy,
    remote: Remote,
    engine: Engine,
    folder: TempDir,
    _server: Option<S3Server>,
}

impl World {
    async fn new() -> Self {
        let server = S3Server::start().await;
        Self::before(server.target("bkt"), server.addr(), Some(server)).await
    }

    async fn before(target: S3Target, server: SocketAddr, keep: Option<S3Server>) -> Self {
        let proxy = FaultProxy::start(server).await;
        let remote = bucket(&target.through(&proxy.url()), "base");
        let engine = Engine::new(Settings::default());
        Self { target, proxy, remote, engine, folder: tempfile::tempdir().unwrap(), _server: keep }
    }

    async fn send(&self, tree: &Tree) -> Snapshot {
        let from = self.folder.path().join("from");
        let sent = tree.write_to(&from).unwrap();
        let jobs = sent.files.iter().map(|(name, content)| Upload {
            key: rel(name),
            path: from.join(name),
            size: content.size,
            expected: Expected::Anything,
        });
        upload(&self.engine, &self.remote, jobs.collect(), &CancellationToken::new(), |job, how| {
            assert!(matches!(how, Ended::Landed { .. }), "{}: {how:?}", job.key);
        })
        .await;
        assert_eq!(Snapshot::of_store(&self.target.store(), "base").await.unwrap().diff(&sent), "");
        sent
    }

    async fn fetch(&self, to: &Path) {
        let stop = CancellationToken::new();
        let plan = plan(&self.engine, &self.remote, vec![want("", "", Folder)], &stop).await;
        assert!(plan.missing.is_empty(), "{:?}", plan.missing);
        let outcome = download(&self.engine, &self.remote, plan, to, &stop).await;
        assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_land_through_a_network_that_cuts_and_a_server_that_refuses() {
    let world = World::new().await;
    let part = |number: u32| Match::method("PUT").query_contains(&format!("partNumber={number}&"));
    let object = || Match::method("PUT").query_lacks("partNumber=").path_contains("small");
    world.proxy.on(object().path_ends_with("3.bin")).first(1).answer(
        503,
        "<Error><Code>SlowDown</Code></Error>",
        &[("Retry-After", "1")],
    );
    world.proxy.on(object().path_ends_with("4.bin")).first(2).cut_after_request_bytes(100);
    world.proxy.on(object().path_ends_with("5.bin")).first(2).cut_before_response();
    world.proxy.on(object().path_ends_with("6.bin")).first(2).refuse();
    world.proxy.on(Match::method("POST").query_contains("uploads")).first(1).answer(500, "", &[]);
    world.proxy.on(part(1)).first(1).cut_after_request_bytes(MIB);
    world.proxy.on(part(2)).first(1).cut_before_response();
    world.proxy.on(part(3)).first(1).answer(502, "<html>bad gateway</html>", &[]);
    world.send(&Tree::new(1).small(20, 1000).file("big", 26 * MIB)).await;
    let big = Match::method("PUT").query_contains("partNumber=");
    assert_eq!(world.proxy.count(&big), 4 + 3);
    assert!(world.engine.pace().throttled_count() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_whose_answer_is_lost_has_landed() {
    // It forgets an upload that is complete, as S3 does; the other server denies access to it.
    let moto = Moto::shared().await;
    let world = World::before(moto.target("it-lost-answer").await, moto.addr(), None).await;
    world.proxy.on(Match::method("POST").query_contains("uploadId=")).first(1).cut_before_response();
    world.send(&Tree::new(1).file("big", 17 * MIB)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_in_the_body_of_a_successful_answer_is_an_error() {
    let world = World::new().await;
    let body = "<Error><Code>InternalError</Code><Message>We encountered an internal error</Message></Error>";
    world.proxy.on(Match::method("POST").query_contains("uploadId=")).first(2).answer(200, body, &[]);
    world.send(&Tree::new(1).file("big", 17 * MIB)).await;
    assert_eq!(world.proxy.count(&Match::method("POST").query_contains("uploadId=")), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_goes_on_from_where_the_network_cut_it() {
    let world = World::new().await;
    let sent =
        world.send(&Tree::new(1).small(10, 1000).file("middle", 12 * MIB).file("large", 40 * MIB)).await;
    world.proxy.forget_requests();
    world.proxy.on(Match::method("GET").path_ends_with("middle")).first(2).cut_after_response_bytes(5 * MIB);
    world.proxy.on(Match::method("GET").path_ends_with("large")).every(3).cut_after_response_bytes(3 * MIB);
    world.proxy.on(Match::method("GET").path_ends_with("7.bin")).first(2).cut_after_response_bytes(10);
    world.fetch(&world.folder.path().join("to")).await;
    assert_eq!(Snapshot::of(&world.folder.path().join("to")).unwrap().diff(&sent), "");
    // Each new request for the middle one begins behind what came before.
    let asked = world.proxy.requests();
    let ranges: Vec<Option<&str>> = asked
        .iter()
        .filter(|seen| seen.method == "GET" && seen.path_and_query.ends_with("middle"))
        .map(|seen| seen.header("range"))
        .collect();
    assert_eq!((ranges.len(), ranges[0]), (3, None), "{ranges:?}");
    let begin = |range: Option<&str>| {
        range.unwrap().strip_prefix("bytes=").unwrap().split('-').next().unwrap().parse::<u64>().unwrap()
    };
    assert!(begin(ranges[1]) > 4 * MIB && begin(ranges[2]) > 8 * MIB, "{ranges:?}");
    let came: u64 = asked.iter().map(|seen| seen.response_bytes).sum();
    assert!(came < 56 * MIB, "{came} bytes came for 52 MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_so_many_requests_a_second_gets_them_and_no_error() {
    let world = World::new().await;
    let tree = Tree::new(1).small(150, 100);
    world.proxy.limit_requests_per_second(100, 503);
    world.send(&tree).await;
    assert!(world.engine.pace().throttled_count() > 0);
}

#[tokio::test]
async fn a_server_that_ignores_ranges_or_answers_other_ones_does_not_spoil_a_file() {
    let world = World::new().await;
    let sent = world.send(&Tree::new(1).file("large", 17 * MIB)).await;
    let to = world.folder.path().join("to");
    let get = || Match::method("GET").path_ends_with("large");
    let tag = [("ETag", "\"e\""), ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")];
    let other = [tag[0], tag[1], ("Content-Range", "bytes 5-14/17825792")];
    let longer = [tag[0], tag[1], ("Content-Range", "bytes 0-99/99")];
    world.proxy.on(get()).nth(1).answer(200, "the whole, they say", &tag);
    world.proxy.on(get()).nth(1).answer(206, "0123456789", &other);
    world.proxy.on(get()).nth(1).answer(206, "0123456789", &longer);
    world.fetch(&to).await;
    assert_eq!(Snapshot::of(&to).unwrap().diff(&sent), "");
}

#[tokio::test]
async fn an_object_that_changes_on_a_server_without_if_match_and_tags_in_listings_is_never_a_mix() {
    let world = World::new().await;
    let engine = Engine::new(Settings { workers: 1, ..Settings::default() });
    world.send(&Tree::new(1).file("large", 40 * MIB)).await;
    let new = Tree::new(2).file("large", 40 * MIB);
    let stop = CancellationToken::new();
    let planned = plan(&engine, &world.remote, vec![want("", "", Folder)], &stop).await;
    let get = || Match::method("GET").path_ends_with("large");
    world.proxy.on(get()).nth(3).stall();
    let to = world.folder.path().join("to");
    let (outcome, sent) = tokio::join!(download(&engine, &world.remote, planned, &to, &stop), async {
        world.proxy.seen(get(), 3).await;
        // Past the proxy, so that the one stalled request waits.
        let direct = bucket(&world.target, "base");
        let from = world.folder.path().join("new");
        let sent = new.write_to(&from).unwrap();
        let job = Upload {
            key: rel("large"),
            path: from.join("large"),
            size: 40 * MIB,
            expected: Expected::Anything,
        };
        upload(&crate::bench::engine(), &direct, vec![job], &stop, |_, how| {
            assert!(matches!(how, Ended::Landed { .. }), "{how:?}");
        })
        .await;
        world.proxy.release();
        sent
    });
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    assert_eq!(Snapshot::of(&to).unwrap().diff(&sent), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_middle_leaves_no_parts_on_the_server() {
    let world = World::new().await;
    let from = world.folder.path().join("from");
    Tree::new(1).file("big", 40 * MIB).write_to(&from).unwrap();
    let stop = CancellationToken::new();
    let parts = || Match::method("PUT").query_contains("partNumber=");
    world.proxy.on(parts()).nth(2).stall();
    let job =
        Upload { key: rel("big"), path: from.join("big"), size: 40 * MIB, expected: Expected::Anything };
    let mut ended = Vec::new();
    tokio::join!(upload(&world.engine, &world.remote, vec![job], &stop, |_, how| ended.push(how)), async {
        world.proxy.seen(parts(), 2).await;
        stop.cancel();
    });
    assert!(matches!(&ended[..], [Ended::Failed(error)] if error.cause().is_none()), "{ended:?}");
    assert_eq!(world.proxy.count(&Match::method("DELETE").query_contains("uploadId=")), 1);
    assert_eq!(names(&Snapshot::of_store(&world.target.store(), "").await.unwrap()), [""; 0]);
}

#[tokio::test]
async fn a_connection_with_its_keys_in_its_own_env_opens_the_same() {
    let bench = Bench::new(crate::bench::Kind::S3s, "own-env").await;
    bench.put("a", "x").await;
    let server = S3Server::start().await;
    let target = server.target("bkt");
    let keys = format!(
        r#"[{{"name":"AWS_ACCESS_KEY_ID","value":"{}"}},{{"name":"AWS_SECRET_ACCESS_KEY","value":"{}"}},{{"name":"AWS_ENDPOINT_URL","value":"{}"}}]"#,
        target.access_key, target.secret_key, target.endpoint
    );
    let connection = format!(r#"{{"name":"s","kind":"s3","schema":{{"bucket":"s3://bkt"}},"env":{keys}}}"#);
    let remote = crate::bench::opened(&connection, &Default::default());
    let plan = plan(&engine(), &remote, vec![want("", "", Folder)], &CancellationToken::new()).await;
    assert!(plan.missing.is_empty() && plan.objects() == 0, "{plan:?}");
    assert!(!plan.missing.iter().any(|error| error.cause() == Some(Cause::Denied)));
}
