//! Certificates that only a test trusts.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate authority of a test's own, as a company runs one.
#[derive(Debug)]
pub struct PrivateCa {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A server's certificate, with its key.
#[derive(Debug)]
pub(crate) struct Leaf {
    chain: String,
    key: KeyPair,
}

impl PrivateCa {
    /// A new one, with a new key.
    ///
    /// # Panics
    /// When the machine has no randomness.
    #[expect(clippy::new_without_default, reason = "it makes keys: nobody should get one by default")]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a new key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "plx test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).expect("an authority signs itself").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// The authority's certificate, to be trusted.
    pub fn pem(&self) -> String {
        self.pem.clone()
    }

    /// Writes [`PrivateCa::pem`] to a file, as `SSL_CERT_FILE` wants it.
    pub fn write_to(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, &self.pem)
    }

    /// For `localhost` and `127.0.0.1`.
    pub(crate) fn leaf(&self) -> Leaf {
        self.sign(params(&["localhost", "127.0.0.1"]))
    }

    /// For the same names, but its time is over.
    pub(crate) fn expired_leaf(&self) -> Leaf {
        let mut params = params(&["localhost", "127.0.0.1"]);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        self.sign(params)
    }

    /// For a host that nobody asked for.
    pub(crate) fn other_leaf(&self) -> Leaf {
        self.sign(params(&["elsewhere.invalid"]))
    }

    fn sign(&self, params: CertificateParams) -> Leaf {
        let key = KeyPair::generate().expect("a new key");
        let chain = params.signed_by(&key, &self.issuer).expect("an authority signs a leaf").pem();
        Leaf { chain, key }
    }
}

impl Leaf {
    /// The certificate.
    pub(crate) fn chain_pem(&self) -> &str {
        &self.chain
    }

    /// Its key, as PKCS#8.
    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// What a server shows who has this certificate.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        let chain = CertificateDer::from_pem_slice(self.chain.as_bytes()).expect("our own certificate");
        let key = PrivateKeyDer::from_pem_slice(self.key_pem().as_bytes()).expect("our own key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("ring knows the usual versions").with_no_client_auth();
        Arc::new(config.with_single_cert(vec![chain], key).expect("a key that fits its certificate"))
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names and addresses");
    params.distinguished_name.push(DnType::CommonName, "plx test server");
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    params
}
