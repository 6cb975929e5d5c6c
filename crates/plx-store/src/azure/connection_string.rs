//! `DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…;EndpointSuffix=core.windows.net`. Pure.
//!
//! <https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string>

use std::fmt;

/// The parts of a connection string that lead to blobs.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct ConnectionString {
    pub account: Option<String>,
    pub key: Option<String>,
    pub sas: Option<String>,
    protocol: Option<String>,
    suffix: Option<String>,
    blobs: Option<String>,
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionString").field("account", &self.account).finish_non_exhaustive()
    }
}

/// The emulator's account and key are published by Microsoft, and the same everywhere.
const EMULATOR: &str = "devstoreaccount1";
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

impl ConnectionString {
    /// The error says what is wrong and repeats nothing.
    pub fn parse(raw: &str) -> Result<Self, &'static str> {
        let mut parsed = Self::default();
        for pair in raw.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            // A key ends in `=` signs of its own.
            let (key, value) = pair.split_once('=').ok_or("has a part without `=`")?;
            let value = value.trim().to_owned();
            match key.trim().to_ascii_lowercase().as_str() {
                "accountname" => parsed.account = Some(value),
                "accountkey" => parsed.key = Some(value),
                "sharedaccesssignature" => parsed.sas = Some(value),
                "defaultendpointsprotocol" => parsed.protocol = Some(value),
                "endpointsuffix" => parsed.suffix = Some(value),
                "blobendpoint" => parsed.blobs = Some(value),
                "usedevelopmentstorage" if value == "true" => {
                    parsed.account = Some(EMULATOR.to_owned());
                    parsed.key = Some(EMULATOR_KEY.to_owned());
                    parsed.blobs = Some(format!("http://127.0.0.1:10000/{EMULATOR}"));
                }
                // Of queues, tables and files.
                _ => {}
            }
        }
        if parsed.account.is_none() {
            parsed.account = parsed.blobs.as_deref().and_then(account_of);
        }
        if parsed.key.is_none() && parsed.sas.is_none() {
            return Err("holds neither AccountKey nor SharedAccessSignature");
        }
        Ok(parsed)
    }

    /// Where the blobs are, when the string says so.
    pub fn endpoint(&self, account: &str) -> Option<String> {
        if let Some(blobs) = &self.blobs {
            return Some(blobs.trim_end_matches('/').to_owned());
        }
        let protocol = self.protocol.as_deref().unwrap_or("https");
        Some(format!("{protocol}://{account}.blob.{}", self.suffix.as_deref()?))
    }
}

/// The account in `https://ACCOUNT.blob.…`.
fn account_of(endpoint: &str) -> Option<String> {
    let (_, rest) = endpoint.split_once("://")?;
    let (account, host) = rest.split_once('.')?;
    host.starts_with("blob.").then(|| account.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_the_portal_gives() {
        let full = "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5PQ==;EndpointSuffix=core.windows.net";
        let parsed = ConnectionString::parse(full).expect("parses");
        assert_eq!((parsed.account.as_deref(), parsed.key.as_deref()), (Some("acc"), Some("a2V5PQ==")));
        assert_eq!(parsed.endpoint("acc").as_deref(), Some("https://acc.blob.core.windows.net"));

        let sas = "BlobEndpoint=https://acc.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=a%3D";
        let parsed = ConnectionString::parse(sas).expect("parses");
        assert_eq!((parsed.account.as_deref(), parsed.sas.as_deref()), (Some("acc"), Some("sv=1&sig=a%3D")));
        assert_eq!(parsed.endpoint("acc").as_deref(), Some("https://acc.blob.core.windows.net"));

        let local =
            "AccountName=devstoreaccount1;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/devstoreaccount1;";
        let parsed = ConnectionString::parse(local).expect("parses");
        assert_eq!(parsed.endpoint("x").as_deref(), Some("http://127.0.0.1:1/devstoreaccount1"));

        let emulator = ConnectionString::parse("UseDevelopmentStorage=true").expect("parses");
        assert_eq!(emulator.account.as_deref(), Some("devstoreaccount1"));
    }

    #[test]
    fn what_is_wrong_is_said_and_nothing_is_repeated() {
        for raw in ["hunter2", "AccountName=a;hunter2", "AccountName=a"] {
            let why = ConnectionString::parse(raw).expect_err(raw);
            assert!(!why.contains("hunter2"));
        }
        let parsed = ConnectionString::parse("AccountName=a;AccountKey=hunter2").expect("parses");
        assert!(!format!("{parsed:?}").contains("hunter2"));
    }
}
