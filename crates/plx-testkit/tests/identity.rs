//! The identity services, with the clients that object_store has for them.

#![expect(clippy::unwrap_used, reason = "in helpers of tests, too, a surprise ends the test")]

use std::io::Write as _;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, AzureCredential, MicrosoftAzureBuilder};
use object_store::{Certificate, ClientOptions, ObjectStoreExt as _, RetryConfig};
use plx_testkit::{AwsKeys, Azurite, IdentityServer, PrivateCa, TlsFront, azure_jwt};

fn keys(name: &str) -> AwsKeys {
    AwsKeys {
        access_key: format!("ASIA{name}"),
        secret_key: format!("secret-{name}"),
        token: format!("token-{name}"),
        lifetime: Duration::from_secs(3600),
    }
}

fn retries(max_retries: usize) -> RetryConfig {
    RetryConfig { max_retries, ..RetryConfig::default() }
}

fn s3() -> AmazonS3Builder {
    rustls::crypto::ring::default_provider().install_default().ok();
    let options = ClientOptions::new().with_allow_http(true);
    AmazonS3Builder::new().with_bucket_name("b").with_client_options(options).with_retry(retries(0))
}

fn azure() -> MicrosoftAzureBuilder {
    rustls::crypto::ring::default_provider().install_default().ok();
    let options = ClientOptions::new().with_allow_http(true);
    MicrosoftAzureBuilder::new()
        .with_account("a")
        .with_container_name("c")
        .with_client_options(options)
        .with_retry(retries(0))
}

async fn bearer(builder: MicrosoftAzureBuilder) -> Result<String, String> {
    let credential = builder.build().unwrap().credentials().get_credential().await;
    match credential.map_err(|error| format!("{error:?}"))?.as_ref() {
        AzureCredential::BearerToken(token) => Ok(token.clone()),
        _ => Err("not a bearer token".to_owned()),
    }
}

fn client() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn a_machine_of_ec2_has_a_role() {
    let server = IdentityServer::start().await;
    server.set_aws(keys("ONE"));
    let builder = s3().with_metadata_endpoint(server.url());
    let credential = builder.build().unwrap().credentials().get_credential().await.unwrap();
    assert_eq!((credential.key_id.as_str(), credential.token.as_deref()), ("ASIAONE", Some("token-ONE")));
    let paths: Vec<String> = server.requests().into_iter().map(|seen| seen.path_and_query).collect();
    let role = "/latest/meta-data/iam/security-credentials/";
    assert_eq!(paths, ["/latest/api/token", role, &format!("{role}plx-test-role")]);
    let url = format!("{}{role}", server.url());
    let bare = client().get(&url).send().await.unwrap();
    assert_eq!(bare.status(), 401, "a read needs a token");
    let made_up = client().get(&url).header("X-aws-ec2-metadata-token", "x").send().await.unwrap();
    assert_eq!(made_up.status(), 401);
    let without = client().put(format!("{}/latest/api/token", server.url())).send().await.unwrap();
    assert_eq!(without.status(), 400, "a token needs a lifetime");
}

#[tokio::test]
async fn a_pod_shows_its_token() {
    let server = IdentityServer::start().await;
    server.set_aws(keys("POD"));
    server.set_pod_token("right");
    let ask = |token: &str| {
        let file = file(token);
        let builder = s3()
            .with_config(
                AmazonS3ConfigKey::ContainerCredentialsFullUri,
                format!("{}/v1/credentials", server.url()),
            )
            .with_config(AmazonS3ConfigKey::ContainerAuthorizationTokenFile, file.path().to_str().unwrap());
        async move { (builder.build().unwrap().credentials().get_credential().await, file).0 }
    };
    assert_eq!(ask("right").await.unwrap().key_id, "ASIAPOD");
    let refused = ask("wrong").await.unwrap_err();
    assert!(format!("{refused:?}").contains("401"), "{refused:?}");
    server.set_aws(keys("NEXT"));
    assert_eq!(ask("right").await.unwrap().key_id, "ASIANEXT");
    assert_eq!(server.requests()[1].header("authorization"), Some("wrong"));
}

#[tokio::test]
async fn a_service_account_is_a_role() {
    let server = IdentityServer::start().await;
    server.set_aws(keys("STS"));
    let token = file("federated");
    // object_store asks STS over https alone.
    let ca = PrivateCa::new();
    let front = TlsFront::start(server.addr(), &ca).await;
    let trust =
        || ClientOptions::new().with_root_certificate(Certificate::from_pem(ca.pem().as_bytes()).unwrap());
    let ask = || {
        s3().with_client_options(trust())
            .with_config(AmazonS3ConfigKey::WebIdentityTokenFile, token.path().to_str().unwrap())
            .with_config(AmazonS3ConfigKey::RoleArn, "arn:aws:iam::1:role/r")
            .with_config(AmazonS3ConfigKey::StsEndpoint, front.url())
            .build()
            .unwrap()
    };
    let refused = ask().credentials().get_credential().await.unwrap_err();
    assert!(format!("{refused:?}").contains("InvalidIdentityToken"), "{refused:?}");
    server.set_federated_token("federated");
    assert_eq!(ask().credentials().get_credential().await.unwrap().key_id, "ASIASTS");
}

#[tokio::test]
async fn googles_metadata_wants_its_flavor() {
    let server = IdentityServer::start().await;
    server.set_bearer("ya29.token", Duration::from_secs(3599));
    let url = format!("{}/computeMetadata/v1/instance/service-accounts/default/token", server.url());
    assert_eq!(client().get(&url).send().await.unwrap().status(), 403);
    let answer = client().get(&url).header("Metadata-Flavor", "Google").send().await.unwrap();
    assert_eq!(answer.headers()["metadata-flavor"], "Google");
    let answer: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!((&answer["access_token"], &answer["token_type"]), (&"ya29.token".into(), &"Bearer".into()));
    assert!((3590..=3599).contains(&answer["expires_in"].as_u64().unwrap()), "{answer}");
}

#[tokio::test]
async fn a_managed_identity_of_azure() {
    let server = IdentityServer::start().await;
    let url = format!("{}/metadata/identity/oauth2/token", server.url());
    let ask = || azure().with_config(AzureConfigKey::MsiEndpoint, url.clone());
    assert!(bearer(ask()).await.unwrap_err().contains("Identity not found"));
    server.set_bearer("first", Duration::from_secs(3600));
    assert_eq!(bearer(ask()).await.unwrap(), "first");
    server.set_bearer("second", Duration::from_secs(3600));
    server.set_client_id("mine");
    assert_eq!(bearer(ask().with_config(AzureConfigKey::ClientId, "mine")).await.unwrap(), "second");
    let other = bearer(ask().with_config(AzureConfigKey::ClientId, "other")).await.unwrap_err();
    assert!(other.contains("400") && other.contains("Identity not found"), "{other}");
    let query = "api-version=2019-08-01&resource=https://storage.azure.com";
    assert_eq!(
        client().get(format!("{url}?{query}")).send().await.unwrap().status(),
        400,
        "no Metadata: true"
    );
    let service = |secret: &str| {
        client().get(format!("{}/msi/token?{query}", server.url())).header("X-IDENTITY-HEADER", secret).send()
    };
    server.set_identity_header("right");
    assert_eq!(service("wrong").await.unwrap().status(), 401);
    let answer: serde_json::Value =
        serde_json::from_str(&service("right").await.unwrap().text().await.unwrap()).unwrap();
    assert!(answer["access_token"] == "second" && answer["expires_on"].is_string(), "{answer}");
}

#[tokio::test]
async fn entra_knows_secrets_and_federated_tokens() {
    let server = IdentityServer::start().await;
    server.set_bearer("token", Duration::from_secs(3599));
    server.set_client_secret("right");
    let ask = || azure().with_config(AzureConfigKey::AuthorityHost, server.url());
    assert_eq!(
        bearer(ask().with_client_secret_authorization("id", "right", "tenant")).await.unwrap(),
        "token"
    );
    assert!(server.requests()[0].path_and_query == "/tenant/oauth2/v2.0/token");
    assert_eq!(server.requests()[0].form("scope").as_deref(), Some("https://storage.azure.com/.default"));
    let wrong = bearer(ask().with_client_secret_authorization("id", "wrong", "tenant")).await.unwrap_err();
    assert!(wrong.contains("401") && wrong.contains("AADSTS7000215"), "{wrong}");
    let assertion = file("federated");
    let pod = || {
        ask()
            .with_config(AzureConfigKey::FederatedTokenFile, assertion.path().to_str().unwrap())
            .with_config(AzureConfigKey::ClientId, "id")
            .with_config(AzureConfigKey::AuthorityId, "tenant")
    };
    assert!(bearer(pod()).await.unwrap_err().contains("AADSTS700213"));
    server.set_federated_token("federated");
    assert_eq!(bearer(pod()).await.unwrap(), "token");
}

#[tokio::test]
async fn a_token_of_entra_opens_azurite() {
    let (ca, server) = (PrivateCa::new(), IdentityServer::start().await);
    let azurite = Azurite::with_oauth(&ca).await;
    let target = azurite.target("by-entra").await;
    server.set_client_secret("right");
    server.set_bearer(&azure_jwt("tenant", Duration::from_secs(600)), Duration::from_secs(600));
    let trust = Certificate::from_pem(ca.pem().as_bytes()).unwrap();
    let options = ClientOptions::new().with_allow_http(true).with_root_certificate(trust);
    let builder = target.builder().with_client_options(options);
    let builder = builder.with_config(AzureConfigKey::AuthorityHost, server.url());
    let store = builder.with_client_secret_authorization("id", "right", "tenant").build().unwrap();
    store.put(&"k".into(), "x".into()).await.unwrap();
    assert_eq!(store.get(&"k".into()).await.unwrap().bytes().await.unwrap(), "x");
    assert_eq!(server.requests().len(), 1, "a token is good for many requests");
}

#[tokio::test]
async fn services_may_be_late_gone_or_unwilling() {
    let server = IdentityServer::start().await;
    server.set_bearer("token", Duration::from_secs(3600));
    let url = format!("{}/computeMetadata/v1/instance/service-accounts/default/token", server.url());
    let ask = || client().get(&url).header("Metadata-Flavor", "Google").send();
    server.not_ready(2);
    for status in [503, 503, 200] {
        assert_eq!(ask().await.unwrap().status(), status);
    }
    server.unreachable(1);
    let reset = ask().await.unwrap_err();
    assert!(format!("{reset:?}").contains("ConnectionReset"), "{reset:?}");
    assert_eq!(ask().await.unwrap().status(), 200);
    server.refuse_all(403);
    assert_eq!(ask().await.unwrap().status(), 403);
    server.refuse_none();
    assert_eq!(ask().await.unwrap().status(), 200);
    let statuses: Vec<Option<u16>> = server.requests().iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [Some(503), Some(503), Some(200), None, Some(200), Some(403), Some(200)]);
    let address = server.addr();
    drop(server);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
