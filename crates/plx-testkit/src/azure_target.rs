//! Where an Azure container is, the ways to be let in, and a client for it.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use ring::hmac;
use url::form_urlencoded;

use crate::external::{install_crypto, no_retries};

/// The version of the storage API that signatures here are made by.
const VERSION: &str = "2020-12-06";

/// A container on some Azure Blob server, and the account's key to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureTarget {
    /// Of the account, as `http://127.0.0.1:10000/devstoreaccount1`.
    pub endpoint: String,
    /// Name of the account.
    pub account: String,
    /// Key of the account, in base64. Test servers only: it is shown by `Debug`.
    pub key: String,
    /// A container that exists.
    pub container: String,
}

impl AzureTarget {
    /// The same container by another way, as through a [`crate::FaultProxy`]: a server's address without the account,
    /// or with it.
    #[must_use]
    pub fn through(&self, endpoint: &str) -> Self {
        let account = format!("/{}", self.account);
        let endpoint = endpoint.trim_end_matches('/');
        let endpoint = format!("{}{account}", endpoint.strip_suffix(&account).unwrap_or(endpoint));
        Self { endpoint, ..self.clone() }
    }

    /// A client without retries and without credentials, to be given some.
    pub fn builder(&self) -> MicrosoftAzureBuilder {
        install_crypto();
        MicrosoftAzureBuilder::new()
            .with_endpoint(self.endpoint.clone())
            .with_allow_http(true)
            .with_account(&self.account)
            .with_container_name(&self.container)
            .with_retry(no_retries())
    }

    /// A client by the account's key.
    ///
    /// # Panics
    /// When the target's words make no client.
    pub fn store(&self) -> MicrosoftAzure {
        self.builder().with_access_key(&self.key).build().expect("a target makes a client")
    }

    /// As the portal shows it under "access keys".
    pub fn connection_string(&self) -> String {
        let Self { endpoint, account, key, .. } = self;
        let scheme = endpoint.split("://").next().unwrap_or("http");
        format!(
            "DefaultEndpointsProtocol={scheme};AccountName={account};AccountKey={key};BlobEndpoint={endpoint};"
        )
    }

    /// A SAS token for this container and what is in it, without the leading `?`.
    ///
    /// `permissions` in Azure's letters and order: `r`ead, `a`dd, `c`reate, `w`rite, `d`elete, `l`ist.
    ///
    /// # Panics
    /// When the key is not base64.
    pub fn sas(&self, permissions: &str, expires: SystemTime) -> String {
        let Self { account, container, .. } = self;
        let time = |time: SystemTime| DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true);
        // Real tokens start a little early, for clocks that differ.
        let start = time(SystemTime::now().min(expires) - Duration::from_secs(900));
        let expires = time(expires);
        let resource = format!("/blob/{account}/{container}");
        let (identifier, address, protocol, kind) = ("", "", "https,http", "c");
        let (snapshot, scope, overrides) = ("", "", ["", "", "", "", ""].join("\n"));
        let text = [permissions, &start, &expires, &resource, identifier, address, protocol, VERSION, kind];
        let text = [text.join("\n"), snapshot.to_owned(), scope.to_owned(), overrides].join("\n");
        let mut token = form_urlencoded::Serializer::new(String::new());
        token.append_pair("sv", VERSION).append_pair("st", &start).append_pair("se", &expires);
        token.append_pair("sr", kind).append_pair("sp", permissions).append_pair("spr", protocol);
        token.append_pair("sig", &self.sign(&text)).finish()
    }

    /// Makes the container, unless it is there, by a request of its own: object_store has no call for it.
    pub(crate) async fn create_container(&self, authority: Option<&str>) -> Result<(), String> {
        let Self { endpoint, account, container, .. } = self;
        let date = Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let headers = format!("x-ms-date:{date}\nx-ms-version:{VERSION}");
        let resource = format!("/{account}/{account}/{container}\nrestype:container");
        let text = format!("PUT{}{headers}\n{resource}", "\n".repeat(12));
        install_crypto();
        let mut client = reqwest::Client::builder().no_proxy();
        if let Some(authority) = authority {
            let authority = reqwest::Certificate::from_pem(authority.as_bytes());
            client = client.tls_certs_only([authority.map_err(|error| error.to_string())?]);
        }
        let request = client.build().map_err(|error| error.to_string())?;
        let request = request.put(format!("{endpoint}/{container}?restype=container"));
        let request = request.header("x-ms-date", date).header("x-ms-version", VERSION);
        let request = request.header("Authorization", format!("SharedKey {account}:{}", self.sign(&text)));
        let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
        match answer.status().as_u16() {
            201 | 409 => Ok(()),
            status => Err(format!("{status} {}", answer.text().await.unwrap_or_default())),
        }
    }

    fn sign(&self, text: &str) -> String {
        let key = BASE64_STANDARD.decode(&self.key).expect("the key of an account is base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()))
    }
}
