//! Credentials that an agent on the node hands to containers: EKS pod identity and ECS.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>. The library's own knows a full
//! URI only with a token file.

use crate::StoreError;
use crate::faults::{fault_of, is_refusal};
use crate::setting::Setting;
use async_trait::async_trait;
use http::{HeaderValue, header};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use object_store::client::{HttpRequest, HttpRequestBody, HttpService};
use plx_contract::credential::CredentialError;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Host, Url};

/// Renewed when less of them is left than that, or than a quarter of what was left when they came: an agent hands out the
/// same ones until they end.
const EARLY: Duration = Duration::from_secs(300);
const ECS: &str = "http://169.254.170.2";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

/// Where the agent is, and what it wants to see.
#[derive(Clone)]
pub(super) struct Container {
    url: Url,
    token: Token,
    setting: Setting,
}

#[derive(Clone)]
enum Token {
    None,
    /// Read for each request: the kubelet rotates it.
    File(PathBuf),
    Text(String),
}

impl Container {
    pub fn url(&self) -> &Url {
        &self.url
    }

    pub fn host(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

/// The agent that the environment names.
pub(super) fn find(setting: &Setting) -> Result<Option<Container>, StoreError> {
    let url = if let Some(path) = setting.text("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")? {
        Url::parse(ECS).and_then(|base| base.join(&path))
    } else if let Some(full) = setting.text(FULL)? {
        Url::parse(full.trim())
    } else {
        return Ok(None);
    };
    let wrong = |why: &str, next| setting.malformed(FULL.to_owned(), why, next);
    let url = url.map_err(|_| wrong("is no URL", "let the platform set it"))?;
    if !is_local(&url) {
        let next = "only https, loopback and the agents' own addresses may be asked for credentials";
        return Err(wrong("leads to another machine without TLS", next).into());
    }
    let token = match setting.text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")? {
        Some(path) => Token::File(PathBuf::from(path)),
        None => match setting.text("AWS_CONTAINER_AUTHORIZATION_TOKEN")? {
            Some(text) => Token::Text(text),
            None => Token::None,
        },
    };
    Ok(Some(Container { url, token, setting: setting.clone() }))
}

/// As in the AWS tools: a variable alone must not send the token to anybody.
fn is_local(url: &Url) -> bool {
    let agent = |address: &str| matches!(address, "169.254.170.2" | "169.254.170.23" | "fd00:ec2::23");
    match url.host() {
        _ if url.scheme() == "https" => true,
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback() || agent(&address.to_string()),
        Some(Host::Ipv6(address)) => address.is_loopback() || agent(&address.to_string()),
        None => false,
    }
}

pub(super) struct ContainerCredentials {
    agent: Container,
    client: reqwest::Client,
    given: Mutex<Option<Held>>,
}

struct Held {
    credential: Arc<AwsCredential>,
    came: Instant,
    left: Duration,
}

impl ContainerCredentials {
    pub fn new(agent: Container, client: reqwest::Client) -> Self {
        Self { agent, client, given: Mutex::default() }
    }
}

impl fmt::Debug for ContainerCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContainerCredentials({})", self.agent.host())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: Option<String>,
}

#[async_trait]
impl CredentialProvider for ContainerCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut given = self.given.lock().await;
        if let Some(held) = given.as_ref() {
            let left = held.left.saturating_sub(held.came.elapsed());
            if left > EARLY.min(held.left / 4) {
                return Ok(Arc::clone(&held.credential));
            }
        }
        let held = self
            .ask()
            .await
            .map_err(|source| object_store::Error::Generic { store: "container credentials", source })?;
        let credential = Arc::clone(&held.credential);
        *given = Some(held);
        Ok(credential)
    }
}

type Boxed = Box<dyn std::error::Error + Send + Sync>;

impl ContainerCredentials {
    async fn ask(&self) -> Result<Held, Boxed> {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = self.agent.url.as_str().parse()?;
        let token = match &self.agent.token {
            Token::None => None,
            Token::Text(text) => Some(text.clone()),
            Token::File(path) => {
                let what = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
                Some(
                    self.agent
                        .setting
                        .file(what, path)
                        .map_err(|error: CredentialError| Box::new(error) as Boxed)?,
                )
            }
        };
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token.trim())?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let response = self.client.call(request).await?;
        if is_refusal(response.status()) {
            return Err(Box::new(fault_of(response).await));
        }
        let given: Given = serde_json::from_slice(&response.into_body().bytes().await?)?;
        let left = match given.expiration {
            Some(text) => {
                let ends = chrono::DateTime::parse_from_rfc3339(&text)?;
                (ends.with_timezone(&chrono::Utc) - chrono::Utc::now()).to_std().unwrap_or_default()
            }
            // The AWS tools take credentials without an end for lasting ones; an hour is long enough to ask again.
            None => Duration::from_secs(3600),
        };
        let credential = AwsCredential {
            key_id: given.access_key_id,
            secret_key: given.secret_access_key,
            token: Some(given.token),
        };
        Ok(Held { credential: Arc::new(credential), came: Instant::now(), left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_to_nobody_else() {
        for (url, want) in [
            ("http://169.254.170.23/v1/credentials", true),
            ("http://[fd00:ec2::23]/v1/credentials", true),
            ("http://127.0.0.1:1/x", true),
            ("http://localhost/x", true),
            ("https://anywhere/x", true),
            ("http://anywhere/x", false),
            ("http://169.254.169.254/x", false),
        ] {
            assert_eq!(is_local(&Url::parse(url).expect("a url")), want, "{url}");
        }
    }
}
