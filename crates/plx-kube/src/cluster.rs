//! The pod's own cluster.

use crate::{KubeError, Pod};
use plx_contract::Env;
use plx_contract::credential::Files;
use reqwest::Response;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use serde_json::Value;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the kubelet puts the service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const CONNECT: Duration = Duration::from_secs(5);
/// For an answer with its body.
pub(crate) const WHOLE: Duration = Duration::from_secs(30);
/// As much of the server's own words as is repeated.
const SAID: usize = 300;

/// A client for the cluster that this pod runs in.
pub struct Cluster<F> {
    base: String,
    account: PathBuf,
    namespace: String,
    client: reqwest::Client,
    files: F,
}

impl<F> fmt::Debug for Cluster<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster({})", self.base)
    }
}

impl<F: Files> Cluster<F> {
    /// The cluster of this pod.
    ///
    /// # Errors
    /// When this is no pod, or its service account is not mounted.
    pub fn of_this_pod(env: &impl Env, files: F) -> Result<Self, KubeError> {
        let variable =
            |missing: &'static str| env.non_empty(missing).ok_or(KubeError::NotInCluster { missing });
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        let account = PathBuf::from(
            env.non_empty(plx_contract::env::SERVICE_ACCOUNT_DIR).unwrap_or_else(|| ACCOUNT.to_owned()),
        );
        let host = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let ca = text(&files, &account.join("ca.crt"))?;
        let wrong = |source| KubeError::Client { host: host.clone(), source };
        let certificates = reqwest::Certificate::from_pem_bundle(ca.as_bytes()).map_err(wrong)?;
        let client = reqwest::Client::builder()
            .user_agent(concat!("plx-runtime/", env!("CARGO_PKG_VERSION")))
            .tls_certs_only(certificates)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .build()
            .map_err(wrong)?;
        let namespace = match env.non_empty(plx_contract::env::NAMESPACE) {
            Some(namespace) => namespace,
            None => text(&files, &account.join("namespace"))?.trim().to_owned(),
        };
        Ok(Self { base: format!("https://{host}"), account, namespace, client, files })
    }

    /// The pod's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Reads an object; none when there is none.
    ///
    /// # Errors
    /// When the server cannot be asked or refuses.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, KubeError> {
        let response = self.send(path, WHOLE).await?;
        match response.status().as_u16() {
            200..300 => {
                let body = response.text().await.map_err(|error| unreachable(path, error))?;
                Ok(Some(serde_json::from_str(&body).unwrap_or_default()))
            }
            404 => Ok(None),
            _ => Err(refused(path, response).await),
        }
    }

    /// Reads a pod of the namespace, by its status where nothing else is allowed; none when there is none.
    ///
    /// # Errors
    /// When the server cannot be asked, refuses, or answers with something else.
    pub async fn pod(&self, name: &str) -> Result<Option<Pod>, KubeError> {
        let path = self.path_of(name);
        let no_pod = |_| KubeError::Refused { path, status: 200, said: "what came is no pod".to_owned() };
        self.pod_object(name).await?.map(serde_json::from_value).transpose().map_err(no_pod)
    }

    /// The same as [`Cluster::pod`], with all that the server says of it.
    ///
    /// # Errors
    /// When the server cannot be asked or refuses.
    pub async fn pod_object(&self, name: &str) -> Result<Option<Value>, KubeError> {
        let path = self.path_of(name);
        match self.get(&path).await {
            Err(denied @ KubeError::Refused { status: 403, .. }) => {
                self.get(&format!("{path}/status")).await.map_err(|_| denied)
            }
            read => read,
        }
    }

    fn path_of(&self, pod: &str) -> String {
        format!("/api/v1/namespaces/{}/pods/{pod}", self.namespace)
    }

    /// Asks, whatever the answer is; answer and body have come by then or it is an error.
    pub(crate) async fn send(&self, path: &str, within: Duration) -> Result<Response, KubeError> {
        let token = text(&self.files, &self.account.join("token"))?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| {
            let source = io::Error::new(io::ErrorKind::InvalidData, "it is no token");
            KubeError::File { path: self.account.join("token"), source }
        })?;
        bearer.set_sensitive(true);
        let request = self.client.get(format!("{}{path}", self.base)).timeout(within);
        let request = request.header(AUTHORIZATION, bearer).header(ACCEPT, "application/json");
        request.send().await.map_err(|error| unreachable(path, error))
    }
}

pub(crate) fn unreachable(path: &str, error: reqwest::Error) -> KubeError {
    KubeError::Unreachable { path: path.to_owned(), source: error.without_url() }
}

/// The error that a refusal is, with the server's own words.
pub(crate) async fn refused(path: &str, response: Response) -> KubeError {
    let status = response.status().as_u16();
    // A refusal whose words do not arrive is a refusal all the same.
    let body = response.text().await.unwrap_or_default();
    KubeError::Refused { path: path.to_owned(), status, said: said(&body) }
}

/// The message of a `Status`, or the beginning of whatever came.
fn said(body: &str) -> String {
    let status: Value = serde_json::from_str(body).unwrap_or_default();
    let words = status.get("message").and_then(Value::as_str).unwrap_or(body);
    let mut line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(SAID));
    line
}

fn text(files: &impl Files, path: &Path) -> Result<String, KubeError> {
    let failed = |source| KubeError::File { path: path.to_owned(), source };
    files.read(path).map_err(failed)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

/// The path of a run's custom resource (`polyaxon/_k8s/custom_resources`); none for a kind that has no resource.
pub fn operation_path(namespace: &str, kind: &str, uuid: &str) -> Option<String> {
    let plural = match kind {
        "job" => "jobs",
        "service" => "services",
        "tfjob" | "pytorchjob" | "mpijob" | "paddlejob" | "xgbjob" | "mxjob" => "kfjobs",
        "rayjob" | "raycluster" | "daskjob" | "daskcluster" | "ray" | "dask" => "clusters",
        _ => return None,
    };
    Some(format!("/apis/polyaxon.com/v1/namespaces/{namespace}/{plural}/plx-operation-{uuid}"))
}

/// Whether runs of a kind have services (`polyaxon/_flow/run/enums.py`, `has_service`).
pub fn has_service(kind: &str) -> bool {
    matches!(kind, "service" | "daskcluster" | "raycluster" | "mpijob" | "tfjob" | "pytorchjob")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_run_has_its_resource() {
        assert_eq!(
            operation_path("ns", "job", "R").as_deref(),
            Some("/apis/polyaxon.com/v1/namespaces/ns/jobs/plx-operation-R")
        );
        assert!(operation_path("ns", "pytorchjob", "R").is_some_and(|path| path.contains("/kfjobs/")));
        assert_eq!(operation_path("ns", "dag", "R"), None);
    }

    #[test]
    fn the_words_of_a_status() {
        assert_eq!(said(r#"{"kind":"Status","message":"jobs is\nforbidden"}"#), "jobs is forbidden");
        assert_eq!(said("<html>"), "<html>");
    }
}
