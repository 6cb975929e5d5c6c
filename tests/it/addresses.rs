//! The clouds' own addresses, where nothing says that a store is elsewhere. They are reached through a proxy that knows
//! the way to a server of this test.

use crate::bench::{connection, opened, vars};
use crate::carry::{fetch, one_by_one, send, works};
use crate::identity::sts::Sts;
use crate::pretender::{Pretender, all_goes_through};
use plx_store::Opened;
use plx_testkit::{Azurite, ForwardProxy, Match, Moto, RegionHint, S3Front, Tree};

/// What of each address the proxy was asked for, in a row.
fn hosts(proxy: &ForwardProxy) -> Vec<String> {
    let mut hosts = proxy.targets();
    hosts.retain(|host| host != "store.invalid:443");
    hosts.dedup();
    hosts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn awss_hosts_have_the_region_in_their_names_and_follow_the_bucket() {
    let moto = Moto::shared().await;
    // With a dot in it the name cannot be a part of the host's.
    let target = moto.target("it.addresses").await;
    let front = S3Front::start(moto.addr()).await;
    front.region("eu-west-1", RegionHint::Both);
    let sts = Sts::before(moto.addr()).await;
    let proxy = ForwardProxy::start().await;
    let (wrong, right) = ("s3.us-east-1.amazonaws.com", "s3.eu-west-1.amazonaws.com");
    let store = Pretender::start(&[wrong, right, "sts.us-east-1.amazonaws.com"], front.addr()).await;
    let roles = Pretender::start(&["sts.us-east-1.amazonaws.com"], sts.addr()).await;
    proxy.route(&format!("{wrong}:443"), store.addr());
    proxy.route(&format!("{right}:443"), store.addr());
    proxy.route("sts.us-east-1.amazonaws.com:443", roles.addr());
    let folder = tempfile::tempdir().unwrap();
    let both = [store.ca(), roles.ca()].map(|path| std::fs::read_to_string(path).unwrap()).concat();
    std::fs::write(folder.path().join("ca.pem"), both).unwrap();
    let env = vars([
        ("AWS_ACCESS_KEY_ID", &*target.access_key),
        ("AWS_SECRET_ACCESS_KEY", &target.secret_key),
        ("AWS_ASSUME_ROLE", "true"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/plx"),
        ("HTTPS_PROXY", &proxy.url()),
        ("POLYAXON_SSL_CA_CERT", &folder.path().join("ca.pem").display().to_string()),
    ]);
    all_goes_through(&proxy, &env).await;
    let remote = opened(&connection("s3", "s3://it.addresses/base", ""), &env);
    let sent = send(&one_by_one(), &remote, &Tree::new(5).small(3, 1000).file("parts", 9 << 20)).await;
    assert_eq!(fetch(&one_by_one(), &remote).await.diff(&sent), "");
    let asked = hosts(&proxy);
    assert_eq!(asked[..2], ["sts.us-east-1.amazonaws.com:443", "s3.us-east-1.amazonaws.com:443"]);
    assert!(asked[2..].iter().all(|host| host == "s3.eu-west-1.amazonaws.com:443"), "{asked:?}");
    assert_eq!(front.count(&Match::any().header_contains("host", wrong)), 1);
    assert!(front.count(&Match::any().header_contains("host", right)) > 5);
    assert_eq!(sts.requests().len(), 1);
}

#[test]
fn each_cloud_is_asked_at_its_own_address_and_each_of_its_parts_at_theirs() {
    let keys = [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AZURE_ACCOUNT_KEY", "aGk=")];
    for (kind, bucket, region, want) in [
        ("s3", "s3://bkt", "eu-west-1", "https://bkt.s3.eu-west-1.amazonaws.com"),
        ("s3", "s3://b.kt", "eu-west-1", "https://s3.eu-west-1.amazonaws.com"),
        ("s3", "s3://bkt", "cn-north-1", "https://bkt.s3.cn-north-1.amazonaws.com.cn"),
        ("s3", "s3://bkt", "us-gov-west-1", "https://bkt.s3.us-gov-west-1.amazonaws.com"),
        ("gcs", "gs://bkt", "", "https://storage.googleapis.com"),
        ("wasb", "wasbs://c@acc.blob.core.windows.net", "", "https://acc.blob.core.windows.net"),
        ("wasb", "wasbs://c@acc.blob.core.chinacloudapi.cn", "", "https://acc.blob.core.chinacloudapi.cn"),
        ("wasb", "wasbs://c@acc.blob.core.usgovcloudapi.net", "", "https://acc.blob.core.usgovcloudapi.net"),
    ] {
        let mut env = vars(keys);
        env.insert("AWS_REGION".to_owned(), region.to_owned());
        let opened = crate::bench::try_open(&connection(kind, bucket, ""), &env).unwrap();
        let Opened::Bucket(opened) = opened else { panic!("no bucket") };
        assert_eq!((opened.about.endpoint.as_str(), &opened.about.endpoint_from), (want, &None), "{bucket}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azures_hosts_have_the_account_in_their_names() {
    let azurite = Azurite::shared().await;
    let target = azurite.target("addresses").await;
    let host = "devstoreaccount1.blob.core.windows.net";
    let store = Pretender::start(&[host], azurite.addr()).await;
    let proxy = ForwardProxy::start().await;
    proxy.route(&format!("{host}:443"), store.addr());
    let env = vars([
        ("AZURE_ACCOUNT_KEY", &*target.key),
        ("https_proxy", &proxy.url()),
        ("POLYAXON_SSL_CA_CERT", &store.ca()),
    ]);
    all_goes_through(&proxy, &env).await;
    works(&opened(&connection("wasb", &format!("wasbs://addresses@{host}/base"), ""), &env)).await;
    assert_eq!(hosts(&proxy), [format!("{host}:443")]);
    // By name and key, the container alone in the connection.
    let named = vars([("AZURE_ACCOUNT_NAME", "devstoreaccount1")]);
    works(&opened(&connection("wasb", "wasb://addresses/base", ""), &named.into_iter().chain(env).collect()))
        .await;
}
