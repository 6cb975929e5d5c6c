//! Against a server with TLS and a CA of its own, as every API server has.

use plx_contract::credential::Files;
use plx_contract::{Class, Classified};
use plx_kube::Cluster;
use plx_testkit::{FaultProxy, Match, PrivateCa, TlsFront, loopback};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

#[derive(Clone)]
struct Disk;
impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }
}

struct World {
    proxy: FaultProxy,
    _tls: TlsFront,
    account: tempfile::TempDir,
    env: BTreeMap<String, String>,
}

impl World {
    async fn new() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let ca = PrivateCa::new();
        // Nothing stands behind it: every answer is a rule.
        let nobody = ([127, 0, 0, 1], loopback::free_port()).into();
        let proxy = FaultProxy::start(nobody).await;
        let tls = TlsFront::start(proxy.addr(), &ca).await;
        let account = tempfile::tempdir().expect("a temporary folder");
        ca.write_to(&account.path().join("ca.crt")).expect("writes the authority");
        std::fs::write(account.path().join("token"), "first\n").expect("writes the token");
        std::fs::write(account.path().join("namespace"), "polyaxon\n").expect("writes the namespace");
        let env = [
            ("KUBERNETES_SERVICE_HOST", "localhost".to_owned()),
            ("KUBERNETES_SERVICE_PORT", tls.addr().port().to_string()),
            ("PLX_SERVICE_ACCOUNT_DIR", account.path().display().to_string()),
        ];
        Self { proxy, _tls: tls, account, env: env.map(|(key, value)| (key.to_owned(), value)).into() }
    }

    fn cluster(&self) -> Cluster<Disk> {
        Cluster::of_this_pod(&self.env, Disk).expect("a pod")
    }
}

#[tokio::test]
async fn the_token_is_read_for_every_call_and_the_clusters_own_ca_is_trusted() {
    let world = World::new().await;
    let cluster = world.cluster();
    assert_eq!(cluster.namespace(), "polyaxon");
    world.proxy.on(Match::any().path_contains("/there")).answer(200, r#"{"kind":"Job"}"#, &[]);
    world.proxy.on(Match::any()).answer(404, r#"{"kind":"Status","message":"not found"}"#, &[]);
    let found = cluster.get("/there").await.expect("an answer").expect("an object");
    assert_eq!(found["kind"], "Job");
    std::fs::write(world.account.path().join("token"), "second").unwrap();
    assert_eq!(cluster.get("/gone").await.expect("an answer"), None);
    let tokens: Vec<_> =
        world.proxy.requests().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(tokens, ["Bearer first", "Bearer second"]);
    assert!(!format!("{cluster:?}").contains("second"));
}

#[tokio::test]
async fn a_refusal_and_a_silence_are_told_apart() {
    let world = World::new().await;
    let cluster = world.cluster();
    let forbidden = r#"{"kind":"Status","message":"jobs.polyaxon.com is forbidden"}"#;
    world.proxy.on(Match::any().path_contains("/denied")).answer(403, forbidden, &[]);
    world.proxy.on(Match::any().path_contains("/broken")).answer(500, "oops", &[]);
    world.proxy.on(Match::any()).refuse();
    let denied = cluster.get("/denied").await.expect_err("denied");
    assert_eq!(denied.class(), Class::Denied);
    assert!(denied.to_string().contains("jobs.polyaxon.com is forbidden"), "{denied}");
    assert_eq!(cluster.get("/broken").await.expect_err("broken").class(), Class::Unavailable);
    assert_eq!(cluster.get("/silent").await.expect_err("silent").class(), Class::Unavailable);
}

#[tokio::test]
async fn outside_of_a_pod_it_says_so() {
    let mut world = World::new().await;
    std::fs::remove_file(world.account.path().join("ca.crt")).unwrap();
    let error = Cluster::of_this_pod(&world.env, Disk).expect_err("no CA");
    assert!(error.to_string().contains("ca.crt") && error.class() == Class::Config, "{error}");
    world.env.remove("KUBERNETES_SERVICE_HOST");
    let error = Cluster::of_this_pod(&world.env, Disk).expect_err("no pod");
    assert!(error.to_string().contains("KUBERNETES_SERVICE_HOST"), "{error}");
}
