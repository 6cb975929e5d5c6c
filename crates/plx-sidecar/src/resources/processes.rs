//! Main's processes, from `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Of a second, which the kernel counts in: the same on all machines that we run on.
const TICKS: f64 = 100.0;

/// Which processes are main's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// A process and all that it started.
    Tree(i32),
    /// Those of a container, by its id at the container runtime, where the containers of a pod see each other's.
    Container(String),
}

/// What all of them used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Used {
    /// Seconds of CPU, since they began.
    pub seconds: f64,
    /// Bytes: memory of their own, and of what they share with others as much as one of them has.
    pub bytes: f64,
}

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    parent: i32,
    /// With those of its children that are gone.
    ticks: u64,
}

/// Looks at processes; none when there are none of them. Blocks for as long as that takes.
pub fn used(proc: &Path, whose: &Whose) -> Option<Used> {
    let all: BTreeMap<i32, Times> = pids(proc).filter_map(|pid| Some((pid, times(proc, pid)?))).collect();
    let theirs: BTreeSet<i32> = match whose {
        Whose::Tree(root) => tree(*root, &all),
        Whose::Container(id) => all.keys().copied().filter(|pid| is_in(proc, *pid, id)).collect(),
    };
    let ticks = theirs.iter().filter_map(|pid| all.get(pid)).map(|times| times.ticks).reduce(|a, b| a + b)?;
    let memory: Vec<Memory> = theirs.iter().filter_map(|pid| memory(proc, *pid)).collect();
    let own: u64 = memory.iter().map(|memory| memory.own).sum();
    let shared = memory.iter().map(|memory| memory.shared).max().unwrap_or_default();
    Some(Used { seconds: count(ticks) / TICKS, bytes: count(own + shared) * 1024.0 })
}

fn count(number: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 of them")]
    let float = number as f64;
    float
}

fn pids(proc: &Path) -> impl Iterator<Item = i32> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn tree(root: i32, all: &BTreeMap<i32, Times>) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        if all.contains_key(&pid) && found.insert(pid) {
            next.extend(all.iter().filter(|(_, times)| times.parent == pid).map(|(pid, _)| *pid));
        }
    }
    found
}

/// A process that ended meanwhile is none.
fn read(proc: &Path, pid: i32, name: &str) -> Option<String> {
    let path: PathBuf = proc.join(pid.to_string()).join(name);
    fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Its name stands between brackets and may hold anything, brackets too.
fn times(proc: &Path, pid: i32) -> Option<Times> {
    let stat = read(proc, pid, "stat")?;
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Times { parent: fields.get(1)?.parse().ok()?, ticks })
}

fn is_in(proc: &Path, pid: i32, id: &str) -> bool {
    !id.is_empty() && read(proc, pid, "cgroup").is_some_and(|groups| groups.contains(id))
}

/// In KiB.
struct Memory {
    own: u64,
    shared: u64,
}

fn memory(proc: &Path, pid: i32) -> Option<Memory> {
    let status = read(proc, pid, "status")?;
    let of = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or_default()
    };
    Some(Memory { own: of("RssAnon:"), shared: of("RssFile:") + of("RssShmem:") })
}

#[cfg(test)]
#[path = "processes_tests.rs"]
mod tests;
