//! Azurite, with the client that the programs use.

#![expect(clippy::unwrap_used, reason = "in helpers of tests, too, a surprise ends the test")]

use std::time::{Duration, SystemTime};

use object_store::azure::{AzureConfigKey, MicrosoftAzure};
use object_store::path::Path;
use object_store::{Certificate, ClientOptions, ObjectStore as _, ObjectStoreExt as _, PutMode};
use plx_testkit::{Azurite, FaultProxy, Match, PrivateCa, Snapshot, Tree, azure_jwt};

/// A tree and an object in blocks go up, are listed, come down and are deleted.
async fn survives(store: &MicrosoftAzure) {
    let folder = tempfile::tempdir().unwrap();
    let written = Tree::new(3).small(20, 1000).empty_file("empty").write_to(folder.path()).unwrap();
    for path in written.files.keys() {
        let bytes = std::fs::read(folder.path().join(path)).unwrap();
        store.put(&Path::parse(format!("base/{path}")).unwrap(), bytes.into()).await.unwrap();
    }
    assert_eq!(Snapshot::of_store(store, "base").await.unwrap().diff(&written), "");
    let key = Path::from("big/model.bin");
    let mut upload = store.put_multipart_opts(&key, Default::default()).await.unwrap();
    for _ in 0..3 {
        upload.put_part(vec![7; 1 << 20].into()).await.unwrap();
    }
    upload.complete().await.unwrap();
    assert_eq!(store.head(&key).await.unwrap().size, 3 << 20);
    assert_eq!(store.get_range(&key, 10..20).await.unwrap(), [7; 10].as_slice());
    let again = store.put_opts(&key, "x".into(), PutMode::Create.into()).await.unwrap_err();
    assert!(matches!(again, object_store::Error::AlreadyExists { .. }), "{again:?}");
    store.delete(&key).await.unwrap();
    assert!(matches!(store.head(&key).await.unwrap_err(), object_store::Error::NotFound { .. }));
}

fn hence(seconds: u64) -> SystemTime {
    SystemTime::now() + Duration::from_secs(seconds)
}

#[tokio::test]
async fn the_key_of_the_account_opens_a_container() {
    let azurite = Azurite::shared().await;
    let target = azurite.target("by-key").await;
    survives(&target.store()).await;
    assert_eq!(azurite.target("by-key").await, target, "a container that is there is no error");
    let wrong = plx_testkit::AzureTarget { key: "d3Jvbmc=".to_owned(), ..target };
    let refused = wrong.store().put(&Path::from("k"), "x".into()).await.unwrap_err();
    assert!(format!("{refused:?}").contains("403"), "{refused:?}");
}

#[tokio::test]
async fn a_sas_token_opens_what_it_says_as_long_as_it_says() {
    let target = Azurite::shared().await.target("by-sas").await;
    let with = |token: &str| target.builder().with_config(AzureConfigKey::SasKey, token).build().unwrap();
    survives(&with(&target.sas("racwdl", hence(600)))).await;
    let reader = with(&target.sas("rl", hence(600)));
    target.store().put(&Path::from("k"), "x".into()).await.unwrap();
    assert_eq!(reader.get(&Path::from("k")).await.unwrap().bytes().await.unwrap(), "x");
    let refused = reader.put(&Path::from("k"), "y".into()).await.unwrap_err();
    assert!(format!("{refused:?}").contains("403"), "{refused:?}");
    let late = with(&target.sas("rl", SystemTime::now() - Duration::from_secs(60)));
    let refused = late.get(&Path::from("k")).await.unwrap_err();
    assert!(format!("{refused:?}").contains("403"), "{refused:?}");
    let other = Azurite::shared().await.target("by-sas-other").await;
    let elsewhere = other.builder().with_config(AzureConfigKey::SasKey, target.sas("rl", hence(600)));
    assert!(elsewhere.build().unwrap().get(&Path::from("k")).await.is_err(), "it is of one container");
}

#[tokio::test]
async fn a_container_is_there_through_a_proxy_too() {
    let azurite = Azurite::shared().await;
    let target = azurite.target("by-proxy").await;
    let proxy = FaultProxy::start(azurite.addr()).await;
    survives(&target.through(&proxy.url()).store()).await;
    assert!(proxy.count(&Match::method("PUT").query_contains("comp=block&")) >= 3);
    assert!(target.connection_string().contains(&azurite.endpoint()));
}

#[tokio::test]
async fn bearer_tokens_are_taken_over_https() {
    let ca = PrivateCa::new();
    let azurite = Azurite::with_oauth(&ca).await;
    let target = azurite.target("by-token").await;
    let with = |token: String| {
        let trust = Certificate::from_pem(ca.pem().as_bytes()).unwrap();
        let options = ClientOptions::new().with_root_certificate(trust);
        let builder = target.builder().with_client_options(options);
        builder.with_config(AzureConfigKey::Token, token).build().unwrap()
    };
    survives(&with(azure_jwt("tenant", Duration::from_secs(600)))).await;
    let late = with(azure_jwt("tenant", Duration::ZERO));
    let refused = late.get(&Path::from("k")).await.unwrap_err();
    assert!(
        matches!(refused, object_store::Error::Unauthenticated { .. })
            || format!("{refused:?}").contains("403")
    );
    let nonsense = with("nonsense".to_owned()).get(&Path::from("k")).await.unwrap_err();
    assert!(format!("{nonsense:?}").contains("403"), "{nonsense:?}");
}

#[tokio::test]
async fn azurite_ends_with_its_owner() {
    let azurite = Azurite::start().await;
    let address = azurite.addr();
    drop(azurite);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
