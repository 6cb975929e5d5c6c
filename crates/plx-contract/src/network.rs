//! How this container reaches the network: whom it trusts and which way it goes. One setting for everything that
//! speaks HTTP: stores, STS, the tracking API and git.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `POLYAXON_SSL_CA_CERT` | file of CA certificates (PEM) that are trusted beside the system's |
//! | `https_proxy`, `HTTPS_PROXY`, `http_proxy`, `HTTP_PROXY`, `all_proxy`, `ALL_PROXY` | proxy for such URLs |
//! | `no_proxy`, `NO_PROXY` | hosts, `.domains`, addresses and networks that are reached directly; `*` for all |
//!
//! Lower case wins, as in curl and Python. Metadata addresses are never asked through a proxy, whatever is set: they
//! mean this machine, and a proxy would answer with the identity of its own.

use crate::credential::Files;
use crate::{Class, Classified, Env, env};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Hosts that mean this machine: the metadata services of AWS, Google and Azure, and the credential agents of ECS and
/// EKS.
pub const METADATA_HOSTS: &[&str] = &[
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "metadata.google.internal",
    "metadata",
];

/// Certificates to trust beside the system's.
#[derive(Clone, PartialEq, Eq)]
pub struct CaBundle {
    /// The variable that named it.
    pub variable: &'static str,
    /// The file they came from.
    pub path: PathBuf,
    /// PEM text.
    pub pem: String,
}

impl fmt::Debug for CaBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaBundle({})", self.path.display())
    }
}

/// A proxy. Its URL may hold a password, so it is never shown.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// The variable that named it.
    pub variable: &'static str,
    url: SecretString,
}

impl Proxy {
    /// The URL in clear.
    pub fn url(&self) -> &str {
        self.url.expose_secret()
    }

    /// Host and port, without user and password.
    pub fn host(&self) -> &str {
        let rest = self.url().split_once("://").map_or(self.url(), |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    }
}

/// How this container reaches the network.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Trusted beside the system's.
    pub ca: Vec<CaBundle>,
    /// The proxy of `http://` URLs.
    pub http_proxy: Option<Proxy>,
    /// The proxy of `https://` URLs.
    pub https_proxy: Option<Proxy>,
    /// What is reached directly, as it was written.
    pub no_proxy: Option<String>,
}

impl Network {
    /// Reads the variables, and the certificates they name.
    ///
    /// # Errors
    /// When the certificates cannot be read or are none.
    pub fn read(env: &(impl Env + ?Sized), files: &(impl Files + ?Sized)) -> Result<Self, NetworkError> {
        let mut ca = Vec::new();
        if let Some(path) = env.non_empty(env::SSL_CA_CERT) {
            ca.push(ca_bundle(env::SSL_CA_CERT, &path, files)?);
        }
        let proxy = |names: [&'static str; 4]| {
            names.into_iter().find_map(|variable| {
                let url = env.non_empty(variable)?;
                Some(Proxy { variable, url: SecretString::from(url.trim()) })
            })
        };
        Ok(Self {
            ca,
            http_proxy: proxy(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            https_proxy: proxy(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            no_proxy: ["no_proxy", "NO_PROXY"].into_iter().find_map(|name| env.non_empty(name)),
        })
    }

    /// What is reached directly: what the user wrote, and what means this machine.
    pub fn direct(&self) -> String {
        let mut all: Vec<&str> = self.no_proxy.as_deref().into_iter().collect();
        all.extend(METADATA_HOSTS);
        all.join(",")
    }

    /// Whether a host and port are reached directly by the two forms of `NO_PROXY` that HTTP clients disagree about: `*`,
    /// and `HOST:PORT` or `.DOMAIN:PORT`. Hosts, domains, addresses and networks alone are the client's own business.
    pub fn is_direct(&self, host: &str, port: u16) -> bool {
        let list = self.no_proxy.as_deref().unwrap_or_default();
        list.split(',').map(str::trim).any(|entry| {
            if entry == "*" {
                return true;
            }
            let Some((name, number)) = entry.rsplit_once(':') else { return false };
            let name = name.trim_matches(['[', ']']).to_ascii_lowercase();
            let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
            let named = match name.strip_prefix('.') {
                Some(domain) => host == domain || host.ends_with(&name),
                None => host == name || host.ends_with(&format!(".{name}")),
            };
            named && number.parse() == Ok(port)
        })
    }

    /// The proxy that a URL of this scheme would go through, `NO_PROXY` apart.
    pub fn proxy_for(&self, scheme: &str) -> Option<&Proxy> {
        if scheme == "https" { self.https_proxy.as_ref() } else { self.http_proxy.as_ref() }
    }
}

/// Reads a file of certificates that a variable names.
///
/// # Errors
/// When it cannot be read or holds no certificate.
pub fn ca_bundle(
    variable: &'static str,
    path: &str,
    files: &(impl Files + ?Sized),
) -> Result<CaBundle, NetworkError> {
    let wrong = |why: String| NetworkError::Ca { variable, path: PathBuf::from(path), why };
    let pem = match files.read(Path::new(path)) {
        Ok(Some(pem)) => pem,
        Ok(None) => return Err(wrong("there is no such file".to_owned())),
        Err(error) => {
            return Err(NetworkError::Unreadable { variable, path: path.into(), source: error.into() });
        }
    };
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(wrong("it holds no certificate in PEM form".to_owned()));
    }
    Ok(CaBundle { variable, path: PathBuf::from(path), pem })
}

/// A network setting that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NetworkError {
    /// A file of certificates that holds none.
    #[error("{variable}: {}: {why}", path.display())]
    Ca {
        /// The variable.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file of certificates that cannot be read.
    #[error("{variable}: read {}", path.display())]
    Unreadable {
        /// The variable.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// A proxy that is no URL. It is not repeated: it may hold a password.
    #[error("{variable} is no proxy URL")]
    Proxy {
        /// The variable.
        variable: &'static str,
    },
}

impl Classified for NetworkError {
    fn class(&self) -> Class {
        Class::Config
    }
    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Ca { variable, .. } | Self::Unreadable { variable, .. } => {
                format!("mount the CA's certificate in this container and name that file in {variable}")
            }
            Self::Proxy { variable } => format!("set {variable} to something like http://proxy:3128"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    struct Disk(BTreeMap<PathBuf, String>);
    impl Files for Disk {
        fn read(&self, path: &Path) -> std::io::Result<Option<String>> {
            Ok(self.0.get(path).cloned())
        }
    }

    fn read(env: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Network, NetworkError> {
        let env: BTreeMap<String, String> = env.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Network::read(&env, &Disk(files.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()))
    }

    #[test]
    fn lower_case_wins_and_all_proxy_comes_last() {
        let network = read(
            &[
                ("HTTP_PROXY", "http://upper:1"),
                ("http_proxy", "http://lower:2"),
                ("ALL_PROXY", "http://all:3"),
            ],
            &[],
        )
        .expect("a network");
        let host = |proxy: &Option<Proxy>| proxy.as_ref().map(|proxy| proxy.host().to_owned());
        assert_eq!(host(&network.http_proxy).as_deref(), Some("lower:2"));
        assert_eq!(host(&network.https_proxy).as_deref(), Some("all:3"));
        assert_eq!(network.proxy_for("https").map(|proxy| proxy.variable), Some("ALL_PROXY"));
    }

    #[test]
    fn metadata_is_always_direct() {
        let direct = read(&[("NO_PROXY", "minio,.svc")], &[]).expect("a network").direct();
        assert!(direct.starts_with("minio,.svc,169.254.169.254,"), "{direct}");
        assert!(read(&[], &[]).expect("a network").direct().contains("metadata.google.internal"));
    }

    #[test]
    fn a_star_and_a_port_mean_what_they_say() {
        let direct = |list: &str, host: &str, port| {
            read(&[("NO_PROXY", list)], &[]).expect("a network").is_direct(host, port)
        };
        assert!(direct("a,*", "10.0.0.1", 80));
        assert!(direct("minio:9000", "minio", 9000) && !direct("minio:9000", "minio", 9001));
        assert!(direct(".svc:9000", "Minio.ns.svc", 9000) && !direct(".svc:9000", "osvc", 9000));
        assert!(direct("[::1]:9000", "[::1]", 9000) && direct("127.0.0.1:1", "127.0.0.1", 1));
        assert!(!direct("minio,10.0.0.0/8", "minio", 9000), "left to the client");
    }

    #[test]
    fn a_ca_file_is_there_and_holds_certificates() {
        let pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        let files = [("/ca.pem", pem), ("/other", "hunter2")];
        let network = read(&[(env::SSL_CA_CERT, "/ca.pem")], &files).expect("a network");
        assert_eq!(
            network.ca,
            [CaBundle { variable: env::SSL_CA_CERT, path: "/ca.pem".into(), pem: pem.to_owned() }]
        );
        for (path, word) in [("/none", "no such file"), ("/other", "no certificate")] {
            let error = read(&[(env::SSL_CA_CERT, path)], &files).expect_err(path);
            assert!(error.to_string().contains(word) && error.to_string().contains(path), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_proxys_password_is_never_shown() {
        let network = read(&[("https_proxy", "http://user:hunter2@proxy:3128/x")], &[]).expect("a network");
        assert_eq!(network.https_proxy.as_ref().map(Proxy::host), Some("proxy:3128"));
        assert!(!format!("{network:?}").contains("hunter2"));
    }
}
