//! The rows, in files of Polyaxon's form: `step|timestamp|metric`, each row begun with a line break, without steps.
//!
//! A file that grows is sent again, whole, by each pass that sees it grow. So rows come less and less often: every 10 s for
//! half an hour, every 20 s for an hour, and so on, at most one an hour. A day has 1000 rows, a month has 2100, of 32 bytes.

use super::{Sample, TICK};
use chrono::Utc;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const HEAD: &str = "step|timestamp|metric";
/// Bytes of a row, or a little less.
const ROW: u64 = 32;
/// After so many rows they come half as often.
const ROWS: u64 = 180;
const LONGEST: Duration = Duration::from_secs(3600);
/// Main may be anybody, and its own client adds to these files when it begins late.
const MODES: (u32, u32) = (0o777, 0o666);

/// The files below `resources/`.
#[derive(Debug)]
pub(super) struct Rows {
    folder: PathBuf,
    /// What lies there and how long it is, as we left it; none before the first look.
    known: Option<BTreeMap<PathBuf, u64>>,
    failing: bool,
}

/// What became of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    Added,
    /// There was none, or it could not be written.
    Not,
    /// Somebody else writes there, that file among others.
    ByOthers(String),
}

impl Rows {
    pub fn below(folder: PathBuf) -> Self {
        Self { folder, known: None, failing: false }
    }

    /// Between two rows.
    pub fn period(&self) -> Duration {
        let length = self.known.as_ref().and_then(|known| known.get(&self.file("cpu"))).copied();
        period(length.unwrap_or_default())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join("metric").join(format!("{name}.plx"))
    }

    /// Looks whether somebody else writes, and adds a row when nobody does. Only what grows or is new counts: what a resumed
    /// run or an earlier sidecar left does not.
    pub fn look(&mut self, sample: Option<Sample>) -> Written {
        let mut found = BTreeMap::new();
        lengths(&self.folder, &mut found);
        if let Some(known) = &self.known
            && let Some((path, _)) = found.iter().find(|(path, length)| known.get(*path) != Some(*length))
        {
            let path = path.strip_prefix(&self.folder).unwrap_or(path);
            return Written::ByOthers(format!("resources/{}", path.display()));
        }
        let written = sample.map(|sample| self.add(sample, &mut found));
        self.known = Some(found);
        match written {
            None => Written::Not,
            Some(Ok(())) => {
                self.failing = false;
                Written::Added
            }
            Some(Err(error)) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!("what main uses cannot be written to {}: {error}", self.folder.display());
                }
                Written::Not
            }
        }
    }

    fn add(&self, sample: Sample, lengths: &mut BTreeMap<PathBuf, u64>) -> io::Result<()> {
        let time = Utc::now().format("%Y-%m-%d %H:%M:%S+00:00");
        for (name, value) in [("cpu", sample.cpu), ("memory", sample.memory)] {
            let path = self.file(name);
            let length = append(&path, &format!("\n|{time}|{value:.1}"))?;
            lengths.insert(path, length);
        }
        Ok(())
    }
}

fn period(length: u64) -> Duration {
    let doublings = u32::try_from(length / ROW / ROWS).unwrap_or(u32::MAX).min(16);
    (TICK * 2_u32.pow(doublings)).min(LONGEST)
}

/// Adds a row in one step; says how long the file is then.
fn append(path: &Path, row: &str) -> io::Result<u64> {
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        let above = folder.parent().filter(|above| !above.exists());
        fs::create_dir_all(folder)?;
        for made in above.into_iter().chain([folder]) {
            fs::set_permissions(made, Permissions::from_mode(MODES.0))?;
        }
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let before = file.metadata()?.len();
    if before == 0 {
        file.set_permissions(Permissions::from_mode(MODES.1))?;
    }
    let text = if before == 0 { format!("{HEAD}{row}") } else { row.to_owned() };
    if let Err(error) = file.write_all(text.as_bytes()) {
        // Not half a row.
        file.set_len(before)?;
        return Err(error);
    }
    Ok(before + text.len() as u64)
}

/// Files below a folder; one that is gone meanwhile is none.
fn lengths(folder: &Path, into: &mut BTreeMap<PathBuf, u64>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                tracing::debug!("{}: {error}", folder.display());
            }
            return;
        }
    };
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(found) if found.is_dir() => lengths(&entry.path(), into),
            Ok(found) => {
                into.insert(entry.path(), found.len());
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plx_contract::events::{EventFile, summarise};

    const SAMPLE: Sample = Sample { cpu: 12.34, memory: 5.0 };

    #[test]
    fn rows_are_those_of_polyaxon_and_are_only_added() {
        let folder = tempfile::tempdir().unwrap();
        let resources = folder.path().join("resources");
        let mut rows = Rows::below(resources.clone());
        assert_eq!(rows.look(None), Written::Not);
        assert!(!resources.exists(), "nothing is made before there is something to say");
        assert_eq!((rows.look(Some(SAMPLE)), rows.look(Some(SAMPLE))), (Written::Added, Written::Added));
        let path = resources.join("metric/cpu.plx");
        let first = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = first.split('\n').collect();
        assert_eq!((lines.len(), lines[0]), (3, HEAD), "{first}");
        assert!(lines[1].starts_with("|20") && lines[1].ends_with("+00:00|12.3"), "{first}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        assert_eq!(fs::metadata(resources.join("metric")).unwrap().permissions().mode() & 0o777, 0o777);

        // A sidecar that was started again.
        let mut again = Rows::below(resources);
        assert_eq!((again.look(None), again.look(Some(SAMPLE))), (Written::Not, Written::Added));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&first) && text.matches('\n').count() == 3, "{text}");
        let file = EventFile::at("resources/metric/cpu.plx").unwrap();
        let summary = summarise(file.kind(), text.as_bytes()).unwrap().unwrap();
        assert_eq!((summary.last, summary.unread), (Some(12.3.into()), 0));
        assert_eq!(file.artifact(summary.fields, "store").kind, "system");
    }

    #[test]
    fn whoever_else_writes_is_noticed_in_any_file() {
        for (name, before) in [("metric/gpu_0_utilization.plx", ""), ("metric/cpu.plx", HEAD)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if !before.is_empty() {
                fs::write(&path, before).unwrap();
            }
            let mut rows = Rows::below(folder.path().to_owned());
            // What lies there is of before.
            assert_eq!((rows.look(None), rows.look(Some(SAMPLE))), (Written::Not, Written::Added));
            let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
            file.write_all(b"\n|2024-05-06 07:08:09.123456+00:00|1.0").unwrap();
            assert_eq!(rows.look(Some(SAMPLE)), Written::ByOthers(format!("resources/{name}")));
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.ends_with("|1.0"), "{text}");
        }
    }

    #[test]
    fn the_longer_a_run_is_the_rarer_are_its_rows_and_little_is_sent() {
        let (mut age, mut rows, mut sent) = (Duration::ZERO, 0_u64, 0_u64);
        let mut at = BTreeMap::new();
        let month = Duration::from_secs(30 * 86_400);
        while age < month {
            age += period(HEAD.len() as u64 + rows * ROW);
            rows += 1;
            // At worst each pass sees one more.
            sent += HEAD.len() as u64 + rows * ROW;
            at.insert(age.as_secs(), (rows, sent));
        }
        let until = |seconds: u64| *at.range(..=seconds).next_back().unwrap().1;
        assert_eq!(until(1800).0, 180, "every 10 s for half an hour");
        let (hour, day, month) = (until(3600), until(86_400), until(month.as_secs()));
        assert!(hour.0 == 270 && hour.1 < 1_300_000, "{hour:?}");
        assert!(day.0 < 1050 && day.1 < 18_000_000, "{day:?}");
        assert!(month.0 < 2200 && month.1 < 78_000_000, "{month:?}");
    }
}
