//! Signature version 4, in the bucket's own region.

use crate::identity::Identity;
use crate::signing::{SignError, Signer};
use async_trait::async_trait;
use futures::FutureExt;
use http_body_util::BodyExt;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use plx_contract::fault::HttpFault;
use std::sync::{Arc, PoisonError, RwLock};

#[derive(Debug)]
pub(super) struct S3Signer {
    pub identity: Arc<Identity<AwsCredential>>,
    /// The region that was configured, which is also in the host's name on AWS.
    pub configured: String,
    /// The region requests are signed for.
    pub region: Arc<RwLock<String>>,
}

impl S3Signer {
    fn region(&self) -> String {
        self.region.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Signer for S3Signer {
    async fn sign(&self, request: &mut HttpRequest) -> Result<u64, SignError> {
        let held = self.identity.get().await.map_err(SignError::Identity)?;
        let region = self.region();
        if region != self.configured {
            move_host(request, &self.configured, &region).map_err(SignError::Signer)?;
        }
        let digest = digest(request.body());
        AwsAuthorizer::new(&held.credential, "s3", &region)
            .try_authorize(request, Some(digest.as_ref()))
            .map_err(SignError::Signer)?;
        Ok(held.generation)
    }

    async fn renew(&self, generation: u64) -> bool {
        self.identity.renew(generation).await
    }

    fn learn(&self, fault: &HttpFault) -> bool {
        let Some(told) = &fault.region else { return false };
        // Other refusals name the region too, and are not about it.
        let about = matches!(fault.status, 301 | 307)
            || matches!(
                fault.code.as_deref(),
                Some(
                    "AuthorizationHeaderMalformed"
                        | "PermanentRedirect"
                        | "TemporaryRedirect"
                        | "IllegalLocationConstraintException"
                ) | None
            );
        let mut region = self.region.write().unwrap_or_else(PoisonError::into_inner);
        if !about || *region == *told {
            // Somebody else has learned it since this request was signed.
            return about && *told != self.configured;
        }
        tracing::warn!(
            "the bucket is in region {told}, not {region}: requests go there now; set AWS_REGION={told}"
        );
        told.clone_into(&mut region);
        true
    }
}

/// AWS has the region in the host's name: `BUCKET.s3.REGION.amazonaws.com`.
fn move_host(request: &mut HttpRequest, from: &str, to: &str) -> object_store::Result<()> {
    let uri = request.uri();
    let Some(host) = uri.host().filter(|host| host.contains(".amazonaws.com") && !host.contains(".vpce."))
    else {
        return Ok(());
    };
    let moved = host.replacen(&format!("s3.{from}."), &format!("s3.{to}."), 1);
    let wrong = |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic {
        store: "S3",
        source,
    };
    let mut parts = uri.clone().into_parts();
    parts.authority = Some(moved.parse().map_err(|error| wrong(Box::new(error)))?);
    *request.uri_mut() = http::Uri::from_parts(parts).map_err(|error| wrong(Box::new(error)))?;
    Ok(())
}

/// Over the body, piece by piece: the library's own takes a body of several pieces for an empty one.
fn digest(body: &HttpRequestBody) -> ring::digest::Digest {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut body = body.clone();
    // All of it is in memory, so no piece is ever waited for.
    while let Some(Some(Ok(frame))) = body.frame().now_or_never() {
        if let Some(data) = frame.data_ref() {
            context.update(data);
        }
    }
    context.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use object_store::PutPayload;

    #[test]
    fn every_piece_of_a_body_is_signed() {
        let pieces: PutPayload =
            [Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"c")].into_iter().collect();
        let whole = ring::digest::digest(&ring::digest::SHA256, b"abc");
        assert_eq!(digest(&pieces.into()).as_ref(), whole.as_ref());
        assert_eq!(digest(&Bytes::from_static(b"abc").into()).as_ref(), whole.as_ref());
        let nothing = ring::digest::digest(&ring::digest::SHA256, b"");
        assert_eq!(digest(&HttpRequestBody::empty()).as_ref(), nothing.as_ref());
    }

    #[track_caller]
    fn moves(from: &str, to: &str) {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = from.parse().expect("a uri");
        move_host(&mut request, "us-east-1", "eu-west-1").expect("moves");
        assert_eq!(request.uri().to_string(), to);
    }

    #[test]
    fn only_the_hosts_of_aws_have_the_region_in_their_name() {
        moves(
            "https://b.s3.us-east-1.amazonaws.com/k?list-type=2",
            "https://b.s3.eu-west-1.amazonaws.com/k?list-type=2",
        );
        moves("https://s3.us-east-1.amazonaws.com/b.c/k", "https://s3.eu-west-1.amazonaws.com/b.c/k");
        moves("http://minio.us-east-1.svc:9000/b/k", "http://minio.us-east-1.svc:9000/b/k");
    }
}
