//! Credentials that the machine hands out: pod identity, and instance metadata of both versions.

use super::{and, says, session};
use crate::bench::{Vars, engine, opened, s3_connection, s3_place, want};
use crate::carry::{
    Mounted, look, look_with, once, only_the_refused_were_sent_twice, send, works, works_a_little,
};
use crate::refusals::is;
use plx_contract::Class;
use plx_testkit::{AwsKeys, FaultProxy, IdentityServer, Match, S3Front, S3Server, S3Target, Tree};
use plx_transfer::WantKind::File;
use plx_transfer::{Cause, Remote, plan};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A bucket that takes the session `one`, and a machine that gives it out.
struct World {
    server: S3Server,
    target: S3Target,
    front: S3Front,
    proxy: FaultProxy,
    identity: IdentityServer,
}

impl World {
    async fn new() -> Self {
        let server = S3Server::start().await;
        let front = S3Front::start(server.addr()).await;
        front.require_token();
        front.valid_tokens(["one"]);
        let proxy = FaultProxy::start(front.addr()).await;
        let identity = IdentityServer::start().await;
        identity.set_aws(session(&server, "one"));
        let target = server.target("bkt").through(&proxy.url());
        Self { server, target, front, proxy, identity }
    }

    fn open(&self, env: &Vars) -> Remote {
        opened(&s3_connection(&self.target, ""), env)
    }

    fn instance(&self, endpoint: &str) -> Vars {
        and(s3_place(&self.target), [("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)])
    }

    fn pod(&self, more: &[(&str, &str)]) -> Vars {
        let url = format!("{}/v1/credentials", self.identity.url());
        let env = and(s3_place(&self.target), [("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)]);
        and(env, more.iter().copied())
    }

    /// The session ends in the middle of an upload, and the machine has another.
    async fn goes_on(&self, remote: &Remote) {
        self.front.forget_requests();
        self.proxy.forget_requests();
        let part = || Match::method("PUT").query_contains("partNumber=");
        self.proxy.on(part()).nth(2).stall();
        let engine = engine();
        let tree = Tree::new(3).file("later", 20 << 20);
        tokio::join!(send(&engine, remote, &tree), async {
            self.proxy.seen(part(), 3).await;
            self.identity.set_aws(session(&self.server, "two"));
            self.front.valid_tokens(["two"]);
            self.proxy.release();
        });
        assert!(only_the_refused_were_sent_twice(&self.front.requests()) >= 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pods_agent_is_shown_the_token_of_its_file_which_the_kubelet_rotates() {
    let world = World::new().await;
    world.identity.set_pod_token("agent-1");
    let token = Mounted::new(&[("token", "agent-1\n")]);
    let remote = world.open(&world.pod(&[("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token.file("token"))]));
    works(&remote).await;
    assert_eq!(world.identity.requests().len(), 1, "one session serves all");
    token.rotate(&[("token", "agent-2\n")]);
    world.identity.set_pod_token("agent-2");
    world.goes_on(&remote).await;
    let seen = world.identity.requests();
    let shown: Vec<_> = seen.iter().map(|seen| seen.header("authorization").unwrap()).collect();
    assert_eq!(shown, ["agent-1", "agent-2"]);
}

#[tokio::test]
async fn a_pods_agent_is_shown_the_token_of_the_variable() {
    let world = World::new().await;
    world.identity.set_pod_token("agent-1");
    works_a_little(&world.open(&world.pod(&[("AWS_CONTAINER_AUTHORIZATION_TOKEN", "agent-1")]))).await;
    let remote = world.open(&world.pod(&[("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2-agent")]));
    let asked = world.identity.requests().len();
    let error = look(&remote, File).await;
    is(&error, Cause::NoIdentity(Class::Denied), Class::Denied, "token");
    says(&error, &["container credentials", &world.identity.url(), "401"]);
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    assert_eq!(world.identity.requests().len(), asked + 1, "a refusal is not asked for again");
}

#[tokio::test]
async fn an_agent_that_is_not_up_yet_is_waited_for() {
    let world = World::new().await;
    world.identity.unreachable(1);
    works_a_little(&world.open(&world.pod(&[]))).await;
    world.identity.not_ready(1);
    works_a_little(&world.open(&world.pod(&[]))).await;
    let told: Vec<_> = world.identity.requests().iter().map(|seen| seen.status).collect();
    assert!(told.starts_with(&[None, Some(200)]) && told.ends_with(&[Some(503), Some(200)]), "{told:?}");
    // Nothing was asked of the store without credentials.
    assert!(world.front.requests().iter().all(|seen| seen.status == Some(200)));
}

#[tokio::test]
async fn hundreds_who_ask_at_once_do_not_storm_an_agent_that_is_not_up_yet() {
    let world = World::new().await;
    world.identity.refuse_all(503);
    let remote = world.open(&world.pod(&[]));
    let wants: Vec<_> = (0..300).map(|n| want(&format!("R/{n}"), &n.to_string(), File)).collect();
    let plan = plan(&once(), &remote, wants, &CancellationToken::new()).await;
    assert_eq!(plan.missing.len(), 300);
    assert!(plan.missing.iter().all(|error| error.cause() == Some(Cause::IdentityNotReady)));
    // Once a second, however long this machine takes for it.
    let asked = world.identity.requests().len();
    assert!(asked <= 5, "{asked}");
    assert!(world.front.requests().is_empty());
}

#[tokio::test]
async fn a_machine_gives_its_session_to_who_opens_one_by_version_two() {
    let world = World::new().await;
    let remote = world.open(&world.instance(&world.identity.url()));
    works(&remote).await;
    let asked: Vec<_> = world
        .identity
        .requests()
        .iter()
        .map(|seen| (seen.method.clone(), seen.header("x-aws-ec2-metadata-token").is_some(), seen.status))
        .collect();
    let of = |method: &str, with| (method.to_owned(), with, Some(200));
    assert_eq!(asked, [of("PUT", false), of("GET", true), of("GET", true)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machines_session_that_ends_in_the_middle_is_followed_by_another() {
    let world = World::new().await;
    let remote = world.open(&world.instance(&world.identity.url()));
    works_a_little(&remote).await;
    world.goes_on(&remote).await;
}

#[tokio::test]
async fn a_metadata_service_that_is_not_up_yet_is_waited_for() {
    let world = World::new().await;
    world.identity.unreachable(1);
    works_a_little(&world.open(&world.instance(&world.identity.url()))).await;
    world.identity.not_ready(1);
    works_a_little(&world.open(&world.instance(&world.identity.url()))).await;
    assert!(world.front.requests().iter().all(|seen| seen.status == Some(200)));
}

#[tokio::test]
async fn a_machine_that_knows_version_one_alone_is_asked_by_that() {
    let world = World::new().await;
    for status in [403, 404, 405] {
        let old = FaultProxy::start(world.identity.addr()).await;
        old.on(Match::method("PUT")).answer(status, "", &[]);
        old.on(Match::method("GET").path_ends_with("security-credentials/")).answer(200, "old-role", &[]);
        let keys = format!(
            r#"{{"Code":"Success","LastUpdated":"2026-01-01T00:00:00Z","Type":"AWS-HMAC","AccessKeyId":"{}",
                "SecretAccessKey":"{}","Token":"one","Expiration":"2099-01-01T00:00:00Z"}}"#,
            world.server.access_key(),
            world.server.secret_key()
        );
        old.on(Match::method("GET").path_ends_with("old-role")).answer(200, &keys, &[]);
        works_a_little(&world.open(&world.instance(&old.url()))).await;
        assert_eq!(old.requests().len(), 3, "{status}");
        assert_eq!(old.count(&Match::any().header("x-aws-ec2-metadata-token")), 0);
    }
    assert!(world.identity.requests().is_empty());
}

#[tokio::test]
async fn a_machine_without_a_role_is_told_from_one_that_is_not_ready_by_waiting() {
    let world = World::new().await;
    let nobody = IdentityServer::start().await;
    for env in [
        world.instance(&nobody.url()),
        and(
            world.pod(&[]),
            [("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v1/credentials", nobody.url()))],
        ),
    ] {
        // 404 may be an agent that does not know the pod yet.
        let error = look_with(&once(), &world.open(&env), File).await;
        assert_eq!(error.cause(), Some(Cause::IdentityNotReady), "{error:?}");
        says(&error, &[&nobody.url(), "404"]);
    }
    nobody.refuse_all(403);
    let error = look(&world.open(&world.instance(&nobody.url())), File).await;
    is(&error, Cause::NoIdentity(Class::Denied), Class::Denied, "source of the credentials");
    says(&error, &["instance metadata", "403"]);
}

#[tokio::test]
async fn a_store_that_is_not_awss_never_makes_anybody_ask_a_machine_for_its_role() {
    let world = World::new().await;
    let Err(error) = crate::bench::try_open(&s3_connection(&world.target, ""), &s3_place(&world.target))
    else {
        panic!("it opened")
    };
    assert_eq!(plx_contract::Classified::class(&error), Class::Config);
    for word in ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "not AWS's"] {
        assert!(error.to_string().contains(word), "{error}");
    }
}

/// How often a source is asked whose credentials have little time left, for 200 requests of the store.
async fn asked_near_the_end(env: impl FnOnce(&World) -> Vars) -> usize {
    let world = World::new().await;
    world.identity.set_aws(AwsKeys { lifetime: Duration::from_secs(200), ..session(&world.server, "one") });
    send(&engine(), &world.open(&env(&world)), &Tree::new(1).small(200, 100)).await;
    world.identity.requests().len()
}

#[tokio::test]
async fn a_machine_is_not_asked_with_every_request_when_its_session_is_about_to_end() {
    let asked = asked_near_the_end(|world| world.instance(&world.identity.url())).await;
    assert!(asked < 50, "{asked} requests for credentials, for 200 of the store");
}

#[tokio::test]
async fn an_agent_is_not_asked_with_every_request_when_its_session_is_about_to_end() {
    let asked = asked_near_the_end(|world| world.pod(&[])).await;
    assert!(asked < 50, "{asked} requests for credentials, for 200 of the store");
}

#[tokio::test]
async fn a_machine_that_may_not_be_asked_is_not() {
    let world = World::new().await;
    let env = and(world.instance(&world.identity.url()), [("AWS_EC2_METADATA_DISABLED", "true")]);
    let Err(error) = crate::bench::try_open(&s3_connection(&world.target, ""), &env) else {
        panic!("it opened")
    };
    assert_eq!(plx_contract::Classified::class(&error), Class::Config);
    assert!(world.identity.requests().is_empty());
}
