//! The S3 servers, with the client that the programs use.

#![expect(clippy::unwrap_used, reason = "in helpers of tests, too, a surprise ends the test")]

use object_store::ObjectStoreExt as _;
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use plx_testkit::{FaultProxy, Match, Moto, S3Server, S3Target, Snapshot, Tree};

/// A tree goes up and comes down the same, with every odd name as a literal key.
async fn a_tree_survives(target: &S3Target) {
    survives(target, Tree::new(3).small(20, 1000).odd_names().empty_file("empty")).await;
}

async fn survives(target: &S3Target, tree: Tree) {
    let folder = tempfile::tempdir().unwrap();
    let written = tree.write_to(folder.path()).unwrap();
    let store = target.store();
    for path in written.files.keys() {
        let bytes = std::fs::read(folder.path().join(path)).unwrap();
        let key = Path::parse(format!("base/{path}")).unwrap();
        store.put(&key, bytes.into()).await.unwrap();
    }
    let stored = Snapshot::of_store(&store, "base").await.unwrap();
    assert_eq!(stored.diff(&written), "");
    let range = store.get_range(&Path::from("base/small/000/00000.bin"), 10..20).await.unwrap();
    assert_eq!(range.len(), 10);
    store.delete(&Path::from("base/empty")).await.unwrap();
    assert!(store.head(&Path::from("base/empty")).await.is_err());
}

/// A large object in parts, through a proxy that loses parts and cuts reads.
async fn parts_survive(target: &S3Target, server: std::net::SocketAddr) {
    let proxy = FaultProxy::start(server).await;
    let store = target.through(&proxy.url()).store();
    let (key, part) = (Path::from("big/model.bin"), bytes::Bytes::from(vec![7; 5 << 20]));
    proxy.on(Match::method("PUT").query_contains("partNumber=2")).first(1).cut_after_request_bytes(1 << 20);
    let id = store.create_multipart(&key).await.unwrap();
    let mut parts = Vec::new();
    for index in 0..3 {
        let mut done = store.put_part(&key, &id, index, part.clone().into()).await;
        if index == 1 {
            assert!(done.is_err());
            done = store.put_part(&key, &id, index, part.clone().into()).await;
        }
        parts.push(done.unwrap());
    }
    store.complete_multipart(&key, &id, parts).await.unwrap();
    proxy.on(Match::method("GET")).first(1).cut_after_response_bytes(1 << 20);
    assert!(store.get(&key).await.unwrap().bytes().await.is_err());
    assert_eq!(store.get(&key).await.unwrap().bytes().await.unwrap().len(), 15 << 20);
    let put = Match::method("PUT").query_contains("partNumber=");
    let seen: Vec<u64> =
        proxy.requests().iter().filter(|seen| put.matches(seen)).map(|seen| seen.request_bytes).collect();
    assert_eq!(seen, [5 << 20, 1 << 20, 5 << 20, 5 << 20]);
}

#[tokio::test]
async fn parts_survive_on_both_servers() {
    let server = S3Server::start().await;
    parts_survive(&server.target("bucket"), server.addr()).await;
    let moto = Moto::shared().await;
    parts_survive(&moto.target("parts").await, moto.addr()).await;
}

#[tokio::test]
async fn the_server_inside_takes_a_tree() {
    let server = S3Server::start().await;
    a_tree_survives(&server.target("bucket")).await;
    assert!(server.data_dir().join("bucket/base/small/000/00000.bin").is_file());
}

#[tokio::test]
async fn moto_takes_a_tree() {
    let moto = Moto::shared().await;
    let tree = Tree::new(3).small(20, 1000).odd_names().long_name().empty_file("empty");
    survives(&moto.target("tree").await, tree).await;
}

#[tokio::test]
async fn the_server_named_by_the_environment_takes_a_tree() {
    if let Some(target) = S3Target::from_env() {
        a_tree_survives(&target).await;
    }
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let server = S3Server::start().await;
    let right = server.target("bucket");
    let wrong = S3Target { secret_key: "wrong".to_owned(), ..right.clone() };
    let key = Path::from("k");
    let refused = wrong.store().put(&key, "x".into()).await.unwrap_err();
    assert!(format!("{refused:?}").contains("SignatureDoesNotMatch"), "{refused:?}");
    right.store().put(&key, "x".into()).await.unwrap();
}

#[tokio::test]
async fn signatures_hold_through_the_proxy() {
    let server = S3Server::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    a_tree_survives(&server.target("bucket").through(&proxy.url())).await;
    assert!(proxy.count(&Match::method("GET").query_contains("list-type=2")) >= 1);
    proxy.on(Match::method("PUT")).cut_before_response();
    let store = server.target("bucket").through(&proxy.url()).store();
    assert!(store.put(&Path::from("lost"), "stored".into()).await.is_err());
    assert_eq!(store.get(&Path::from("lost")).await.unwrap().bytes().await.unwrap(), "stored");
}

#[tokio::test]
async fn moto_works_through_the_proxy() {
    let moto = Moto::shared().await;
    let proxy = FaultProxy::start(moto.addr()).await;
    a_tree_survives(&moto.target("proxied").await.through(&proxy.url())).await;
}

#[tokio::test]
async fn the_server_ends_with_its_owner() {
    let server = S3Server::start().await;
    let (address, folder) = (server.addr(), server.data_dir().to_owned());
    drop(server);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert!(!folder.exists());
}

#[tokio::test]
async fn moto_ends_with_its_owner() {
    let moto = Moto::start().await;
    let address = moto.addr();
    drop(moto);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
