//! Uploads that were begun and never sent to are found at real servers: one that lists them, and one that checks
//! signatures.

use crate::bench::{s3_connection, s3_keys, try_open};
use futures::StreamExt;
use object_store::PutPayload;
use object_store::path::Path;
use plx_store::{Bucket, Opened};
use plx_testkit::{Moto, S3Server, S3Target};

fn open(target: &S3Target) -> Bucket {
    match try_open(&s3_connection(target, ""), &s3_keys(target)).unwrap() {
        Opened::Bucket(bucket) => bucket,
        Opened::Volume(volume) => panic!("{volume:?}"),
    }
}

/// Odd enough that a key which is encoded in two ways is two keys.
const KEY: &str = "base/R/a b+c?d&e=f/ü%20(1)~'*.bin";

#[tokio::test]
async fn an_upload_without_parts_is_found_by_its_key_and_no_other_is() {
    let moto = Moto::shared().await;
    let bucket = open(&moto.target("uploads-without-parts").await);
    let list = bucket.empty_uploads.as_ref().unwrap();
    let key = Path::parse(KEY).unwrap();
    assert!(list(key.clone()).await.unwrap().is_empty());
    let empty = bucket.parts.create_multipart(&key).await.unwrap();
    let sent_to = bucket.parts.create_multipart(&key).await.unwrap();
    bucket.parts.put_part(&key, &sent_to, 0, PutPayload::from_static(b"a part")).await.unwrap();
    bucket.parts.create_multipart(&Path::parse(format!("{KEY}.too")).unwrap()).await.unwrap();
    assert_eq!(list(key.clone()).await.unwrap(), std::slice::from_ref(&empty));
    bucket.parts.abort_multipart(&key, &empty).await.unwrap();
    assert!(list(key).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_question_is_signed_as_a_server_counts_it() {
    let server = S3Server::start().await;
    let bucket = open(&server.target("signed"));
    let refusal = bucket.empty_uploads.unwrap()(Path::parse(KEY).unwrap()).await.unwrap_err();
    // This server knows the question and has no answer; with another signature it would not come so far.
    let fault = plx_contract::fault::find(&refusal).expect("an answer");
    assert_eq!((fault.status, fault.code.as_deref()), (501, Some("NotImplemented")), "{refusal}");
    assert_eq!(bucket.store.list(None).count().await, 0);
}
