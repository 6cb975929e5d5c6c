//! Files of events, and what lineage says of them.
//!
//! ```text
//! step|timestamp|metric
//! 0|2024-05-06 07:08:09.123456+00:00|1.0
//! ```
//!
//! Polyaxon's client appends to `R/events/KIND/NAME.plx` and `R/resources/metric/NAME.plx`; `html`, `text`, `chart` and
//! `span` are JSON lines, everything else is a table. A row is begun with a line break and not ended with one, so the last
//! one of a file may be cut. From `traceml/events/schemas.py` (`V1Events`) and `polyaxon/_client/run.py`
//! (`_collect_events_summaries`), which read with pandas: number for number the same is said here, in one walk over the
//! file and in bounded memory.

mod columns;
mod describe;
mod lines;
mod number;
mod table;
mod time;

use self::columns::{Steps, Times, Values};
use self::describe::Numbers;
use self::lines::Line;
use self::table::{CELLS, Row};
use crate::lineage::{self, Artifact};
use serde_json::{Map, Value, json};
use std::io::{self, BufRead};

pub use self::describe::KEPT;

/// Kinds whose files are JSON lines.
pub const JSON_LINES: [&str; 4] = ["html", "text", "chart", "span"];
const METRIC: &str = "metric";

/// A file of events, by its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFile {
    path: String,
    kind: String,
    name: String,
    system: bool,
}

impl EventFile {
    /// The file at a path below the run's folder; none when no events lie there.
    ///
    /// ```
    /// # use plx_contract::events::EventFile;
    /// assert_eq!(EventFile::at("events/metric/loss.plx").unwrap().kind(), "metric");
    /// assert_eq!(EventFile::at("outputs/metric/loss.plx"), None);
    /// ```
    pub fn at(path: &str) -> Option<Self> {
        let (area, rest) = path.split_once('/')?;
        let system = match area {
            "events" => false,
            "resources" => true,
            _ => return None,
        };
        let (kind, file) = rest.split_once('/')?;
        let file = file.rsplit('/').next().unwrap_or(file);
        let name = file.split(".plx").next().filter(|name| !name.is_empty())?;
        Some(Self { path: path.to_owned(), kind: kind.to_owned(), name: name.to_owned(), system })
    }

    /// Its path below the run's folder.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What its events are.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What lineage says of it; `connection` is where the run's files are stored.
    pub fn artifact(&self, summary: Map<String, Value>, connection: &str) -> Artifact {
        Artifact {
            name: self.name.clone(),
            kind: if self.system { "system".to_owned() } else { self.kind.clone() },
            path: Some(self.path.clone()),
            summary: Some(summary),
            connection: Some(connection.to_owned()),
            is_input: Some(false),
        }
    }

    /// The name of the run's output that its last value is; none when it is none.
    pub fn output(&self) -> Option<String> {
        (!self.system && self.kind == METRIC).then(|| lineage::sanitized(&self.name))
    }
}

/// What a file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// `is_event`, `step`, `timestamp`, `metric`; what there is nothing of is left out.
    pub fields: Map<String, Value>,
    /// The last row's value; only of metrics.
    pub last: Option<Value>,
    /// Rows in its middle that are no events, and were passed over.
    pub unread: u64,
}

/// A file that is none of events.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// Its first row is not that of a table of events.
    #[error("its first row is not `step|timestamp|KIND`")]
    Header,
    /// None of its lines is an event.
    #[error("none of its lines is an event in JSON")]
    Lines,
    /// A metric of so many words that they cannot be counted.
    #[error("its values are no numbers, and too many different words")]
    Words,
}

/// Reads a file of events of a kind; none when no row is whole yet.
///
/// Of a metric at most [`KEPT`] numbers are kept: the quartiles of more are those of every second, fourth, … of them. All
/// else is exact.
///
/// # Errors
/// When it cannot be read, or is no file of events.
pub fn summarise(kind: &str, mut input: impl BufRead) -> Result<Option<Summary>, EventsError> {
    // The reference's reader tries lines first and a table then.
    if JSON_LINES.contains(&kind) && first_byte(&mut input)?.is_none_or(|byte| byte == b'{') {
        return of_lines(input);
    }
    of_table(kind, input)
}

/// The first byte that is no blank.
fn first_byte(input: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let blanks = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let found = bytes.get(blanks).copied();
        input.consume(blanks);
        if found.is_some() {
            return Ok(found);
        }
    }
}

/// What is known of a file so far.
struct Found {
    rows: u64,
    unread: u64,
    steps: Steps,
    times: Times,
    values: Option<Values>,
}

impl Found {
    fn new(kind: &str) -> Self {
        let values = (kind == METRIC).then(|| Values::Numbers(Numbers::new(KEPT)));
        Self { rows: 0, unread: 0, steps: Steps::default(), times: Times::default(), values }
    }

    fn take(&mut self, step: &str, timestamp: &str) {
        self.rows += 1;
        self.steps.take(step);
        self.times.take(timestamp);
    }

    fn summary(self) -> Option<Summary> {
        if self.rows == 0 {
            return None;
        }
        let mut fields = Map::from_iter([("is_event".to_owned(), json!(true))]);
        fields.extend(self.steps.summary().map(|step| ("step".to_owned(), step)));
        fields.extend(self.times.summary().map(|timestamp| ("timestamp".to_owned(), timestamp)));
        let mut last = None;
        if let Some(values) = self.values {
            let (described, value) = values.summary();
            fields.insert(METRIC.to_owned(), Value::Object(described));
            last = Some(value);
        }
        Some(Summary { fields, last, unread: self.unread })
    }
}

fn of_table(kind: &str, mut input: impl BufRead) -> Result<Option<Summary>, EventsError> {
    let mut row = Row::default();
    if !table::next_row(&mut input, &mut row)? {
        return Ok(None);
    }
    let head = [row.cell(0), row.cell(1), row.cell(2)];
    if head[0] != "step" || head[1] != "timestamp" || kind == METRIC && head[2] != METRIC {
        // Cut where the writer was.
        let cut = !row.ended
            && format!("step|timestamp|{kind}").starts_with(&head[..row.count.min(CELLS)].join("|"));
        return if cut { Ok(None) } else { Err(EventsError::Header) };
    }
    let mut found = Found::new(kind);
    while table::next_row(&mut input, &mut row)? {
        if !row.ended && is_cut(kind, &row) {
            break;
        }
        found.take(&row.cell(0), &row.cell(1));
        if let Some(values) = &mut found.values {
            values.take(&row.cell(2))?;
        }
    }
    Ok(found.summary())
}

/// Whether the last row, whose line has no end, seems to go on.
fn is_cut(kind: &str, row: &Row) -> bool {
    if row.count < CELLS || row.open {
        return true;
    }
    match row.edges {
        None => true,
        Some(_) if kind == METRIC => number::may_be_cut(&row.cell(2)),
        Some((b'{', last)) => last != b'}',
        Some((b'[', last)) => last != b']',
        Some(_) => false,
    }
}

fn of_lines(mut input: impl BufRead) -> Result<Option<Summary>, EventsError> {
    let mut found = Found::new("");
    while let Some(line) = lines::next_line(&mut input)? {
        match line {
            Line::Event { step, timestamp } => found.take(&step, &timestamp),
            Line::Unreadable { ended: true } => found.unread += 1,
            Line::Unreadable { ended: false } | Line::Blank => {}
        }
    }
    if found.rows == 0 && found.unread > 0 {
        return Err(EventsError::Lines);
    }
    Ok(found.summary())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
