//! How far a clone is.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one clone, its submodules included.
#[derive(Debug, Default)]
pub struct Received {
    bytes: AtomicU64,
    /// Of the pack that comes at the moment.
    objects: AtomicU64,
    all_objects: AtomicU64,
    files: AtomicU64,
    all_files: AtomicU64,
}

impl Received {
    /// Bytes that came, repeated ones included.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What is being done, for a person: objects of a pack, then files of a checkout.
    pub fn stage(&self) -> String {
        let of =
            |done: &AtomicU64, all: &AtomicU64| (done.load(Ordering::Relaxed), all.load(Ordering::Relaxed));
        match (of(&self.objects, &self.all_objects), of(&self.files, &self.all_files)) {
            (_, (done, all)) if all > 0 => format!("files {done} of {all}"),
            ((done, all), _) if all > 0 => format!("objects {done} of {all}"),
            _ => "connecting".to_owned(),
        }
    }

    /// How much of the stage is done, and the whole.
    pub fn part(&self) -> (u64, u64) {
        let of =
            |done: &AtomicU64, all: &AtomicU64| (done.load(Ordering::Relaxed), all.load(Ordering::Relaxed));
        match (of(&self.objects, &self.all_objects), of(&self.files, &self.all_files)) {
            (_, files) if files.1 > 0 => files,
            (objects, _) => objects,
        }
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn of_pack(&self, progress: &git2::Progress<'_>, bytes_are_counted: bool) {
        // Received, and then put together from what they differ by: both take their time.
        let done = progress.indexed_objects() + progress.indexed_deltas();
        let all = progress.total_objects() + progress.total_deltas();
        self.objects.store(done as u64, Ordering::Relaxed);
        self.all_objects.store(all as u64, Ordering::Relaxed);
        self.all_files.store(0, Ordering::Relaxed);
        if !bytes_are_counted {
            self.bytes.fetch_max(progress.received_bytes() as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn of_files(&self, done: usize, all: usize) {
        self.files.store(done as u64, Ordering::Relaxed);
        self.all_files.store(all as u64, Ordering::Relaxed);
    }
}
