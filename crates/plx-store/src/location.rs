//! `s3://bucket/path` and its likes, taken apart. Pure.

use crate::StoreError;
use plx_contract::RelPath;
use plx_contract::connection::{Connection, Kind};

/// A place in an object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    /// The bucket or container.
    pub bucket: String,
    /// What lies before every key.
    pub prefix: RelPath,
}

impl Location {
    /// Takes apart a bucket of a schema or the `--path-from` of a script.
    pub(crate) fn parse(connection: &Connection, raw: &str) -> Result<Self, StoreError> {
        let (schemes, wanted): (&[&str], _) = match connection.kind {
            Kind::S3 => (&["s3://", "s3a://"], "s3://BUCKET/PATH"),
            Kind::Gcs => (&["gs://", "gcs://"], "gs://BUCKET/PATH"),
            _ => (&["wasbs://", "wasb://"], "CONTAINER/PATH"),
        };
        // Without a scheme it is BUCKET/PATH, as Polyaxon's wasb paths are written and s3fs also takes.
        let rest = schemes.iter().find_map(|scheme| raw.strip_prefix(scheme)).unwrap_or(raw);
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains([':', '@', '?', '#', ' ']) {
            return Err(StoreError::Bucket {
                connection: connection.name.clone(),
                bucket: crate::s3::without_userinfo(raw),
                wanted,
            });
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: RelPath::parse(path)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, want: Option<(&str, &str)>) {
        let json = r#"{"name":"c","kind":"s3"}"#;
        let connection: Connection = serde_json::from_str(json).expect("a connection");
        let got = Location::parse(&connection, raw).ok();
        assert_eq!(got.as_ref().map(|l| (l.bucket.as_str(), l.prefix.as_str())), want, "{raw}");
    }

    #[test]
    fn buckets_and_prefixes() {
        check("s3://b", Some(("b", "")));
        check("s3://b/", Some(("b", "")));
        check("s3://b/p/q/", Some(("b", "p/q")));
        check("s3://b//p", Some(("b", "p")));
        check("b/p", Some(("b", "p")));
        check("s3://b/sp ace/%20+#?*é", Some(("b", "sp ace/%20+#?*é")));
        check("s3://", None);
        check("http://b/p", None);
        check("s3://b/../c", None);
    }
}
