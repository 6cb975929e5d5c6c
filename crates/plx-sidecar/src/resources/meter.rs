//! A look at main: by the metrics API where there is one, else by its processes where they can be seen.

use super::capacity::Capacity;
use super::processes::{Used, Whose, used};
use super::{Look, Meter, Sample, TICK};
use crate::Config;
use futures::FutureExt;
use futures::future::BoxFuture;
use plx_contract::{Classified, Env, env};
use plx_kube::{Cluster, KubeError};
use plx_runtime::DiskFiles;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

const PROC: &str = "/proc";
/// For one answer of the API.
const ANSWER: Duration = Duration::from_secs(2);
/// The metrics API measures no more often.
const METRICS: Duration = Duration::from_secs(25);
/// Where it has nothing, it is asked again after so long.
const METRICS_AGAIN: Duration = Duration::from_secs(300);
/// It knows a pod only after a while; so many looks are not worth a word.
const PATIENCE: u32 = 12;

/// How main is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Nothing,
    Metrics,
    Processes,
}

pub(super) struct PodMeter {
    cluster: Option<Cluster<DiskFiles>>,
    pod: String,
    container: String,
    /// As the sidecar's environment says.
    wanted: Option<bool>,
    pid: Option<i32>,
    main: Option<Main>,
    by: By,
    /// When the metrics API is asked next, and when it measured what was taken.
    ask: Instant,
    measured: String,
    before: Option<(Instant, Used)>,
    /// Looks that found nothing, and why the last one did.
    blind: u32,
    said: bool,
}

/// What is known of the main container.
#[derive(Debug, Clone)]
struct Main {
    capacity: Capacity,
    /// At the container runtime.
    id: Option<String>,
}

impl PodMeter {
    /// None where it is switched off, or where nobody can say whether it is on.
    pub fn of(config: &Config, env: &impl Env) -> Option<Self> {
        let wanted = config.collect_resources;
        if wanted == Some(false) {
            return None;
        }
        let cluster = match Cluster::of_this_pod(env, DiskFiles) {
            _ if config.wrapped_main.is_some() => None, // nothing is asked of Kubernetes
            Ok(cluster) => Some(cluster),
            // Whoever follows the pod's status says so.
            Err(error) => {
                tracing::debug!("what main uses is not asked of Kubernetes: {}", error.chain());
                None
            }
        };
        if cluster.is_none() && wanted.is_none() {
            return None;
        }
        if cluster.is_none() && config.main_pid.is_none() {
            tracing::warn!("what main uses is not collected: without a cluster it takes --main-pid");
            return None;
        }
        Some(Self {
            cluster,
            pod: config.pod.clone(),
            container: config.container.clone(),
            wanted,
            pid: config.main_pid,
            main: None,
            by: By::Nothing,
            ask: Instant::now(),
            measured: String::new(),
            before: None,
            blind: 0,
            said: false,
        })
    }

    async fn look_at_main(&mut self) -> Look {
        let main = match &self.main {
            Some(main) => main.clone(),
            None => match self.find_main().await {
                Ok(Some(main)) => self.main.insert(main).clone(),
                Ok(None) => return Look::Nothing,
                Err(look) => return look,
            },
        };
        let refused = match self.ask_metrics().await {
            Ok(Some(usage)) => {
                self.sees(By::Metrics);
                return match usage {
                    Some((cores, bytes)) => Look::Used(main.capacity.share(cores, bytes)),
                    None => Look::Nothing,
                };
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        let whose = self.pid.map(Whose::Tree).or_else(|| main.id.clone().map(Whose::Container));
        let found = match whose {
            Some(whose) => spawn_blocking(move || used(Path::new(PROC), &whose)).await.ok().flatten(),
            None => None,
        };
        if let Some(now) = found {
            self.sees(By::Processes);
            return self.since(now, main.capacity).map_or(Look::Nothing, Look::Used);
        }
        if self.by == By::Processes {
            // Its container may be another one now.
            (self.main, self.before) = (None, None);
        }
        self.sees_nothing(refused.as_ref());
        Look::Nothing
    }

    /// What the pod says of main; none when it has to be asked again.
    async fn find_main(&mut self) -> Result<Option<Main>, Look> {
        let Some(node) = Capacity::of_node(Path::new(PROC), &DiskFiles) else {
            tracing::warn!("what main uses is not collected: what its node has cannot be read in {PROC}");
            return Err(Look::Unwanted);
        };
        let unlimited = Main { capacity: node, id: None };
        let Some(cluster) = &self.cluster else { return Ok(Some(unlimited)) };
        let pod = match timeout(ANSWER, cluster.pod_object(&self.pod)).await {
            Ok(Ok(Some(pod))) => pod,
            Ok(Err(error)) if error.is_refusal() => {
                if self.wanted == Some(true) {
                    return Ok(Some(unlimited));
                }
                let next = error.next_step().unwrap_or_default();
                tracing::info!(
                    "what main uses is not collected, the pod cannot be read: {}; next: {next}, or set {}",
                    error.chain(),
                    env::COLLECT_RESOURCES
                );
                return Err(Look::Unwanted);
            }
            // The next look asks again; whoever follows the pod's status says why.
            Ok(Ok(None) | Err(_)) | Err(_) => return Ok(None),
        };
        let named = |list: &str| {
            let all = pod.pointer(list).and_then(Value::as_array);
            all.and_then(|all| all.iter().find(|one| one["name"] == self.container.as_str()))
        };
        let container = named("/spec/containers").cloned().unwrap_or_default();
        // The converter sets it for main alone, and not at all when nothing is to be collected.
        if !self.wanted.unwrap_or_else(|| collects(&container)) {
            return Err(Look::Unwanted);
        }
        let id = named("/status/containerStatuses").and_then(|status| status["containerID"].as_str());
        let id = id.and_then(|id| id.split_once("://")).map(|(_, id)| id.to_owned());
        Ok(Some(Main { capacity: node.limited(&container), id }))
    }

    /// Cores and bytes, none of them when nothing was measured since; none at all where there are no metrics.
    async fn ask_metrics(&mut self) -> Result<Option<Option<(f64, f64)>>, KubeError> {
        let Some(cluster) = &self.cluster else { return Ok(None) };
        if self.by == By::Processes {
            return Ok(None);
        }
        if Instant::now() < self.ask {
            return Ok((self.by == By::Metrics).then_some(None));
        }
        let again = if self.blind < PATIENCE { METRICS } else { METRICS_AGAIN };
        self.ask = Instant::now() + again;
        // No answer is none.
        let found = timeout(ANSWER, cluster.usage(&self.pod)).await.unwrap_or(Ok(None))?;
        let Some(found) = found else { return Ok(None) };
        let Some(usage) = found.containers.get(&self.container) else { return Ok(None) };
        if found.at == self.measured {
            return Ok(Some(None));
        }
        self.measured = found.at;
        Ok(Some(Some((usage.cores, usage.bytes))))
    }

    /// What processes used since the look before; none at the first.
    fn since(&mut self, now: Used, capacity: Capacity) -> Option<Sample> {
        let at = Instant::now();
        let (then, before) = self.before.replace((at, now))?;
        let seconds = at.duration_since(then).as_secs_f64();
        // What processes that are gone used is no longer counted.
        let cores = (now.seconds - before.seconds).max(0.0) / seconds;
        (seconds > 0.0).then(|| capacity.share(cores, now.bytes))
    }

    fn sees(&mut self, by: By) {
        if self.by != by {
            tracing::debug!("what main uses is known by {by:?}");
        }
        if std::mem::take(&mut self.said) {
            tracing::info!("what main uses is collected again");
        }
        (self.by, self.blind) = (by, 0);
    }

    fn sees_nothing(&mut self, refused: Option<&KubeError>) {
        self.by = By::Nothing;
        self.blind = self.blind.saturating_add(1);
        let error = refused.filter(|error| error.is_refusal());
        if self.said || error.is_none() && self.blind < PATIENCE {
            return;
        }
        self.said = true;
        let why = match error {
            Some(error) => error.chain(),
            None => format!("no metrics API knew pod {} for {:?}", self.pod, TICK * PATIENCE),
        };
        tracing::warn!(
            "what main uses is not collected: {why}; nor are its processes visible (shareProcessNamespace, --main-pid)"
        );
    }
}

impl Meter for PodMeter {
    fn look(&mut self) -> BoxFuture<'_, Look> {
        self.look_at_main().boxed()
    }
}

/// Whether the container's own environment says so.
fn collects(container: &Value) -> bool {
    let of = |variable: &&Value| variable["name"] == env::COLLECT_RESOURCES;
    let variables = container["env"].as_array();
    let found = variables.and_then(|all| all.iter().rfind(of));
    found.and_then(|variable| env::parse_bool(variable["value"].as_str()?)).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn mains_own_environment_says_whether() {
        let container = |value: Value| json!({"env": [{"name": "A", "value": "true"}, {"name": env::COLLECT_RESOURCES, "value": value}]});
        assert!(collects(&container(json!("true"))) && collects(&container(json!("1"))));
        assert!(!collects(&container(json!("false"))) && !collects(&container(Value::Null)));
        assert!(!collects(&json!({})));
    }
}
