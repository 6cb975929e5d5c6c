//! Numbers as pandas reads them.
//!
//! Its reader takes 17 digits into a double and multiplies by one power of ten: of the 17 digits that Python writes, the
//! last may come out one off. The summary of a run must not depend on which program made it, so this reads the same.

use serde_json::{Number as Json, Value};
use std::sync::LazyLock;

/// What a cell of a table holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    /// Nothing, or a word for it.
    Missing,
    Number(Number),
    Text,
}

/// A number, and which integer it was written as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    pub float: f64,
    pub whole: Option<i128>,
}

impl Number {
    /// As JSON, as an integer only where all of its column are.
    pub fn json(self, as_whole: bool) -> Value {
        match self.whole.filter(|_| as_whole) {
            Some(whole) => i64::try_from(whole)
                .map(Value::from)
                .unwrap_or_else(|_| u64::try_from(whole).map_or_else(|_| float(self.float), Value::from)),
            None => float(self.float),
        }
    }
}

/// A float as JSON; null for what JSON cannot say.
pub(super) fn float(value: f64) -> Value {
    Json::from_f64(value).map_or(Value::Null, Value::Number)
}

/// pandas' words for nothing (`pandas/_libs/parsers.pyx`, `STR_NA_VALUES`).
const NOTHING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// What a cell holds.
pub(super) fn cell(text: &str) -> Cell {
    if NOTHING.contains(&text) {
        return Cell::Missing;
    }
    let word = text.trim_matches(|c: char| c.is_ascii_whitespace());
    let (sign, magnitude) = match word.as_bytes() {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        all => (1, all),
    };
    if !magnitude.is_empty() && magnitude.iter().all(u8::is_ascii_digit) {
        return whole(sign, magnitude);
    }
    match decimal(magnitude).or_else(|| infinity(magnitude)) {
        Some(float) => Cell::Number(Number { float: f64::from(sign) * float, whole: None }),
        None => Cell::Text,
    }
}

/// Digits alone: an integer, or, beyond 64 bits, text.
fn whole(sign: i32, digits: &[u8]) -> Cell {
    let value = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<i128>().ok());
    let value = value.map(|value| i128::from(sign) * value);
    match value.filter(|value| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(value)) {
        Some(value) => Cell::Number(Number { float: value as f64, whole: Some(value) }),
        None => Cell::Text,
    }
}

/// `precise_xstrtod` of `pandas/_libs/src/parser/tokenizer.c`, without its sign.
fn decimal(text: &[u8]) -> Option<f64> {
    const DIGITS: i32 = 17;
    let (mut number, mut exponent, mut digits, mut at) = (0.0_f64, 0_i32, 0, 0);
    let digit = |at: usize| text.get(at).copied().filter(u8::is_ascii_digit);
    while let Some(byte) = digit(at) {
        if digits < DIGITS {
            number = number * 10.0 + f64::from(byte - b'0');
            digits += 1;
        } else {
            exponent = exponent.saturating_add(1);
        }
        at += 1;
    }
    if text.get(at) == Some(&b'.') {
        at += 1;
        while let Some(byte) = digit(at) {
            if digits < DIGITS {
                number = number * 10.0 + f64::from(byte - b'0');
                digits += 1;
                exponent -= 1;
            }
            at += 1;
        }
    }
    if digits == 0 {
        return None;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1;
        let negative = text.get(at) == Some(&b'-');
        at += usize::from(matches!(text.get(at), Some(b'-' | b'+')));
        let (mut power, begin) = (0_i32, at);
        while let Some(byte) = digit(at) {
            power = power.saturating_mul(10).saturating_add(i32::from(byte - b'0'));
            at += 1;
        }
        if at == begin {
            return None;
        }
        exponent = exponent.saturating_add(if negative { -power } else { power });
    }
    if at != text.len() {
        return None;
    }
    let number = match exponent {
        309.. => return None,
        0..=308 => number * power_of_ten(exponent),
        -308..=-1 => number / power_of_ten(-exponent),
        // Too small for one power.
        -616..=-309 => number / power_of_ten(-308 - exponent) / power_of_ten(308),
        _ => 0.0,
    };
    number.is_finite().then_some(number)
}

/// The nearest doubles to the powers of ten; multiplying up would be off.
static POWERS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    (0..309).map(|power| format!("1e{power}").parse().expect("a number of that form")).collect()
});

fn power_of_ten(exponent: i32) -> f64 {
    usize::try_from(exponent).ok().and_then(|at| POWERS.get(at)).copied().unwrap_or(f64::INFINITY)
}

fn infinity(word: &[u8]) -> Option<f64> {
    [&b"inf"[..], b"infinity"].iter().any(|name| word.eq_ignore_ascii_case(name)).then_some(f64::INFINITY)
}

/// True for what a writer may have left in the middle of a number.
pub(super) fn may_be_cut(text: &str) -> bool {
    let begins = |whole: &str| whole.len() > text.len() && whole.starts_with(text);
    if text.is_empty() || ["nan", "inf", "-inf"].into_iter().any(begins) {
        return true;
    }
    let without = text.trim_end_matches(['.', 'e', 'E', '+', '-']);
    without.len() < text.len() && (without.is_empty() || matches!(cell(without), Cell::Number(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_as_pandas_takes_them() {
        let number = |text| match cell(text) {
            Cell::Number(number) => number,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(number("12"), Number { float: 12.0, whole: Some(12) });
        assert_eq!(number(" -7 ").whole, Some(-7));
        assert_eq!((number("-0.5").float, number("5.").float, number("+.5E1").float), (-0.5, 5.0, 5.0));
        assert_eq!(number("-inf").float, f64::NEG_INFINITY);
        assert_eq!((number("1e-400").float, number("1e308").float), (0.0, 1e308));
        for text in ["", "nan", "NULL", "<NA>"] {
            assert_eq!(cell(text), Cell::Missing, "{text}");
        }
        for text in ["abc", "1e", "1e+", ".", "-", "1_000", "0x10", "1e309", "99999999999999999999", "1 2"] {
            assert_eq!(cell(text), Cell::Text, "{text}");
        }
    }

    #[test]
    fn what_may_go_on_is_told_from_what_is_a_word() {
        for text in ["", "-", "1.", "1e", "1.5e-", "na", "-i"] {
            assert!(may_be_cut(text), "{text}");
        }
        for text in ["abc", "1", "nan", "-inf", "e", "x-"] {
            assert_eq!(may_be_cut(text), text == "e", "{text}");
        }
    }
}
