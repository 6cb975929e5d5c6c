//! Which AWS credentials a connection uses: its own keys, else the default chain of the AWS tools, and on top of
//! either a role that Polyaxon's settings name.
//!
//! 1. `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` by the connection's lookup,
//! 2. the profile that `AWS_PROFILE` names,
//! 3. web identity: `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN` (IRSA),
//! 4. the profile `default`, if there is one,
//! 5. container credentials: `AWS_CONTAINER_CREDENTIALS_FULL_URI` (EKS pod identity) or `…_RELATIVE_URI` (ECS),
//! 6. instance metadata.

use super::profile::Profile;
use super::sts::{AssumeRole, Role};
use super::{Settings, container};
use crate::StoreError;
use crate::client::{Ready, Wire};
use crate::identity::{Fixed, Resolved, Source};
use crate::setting::Setting;
use crate::signing::Asking;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider};
use object_store::{BackoffConfig, RetryConfig};
use plx_contract::credential::{CredentialError, Found};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use url::Url;

const ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
/// Profiles name one another; more steps than that are a circle.
const STEPS: usize = 5;

type Aws = Resolved<AwsCredential>;

/// What is needed to find credentials, again and again.
#[derive(Clone)]
pub(super) struct Sources {
    pub setting: Setting,
    pub wire: Wire,
    pub settings: Settings,
}

impl Sources {
    /// The credentials to ask the store with.
    pub fn resolve(&self) -> Result<Aws, StoreError> {
        let mut passed_over = Vec::new();
        let base = self.base(&mut passed_over)?;
        let asked = self.setting.find("AWS_ASSUME_ROLE")?;
        let (Some(asked), Some(true)) = (asked, self.setting.flag("AWS_ASSUME_ROLE")?) else {
            return Ok(base);
        };
        let Some(arn) = self.setting.text("AWS_ROLE_ARN")? else {
            return Err(self.setting.partial(&asked, "AWS_ASSUME_ROLE", "AWS_ROLE_ARN").into());
        };
        let role = Role {
            arn,
            session_name: self
                .setting
                .find_first(&["AWS_SESSION_NAME", "AWS_ROLE_SESSION_NAME"])?
                .map_or_else(|| "S3Session".to_owned(), |found| found.expose().to_owned()),
            external_id: self.setting.text("AWS_EXTERNAL_ID")?,
            duration: self.setting.seconds("AWS_SESSION_DURATION")?,
        };
        self.assumed(role, base)
    }

    fn base(&self, passed_over: &mut Vec<String>) -> Result<Aws, StoreError> {
        if let Some(keys) = self.keys()? {
            return Ok(keys);
        }
        passed_over.push(format!(
            "no {ID} in the secret's mount, the config map's, the schema, the connection's env or the environment"
        ));
        if self.settings.profile_is_named {
            let name = &self.settings.profile_name;
            let Some(profile) = self.settings.profiles.get(name)? else {
                let what = format!("AWS_PROFILE: profile `{name}`");
                let why = format!("is in neither {}", self.settings.profiles.places());
                return Err(self
                    .setting
                    .malformed(what, why, "name a profile that is there, or mount its file")
                    .into());
            };
            return self.by_profile(name, &profile, passed_over, STEPS);
        }
        passed_over.push("no AWS_PROFILE".to_owned());
        if let Some(token_file) = self.setting.find("AWS_WEB_IDENTITY_TOKEN_FILE")? {
            let key = "AWS_WEB_IDENTITY_TOKEN_FILE";
            let Some(arn) = self.setting.text("AWS_ROLE_ARN")? else {
                return Err(self.setting.partial(&token_file, key, "AWS_ROLE_ARN").into());
            };
            let name = self.setting.text("AWS_ROLE_SESSION_NAME")?;
            return self.web_identity(token_file.expose(), &arn, name.as_deref(), passed_over);
        }
        passed_over.push("no AWS_WEB_IDENTITY_TOKEN_FILE".to_owned());
        if let Some(profile) = self.settings.profiles.get("default")?
            && profile.has_credentials()
        {
            return self.by_profile("default", &profile, passed_over, STEPS);
        }
        passed_over.push(format!("no profile `default` in {}", self.settings.profiles.places()));
        if let Some(found) = container::find(&self.setting)? {
            return self.container(found, passed_over);
        }
        passed_over.push("no AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI".to_owned());
        if self.settings.instance_metadata {
            return self.instance(passed_over, true);
        }
        Err(CredentialError::None {
            connection: self.setting.name().to_owned(),
            looked: format!(
                "there is {}; instance metadata is not asked for a store that is not AWS's",
                passed_over.join(", ")
            ),
        }
        .into())
    }

    /// The connection's own keys.
    pub fn keys(&self) -> Result<Option<Aws>, StoreError> {
        let (id, secret) = match (self.setting.find(ID)?, self.setting.find(SECRET)?) {
            (Some(id), Some(secret)) => (id, secret),
            (Some(id), None) => return Err(self.setting.partial(&id, ID, SECRET).into()),
            (None, Some(secret)) => return Err(self.setting.partial(&secret, SECRET, ID).into()),
            (None, None) => return Ok(None),
        };
        let token = self.session_token(&id)?;
        let with = token.as_ref().map(|token| format!(" and session token from {}", token.source));
        let chosen = format!("access key from {}{}", id.source, with.unwrap_or_default());
        let credential = AwsCredential {
            key_id: id.expose().to_owned(),
            secret_key: secret.expose().to_owned(),
            token: token.map(|token| token.expose().to_owned()),
        };
        self.check(&id, &credential)?;
        Ok(Some(fixed(credential, chosen, Vec::new())))
    }

    /// Polyaxon's name for it is read wherever it stands. AWS's own name is set by many things: it belongs to these keys
    /// only when it comes from the place they come from.
    fn session_token(&self, id: &Found) -> Result<Option<Found>, StoreError> {
        if let Some(token) = self.setting.find("AWS_SECURITY_TOKEN")? {
            return Ok(Some(token));
        }
        Ok(self.setting.find("AWS_SESSION_TOKEN")?.filter(|token| token.source.is_beside(&id.source)))
    }

    /// Keys become headers, and not every text does.
    fn check(&self, id: &Found, credential: &AwsCredential) -> Result<(), StoreError> {
        let fits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits(&credential.key_id) && credential.token.as_deref().is_none_or(fits) {
            return Ok(());
        }
        let what = format!("{ID} or its session token ({})", id.source);
        let next = "write it without blanks, quotes or line ends";
        Err(self.setting.malformed(what, "holds characters that no key has", next).into())
    }

    fn by_profile(
        &self,
        name: &str,
        profile: &Profile,
        passed_over: &[String],
        steps: usize,
    ) -> Result<Aws, StoreError> {
        let said = |key: &str| profile.get(key).map(str::to_owned);
        let what = || format!("profile `{name}`");
        if let Some(arn) = said("role_arn") {
            if profile.get("mfa_serial").is_some() {
                let next = "name a role that needs no second factor";
                return Err(self.setting.malformed(what(), "asks for a second factor", next).into());
            }
            if let Some(token_file) = said("web_identity_token_file") {
                let session = said("role_session_name");
                return self.web_identity(&token_file, &arn, session.as_deref(), passed_over);
            }
            let base = self.base_of_role(name, profile, passed_over, steps)?;
            let duration = match said("duration_seconds") {
                Some(text) => Some(text.parse().map_err(|_| {
                    let next = "give duration_seconds in seconds";
                    self.setting.malformed(what(), "has a duration_seconds that is no number", next)
                })?),
                None => None,
            };
            return self.assumed(
                Role {
                    arn,
                    session_name: said("role_session_name").unwrap_or_else(|| "S3Session".to_owned()),
                    external_id: said("external_id"),
                    duration: duration.or(Some(3600)),
                },
                base,
            );
        }
        match (said("aws_access_key_id"), said("aws_secret_access_key")) {
            (Some(key_id), Some(secret_key)) => {
                let credential = AwsCredential { key_id, secret_key, token: said("aws_session_token") };
                let chosen = format!("profile `{name}` of {}", self.settings.profiles.places());
                Ok(fixed(credential, chosen, passed_over.to_vec()))
            }
            _ => {
                let refused = ["credential_process", "sso_session", "sso_start_url"]
                    .into_iter()
                    .find(|key| profile.get(key).is_some());
                let (why, next) = match refused {
                    Some(key) => (
                        format!("has {key}, which needs a program or a person"),
                        "give it keys, a role with a source_profile, or a web identity",
                    ),
                    None => (
                        "has no credentials".to_owned(),
                        "give it aws_access_key_id and aws_secret_access_key",
                    ),
                };
                Err(self.setting.malformed(what(), why, next).into())
            }
        }
    }

    fn base_of_role(
        &self,
        name: &str,
        profile: &Profile,
        passed_over: &[String],
        steps: usize,
    ) -> Result<Aws, StoreError> {
        let wrong = |why: String| {
            let next =
                "give the profile a source_profile with keys, or credential_source = Ec2InstanceMetadata";
            StoreError::from(self.setting.malformed(format!("profile `{name}`"), why, next))
        };
        if let Some(source) = profile.get("source_profile") {
            // A profile may be its own source: then its keys are meant.
            if source == name {
                return match (profile.get("aws_access_key_id"), profile.get("aws_secret_access_key")) {
                    (Some(id), Some(secret)) => {
                        let token = profile.get("aws_session_token").map(str::to_owned);
                        let credential =
                            AwsCredential { key_id: id.to_owned(), secret_key: secret.to_owned(), token };
                        Ok(fixed(credential, format!("profile `{name}`"), passed_over.to_vec()))
                    }
                    _ => Err(wrong("is its own source and has no keys".to_owned())),
                };
            }
            let Some(left) = steps.checked_sub(1) else {
                return Err(wrong("leads through source_profile in a circle".to_owned()));
            };
            let Some(found) = self.settings.profiles.get(source)? else {
                return Err(wrong(format!("names source_profile `{source}`, which is not there")));
            };
            return self.by_profile(source, &found, passed_over, left);
        }
        match profile.get("credential_source") {
            Some("Ec2InstanceMetadata") => self.instance(passed_over, false),
            Some("Environment") => self
                .keys()?
                .ok_or_else(|| wrong("wants keys from the environment, and there are none".to_owned())),
            Some("EcsContainer") => match container::find(&self.setting)? {
                Some(found) => self.container(found, passed_over),
                None => Err(wrong("wants container credentials, and there are none".to_owned())),
            },
            Some(other) => Err(wrong(format!("has credential_source {other}, which is unknown"))),
            None => Err(wrong("names a role and nothing to assume it with".to_owned())),
        }
    }

    fn assumed(&self, role: Role, base: Aws) -> Result<Aws, StoreError> {
        let endpoint = self.sts()?;
        let source = Source {
            chosen: format!(
                "role {} at {} by {}",
                role.arn,
                endpoint.host_str().unwrap_or("STS"),
                base.source.chosen
            ),
            passed_over: base.source.passed_over,
            last_resort: base.source.last_resort,
        };
        let provider: AwsCredentialProvider = Arc::new(AssumeRole {
            role,
            base: base.provider,
            client: self.wire.identity(&endpoint)?,
            endpoint,
            region: self.settings.region.clone(),
            session: Mutex::default(),
        });
        Ok(Resolved { provider, source })
    }

    /// Where STS is: as set, or of the region.
    fn sts(&self) -> Result<Url, StoreError> {
        let region = &self.settings.region;
        let raw = match self.setting.find_first(&["AWS_STS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"])? {
            Some(found) => found.expose().trim().to_owned(),
            None => format!("https://sts.{region}.{}", super::domain(region)),
        };
        super::endpoint_url(&raw, true).ok_or_else(|| StoreError::Endpoint {
            connection: self.setting.name().to_owned(),
            endpoint: super::without_userinfo(&raw),
            key: "AWS_STS_ENDPOINT_URL",
        })
    }

    fn web_identity(
        &self,
        token_file: &str,
        arn: &str,
        session_name: Option<&str>,
        passed_over: &[String],
    ) -> Result<Aws, StoreError> {
        let endpoint = self.sts()?;
        // It is read with every request; that it is there at all is found out now.
        self.setting.file("token file", Path::new(token_file))?;
        let client = self.wire.identity(&endpoint)?;
        let provider = self.provider(client, |builder| {
            let builder = builder
                .with_config(AmazonS3ConfigKey::WebIdentityTokenFile, token_file)
                .with_config(AmazonS3ConfigKey::RoleArn, arn)
                .with_config(AmazonS3ConfigKey::StsEndpoint, endpoint.as_str().trim_end_matches('/'));
            match session_name {
                Some(name) => builder.with_config(AmazonS3ConfigKey::RoleSessionName, name),
                None => builder,
            }
        })?;
        Ok(Resolved {
            provider,
            source: Source {
                chosen: format!("web identity: role {arn} by the token in {token_file}"),
                passed_over: passed_over.to_vec(),
                last_resort: false,
            },
        })
    }

    fn container(&self, found: container::Container, passed_over: &[String]) -> Result<Aws, StoreError> {
        let chosen = format!("container credentials from {}", found.host());
        let client = self.wire.agent(found.url())?;
        Ok(Resolved {
            provider: Arc::new(container::ContainerCredentials::new(found, client)),
            source: Source { chosen, passed_over: passed_over.to_vec(), last_resort: false },
        })
    }

    fn instance(&self, passed_over: &[String], last_resort: bool) -> Result<Aws, StoreError> {
        const KEY: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
        let raw = self.setting.text(KEY)?.unwrap_or_else(|| "http://169.254.169.254".to_owned());
        let endpoint = super::endpoint_url(raw.trim(), false).ok_or_else(|| {
            let next = "set it to something like http://169.254.169.254, or leave it away";
            self.setting.malformed(KEY.to_owned(), "is no plain URL", next)
        })?;
        let host = endpoint.origin().ascii_serialization();
        let provider = self.provider(self.wire.agent(&endpoint)?, |builder| {
            let endpoint = endpoint.as_str().trim_end_matches('/');
            builder.with_config(AmazonS3ConfigKey::MetadataEndpoint, endpoint).with_imdsv1_fallback()
        })?;
        Ok(Resolved {
            provider,
            source: Source {
                chosen: format!("instance metadata at {host}"),
                passed_over: passed_over.to_vec(),
                last_resort,
            },
        })
    }

    /// The library's own providers, without its retries: the caller decides how long to wait.
    fn provider(
        &self,
        client: reqwest::Client,
        with: impl FnOnce(AmazonS3Builder) -> AmazonS3Builder,
    ) -> Result<AwsCredentialProvider, StoreError> {
        let asking = Asking { client, google: None };
        let builder = AmazonS3Builder::new()
            .with_bucket_name("credentials-only")
            .with_region(&self.settings.region)
            .with_http_connector(Ready(Arc::new(asking)))
            .with_retry(no_retries());
        let store = with(builder).build().map_err(|source| StoreError::Client {
            connection: self.setting.name().to_owned(),
            source: Box::new(source),
        })?;
        Ok(Arc::clone(store.credentials()))
    }
}

pub(crate) fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, backoff: BackoffConfig::default() }
}

fn fixed(credential: AwsCredential, chosen: String, passed_over: Vec<String>) -> Aws {
    let source = Source { chosen, passed_over, last_resort: false };
    Resolved { provider: Arc::new(Fixed(Arc::new(credential))), source }
}
