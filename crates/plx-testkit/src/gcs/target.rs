//! Where a bucket is, the keys to it, and a client for it.

use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use serde_json::json;

use crate::Planted;
use crate::external::{install_crypto, no_retries};

/// The private key of a service account that exists only in tests, as PEM. Everybody knows it.
pub const SERVICE_ACCOUNT_KEY: &str = include_str!("service-account.key");

/// What belongs to [`SERVICE_ACCOUNT_KEY`], for [`crate::GcsServer::accept_signed_by`].
pub const SERVICE_ACCOUNT_PUBLIC_KEY: &str = include_str!("service-account.pub");

/// A bucket on some server of GCS's XML API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcsTarget {
    /// As `http://127.0.0.1:4443`.
    pub base_url: String,
    /// A bucket that exists.
    pub bucket: String,
}

impl GcsTarget {
    /// The same bucket by another way, as through a [`crate::FaultProxy`].
    #[must_use]
    pub fn through(&self, base_url: &str) -> Self {
        Self { base_url: base_url.to_owned(), ..self.clone() }
    }

    /// The file of a service account that signs nothing: only good after [`crate::GcsServer::accept_any`].
    pub fn key_json(&self) -> String {
        let nothing = json!({
            "type": "service_account",
            "gcs_base_url": self.base_url,
            "disable_oauth": true,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        });
        nothing.to_string()
    }

    /// The file of a service account that signs its tokens with [`SERVICE_ACCOUNT_KEY`].
    pub fn signing_key_json(&self) -> String {
        let body = SERVICE_ACCOUNT_KEY.lines().filter(|line| !line.starts_with("-----"));
        body.for_each(|line| Planted::here().key(line));
        let account = json!({
            "type": "service_account",
            "project_id": "plx-test",
            "gcs_base_url": self.base_url,
            "client_email": "tests@plx-test.iam.gserviceaccount.com",
            "client_id": "100000000000000000000",
            "private_key": SERVICE_ACCOUNT_KEY,
            "private_key_id": "plx-test",
            "token_uri": "https://oauth2.googleapis.com/token",
        });
        account.to_string()
    }

    /// A client without retries and without credentials, to be given some.
    pub fn builder(&self) -> GoogleCloudStorageBuilder {
        install_crypto();
        GoogleCloudStorageBuilder::new()
            .with_bucket_name(&self.bucket)
            .with_client_options(object_store::ClientOptions::new().with_allow_http(true))
            .with_retry(no_retries())
    }

    /// A client by [`GcsTarget::key_json`].
    ///
    /// # Panics
    /// When the target's words make no client.
    pub fn store(&self) -> GoogleCloudStorage {
        let builder = self.builder().with_service_account_key(self.key_json());
        builder.build().expect("a target makes a client")
    }
}
