//! Proxies between a cluster and its stores.

use crate::bench::{Vars, connection, opened, s3_connection, s3_keys, s3_place, try_open, vars};
use crate::carry::{Mounted, look, look_with, once, works, works_a_little};
use crate::refusals::is;
use plx_contract::{Class, Classified};
use plx_store::Opened;
use plx_testkit::{
    AwsKeys, ForwardProxy, IdentityServer, PrivateCa, S3Front, S3Server, S3Target, TlsFront, loopback,
};
use plx_transfer::WantKind::{File, Folder};
use plx_transfer::{Cause, Remote};
use std::time::Duration;
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);

/// An S3 server, plainly and over TLS, and the file of the authority that vouches for it.
pub struct World {
    pub server: S3Server,
    pub plain: S3Target,
    pub tls: TlsFront,
    pub secure: S3Target,
    folder: TempDir,
    pub ca: PrivateCa,
}

impl World {
    pub async fn new() -> Self {
        let (server, ca) = (S3Server::start().await, PrivateCa::new());
        let plain = server.target("bkt");
        let tls = TlsFront::start(server.addr(), &ca).await;
        let secure = plain.through(&tls.url());
        let folder = tempfile::tempdir().unwrap();
        ca.write_to(&folder.path().join("ca.pem")).unwrap();
        Self { server, plain, tls, secure, folder, ca }
    }

    pub fn ca(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// The plain server by that endpoint.
    fn plain(&self, endpoint: &str, more: &[(&str, &str)]) -> Remote {
        open(&self.plain.through(endpoint), more)
    }

    fn secure(&self, more: &[(&str, &str)]) -> Remote {
        let ca = self.ca();
        let more: Vec<_> = more.iter().copied().chain([("POLYAXON_SSL_CA_CERT", &*ca)]).collect();
        open(&self.secure, &more)
    }
}

pub fn env(target: &S3Target, more: &[(&str, &str)]) -> Vars {
    let mut env = s3_keys(target);
    env.extend(vars(more.iter().copied()));
    env
}

pub fn open(target: &S3Target, more: &[(&str, &str)]) -> Remote {
    opened(&s3_connection(target, ""), &env(target, more))
}

fn with_login(proxy: &ForwardProxy, login: &str) -> String {
    proxy.url().replace("http://", &format!("http://{login}@"))
}

#[tokio::test]
async fn plain_http_goes_through_its_proxy_whatever_its_variable_is_called() {
    let world = World::new().await;
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        let proxy = ForwardProxy::start().await;
        // A name that only the proxy knows.
        proxy.route("store.internal.invalid:9000", world.server.addr());
        works_a_little(&world.plain("http://store.internal.invalid:9000", &[(name, &proxy.url())])).await;
        let targets = proxy.targets();
        assert!(targets.len() >= 4, "{targets:?}");
        assert!(targets.iter().all(|target| target == "store.internal.invalid:9000"), "{targets:?}");
    }
    let proxy = ForwardProxy::start().await;
    works_a_little(&world.plain(&world.plain.endpoint, &[("https_proxy", &proxy.url())])).await;
    assert_eq!(proxy.targets(), [""; 0], "the proxy of https has nothing to do with http");
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    let world = World::new().await;
    for name in ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        let proxy = ForwardProxy::start().await;
        works(&world.secure(&[(name, &proxy.url())])).await;
        let port = world.tls.addr().port();
        let targets = proxy.targets();
        assert!(
            !targets.is_empty() && targets.iter().all(|to| *to == format!("localhost:{port}")),
            "{targets:?}"
        );
    }
}

#[tokio::test]
async fn a_login_in_the_proxys_url_is_shown_to_it_and_to_nobody_else() {
    let world = World::new().await;
    let proxy = ForwardProxy::start_with_login("user", "p@ss:w/rd").await;
    let front = S3Front::start(world.server.addr()).await;
    let url = with_login(&proxy, "user:p%40ss%3Aw%2Frd");
    works_a_little(&world.plain(&front.url(), &[("http_proxy", &url)])).await;
    works_a_little(&world.secure(&[("https_proxy", &url)])).await;
    assert!(proxy.targets().len() >= 5);
    assert!(front.requests().iter().all(|seen| seen.header("proxy-authorization").is_none()));
}

#[tokio::test]
async fn a_proxy_that_lets_nobody_through_is_told_and_its_password_is_not() {
    let world = World::new().await;
    let proxy = ForwardProxy::start_with_login("user", "right").await;
    for login in [Some("user:hunter2"), None] {
        let url = login.map_or(proxy.url(), |login| with_login(&proxy, login));
        for (name, remote) in [
            ("http", world.plain(&world.plain.endpoint, &[("http_proxy", &url)])),
            ("https", world.secure(&[("https_proxy", &url)])),
        ] {
            let before = proxy.targets().len();
            for kind in [Folder, File] {
                let error = look(&remote, kind).await;
                assert_eq!(error.cause(), Some(Cause::Proxy), "{name}: {error:?}");
                is(&error, Cause::Proxy, Class::Config, "HTTPS_PROXY");
                assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
            }
            // A HEAD is asked once more in words; nothing is tried for long.
            assert!(proxy.targets().len() - before <= 3, "{name}: {:?}", proxy.targets());
        }
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_not_there() {
    let world = World::new().await;
    let nobody = format!("http://user:hunter2@127.0.0.1:{}", loopback::free_port());
    for remote in [
        world.plain(&world.plain.endpoint, &[("http_proxy", &nobody)]),
        world.secure(&[("https_proxy", &nobody)]),
    ] {
        let error = look_with(&once(), &remote, File).await;
        assert!(matches!(error.cause(), Some(Cause::Unreachable | Cause::Proxy)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn what_no_proxy_names_is_reached_directly() {
    let world = World::new().await;
    let port = world.server.addr().port();
    let by_name = format!("http://localhost:{port}");
    let by_address = world.plain.endpoint.clone();
    for (endpoint, direct) in [
        (&by_name, "localhost"),
        (&by_name, "other, localhost ,third"),
        (&by_address, "127.0.0.1"),
        (&by_address, "127.0.0.0/8"),
    ] {
        for name in ["no_proxy", "NO_PROXY"] {
            let proxy = ForwardProxy::start().await;
            let more = [("http_proxy", &*proxy.url()), (name, direct)];
            works_a_little(&world.plain(endpoint, &more)).await;
            assert_eq!(proxy.targets(), [""; 0], "{name}={direct}");
        }
    }
    let proxy = ForwardProxy::start().await;
    let more = [("http_proxy", &*proxy.url()), ("NO_PROXY", "elsewhere,10.0.0.0/8,ocalhost")];
    works_a_little(&world.plain(&by_name, &more)).await;
    assert!(!proxy.targets().is_empty(), "others go through it");
    let more = [("https_proxy", &*proxy.url()), ("NO_PROXY", "localhost")];
    let before = proxy.targets().len();
    works_a_little(&world.secure(&more)).await;
    assert_eq!(proxy.targets().len(), before);
}

#[tokio::test]
async fn a_star_in_no_proxy_means_everything() {
    let world = World::new().await;
    let port = world.server.addr().port();
    for endpoint in [format!("http://localhost:{port}"), world.plain.endpoint.clone()] {
        let proxy = ForwardProxy::start().await;
        works_a_little(&world.plain(&endpoint, &[("http_proxy", &proxy.url()), ("NO_PROXY", "*")])).await;
        assert_eq!(proxy.targets(), [""; 0], "{endpoint}");
    }
}

#[tokio::test]
async fn a_port_in_no_proxy_means_that_port() {
    let world = World::new().await;
    let port = world.server.addr().port();
    for (endpoint, host) in
        [(format!("http://localhost:{port}"), "localhost"), (world.plain.endpoint.clone(), "127.0.0.1")]
    {
        let proxy = ForwardProxy::start().await;
        let direct = format!("{host}:{port}");
        works_a_little(&world.plain(&endpoint, &[("http_proxy", &proxy.url()), ("NO_PROXY", &direct)])).await;
        assert_eq!(proxy.targets(), [""; 0], "{direct}");
    }
}

#[test]
fn suffixes_and_networks_of_no_proxy_are_seen_before_anything_is_asked() {
    let through = |endpoint: &str, direct: &str| {
        let mut env = vars([("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "secret")]);
        env.extend(vars([("AWS_ENDPOINT_URL", endpoint), ("NO_PROXY", direct)]));
        env.extend(vars([("http_proxy", "http://user:hunter2@proxy:3128")]));
        let opened = try_open(&connection("s3", "s3://bkt", ""), &env).unwrap();
        let Opened::Bucket(bucket) = &opened else { panic!("no bucket") };
        assert!(!format!("{opened:?} {:?}", bucket.about).contains("hunter2"));
        bucket.about.proxy.clone()
    };
    let proxy = Some("proxy:3128 (http_proxy)".to_owned());
    for (endpoint, direct, want) in [
        ("http://minio.ns.svc:9000", ".svc", None),
        ("http://minio.ns.svc:9000", "svc", None),
        ("http://minio.ns.svc:9000", ".ns.svc,10.0.0.0/8", None),
        ("http://minio.ns.svc:9000", "minio.ns.svc", None),
        ("http://minio.ns.svc:9000", "inio.ns.svc", proxy.clone()),
        ("http://minio.ns.svc:9000", "minio", proxy.clone()),
        ("http://10.1.2.3:9000", "10.0.0.0/8", None),
        ("http://11.1.2.3:9000", "10.0.0.0/8", proxy.clone()),
        ("http://[fd00::7]:9000", "fd00::/8", None),
    ] {
        assert_eq!(through(endpoint, direct), want, "{endpoint} {direct}");
    }
}

#[tokio::test]
async fn an_agent_on_this_machine_is_never_asked_through_a_proxy() {
    let world = World::new().await;
    let front = S3Front::start(world.server.addr()).await;
    front.require_token();
    let identity = IdentityServer::start().await;
    identity.set_aws(AwsKeys {
        access_key: world.server.access_key().to_owned(),
        secret_key: world.server.secret_key().to_owned(),
        token: "one".to_owned(),
        lifetime: HOUR,
    });
    let pod = format!("{}/v1/credentials", identity.url());
    let by_name = pod.replace("127.0.0.1", "localhost");
    for (key, value) in [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &pod),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &by_name),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &identity.url()),
    ] {
        let proxy = ForwardProxy::start().await;
        // Were it asked after all, nobody real would be.
        proxy.route("169.254.169.254:80", identity.addr());
        let target = world.plain.through(&front.url());
        let mut env = s3_place(&target);
        env.extend(vars([(key, value), ("http_proxy", &proxy.url())]));
        works_a_little(&opened(&s3_connection(&target, ""), &env)).await;
        let store = front.addr().to_string();
        let targets = proxy.targets();
        assert!(!targets.is_empty());
        assert!(targets.iter().all(|to| *to == store), "{key}={value}: {targets:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_lets_nobody_through_to_a_source_of_credentials_is_told_too() {
    let world = World::new().await;
    let identity = IdentityServer::start().await;
    let ca = PrivateCa::new();
    let sts = TlsFront::start(identity.addr(), &ca).await;
    let proxy = ForwardProxy::start_with_login("user", "right").await;
    let url = with_login(&proxy, "user:hunter2");
    let token = Mounted::new(&[("token", "web")]);
    for (sts, proxy) in [(identity.url(), "http_proxy"), (sts.url(), "https_proxy")] {
        let mut env = s3_place(&world.plain);
        env.extend(vars([("AWS_STS_ENDPOINT_URL", &*sts), (proxy, &url), ("AWS_ROLE_ARN", "r")]));
        env.extend(vars([("AWS_WEB_IDENTITY_TOKEN_FILE", token.file("token"))]));
        let error = look_with(&once(), &opened(&s3_connection(&world.plain, ""), &env), File).await;
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        assert!(!error.may_pass(), "{error:?}");
        assert_eq!(error.class(), Class::Config, "{error:?}");
    }
}
