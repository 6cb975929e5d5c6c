//! Main is run by plx-entry, and nobody is asked of Kubernetes: what that leaves is here left by the test, lock included.

use crate::pod::{Ended, Pod, RUN, Sidecar};
use futures::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use plx_contract::wrapped::{ENDED, Ended as Marker, Restarts, STARTED, Segment, Started, Stream, record};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{interval, timeout};

/// As plx-entry leaves things.
struct Main {
    folder: PathBuf,
    attempt: u32,
    number: u32,
    written: [u64; 2],
    restarts: Restarts,
    lock: Option<File>,
}

impl Main {
    fn of(pod: &Pod, restarts: Restarts) -> Self {
        let folder = pod.path("artifacts/.plx-main");
        fs::create_dir_all(&folder).unwrap();
        Self { folder, attempt: 0, number: 0, written: [0; 2], restarts, lock: None }
    }

    fn start(&mut self) {
        self.attempt += 1;
        (self.number, self.written) = (0, [0; 2]);
        let mut file =
            File::options().write(true).create(true).truncate(false).open(self.folder.join(STARTED)).unwrap();
        file.lock().unwrap();
        fs::remove_file(self.folder.join(ENDED)).ok();
        let started = Started { attempt: self.attempt, restarts: self.restarts };
        file.write_all(&serde_json::to_vec(&started).unwrap()).unwrap();
        self.lock = Some(file);
        self.segment();
    }

    fn append(&self, bytes: &[u8]) {
        let path = self.folder.join(Segment { attempt: self.attempt, number: self.number }.name());
        File::options().create(true).append(true).open(path).unwrap().write_all(bytes).unwrap();
    }

    fn segment(&mut self) {
        self.number += 1;
        self.append(Segment::header(self.written).as_bytes());
    }

    fn print(&mut self, text: &str) {
        self.written[0] += text.len() as u64;
        self.append(
            &[record(Stream::Out, 1_715_000_000_123_456_789, text.len()).as_bytes(), text.as_bytes()]
                .concat(),
        );
    }

    fn leave_marker(&self, exit_code: i64) {
        let ended = Marker {
            exit_code,
            again: self.restarts.again(exit_code),
            attempt: self.attempt,
            written: Some(self.written),
        };
        let new = self.folder.join("new");
        fs::write(&new, serde_json::to_vec(&ended).unwrap()).unwrap();
        fs::rename(new, self.folder.join(ENDED)).unwrap();
    }

    fn end(&mut self, exit_code: i64) {
        self.leave_marker(exit_code);
        self.lock = None;
    }

    fn segments(&self) -> usize {
        let names = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| Segment::of(name.to_str().unwrap()).is_some()).count()
    }
}

fn sidecar(pod: &Pod) -> Sidecar {
    let folder = pod.path("artifacts/.plx-main").display().to_string();
    let main = format!("--wrapped-main={folder}");
    pod.start(&["--sync-interval=1", "--sleep-interval=1", "--monitor-logs", "--monitor-spec", &main])
}

/// A pod where whoever asks Kubernetes would be refused, and would say so.
async fn pod() -> Pod {
    let mut pod = Pod::new().await;
    pod.set("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    pod.set("KUBERNETES_SERVICE_PORT", "9");
    pod.set("POLYAXON_K8S_NODE_NAME", "node-1");
    pod
}

/// The records in the store, in the order of the parts.
async fn records(pod: &Pod) -> Vec<Value> {
    let store = pod.target.store();
    let prefix = Key::parse(format!("base/{RUN}/plxlogs")).unwrap();
    let mut parts: Vec<_> = store.list(Some(&prefix)).try_collect().await.unwrap();
    parts.sort_by(|one, other| one.location.cmp(&other.location));
    let mut text = String::new();
    for part in parts {
        let bytes = store.get(&part.location).await.unwrap().bytes().await.unwrap();
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn values(pod: &Pod) -> Vec<String> {
    records(pod).await.iter().map(|record| record["value"].as_str().unwrap().to_owned()).collect()
}

/// Waits until a line is in the store.
async fn has(pod: &Pod, line: &str) {
    let mut looks = interval(Duration::from_millis(50));
    let look = async {
        while values(pod).await.last().is_none_or(|last| last != line) {
            looks.tick().await;
        }
    };
    timeout(Duration::from_secs(60), look).await.unwrap_or_else(|_| panic!("{line} is not stored"));
}

fn done(ended: &Ended, main: &str) {
    assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("done")), "{ended:?}");
    assert!(ended.report["main"].as_str().unwrap().starts_with(main), "{ended:?}");
    assert!(!ended.stderr.contains("Kubernetes") && !ended.stderr.contains("cluster"), "{ended:?}");
}

#[tokio::test]
async fn a_sidecar_that_is_killed_again_and_again_stores_every_line_once_and_the_last_one_too() {
    let pod = pod().await;
    let mut main = Main::of(&pod, Restarts::Never);
    main.start();
    let mut wanted = Vec::new();
    for kill in 0..4 {
        let sidecar = sidecar(&pod);
        for line in 0..200 {
            let text = format!("line {kill} {line}");
            // Cut in its middle, by a segment too.
            main.print(&text[..6]);
            if line % 40 == 0 {
                main.segment();
            }
            main.print(&format!("{}\n", &text[6..]));
            wanted.push(text);
        }
        has(&pod, &format!("line {kill} 199")).await;
        main.print("begins ");
        sidecar.signal(Signal::KILL);
        sidecar.end().await;
        main.print(&format!("{kill}\n"));
        wanted.push(format!("begins {kill}"));
    }
    let last = sidecar(&pod);
    main.print("no end");
    main.end(5);
    wanted.push("no end".to_owned());
    done(&last.end().await, "main ended with 5 (marker in ");
    assert_eq!(values(&pod).await, wanted);
    assert_eq!(main.segments(), 1, "what is taken is removed");
    assert_eq!(
        records(&pod).await[0],
        json!({"timestamp": "2024-05-06T12:53:20.123456+00:00", "node": "node-1", "pod": "pod-1",
               "container": "polyaxon-main", "value": "line 0 0"})
    );
    assert_eq!(pod.difference().await, "");
}

#[tokio::test]
async fn an_end_after_which_main_is_started_again_is_none() {
    let pod = pod().await;
    let mut main = Main::of(&pod, Restarts::OnFailure);
    main.start();
    let mut sidecar = sidecar(&pod);
    main.print("first\ntorn");
    main.end(1);
    has(&pod, "torn").await;
    // Killed with its wrapper, which leaves nothing.
    main.start();
    main.print("second\n");
    has(&pod, "second").await;
    main.lock = None;
    assert!(sidecar.is_running());
    main.start();
    main.print("third\n");
    has(&pod, "third").await;
    assert!(sidecar.is_running());
    pod.write("outputs/a", "the last one succeeds");
    main.end(0);
    done(&sidecar.end().await, "main ended with 0 (marker in ");
    assert_eq!(values(&pod).await, ["first", "torn", "second", "third"]);
    assert_eq!(pod.difference().await, "");
}

#[tokio::test]
async fn a_pod_that_is_deleted_between_two_starts_of_main_ends_at_once() {
    let pod = pod().await;
    let mut main = Main::of(&pod, Restarts::Always);
    main.start();
    let sidecar = sidecar(&pod);
    main.print("line\n");
    main.end(0);
    has(&pod, "line").await;
    sidecar.signal(Signal::TERM);
    done(&timeout(Duration::from_secs(10), sidecar.end()).await.unwrap(), "main ended with 0 (marker in ");
}

#[tokio::test]
async fn a_main_that_was_killed_with_its_wrapper_is_gone() {
    let pod = pod().await;
    let mut main = Main::of(&pod, Restarts::Never);
    main.start();
    let mut sidecar = sidecar(&pod);
    main.print("last words");
    pod.write("outputs/a", "a");
    pod.proxy.answered(plx_testkit::Match::method("PUT").path_ends_with("/outputs/a"), 1).await;
    assert!(sidecar.is_running(), "the lock is held");
    main.lock = None;
    done(&sidecar.end().await, "main is gone (killed together with plx-entry)");
    assert_eq!(values(&pod).await, ["last words"]);
}

#[tokio::test]
async fn a_main_that_never_started_costs_no_grace_period() {
    let pod = pod().await;
    Main::of(&pod, Restarts::Never);
    pod.write("outputs/a", "of an init container");
    let sidecar = sidecar(&pod);
    pod.proxy.answered(plx_testkit::Match::method("PUT"), 1).await;
    sidecar.signal(Signal::TERM);
    // Half of it.
    done(&timeout(Duration::from_secs(15), sidecar.end()).await.unwrap(), "quiet since SIGTERM");
    assert_eq!(pod.difference().await, "");
}

#[tokio::test]
async fn main_lives_as_long_as_the_lock_is_held_and_a_deletion_waits_for_its_last_words() {
    let pod = pod().await;
    let mut main = Main::of(&pod, Restarts::Never);
    main.start();
    let mut sidecar = sidecar(&pod);
    main.print("one\n");
    has(&pod, "one").await;
    sidecar.signal(Signal::TERM);
    // Longer than a quiet spell is.
    for file in ["a", "b", "c", "d", "e"] {
        pod.write(&format!("outputs/{file}"), "after SIGTERM");
        pod.proxy
            .answered(plx_testkit::Match::method("PUT").path_ends_with(&format!("/outputs/{file}")), 1)
            .await;
    }
    assert!(sidecar.is_running());
    main.print("shutting down\n");
    main.written[0] += 100; // could not be kept
    main.end(143);
    done(&sidecar.end().await, "main ended with 143 (marker in ");
    let values = values(&pod).await;
    assert_eq!(values[..2], ["one", "shutting down"]);
    assert!(values[2].starts_with("[plx-sidecar] 100 bytes of main's output are missing"), "{values:?}");
}
