//! The own pod, followed through all that an API server does to who asks it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in helpers of tests, too, a surprise ends the test")]

use plx_contract::credential::Files;
use plx_kube::{Cluster, End, Feed, News, Pace};
use plx_testkit::{FakeKube, KubeFault, Times};
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

const POD: &str = "pod-1";
/// Longer than anything here takes.
const BOUND: Duration = Duration::from_secs(20);

#[derive(Clone)]
struct Disk;
impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        std::fs::read_to_string(path).map(Some)
    }
}

/// As in a cluster, but quicker: a poll, an answer and a failure's first pause are shorter than a watch.
fn quick() -> Pace {
    Pace {
        poll: Duration::from_millis(300),
        answer: Duration::from_secs(1),
        watch: Duration::from_secs(10),
        slack: Duration::from_millis(500),
        again: Duration::from_millis(100),
        first_pause: Duration::from_millis(100),
        longest_pause: Duration::from_secs(3),
    }
}

struct Followed {
    kube: FakeKube,
    news: UnboundedReceiver<News>,
    hurry: CancellationToken,
    task: JoinSet<()>,
}

impl Followed {
    /// Follows a pod of a cluster that was prepared.
    async fn with(pace: Pace, prepare: impl FnOnce(&FakeKube)) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let kube = FakeKube::start().await;
        prepare(&kube);
        let env: BTreeMap<String, String> =
            kube.env().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let cluster = Cluster::of_this_pod(&env, Disk).unwrap();
        let (sender, news) = unbounded_channel();
        let hurry = CancellationToken::new();
        let feed = Feed::new(cluster, POD, pace).hurried_by(hurry.clone().cancelled_owned());
        let mut task = JoinSet::new();
        let tell = move |news| match sender.send(news) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        task.spawn(feed.run(tell));
        Self { kube, news, hurry, task }
    }

    async fn new() -> Self {
        Self::with(quick(), |kube| kube.start_pod(POD, "Never")).await
    }

    /// Skips all news up to one that fits.
    async fn hears<T>(&mut self, what: &str, fits: impl Fn(&News) -> Option<T>) -> T {
        let found = async {
            while let Some(news) = self.news.recv().await {
                if let Some(found) = fits(&news) {
                    return found;
                }
            }
            panic!("the feed is over, and never said {what}")
        };
        let found = timeout(BOUND, found).await;
        found.unwrap_or_else(|_| panic!("not a word of {what}: {:?}", self.kube.calls()))
    }

    async fn hears_of_main(&mut self) -> Option<i64> {
        let end = |news: &News| match news {
            News::Pod(pod) => End::of(pod, FakeKube::MAIN).map(|end| end.exit_code),
            _ => None,
        };
        self.hears("main's end", end).await
    }

    async fn hears_of_the_pod(&mut self) {
        self.hears("the pod", |news| matches!(news, News::Pod(_)).then_some(())).await;
    }

    async fn hears_that_it_is_gone(&mut self) -> String {
        let gone = |news: &News| match news {
            News::Gone { how } => Some(how.clone()),
            _ => None,
        };
        self.hears("its end", gone).await
    }

    async fn hears_silence(&mut self) -> bool {
        let silence = |news: &News| match news {
            News::Silence { refused, .. } => Some(*refused),
            _ => None,
        };
        self.hears("silence", silence).await
    }

    /// Calls of a verb so far.
    fn count(&self, verb: &str) -> usize {
        self.kube.calls().iter().filter(|call| call.verb == verb).count()
    }
}

#[tokio::test]
async fn a_change_is_told_by_the_watch_and_not_by_another_look() {
    let mut followed = Followed::new().await;
    followed.kube.answered("watch", 200, 1).await;
    followed.kube.bookmark();
    followed.kube.main_ended(POD, 3, "Error");
    assert_eq!(followed.hears_of_main().await, Some(3));
    assert_eq!((followed.count("get"), followed.count("watch")), (1, 1));
    let calls = followed.kube.calls();
    let watch = calls.last().unwrap();
    for (name, value) in
        [("fieldSelector", "metadata.name=pod-1"), ("timeoutSeconds", "10"), ("allowWatchBookmarks", "true")]
    {
        assert_eq!(watch.parameter(name), Some(value), "{}", watch.target);
    }
    assert!(watch.parameter("resourceVersion").is_some_and(|version| version.parse::<u64>().is_ok()));
}

#[tokio::test]
async fn it_ends_when_nobody_listens() {
    let mut followed = Followed::new().await;
    followed.hears_of_the_pod().await;
    followed.news.close();
    followed.kube.main_ended(POD, 0, "Completed");
    timeout(BOUND, followed.task.join_next()).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn where_it_may_not_watch_it_polls_and_does_not_ask_for_a_watch_again() {
    for fault in
        [None, Some(KubeFault::Status(404)), Some(KubeFault::Status(405)), Some(KubeFault::Status(501))]
    {
        let mut followed = Followed::with(quick(), |kube| {
            kube.start_pod(POD, "Never");
            match fault {
                None => kube.deny("watch", "pods"),
                Some(fault) => kube.fail("watch", fault, Times::Always),
            }
        })
        .await;
        followed.kube.answered("get", 200, 3).await;
        followed.kube.main_ended(POD, 0, "Completed");
        assert_eq!(followed.hears_of_main().await, Some(0), "{fault:?}");
        assert_eq!(followed.count("watch"), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_right_on_the_status_alone_suffices() {
    let mut followed = Followed::with(quick(), |kube| {
        kube.start_pod(POD, "Never");
        for verb in ["get", "list", "watch"] {
            kube.deny(verb, "pods");
        }
    })
    .await;
    followed.kube.answered("get", 200, 3).await;
    followed.kube.main_ended(POD, 0, "Completed");
    assert_eq!(followed.hears_of_main().await, Some(0));
    let denied =
        followed.kube.calls().iter().filter(|call| call.resource == "pods" && call.verb == "get").count();
    assert_eq!(denied, 1, "the path that works is kept");
}

#[tokio::test]
async fn a_pod_that_was_seen_and_is_not_there_twice_is_gone() {
    let mut followed = Followed::with(quick(), |kube| {
        kube.start_pod(POD, "Never");
        kube.deny("watch", "pods");
    })
    .await;
    followed.hears_of_the_pod().await;
    followed.kube.forget_calls();
    followed.kube.delete_pod(POD);
    assert_eq!(followed.hears_that_it_is_gone().await, "pod pod-1 is gone");
    let missed = followed.kube.calls().iter().filter(|call| call.status == Some(404)).count();
    assert_eq!(missed, 2);
    timeout(BOUND, followed.task.join_next()).await.expect("that was the last news").unwrap().unwrap();
}

#[tokio::test]
async fn one_look_that_finds_nothing_is_not_believed() {
    let mut followed = Followed::with(quick(), |kube| {
        kube.start_pod(POD, "Never");
        kube.deny("watch", "pods");
    })
    .await;
    followed.hears_of_the_pod().await;
    // One of several API servers that is behind.
    followed.kube.fail("get", KubeFault::Status(404), Times::First(1));
    followed.kube.answered("get", 404, 1).await;
    followed.kube.main_ended(POD, 4, "Error");
    assert_eq!(followed.hears_of_main().await, Some(4));
}

#[tokio::test]
async fn another_pod_of_that_name_is_not_ours() {
    for watches in [true, false] {
        let mut followed = Followed::with(quick(), |kube| {
            kube.start_pod(POD, "Never");
            if !watches {
                kube.deny("watch", "pods");
            }
        })
        .await;
        followed.kube.answered("watch", if watches { 200 } else { 403 }, 1).await;
        followed.kube.start_pod(POD, "Never");
        let gone = followed.hears_that_it_is_gone().await;
        assert_eq!(gone, "pod pod-1 is another one now", "{watches}");
    }
}

#[tokio::test]
async fn a_pod_that_was_never_seen_may_have_another_name() {
    let mut followed = Followed::with(quick(), |_| {}).await;
    for _ in 0..3 {
        assert!(followed.hears_silence().await);
    }
    followed.kube.start_pod(POD, "Never");
    followed.hears_of_the_pod().await;
}

#[tokio::test]
async fn a_version_that_is_forgotten_is_watched_from_now_on() {
    let mut followed = Followed::with(quick(), |kube| {
        kube.start_pod(POD, "Never");
        kube.forget_changes();
    })
    .await;
    followed.kube.answered("watch", 200, 2).await;
    followed.kube.main_ended(POD, 0, "Completed");
    assert_eq!(followed.hears_of_main().await, Some(0));
    assert_eq!((followed.count("get"), followed.count("watch")), (1, 2));
}

#[tokio::test]
async fn watches_that_bring_nothing_are_no_hot_loop_and_looks_go_on() {
    for fault in [KubeFault::Status(500), KubeFault::Status(410), KubeFault::Reset] {
        let mut followed = Followed::with(quick(), |kube| {
            kube.start_pod(POD, "Never");
            kube.fail("watch", fault, Times::Always);
        })
        .await;
        let began = Instant::now();
        followed.kube.answered("get", 200, 5).await;
        assert!(began.elapsed() > quick().again * 4, "{fault:?}");
        followed.kube.main_ended(POD, 0, "Completed");
        assert_eq!(followed.hears_of_main().await, Some(0));
    }
}

#[tokio::test]
async fn a_watch_that_is_cut_in_the_middle_of_a_line_is_followed_by_a_look() {
    let mut followed = Followed::new().await;
    followed.kube.answered("watch", 200, 1).await;
    followed.kube.cut_watches();
    followed.kube.answered("watch", 200, 2).await;
    followed.kube.main_ended(POD, 0, "Completed");
    assert_eq!(followed.hears_of_main().await, Some(0));
}

#[tokio::test]
async fn a_watch_ends_after_its_time_and_is_followed_by_a_look() {
    let pace = Pace { watch: Duration::from_secs(1), ..quick() };
    let followed = Followed::with(pace, |kube| kube.start_pod(POD, "Never")).await;
    followed.kube.answered("watch", 200, 3).await;
    assert_eq!(followed.count("get"), 3);
}

#[tokio::test]
async fn a_connection_that_died_silently_is_noticed_within_its_bound() {
    let pace = Pace { watch: Duration::from_secs(1), ..quick() };
    let mut followed = Followed::with(pace, |kube| kube.start_pod(POD, "Never")).await;
    followed.kube.answered("watch", 200, 1).await;
    followed.kube.black_hole();
    followed.kube.main_ended(POD, 0, "Completed");
    let began = Instant::now();
    assert!(!followed.hears_silence().await, "nobody refused anything");
    assert!(began.elapsed() < pace.watch + pace.slack + pace.answer + Duration::from_secs(2));
    followed.kube.recover();
    assert_eq!(followed.hears_of_main().await, Some(0));
}

#[tokio::test]
async fn in_a_hurry_the_pod_is_looked_at_while_the_watch_is_open() {
    let mut followed = Followed::new().await;
    followed.kube.answered("watch", 200, 1).await;
    followed.kube.deny("*", "*");
    followed.hurry.cancel();
    assert!(followed.hears_silence().await, "it is refused");
    assert_eq!(followed.count("watch"), 1);
}

#[tokio::test]
async fn a_token_that_is_replaced_is_read_again() {
    let mut followed = Followed::new().await;
    followed.kube.answered("watch", 200, 1).await;
    followed.kube.rotate_token();
    followed.kube.cut_watches();
    followed.kube.answered("watch", 200, 2).await;
    followed.kube.main_ended(POD, 0, "Completed");
    assert_eq!(followed.hears_of_main().await, Some(0));
    assert!(followed.kube.calls().iter().all(|call| call.status == Some(200)));
}

#[tokio::test]
async fn failures_are_waited_for_and_the_server_is_asked_no_sooner_than_it_says() {
    let mut followed = Followed::with(quick(), |kube| {
        kube.start_pod(POD, "Never");
        kube.fail("get", KubeFault::Status(500), Times::Nth(1));
        kube.fail("get", KubeFault::Reset, Times::Nth(2));
        kube.fail("get", KubeFault::Status(401), Times::Nth(3));
        kube.fail("get", KubeFault::TooMany(2), Times::Nth(4));
    })
    .await;
    let refused =
        [followed.hears_silence().await, followed.hears_silence().await, followed.hears_silence().await];
    assert_eq!(refused, [false, false, true]);
    assert!(!followed.hears_silence().await);
    let throttled = Instant::now();
    followed.hears_of_the_pod().await;
    assert!(throttled.elapsed() > Duration::from_millis(1900), "{:?}", throttled.elapsed());
    assert_eq!(followed.count("get"), 5);
}
