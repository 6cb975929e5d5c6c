//! The store that fails.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _};
use plx_testkit::{Fault, FaultStore, Op, Snapshot, Times};
use tokio::time::{Instant, timeout};

#[tokio::test(start_paused = true)]
async fn calls_fail_as_told_and_are_counted() {
    let store = FaultStore::new();
    store.fail(Op::Put, "model", Fault::throttle(), Times::First(2));
    store.fail(Op::Put, "lost", Fault::Lost, Times::Always);
    store.fail(Op::Head, "", Fault::Denied, Times::Nth(1));
    store.fail(Op::Delete, "kept", Fault::Reset, Times::Always);
    let key = Path::from("run/model.bin");
    for _ in 0..2 {
        let error = store.put(&key, "x".into()).await.unwrap_err();
        assert_eq!(plx_contract::fault::find(&error).unwrap().status, 503);
    }
    store.put(&key, "x".into()).await.unwrap();
    assert_eq!(store.count(Op::Put), 3);
    store.put(&Path::from("lost"), "x".into()).await.unwrap_err();
    assert_eq!(store.content("lost").await.unwrap(), "x", "it was stored all the same");
    assert!(matches!(store.head(&key).await, Err(Error::PermissionDenied { .. })));
    assert_eq!(store.head(&key).await.unwrap().size, 1);
    store.insert("kept", "x").await;
    let keys = futures::stream::iter(["kept", "lost"].map(|key| Ok(Path::from(key)))).boxed();
    let results: Vec<_> = store.delete_stream(keys).collect().await;
    assert!(results[0].is_err() && results[1].is_ok());
    assert_eq!(store.content("lost").await, None);
    assert_eq!(store.calls()[0], (Op::Put, "run/model.bin".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn bodies_and_listings_break() {
    let store = FaultStore::new();
    let content = vec![7_u8; 300_000];
    store.insert("k", content.clone()).await;
    store.insert("l", "x").await;
    let key = Path::from("k");
    let read = async || store.get(&key).await?.bytes().await;

    store.fail(Op::Get, "k", Fault::Truncate(100_000), Times::Nth(1));
    let mut body = store.get(&key).await.unwrap().into_stream();
    let mut got = 0;
    let end = loop {
        match body.next().await.unwrap() {
            Ok(piece) => got += piece.len(),
            Err(error) => break error,
        }
    };
    assert_eq!((got, store.in_flight()), (100_000, 1), "{end}");
    drop(body);
    assert_eq!(store.in_flight(), 0);

    store.clear_faults();
    store.fail(Op::Get, "k", Fault::Short(10), Times::Nth(1));
    assert_eq!(read().await.unwrap().len(), 10);
    store.clear_faults();
    store.fail(Op::Get, "k", Fault::Corrupt, Times::Nth(1));
    let corrupt = read().await.unwrap();
    assert!(corrupt.len() == content.len() && corrupt != content);
    store.clear_faults();
    store.fail(Op::Get, "k", Fault::StallAfter(10), Times::Nth(1));
    assert!(timeout(Duration::from_secs(3600), read()).await.is_err());
    assert_eq!(read().await.unwrap(), content);

    store.fail(Op::List, "", Fault::Truncate(1), Times::Nth(1));
    let list: Vec<_> = store.list(None).collect().await;
    assert!(list.len() == 2 && list[0].is_ok() && list[1].is_err());
    assert_eq!(store.list(None).try_collect::<Vec<_>>().await.unwrap().len(), 2);
    assert_eq!(Snapshot::of_store(&store, "").await.unwrap().files.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn calls_overlap_and_stall_on_a_paused_clock() {
    let store = FaultStore::new();
    store.set_latency(Duration::from_secs(1));
    store.fail(Op::Put, "stall", Fault::Stall, Times::Always);
    let start = Instant::now();
    let keys = ["a", "b", "c"].map(Path::from);
    futures::future::try_join_all(keys.iter().map(|key| store.put(key, "x".into()))).await.unwrap();
    assert_eq!((store.max_in_flight(), store.in_flight()), (3, 0));
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    let stalled = tokio::spawn({
        let store = store.clone();
        async move { store.put(&Path::from("stall"), "x".into()).await }
    });
    store.called(Op::Put, "stall", 1).await;
    assert_eq!(store.in_flight(), 1);
    stalled.abort();
    assert!(stalled.await.unwrap_err().is_cancelled());
    assert_eq!(store.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn uploads_in_parts_are_followed() {
    let store = FaultStore::new();
    let key = Path::from("big");
    let id = store.create_multipart(&key).await.unwrap();
    assert_eq!((store.open_multipart(), store.open_multipart_keys()), (1, vec!["big".to_owned()]));
    store.fail(Op::PutPart, "big", Fault::Reset, Times::First(1));
    MultipartStore::put_part(&store, &key, &id, 0, "he".into()).await.unwrap_err();
    let first = MultipartStore::put_part(&store, &key, &id, 0, "he".into()).await.unwrap();
    let second = MultipartStore::put_part(&store, &key, &id, 1, "llo".into()).await.unwrap();
    store.complete_multipart(&key, &id, vec![second.clone(), first.clone()]).await.unwrap_err();
    store.set_min_part(5);
    store.complete_multipart(&key, &id, vec![first.clone(), second.clone()]).await.unwrap_err();
    store.set_min_part(0);
    store.complete_multipart(&key, &id, vec![first, second]).await.unwrap();
    assert_eq!(store.content("big").await.unwrap(), "hello");

    let mut upload = store.put_multipart(&Path::from("given-up")).await.unwrap();
    upload.put_part("x".into()).await.unwrap();
    upload.abort().await.unwrap();
    let mut upload = store.put_multipart(&key).await.unwrap();
    let (one, two) = (upload.put_part("wor".into()), upload.put_part("ld".into()));
    tokio::try_join!(two, one).unwrap();
    upload.complete().await.unwrap();
    assert_eq!(store.content("big").await.unwrap(), "world");
    assert_eq!((store.open_multipart(), store.count(Op::Create), store.count(Op::Abort)), (0, 3, 1));
}
