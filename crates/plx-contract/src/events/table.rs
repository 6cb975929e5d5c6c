//! Rows of `step|timestamp|KIND`, split as pandas' reader splits them.
//!
//! A quote at the begin of a cell opens one that may hold bars and line breaks; anywhere else it is a character. Unlike
//! there a bar in the third cell is a character too: JSON holds bars, and Polyaxon's client does not quote it.

use std::borrow::Cow;
use std::io::{self, BufRead};

/// Bytes of a cell that are kept.
const CELL: usize = 256;
/// Cells of a row.
pub(super) const CELLS: usize = 3;

/// One row. The cells are cut at [`CELL`] bytes.
#[derive(Debug, Default)]
pub(super) struct Row {
    cells: [Vec<u8>; CELLS],
    /// How many cells it has, at least one.
    pub count: usize,
    /// Its line has ended. Polyaxon's client ends a row by beginning the next: the last one may be whole without.
    pub ended: bool,
    /// The end came within quotes.
    pub open: bool,
    /// First and last byte of the third cell.
    pub edges: Option<(u8, u8)>,
}

impl Row {
    /// A cell as text, empty when the row is too short for it.
    pub fn cell(&self, n: usize) -> Cow<'_, str> {
        self.cells.get(n).map(|cell| String::from_utf8_lossy(cell)).unwrap_or_default()
    }

    fn clear(&mut self) {
        self.cells.iter_mut().for_each(Vec::clear);
        (self.count, self.ended, self.open, self.edges) = (1, false, false, None);
    }

    fn push(&mut self, byte: u8) {
        if self.count == CELLS {
            self.edges = Some((self.edges.map_or(byte, |(first, _)| first), byte));
        }
        let cell = &mut self.cells[self.count - 1];
        if cell.len() < CELL {
            cell.push(byte);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    RowBegin,
    CellBegin,
    Cell,
    Quoted,
    /// After a quote within quotes: the end of them, or the first half of one that is meant.
    QuoteInQuoted,
}

/// Reads the next row that is not blank; false when there is none.
pub(super) fn next_row(input: &mut impl BufRead, row: &mut Row) -> io::Result<bool> {
    row.clear();
    let mut at = At::RowBegin;
    loop {
        let bytes = match input.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if bytes.is_empty() {
            row.open = at == At::Quoted;
            return Ok(at != At::RowBegin);
        }
        let mut used = 0;
        for byte in bytes {
            used += 1;
            at = step(at, *byte, row);
            if row.ended {
                break;
            }
        }
        input.consume(used);
        if row.ended {
            return Ok(true);
        }
    }
}

fn step(at: At, byte: u8, row: &mut Row) -> At {
    match (at, byte) {
        (At::RowBegin, b'\n' | b'\r' | b' ' | b'\t') => return At::RowBegin,
        (At::Quoted, b'"') => return At::QuoteInQuoted,
        (At::Quoted, _) | (At::QuoteInQuoted, b'"') => {
            row.push(byte);
            return At::Quoted;
        }
        (_, b'\n' | b'\r') => {
            row.ended = true;
            return At::RowBegin;
        }
        (_, b'|') if row.count < CELLS => {
            row.count += 1;
            return At::CellBegin;
        }
        (At::RowBegin | At::CellBegin, b'"') => return At::Quoted,
        _ => row.push(byte),
    }
    At::Cell
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn rows(text: &str, capacity: usize) -> Vec<(Vec<String>, bool, bool)> {
        let mut input = BufReader::with_capacity(capacity, text.as_bytes());
        let (mut row, mut all) = (Row::default(), Vec::new());
        while next_row(&mut input, &mut row).expect("memory") {
            all.push(((0..row.count).map(|n| row.cell(n).into_owned()).collect(), row.ended, row.open));
        }
        all
    }

    #[test]
    fn rows_however_they_are_cut_into_reads() {
        let text = "a|b|c\r\n\n  \n1|\"x|\ny \"\"z\"\"\" w|{\"p\":\"a|b\"}|\n||\"q\"\"\n|x\n2|cut";
        let of = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        for capacity in [1, 2, 3, 7, 1000] {
            let rows = rows(text, capacity);
            assert_eq!(rows.len(), 3, "{rows:?}");
            assert_eq!(rows[0], (of(&["a", "b", "c"]), true, false));
            assert_eq!(rows[1], (of(&["1", "x|\ny \"z\" w", "{\"p\":\"a|b\"}|"]), true, false));
            assert_eq!(rows[2], (of(&["", "", "q\"\n|x\n2|cut"]), false, true), "a quote that never closes");
        }
        assert_eq!(rows("1|2", 10), [(of(&["1", "2"]), false, false)]);
        assert_eq!(rows("\n \n", 10), []);
    }

    #[test]
    fn a_cell_of_any_length_takes_no_more_than_its_share() {
        let text = format!("1|2|{}}}\n", "x".repeat(1 << 20));
        let (mut input, mut row) = (text.as_bytes(), Row::default());
        assert!(next_row(&mut input, &mut row).expect("memory"));
        assert_eq!((row.cell(2).len(), row.edges), (CELL, Some((b'x', b'}'))));
    }
}
