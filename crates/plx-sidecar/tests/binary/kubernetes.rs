//! Main's end, told by a cluster that does what clusters do. The store is a folder.

use crate::pod::{Ended, RUN, Sidecar};
use plx_testkit::{FakeKube, KubeFault, Snapshot, Times};
use rustix::process::Signal;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, interval, timeout};

pub const POD: &str = "pod-1";
/// No end takes as long as this, not even in a black hole: a watch's bound, an answer's, and what is slow on a busy machine.
const BOUND: Duration = Duration::from_secs(60);
pub const RESOURCES: &str = "POLYAXON_COLLECT_RESOURCES";
pub const OFTEN: [&str; 2] = ["--sync-interval=1", "--sleep-interval=1"];

pub struct World {
    pub kube: FakeKube,
    folder: TempDir,
    env: BTreeMap<String, String>,
}

impl World {
    /// A pod whose main container runs.
    pub async fn new(restart_policy: &str) -> Self {
        let kube = FakeKube::start().await;
        kube.start_pod(POD, restart_policy);
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for made in [format!("artifacts/{RUN}"), "store".to_owned()] {
            fs::create_dir_all(path(&made)).unwrap();
        }
        let schema = json!({"volumeClaim": "claim", "mountPath": path("store")});
        let catalog = json!({"connections": [{"name": "store", "kind": "volume_claim", "schema": schema}]});
        let own = [
            ("POLYAXON_CONTEXT_ROOT", folder.path().display().to_string()),
            ("POLYAXON_RUN_INSTANCE", format!("owner.project.runs.{RUN}")),
            ("POLYAXON_K8S_POD_ID", POD.to_owned()),
            ("POLYAXON_ARTIFACTS_STORE_NAME", "store".to_owned()),
            ("POLYAXON_CONNECTIONS_CATALOG", catalog.to_string()),
            ("PLX_TERMINATION_LOG", path("termination-log")),
            // Else it would ask for the pod once more.
            (RESOURCES, "false".to_owned()),
        ];
        let env = own.into_iter().chain(kube.env()).map(|(key, value)| (key.to_owned(), value)).collect();
        Self { kube, folder, env }
    }

    /// Whether what main uses is collected, is for main's environment to say, as in the converter's pods.
    pub fn main_says_of_resources(&mut self) {
        self.env.remove(RESOURCES);
    }

    pub fn run(&self, name: &str) -> PathBuf {
        self.folder.path().join("artifacts").join(RUN).join(name)
    }

    pub fn stored(&self, name: &str) -> PathBuf {
        self.folder.path().join("store").join(RUN).join(name)
    }

    pub fn write(&self, name: &str) {
        fs::create_dir_all(self.run(name).parent().unwrap()).unwrap();
        fs::write(self.run(name), name).unwrap();
    }

    pub fn start(&self, args: &[&str]) -> Sidecar {
        Sidecar::start(args, &self.env, vec![self.folder.path().to_owned()])
    }

    /// A sidecar that watches its pod.
    async fn watching(&self) -> Sidecar {
        let sidecar = self.start(&OFTEN);
        within("a watch", self.kube.answered("watch", 200, 1)).await;
        sidecar
    }

    /// Writes a file and waits until a pass has stored it.
    async fn serves(&self, sidecar: &mut Sidecar, name: &str) {
        self.write(name);
        let stored = self.stored(name);
        let look = async {
            let mut looks = interval(Duration::from_millis(20));
            while !stored.exists() {
                looks.tick().await;
                assert!(sidecar.is_running(), "it ended while main runs");
            }
        };
        within(name, look).await;
        assert!(sidecar.is_running(), "it ended while main runs");
    }

    /// Waits for the end: all is stored, it is none of our failures, and it is said how main ended.
    pub async fn ends(&self, sidecar: Sidecar, words: &str) -> Ended {
        let ended = within("its end", sidecar.end()).await;
        assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("done")), "{ended:?}");
        assert!(ended.stderr.contains(words), "{words:?} in {}", ended.stderr);
        let stored = Snapshot::of(&self.stored("")).unwrap();
        assert_eq!(stored.diff(&Snapshot::of(&self.run("")).unwrap()), "");
        ended
    }
}

/// Waits no longer than anything takes.
pub async fn within<T>(what: &str, waited: impl Future<Output = T>) -> T {
    timeout(BOUND, waited).await.unwrap_or_else(|_| panic!("no {what} in {BOUND:?}"))
}

/// A pod that ends so, seen by a watch.
async fn ended_by(end: impl FnOnce(&FakeKube), words: &str) -> Ended {
    let world = World::new("Never").await;
    let mut sidecar = world.watching().await;
    world.serves(&mut sidecar, "outputs/early").await;
    world.write("outputs/last");
    end(&world.kube);
    world.ends(sidecar, words).await
}

#[tokio::test]
async fn main_exits_with_0() {
    let words = "main ended with 0 (pod status: polyaxon-main terminated, exit code 0)";
    let ended = ended_by(|kube| kube.main_ended(POD, 0, "Completed"), words).await;
    assert!(!ended.stderr.contains("WARN"), "{}", ended.stderr);
}

#[tokio::test]
async fn main_exits_with_1() {
    ended_by(|kube| kube.main_ended(POD, 1, "Error"), "polyaxon-main terminated, exit code 1").await;
}

#[tokio::test]
async fn main_is_killed_for_its_memory() {
    let words = "pod status: polyaxon-main terminated, exit code 137 (OOMKilled)";
    ended_by(|kube| kube.main_ended(POD, 137, "OOMKilled"), words).await;
}

#[tokio::test]
async fn the_pod_is_evicted() {
    let evicted =
        |kube: &FakeKube| kube.pod_phase(POD, "Failed", "Evicted", "The node was low on resource: memory.");
    ended_by(evicted, "pod status: pod Failed (Evicted: The node was low on resource: memory.)").await;
}

#[tokio::test]
async fn the_pod_is_gone_from_the_cluster() {
    ended_by(|kube| kube.delete_pod(POD), "pod status: pod pod-1 is gone").await;
}

#[tokio::test]
async fn another_pod_has_its_name() {
    ended_by(|kube| kube.start_pod(POD, "Never"), "pod status: pod pod-1 is another one now").await;
}

#[tokio::test]
async fn main_ended_before_it_was_looked_at() {
    let world = World::new("Never").await;
    world.write("outputs/a");
    world.kube.main_ended(POD, 2, "Error");
    let sidecar = world.start(&[]);
    world.ends(sidecar, "main ended with 2").await;
    let looks = world.kube.calls().into_iter().filter(|call| call.verb != "list").count();
    assert_eq!(looks, 1, "{:?}", world.kube.calls());
}

#[tokio::test]
async fn the_container_of_that_name_is_main() {
    let world = World::new("Never").await;
    let sidecar = world.start(&["--container-id=tensorflow", OFTEN[0], OFTEN[1]]);
    within("a watch", world.kube.answered("watch", 200, 1)).await;
    world.write("outputs/a");
    world.kube.change_pod(POD, |pod| {
        let ended = json!({"terminated": {"exitCode": 5, "reason": "Error"}});
        pod["status"]["containerStatuses"][0] = json!({"name": "tensorflow", "state": ended});
    });
    world.ends(sidecar, "pod status: tensorflow terminated, exit code 5").await;
}

#[tokio::test]
async fn main_is_started_again_after_a_failure_and_then_ends() {
    let world = World::new("OnFailure").await;
    let mut sidecar = world.watching().await;
    world.kube.main_ended(POD, 1, "Error");
    world.serves(&mut sidecar, "outputs/after-the-first").await;
    world.kube.main_waits(POD, "CrashLoopBackOff");
    world.serves(&mut sidecar, "outputs/while-it-waits").await;
    world.kube.main_runs(POD);
    world.serves(&mut sidecar, "outputs/second").await;
    world.write("outputs/last");
    world.kube.main_ended(POD, 0, "Completed");
    world.ends(sidecar, "main ended with 0").await;
}

#[tokio::test]
async fn after_sigterm_it_serves_a_main_that_still_runs() {
    let world = World::new("Never").await;
    let mut sidecar = world.watching().await;
    world.kube.deletion_began(POD);
    sidecar.signal(Signal::TERM);
    // The look that SIGTERM asks for.
    within("a look", world.kube.answered("get", 200, 2)).await;
    for round in 0..5 {
        world.serves(&mut sidecar, &format!("outputs/checkpoint-{round}")).await;
    }
    world.write("outputs/last");
    world.kube.main_ended(POD, 143, "Error");
    world.ends(sidecar, "main ended with 143").await;
}

#[tokio::test]
async fn the_token_is_rotated_and_the_old_one_is_refused() {
    let world = World::new("Never").await;
    let mut sidecar = world.watching().await;
    world.kube.rotate_token();
    world.kube.cut_watches();
    within("another watch", world.kube.answered("watch", 200, 2)).await;
    world.serves(&mut sidecar, "outputs/a").await;
    world.kube.main_ended(POD, 0, "Completed");
    world.ends(sidecar, "main ended with 0").await;
    // The list at the start may have had the old one in its hands.
    let calls = world.kube.calls();
    let looks = calls.iter().filter(|call| call.verb != "list");
    assert!(looks.into_iter().all(|call| call.status == Some(200)), "{calls:?}");
}

#[tokio::test]
async fn the_api_fails_for_a_while() {
    let world = World::new("Never").await;
    let mut sidecar = world.watching().await;
    world.kube.fail("*", KubeFault::Status(500), Times::Always);
    world.kube.cut_watches();
    within("failures", world.kube.answered("get", 500, 2)).await;
    world.serves(&mut sidecar, "outputs/meanwhile").await;
    world.kube.main_ended(POD, 0, "Completed");
    world.write("outputs/last");
    world.kube.recover();
    let ended = world.ends(sidecar, "main ended with 0").await;
    let count = |words: &str| ended.stderr.lines().filter(|line| line.contains(words)).count();
    assert_eq!(count("the pod's status cannot be read"), 1, "{}", ended.stderr);
    assert_eq!(count("the pod's status can be read again"), 1, "{}", ended.stderr);
}

#[tokio::test]
async fn the_connection_falls_into_a_black_hole_and_main_ends() {
    let world = World::new("Never").await;
    let mut sidecar = world.watching().await;
    world.kube.black_hole();
    world.kube.main_ended(POD, 0, "Completed");
    world.serves(&mut sidecar, "outputs/a").await;
    // The watch that was open stays dead.
    world.kube.recover();
    world.ends(sidecar, "main ended with 0").await;
}

#[tokio::test]
async fn the_api_falls_into_a_black_hole_and_sigterm_comes() {
    let world = World::new("Never").await;
    let mut sidecar = world.watching().await;
    world.kube.black_hole();
    world.serves(&mut sidecar, "outputs/a").await;
    world.write("outputs/last");
    sidecar.signal(Signal::TERM);
    world.ends(sidecar, "quiet since SIGTERM").await;
}

#[tokio::test]
async fn its_rights_are_removed_and_sigterm_comes() {
    let world = World::new("Never").await;
    let mut sidecar = world.watching().await;
    world.kube.deny("*", "*");
    world.serves(&mut sidecar, "outputs/a").await;
    world.write("outputs/last");
    let asked = Instant::now();
    sidecar.signal(Signal::TERM);
    let ended = world.ends(sidecar, "quiet since SIGTERM").await;
    // The watch stays open: without a look at SIGTERM it would take its whole time to learn of that.
    assert!(asked.elapsed() < Duration::from_secs(12), "{:?}", asked.elapsed());
    assert!(ended.stderr.contains(r#"cannot get resource "pods""#), "{}", ended.stderr);
}

#[tokio::test]
async fn it_may_not_watch_and_polls() {
    let world = World::new("Never").await;
    world.kube.deny("watch", "pods");
    let mut sidecar = world.start(&OFTEN);
    within("looks", world.kube.answered("get", 200, 3)).await;
    world.serves(&mut sidecar, "outputs/a").await;
    world.kube.main_ended(POD, 0, "Completed");
    let ended = world.ends(sidecar, "main ended with 0").await;
    assert_eq!(ended.stderr.matches("the pod is read every 1s instead").count(), 1, "{}", ended.stderr);
}

#[tokio::test]
async fn it_may_read_the_status_and_nothing_else() {
    let world = World::new("Never").await;
    for verb in ["get", "list", "watch"] {
        world.kube.deny(verb, "pods");
    }
    let mut sidecar = world.start(&OFTEN);
    within("looks", world.kube.answered("get", 200, 2)).await;
    world.serves(&mut sidecar, "outputs/a").await;
    world.kube.main_ended(POD, 0, "Completed");
    let ended = world.ends(sidecar, "main ended with 0").await;
    assert!(!ended.stderr.contains("cannot be read"), "{}", ended.stderr);
}

#[tokio::test]
async fn no_service_account_is_mounted() {
    let mut world = World::new("Never").await;
    let nowhere = world.folder.path().join("nowhere").display().to_string();
    world.env.insert("PLX_SERVICE_ACCOUNT_DIR".to_owned(), nowhere);
    let mut sidecar = world.start(&OFTEN);
    world.serves(&mut sidecar, "outputs/a").await;
    world.write("outputs/last");
    sidecar.signal(Signal::TERM);
    let ended = world.ends(sidecar, "quiet since SIGTERM").await;
    let warned: Vec<_> = ended.stderr.lines().filter(|line| line.contains("cannot be read")).collect();
    assert_eq!(warned.len(), 1, "{}", ended.stderr);
    for words in ["WARN", "nowhere/ca.crt", "automountServiceAccountToken", "SIGTERM and quiet alone"] {
        assert!(warned[0].contains(words), "{words:?} in {}", warned[0]);
    }
    assert!(world.kube.calls().is_empty());
}

#[tokio::test]
async fn a_pod_that_it_does_not_find_is_said_once_and_sigterm_and_quiet_end_it() {
    let mut world = World::new("Never").await;
    world.env.insert("POLYAXON_K8S_POD_ID".to_owned(), "pod-9".to_owned());
    let mut sidecar = world.start(&OFTEN);
    within("looks", world.kube.answered("get", 404, 3)).await;
    world.serves(&mut sidecar, "outputs/a").await;
    sidecar.signal(Signal::TERM);
    let ended = world.ends(sidecar, "quiet since SIGTERM").await;
    assert_eq!(
        ended.stderr.matches("there is no pod pod-9 in the namespace polyaxon").count(),
        1,
        "{}",
        ended.stderr
    );
}
