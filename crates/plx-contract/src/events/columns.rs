//! The columns of a file of events: step, time, and the values of a metric.

use super::describe::Numbers;
use super::number::{Cell, Number, cell, float};
use super::{EventsError, time};
use crate::python;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// First and last value of a column.
#[derive(Debug, Default)]
struct Ends {
    first: Option<String>,
    last: String,
}

impl Ends {
    fn take(&mut self, text: &str) {
        if self.first.is_none() {
            self.first = Some(text.to_owned());
        }
        self.last.clear();
        self.last.push_str(text);
    }

    fn both(&self) -> [&str; 2] {
        [self.first.as_deref().unwrap_or_default(), &self.last]
    }
}

/// The column of steps.
#[derive(Debug, Default)]
pub(super) struct Steps {
    ends: Ends,
    rows: u64,
    count: u64,
    /// Rows with an integer, and rows with a word.
    whole: u64,
    words: u64,
}

impl Steps {
    pub fn take(&mut self, text: &str) {
        let cell = cell(text);
        self.rows += 1;
        self.count += u64::from(cell != Cell::Missing);
        self.words += u64::from(cell == Cell::Text);
        self.whole += u64::from(matches!(cell, Cell::Number(Number { whole: Some(_), .. })));
        self.ends.take(text);
    }

    /// How many rows have one, and the first and the last row's: not the least and the greatest.
    pub fn summary(&self) -> Option<Value> {
        let as_whole = self.whole == self.rows;
        let value = |text: &str| match cell(text) {
            Cell::Missing => Value::Null,
            _ if self.words > 0 => json!(text),
            Cell::Number(number) => number.json(as_whole),
            Cell::Text => json!(text),
        };
        let [first, last] = self.ends.both();
        (self.count > 0).then(|| json!({ "count": self.count, "min": value(first), "max": value(last) }))
    }
}

/// The column of times.
#[derive(Debug, Default)]
pub(super) struct Times(Ends);

impl Times {
    pub fn take(&mut self, text: &str) {
        self.0.take(text);
    }

    /// The first and the last row's; none when one of them is no time. What lies between is not looked at.
    pub fn summary(&self) -> Option<Value> {
        let [first, last] = self.0.both().map(time::isoformat);
        Some(json!({ "min": first?, "max": last? }))
    }
}

/// Different words of one column that are counted; a column of more is an error.
const WORDS: usize = 10_000;

/// The values of a metric: numbers, or, when one of them is none, words.
#[derive(Debug)]
pub(super) enum Values {
    Numbers(Numbers),
    Words(Words),
}

#[derive(Debug, Default)]
pub(super) struct Words {
    count: u64,
    /// How often each came, and which was the first to come.
    each: HashMap<String, (u64, usize)>,
    last: Option<String>,
}

impl Values {
    pub fn take(&mut self, text: &str) -> Result<(), EventsError> {
        match (&mut *self, cell(text)) {
            (Self::Numbers(numbers), Cell::Missing) => numbers.push(None),
            (Self::Numbers(numbers), Cell::Number(number)) => numbers.push(Some(number)),
            (Self::Numbers(numbers), Cell::Text) => {
                let mut words = Words::of_numbers(numbers)?;
                words.take(Some(text))?;
                *self = Self::Words(words);
            }
            (Self::Words(words), cell) => words.take((cell != Cell::Missing).then_some(text))?,
        }
        Ok(())
    }

    /// As pandas' `describe`, with the last row's value as `last`; and that once more.
    pub fn summary(self) -> (Map<String, Value>, Value) {
        let (mut described, last) = match self {
            Self::Numbers(numbers) => {
                let last = numbers.last();
                (numbers.describe(), last)
            }
            Self::Words(words) => words.describe(),
        };
        described.insert("last".to_owned(), last.clone());
        (described, last)
    }
}

impl Words {
    /// The numbers so far, as Python's client wrote them.
    fn of_numbers(numbers: &Numbers) -> Result<Self, EventsError> {
        let (all, whole) = numbers.all().ok_or(EventsError::Words)?;
        let mut words = Self::default();
        for value in all {
            let text = if whole { format!("{value:.0}") } else { python::repr_of(&float(*value)) };
            // What is missing is NaN here; what is infinite is `inf` in both languages.
            let text = if value.is_infinite() { format!("{value}") } else { text };
            words.take((!value.is_nan()).then_some(&text))?;
        }
        Ok(words)
    }

    fn take(&mut self, text: Option<&str>) -> Result<(), EventsError> {
        self.last = text.map(str::to_owned);
        let Some(text) = text else { return Ok(()) };
        self.count += 1;
        if let Some((often, _)) = self.each.get_mut(text) {
            *often += 1;
            return Ok(());
        }
        if self.each.len() >= WORDS {
            return Err(EventsError::Words);
        }
        let place = self.each.len();
        self.each.insert(text.to_owned(), (1, place));
        Ok(())
    }

    fn describe(self) -> (Map<String, Value>, Value) {
        let unique = self.each.len();
        let most =
            self.each.into_iter().max_by_key(|(_, (often, place))| (*often, std::cmp::Reverse(*place)));
        let (top, freq) = most.map_or((None, 0), |(top, (often, _))| (Some(top), often));
        let pairs = [
            ("count", json!(self.count)),
            ("unique", json!(unique)),
            ("top", json!(top)),
            ("freq", json!(freq)),
        ];
        (pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(), json!(self.last))
    }
}
