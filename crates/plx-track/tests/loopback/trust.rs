use crate::{client_of, run};
use plx_contract::{Class, Classified};
use plx_testkit::{FakeTracking, ForwardProxy, PrivateCa, TlsFront};

#[tokio::test]
async fn certificates_are_checked_and_the_error_names_both_ways_out() {
    let (api, ca) = (FakeTracking::start().await, PrivateCa::new());
    let front = TlsFront::start(api.addr(), &ca).await;
    let error = client_of(&[("POLYAXON_HOST", &front.url())]).impersonate(&run()).await.unwrap_err();
    assert_eq!(error.class(), Class::Config, "{error}");
    let next = error.next_step().unwrap();
    assert!(next.contains("POLYAXON_SSL_CA_CERT") && next.contains("POLYAXON_VERIFY_SSL"), "{next}");
    assert_eq!(api.calls(), []);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    ca.write_to(&file).unwrap();
    let file = file.to_str().unwrap();
    for pairs in [("POLYAXON_SSL_CA_CERT", file), ("POLYAXON_VERIFY_SSL", "false")] {
        client_of(&[("POLYAXON_HOST", &front.url()), pairs]).impersonate(&run()).await.unwrap();
    }
    let wrong = TlsFront::wrong_name(api.addr(), &ca).await;
    let pairs = [("POLYAXON_HOST", &*wrong.url()), ("POLYAXON_SSL_CA_CERT", file)];
    assert_eq!(client_of(&pairs).impersonate(&run()).await.unwrap_err().class(), Class::Config);
}

#[tokio::test]
async fn a_proxy_is_asked_unless_no_proxy_says_otherwise() {
    let (api, proxy) = (FakeTracking::start().await, ForwardProxy::start_with_login("u", "hunter2").await);
    proxy.route("polyaxon-api:80", api.addr());
    let url = proxy.url().replace("http://", "http://u:hunter2@");
    let pairs = [("POLYAXON_HOST", "http://polyaxon-api:80"), ("http_proxy", &*url)];
    client_of(&pairs).impersonate(&run()).await.unwrap();
    assert_eq!(proxy.targets(), ["polyaxon-api:80"]);

    let direct = [("POLYAXON_HOST", &*api.url()), ("http_proxy", &*url), ("no_proxy", "127.0.0.1")];
    client_of(&direct).impersonate(&run()).await.unwrap();
    assert_eq!(proxy.targets().len(), 1);

    let wrong = proxy.url();
    let pairs = [("POLYAXON_HOST", "http://polyaxon-api:80"), ("http_proxy", &*wrong)];
    let error = client_of(&pairs).impersonate(&run()).await.unwrap_err();
    assert!(error.to_string().contains("407"), "{error}");
}

#[tokio::test]
async fn a_certificate_of_this_client_needs_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client.pem");
    PrivateCa::new().write_to(&file).unwrap();
    let env = crate::env(&[("POLYAXON_CERT_FILE", file.to_str().unwrap())]);
    let plx_track::Api::On(settings) = plx_track::Settings::read(&env, &crate::Disk).unwrap() else {
        panic!()
    };
    let error = plx_track::Client::new(settings).unwrap_err();
    assert_eq!(error.class(), Class::Config);
    assert!(error.to_string().contains("POLYAXON_CERT_FILE"), "{error}");
}
