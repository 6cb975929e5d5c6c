//! Roles: assumed with keys, and by web identity. STS is moto's.

use super::sts::Sts;
use super::{and, says};
use crate::bench::{Vars, engine, opened, s3_connection, s3_keys, s3_place};
use crate::carry::{Mounted, look, only_the_refused_were_sent_twice, send, works, works_a_little};
use crate::refusals::is;
use plx_contract::Class;
use plx_testkit::{FaultProxy, IdentityServer, Match, Moto, S3Front, S3Target, Snapshot, Tree, loopback};
use plx_transfer::WantKind::File;
use plx_transfer::{Cause, Remote};
use std::collections::BTreeSet;
use std::time::Duration;

const ROLE: &str = "arn:aws:iam::123456789012:role/plx";

/// A bucket that only sessions may use, and STS.
struct World {
    target: S3Target,
    front: S3Front,
    proxy: FaultProxy,
    sts: Sts,
}

impl World {
    async fn new(bucket: &str) -> Self {
        let moto = Moto::shared().await;
        let target = moto.target(bucket).await;
        let front = S3Front::start(moto.addr()).await;
        front.require_token();
        let proxy = FaultProxy::start(front.addr()).await;
        Self { target, front, proxy, sts: Sts::before(moto.addr()).await }
    }

    fn env(&self, more: &[(&str, &str)]) -> Vars {
        let env = s3_keys(&self.target.through(&self.proxy.url()));
        let env = and(env, [("AWS_ASSUME_ROLE", "true"), ("AWS_ROLE_ARN", ROLE)]);
        and(and(env, [("AWS_STS_ENDPOINT_URL", self.sts.url())]), more.iter().copied())
    }

    fn open(&self, env: &Vars) -> Remote {
        opened(&s3_connection(&self.target, ""), env)
    }

    /// The session tokens that S3 was shown.
    fn tokens(&self) -> BTreeSet<String> {
        let seen = self.front.requests();
        seen.iter().map(|seen| seen.header("x-amz-security-token").unwrap().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_is_assumed_with_the_keys_as_it_was_set() {
    let world = World::new("it-role-set").await;
    let more = [("AWS_SESSION_NAME", "run-7"), ("AWS_SESSION_DURATION", "1800"), ("AWS_EXTERNAL_ID", "x-1")];
    works(&world.open(&world.env(&more))).await;
    let asked = world.sts.requests();
    let [asked] = &asked[..] else { panic!("{asked:?}") };
    let authorization = asked.header("authorization").unwrap();
    assert!(authorization.contains("Credential=moto/"), "{authorization}");
    assert!(authorization.contains("/us-east-1/sts/aws4_request"), "{authorization}");
    let wanted = [
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", ROLE),
        ("RoleSessionName", "run-7"),
        ("DurationSeconds", "1800"),
        ("ExternalId", "x-1"),
    ];
    for (field, value) in wanted {
        assert_eq!(asked.form(field).as_deref(), Some(value), "{field}");
    }
    assert_eq!(world.tokens().len(), 1);
    assert!(
        world.front.requests().iter().all(|seen| !seen.header("authorization").unwrap().contains("moto/"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r15_a_session_that_ends_in_the_middle_is_followed_by_another() {
    let world = World::new("it-role-mid").await;
    let remote = world.open(&world.env(&[]));
    let part = || Match::method("PUT").query_contains("partNumber=");
    world.proxy.on(part()).nth(2).stall();
    let engine = engine();
    let tree = Tree::new(1).small(5, 1000).file("large", 28 << 20);
    let (sent, ()) = tokio::join!(send(&engine, &remote, &tree), async {
        world.proxy.seen(part(), 2).await;
        let tokens = world.tokens();
        assert_eq!(tokens.len(), 1);
        tokens.iter().for_each(|token| world.front.expire(token));
        world.proxy.release();
    });
    assert_eq!(Snapshot::of_store(&world.target.store(), "base").await.unwrap().diff(&sent), "");
    assert!(only_the_refused_were_sent_twice(&world.front.requests()) >= 1);
    assert_eq!((world.sts.requests().len(), world.tokens().len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_allows_an_hour_is_asked_for_an_hour_unless_a_time_was_set() {
    let world = World::new("it-role-hour").await;
    world.sts.longest(3600);
    works_a_little(&world.open(&world.env(&[]))).await;
    let asked: Vec<_> =
        world.sts.requests().iter().map(|seen| seen.form("DurationSeconds").unwrap()).collect();
    assert_eq!(asked, ["43200", "3600"]);
    let remote = world.open(&world.env(&[("AWS_SESSION_DURATION", "7200")]));
    let error = look(&remote, File).await;
    is(&error, Cause::NoIdentity(Class::Denied), Class::Denied, "role's trust");
    says(&error, &[ROLE, "ValidationError", "MaxSessionDuration"]);
    assert_eq!(world.sts.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sts_that_is_not_there_yet_is_waited_for_and_named() {
    let world = World::new("it-role-late").await;
    let sts = FaultProxy::start(world.sts.addr()).await;
    sts.on(Match::any()).nth(1).answer(503, "", &[]);
    sts.on(Match::any()).nth(1).refuse();
    let env = and(world.env(&[]), [("AWS_STS_ENDPOINT_URL", sts.url())]);
    works_a_little(&world.open(&env)).await;
    assert_eq!(sts.requests().len(), 3);
    let nobody = format!("http://127.0.0.1:{}", loopback::free_port());
    let remote = world.open(&and(env, [("AWS_STS_ENDPOINT_URL", nobody)]));
    let error = crate::carry::look_with(&crate::carry::once(), &remote, File).await;
    is(&error, Cause::IdentityNotReady, Class::Unavailable, "source of the credentials");
    says(&error, &[ROLE, "127.0.0.1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_identity_is_shown_for_the_role_and_read_anew_each_time() {
    let world = World::new("it-web").await;
    let token = Mounted::new(&[("token", "first-token\n")]);
    let env = and(s3_place(&world.target.through(&world.proxy.url())), [("AWS_ROLE_ARN", ROLE)]);
    let env = and(env, [("AWS_STS_ENDPOINT_URL", world.sts.url())]);
    let env = and(env, [("AWS_WEB_IDENTITY_TOKEN_FILE", token.file("token"))]);
    let env = and(env, [("AWS_ROLE_SESSION_NAME", "pod-3")]);
    let remote = world.open(&env);
    works(&remote).await;
    let part = || Match::method("PUT").query_contains("partNumber=");
    world.proxy.on(part()).nth(1).stall();
    let engine = engine();
    let tree = Tree::new(2).file("large", 20 << 20);
    world.front.forget_requests();
    tokio::join!(send(&engine, &remote, &tree), async {
        world.proxy.seen(part(), 3).await;
        token.rotate(&[("token", "second-token\n")]);
        world.tokens().iter().for_each(|token| world.front.expire(token));
        world.proxy.release();
    });
    let asked = world.sts.requests();
    let field = |name: &str| -> Vec<String> {
        asked.iter().map(|seen| seen.query(name).or_else(|| seen.form(name)).unwrap()).collect()
    };
    assert_eq!(field("Action"), ["AssumeRoleWithWebIdentity"; 2]);
    assert_eq!(field("RoleArn"), [ROLE; 2]);
    assert_eq!(field("RoleSessionName"), ["pod-3"; 2]);
    let tokens: Vec<String> = field("WebIdentityToken").iter().map(|token| token.trim().to_owned()).collect();
    assert_eq!(tokens, ["first-token", "second-token"]);
    // It is the token that shows who asks; a signature would need keys.
    assert!(asked.iter().all(|seen| seen.header("authorization").is_none()));
}

#[tokio::test]
async fn a_web_identity_that_sts_does_not_know_is_denied_in_its_own_words() {
    let identity = IdentityServer::start().await;
    identity.set_federated_token("the right one");
    let token = Mounted::new(&[("token", "hunter2-web-token")]);
    let target = plx_testkit::S3Server::start().await.target("bkt");
    let env = and(s3_place(&target), [("AWS_ROLE_ARN", ROLE)]);
    let env = and(env, [("AWS_STS_ENDPOINT_URL", identity.url())]);
    let env = and(env, [("AWS_WEB_IDENTITY_TOKEN_FILE", token.file("token"))]);
    let error = look(&opened(&s3_connection(&target, ""), &env), File).await;
    is(&error, Cause::NoIdentity(Class::Denied), Class::Denied, "token");
    says(&error, &["web identity", ROLE, "InvalidIdentityToken"]);
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    assert!(identity.requests().len() <= 2, "a refusal is not asked for again");
    let _ = Duration::ZERO;
}
