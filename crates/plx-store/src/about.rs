//! What a connection was opened with, for people: never a credential.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// Where a bucket is reached and how, and why so.
#[derive(Debug, Clone)]
pub struct About {
    /// Scheme, host and port.
    pub endpoint: String,
    /// Where the endpoint was found; none when it is the cloud's own.
    pub endpoint_from: Option<String>,
    /// `path` or `virtual host`; none where there is one way only.
    pub addressing: Option<&'static str>,
    /// The region that was configured, and where that was found; none where there are no regions.
    pub region: Option<(String, String)>,
    /// The region that requests go to now: the store may have named another one.
    pub region_now: Option<Arc<RwLock<String>>>,
    /// The source of the credentials.
    pub credential: String,
    /// What would have come before it and is not there.
    pub passed_over: Vec<String>,
    /// Whether certificates are checked.
    pub verify: bool,
    /// Files of certificates that are trusted beside the system's.
    pub ca: Vec<PathBuf>,
    /// The proxy that the endpoint is reached through.
    pub proxy: Option<String>,
}

impl About {
    /// The region the store named, when it is not the one that was configured.
    pub fn other_region(&self) -> Option<String> {
        let now = self.region_now.as_ref()?.read().unwrap_or_else(PoisonError::into_inner).clone();
        (self.region.as_ref().map(|(region, _)| region) != Some(&now)).then_some(now)
    }
}
