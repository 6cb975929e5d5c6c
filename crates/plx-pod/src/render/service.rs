//! The variables that tell a container which run it belongs to and where the API is.

use super::Renderer;
use super::built::{field, from_secret, var};
use plx_contract::{Class, Env, env};
use plx_runtime::Failure;
use serde_json::Value;

const HOST: &str = "POLYAXON_HOST";
const IS_MANAGED: &str = "POLYAXON_IS_MANAGED";
const API_VERSION: &str = "POLYAXON_API_VERSION";
const HEADER: &str = "POLYAXON_HEADER";
const HEADER_SERVICE: &str = "POLYAXON_HEADER_SERVICE";
const AUTHENTICATION_TYPE: &str = "POLYAXON_AUTHENTICATION_TYPE";
const AUTH_TOKEN: &str = "POLYAXON_AUTH_TOKEN";
const INTERNAL_TOKEN: &str = "POLYAXON_SECRET_INTERNAL_TOKEN";
const IS_OFFLINE: &str = "POLYAXON_IS_OFFLINE";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The init container that logs in.
    Auth,
    /// The other init containers.
    Init,
    /// The sidecar.
    Sidecar,
    /// Main and the user's sidecars.
    Runner,
}

impl Renderer<'_> {
    /// The variables of a container, in the converter's order.
    pub(super) fn service(&self, service: Service) -> Vec<Value> {
        let cluster = self.cluster;
        let mut vars = vec![
            field(env::NODE_NAME, "spec.nodeName"),
            field(env::NAMESPACE, "metadata.namespace"),
            field(env::POD_ID, "metadata.name"),
        ];
        vars.extend(self.proxies.iter().cloned());
        let log_level = self.plugins.log_level.as_ref().filter(|_| service != Service::Auth);
        let log_level = log_level.map(|level| var(env::LOG_LEVEL, level));
        let instance = var(env::RUN_INSTANCE, self.run_instance.to_string());
        let Some(host) = &self.host else {
            vars.extend([var(env::NO_API, "true"), var(IS_OFFLINE, "true"), instance]);
            vars.extend(log_level);
            return vars;
        };
        let external = self.plugins.external_host.then_some(self.external_host.as_ref()).flatten();
        let host = external.unwrap_or(host).trim_end_matches('/');
        vars.extend([var(HOST, host), var(IS_MANAGED, "true"), var(API_VERSION, "v1"), instance]);
        vars.extend(log_level);
        let internal = service == Service::Auth && cluster.internal_auth;
        vars.push(var(HEADER, if internal { "X-POLYAXON-INTERNAL" } else { "X-POLYAXON-SERVICE" }));
        vars.push(var(
            HEADER_SERVICE,
            match service {
                Service::Auth | Service::Init => "initializer",
                Service::Sidecar => "sidecar",
                Service::Runner => "runner",
            },
        ));
        if service == Service::Auth {
            let (key, secret) = if internal {
                (INTERNAL_TOKEN, &cluster.app_secret_name)
            } else {
                (AUTH_TOKEN, &cluster.agent_secret_name)
            };
            vars.extend(secret.as_ref().map(|secret| from_secret(key, secret, key)));
        }
        if service != Service::Runner {
            vars.push(var(AUTHENTICATION_TYPE, if internal { "InternalToken" } else { "Token" }));
        }
        vars
    }
}

/// The proxies of the caller's environment, each under both of its names.
///
/// # Errors
/// When one holds a password, which would stand in the pod for everybody to read.
pub fn proxies(caller: &impl Env) -> Result<Vec<Value>, Failure> {
    let mut vars = Vec::new();
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] {
        let lower = name.to_ascii_lowercase();
        let Some(value) = caller.non_empty(name).or_else(|| caller.non_empty(&lower)) else { continue };
        if value.contains('@') {
            let message = format!("{name} holds a login, which everybody who may read the pod would see");
            return Err(Failure::new(Class::Config, message)
                .with_next("give a proxy without a login, or set it in main from a secret"));
        }
        vars.extend([var(name, value.as_str()), var(&lower, value)]);
    }
    Ok(vars)
}
