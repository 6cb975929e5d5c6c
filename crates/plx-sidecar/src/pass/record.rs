//! The record of passes: a line of JSON for each, in the run's state folder, for people and tools that tune the interval.

use super::report::{PassReport, Totals, tenths};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Its name in `ART/.plx/POD`. Once it is [`LONGEST`], it becomes `passes.1.jsonl`, and a new one begins.
pub const RECORD: &str = "passes.jsonl";
const BEFORE: &str = "passes.1.jsonl";
/// Some 4 000 passes: half a day at 10 seconds.
const LONGEST: u64 = 1 << 20;

/// Where passes are written down.
pub(super) struct Record {
    path: PathBuf,
    open: Option<File>,
}

impl Record {
    pub fn of(folder: &Path) -> Self {
        Self { path: folder.join(RECORD), open: None }
    }

    /// Appends a pass that began then.
    pub fn pass(&mut self, number: u64, began: SystemTime, report: &PassReport) -> io::Result<()> {
        let began = DateTime::<Utc>::from(began).to_rfc3339_opts(SecondsFormat::Millis, true);
        self.append(&json!({
            "pass": number,
            "began": began,
            "seconds": (report.took.as_secs_f64() * 1000.0).round() / 1000.0,
            "scanned": report.seen,
            "changed": report.changed,
            "sent": report.stored,
            "bytes": report.bytes,
            "again": report.again,
            "deleted": report.deleted,
            "waiting": report.waiting.len(),
            "requests": report.requests,
            "behind": tenths(report.behind),
        }))
    }

    /// Appends what all passes come to.
    pub fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        self.append(&json!({ "totals": totals }))
    }

    fn append(&mut self, line: &Value) -> io::Result<()> {
        let mut file = match self.open.take() {
            Some(file) => file,
            None => self.open()?,
        };
        // One write: whoever reads sees whole lines.
        file.write_all(format!("{line}\n").as_bytes())?;
        if file.metadata()?.len() < LONGEST {
            self.open = Some(file);
            return Ok(());
        }
        fs::rename(&self.path, self.path.with_file_name(BEFORE))
    }

    fn open(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        OpenOptions::new().create(true).append(true).open(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_year_of_passes_takes_two_megabytes_at_most_and_every_line_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::of(&folder.path().join("pod"));
        let report = PassReport { seen: 7, behind: Duration::from_millis(9_870), ..PassReport::default() };
        for number in 1..=20_000 {
            record.pass(number, SystemTime::UNIX_EPOCH, &report).unwrap();
        }
        record.totals(&Totals { passes: 20_000, ..Totals::default() }).unwrap();
        let read = |name| fs::read_to_string(folder.path().join("pod").join(name)).unwrap();
        let (before, now) = (read(BEFORE), read(RECORD));
        assert!((before.len() + now.len()) as u64 <= 2 * LONGEST + 512);
        let lines: Vec<Value> =
            before.lines().chain(now.lines()).map(|line| serde_json::from_str(line).unwrap()).collect();
        let numbers: Vec<u64> = lines.iter().filter_map(|line| line["pass"].as_u64()).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1) && numbers.ends_with(&[20_000]));
        assert_eq!(lines[0]["behind"], 9.9);
        assert_eq!(lines.last().unwrap()["totals"]["passes"], 20_000);
    }
}
