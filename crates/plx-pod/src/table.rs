//! The table at the end of a run.

use comfy_table::{CellAlignment, Table, presets};
use std::time::Duration;

/// One row. What is not known is shown as `-`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// What it is about.
    pub step: String,
    /// How it ended.
    pub result: String,
    /// Objects moved.
    pub objects: Option<u64>,
    /// Bytes moved.
    pub bytes: Option<u64>,
    /// Passes of the sidecar.
    pub passes: Option<u64>,
    /// How long it took.
    pub time: Option<Duration>,
}

/// The rows as text, without colours.
pub fn render(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["", "result", "objects", "bytes", "passes", "time"]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for row in rows {
        table.add_row([
            row.step.clone(),
            row.result.clone(),
            or_dash(row.objects.map(|count| count.to_string())),
            or_dash(row.bytes.map(bytes)),
            or_dash(row.passes.map(|count| count.to_string())),
            or_dash(row.time.map(|time| format!("{:.1} s", time.as_secs_f64()))),
        ]);
    }
    for column in 2..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// A size for people.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let mut size = count as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}
