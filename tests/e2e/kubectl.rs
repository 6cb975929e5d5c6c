//! The cluster, through kubectl: what a person would type.

use plx_testkit::Planted;
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::{Instant, interval};

/// Longer than any pod here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);
/// What the tests made, and may remove.
pub const LABEL: &str = "plx-e2e";

pub fn namespace() -> String {
    variable("PLX_E2E_NAMESPACE")
}

/// A variable that `tests/e2e.sh` sets.
#[allow(clippy::disallowed_methods, reason = "a test is told of its world by the script that makes it")]
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make e2e`"))
}

/// `kubectl …` in the namespace of the tests; what it printed, or what it complained of.
pub async fn kubectl(args: &[&str], stdin: Option<&Value>) -> Result<String, String> {
    kubectl_text(args, &stdin.map(Value::to_string).unwrap_or_default()).await
}

/// The same with any text on its standard input.
pub async fn kubectl_text(args: &[&str], stdin: &str) -> Result<String, String> {
    let mut command = Command::new("kubectl");
    command.args(["--namespace", &namespace()]).args(args).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("kubectl is on PATH");
    let mut input = child.stdin.take().unwrap();
    // It may have ended with a complaint before it read all.
    input.write_all(stdin.as_bytes()).await.ok();
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Whose an object is that says nothing else.
pub const ANYBODYS: &str = "yes";

/// Makes an object, which [`clean`] removes: that of everybody, unless it is labelled already.
pub async fn create(object: &Value) {
    let mut object = object.clone();
    let owner = &mut object["metadata"]["labels"][LABEL];
    if owner.is_null() {
        *owner = ANYBODYS.into();
    }
    kubectl(&["create", "-f", "-"], Some(&object)).await.unwrap_or_else(|said| panic!("{said}{object:#}"));
}

/// Removes what a test left; nothing of it is there afterwards.
pub async fn clean(owner: &str) {
    let label = format!("{LABEL}={owner}");
    let kinds = "pods,secrets,configmaps,persistentvolumeclaims,persistentvolumes,serviceaccounts,rolebindings,\
                 priorityclasses,runtimeclasses";
    kubectl(&["delete", kinds, "-l", &label, "--force", "--grace-period=0", "--timeout=100s"], None)
        .await
        .unwrap();
}

/// A pod of the cluster.
pub struct Pod {
    name: String,
}

/// How it ended.
pub struct Ended {
    pub pod: Value,
    /// What each container printed, init containers first.
    pub logs: Vec<(String, String)>,
}

impl Pod {
    pub async fn start(spec: &Value) -> Self {
        create(spec).await;
        Self { name: spec["metadata"]["name"].as_str().unwrap().to_owned() }
    }

    /// None when there is none (any more).
    async fn look(&self) -> Option<Value> {
        match kubectl(&["get", "pod", &self.name, "-o", "json"], None).await {
            Ok(json) => Some(serde_json::from_str(&json).unwrap()),
            Err(said) if said.contains("NotFound") => None,
            Err(said) => panic!("{said}"),
        }
    }

    /// Looks until it is so.
    pub async fn until(&self, what: &str, so: impl Fn(Option<&Value>) -> bool) -> Option<Value> {
        let deadline = Instant::now() + PATIENCE;
        // A look is a process of its own, and pods of many tests run on these cores.
        let mut looks = interval(Duration::from_millis(700));
        loop {
            looks.tick().await;
            let seen = self.look().await;
            if so(seen.as_ref()) {
                return seen;
            }
            if Instant::now() > deadline {
                let described =
                    kubectl(&["describe", "pod", &self.name], None).await.unwrap_or_else(|said| said);
                let logs = match &seen {
                    Some(pod) => self.logs(pod).await,
                    None => Vec::new(),
                };
                panic!("{} is not {what} after {PATIENCE:?}\n{described}\n{logs:#?}", self.name);
            }
        }
    }

    /// Waits for its end; every container ended well, and nothing it said holds a secret.
    pub async fn succeeds(&self) -> Ended {
        self.ends("Succeeded").await
    }

    /// Waits for its end in that phase; nothing it said holds a secret.
    pub async fn ends(&self, phase: &str) -> Ended {
        let over = |pod: Option<&Value>| {
            pod.is_some_and(|pod| {
                ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == **phase)
            })
        };
        let pod = self.until("over", over).await.unwrap();
        let ended = Ended { logs: self.logs(&pod).await, pod };
        let planted = Planted::here();
        for (container, log) in &ended.logs {
            planted.assert_free(&format!("the log of {container}"), log.as_bytes());
        }
        assert_eq!(ended.pod["status"]["phase"], phase, "{:#}\n{:#?}", ended.pod["status"], ended.logs);
        ended
    }

    async fn logs(&self, pod: &Value) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for container in containers(pod) {
            let name = container["name"].as_str().unwrap();
            let log = kubectl(&["logs", &self.name, "-c", name], None).await.unwrap_or_else(|said| said);
            all.push((name.to_owned(), log));
        }
        all
    }

    /// Deletes it with that grace, and waits until it is gone.
    pub async fn delete(self, grace: u32) {
        kubectl(&["delete", "pod", &self.name, &format!("--grace-period={grace}"), "--wait=false"], None)
            .await
            .unwrap();
        self.until("gone", |pod| pod.is_none()).await;
    }
}

/// All containers of a pod, init containers first.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| pod["spec"][list].as_array().into_iter().flatten())
}

impl Ended {
    /// How a container ended.
    pub fn end(&self, container: &str) -> &Value {
        let lists = ["initContainerStatuses", "containerStatuses"];
        let mut statuses =
            lists.iter().flat_map(|list| self.pod["status"][list].as_array().into_iter().flatten());
        let status = statuses.find(|status| status["name"].as_str().unwrap().starts_with(container));
        &status.unwrap_or_else(|| panic!("no {container}"))["state"]["terminated"]
    }

    /// When it ended, in seconds of its day: no test is longer than one.
    pub fn finished(&self, container: &str) -> i64 {
        let at = self.end(container)["finishedAt"].as_str().unwrap();
        let clock = at.split_once('T').unwrap().1.trim_end_matches('Z');
        let numbers = clock.split(':').map(|number| number.parse::<i64>().unwrap());
        numbers.fold(0, |sum, number| sum * 60 + number)
    }

    /// The report that a container of ours left as its termination message.
    pub fn report(&self, container: &str) -> Value {
        let ended = self.end(container);
        assert_eq!(ended["exitCode"], 0, "{container}: {ended:#}");
        let message =
            ended["message"].as_str().unwrap_or_else(|| panic!("{container} left no report: {ended:#}"));
        serde_json::from_str(message).unwrap_or_else(|error| panic!("{container}: {error}: {message}"))
    }

    pub fn log(&self, container: &str) -> &str {
        &self.logs.iter().find(|(name, _)| name.starts_with(container)).unwrap().1
    }
}
