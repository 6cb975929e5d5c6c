//! Keys in a mounted secret that is rotated while something is on its way.

use crate::bench::{engine, opened, s3_connection, s3_place};
use crate::carry::{Mounted, fetch, look, only_the_refused_were_sent_twice, send, works, works_a_little};
use crate::refusals::is;
use plx_contract::Class;
use plx_testkit::{FaultProxy, Match, S3Front, S3Server, S3Target, Snapshot, Tree};
use plx_transfer::WantKind::File;
use plx_transfer::{Cause, Remote};

const MIB: u64 = 1 << 20;

/// A store that knows one session token at a time, and a secret on disk.
struct World {
    target: S3Target,
    front: S3Front,
    proxy: FaultProxy,
    secret: Mounted,
    remote: Remote,
    _server: S3Server,
}

impl World {
    async fn new() -> Self {
        let server = S3Server::start().await;
        let front = S3Front::start(server.addr()).await;
        front.require_token();
        front.valid_tokens(["one"]);
        let proxy = FaultProxy::start(front.addr()).await;
        let target = server.target("bkt");
        let secret = Mounted::new(&files(&target, "one"));
        let through = target.through(&proxy.url());
        let remote = opened(&s3_connection(&through, &secret.secret()), &s3_place(&through));
        Self { target, front, proxy, secret, remote, _server: server }
    }

    /// The kubelet brings a new token, and the old one ends.
    fn rotate(&self, token: &str) {
        self.secret.rotate(&files(&self.target, token));
        self.front.valid_tokens([token]);
    }

    async fn stored(&self) -> Snapshot {
        Snapshot::of_store(&self.target.store(), "base").await.unwrap()
    }
}

fn files<'a>(target: &'a S3Target, token: &'a str) -> [(&'static str, &'a str); 3] {
    [
        ("AWS_ACCESS_KEY_ID", &target.access_key),
        ("AWS_SECRET_ACCESS_KEY", &target.secret_key),
        ("AWS_SESSION_TOKEN", token),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_in_parts_goes_on_with_the_token_that_came_in_the_middle() {
    let world = World::new().await;
    let part = || Match::method("PUT").query_contains("partNumber=");
    world.proxy.on(part()).nth(3).stall();
    let engine = engine();
    let tree = Tree::new(1).small(5, 1000).file("large", 44 * MIB);
    let (sent, ()) = tokio::join!(send(&engine, &world.remote, &tree), async {
        world.proxy.seen(part(), 3).await;
        world.rotate("two");
        world.proxy.release();
    });
    assert_eq!(world.stored().await.diff(&sent), "");
    let refused = only_the_refused_were_sent_twice(&world.front.requests());
    assert!(refused >= 1, "nothing was refused");
    // It went on, it did not start anew.
    assert_eq!(world.front.count(&Match::method("POST").query_contains("uploads")), 1);
    assert_eq!(world.front.count(&Match::method("DELETE")), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_in_ranges_goes_on_with_the_token_that_came_in_the_middle() {
    let world = World::new().await;
    let sent = send(&engine(), &world.remote, &Tree::new(1).small(5, 1000).file("large", 44 * MIB)).await;
    world.front.forget_requests();
    let range = || Match::method("GET").header("range");
    world.proxy.on(range()).nth(3).stall();
    let engine = engine();
    let (got, ()) = tokio::join!(fetch(&engine, &world.remote), async {
        world.proxy.seen(range(), 3).await;
        world.rotate("two");
        world.proxy.release();
    });
    assert_eq!(got.diff(&sent), "");
    assert!(only_the_refused_were_sent_twice(&world.front.requests()) >= 1, "nothing was refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_files_go_on_too_and_a_second_rotation_does_no_harm() {
    let world = World::new().await;
    let put = || Match::method("PUT");
    world.proxy.on(put()).nth(50).stall();
    world.proxy.on(put()).nth(150).stall();
    let engine = engine();
    let tree = Tree::new(1).small(300, 500);
    let (sent, ()) = tokio::join!(send(&engine, &world.remote, &tree), async {
        for (n, token) in [(50, "two"), (150, "three")] {
            world.proxy.seen(put(), n).await;
            world.rotate(token);
            world.proxy.release();
        }
    });
    assert_eq!(world.stored().await.diff(&sent), "");
    assert!(world.front.requests().iter().any(|seen| seen.header("x-amz-security-token") == Some("three")));
}

#[tokio::test]
async fn a_token_that_ends_and_is_not_replaced_ends_the_run_and_its_successor_helps_the_next() {
    let world = World::new().await;
    works(&world.remote).await;
    world.front.expire("one");
    is(&look(&world.remote, File).await, Cause::Expired, Class::Denied, "renew");
    // Another program, or the same one started anew, finds the new secret.
    world.rotate("two");
    let through = world.target.through(&world.front.url());
    works(&opened(&s3_connection(&through, &world.secret.secret()), &s3_place(&through))).await;
}

#[tokio::test]
async fn a_secret_that_is_taken_away_says_what_the_store_said() {
    let world = World::new().await;
    works_a_little(&world.remote).await;
    world.secret.rotate(&[]);
    // As long as the store takes what is in hand, nobody looks.
    works_a_little(&world.remote).await;
    world.front.expire("one");
    is(&look(&world.remote, File).await, Cause::Expired, Class::Denied, "renew");
}

#[tokio::test]
async fn a_session_token_from_elsewhere_does_not_belong_to_the_keys_of_the_secret() {
    let world = World::new().await;
    world.front.clear_rules();
    world.secret.rotate(&files(&world.target, "one")[..2]);
    let through = world.target.through(&world.front.url());
    let env = |name: &str| super::and(s3_place(&through), [(name, "stray")]);
    let tokens = || {
        let seen = world.front.requests();
        world.front.forget_requests();
        seen.iter().filter(|seen| seen.header("x-amz-security-token").is_some()).count()
    };
    let open = |env| opened(&s3_connection(&through, &world.secret.secret()), &env);
    works_a_little(&open(env("AWS_SESSION_TOKEN"))).await;
    assert_eq!(tokens(), 0);
    // Polyaxon's own name for it is meant for this connection.
    works_a_little(&open(env("AWS_SECURITY_TOKEN"))).await;
    assert!(tokens() > 0);
}
