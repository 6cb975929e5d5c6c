//! Lines that are numbered, so that what became of each of them can be told.

/// What a note of ours begins with.
const NOTE: &str = "[plx-sidecar] ";

/// What became of the lines that one container printed: `line 1 …`, `line 2 …`, and so on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbered {
    /// That are there.
    pub lines: u64,
    /// That are not, and are said to be missing.
    pub missing: u64,
    /// How often something was said to be missing.
    pub notes: u64,
}

impl Numbered {
    /// Reads the values of a container's records in the order they are stored.
    ///
    /// # Errors
    /// When a line is there twice or out of order, is none of those, or is missing where nothing says so.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a str>, last: u64) -> Result<Self, String> {
        let (mut found, mut next, mut noted) = (Self::default(), 1, false);
        for value in values {
            if value.starts_with(NOTE) {
                (noted, found.notes) = (true, found.notes + 1);
                continue;
            }
            let number =
                value.strip_prefix("line ").and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
            let number = number.ok_or_else(|| format!("{value:?} is no numbered line"))?;
            if number < next {
                return Err(format!("line {number} comes after line {}", next - 1));
            }
            found.skip(number - next, next, noted)?;
            (next, noted, found.lines) = (number + 1, false, found.lines + 1);
        }
        found.skip((last + 1).saturating_sub(next), next, noted)?;
        Ok(found)
    }

    fn skip(&mut self, missing: u64, next: u64, noted: bool) -> Result<(), String> {
        if missing > 0 && !noted {
            return Err(format!("{missing} lines from {next} on are missing, and nothing says so"));
        }
        self.missing += missing;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_has_to_be_said_where_it_is_missing() {
        let note = "[plx-sidecar] rotated";
        let of = |values: &[&str]| Numbered::of(values.iter().copied(), 4);
        assert_eq!(of(&["line 1", "line 2 x", "line 3", "line 4"]).unwrap().lines, 4);
        let gap = of(&["line 1 x", note, "line 4 x"]).unwrap();
        assert_eq!((gap.lines, gap.missing, gap.notes), (2, 2, 1));
        assert_eq!(of(&["line 1", "line 2", "line 3", note]).unwrap().missing, 1);
        for wrong in [
            &["line 1", "line 3", "line 4"][..],
            &["line 1", "line 1", "line 2", "line 3", "line 4"],
            &["line 2", "line 1", "line 3", "line 4"],
            &[note, "line 1", "line 2", "line 4"],
            &["line 1", "line 2", "line 3"],
            &["line 1", "lines", "line 2", "line 3", "line 4"],
        ] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }
}
