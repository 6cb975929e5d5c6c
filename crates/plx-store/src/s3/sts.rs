//! A role is assumed: `sts:AssumeRole`, signed by the library's signer, and again before the session ends.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>

use crate::faults::{fault_of, is_refusal};
use async_trait::async_trait;
use futures::StreamExt;
use http::{HeaderValue, Method, header};
use object_store::CredentialProvider;
use object_store::aws::{AwsAuthorizer, AwsCredential, AwsCredentialProvider};
use object_store::client::{HttpRequest, HttpRequestBody, HttpResponse, HttpService};
use plx_contract::fault::HttpFault;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

/// A session is renewed when less of it is left than that, or than a quarter of it.
const EARLY: Duration = Duration::from_secs(300);
/// What every role allows.
const MODEST: u64 = 3600;

/// Which role, and for how long.
#[derive(Debug, Clone)]
pub(super) struct Role {
    pub arn: String,
    pub session_name: String,
    pub external_id: Option<String>,
    /// Seconds. None asks for Polyaxon's twelve hours, and for one when the role does not allow them.
    pub duration: Option<u64>,
}

/// Polyaxon's own wish (`vents`, `AWS_SESSION_DURATION`).
const WISH: u64 = 43_200;

pub(super) struct AssumeRole {
    pub role: Role,
    pub base: AwsCredentialProvider,
    pub client: reqwest::Client,
    pub endpoint: Url,
    pub region: String,
    pub session: Mutex<Option<Session>>,
}

pub(super) struct Session {
    credential: Arc<AwsCredential>,
    began: Instant,
    lasts: Duration,
}

impl fmt::Debug for AssumeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumeRole").field("role", &self.role.arn).finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialProvider for AssumeRole {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut session = self.session.lock().await;
        if let Some(session) = session.as_ref() {
            let left = session.lasts.saturating_sub(session.began.elapsed());
            if left > EARLY.min(session.lasts / 4) {
                return Ok(Arc::clone(&session.credential));
            }
        }
        let answer = match self.ask(self.role.duration.unwrap_or(WISH)).await {
            // The role's own limit is lower, as it is by default.
            Err(Refused::Http(fault))
                if self.role.duration.is_none() && fault.code.as_deref() == Some("ValidationError") =>
            {
                self.ask(MODEST).await
            }
            other => other,
        };
        let new = answer.map_err(|error| object_store::Error::Generic {
            store: "STS",
            source: match error {
                Refused::Http(fault) => Box::new(fault),
                Refused::Other(error) => error,
            },
        })?;
        let credential = Arc::clone(&new.credential);
        *session = Some(new);
        Ok(credential)
    }
}

enum Refused {
    Http(HttpFault),
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Other(Box::new(error))
    }
}

impl AssumeRole {
    async fn ask(&self, seconds: u64) -> Result<Session, Refused> {
        let with = self.base.get_credential().await?;
        let mut request = HttpRequest::new(HttpRequestBody::from(self.form(seconds)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.as_str().parse()?;
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        AwsAuthorizer::new(&with, "sts", &self.region).try_authorize(&mut request, None)?;
        let asked = Instant::now();
        let response = self.client.call(request).await?;
        if is_refusal(response.status()) {
            return Err(Refused::Http(fault_of(response).await));
        }
        let answer: Answer = quick_xml::de::from_str(&text(response).await?)?;
        let given = answer.assume_role_result.credentials;
        let ends = chrono::DateTime::parse_from_rfc3339(&given.expiration)?;
        // By this machine's clock, unless that is off: then by what was asked for.
        let left = (ends.with_timezone(&chrono::Utc) - chrono::Utc::now()).to_std().unwrap_or_default();
        let credential = AwsCredential {
            key_id: given.access_key_id,
            secret_key: given.secret_access_key,
            token: Some(given.session_token),
        };
        let lasts = if left.is_zero() { Duration::from_secs(seconds) } else { left };
        Ok(Session { credential: Arc::new(credential), began: asked, lasts })
    }
}

impl AssumeRole {
    fn form(&self, seconds: u64) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", "AssumeRole")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", &self.role.arn)
            .append_pair("RoleSessionName", &self.role.session_name)
            .append_pair("DurationSeconds", &seconds.to_string());
        if let Some(id) = &self.role.external_id {
            form.append_pair("ExternalId", id);
        }
        form.finish()
    }
}

async fn text(response: HttpResponse) -> Result<String, Refused> {
    let mut all = Vec::new();
    let mut chunks = response.into_body().bytes_stream();
    while let Some(chunk) = chunks.next().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(String::from_utf8(all)?)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    assume_role_result: Assumed,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Assumed {
    credentials: Given,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}
