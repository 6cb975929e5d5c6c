//! An S3 client for a connection: options only.

use crate::faults::WatchingConnector;
use crate::location::Location;
use crate::{Requests, StoreError};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::ClientOptions;
use object_store::{BackoffConfig, RetryConfig};
use plx_contract::Env;
use plx_contract::connection::Connection;
use plx_contract::credential::{CredentialError, Files, Found, Lookup};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_REGION: &str = "us-east-1";

pub(crate) fn client(
    connection: &Connection,
    location: &Location,
    env: &impl Env,
    files: &impl Files,
) -> Result<(AmazonS3, Arc<Requests>), StoreError> {
    let lookup = Lookup::new(connection, env, files);
    let keys = static_keys(connection, &lookup)?;
    // The reference reads AWS_REGION alone; AWS_DEFAULT_REGION is what every other AWS tool reads.
    let region = lookup.find_first(&["AWS_REGION", "AWS_DEFAULT_REGION"])?;
    let endpoint = endpoint(connection, &lookup)?;
    let plain = endpoint.as_ref().is_some_and(|url| url.scheme() == "http");
    let connector = WatchingConnector::default();
    let requests = Arc::clone(&connector.requests);

    let mut options = ClientOptions::new()
        .with_user_agent(http::HeaderValue::from_static(concat!("plx-runtime/", env!("CARGO_PKG_VERSION"))))
        .with_connect_timeout(CONNECT_TIMEOUT)
        // The time of a whole request depends on its size: plx-transfer bounds it, by progress.
        .with_timeout_disabled()
        .with_read_timeout_disabled()
        .with_pool_max_idle_per_host(256)
        .with_allow_http(plain);
    if lookup.flag("AWS_VERIFY_SSL")? == Some(false) {
        tracing::warn!(
            "connection `{}`: AWS_VERIFY_SSL is false, certificates are not checked",
            connection.name
        );
        options = options.with_allow_invalid_certificates(true);
    }
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&location.bucket)
        .with_region(region.as_ref().map_or(DEFAULT_REGION, Found::expose))
        .with_access_key_id(keys.id.expose())
        .with_secret_access_key(keys.secret.expose())
        .with_client_options(options)
        .with_http_connector(connector)
        // DELETE of each key: every server knows it, and a refusal has a status of its own.
        .with_disable_bulk_delete(true)
        .with_retry(RetryConfig {
            max_retries: 0,
            retry_timeout: Duration::ZERO,
            backoff: BackoffConfig::default(),
        });
    if let Some(token) = &keys.token {
        builder = builder.with_token(token.expose());
    }
    // Servers behind an endpoint of their own are asked by path; a bucket name with a dot breaks AWS's certificates.
    builder = match &endpoint {
        Some(url) => {
            builder.with_endpoint(url.as_str().trim_end_matches('/')).with_virtual_hosted_style_request(false)
        }
        None => builder.with_virtual_hosted_style_request(!location.bucket.contains('.')),
    };
    tracing::debug!(
        connection = connection.name,
        region = region.as_ref().map_or(DEFAULT_REGION, Found::expose),
        endpoint = endpoint.as_ref().map_or("aws", Url::as_str),
        key = %keys.id.source,
        "s3"
    );
    let store = builder
        .build()
        .map_err(|source| StoreError::Client { connection: connection.name.clone(), source })?;
    Ok((store, requests))
}

struct Keys {
    id: Found,
    secret: Found,
    token: Option<Found>,
}

fn static_keys<E: Env, F: Files>(
    connection: &Connection,
    lookup: &Lookup<'_, E, F>,
) -> Result<Keys, StoreError> {
    const ID: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    let partial = |have: &Found, key: &str, missing| CredentialError::Partial {
        connection: connection.name.clone(),
        have: format!("{key} ({})", have.source),
        missing,
    };
    let (id, secret) = match (lookup.find(ID)?, lookup.find(SECRET)?) {
        (Some(id), Some(secret)) => (id, secret),
        (Some(id), None) => return Err(partial(&id, ID, SECRET).into()),
        (None, Some(secret)) => return Err(partial(&secret, SECRET, ID).into()),
        (None, None) => {
            return Err(CredentialError::None {
                connection: connection.name.clone(),
                looked: format!(
                    "{ID} and {SECRET} are neither in the secret's mount, the config map's, the schema, the \
                     connection's env nor the environment"
                ),
            }
            .into());
        }
    };
    // Polyaxon's name for the session token first, then AWS's.
    let token = lookup.find_first(&["AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"])?;
    Ok(Keys { id, secret, token })
}

fn endpoint<E: Env, F: Files>(
    connection: &Connection,
    lookup: &Lookup<'_, E, F>,
) -> Result<Option<Url>, StoreError> {
    let Some(found) = lookup.find_first(&["AWS_ENDPOINT_URL"])? else { return Ok(None) };
    let raw = found.expose().trim();
    let with_scheme = if raw.contains("://") {
        raw.to_owned()
    } else {
        let scheme = if lookup.flag("AWS_USE_SSL")?.unwrap_or(true) { "https" } else { "http" };
        format!("{scheme}://{raw}")
    };
    let wrong = |endpoint: String| StoreError::Endpoint { connection: connection.name.clone(), endpoint };
    let Ok(url) = Url::parse(&with_scheme) else { return Err(wrong(without_userinfo(raw))) };
    if !matches!(url.scheme(), "http" | "https")
        || !url.has_host()
        || !url.username().is_empty()
        || url.password().is_some()
    {
        return Err(wrong(without_userinfo(raw)));
    }
    Ok(Some(url))
}

/// An endpoint with a user in it holds a password as like as not.
pub(crate) fn without_userinfo(raw: &str) -> String {
    raw.rsplit_once('@').map_or_else(|| raw.to_owned(), |(_, host)| format!("…@{host}"))
}
