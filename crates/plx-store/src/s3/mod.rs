//! An S3 client for a connection: region, endpoint, addressing, credentials.

mod container;
mod profile;
#[cfg(test)]
mod reference;
mod signer;
mod sources;
mod sts;

pub(crate) use sources::no_retries;

use crate::about::About;
use crate::client::{Ready, Wire};
use crate::identity::{Credentials, Fixed, Identity};
use crate::location::Location;
use crate::open::Client;
use crate::setting::Setting;
use crate::signing::Signing;
use crate::{Requests, StoreError};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use plx_contract::credential::Found;
use profile::{Profile, Profiles};
use signer::S3Signer;
use sources::Sources;
use std::sync::{Arc, RwLock};
use url::Url;

const DEFAULT_REGION: &str = "us-east-1";

/// What is settled before any credential is looked for.
#[derive(Clone)]
struct Settings {
    region: String,
    region_from: String,
    endpoint: Option<Url>,
    endpoint_from: Option<String>,
    use_ssl: bool,
    virtual_host: Option<bool>,
    profile_name: String,
    profile_is_named: bool,
    profiles: Profiles,
    /// Whether the machine's own identity may be asked for.
    instance_metadata: bool,
}

pub(crate) fn client(setting: &Setting, location: &Location) -> Result<Client<AmazonS3>, StoreError> {
    let settings = Settings::of(setting)?;
    let mut network = setting.network()?;
    // The AWS tools' own name for the same thing, by the connection's lookup; it is added here, not put in place.
    if let Some(found) = setting.find("AWS_CA_BUNDLE")? {
        let path = found.expose();
        if !network.ca.iter().any(|bundle| bundle.path.as_os_str() == path) {
            network.ca.push(plx_contract::network::ca_bundle("AWS_CA_BUNDLE", path, setting.files())?);
        }
    }
    let verify = setting.flag("AWS_VERIFY_SSL")?.unwrap_or(true);
    if !verify {
        tracing::warn!(
            "connection `{}`: AWS_VERIFY_SSL is false, certificates are not checked",
            setting.name()
        );
    }
    let wire = Wire { connection: setting.name().to_owned(), network, verify };
    let (address, virtual_host) = settings.address(&location.bucket);

    // Session keys come back from there: AWS_VERIFY_SSL is about the store.
    let checked = Wire { verify: true, ..wire.clone() };
    let sources = Sources { setting: setting.clone(), wire: checked, settings: settings.clone() };
    let (identity, source) = Identity::new(move || sources.resolve())?;
    let identity = Arc::new(identity);
    let credentials = Arc::clone(&identity) as Arc<dyn Credentials>;
    let region = Arc::new(RwLock::new(settings.region.clone()));
    let requests = Arc::<Requests>::default();
    let signing = Arc::new(Signing {
        client: wire.store(&address)?,
        signer: S3Signer { identity, configured: settings.region.clone(), region: Arc::clone(&region) },
        requests: Arc::clone(&requests),
    });
    let mut bucket = address.clone();
    if !virtual_host && let Ok(mut segments) = bucket.path_segments_mut() {
        segments.pop_if_empty().push(&location.bucket);
    }
    let empty_uploads = Some(crate::uploads::empty_uploads(Arc::clone(&signing) as _, &bucket));
    let nobody = AwsCredential { key_id: String::new(), secret_key: String::new(), token: None };
    let store = AmazonS3Builder::new()
        .with_bucket_name(&location.bucket)
        .with_region(&settings.region)
        .with_endpoint(address.as_str().trim_end_matches('/'))
        .with_virtual_hosted_style_request(virtual_host)
        .with_allow_http(true)
        // `Signing` does it.
        .with_credentials(Arc::new(Fixed(Arc::new(nobody))))
        .with_skip_signature(true)
        .with_http_connector(Ready(signing))
        // DELETE of each key: every server knows it, and a refusal has a status of its own.
        .with_disable_bulk_delete(true)
        .with_retry(no_retries())
        .build()
        .map_err(|source| StoreError::Client {
            connection: setting.name().to_owned(),
            source: Box::new(source),
        })?;
    let about = About {
        proxy: wire.proxy_of(&address),
        endpoint: address.as_str().trim_end_matches('/').to_owned(),
        endpoint_from: settings.endpoint_from,
        addressing: Some(if virtual_host { "virtual host" } else { "path" }),
        region: Some((settings.region, settings.region_from)),
        region_now: Some(region),
        credential: source.chosen,
        passed_over: source.passed_over,
        verify,
        ca: wire.network.ca.iter().map(|bundle| bundle.path.clone()).collect(),
    };
    Ok(Client { store, empty_uploads, requests, about, credentials })
}

impl Settings {
    fn of(setting: &Setting) -> Result<Self, StoreError> {
        let profiles = Profiles::of(setting)?;
        let named = setting.find_first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])?;
        let profile_name = named.as_ref().map_or("default", Found::expose).to_owned();
        let profile = profiles.get(&profile_name)?.unwrap_or_default();
        let said = |key: &str| Some((profile.get(key)?.to_owned(), format!("profile `{profile_name}`")));
        let found = |keys: &[&str]| -> Result<Option<(String, String)>, StoreError> {
            Ok(setting.find_first(keys)?.map(|f| (f.expose().trim().to_owned(), f.source.to_string())))
        };

        // The reference reads AWS_REGION alone; the other is what every other AWS tool reads.
        let (region, region_from) = found(&["AWS_REGION", "AWS_DEFAULT_REGION"])?
            .or_else(|| said("region"))
            .unwrap_or_else(|| (DEFAULT_REGION.to_owned(), "the default".to_owned()));
        let use_ssl = setting.flag("AWS_USE_SSL")?.unwrap_or(true);
        let endpoint = found(&["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])?.or_else(|| said("endpoint_url"));
        let (endpoint, endpoint_from) = match endpoint {
            Some((raw, from)) => match endpoint_url(&raw, use_ssl) {
                Some(url) => (Some(url), Some(from)),
                None => {
                    return Err(StoreError::Endpoint {
                        connection: setting.name().to_owned(),
                        endpoint: without_userinfo(&raw),
                        key: "AWS_ENDPOINT_URL",
                    });
                }
            },
            None => (None, None),
        };
        let is_aws =
            endpoint.as_ref().and_then(Url::host_str).is_none_or(|host| host.contains(".amazonaws.com"));
        let metadata = setting.find("AWS_EC2_METADATA_SERVICE_ENDPOINT")?.is_some();
        let disabled = setting.flag("AWS_EC2_METADATA_DISABLED")?.unwrap_or(false);
        let virtual_host = setting.flag("AWS_VIRTUAL_HOSTED_STYLE_REQUEST")?;
        Ok(Self {
            region,
            region_from,
            endpoint,
            endpoint_from,
            use_ssl,
            virtual_host: virtual_host.or_else(|| addressing(&profile)),
            profile_is_named: named.is_some(),
            profile_name,
            profiles,
            instance_metadata: !disabled && (is_aws || metadata),
        })
    }

    /// Where the bucket is, and whether its name is a part of the host's.
    fn address(&self, bucket: &str) -> (Url, bool) {
        let own = self.endpoint.clone();
        let scheme = if self.use_ssl { "https" } else { "http" };
        let region = &self.region;
        let mut url = own.clone().unwrap_or_else(|| {
            Url::parse(&format!("{scheme}://s3.{region}.{}", domain(region)))
                .unwrap_or_else(|_| fallback(scheme))
        });
        // Servers behind an endpoint of their own are asked by path unless told otherwise; a name that is no host's
        // name cannot be a part of one, and with a dot in it it breaks AWS's certificates.
        let fits = bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let wanted = self.virtual_host.unwrap_or(own.is_none() && fits);
        let host = url.host_str().unwrap_or_default().to_owned();
        if !wanted || host.starts_with(&format!("{bucket}.")) {
            return (url, wanted);
        }
        // An address of numbers takes no name in front of it.
        let moved = url.set_host(Some(&format!("{bucket}.{host}"))).is_ok();
        (url, moved)
    }
}

fn addressing(profile: &Profile) -> Option<bool> {
    match profile.get("addressing_style")? {
        "virtual" => Some(true),
        "path" => Some(false),
        _ => None,
    }
}

fn fallback(scheme: &str) -> Url {
    let text = format!("{scheme}://s3.{DEFAULT_REGION}.amazonaws.com");
    Url::parse(&text).expect("a constant is a URL")
}

/// The cloud's own domain in a region.
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// An endpoint as it may be written: with or without a scheme, never with a user.
pub(crate) fn endpoint_url(raw: &str, use_ssl: bool) -> Option<Url> {
    let with_scheme = if raw.contains("://") {
        raw.to_owned()
    } else {
        format!("{}://{raw}", if use_ssl { "https" } else { "http" })
    };
    let url = Url::parse(&with_scheme).ok()?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    fits.then_some(url)
}

/// An endpoint with a user in it holds a password as like as not, and one with a query a signature.
pub(crate) fn without_userinfo(raw: &str) -> String {
    let raw = raw.split(['?', '#']).next().unwrap_or_default();
    raw.rsplit_once('@').map_or_else(|| raw.to_owned(), |(_, host)| format!("…@{host}"))
}
