//! An Azure Blob Storage client for a connection.
//!
//! Credentials, first one wins, as in the reference (`adlfs`): `AZURE_CONNECTION_STRING`; `AZURE_ACCOUNT_KEY`;
//! `AZURE_SAS_TOKEN` or `AZURE_STORAGE_SAS_TOKEN`; a service principal by `AZURE_CLIENT_SECRET`, or by a federated token
//! in `AZURE_FEDERATED_TOKEN_FILE` (workload identity); managed identity. The account is `AZURE_ACCOUNT_NAME`, else the
//! one in the bucket's URL.

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
use connection_string::ConnectionString;
use object_store::azure::{
    AzureAccessKey, AzureAuthorizer, AzureConfigKey, AzureCredential, MicrosoftAzureBuilder, split_sas,
};
use object_store::client::{HttpRequest, HttpService};
use plx_contract::credential::{CredentialError, Found};
use plx_contract::fault::HttpFault;
use std::path::Path;
use std::sync::Arc;
use store::AzureStore;
use url::Url;

mod connection_string;
#[cfg(test)]
mod reference;
mod store;

const ENDPOINT: &str = "AZURE_STORAGE_ENDPOINT";
const SAS: &[&str] = &["AZURE_SAS_TOKEN", "AZURE_STORAGE_SAS_TOKEN"];

pub(crate) fn client(setting: &Setting, location: &Location) -> Result<Client<AzureStore>, StoreError> {
    let wire = Wire { connection: setting.name().to_owned(), network: setting.network()?, verify: true };
    let sources = Sources { setting: setting.clone(), wire: wire.clone() };
    let string = sources.connection_string()?;
    let account = sources.account(string.as_ref())?;
    let (address, address_from) = sources.address(string.as_ref(), &account)?;
    let (identity, source) = Identity::new(move || sources.resolve())?;
    let identity = Arc::new(identity);
    let credentials = Arc::clone(&identity) as Arc<dyn Credentials>;
    let requests = Arc::<Requests>::default();
    let signing = Arc::new(Signing {
        client: wire.store(&address)?,
        signer: AzureSigner { identity, account: account.clone() },
        requests: Arc::clone(&requests),
    });
    let service: Arc<dyn HttpService> = signing;
    let store = MicrosoftAzureBuilder::new()
        .with_account(&account)
        .with_container_name(&location.bucket)
        .with_endpoint(address.as_str().trim_end_matches('/').to_owned())
        .with_allow_http(true)
        // `Signing` does it.
        .with_credentials(Arc::new(Fixed(Arc::new(AzureCredential::BearerToken(String::new())))))
        .with_skip_signature(true)
        .with_http_connector(Ready(Arc::clone(&service)))
        .with_retry(no_retries())
        .build()
        .map_err(|source| StoreError::Client {
            connection: setting.name().to_owned(),
            source: Box::new(source),
        })?;
    let mut container = address.clone();
    if let Ok(mut segments) = container.path_segments_mut() {
        segments.pop_if_empty().push(&location.bucket);
    }
    let store = AzureStore { inner: store, service, container };
    let about = About {
        proxy: wire.proxy_of(&address),
        endpoint: address.as_str().trim_end_matches('/').to_owned(),
        endpoint_from: address_from,
        addressing: None,
        region: None,
        region_now: None,
        credential: source.chosen,
        passed_over: source.passed_over,
        verify: true,
        ca: wire.network.ca.iter().map(|bundle| bundle.path.clone()).collect(),
    };
    Ok(Client { store, empty_uploads: None, requests, about, credentials })
}

#[derive(Debug)]
struct AzureSigner {
    identity: Arc<Identity<AzureCredential>>,
    account: String,
}

#[async_trait]
impl Signer for AzureSigner {
    async fn sign(&self, request: &mut HttpRequest) -> Result<u64, SignError> {
        let held = self.identity.get().await.map_err(SignError::Identity)?;
        AzureAuthorizer::new(&held.credential, &self.account)
            .try_authorize(request)
            .map_err(SignError::Signer)?;
        Ok(held.generation)
    }

    async fn renew(&self, generation: u64) -> bool {
        self.identity.renew(generation).await
    }

    fn learn(&self, _: &HttpFault) -> bool {
        false
    }
}

#[derive(Clone)]
struct Sources {
    setting: Setting,
    wire: Wire,
}

impl Sources {
    fn connection_string(&self) -> Result<Option<ConnectionString>, StoreError> {
        let Some(found) =
            self.setting.find_first(&["AZURE_CONNECTION_STRING", "AZURE_STORAGE_CONNECTION_STRING"])?
        else {
            return Ok(None);
        };
        let string = ConnectionString::parse(found.expose()).map_err(|why| {
            let what = format!("connection string from {}", found.source);
            self.setting.malformed(what, why, "copy it anew from the storage account's access keys")
        })?;
        Ok(Some(string))
    }

    fn account(&self, string: Option<&ConnectionString>) -> Result<String, StoreError> {
        let in_url = self.setting.connection.azure_account();
        if let Some(account) = string.and_then(|string| string.account.clone()) {
            return Ok(account);
        }
        if let Some(found) = self.setting.find_first(&["AZURE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_NAME"])? {
            let account = found.expose().to_owned();
            if let Some(other) = in_url.filter(|other| other.name != account) {
                tracing::warn!(
                    "connection `{}`: account {account} ({}) is used, not {} of the bucket's URL",
                    self.setting.name(),
                    found.source,
                    other.name
                );
            }
            return Ok(account);
        }
        in_url.map(|account| account.name).ok_or_else(|| {
            let next = "set AZURE_ACCOUNT_NAME, or write the bucket as wasbs://CONTAINER@ACCOUNT.blob.core.windows.net";
            self.setting.malformed("AZURE_ACCOUNT_NAME".to_owned(), "is not set, and the bucket names no account", next).into()
        })
    }

    /// Where the account's blobs are.
    fn address(
        &self,
        string: Option<&ConnectionString>,
        account: &str,
    ) -> Result<(Url, Option<String>), StoreError> {
        let set = match string.and_then(|string| string.endpoint(account)) {
            Some(endpoint) => Some((endpoint, "connection string".to_owned())),
            None => self
                .setting
                .find_first(&[ENDPOINT, "AZURE_STORAGE_BLOB_ENDPOINT"])?
                .map(|found| (found.expose().trim().to_owned(), found.source.to_string())),
        };
        // The clouds of governments and of China have hosts of their own, and the URL names them.
        let host = self.setting.connection.azure_account().map(|found| found.suffix);
        let raw = match &set {
            Some((raw, _)) => raw.clone(),
            None => format!("https://{account}.{}", host.as_deref().unwrap_or("blob.core.windows.net")),
        };
        match crate::s3::endpoint_url(&raw, true) {
            Some(url) => Ok((url, set.map(|(_, from)| from))),
            None => Err(StoreError::Endpoint {
                connection: self.setting.name().to_owned(),
                endpoint: crate::s3::without_userinfo(&raw),
                key: ENDPOINT,
            }),
        }
    }

    fn resolve(&self) -> Result<Resolved<AzureCredential>, StoreError> {
        let mut passed_over = Vec::new();
        if let Some(string) = self.connection_string()? {
            if let Some(key) = &string.key {
                return self.key(key, "account key of the connection string".to_owned(), passed_over);
            }
            if let Some(sas) = &string.sas {
                return self.sas(
                    sas,
                    "shared access signature of the connection string".to_owned(),
                    passed_over,
                );
            }
        } else {
            passed_over.push("no AZURE_CONNECTION_STRING".to_owned());
        }
        if let Some(found) = self.setting.find_first(&["AZURE_ACCOUNT_KEY", "AZURE_STORAGE_ACCOUNT_KEY"])? {
            return self.key(found.expose(), format!("account key from {}", found.source), passed_over);
        }
        passed_over.push("no AZURE_ACCOUNT_KEY".to_owned());
        if let Some(found) = self.setting.find_first(SAS)? {
            let chosen = format!("shared access signature from {}", found.source);
            return self.sas(found.expose(), chosen, passed_over);
        }
        passed_over.push(format!("no {}", SAS.join(", ")));
        let client_id = self.setting.find("AZURE_CLIENT_ID")?;
        let tenant = self.setting.find("AZURE_TENANT_ID")?;
        if let Some(secret) = self.setting.find("AZURE_CLIENT_SECRET")? {
            let (tenant, client) = self.both(tenant, client_id, &secret, "AZURE_CLIENT_SECRET")?;
            let chosen = format!("service principal: client secret from {}", secret.source);
            return self.asked(chosen, passed_over, None, |builder| {
                builder.with_client_secret_authorization(client.expose(), secret.expose(), tenant.expose())
            });
        }
        passed_over.push("no AZURE_CLIENT_SECRET".to_owned());
        if let Some(file) = self.setting.find("AZURE_FEDERATED_TOKEN_FILE")? {
            let (tenant, client) = self.both(tenant, client_id, &file, "AZURE_FEDERATED_TOKEN_FILE")?;
            let chosen = format!("workload identity: the federated token in {}", file.expose());
            // It is read with every request; that it is there at all is found out now.
            self.setting.file("token file", Path::new(file.expose()))?;
            return self.asked(chosen, passed_over, None, |builder| {
                builder
                    .with_config(AzureConfigKey::FederatedTokenFile, file.expose())
                    .with_client_id(client.expose())
                    .with_tenant_id(tenant.expose())
            });
        }
        passed_over.push("no AZURE_FEDERATED_TOKEN_FILE".to_owned());
        self.managed_identity(client_id, passed_over)
    }

    fn managed_identity(
        &self,
        client_id: Option<Found>,
        passed_over: Vec<String>,
    ) -> Result<Resolved<AzureCredential>, StoreError> {
        const PATH: &str = "/metadata/identity/oauth2/token";
        let env = |key: &str| self.setting.env().non_empty(key);
        let endpoint = env("IDENTITY_ENDPOINT").or_else(|| {
            // As in Azure's own libraries; the agents of AAD pod identity set it.
            env("AZURE_POD_IDENTITY_AUTHORITY_HOST")
                .map(|host| format!("{}{PATH}", host.trim_end_matches('/')))
        });
        let url = match endpoint.as_deref().map(Url::parse) {
            Some(Ok(url)) if url.username().is_empty() => url,
            None => Url::parse("http://169.254.169.254").expect("a constant is a URL"),
            Some(_) => {
                let next = "let the platform set it";
                return Err(self
                    .setting
                    .malformed("IDENTITY_ENDPOINT".to_owned(), "is no plain URL", next)
                    .into());
            }
        };
        let at = url.origin().ascii_serialization();
        self.asked(format!("managed identity at {at}"), passed_over, Some(&url), |builder| {
            let builder = match &endpoint {
                Some(endpoint) => builder.with_config(AzureConfigKey::MsiEndpoint, endpoint),
                None => builder,
            };
            match &client_id {
                Some(id) => builder.with_client_id(id.expose()),
                None => builder,
            }
        })
    }

    fn both(
        &self,
        tenant: Option<Found>,
        client: Option<Found>,
        have: &Found,
        key: &str,
    ) -> Result<(Found, Found), CredentialError> {
        match (tenant, client) {
            (Some(tenant), Some(client)) => Ok((tenant, client)),
            (None, _) => Err(self.setting.partial(have, key, "AZURE_TENANT_ID")),
            (_, None) => Err(self.setting.partial(have, key, "AZURE_CLIENT_ID")),
        }
    }

    fn key(
        &self,
        key: &str,
        chosen: String,
        passed_over: Vec<String>,
    ) -> Result<Resolved<AzureCredential>, StoreError> {
        let key = AzureAccessKey::try_new(key.trim()).map_err(|_| {
            let next = "copy it anew from the storage account's access keys";
            self.setting.malformed(chosen.clone(), "is not in base64", next)
        })?;
        Ok(fixed(AzureCredential::AccessKey(key), chosen, passed_over))
    }

    fn sas(
        &self,
        sas: &str,
        chosen: String,
        passed_over: Vec<String>,
    ) -> Result<Resolved<AzureCredential>, StoreError> {
        let pairs = split_sas(sas.trim()).ok().filter(|pairs| pairs.iter().any(|(key, _)| key == "sig"));
        let Some(pairs) = pairs else {
            let next = "give it as sv=…&sig=…, with or without a question mark in front";
            return Err(self.setting.malformed(chosen, "is no shared access signature", next).into());
        };
        Ok(fixed(AzureCredential::SASToken(pairs), chosen, passed_over))
    }

    /// The library's own providers, without its retries: the caller decides how long to wait.
    fn asked(
        &self,
        chosen: String,
        passed_over: Vec<String>,
        agent: Option<&Url>,
        with: impl FnOnce(MicrosoftAzureBuilder) -> MicrosoftAzureBuilder,
    ) -> Result<Resolved<AzureCredential>, StoreError> {
        const ENTRA: &str = "https://login.microsoftonline.com";
        let authority = self.setting.text("AZURE_AUTHORITY_HOST")?;
        let client = match (agent, &authority) {
            (Some(url), _) => self.wire.agent(url)?,
            (None, authority) => {
                let url = Url::parse(authority.as_deref().unwrap_or(ENTRA)).map_err(|_| {
                    let next = "set it to something like https://login.microsoftonline.com";
                    self.setting.malformed("AZURE_AUTHORITY_HOST".to_owned(), "is no URL", next)
                })?;
                self.wire.identity(&url)?
            }
        };
        let asking = Asking { client, google: None };
        let mut builder = MicrosoftAzureBuilder::new()
            .with_account("credentials-only")
            .with_container_name("credentials-only")
            .with_http_connector(Ready(Arc::new(asking)))
            .with_retry(no_retries());
        if let Some(authority) = authority {
            builder = builder.with_config(AzureConfigKey::AuthorityHost, authority.trim_end_matches('/'));
        }
        let store = with(builder).build().map_err(|source| StoreError::Client {
            connection: self.setting.name().to_owned(),
            source: Box::new(source),
        })?;
        let source = Source { chosen, passed_over, last_resort: agent.is_some() };
        Ok(Resolved { provider: Arc::clone(store.credentials()), source })
    }
}

fn fixed(credential: AzureCredential, chosen: String, passed_over: Vec<String>) -> Resolved<AzureCredential> {
    let source = Source { chosen, passed_over, last_resort: false };
    Resolved { provider: Arc::new(Fixed(Arc::new(credential))), source }
}
