//! Two pods of one run on one server, without a cluster that could be asked.

use crate::pod::{Pod, RUN, Sidecar};
use plx_testkit::{Match, Snapshot};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const OFTEN: [&str; 2] = ["--sync-interval=1", "--sleep-interval=1"];

/// Another pod of the same run: its own disk, the same store.
struct Other {
    folder: TempDir,
    env: BTreeMap<String, String>,
}

impl Other {
    fn of(pod: &Pod, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut env = pod.env.clone();
        let path = |name: &str| folder.path().join(name).display().to_string();
        env.extend([
            ("POLYAXON_CONTEXT_ROOT".to_owned(), folder.path().display().to_string()),
            ("POLYAXON_K8S_POD_ID".to_owned(), name.to_owned()),
            ("PLX_TERMINATION_LOG".to_owned(), path("termination-log")),
        ]);
        fs::create_dir_all(folder.path().join("artifacts").join(RUN)).unwrap();
        Self { folder, env }
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.folder.path().join("artifacts").join(RUN).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn start(&self, marker: &Path) -> Sidecar {
        let marker = format!("--main-marker={}", marker.display());
        let args = [OFTEN[0], OFTEN[1], marker.as_str()];
        Sidecar::start(&args, &self.env, vec![self.folder.path().to_owned()])
    }
}

async fn objects(pod: &Pod) -> BTreeMap<String, u64> {
    let stored = Snapshot::of_store(&pod.target.store(), "base").await.unwrap();
    stored.files.into_iter().map(|(key, content)| (key, content.size)).collect()
}

#[tokio::test]
async fn each_keeps_its_files_and_nothing_of_a_mark_stays() {
    let pod = Pod::new().await;
    let other = Other::of(&pod, "pod-2");
    let (ended_a, ended_b) = (pod.path("a"), pod.path("b"));
    pod.write("outputs/model.pt", "of the first");
    pod.write("outputs/config.json", "{}");
    let marker = format!("--main-marker={}", ended_a.display());
    let first = pod.start(&[OFTEN[0], OFTEN[1], &marker]);
    pod.written_down(2).await;
    other.write("outputs/model.pt", "of the second");
    other.write("outputs/config.json", "{}");
    other.write("outputs/large.bin", &"x".repeat(9 << 20));
    let second = other.start(&ended_b);
    pod.proxy.seen(Match::method("PUT").path_ends_with("model.pt"), 2).await;
    // Each goes on with its own.
    pod.write("outputs/model.pt", "of the first, and newer");
    pod.proxy.seen(Match::method("PUT").path_ends_with("model.pt"), 3).await;
    fs::write(&ended_b, "{}").unwrap();
    let ended = second.end().await;
    assert_eq!((ended.code, &ended.report["aside"]), (Some(0), &json!(1)), "{ended:?}");
    fs::write(&ended_a, "{}").unwrap();
    let ended = first.end().await;
    assert_eq!((ended.code, ended.report.get("aside")), (Some(0), None), "{ended:?}");
    let expected = [
        (format!("{RUN}/outputs/config.json"), 2),
        (format!("{RUN}/outputs/large.bin"), 9 << 20),
        (format!("{RUN}/outputs/model.pt"), 23),
        (format!("{RUN}/replicas/pod-2/outputs/model.pt"), 13),
    ];
    assert_eq!(objects(&pod).await, expected.into());
}
