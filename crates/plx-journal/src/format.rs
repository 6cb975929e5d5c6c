//! Polyaxon's `ART/.fs`: one compact JSON object, read and written to the byte.

use chrono::{DateTime, NaiveDateTime, Utc};
use plx_contract::record::isoformat;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The hand-over from init to sidecar: what was on disk when the run's own files had been fetched.
///
/// We read every entry as "this is in the store, and had this mtime", whatever its operation says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsFile {
    /// Folders by key, in the order of the file.
    #[serde(rename = "dir_mapping", default, with = "mapping", skip_serializing_if = "Vec::is_empty")]
    pub dirs: Vec<(String, FsEntry)>,
    /// Files by key, in the order of the file.
    #[serde(rename = "file_mapping", default, with = "mapping", skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<(String, FsEntry)>,
}

/// One entry: `[base, mtime, operation]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FsEntry {
    /// What the key is relative to.
    pub base: String,
    /// `st_mtime` in microseconds since the epoch, rounded as Python rounds.
    pub mtime_us: i64,
    /// What Polyaxon's watcher meant to do next.
    pub op: FsOp,
}

/// What Polyaxon's watcher meant to do with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FsOp {
    /// Upload it.
    #[serde(rename = "put")]
    Put,
    /// Remove it from the store.
    #[serde(rename = "rm")]
    Remove,
    /// Nothing.
    #[serde(rename = "")]
    Keep,
}

impl FsFile {
    /// Reads the text of a `.fs` file: any UTC offset, up to six digits of fraction, absent mappings.
    ///
    /// # Errors
    /// When it is anything else; the error says where.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        if !text.trim_start().starts_with('{') {
            return Err(serde_json::Error::custom("it is no JSON object")); // serde takes a list for a struct
        }
        serde_json::from_str(text)
    }

    /// The text as Polyaxon writes it: compact, in one line, no final newline, `{}` when there is nothing.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("strings and known operations always serialise")
    }
}

impl Serialize for FsEntry {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let time = DateTime::<Utc>::from_timestamp_micros(self.mtime_us).unwrap_or_default();
        (&self.base, isoformat(time), self.op).serialize(out)
    }
}

impl<'de> Deserialize<'de> for FsEntry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (base, time, op) = <(String, String, Option<FsOp>)>::deserialize(from)?;
        let mtime_us =
            parse_time(&time).ok_or_else(|| D::Error::custom(format_args!("`{time}` is not a time")))?;
        Ok(Self { base, mtime_us, op: op.unwrap_or(FsOp::Keep) })
    }
}

/// What `datetime.fromisoformat` takes, and a little more. A time without offset is taken for UTC.
fn parse_time(text: &str) -> Option<i64> {
    let zoned = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z"))
        .map(|time| time.timestamp_micros());
    let naive = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok();
    zoned.ok().or_else(|| Some(naive()?.and_utc().timestamp_micros()))
}

/// A JSON object as a list, which keeps the order of its keys.
mod mapping {
    use super::*;

    pub fn serialize<S: Serializer>(list: &[(String, FsEntry)], out: S) -> Result<S::Ok, S::Error> {
        out.collect_map(list.iter().map(|(key, entry)| (key, entry)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, FsEntry)>, D::Error> {
        Ok(Option::<List>::deserialize(from)?.map(|list| list.0).unwrap_or_default())
    }

    struct List(Vec<(String, FsEntry)>);

    impl<'de> Deserialize<'de> for List {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from.deserialize_map(Entries)
        }
    }

    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = List;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of [base, mtime, operation]")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<List, A::Error> {
            let mut list = Vec::with_capacity(map.size_hint().unwrap_or_default());
            while let Some(entry) = map.next_entry()? {
                list.push(entry);
            }
            Ok(List(list))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_and_any_fraction_is_the_same_instant() {
        for text in [
            "2023-11-14T22:13:20.250000+00:00",
            "2023-11-14T22:13:20.25+00:00",
            "2023-11-14T22:13:20.250Z",
            "2023-11-15T00:13:20.25+02:00",
            "2023-11-14T16:43:20.25-05:30",
            "2023-11-14T22:13:20.25+0000",
            "2023-11-14 22:13:20.25+00:00",
            "2023-11-14T22:13:20.25",
        ] {
            assert_eq!(parse_time(text), Some(1_700_000_000_250_000), "{text}");
        }
        for text in ["", "2023-11-14", "yesterday", "2023-13-14T22:13:20+00:00"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn an_empty_scan_is_an_empty_object() {
        assert_eq!(FsFile::default().to_text(), "{}");
        for text in ["{}", "{\"dir_mapping\":{}}", "{\"file_mapping\":null,\"more\":1}"] {
            assert_eq!(FsFile::parse(text).ok(), Some(FsFile::default()), "{text}");
        }
    }

    #[test]
    fn what_is_no_fs_file_is_refused() {
        for text in [
            "",
            "[]",
            "{\"file_mapping\":{\"a\":[\"/b\",\"now\",\"put\"]}}",
            "{\"file_mapping\":{\"a\":[\"/b\"]}}",
        ] {
            assert!(FsFile::parse(text).is_err(), "{text}");
        }
    }
}
