//! The front that behaves like AWS, before a server that checks signatures.

#![expect(clippy::unwrap_used, reason = "in helpers of tests, too, a surprise ends the test")]

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use object_store::signer::Signer as _;
use object_store::{Error, ObjectStore as _, ObjectStoreExt as _};
use plx_testkit::{Match, Moto, RegionHint, S3Front, S3Server, S3Target, Snapshot, Tree};

async fn both() -> (S3Server, S3Front, S3Target) {
    let server = S3Server::start().await;
    let front = S3Front::start(server.addr()).await;
    let target = server.target("bucket").through(&front.url());
    (server, front, target)
}

async fn refusal(store: &AmazonS3) -> String {
    format!("{:?}", store.put(&Path::from("k"), "x".into()).await.unwrap_err())
}

#[tokio::test]
async fn without_rules_it_only_passes_on() {
    let (_server, front, target) = both().await;
    let store = target.store();
    let folder = tempfile::tempdir().unwrap();
    let written =
        Tree::new(3).small(20, 1000).odd_names().empty_file("empty").write_to(folder.path()).unwrap();
    for path in written.files.keys() {
        let bytes = std::fs::read(folder.path().join(path)).unwrap();
        store.put(&Path::parse(format!("base/{path}")).unwrap(), bytes.into()).await.unwrap();
    }
    assert_eq!(Snapshot::of_store(&store, "base").await.unwrap().diff(&written), "");
    let (key, part) = (Path::from("big"), bytes::Bytes::from(vec![7; 5 << 20]));
    let id = store.create_multipart(&key).await.unwrap();
    let first = store.put_part(&key, &id, 0, part.clone().into()).await.unwrap();
    let second = store.put_part(&key, &id, 1, part.into()).await.unwrap();
    store.complete_multipart(&key, &id, vec![first, second]).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap().bytes().await.unwrap().len(), 10 << 20);
    assert_eq!(store.get_range(&key, 10..20).await.unwrap().len(), 10);
    store.delete(&key).await.unwrap();
    assert!(matches!(store.head(&key).await.unwrap_err(), Error::NotFound { .. }));
    let part = Match::method("PUT").query_contains("partNumber=2");
    assert_eq!(front.count(&part), 1);
    let seen = front.requests().into_iter().find(|seen| part.matches(seen)).unwrap();
    assert_eq!((seen.status, seen.request_bytes, seen.finished), (Some(200), 5 << 20, true));
    assert!(seen.header("x-amz-date").is_some());
}

#[tokio::test]
async fn moto_stands_behind_it_too() {
    let moto = Moto::shared().await;
    let front = S3Front::start(moto.addr()).await;
    let store = moto.target("fronted").await.through(&front.url()).store();
    store.put(&Path::from("k"), "x".into()).await.unwrap();
    assert_eq!(store.get(&Path::from("k")).await.unwrap().bytes().await.unwrap(), "x");
}

#[tokio::test]
async fn a_bucket_is_in_one_region() {
    let (_server, front, target) = both().await;
    let right = S3Target { region: "eu-west-1".to_owned(), ..target.clone() }.store();
    let said = |hint| {
        front.region("eu-west-1", hint);
        let target = target.clone();
        async move { refusal(&target.store()).await }
    };
    let body = said(RegionHint::Body).await;
    assert!(
        body.contains("AuthorizationHeaderMalformed") && body.contains("<Region>eu-west-1</Region>"),
        "{body}"
    );
    for hint in [RegionHint::Header, RegionHint::Silent] {
        let told = said(hint).await;
        assert!(told.contains("AuthorizationHeaderMalformed") && !told.contains("eu-west-1"), "{told}");
    }
    right.put(&Path::from("k"), "x".into()).await.unwrap();

    // The header, which object_store does not show.
    front.region("eu-west-1", RegionHint::Header);
    let url = target
        .store()
        .signed_url(http::Method::HEAD, &Path::from("k"), Duration::from_secs(60))
        .await
        .unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.head(url.clone()).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-amz-bucket-region"]),
        (400, &"eu-west-1".parse().unwrap())
    );
    assert!(answer.headers().contains_key("x-amz-request-id"));
    assert_eq!(answer.text().await.unwrap(), "");
    front.redirects(true);
    let url = target
        .store()
        .signed_url(http::Method::GET, &Path::from("k"), Duration::from_secs(60))
        .await
        .unwrap();
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-amz-bucket-region"]),
        (301, &"eu-west-1".parse().unwrap())
    );
    assert!(answer.text().await.unwrap().contains("<Code>PermanentRedirect</Code>"));
    let anonymous = client.head(format!("{}/bucket", front.url())).send().await.unwrap();
    assert_eq!(
        (anonymous.status().as_u16(), &anonymous.headers()["x-amz-bucket-region"]),
        (403, &"eu-west-1".parse().unwrap())
    );
}

#[tokio::test]
async fn its_clock_may_be_another() {
    let server = S3Server::with_any_clock().await;
    let front = S3Front::start(server.addr()).await;
    let store = server.target("bucket").through(&front.url()).store();
    front.clock_ahead(Duration::from_secs(600));
    store.put(&Path::from("k"), "x".into()).await.unwrap();
    front.clock_behind(Duration::from_secs(3600));
    let told = refusal(&store).await;
    assert!(told.contains("<Code>RequestTimeTooSkewed</Code>") && told.contains("<ServerTime>"), "{told}");
    front.clock_ahead(Duration::from_secs(3600));
    assert!(refusal(&store).await.contains("RequestTimeTooSkewed"));
    let answer =
        reqwest::Client::builder().no_proxy().build().unwrap().get(front.url()).send().await.unwrap();
    let date = answer.headers()["date"].to_str().unwrap();
    let ahead = chrono::DateTime::parse_from_rfc2822(date).unwrap().to_utc() - chrono::Utc::now();
    assert!((3590..=3600).contains(&ahead.num_seconds()), "{ahead}");
}

/// Asks for an object with a signature of that time, as a client that corrects its clock.
async fn get_signed_at(
    front: &S3Front,
    server: &S3Server,
    at: chrono::DateTime<chrono::Utc>,
) -> reqwest::Response {
    let (day, time) = (at.format("%Y%m%d").to_string(), at.format("%Y%m%dT%H%M%SZ").to_string());
    let hash = "UNSIGNED-PAYLOAD";
    let names = "host;x-amz-content-sha256;x-amz-date";
    let headers = format!("host:{}\nx-amz-content-sha256:{hash}\nx-amz-date:{time}\n", front.addr());
    let canonical = format!("GET\n/bucket/k\n\n{headers}\n{names}\n{hash}");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let canonical = hex(ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes()).as_ref());
    let scope = format!("{day}/us-east-1/s3/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{canonical}");
    let mut key = format!("AWS4{}", server.secret_key()).into_bytes();
    for word in [day.as_str(), "us-east-1", "s3", "aws4_request", &text] {
        let with = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
        key = ring::hmac::sign(&with, word.as_bytes()).as_ref().to_vec();
    }
    let credential = format!("{}/{scope}", server.access_key());
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={}", hex(&key));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(format!("{}/bucket/k", front.url())).header("authorization", authorization);
    request.header("x-amz-date", time).header("x-amz-content-sha256", hash).send().await.unwrap()
}

#[tokio::test]
async fn a_client_that_corrects_its_clock_is_let_in() {
    let server = S3Server::with_any_clock().await;
    let front = S3Front::start(server.addr()).await;
    let store = server.target("bucket").through(&front.url()).store();
    store.put(&Path::from("k"), "x".into()).await.unwrap();
    front.clock_ahead(Duration::from_secs(3600));
    let now = chrono::Utc::now();
    assert_eq!(get_signed_at(&front, &server, now).await.status(), 403);
    let answer = get_signed_at(&front, &server, now + chrono::TimeDelta::minutes(60)).await;
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "x"));
}

#[tokio::test]
async fn session_tokens_expire() {
    let (_server, front, target) = both().await;
    let with = |token: &str| target.builder().with_token(token).build().unwrap();
    front.valid_tokens(["first", "second"]);
    with("first").put(&Path::from("k"), "x".into()).await.unwrap();
    front.expire("first");
    let told = refusal(&with("first")).await;
    assert!(told.contains("<Code>ExpiredToken</Code>"), "{told}");
    assert!(refusal(&with("third")).await.contains("ExpiredToken"));
    with("second").put(&Path::from("k"), "x".into()).await.unwrap();
    target.store().put(&Path::from("k"), "x".into()).await.unwrap();
    front.require_token();
    assert!(refusal(&target.store()).await.contains("AccessDenied"));
    front.clear_rules();
    target.store().put(&Path::from("k"), "x".into()).await.unwrap();
}

#[tokio::test]
async fn rights_and_keys_can_be_taken_away() {
    let (server, front, target) = both().await;
    let store = Arc::new(target.store());
    store.put(&Path::from("k"), "x".into()).await.unwrap();
    front.deny("GET", "list-type=2");
    let listing = Snapshot::of_store(&store, "").await.unwrap_err();
    assert!(
        matches!(listing, Error::PermissionDenied { .. }) || format!("{listing:?}").contains("AccessDenied")
    );
    assert_eq!(store.get(&Path::from("k")).await.unwrap().bytes().await.unwrap(), "x");
    front.deny_matching(Match::method("PUT").path_contains("/readonly/"));
    let denied = store.put(&Path::from("readonly/k"), vec![0; 16 << 20].into()).await.unwrap_err();
    assert!(matches!(denied, Error::PermissionDenied { .. }), "{denied:?}");
    front.deny("HEAD", "");
    let head = store.head(&Path::from("k")).await.unwrap_err();
    assert!(matches!(head, Error::PermissionDenied { .. }), "{head:?}");
    front.revoke_key(server.access_key());
    assert!(refusal(&store).await.contains("InvalidAccessKeyId"));
}

#[tokio::test]
async fn an_old_server_knows_no_new_checksums() {
    let (_server, front, target) = both().await;
    front.refuse_new_checksums();
    target.store().put(&Path::from("k"), "x".into()).await.unwrap();
    let new: AmazonS3Builder = target.builder().with_checksum_algorithm(Checksum::SHA256);
    let told = refusal(&new.build().unwrap()).await;
    assert!(told.contains("NotImplemented"), "{told}");
    target.store().list_with_delimiter(None).await.unwrap();
}
