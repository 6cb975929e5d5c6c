//! What stands between the pod and its store: addresses, certificates, proxies, load.

use crate::lab::Lab;
use plx_testkit::{FaultProxy, ForwardProxy, Match, PrivateCa, TlsFront, loopback};
use std::fs;
use std::time::Duration;

/// A bucket behind TLS. The system's own CAs are a file of the lab's, so that the test is the same on every machine.
async fn with_tls(ca: &PrivateCa) -> (Lab, TlsFront) {
    let mut lab = Lab::s3(&[("a/x", "1")]).await;
    let front = TlsFront::start(lab.server().addr(), ca).await;
    trusting_strangers(&mut lab);
    lab.set("AWS_ENDPOINT_URL", &front.url());
    (lab, front)
}

fn trusting_strangers(lab: &mut Lab) {
    PrivateCa::new().write_to(&lab.path("system.pem")).unwrap();
    lab.set("SSL_CERT_FILE", &lab.path("system.pem").display().to_string());
}

fn trusting(lab: &mut Lab, variable: &str, ca: &PrivateCa) -> String {
    let path = lab.path("own.pem").display().to_string();
    ca.write_to(&lab.path("own.pem")).unwrap();
    lab.set(variable, &path);
    path
}

#[tokio::test]
async fn a_private_ca_must_be_named_and_then_all_is_well() {
    let ca = PrivateCa::new();
    let (mut lab, _front) = with_tls(&ca).await;
    let doctor = lab.doctor(&[]).await;
    doctor.fails("trust", "certificate", 78, &["POLYAXON_SSL_CA_CERT"]).stops_all();
    doctor.says("trust", &["the system's CAs"]);
    lab.cannot_fetch(78, &["POLYAXON_SSL_CA_CERT"]).await;
    for variable in ["POLYAXON_SSL_CA_CERT", "AWS_CA_BUNDLE"] {
        let path = trusting(&mut lab, variable, &ca);
        lab.doctor(&[]).await.healthy().says("trust", &["the system's CAs and", &path]);
        lab.env.remove(variable);
    }
    // Trusted beside the system's: one that is trusted already is not lost.
    ca.write_to(&lab.path("system.pem")).unwrap();
    trusting(&mut lab, "POLYAXON_SSL_CA_CERT", &PrivateCa::new());
    lab.doctor(&[]).await.healthy();
}

#[tokio::test]
async fn certificates_that_are_not_checked_are_warned_of() {
    let ca = PrivateCa::new();
    let (mut lab, _front) = with_tls(&ca).await;
    lab.set("AWS_VERIFY_SSL", "false");
    let doctor = lab.doctor(&[]).await;
    doctor.warns("trust", &["AWS_VERIFY_SSL is false", "POLYAXON_SSL_CA_CERT"]);
    lab.set("AWS_VERIFY_SSL", "perhaps");
    lab.doctor(&[]).await.fails("trust", "", 78, &["AWS_VERIFY_SSL", "true or false"]).at_once();
}

#[tokio::test]
async fn a_certificate_that_is_over_or_of_another_host_fails_as_trust() {
    let ca = PrivateCa::new();
    let (mut lab, _front) = with_tls(&ca).await;
    trusting(&mut lab, "POLYAXON_SSL_CA_CERT", &ca);
    let expired = TlsFront::expired(lab.server().addr(), &ca).await;
    lab.set("AWS_ENDPOINT_URL", &expired.url());
    lab.doctor(&[]).await.fails("trust", "certificate", 78, &[]).stops_all().says("trust", &["expired"]);
    let wrong = TlsFront::wrong_name(lab.server().addr(), &ca).await;
    lab.set("AWS_ENDPOINT_URL", &wrong.url());
    let doctor = lab.doctor(&[]).await;
    doctor
        .fails("trust", "certificate", 78, &[])
        .stops_all()
        .says("trust", &["localhost", "elsewhere.invalid"]);
}

#[tokio::test]
async fn a_ca_file_that_is_none_is_told_before_any_request() {
    let ca = PrivateCa::new();
    let (mut lab, _front) = with_tls(&ca).await;
    fs::write(lab.path("empty.pem"), "hunter2-hunter2").unwrap();
    fs::write(
        lab.path("broken.pem"),
        "-----BEGIN CERTIFICATE-----\nhunter2-hunter2\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    lab.plant("hunter2-hunter2");
    for variable in ["POLYAXON_SSL_CA_CERT", "AWS_CA_BUNDLE"] {
        for (name, word) in
            [("none.pem", "no such file"), ("empty.pem", "no certificate"), ("broken.pem", "certificates")]
        {
            lab.set(variable, &lab.path(name).display().to_string());
            let doctor = lab.doctor(&[]).await;
            doctor.fails("trust", "", 78, &[]).at_once().says("trust", &[name, word]);
        }
        lab.env.remove(variable);
    }
}

#[tokio::test]
async fn an_endpoint_without_a_server_fails_as_endpoint() {
    let mut lab = Lab::s3(&[("a/x", "1")]).await;
    let address = format!("127.0.0.1:{}", loopback::free_port());
    lab.set("AWS_ENDPOINT_URL", &format!("http://{address}"));
    let doctor = lab.doctor(&[]).await;
    doctor.fails("endpoint", "unreachable", 69, &["endpoint", "network"]).stops_all();
    doctor.says("endpoint", &[&address, "environment variable AWS_ENDPOINT_URL", "refused"]);
    lab.set("AWS_ENDPOINT_URL", "http://no-such-host.invalid:9000");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("endpoint", "unreachable", 69, &["endpoint"]).stops_all();
    doctor.says("endpoint", &["no-such-host.invalid"]);
}

#[tokio::test]
async fn an_endpoint_that_never_answers_costs_one_timeout() {
    let mut lab = Lab::s3(&[("a/x", "1")]).await;
    let proxy = FaultProxy::start(lab.server().addr()).await;
    proxy.on(Match::any()).stall();
    lab.set("AWS_ENDPOINT_URL", &proxy.url());
    let began = tokio::time::Instant::now();
    let doctor = lab.doctor(&["--timeout=1"]).await;
    doctor
        .fails("endpoint", "unreachable", 69, &["endpoint"])
        .stops_all()
        .says("endpoint", &["no answer in 1 s"]);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(proxy.requests().len(), 2, "one of each of the two runs");
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_is_78_and_its_password_is_not_repeated() {
    let mut lab = Lab::s3(&[]).await;
    lab.plant("hunter2-hunter2");
    for wrong in
        ["http://", "ftp://minio:21", "http://user:hunter2-hunter2@127.0.0.1:1", "http://a b", "://x"]
    {
        lab.set("AWS_ENDPOINT_URL", wrong);
        let doctor = lab.doctor(&[]).await;
        doctor.fails("endpoint", "", 78, &["AWS_ENDPOINT_URL", "http://minio:9000"]).at_once();
        lab.cannot_fetch(78, &["AWS_ENDPOINT_URL"]).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_sends_elsewhere_says_where() {
    let mut lab = Lab::s3(&[]).await;
    let proxy = FaultProxy::start(lab.server().addr()).await;
    lab.set("AWS_ENDPOINT_URL", &proxy.url());
    for status in [301, 307, 308] {
        proxy.clear_rules();
        let to = [("Location", "https://minio.example:9000/plx?X-Amz-Signature=abcdef")];
        proxy.on(Match::any()).answer(status, "", &to);
        let doctor = lab.doctor(&[]).await;
        assert!(!doctor.table.stdout.contains("X-Amz-Signature"), "{}", doctor.table.stdout);
        doctor.fails("endpoint", "not-a-store", 78, &["endpoint"]).stops_all();
        doctor.says("endpoint", &["moved to https://minio.example:9000"]);
    }
}

#[tokio::test]
async fn a_store_that_only_asks_to_slow_down_is_throttled() {
    let mut lab = Lab::s3(&[]).await;
    let proxy = FaultProxy::start(lab.server().addr()).await;
    lab.set("AWS_ENDPOINT_URL", &proxy.url());
    proxy.on(Match::any()).answer(503, "<Error><Code>SlowDown</Code></Error>", &[]);
    let doctor = lab.doctor(&[]).await;
    doctor.fails("endpoint", "throttled", 69, &["slow down"]).stops_all().says("endpoint", &["SlowDown"]);
    assert_eq!(proxy.count(&Match::method("GET")), 6, "three times in each of the two runs");
    proxy.clear_rules();
    // Each of the two runs may meet both.
    let small = Match::method("PUT").path_ends_with("/small");
    proxy.on(small).first(2).answer(503, "<Error><Code>SlowDown</Code></Error>", &[]);
    lab.doctor(&[]).await.healthy();
}

#[tokio::test]
async fn a_proxy_is_named_and_one_that_lets_nobody_through_fails_as_proxy() {
    let ca = PrivateCa::new();
    let (mut lab, front) = with_tls(&ca).await;
    trusting(&mut lab, "POLYAXON_SSL_CA_CERT", &ca);
    lab.plant("proxy-password-0123");
    // As the header carries it.
    lab.plant("dXNlcjpwcm94eS1wYXNzd29yZC0wMTIz");
    let proxy = ForwardProxy::start_with_login("user", "proxy-password-0123").await;
    let plain = lab.server().endpoint();
    for (endpoint, variable) in [(front.url(), "HTTPS_PROXY"), (plain, "HTTP_PROXY")] {
        lab.set("AWS_ENDPOINT_URL", &endpoint);
        lab.set(variable, &format!("http://user:proxy-password-0123@{}", proxy.addr()));
        lab.doctor(&[]).await.healthy().says("proxy", &[&proxy.addr().to_string(), variable]);
        lab.plant("wrong-password-0123");
        lab.set(variable, &format!("http://user:wrong-password-0123@{}", proxy.addr()));
        let doctor = lab.doctor(&[]).await;
        doctor.fails("proxy", "proxy", 78, &["login", "NO_PROXY"]).stops_all();
        doctor.says("proxy", &[&proxy.addr().to_string(), variable]);
        lab.cannot_fetch(78, &["NO_PROXY"]).await;
        lab.set("NO_PROXY", "localhost,127.0.0.1");
        lab.doctor(&[]).await.healthy().says("proxy", &["none"]);
        lab.env.remove("NO_PROXY");
        lab.env.remove(variable);
    }
}

#[tokio::test]
async fn a_proxy_that_is_no_url_fails_as_proxy() {
    let mut lab = Lab::s3(&[]).await;
    lab.plant("proxy-password-0123");
    for variable in ["HTTPS_PROXY", "http_proxy"] {
        lab.set(variable, "not a proxy://user:proxy-password-0123@");
        lab.doctor(&[]).await.fails("proxy", "", 78, &[variable, "http://proxy:3128"]).at_once();
        lab.env.remove(variable);
    }
}

#[tokio::test]
async fn a_proxy_that_nobody_listens_on_fails_as_proxy() {
    let ca = PrivateCa::new();
    let (mut lab, front) = with_tls(&ca).await;
    trusting(&mut lab, "POLYAXON_SSL_CA_CERT", &ca);
    lab.plant("proxy-password-0123");
    let away = format!("127.0.0.1:{}", loopback::free_port());
    let plain = lab.server().endpoint();
    for (endpoint, variable) in [(front.url(), "HTTPS_PROXY"), (plain, "HTTP_PROXY")] {
        lab.set("AWS_ENDPOINT_URL", &endpoint);
        lab.set(variable, &format!("http://user:proxy-password-0123@{away}"));
        let doctor = lab.doctor(&[]).await;
        doctor.fails("proxy", "proxy", 78, &["proxy", "NO_PROXY"]).stops_all().says("proxy", &[&away]);
        lab.env.remove(variable);
    }
}
