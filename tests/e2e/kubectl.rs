//! The cluster, through kubectl: what a person would type.

use plx_testkit::Planted;
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

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

/// What becomes of a pod: one process looks for all of a test's time, as these cores are those of the pods too.
struct Changes {
    kubectl: Child,
    unread: Vec<u8>,
}

impl Changes {
    fn of(pod: &str) -> Self {
        let mut command = Command::new("kubectl");
        command.args([
            "--namespace",
            &namespace(),
            "get",
            "pod",
            pod,
            "--output-watch-events",
            "-w",
            "-o",
            "json",
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { kubectl: command.spawn().expect("kubectl is on PATH"), unread: Vec::new() }
    }

    /// The pod as it is next, or that it is gone; nothing when the watch has ended.
    async fn next(&mut self) -> Option<Option<Value>> {
        loop {
            let mut events = serde_json::Deserializer::from_slice(&self.unread).into_iter::<Value>();
            if let Some(Ok(mut event)) = events.next() {
                self.unread.drain(..events.byte_offset());
                return Some((event["type"] != "DELETED").then(|| event["object"].take()));
            }
            if self.kubectl.stdout.as_mut().unwrap().read_buf(&mut self.unread).await.unwrap() == 0 {
                return None;
            }
        }
    }

    async fn complaint(self) -> String {
        String::from_utf8_lossy(&self.kubectl.wait_with_output().await.unwrap().stderr).into_owned()
    }
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

    /// Looks at each of its changes until it is so; at none when there is no such pod (any more).
    pub async fn until(&self, what: &str, so: impl Fn(Option<&Value>) -> bool) -> Option<Value> {
        if let Ok(seen) = timeout(PATIENCE, self.changes_until(&so)).await {
            return seen;
        }
        let described = kubectl(&["describe", "pod", &self.name], None).await.unwrap_or_else(|said| said);
        let logs = match kubectl(&["get", "pod", &self.name, "-o", "json"], None).await {
            Ok(pod) => self.logs(&serde_json::from_str(&pod).unwrap()).await,
            Err(_) => Vec::new(),
        };
        panic!("{} is not {what} after {PATIENCE:?}\n{described}\n{logs:#?}", self.name);
    }

    async fn changes_until(&self, so: &impl Fn(Option<&Value>) -> bool) -> Option<Value> {
        // A watch may be broken off.
        let mut watches = interval(Duration::from_millis(500));
        loop {
            watches.tick().await;
            let mut changes = Changes::of(&self.name);
            while let Some(seen) = changes.next().await {
                if so(seen.as_ref()) {
                    return seen;
                }
            }
            let said = changes.complaint().await;
            assert!(said.is_empty() || said.contains("NotFound"), "{said}");
            if said.contains("NotFound") && so(None) {
                return None;
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
