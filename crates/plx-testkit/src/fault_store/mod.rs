//! An object store in memory that fails by rules.
//!
//! It needs no real time: with `#[tokio::test(start_paused = true)]`, [`Fault::Stall`], [`Fault::Slow`] and
//! [`FaultStore::set_latency`] cost none.

mod body;
mod rules;
mod store;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, MultipartId, ObjectStore as _, ObjectStoreExt as _, Result};
use tokio::sync::watch;

pub use self::rules::{Fault, Op};
use self::rules::{Rule, STORE, reset};
use crate::Times;

/// A store that keeps its objects in memory, counts what it is asked and fails when told. Clones share everything.
///
/// Bodies come in pieces of 64 KiB. A multipart upload is completed only with the parts it was given, in order.
#[derive(Debug, Clone, Default)]
pub struct FaultStore {
    memory: Arc<InMemory>,
    state: Arc<Mutex<State>>,
    calls: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    counts: BTreeMap<Op, u64>,
    log: Vec<(Op, String)>,
    in_flight: usize,
    max_in_flight: usize,
    latency: Duration,
    min_part: u64,
    uploads: HashMap<MultipartId, Upload>,
    next_part: u64,
    no_conditions: Option<Fault>,
    renames: bool,
    ignores_conditions: bool,
}

/// An upload that is open: its key, and size and id of its parts.
#[derive(Debug)]
struct Upload {
    key: String,
    parts: BTreeMap<usize, (u64, String)>,
}

impl FaultStore {
    /// An empty one that does not fail.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on, `op` on keys that contain `key_contains` (`""` for all) fails like that. The first rule that
    /// applies wins, in the order they were added; a rule counts the matching calls that no earlier rule took.
    pub fn fail(&self, op: Op, key_contains: &str, fault: Fault, times: Times) {
        let key_contains = key_contains.to_owned();
        self.state().rules.push(Rule { op, key_contains, fault, times, met: 0 });
    }

    /// Forgets all rules. Calls that stall go on stalling.
    pub fn clear_faults(&self) {
        self.state().rules.clear();
    }

    /// Every call takes that long, on tokio's clock, so that calls overlap.
    pub fn set_latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// Refuses to complete an upload when a part but the last is smaller, as S3 does below 5 MiB. At first 0.
    pub fn set_min_part(&self, bytes: u64) {
        self.state().min_part = bytes;
    }

    /// How often it was asked that, failures too.
    pub fn count(&self, op: Op) -> u64 {
        self.state().counts.get(&op).copied().unwrap_or(0)
    }

    /// Everything it was asked, in order, with the key.
    pub fn calls(&self) -> Vec<(Op, String)> {
        self.state().log.clone()
    }

    /// Forgets what it was asked and the highest number under way; keeps rules and objects.
    pub fn forget_calls(&self) {
        let mut state = self.state();
        state.counts.clear();
        state.log.clear();
        state.max_in_flight = state.in_flight;
    }

    /// Waits until it was asked that `n` times on keys that contain `key_contains`.
    pub async fn called(&self, op: Op, key_contains: &str, n: usize) {
        let meant = |call: &&(Op, String)| call.0 == op && call.1.contains(key_contains);
        let enough = |_: &u64| self.state().log.iter().filter(meant).count() >= n;
        self.calls.subscribe().wait_for(enough).await.expect("the store holds the sender");
    }

    /// Multipart uploads that were begun and neither completed nor given up.
    pub fn open_multipart(&self) -> usize {
        self.state().uploads.len()
    }

    /// The keys of those uploads, sorted.
    pub fn open_multipart_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.state().uploads.values().map(|upload| upload.key.clone()).collect();
        keys.sort();
        keys
    }

    /// The uploads to this key that are open and have no part, as a real store lists them.
    pub fn empty_multipart(&self, key: &str) -> Vec<MultipartId> {
        let state = self.state();
        let empty = state.uploads.iter().filter(|(_, upload)| upload.key == key && upload.parts.is_empty());
        empty.map(|(id, _)| id.clone()).collect()
    }

    /// Calls under way now; a read is under way until its body ends or is dropped.
    pub fn in_flight(&self) -> usize {
        self.state().in_flight
    }

    /// The most calls that were under way at once.
    pub fn max_in_flight(&self) -> usize {
        self.state().max_in_flight
    }

    /// Puts an object there, past all rules and counts. The key is taken literally.
    ///
    /// # Panics
    /// When it is no key.
    pub async fn insert(&self, key: &str, content: impl Into<Bytes>) {
        let key = Path::parse(key).expect("a test names a valid key");
        self.memory.put(&key, content.into().into()).await.expect("memory takes every object");
    }

    /// All keys, in order, past all rules and counts.
    pub async fn keys(&self) -> Vec<String> {
        let metas: Vec<_> = self.memory.list(None).try_collect().await.expect("memory lists");
        let mut keys: Vec<String> = metas.into_iter().map(|meta| meta.location.to_string()).collect();
        keys.sort();
        keys
    }

    /// From now on puts with a condition are refused like this.
    pub fn refuse_conditions(&self, refusal: Fault) {
        self.state().no_conditions = Some(refusal);
    }

    /// From now on conditions of puts are passed over, as by servers that know none.
    pub fn ignore_conditions(&self) {
        self.state().ignores_conditions = true;
    }

    /// From now on an answer to a put has another tag than the object has afterwards, as with some gateways.
    pub fn rename_what_is_put(&self) {
        self.state().renames = true;
    }

    /// Takes an object away, as somebody else would: no rule applies, nothing is counted.
    pub async fn take_away(&self, key: &str) {
        // One that is not there is as good.
        let key = Path::parse(key).expect("a test names a valid key");
        self.memory.delete(&key).await.ok();
    }

    /// The bytes of an object, past all rules and counts; `None` when there is none.
    ///
    /// # Panics
    /// When it is no key.
    pub async fn content(&self, key: &str) -> Option<Bytes> {
        let key = Path::parse(key).expect("a test names a valid key");
        match self.memory.get(&key).await {
            Err(Error::NotFound { .. }) => None,
            object => Some(object.expect("memory reads").bytes().await.expect("memory reads")),
        }
    }

    /// The store beneath, without rules or counts: to prepare and to inspect.
    pub fn beneath(&self) -> &InMemory {
        &self.memory
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call and says how it fails.
    fn begin(&self, op: Op, key: &str) -> (Flight, Option<Fault>) {
        let fault = {
            let mut state = self.state();
            *state.counts.entry(op).or_default() += 1;
            state.log.push((op, key.to_owned()));
            state.in_flight += 1;
            state.max_in_flight = state.max_in_flight.max(state.in_flight);
            state.rules.iter_mut().find_map(|rule| rule.meet(op, key))
        };
        self.calls.send_modify(|count| *count += 1);
        (Flight { state: Arc::clone(&self.state) }, fault)
    }

    /// Waits as the call's fault and the latency say, then fails or hands back what is left of the fault.
    async fn suffer(&self, fault: Option<Fault>, key: &str) -> Result<Option<Fault>> {
        let latency = self.state().latency;
        match &fault {
            Some(Fault::Stall) => std::future::pending().await,
            Some(Fault::Slow(time)) => tokio::time::sleep(latency + *time).await,
            _ if latency > Duration::ZERO => tokio::time::sleep(latency).await,
            _ => tokio::task::yield_now().await,
        }
        match fault.as_ref().and_then(|fault| fault.error(key)) {
            Some(error) => Err(error),
            None => Ok(fault),
        }
    }

    /// A call that gives one answer.
    async fn call<T, F>(&self, op: Op, key: &str, work: impl FnOnce(Option<Fault>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let (_flight, fault) = self.begin(op, key);
        let fault = self.suffer(fault, key).await?;
        let (lost, silent) = (fault == Some(Fault::Lost), fault == Some(Fault::Silent));
        let answer = work(fault).await;
        if silent {
            std::future::pending::<()>().await;
        }
        if lost { Err(reset()) } else { answer }
    }
}

/// A call under way.
#[derive(Debug)]
struct Flight {
    state: Arc<Mutex<State>>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).in_flight -= 1;
    }
}

impl std::fmt::Display for FaultStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(STORE)
    }
}
