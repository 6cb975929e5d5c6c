//! The one writer of all logs of the pod.

use super::OURS;
use super::records::Records;
use super::spool::{Batch, Spool};
use super::stands::{Stands, Taken};
use chrono::{DateTime, Utc};
use plx_kube::log::{Kind, Line};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};

/// As much is written at once; who has more waits.
const BATCH: usize = 512 << 10;
/// Lines that come one by one are written together, if they come within so long.
const LINGER: Duration = Duration::from_millis(100);
/// A disk that takes nothing is tried again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// Behind the last line of a log that could not be read to its end.
const BROKEN: &str = "the log could not be read to its end: lines after this one may be missing";

/// Asks for a part.
pub(super) struct Ask {
    /// It is the last.
    pub last: bool,
    /// Containers whose logs could not be read to their ends.
    pub broken: Vec<String>,
    /// Told whether it was made.
    pub done: oneshot::Sender<bool>,
}

/// The pod was found.
pub(super) struct Found {
    /// Another pod of its name has other logs.
    pub uid: String,
    /// Where it runs.
    pub node: Option<String>,
    /// Who wants to know how far each log was taken.
    pub cursors: oneshot::Sender<Cursors>,
}

/// How far the logs of a pod were taken.
pub(super) struct Cursors(BTreeMap<String, Stands>);

impl Cursors {
    /// Of one container.
    pub(super) fn of(&self, container: &str) -> Stands {
        self.0.get(container).cloned().unwrap_or_default()
    }
}

pub(super) struct Writer {
    /// None while it is being written.
    spool: Option<Spool>,
    records: Records,
    uid: String,
    batch: Batch,
    /// When a line came last; our own do not count, we would wait for ourselves.
    comes: watch::Sender<Instant>,
    /// How far logs were taken and written, for who gave them.
    kept: watch::Sender<BTreeMap<String, Stands>>,
    failing: bool,
}

impl Writer {
    pub(super) fn new(spool: Spool, pod: String, comes: watch::Sender<Instant>) -> Self {
        let records = Records { pod, node: None };
        Self {
            spool: Some(spool),
            records,
            uid: String::new(),
            batch: Batch::default(),
            comes,
            kept: watch::Sender::default(),
            failing: false,
        }
    }

    /// How far logs were taken and are on disk, as `UID/CONTAINER`.
    pub(super) fn kept(&self) -> watch::Receiver<BTreeMap<String, Stands>> {
        self.kept.subscribe()
    }

    /// Writes what comes, until nobody asks any more.
    pub(super) async fn run<C: Into<Taken>>(
        mut self,
        mut chunks: mpsc::Receiver<C>,
        mut asks: mpsc::Receiver<Ask>,
        found: oneshot::Receiver<Found>,
    ) {
        tokio::pin!(found);
        let mut looking = true;
        loop {
            let full = self.batch.bytes.len() >= BATCH;
            // Each branch is cancel safe. What could not be written waits, and with it whoever has more once it is full.
            tokio::select! {
                biased;
                ask = asks.recv() => {
                    let Some(ask) = ask else { return };
                    self.gather(&mut chunks);
                    self.publish(ask).await;
                }
                it = &mut found, if looking => {
                    looking = false;
                    if let Ok(it) = it {
                        self.found(it);
                    }
                }
                chunk = chunks.recv(), if !full && !self.failing => {
                    let Some(chunk) = chunk else { return };
                    self.take(chunk.into());
                    self.linger(&mut chunks).await;
                    self.write().await;
                }
                () = sleep(AGAIN), if self.failing => self.write().await,
            }
        }
    }

    fn found(&mut self, found: Found) {
        let Found { uid, node, cursors } = found;
        let known = self.spool.as_ref().map(|spool| spool.cursors_of(&uid)).unwrap_or_default();
        (self.uid, self.records.node) = (uid, node);
        // Who asked may be gone.
        cursors.send(Cursors(known)).ok();
    }

    /// Takes what has come by now, up to a batch.
    fn gather<C: Into<Taken>>(&mut self, chunks: &mut mpsc::Receiver<C>) {
        while self.batch.bytes.len() < BATCH
            && let Ok(chunk) = chunks.try_recv()
        {
            self.take(chunk.into());
        }
    }

    async fn linger<C: Into<Taken>>(&mut self, chunks: &mut mpsc::Receiver<C>) {
        let until = Instant::now() + LINGER;
        while self.batch.bytes.len() < BATCH {
            let Ok(Some(chunk)) = timeout_at(until, chunks.recv()).await else { return };
            self.take(chunk.into());
        }
    }

    fn take(&mut self, chunk: Taken) {
        let (container, now) = (&*chunk.container, Utc::now());
        for line in &chunk.lines {
            self.add(container, line, now);
        }
        if !chunk.lines.is_empty() && container != OURS {
            self.comes.send_replace(Instant::now());
        }
        self.batch.cursors.insert(format!("{}/{container}", self.uid), chunk.stands);
    }

    fn add(&mut self, container: &str, line: &Line, now: DateTime<Utc>) {
        let record = self.records.of(container, line, now);
        let has_text = self.batch.has_text || self.spool.as_ref().is_some_and(|spool| spool.has_text);
        let mut bytes = record.text.into_bytes();
        if !has_text && !record.is_text {
            bytes.splice(..0, self.records.no_numbers(container, &record.timestamp).into_bytes());
        }
        // From here on something in the file is no number: this record, or the one before it.
        self.batch.has_text = true;
        if container != OURS {
            self.batch.worth += bytes.len() as u64;
        }
        self.batch.bytes.extend(bytes);
    }

    /// Says where logs break off: those of which something was taken.
    fn note(&mut self, broken: &[String]) {
        let kept = self.spool.as_ref().map(|spool| spool.cursors_of(&self.uid)).unwrap_or_default();
        for container in broken {
            let cursor = self.batch.cursors.get(&format!("{}/{container}", self.uid));
            if cursor.or(kept.get(container)).is_some_and(|cursor| !cursor.is_at_the_beginning()) {
                let line = Line { time: None, text: BROKEN.to_owned(), kind: Kind::Note };
                self.add(container, &line, Utc::now());
            }
        }
    }

    async fn write(&mut self) {
        if self.batch.is_empty() {
            // What failed was a part: the next pass asks for it again.
            self.works();
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let written = self.on_disk(move |spool| {
            let written = spool.append(&batch);
            (written, batch)
        });
        let Some((written, batch)) = written.await else { return };
        match written {
            Ok(()) => {
                self.kept.send_modify(|kept| kept.extend(batch.cursors));
                self.works();
            }
            Err(error) => {
                self.batch = batch;
                self.fails(&error);
            }
        }
    }

    async fn publish(&mut self, ask: Ask) {
        self.note(&ask.broken);
        self.write().await;
        let last = ask.last;
        let made = self.on_disk(move |spool| spool.publish(last)).await.unwrap_or(Ok(false));
        let made = made.unwrap_or_else(|error| {
            self.fails(&error);
            false
        });
        // Who asked may be gone.
        ask.done.send(made).ok();
    }

    /// Disks hang, so they are waited for on a thread of their own.
    async fn on_disk<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Spool) -> T + Send + 'static,
    ) -> Option<T> {
        let mut spool = self.spool.take()?;
        let worked = spawn_blocking(move || {
            let result = work(&mut spool);
            (spool, result)
        });
        match worked.await {
            Ok((spool, result)) => {
                self.spool = Some(spool);
                Some(result)
            }
            Err(error) => {
                tracing::error!("logs are collected no more: {error}");
                None
            }
        }
    }

    fn works(&mut self) {
        if std::mem::take(&mut self.failing) {
            tracing::info!("logs are collected again");
        }
    }

    fn fails(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!("logs wait to be collected: write them: {error}");
        }
    }
}
