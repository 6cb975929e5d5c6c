//! What stands between a client and its server: a proxy, TLS of a private authority.

#![expect(clippy::unwrap_used, reason = "in helpers of tests, too, a surprise ends the test")]

use object_store::path::Path;
use object_store::{Certificate, ClientOptions, ObjectStoreExt as _};
use plx_testkit::{ForwardProxy, PrivateCa, S3Server, TlsFront, loopback};

fn client() -> reqwest::ClientBuilder {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().no_proxy()
}

fn trusting(ca: &PrivateCa) -> reqwest::ClientBuilder {
    client().tls_certs_only([reqwest::Certificate::from_pem(ca.pem().as_bytes()).unwrap()])
}

#[tokio::test]
async fn who_trusts_the_authority_gets_through() {
    let (server, ca) = (S3Server::start().await, PrivateCa::new());
    let front = TlsFront::start(server.addr(), &ca).await;
    assert!(front.url().starts_with("https://localhost:"));
    let trust = Certificate::from_pem(ca.pem().as_bytes()).unwrap();
    let target = server.target("bucket").through(&front.url());
    let store = target.builder().with_client_options(ClientOptions::new().with_root_certificate(trust));
    let store = store.build().unwrap();
    store.put(&Path::from("k"), vec![7; 6 << 20].into()).await.unwrap();
    assert_eq!(store.get(&Path::from("k")).await.unwrap().bytes().await.unwrap().len(), 6 << 20);
    let by_address = format!("https://{}", front.addr());
    assert_eq!(trusting(&ca).build().unwrap().get(by_address).send().await.unwrap().status(), 403);
    let stranger = target.store().get(&Path::from("k")).await.unwrap_err();
    assert!(format!("{stranger:?}").contains("UnknownIssuer"), "{stranger:?}");
}

#[tokio::test]
async fn bad_certificates_are_refused_for_what_is_wrong_with_them() {
    let (server, ca) = (S3Server::start().await, PrivateCa::new());
    let folder = tempfile::tempdir().unwrap();
    ca.write_to(&folder.path().join("ca.pem")).unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("ca.pem")).unwrap(), ca.pem());
    let expired = TlsFront::expired(server.addr(), &ca).await;
    let other = TlsFront::wrong_name(server.addr(), &ca).await;
    let client = trusting(&ca).build().unwrap();
    let told = format!("{:?}", client.get(expired.url()).send().await.unwrap_err());
    assert!(told.contains("Expired"), "{told}");
    let told = format!("{:?}", client.get(other.url()).send().await.unwrap_err());
    assert!(told.contains("NotValidForName"), "{told}");
    let told = format!(
        "{:?}",
        trusting(&PrivateCa::new()).build().unwrap().get(other.url()).send().await.unwrap_err()
    );
    assert!(told.contains("BadSignature") || told.contains("UnknownIssuer"), "{told}");
}

#[tokio::test]
async fn a_proxy_passes_plain_requests_and_tunnels() {
    let (server, ca) = (S3Server::start().await, PrivateCa::new());
    let (proxy, front) = (ForwardProxy::start().await, TlsFront::start(server.addr(), &ca).await);
    let plain = server.target("bucket");
    let store = plain.builder().with_proxy_url(proxy.url()).with_allow_http(true).build().unwrap();
    store.put(&Path::from("k"), vec![7; 6 << 20].into()).await.unwrap();
    let options = ClientOptions::new()
        .with_root_certificate(Certificate::from_pem(ca.pem().as_bytes()).unwrap())
        .with_proxy_url(proxy.url());
    let store = plain.through(&front.url()).builder().with_client_options(options).build().unwrap();
    assert_eq!(store.get(&Path::from("k")).await.unwrap().bytes().await.unwrap().len(), 6 << 20);
    assert_eq!(proxy.targets(), [server.addr().to_string(), format!("localhost:{}", front.addr().port())]);
    let direct = loopback::request(proxy.addr(), "GET", "/", b"").await.unwrap();
    assert_eq!(direct.status, 400);
}

#[tokio::test]
async fn a_proxy_knows_ways_and_asks_for_a_login() {
    let (server, ca) = (S3Server::start().await, PrivateCa::new());
    let front = TlsFront::start(server.addr(), &ca).await;
    let proxy = ForwardProxy::start_with_login("user", "pass word").await;
    proxy.route("inside.invalid:80", server.addr());
    proxy.route("localhost:443", front.addr());
    let through = |proxy: reqwest::Proxy| trusting(&ca).proxy(proxy).build().unwrap();
    let stranger = through(reqwest::Proxy::all(proxy.url()).unwrap());
    assert_eq!(stranger.get("http://inside.invalid/").send().await.unwrap().status(), 407);
    assert!(stranger.get("https://localhost/").send().await.is_err());
    let known = through(reqwest::Proxy::all(proxy.url()).unwrap().basic_auth("user", "pass word"));
    assert_eq!(
        known.get("http://inside.invalid/").send().await.unwrap().status(),
        403,
        "S3 answers a stranger"
    );
    assert_eq!(known.get("https://localhost/").send().await.unwrap().status(), 403);
    assert_eq!(known.get("http://nowhere.invalid:81/").send().await.unwrap().status(), 502);
    let asked =
        ["inside.invalid:80", "localhost:443", "inside.invalid:80", "localhost:443", "nowhere.invalid:81"];
    assert_eq!(proxy.targets(), asked);
    let address = proxy.addr();
    drop(proxy);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
