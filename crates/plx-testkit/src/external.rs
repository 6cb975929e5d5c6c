//! Where an S3 server is, and a client for it.

use object_store::RetryConfig;
use object_store::aws::{AmazonS3, AmazonS3Builder};

use crate::environment::variable;

/// A bucket on some S3 server, and the keys to it.
///
/// One suite runs against [`crate::S3Server`], [`crate::Moto`] and, by [`S3Target::from_env`], any server that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Target {
    /// As `http://127.0.0.1:9000`.
    pub endpoint: String,
    /// Access key id.
    pub access_key: String,
    /// Secret key. Test servers only: it is shown by `Debug`.
    pub secret_key: String,
    /// A bucket that exists.
    pub bucket: String,
    /// As `us-east-1`.
    pub region: String,
}

impl S3Target {
    /// The server named by `PLX_TEST_S3_ENDPOINT`, `PLX_TEST_S3_ACCESS_KEY`, `PLX_TEST_S3_SECRET_KEY`,
    /// `PLX_TEST_S3_BUCKET` and `PLX_TEST_S3_REGION` (`us-east-1` when unset); `None` without the endpoint.
    ///
    /// # Panics
    /// When the endpoint is set and a key or the bucket is not.
    #[expect(clippy::panic, reason = "half a target would test nothing and look green")]
    pub fn from_env() -> Option<Self> {
        let endpoint = variable("PLX_TEST_S3_ENDPOINT")?;
        let needed = |name: &str| {
            variable(name).unwrap_or_else(|| panic!("PLX_TEST_S3_ENDPOINT is set; set {name} too"))
        };
        Some(Self {
            endpoint,
            access_key: needed("PLX_TEST_S3_ACCESS_KEY"),
            secret_key: needed("PLX_TEST_S3_SECRET_KEY"),
            bucket: needed("PLX_TEST_S3_BUCKET"),
            region: variable("PLX_TEST_S3_REGION").unwrap_or_else(|| "us-east-1".to_owned()),
        })
    }

    /// The same bucket by another way, as through a [`crate::FaultProxy`].
    #[must_use]
    pub fn through(&self, endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), ..self.clone() }
    }

    /// A client with path-style addresses and without retries of its own, to be changed or built.
    pub fn builder(&self) -> AmazonS3Builder {
        install_crypto();
        AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_allow_http(true)
            .with_region(&self.region)
            .with_bucket_name(&self.bucket)
            .with_access_key_id(&self.access_key)
            .with_secret_access_key(&self.secret_key)
            .with_virtual_hosted_style_request(false)
            .with_retry(no_retries())
    }

    /// [`S3Target::builder`], built.
    ///
    /// # Panics
    /// When the target's words make no client.
    pub fn store(&self) -> AmazonS3 {
        self.builder().build().expect("a target makes a client")
    }
}

/// The HTTP client is built without a choice of cryptography, as in our programs, and panics where nobody chose.
pub(crate) fn install_crypto() {
    // It fails when somebody chose before, and then all is well.
    rustls::crypto::ring::default_provider().install_default().ok();
}

/// Our programs retry at one place of their own, and tests count requests.
pub(crate) fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}
