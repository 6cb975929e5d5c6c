//! What identifies one version of a file on disk.

use std::os::unix::fs::MetadataExt;

/// The parts of a file's status that change when its content may have changed.
///
/// Modification time alone is not enough: tools set it back, and two writes fall into one tick of the clock. Device,
/// inode and change time cannot be set by a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stat {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Change time, nanoseconds since the epoch.
    pub ctime_ns: i64,
    /// Mode bits, type included. Not part of a version: see [`Stat::same_version`].
    pub mode: u32,
}

impl Stat {
    /// The status as some metadata gives it.
    pub fn of(metadata: &impl MetadataExt) -> Self {
        let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            mtime_ns: nanos(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanos(metadata.ctime(), metadata.ctime_nsec()),
            mode: metadata.mode(),
        }
    }

    /// True when nothing says that the content differs.
    pub fn same_version(&self, other: &Self) -> bool {
        (self.dev, self.ino, self.size, self.mtime_ns, self.ctime_ns)
            == (other.dev, other.ino, other.size, other.mtime_ns, other.ctime_ns)
    }
}
