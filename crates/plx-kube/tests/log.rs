//! A container's log, followed through all that kubelets and API servers do to who asks for it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in helpers of tests, too, a surprise ends the test")]

use plx_contract::credential::Files;
use plx_kube::log::{Cursor, Follower, Kind, Line, PIECE, Progress, Shared, Wishes};
use plx_kube::{Cluster, LogPace};
use plx_testkit::{FakeKube, KubeFault, Times};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

const POD: &str = "pod-1";
/// Longer than anything here takes.
const BOUND: Duration = Duration::from_secs(20);
/// In May 2024, far from any clock of this machine.
const THEN: i64 = 1_715_000_000_000_000_000;
const LOG: &str = "get pods/log";

#[derive(Clone)]
struct Disk;
impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        std::fs::read_to_string(path).map(Some)
    }
}

/// As in a cluster, but quicker.
fn quick() -> LogPace {
    LogPace {
        answer: Duration::from_secs(1),
        silence: Duration::from_secs(10),
        stream: Duration::from_secs(60),
        poll: Duration::from_millis(20),
        first_pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(50),
        hurried_pause: Duration::from_millis(5),
    }
}

async fn cluster() -> FakeKube {
    rustls::crypto::ring::default_provider().install_default().ok();
    let kube = FakeKube::start().await;
    kube.start_pod(POD, "Never");
    kube
}

/// Main prints numbered lines, a second apart from each other every three.
fn print(kube: &FakeKube, numbers: std::ops::Range<i64>) {
    for n in numbers {
        kube.print(POD, FakeKube::MAIN, THEN + n / 3 * 1_000_000_000 + n, format!("line {n}"));
    }
}

fn lines(numbers: std::ops::Range<i64>) -> Vec<String> {
    numbers.map(|n| format!("line {n}")).collect()
}

struct Followed {
    chunks: mpsc::Receiver<plx_kube::log::Chunk>,
    wishes: watch::Sender<Wishes>,
    progress: watch::Receiver<Progress>,
    _task: JoinSet<()>,
    taken: Vec<Line>,
    cursor: Cursor,
}

impl Followed {
    fn from(kube: &FakeKube, cursor: Cursor, pace: LogPace) -> Self {
        let env: BTreeMap<String, String> =
            kube.env().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let uid = kube.uid(POD);
        let shared = Shared::new(Cluster::of_this_pod(&env, Disk).unwrap(), POD, &uid, pace);
        let ((sink, chunks), (wishes, wanted)) = (mpsc::channel(4), watch::channel(Wishes::default()));
        let (follower, progress) = Follower::new(shared, FakeKube::MAIN, cursor.clone(), sink, wanted);
        let mut task = JoinSet::new();
        task.spawn(follower.run());
        Self { chunks, wishes, progress, _task: task, taken: Vec::new(), cursor }
    }

    fn new(kube: &FakeKube) -> Self {
        Self::from(kube, Cursor::default(), quick())
    }

    /// Takes what comes until so many lines have come in all.
    async fn takes(&mut self, count: usize) {
        while self.taken.len() < count {
            let chunk = timeout(BOUND, self.chunks.recv()).await;
            let chunk = chunk.unwrap_or_else(|_| panic!("no more than {:?}", self.texts())).unwrap();
            self.taken.extend(chunk.lines);
            self.cursor = chunk.cursor;
        }
    }

    /// Takes all there is until the follower ends by itself.
    async fn ends(&mut self) -> Vec<String> {
        while let Some(chunk) = timeout(BOUND, self.chunks.recv()).await.expect("it ends") {
            self.taken.extend(chunk.lines);
            self.cursor = chunk.cursor;
        }
        assert_eq!(*self.progress.borrow(), Progress::Done);
        self.texts()
    }

    async fn is(&mut self, wanted: Progress) {
        let told = timeout(BOUND, self.progress.wait_for(|progress| *progress == wanted)).await;
        told.unwrap_or_else(|_| panic!("never {wanted:?}")).unwrap();
    }

    fn texts(&self) -> Vec<String> {
        self.taken.iter().map(|line| line.text.clone()).collect()
    }
}

#[tokio::test]
async fn each_line_comes_once_wherever_the_connection_is_cut() {
    let kube = cluster().await;
    print(&kube, 0..8);
    kube.main_ended(POD, 0, "Completed");
    // All of it is a little longer than 8 × 40 bytes.
    for first in (0..340).step_by(11) {
        kube.cut_next_logs_after([first, first + 70, first / 2]);
        let mut followed = Followed::new(&kube);
        assert_eq!(followed.ends().await, lines(0..8), "{first}");
    }
}

#[tokio::test]
async fn lines_of_one_moment_are_not_confused() {
    let kube = cluster().await;
    for n in 0..150 {
        kube.print(POD, FakeKube::MAIN, THEN, ["same", "same", "other"][n % 3]);
    }
    kube.main_ended(POD, 0, "Completed");
    for first in (0..150 * 26).step_by(97) {
        kube.cut_next_logs_after([first, first / 2]);
        let mut followed = Followed::new(&kube);
        let taken = followed.ends().await;
        assert_eq!(taken.len(), 150, "{first}");
        assert_eq!(taken.iter().filter(|text| *text == "other").count(), 50, "{first}");
    }
}

#[tokio::test]
async fn it_follows_and_asks_only_for_what_it_does_not_have() {
    let kube = cluster().await;
    let mut followed = Followed::new(&kube);
    print(&kube, 0..4);
    followed.takes(4).await;
    followed.is(Progress::Live).await;
    kube.cut_logs();
    print(&kube, 4..9);
    followed.takes(9).await;
    kube.print_without_end(POD, FakeKube::MAIN, THEN + 9_000_000_000, "the last has no end");
    kube.main_ended(POD, 0, "Completed");
    let mut want = lines(0..9);
    want.push("the last has no end".to_owned());
    assert_eq!(followed.ends().await, want);
    let calls = kube.calls();
    let logs: Vec<_> = calls.iter().filter(|call| call.resource == "pods/log").collect();
    assert_eq!(logs[0].parameter("sinceTime"), None);
    assert_eq!(logs[1].parameter("sinceTime"), Some("2024-05-06T12:53:19Z"), "{}", logs[1].target);
    for (name, value) in [("container", FakeKube::MAIN), ("timestamps", "true"), ("follow", "true")] {
        assert_eq!(logs[0].parameter(name), Some(value));
    }
}

#[tokio::test]
async fn a_line_without_an_end_waits_for_it() {
    let kube = cluster().await;
    let mut followed = Followed::new(&kube);
    print(&kube, 0..1);
    kube.print_without_end(POD, FakeKube::MAIN, THEN + 5, "10%\r20%");
    followed.takes(1).await;
    // It is sent again, and is still no line.
    kube.cut_logs();
    kube.answered(LOG, 200, 2).await;
    followed.is(Progress::Live).await;
    kube.cut_logs();
    kube.answered(LOG, 200, 3).await;
    assert!(followed.chunks.try_recv().is_err());
    kube.main_ended(POD, 0, "Completed");
    assert_eq!(followed.ends().await, ["line 0", "10%\r20%"]);
}

/// Asks for lines that have no end.
fn ask(followed: &Followed) {
    followed.wishes.send_modify(|wishes| wishes.unended += 1);
}

#[tokio::test]
async fn a_line_without_an_end_is_given_when_somebody_cannot_wait_and_what_follows_continues_it() {
    let kube = cluster().await;
    let mut followed = Followed::new(&kube);
    print(&kube, 0..1);
    followed.takes(1).await;
    ask(&followed);
    kube.print_without_end(POD, FakeKube::MAIN, THEN + 5, "50%");
    // It may come before or after that was heard; whoever asks does so again and again.
    while followed.taken.len() < 2 {
        ask(&followed);
        if let Ok(Some(chunk)) = timeout(Duration::from_millis(20), followed.chunks.recv()).await {
            followed.taken.extend(chunk.lines);
        }
    }
    kube.print_as_it_is(POD, FakeKube::MAIN, THEN + 5, "\r100%");
    followed.takes(3).await;
    assert_eq!(followed.texts(), ["line 0", "50%", "\r100%"]);
    assert_eq!(followed.taken[2].kind, Kind::Continued);
}

/// As on Kubernetes 1.20: the status says that main runs, and its log has an end, again and again.
#[tokio::test]
async fn a_last_line_without_an_end_is_given_once_however_often_its_log_ends_and_somebody_asks() {
    let kube = cluster().await;
    let mut followed = Followed::new(&kube);
    print(&kube, 0..2);
    kube.print_without_end(POD, FakeKube::MAIN, THEN + 1_000_000_000, "Traceback");
    kube.end_logs(true);
    followed.takes(2).await;
    kube.answered(LOG, 200, 4).await;
    assert!(followed.chunks.try_recv().is_err(), "it may get its end yet");
    for count in 5..15 {
        ask(&followed);
        kube.answered(LOG, 200, count).await;
    }
    followed.takes(3).await;
    kube.main_ended(POD, 1, "Error");
    assert_eq!(followed.ends().await, ["line 0", "line 1", "Traceback"]);
}

#[tokio::test]
async fn what_is_long_or_no_text_comes_too() {
    let kube = cluster().await;
    let long = "x".repeat(PIECE * 2 + 7);
    kube.print(POD, FakeKube::MAIN, THEN, &long);
    kube.print(POD, FakeKube::MAIN, THEN + 1, b"\xff\xfe");
    kube.print(POD, FakeKube::MAIN, THEN + 2, "");
    kube.print(POD, FakeKube::MAIN, THEN + 3, "2020-01-02T03:04:05Z is the user's");
    kube.main_ended(POD, 0, "Completed");
    // In the middle of its second piece.
    kube.cut_next_logs_after([PIECE + 4711]);
    let mut followed = Followed::new(&kube);
    let taken = followed.ends().await;
    assert_eq!(taken[..3].concat(), long);
    assert_eq!(taken[3..], ["\u{fffd}\u{fffd}", "2020-01-02T03:04:05Z is the user's"]);
    let kinds: Vec<Kind> = followed.taken.iter().map(|line| line.kind).collect();
    assert_eq!(kinds, [Kind::Text, Kind::Continued, Kind::Continued, Kind::Text, Kind::Text]);
}

#[tokio::test]
async fn the_rest_of_the_start_before_comes_first() {
    let kube = cluster().await;
    kube.change_pod(POD, |pod| pod["spec"]["restartPolicy"] = "OnFailure".into());
    let mut followed = Followed::new(&kube);
    print(&kube, 0..3);
    followed.takes(3).await;
    // While nothing gets through, it prints, dies and is started again.
    kube.fail(LOG, KubeFault::Status(500), Times::Always);
    kube.cut_logs();
    kube.answered(LOG, 500, 1).await;
    print(&kube, 3..7);
    kube.main_ended(POD, 1, "Error");
    kube.main_runs(POD);
    print(&kube, 7..9);
    kube.recover();
    followed.takes(9).await;
    kube.main_ended(POD, 0, "Completed");
    assert_eq!(followed.ends().await, lines(0..9));
    // A second one, from where this one is, has nothing to say.
    let mut again = Followed::from(&kube, followed.cursor, quick());
    assert_eq!(again.ends().await, Vec::<String>::new());
}

#[tokio::test]
async fn starts_whose_log_is_gone_are_a_note() {
    let kube = cluster().await;
    kube.change_pod(POD, |pod| pod["spec"]["restartPolicy"] = "Always".into());
    for start in 0..4 {
        print(&kube, start..start + 1);
        kube.main_ended(POD, 1, "Error");
        kube.main_runs(POD);
    }
    let mut followed = Followed::new(&kube);
    followed.takes(2).await;
    assert_eq!(followed.taken[0].kind, Kind::Note);
    assert!(followed.taken[0].text.contains("earlier starts"), "{:?}", followed.taken);
    assert_eq!(followed.taken[1].text, "line 3");
}

#[tokio::test]
async fn a_start_that_the_kubelet_has_removed_is_a_note_although_it_answers_200() {
    let kube = cluster().await;
    kube.change_pod(POD, |pod| pod["spec"]["restartPolicy"] = "OnFailure".into());
    let mut followed = Followed::new(&kube);
    print(&kube, 0..3);
    followed.takes(3).await;
    kube.fail(LOG, KubeFault::Status(500), Times::Always);
    kube.cut_logs();
    kube.answered(LOG, 500, 1).await;
    print(&kube, 3..7);
    kube.main_ended(POD, 1, "Error");
    kube.main_runs(POD);
    kube.remove_log(POD, FakeKube::MAIN, 0);
    print(&kube, 7..9);
    kube.recover();
    followed.takes(6).await;
    assert_eq!(followed.taken[3].kind, Kind::Note);
    assert!(followed.taken[3].text.contains("no longer kept"), "{:?}", followed.taken);
    assert_eq!(followed.texts()[4..], lines(7..9));
    // And so is the last one.
    kube.fail(LOG, KubeFault::Status(500), Times::Always);
    kube.cut_logs();
    kube.answered(LOG, 500, 2).await;
    print(&kube, 9..11);
    kube.main_ended(POD, 0, "Completed");
    kube.remove_log(POD, FakeKube::MAIN, 1);
    kube.recover();
    let ended = followed.ends().await;
    assert_eq!(ended.len(), 7, "{ended:?}");
    assert_eq!(followed.taken[6].kind, Kind::Note);
}

#[tokio::test]
async fn a_rotation_that_takes_lines_away_is_a_note_and_one_that_does_not_is_none() {
    let kube = cluster().await;
    let mut followed = Followed::new(&kube);
    print(&kube, 0..5);
    followed.takes(5).await;
    let kube_is_away = async || {
        kube.forget_calls();
        kube.fail(LOG, KubeFault::Status(500), Times::Always);
        kube.cut_logs();
        kube.answered(LOG, 500, 1).await;
    };
    kube_is_away().await;
    print(&kube, 5..9);
    kube.rotate_log(POD, FakeKube::MAIN, 6);
    kube.recover();
    followed.takes(9).await;
    assert_eq!(followed.texts(), lines(0..9));
    kube_is_away().await;
    print(&kube, 9..20);
    kube.rotate_log(POD, FakeKube::MAIN, 4);
    kube.recover();
    followed.takes(14).await;
    assert_eq!(followed.taken[9].kind, Kind::Note);
    assert!(followed.taken[9].text.contains("may be missing"), "{:?}", followed.taken[9]);
    assert_eq!(followed.texts()[10..], lines(16..20));
}

#[tokio::test]
async fn it_waits_for_the_start_and_for_the_server() {
    let kube = cluster().await;
    let never = serde_json::json!({"waiting": {"reason": "PodInitializing"}});
    kube.change_pod(POD, |pod| pod["status"]["containerStatuses"][0]["state"] = never);
    let mut followed = Followed::new(&kube);
    followed.is(Progress::Idle).await;
    kube.deny("get", "pods/log");
    kube.change_pod(POD, |pod| {
        pod["status"]["containerStatuses"][0]["state"] = serde_json::json!({"running": {}});
    });
    followed.is(Progress::Refused).await;
    kube.fail(LOG, KubeFault::TooMany(1), Times::First(1));
    kube.allow_all();
    kube.rotate_token();
    print(&kube, 0..2);
    followed.takes(2).await;
    kube.delete_pod(POD);
    assert_eq!(followed.ends().await, lines(0..2));
}

#[tokio::test]
async fn a_silent_stream_is_opened_anew_and_so_is_every_one_when_there_is_a_hurry() {
    let kube = cluster().await;
    let silence = Duration::from_millis(300);
    let mut followed = Followed::from(&kube, Cursor::default(), LogPace { silence, ..quick() });
    print(&kube, 0..2);
    followed.takes(2).await;
    kube.black_hole();
    print(&kube, 2..4);
    kube.recover();
    followed.takes(4).await;
    assert_eq!(followed.texts(), lines(0..4));
    let mut patient = Followed::from(&kube, followed.cursor.clone(), quick());
    patient.is(Progress::Live).await;
    kube.black_hole();
    print(&kube, 4..6);
    kube.recover();
    patient.wishes.send_modify(|wishes| wishes.hurried = true);
    patient.takes(2).await;
    assert_eq!(patient.texts(), lines(4..6));
}
