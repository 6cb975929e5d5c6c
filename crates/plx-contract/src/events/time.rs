//! Times of events, as Python's `isoformat` says them.

use chrono::{NaiveDate, NaiveTime};

/// `2024-05-06 07:08:09.5+00:00` as `2024-05-06T07:08:09.500000+00:00`; with or without fraction, seconds, time and
/// offset, which stays as it was given. None when it is no time.
pub(super) fn isoformat(text: &str) -> Option<String> {
    let text = text.trim();
    let (date, rest) = text.split_at_checked(10)?;
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    let (clock, offset) = match rest.strip_prefix(['T', ' ']) {
        Some(rest) => {
            let end = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
            rest.split_at(end)
        }
        None if rest.is_empty() => ("00:00", ""),
        None => return None,
    };
    let (clock, fraction) = clock.trim_end().split_once('.').unwrap_or((clock.trim_end(), ""));
    let time = ["%H:%M:%S", "%H:%M"].iter().find_map(|form| NaiveTime::parse_from_str(clock, form).ok())?;
    let mut iso = format!("{date}T{}", time.format("%H:%M:%S"));
    if !fraction.is_empty() {
        iso.push_str(&digits(fraction)?);
    }
    iso.push_str(&zone(offset)?);
    Some(iso)
}

/// Six digits, nine when there are nanoseconds, none when all are zero.
fn digits(fraction: &str) -> Option<String> {
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{fraction:0<9}");
    Some(match nanos.split_at(6) {
        ("000000", "000") => String::new(),
        (micros, "000") => format!(".{micros}"),
        _ => format!(".{nanos}"),
    })
}

fn zone(offset: &str) -> Option<String> {
    let (sign, rest) = match offset.chars().next() {
        None => return Some(String::new()),
        Some('Z' | 'z') if offset.len() == 1 => return Some("+00:00".to_owned()),
        Some(sign @ ('+' | '-')) => (sign, &offset[1..]),
        Some(_) => return None,
    };
    let plain: String = rest.chars().filter(|c| *c != ':').collect();
    if !matches!(plain.len(), 2 | 4) || !plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = plain.split_at(2);
    Some(format!("{sign}{hours}:{minutes:0>2}"))
}

#[cfg(test)]
mod tests {
    use super::isoformat;

    #[test]
    fn times_as_isoformat_says_them() {
        for (text, want) in [
            ("2024-05-06 07:08:09+00:00", "2024-05-06T07:08:09+00:00"),
            ("2024-05-06T07:08:09.5Z", "2024-05-06T07:08:09.500000+00:00"),
            ("2024-05-06 07:08:09.000", "2024-05-06T07:08:09"),
            ("2024-05-06 07:08:09.123456789+0200", "2024-05-06T07:08:09.123456789+02:00"),
            ("2024-05-06 07:08-03", "2024-05-06T07:08:00-03:00"),
            ("2024-05-06", "2024-05-06T00:00:00"),
        ] {
            assert_eq!(isoformat(text).as_deref(), Some(want), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2024-02-30 00:00:00",
            "2024-05-06 25:00",
            "2024-05-06 07:08:09.x",
            "2024-05-06x",
            "1714979289",
            "2024-05-06 07:08:09 CEST",
            "2024-05-06 07:08:09+00:00 x",
            "é024-05-06",
        ] {
            assert_eq!(isoformat(text), None, "{text}");
        }
    }
}
