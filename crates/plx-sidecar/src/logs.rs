//! The logs of the pod's containers: collected as they come, and given to passes as files that do not change.
//!
//! A follower for each container ([`plx_kube::log`]), or where main is run by `plx-entry` a reader of what that keeps ([`folder`]),
//! gives lines to one writer, which keeps them together with how far each
//! log was taken ([`spool`]). A pass begins with a new part of the log when one is due ([`parts`]).

mod folder;
mod parts;
mod records;
mod spool;
mod stands;
mod writer;

use crate::Config;
use crate::finish::SETTLE;
use plx_contract::{Classified, Env};
use plx_kube::log::{Follower, Progress, Shared, Wishes};
use plx_kube::{Cluster, KubeError, LogPace, Pod};
use plx_runtime::DiskFiles;
use spool::Spool;
use stands::Taken;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use writer::{Ask, Writer};

/// The container that this is, in pods of Polyaxon's converter.
const OURS: &str = "polyaxon-sidecar";
/// For a part to be made; a disk that hangs must hold up neither a pass nor the report.
const PART: Duration = Duration::from_secs(5);
/// After main's end, without any line for so long, what is missing is not waited for: outputs wait behind it.
const SILENCE: Duration = Duration::from_secs(5);
/// So long after main's end lines are waited for at most.
const DRAIN: Duration = Duration::from_secs(60);
/// All logs are asked for once more at the end. Without a line for so long, containers that still run have said all.
const QUIET: Duration = Duration::from_millis(500);
/// One that never stops talking is listened to for so long.
const TALK: Duration = Duration::from_secs(2);
/// For lines without an end to come, once they were asked for.
const UNENDED: Duration = Duration::from_millis(100);
/// Between two looks whether the last lines have come.
const LOOK: Duration = Duration::from_millis(50);
/// After the first failure to read the pod; pauses double up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Chunks of lines that wait to be written, each as long as what came at once.
const WAITING: usize = 4;

/// The logs of a pod, being collected.
pub struct Logs {
    asks: mpsc::Sender<Ask>,
    wishes: watch::Sender<Wishes>,
    state: watch::Receiver<State>,
    /// When a line came last.
    came: watch::Receiver<Instant>,
    /// Aborted with this.
    tasks: JoinSet<()>,
}

/// What is known of the pod's containers.
#[derive(Debug)]
enum State {
    /// Nothing yet.
    Looking,
    /// The pod cannot be read.
    Failing,
    /// By name.
    Following(BTreeMap<String, watch::Receiver<Progress>>),
}

impl Logs {
    /// Collects the logs of the pod that this is; none where its cluster cannot be asked: that is no failure, but it is said.
    pub fn follow(config: &Config, env: &impl Env) -> Option<Self> {
        if let Some(folder) = &config.wrapped_main {
            let spool = Self::spool(config)?;
            return Some(Self::wrapped(config, folder, env.non_empty(plx_contract::env::NODE_NAME), spool));
        }
        let cluster = Cluster::of_this_pod(env, DiskFiles).map_err(|error: KubeError| {
            let next = error.next_step().unwrap_or_default();
            tracing::warn!("no logs are collected: {}; next: {next}", error.chain());
        });
        Some(Self::start(config, cluster.ok()?, Self::spool(config)?))
    }

    fn spool(config: &Config) -> Option<Spool> {
        let spool = Spool::open(&config.layout, &config.run.uuid, &config.pod).map_err(|error| {
            tracing::warn!("no logs are collected: read what was collected before: {error}");
        });
        spool.ok()
    }

    /// Collects what `plx-entry` keeps of main's output, and nothing else: nobody is asked.
    fn wrapped(config: &Config, folder: &Path, node: Option<String>, spool: Spool) -> Self {
        let (asks, asked) = mpsc::channel(1);
        let (sink, chunks) = mpsc::channel::<Taken>(WAITING);
        let (wishes, wanted) = watch::channel(Wishes::default());
        let (progress, told) = watch::channel(Progress::Behind);
        let (_, state) = watch::channel(State::Following([(config.container.clone(), told)].into()));
        let (comes, came) = watch::channel(Instant::now());
        let (found, finds) = oneshot::channel();
        let (container, folder) = (config.container.clone(), folder.to_owned());
        let writer = Writer::new(spool, config.pod.clone(), comes);
        let kept = writer.kept();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(chunks, asked, finds));
        tasks.spawn(async move {
            let (cursors, take) = oneshot::channel();
            // The writer is gone when this is to end.
            let Ok(()) = found.send(writer::Found { uid: folder::UID.to_owned(), node, cursors }) else {
                return;
            };
            let Ok(cursors) = take.await else { return };
            let reader = folder::Reader::new(folder, cursors.of(&container).in_folder());
            folder::follow(reader, &container, sink, progress, kept, wanted).await;
            // The channels stay open: what the writer has is still to be asked for.
            std::future::pending::<()>().await;
        });
        Self { asks, wishes, state, came, tasks }
    }

    fn start(config: &Config, cluster: Cluster<DiskFiles>, spool: Spool) -> Self {
        let (asks, asked) = mpsc::channel(1);
        let (sink, chunks) = mpsc::channel::<plx_kube::log::Chunk>(WAITING);
        let (wishes, wanted) = watch::channel(Wishes::default());
        let (told, state) = watch::channel(State::Looking);
        let (comes, came) = watch::channel(Instant::now());
        let (pod, pace) = (config.pod.clone(), LogPace::polling(config.poll));
        let (found, finds) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(Writer::new(spool, config.pod.clone(), comes).run(chunks, asked, finds));
        tasks.spawn(async move {
            let seen = look(&cluster, &pod, &told).await;
            let (cursors, take) = oneshot::channel();
            let uid = seen.metadata.uid.clone();
            let node = Some(seen.spec.node_name.clone()).filter(|node| !node.is_empty());
            // The writer is gone when this is to end.
            let Ok(()) = found.send(writer::Found { uid: uid.clone(), node, cursors }) else { return };
            let Ok(cursors) = take.await else { return };
            let shared = Shared::new(cluster, &pod, &uid, pace);
            let (mut followers, mut progress) = (JoinSet::new(), BTreeMap::new());
            for container in seen.spec.init_containers.iter().chain(&seen.spec.containers) {
                let cursor = cursors.of(&container.name).at_the_kubelet();
                let (sink, wanted) = (sink.clone(), wanted.clone());
                let (follower, told) =
                    Follower::new(std::sync::Arc::clone(&shared), &container.name, cursor, sink, wanted);
                followers.spawn(follower.run());
                progress.insert(container.name.clone(), told);
            }
            told.send_replace(State::Following(progress));
            while followers.join_next().await.is_some() {}
            // The channels stay open: what the writer has is still to be asked for.
            std::future::pending::<()>().await;
        });
        Self { asks, wishes, state, came, tasks }
    }

    /// Gives what was collected to the next pass, when there is enough of it, or when it is the last. When no other may come, lines
    /// without an end are waited for no longer: they come with the pass after.
    pub async fn publish(&self, last: bool) {
        self.part(last, Vec::new()).await;
        if last {
            self.ask_for_unended();
        }
    }

    fn ask_for_unended(&self) {
        self.wishes.send_modify(|wishes| wishes.unended = wishes.unended.wrapping_add(1));
    }

    /// `broken`: containers whose logs may go on.
    async fn part(&self, last: bool, broken: Vec<String>) {
        let (done, made) = oneshot::channel();
        let part = async {
            // A writer that is gone has said why.
            self.asks.send(Ask { last, broken, done }).await.is_ok() && made.await.unwrap_or_default()
        };
        match timeout(PART, part).await {
            // It has its name only now, and would be sent again because it seems to be changing.
            Ok(true) => sleep(SETTLE).await,
            Ok(false) => {}
            Err(_) => {
                tracing::warn!("no part of the logs could be made in {PART:?}, the next pass tries again")
            }
        }
    }

    /// Waits for the last lines, and gives all there is to the last pass. What comes after that is not collected.
    pub async fn finish(mut self, main: &str, main_is_gone: bool, hard: &CancellationToken) {
        self.wishes.send_modify(|wishes| wishes.hurried = true);
        let begun = Instant::now();
        let (mut looks, mut ready) = (interval(LOOK), None);
        let came = loop {
            let silent = begun.max(*self.came.borrow()).elapsed();
            if self.is_ready(main, main_is_gone) {
                let ready = *ready.get_or_insert_with(Instant::now);
                if silent >= QUIET || ready.elapsed() >= TALK {
                    break true;
                }
            }
            if silent >= SILENCE || begun.elapsed() >= DRAIN {
                break false;
            }
            tokio::select! {
                _ = looks.tick() => {}
                () = hard.cancelled() => break false,
            }
        };
        if !came {
            tracing::warn!("the last lines of the logs may be missing: they did not come in time");
        }
        // Out of time nothing more is sent: then the report says it.
        let broken = if hard.is_cancelled() {
            Vec::new()
        } else {
            self.ask_for_unended();
            sleep(UNENDED).await;
            self.broken(main)
        };
        self.part(true, broken).await;
        self.tasks.shutdown().await;
    }

    /// Containers whose logs may have lines that were not taken: main's, unless it was read to its end. Others run on, and our
    /// own is never taken to the end.
    fn broken(&self, main: &str) -> Vec<String> {
        let State::Following(progress) = &*self.state.borrow() else { return Vec::new() };
        let is_broken = |name: &str, progress: Progress| match progress {
            Progress::Behind | Progress::Refused => name != OURS,
            Progress::Live => name == main,
            Progress::Idle | Progress::Done => false,
        };
        let broken = progress.iter().filter(|(name, progress)| is_broken(name, *progress.borrow()));
        broken.map(|(name, _)| name.clone()).collect()
    }

    /// Whether nothing is to come but what containers that run are about to say.
    fn is_ready(&self, main: &str, main_is_gone: bool) -> bool {
        match &*self.state.borrow() {
            State::Looking => false,
            State::Failing => true,
            State::Following(progress) => progress.iter().all(|(name, progress)| match *progress.borrow() {
                Progress::Behind => false,
                // Main has ended, so its log will.
                Progress::Idle | Progress::Live => !(main_is_gone && name == main),
                Progress::Done | Progress::Refused => true,
            }),
        }
    }
}

/// Looks for the pod until it is found.
async fn look(cluster: &Cluster<DiskFiles>, name: &str, told: &watch::Sender<State>) -> Pod {
    let (mut pause, longest) = PAUSES;
    let mut said = false;
    loop {
        let why = match cluster.pod(name).await {
            Ok(Some(pod)) => return pod,
            Ok(None) => format!("there is no pod {name} in the namespace {}", cluster.namespace()),
            Err(error) => {
                let next = error.next_step().unwrap_or_default();
                format!("{}; next: {next}", error.chain())
            }
        };
        if !std::mem::replace(&mut said, true) {
            tracing::warn!("no logs are collected yet, the pod cannot be read: {why}");
        }
        told.send_replace(State::Failing);
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}
