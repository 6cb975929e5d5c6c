//! A Google Cloud Storage client for a connection.
//!
//! Credentials: the key file that `GC_KEY_PATH`, `GOOGLE_KEY_PATH` or `GOOGLE_APPLICATION_CREDENTIALS` names; the key
//! itself in `GC_KEYFILE_DICT` or `GOOGLE_KEYFILE_DICT`; `CONTEXT_ROOT/.gc/gc-secret.json`; what `gcloud` left in the
//! home folder; the metadata server. Tokens are always for the scope `cloud-platform`; what they may do is said by the
//! account's roles.

use crate::about::About;
use crate::client::{Ready, Wire};
use crate::identity::{Credentials, Fixed, Identity, Resolved, Source};
use crate::location::Location;
use crate::open::Client;
use crate::s3::no_retries;
use crate::setting::Setting;
use crate::signing::{Asking, SignError, Signer, Signing};
use crate::{Requests, StoreError};
use async_trait::async_trait;
use http::{HeaderValue, header};
use object_store::client::HttpRequest;
use object_store::gcp::{GcpCredential, GoogleCloudStorage, GoogleCloudStorageBuilder};
use plx_contract::Layout;
use plx_contract::fault::HttpFault;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

const PATHS: &[&str] = &["GC_KEY_PATH", "GOOGLE_KEY_PATH", "GOOGLE_APPLICATION_CREDENTIALS"];
const DICTS: &[&str] = &["GC_KEYFILE_DICT", "GOOGLE_KEYFILE_DICT"];
/// What `gcloud auth application-default login` writes.
const GCLOUD: &str = ".config/gcloud/application_default_credentials.json";
const DEFAULT_URL: &str = "https://storage.googleapis.com";

pub(crate) fn client(
    setting: &Setting,
    location: &Location,
) -> Result<Client<GoogleCloudStorage>, StoreError> {
    let wire = Wire { connection: setting.name().to_owned(), network: setting.network()?, verify: true };
    let found = Sources { setting: setting.clone(), wire: wire.clone() };
    let base = found.key()?.and_then(|key| key.base_url());
    let address = match &base {
        Some(raw) => crate::s3::endpoint_url(raw, true).ok_or_else(|| {
            setting.malformed("gcs_base_url of the key".to_owned(), "is no plain URL", "correct the key file")
        })?,
        None => Url::parse(DEFAULT_URL).expect("a constant is a URL"),
    };
    let (identity, source) = Identity::new(move || found.resolve())?;
    let identity = Arc::new(identity);
    let credentials = Arc::clone(&identity) as Arc<dyn Credentials>;
    let requests = Arc::<Requests>::default();
    let signing = Arc::new(Signing {
        client: wire.store(&address)?,
        signer: Bearer { identity },
        requests: Arc::clone(&requests),
    });
    let mut bucket = address.clone();
    if let Ok(mut segments) = bucket.path_segments_mut() {
        segments.pop_if_empty().push(&location.bucket);
    }
    let empty_uploads = Some(crate::uploads::empty_uploads(Arc::clone(&signing) as _, &bucket));
    let store = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&location.bucket)
        .with_base_url(address.as_str().trim_end_matches('/'))
        // `Signing` puts the real one in its place: the library asks for one even when it is told not to sign.
        .with_credentials(Arc::new(Fixed(Arc::new(GcpCredential { bearer: String::new() }))))
        .with_skip_signature(true)
        .with_http_connector(Ready(signing))
        .with_retry(no_retries())
        .build()
        .map_err(|source| StoreError::Client {
            connection: setting.name().to_owned(),
            source: Box::new(source),
        })?;
    let about = About {
        proxy: wire.proxy_of(&address),
        endpoint: address.as_str().trim_end_matches('/').to_owned(),
        endpoint_from: base.map(|_| "gcs_base_url of the key".to_owned()),
        addressing: None,
        region: None,
        region_now: None,
        credential: source.chosen,
        passed_over: source.passed_over,
        verify: true,
        ca: wire.network.ca.iter().map(|bundle| bundle.path.clone()).collect(),
    };
    Ok(Client { store, empty_uploads, requests, about, credentials })
}

#[derive(Debug)]
struct Bearer {
    identity: Arc<Identity<GcpCredential>>,
}

#[async_trait]
impl Signer for Bearer {
    async fn sign(&self, request: &mut HttpRequest) -> Result<u64, SignError> {
        let held = self.identity.get().await.map_err(SignError::Identity)?;
        let headers = request.headers_mut();
        headers.remove(header::AUTHORIZATION);
        // A key that says `disable_oauth` gives none: a server that checks nothing.
        if !held.credential.bearer.is_empty() {
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", held.credential.bearer)).map_err(|error| {
                    SignError::Signer(object_store::Error::Generic { store: "GCS", source: Box::new(error) })
                })?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(held.generation)
    }

    async fn renew(&self, generation: u64) -> bool {
        self.identity.renew(generation).await
    }

    fn learn(&self, _: &HttpFault) -> bool {
        false
    }
}

/// A key that was found.
struct Key {
    json: Value,
    /// The file it came from, which the library reads again for a key that is no service account's.
    path: Option<PathBuf>,
    /// For people.
    from: String,
}

impl Key {
    fn base_url(&self) -> Option<String> {
        Some(self.json.get("gcs_base_url")?.as_str()?.to_owned())
    }
}

#[derive(Clone)]
struct Sources {
    setting: Setting,
    wire: Wire,
}

impl Sources {
    fn resolve(&self) -> Result<Resolved<GcpCredential>, StoreError> {
        let builder =
            GoogleCloudStorageBuilder::new().with_bucket_name("credentials-only").with_retry(no_retries());
        let Some(key) = self.key()? else {
            return self.metadata(builder);
        };
        let kind = key.json.get("type").and_then(Value::as_str).unwrap_or("service_account").to_owned();
        let wrong = |why: String, next| self.setting.malformed(key.from.clone(), why, next);
        let (builder, asks) = match (kind.as_str(), &key.path) {
            ("service_account", _) => {
                if let Some(missing) = ["private_key", "client_email", "private_key_id"]
                    .iter()
                    .find(|field| key.json.get(**field).is_none())
                {
                    return Err(wrong(
                        format!("is a service account's key without {missing}"),
                        "download the key again, as JSON",
                    )
                    .into());
                }
                (builder.with_service_account_key(with_line_ends(&key.json).to_string()), false)
            }
            ("authorized_user", Some(path)) => {
                (builder.with_application_credentials(path.display().to_string()), true)
            }
            _ => {
                return Err(wrong(
                    format!("is a key of type {kind}, which cannot be used here"),
                    "use a service account's key, or the node's own identity by leaving the key away",
                )
                .into());
            }
        };
        let builder = if asks {
            let url = Url::parse("https://accounts.google.com").expect("a constant is a URL");
            let asking = Asking { client: self.wire.identity(&url)?, google: None };
            builder.with_http_connector(Ready(Arc::new(asking)))
        } else {
            builder
        };
        let store = builder.build().map_err(|error| {
            // The library repeats what it read; only the kind of mistake is passed on.
            let why = if kind == "service_account" {
                "holds no RSA private key in PEM form".to_owned()
            } else {
                crate::identity::root(&error)
            };
            wrong(why, "download the key again, as JSON")
        })?;
        let passed_over = match key.path {
            Some(_) => Vec::new(),
            None => vec![format!("no {}", PATHS.join(", "))],
        };
        let chosen =
            match key.json.get("client_email").and_then(Value::as_str).filter(|email| !email.is_empty()) {
                Some(email) => format!("{}, account {email}", key.from),
                None => key.from,
            };
        Ok(Resolved {
            provider: Arc::clone(store.credentials()),
            source: Source { chosen, passed_over, last_resort: false },
        })
    }

    fn metadata(&self, builder: GoogleCloudStorageBuilder) -> Result<Resolved<GcpCredential>, StoreError> {
        let store = builder.with_http_connector(self.asking()?).build().map_err(|source| {
            StoreError::Client { connection: self.setting.name().to_owned(), source: Box::new(source) }
        })?;
        let host = self.metadata_host().unwrap_or_else(|| "metadata.google.internal".to_owned());
        let host = crate::s3::without_userinfo(&host);
        Ok(Resolved {
            provider: Arc::clone(store.credentials()),
            source: Source {
                chosen: format!("metadata server at {host}"),
                passed_over: vec![
                    format!("no {}", [PATHS, DICTS].concat().join(", ")),
                    format!("no {}", self.context_file().display()),
                    format!("no ~/{GCLOUD}"),
                ],
                last_resort: true,
            },
        })
    }

    fn metadata_host(&self) -> Option<String> {
        ["GCE_METADATA_HOST", "GCE_METADATA_ROOT"]
            .into_iter()
            .find_map(|key| self.setting.env().non_empty(key))
    }

    fn asking(&self) -> Result<Ready, StoreError> {
        let google = match self.metadata_host() {
            Some(host) => Some(host.parse().ok().filter(|_| !host.contains('@')).ok_or_else(|| {
                let next = "set it to HOST or HOST:PORT";
                self.setting.malformed("GCE_METADATA_HOST".to_owned(), "is no host", next)
            })?),
            None => None,
        };
        let url = Url::parse("http://metadata.google.internal").expect("a constant is a URL");
        Ok(Ready(Arc::new(Asking { client: self.wire.agent(&url)?, google })))
    }

    fn context_file(&self) -> PathBuf {
        Layout::from_env(self.setting.env()).root().join(".gc/gc-secret.json")
    }

    /// The key, wherever it stands; none when the node's own identity is to be used.
    fn key(&self) -> Result<Option<Key>, StoreError> {
        if let Some(found) = self.setting.find_first(PATHS)? {
            let path = PathBuf::from(found.expose());
            // Only what is a path is shown from here on.
            let text = self.setting.file(&format!("key file named by {}", found.source), &path)?;
            let what = format!("key file {} ({})", path.display(), found.source);
            return Ok(Some(self.parsed(&text, Some(path), what)?));
        }
        if let Some(found) = self.setting.find_first(DICTS)? {
            return Ok(Some(self.parsed(found.expose(), None, format!("key from {}", found.source))?));
        }
        let gcloud = self.setting.home(GCLOUD);
        for path in [Some(self.context_file()), gcloud].into_iter().flatten() {
            if let Some(text) = self.optional(&path)? {
                let what = format!("key file {}", path.display());
                return Ok(Some(self.parsed(&text, Some(path), what)?));
            }
        }
        Ok(None)
    }

    fn optional(&self, path: &Path) -> Result<Option<String>, StoreError> {
        match self.setting.files().read(path) {
            Ok(text) => Ok(text),
            Err(_) => Ok(Some(self.setting.file("key file", path)?)),
        }
    }

    fn parsed(&self, text: &str, path: Option<PathBuf>, from: String) -> Result<Key, StoreError> {
        match serde_json::from_str(text) {
            Ok(json @ Value::Object(_)) => Ok(Key { json, path, from }),
            // serde_json's own words may repeat a part of the key.
            _ => Err(self
                .setting
                .malformed(from, "is no JSON object", "download the key again, as JSON")
                .into()),
        }
    }
}

/// Where a key went through a shell or a template, its line ends are written out.
fn with_line_ends(json: &Value) -> Value {
    let mut json = json.clone();
    if let Some(Value::String(key)) = json.get_mut("private_key") {
        *key = key.replace("\\n", "\n");
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_that_were_written_out_are_line_ends_again() {
        let json = serde_json::json!({"private_key": "-----BEGIN\\nAB\\n", "other": "a\\nb"});
        let fixed = with_line_ends(&json);
        assert_eq!(fixed["private_key"], "-----BEGIN\nAB\n");
        assert_eq!(fixed["other"], "a\\nb");
    }
}
