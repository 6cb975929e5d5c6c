//! Host, token, headers and trust (`polyaxon/_schemas/client.py`, `polyaxon/_managers/{auth,client}.py`).

use crate::layers::{Key, Layers, key};
use crate::{TrackError, keys};
use plx_contract::credential::Files;
use plx_contract::network::Network;
use plx_contract::{Env, Layout, env};
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

const LOCALHOST: &str = "http://localhost:8000";
const TIMEOUT: f64 = 60.0;
/// urllib3's own.
const RETRIES: usize = 3;
const INTERNAL: &str = "InternalToken";

/// Whether there is an API to call.
#[derive(Debug, Clone)]
pub enum Api {
    /// It is switched off, by this variable or option.
    Off(&'static str),
    /// It may be called.
    On(Arc<Settings>),
}

/// What goes into `Authorization`.
#[derive(Clone)]
pub struct Credential {
    kind: String,
    token: SecretString,
}

impl Credential {
    /// A token of a kind: `Token`, `InternalToken`, `Bearer`.
    pub fn new(kind: &str, token: SecretString) -> Self {
        Self { kind: kind.to_owned(), token }
    }

    /// The token in clear.
    pub(crate) fn expose(&self) -> &str {
        self.token.expose_secret()
    }

    pub(crate) fn header(&self) -> Result<HeaderValue, TrackError> {
        let mut value = HeaderValue::from_str(&format!("{} {}", self.kind, self.expose()))
            .map_err(|_| TrackError::Variable { key: keys::AUTH_TOKEN, wanted: "token of one line" })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({} …)", self.kind)
    }
}

/// How the API is called.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `HOST/api/VERSION`.
    pub(crate) base: Url,
    /// Somebody named the host; else it is this machine.
    pub(crate) named: bool,
    /// Who calls.
    pub(crate) credential: Option<Credential>,
    /// Of what kind a token is that a user has.
    pub(crate) user_kind: String,
    /// On every call.
    pub(crate) header: Option<(HeaderName, HeaderValue)>,
    pub(crate) timeout: Duration,
    pub(crate) retries: usize,
    pub(crate) network: Network,
    pub(crate) verify: bool,
    /// Certificate and key of this client, PEM.
    pub(crate) identity: Option<SecretString>,
}

impl Settings {
    /// Reads environment and files. Nothing is called yet.
    ///
    /// # Errors
    /// When one of them cannot be used: a file that is no JSON, a boolean that is none, a host that is no URL.
    pub fn read(env: &impl Env, files: &impl Files) -> Result<Api, TrackError> {
        // Whoever switches it off means it, whatever else is read.
        for name in [env::NO_API, keys::NO_OP, keys::IS_OFFLINE] {
            if env::boolean(env, name)?.unwrap_or(false) {
                return Ok(Api::Off(name));
            }
        }
        if env::boolean(env, keys::NO_CONFIG)?.unwrap_or(false) {
            let network = Network::read(env, files)?;
            return Ok(Api::On(Arc::new(Self { network, ..Self::plain()? })));
        }
        let homes = homes(env);
        let context = Layout::from_env(env).root().join(".configs/.auth");
        let mut client = Layers::new(env);
        let mut auth = Layers::new(env);
        for home in &homes {
            client = client.own_file(&home.join(".client"), files)?;
            auth = auth.own_file(&home.join(".auth"), files)?;
        }
        let client = client.env();
        let auth = auth.env().file(&context, files)?;

        for (name, short) in
            [(env::NO_API, "no_api"), (keys::NO_OP, "no_op"), (keys::IS_OFFLINE, "is_offline")]
        {
            if client.flag(key(name, short))?.unwrap_or(false) {
                return Ok(Api::Off(name));
            }
        }
        Self::on(env, files, &client, &auth).map(|settings| Api::On(Arc::new(settings)))
    }

    fn plain() -> Result<Self, TrackError> {
        Ok(Self {
            base: base(LOCALHOST, "v1")?,
            named: false,
            credential: None,
            user_kind: "Token".to_owned(),
            header: None,
            timeout: Duration::from_secs_f64(TIMEOUT),
            retries: RETRIES,
            network: Network::default(),
            verify: true,
            identity: None,
        })
    }

    fn on(
        env: &impl Env,
        files: &impl Files,
        client: &Layers<'_, impl Env>,
        auth: &Layers<'_, impl Env>,
    ) -> Result<Self, TrackError> {
        let named = client.text(key(keys::HOST, "host"))?;
        let host = named.as_deref().unwrap_or(LOCALHOST);
        let version = client.text(key(keys::API_VERSION, "version"))?.unwrap_or_else(|| "v1".to_owned());
        let kind = client
            .text(key(keys::AUTHENTICATION_TYPE, "authentication_type"))?
            .unwrap_or_else(|| "Token".to_owned());
        let token = auth.text(key(keys::AUTH_TOKEN, "token"))?.map(|token| token.trim().to_owned());
        // The reference leaves this token in the environment and calls without one.
        let internal = (kind == INTERNAL)
            .then(|| env.non_empty(keys::SECRET_INTERNAL_TOKEN))
            .flatten()
            .map(|token| token.trim().to_owned());
        let credential = internal
            .or(token)
            .filter(|token| !token.is_empty())
            .map(|token| Credential::new(&kind, SecretString::from(token)));
        let seconds = client.number(key(keys::TIMEOUT, "timeout"))?.unwrap_or(TIMEOUT);
        let retries = match client.number(key(keys::RETRIES, "retries"))? {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked beside it")]
            Some(retries) if (0.0..=100.0).contains(&retries) => retries as usize,
            Some(_) => {
                return Err(TrackError::Variable { key: keys::RETRIES, wanted: "number from 0 to 100" });
            }
            None => RETRIES,
        };
        let settings = Self {
            base: base(host, &version)?,
            named: named.is_some(),
            user_kind: if kind == INTERNAL { "Token".to_owned() } else { kind },
            credential,
            header: header(client)?,
            timeout: Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|timeout| !timeout.is_zero())
                .ok_or(TrackError::Variable { key: keys::TIMEOUT, wanted: "number of seconds" })?,
            retries,
            network: Network::read(env, files)?,
            verify: client.flag(key(keys::VERIFY_SSL, "verify_ssl"))?.unwrap_or(true),
            identity: identity(client, files)?,
        };
        // Found out now, not in the middle of a run.
        settings.credential.as_ref().map(Credential::header).transpose()?;
        Ok(settings)
    }

    /// Whether a variable or a file names the host. Whoever calls again and again need not try this machine.
    pub fn is_host_named(&self) -> bool {
        self.named
    }

    /// The host, for messages.
    pub fn host(&self) -> String {
        self.base.origin().ascii_serialization()
    }
}

fn header(client: &Layers<'_, impl Env>) -> Result<Option<(HeaderName, HeaderValue)>, TrackError> {
    let name = client.text(key(keys::HEADER, "header"))?;
    let value = client.text(key(keys::HEADER_SERVICE, "header_service"))?;
    let (Some(name), Some(value)) = (name, value) else { return Ok(None) };
    let wrong = |key| move |_| TrackError::Variable { key, wanted: "header" };
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong(keys::HEADER)(()))?;
    let value = HeaderValue::from_str(&value).map_err(|_| wrong(keys::HEADER_SERVICE)(()))?;
    Ok(Some((name, value)))
}

/// This client's certificate and, from the same file or another, its key.
fn identity(client: &Layers<'_, impl Env>, files: &impl Files) -> Result<Option<SecretString>, TrackError> {
    let certificate = pem(client, key(keys::CERT_FILE, "cert_file"), files)?;
    let own_key = pem(client, key(keys::KEY_FILE, "key_file"), files)?;
    Ok(match (certificate, own_key) {
        (Some(certificate), Some(own_key)) => {
            Some(SecretString::from(format!("{}\n{}", certificate.expose_secret(), own_key.expose_secret())))
        }
        (certificate, _) => certificate,
    })
}

fn pem(
    client: &Layers<'_, impl Env>,
    key: Key,
    files: &impl Files,
) -> Result<Option<SecretString>, TrackError> {
    let Some(path) = client.text(key)? else { return Ok(None) };
    let wrong =
        |why: String| TrackError::File { path: PathBuf::from(&path), what: format!("({}) {why}", key.long) };
    match files.read(Path::new(&path)) {
        Ok(Some(pem)) => Ok(Some(SecretString::from(pem))),
        Ok(None) => Err(wrong("is not there".to_owned())),
        Err(error) => Err(wrong(format!("cannot be read: {error}"))),
    }
}

/// `HOST/api/VERSION`, ready to take the rest of a path.
fn base(host: &str, version: &str) -> Result<Url, TrackError> {
    let wanted = "URL such as http://polyaxon-api:80";
    let wrong = || TrackError::Variable { key: keys::HOST, wanted };
    let host = host.trim().trim_end_matches('/');
    let mut url = Url::parse(host).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    // They would be sent to whoever answers, and shown in every message.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TrackError::Variable { key: keys::HOST, wanted: "URL without user and password" });
    }
    url.set_query(None);
    url.set_fragment(None);
    if version.is_empty() || version.contains(['/', '?', '#', '%']) || version.starts_with('.') {
        return Err(TrackError::Variable { key: keys::API_VERSION, wanted: "version such as v1" });
    }
    url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(["api", version]);
    Ok(url)
}

/// The folders `.polyaxon`, the weakest first. The reference takes `/tmp` for a home that cannot be written.
fn homes(env: &impl Env) -> Vec<PathBuf> {
    let own = env.non_empty(keys::POLYAXON_HOME).or_else(|| env.non_empty("HOME"));
    let mut homes = vec![PathBuf::from("/tmp/.polyaxon")];
    homes.extend(own.map(|home| Path::new(&home).join(".polyaxon")));
    homes
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
