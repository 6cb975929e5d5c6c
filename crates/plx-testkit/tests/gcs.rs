//! The GCS server, with the client that the programs use.

#![expect(clippy::unwrap_used, reason = "in helpers of tests, too, a surprise ends the test")]

use std::sync::Arc;

use object_store::gcp::{GcpCredential, GoogleCloudStorage};
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, ObjectStore as _, ObjectStoreExt as _, PutMode, StaticCredentialProvider,
    UpdateVersion,
};
use plx_testkit::{
    FaultProxy, GcsServer, GcsTarget, Match, SERVICE_ACCOUNT_PUBLIC_KEY, Snapshot, Tree, loopback,
};

async fn survives(store: &GoogleCloudStorage) {
    let folder = tempfile::tempdir().unwrap();
    let written =
        Tree::new(3).small(20, 1000).odd_names().empty_file("empty").write_to(folder.path()).unwrap();
    for path in written.files.keys() {
        let bytes = std::fs::read(folder.path().join(path)).unwrap();
        store.put(&Path::parse(format!("base/{path}")).unwrap(), bytes.into()).await.unwrap();
    }
    assert_eq!(Snapshot::of_store(store, "base").await.unwrap().diff(&written), "");
    let key = Path::from("big/model.bin");
    let id = store.create_multipart(&key).await.unwrap();
    let mut parts = Vec::new();
    for index in 0..3 {
        parts.push(store.put_part(&key, &id, index, vec![7; 5 << 20].into()).await.unwrap());
    }
    store.complete_multipart(&key, &id, parts).await.unwrap();
    assert_eq!(store.head(&key).await.unwrap().size, 15 << 20);
    assert_eq!(store.get_range(&key, 10..20).await.unwrap(), [7; 10].as_slice());
    store.copy(&key, &Path::from("big/copy")).await.unwrap();
    let again = store.copy_if_not_exists(&key, &Path::from("big/copy")).await.unwrap_err();
    assert!(matches!(again, Error::AlreadyExists { .. }), "{again:?}");
    store.delete(&key).await.unwrap();
    assert!(matches!(store.head(&key).await.unwrap_err(), Error::NotFound { .. }));
    assert_eq!(store.head(&Path::from("big/copy")).await.unwrap().size, 15 << 20);
}

fn with(target: &GcsTarget, token: &str) -> GoogleCloudStorage {
    let token = StaticCredentialProvider::new(GcpCredential { bearer: token.to_owned() });
    target.builder().with_base_url(&target.base_url).with_credentials(Arc::new(token)).build().unwrap()
}

#[tokio::test]
async fn an_emulator_takes_a_tree() {
    let server = GcsServer::start().await;
    server.accept_any();
    survives(&server.target("bucket").store()).await;
    assert!(server.data_dir().join("bucket/base/small/000/00000.bin").is_file());
    let proxy = FaultProxy::start(server.addr()).await;
    survives(&server.target("other").through(&proxy.url()).store()).await;
    assert!(proxy.count(&Match::method("PUT").query_contains("partNumber=")) == 3);
}

#[tokio::test]
async fn a_token_is_good_until_it_is_revoked() {
    let server = GcsServer::start().await;
    let target = server.target("bucket");
    let (first, second) = (with(&target, "first"), with(&target, "second"));
    server.accept("first");
    let key = Path::from("k");
    first.put(&key, "x".into()).await.unwrap();
    let refused = second.get(&key).await.unwrap_err();
    assert!(matches!(refused, Error::Unauthenticated { .. }), "{refused:?}");
    assert!(format!("{refused:?}").contains("<Code>AuthenticationRequired</Code>"), "{refused:?}");
    server.accept("second");
    server.revoke("first");
    assert_eq!(second.get(&key).await.unwrap().bytes().await.unwrap(), "x");
    assert!(matches!(first.head(&key).await.unwrap_err(), Error::Unauthenticated { .. }));
    assert!(matches!(
        first.put(&key, vec![1; 8 << 20].into()).await.unwrap_err(),
        Error::Unauthenticated { .. }
    ));
    let asked = server.requests();
    let statuses: Vec<u16> = asked.iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [200, 401, 200, 401, 401]);
    assert_eq!(asked[1].authorization.as_deref(), Some("Bearer second"));
    let anonymous = loopback::request(server.addr(), "GET", "/bucket/k", b"").await.unwrap();
    assert_eq!(anonymous.status, 403);
}

#[tokio::test]
async fn a_service_account_signs_its_tokens() {
    let server = GcsServer::start().await;
    let target = server.target("bucket");
    let store = target.builder().with_service_account_key(target.signing_key_json()).build().unwrap();
    let refused = store.put(&Path::from("k"), "x".into()).await.unwrap_err();
    assert!(matches!(refused, Error::Unauthenticated { .. }), "{refused:?}");
    server.accept_signed_by(SERVICE_ACCOUNT_PUBLIC_KEY);
    survives(&store).await;
    let spoiled = server.requests()[0].authorization.clone().unwrap().replace("Bearer ", "x");
    let refused = with(&target, &spoiled).get(&Path::from("k")).await.unwrap_err();
    assert!(matches!(refused, Error::Unauthenticated { .. }), "{refused:?}");
}

#[tokio::test]
async fn objects_have_generations() {
    let server = GcsServer::start().await;
    server.accept_any();
    let (store, key) = (server.target("bucket").store(), Path::from("k"));
    let create = || PutMode::Create.into();
    let first = store.put_opts(&key, "1".into(), create()).await.unwrap();
    let again = store.put_opts(&key, "2".into(), create()).await.unwrap_err();
    assert!(matches!(again, Error::AlreadyExists { .. }), "{again:?}");
    let version = |put: &object_store::PutResult| UpdateVersion { e_tag: None, version: put.version.clone() };
    let second = store.put_opts(&key, "2".into(), PutMode::Update(version(&first)).into()).await.unwrap();
    assert_ne!(first.version, second.version);
    let late = store.put_opts(&key, "3".into(), PutMode::Update(version(&first)).into()).await.unwrap_err();
    assert!(matches!(late, Error::Precondition { .. }), "{late:?}");
    let at =
        |put: &object_store::PutResult| GetOptions { version: put.version.clone(), ..Default::default() };
    assert_eq!(store.get_opts(&key, at(&second)).await.unwrap().bytes().await.unwrap(), "2");
    assert!(matches!(store.get_opts(&key, at(&first)).await.unwrap_err(), Error::NotFound { .. }));
    assert_eq!(store.head(&key).await.unwrap().version, second.version);
    store.delete(&key).await.unwrap();
    store.put_opts(&key, "4".into(), create()).await.unwrap();
    let race = Path::from("race");
    let both = tokio::join!(
        store.put_opts(&race, "1".into(), create()),
        store.put_opts(&race, "2".into(), create())
    );
    assert!(both.0.is_ok() != both.1.is_ok(), "one of two comes first");
}

#[tokio::test]
async fn the_server_ends_with_its_owner() {
    let server = GcsServer::start().await;
    let (address, folder) = (server.addr(), server.data_dir().to_owned());
    drop(server);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert!(!folder.exists());
}
