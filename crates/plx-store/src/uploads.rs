//! Open uploads in parts: what S3's API and Google's XML API list, and the store library cannot ask for.

use crate::faults::fault_of;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use http::Method;
use object_store::client::{HttpRequest, HttpRequestBody, HttpService};
use object_store::path::Path;
use object_store::{Error, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use url::Url;

/// Names the uploads to exactly this key that are open and have no part yet. The key is that of the store, prefix
/// included.
pub type EmptyUploads = Arc<dyn Fn(Path) -> BoxFuture<'static, Result<Vec<String>>> + Send + Sync>;

/// What signatures count as it is.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ENCODED_PATH: AsciiSet = ENCODED.remove(b'/');

/// `ListMultipartUploadsResult`; a page holds a thousand, and those of the key itself come first.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Upload", default)]
    uploads: Vec<Open>,
}

#[derive(Deserialize)]
struct Open {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "UploadId")]
    id: String,
}

/// `ListPartsResult`.
#[derive(Deserialize)]
struct Parts {
    #[serde(rename = "Part", default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {}

/// Asks `service` about a bucket at its URL.
pub(crate) fn empty_uploads(service: Arc<dyn HttpService>, bucket: &Url) -> EmptyUploads {
    let bucket = bucket.as_str().trim_end_matches('/').to_owned();
    Arc::new(move |key| empty(Arc::clone(&service), bucket.clone(), key).boxed())
}

async fn empty(service: Arc<dyn HttpService>, bucket: String, key: Path) -> Result<Vec<String>> {
    let prefix = utf8_percent_encode(key.as_ref(), &ENCODED);
    let listed: Listed = ask(&*service, &format!("{bucket}/?uploads=&prefix={prefix}")).await?;
    let path = utf8_percent_encode(key.as_ref(), &ENCODED_PATH);
    let mut found = Vec::new();
    for open in listed.uploads.into_iter().filter(|open| open.key == key.as_ref()) {
        let id = utf8_percent_encode(&open.id, &ENCODED);
        match ask::<Parts>(&*service, &format!("{bucket}/{path}?max-parts=1&uploadId={id}")).await {
            Ok(parts) if parts.parts.is_empty() => found.push(open.id),
            Ok(_) => {}
            // Completed or aborted since it was listed.
            Err(error) if plx_contract::fault::find(&error).is_some_and(|fault| fault.status == 404) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

async fn ask<T: DeserializeOwned>(service: &dyn HttpService, url: &str) -> Result<T> {
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = url.parse().map_err(generic)?;
    let response = service.call(request).await.map_err(generic)?;
    if !response.status().is_success() {
        return Err(generic(fault_of(response).await));
    }
    let mut body = response.into_body().bytes_stream();
    let mut text = Vec::new();
    while let Some(chunk) = body.next().await {
        text.extend_from_slice(&chunk.map_err(generic)?);
    }
    quick_xml::de::from_str(&String::from_utf8_lossy(&text)).map_err(generic)
}

fn generic(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic { store: "open uploads", source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_with_none_one_and_more() {
        let listed = |text: &str| quick_xml::de::from_str::<Listed>(text).expect("a list").uploads.len();
        let upload = "<Upload><Initiated>2026</Initiated><Key>a/b</Key><UploadId>x</UploadId></Upload>";
        let list = |inner: &str| {
            format!(
                "<?xml version=\"1.0\"?><ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>b</Bucket>{inner}<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
            )
        };
        assert_eq!(listed(&list("")), 0);
        assert_eq!(listed(&list(upload)), 1);
        assert_eq!(listed(&list(&[upload, upload].concat())), 2);
        let parts =
            "<ListPartsResult><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></ListPartsResult>";
        assert_eq!(quick_xml::de::from_str::<Parts>(parts).expect("a list").parts.len(), 1);
    }
}
