//! Tokens that look like those of identity services.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A token of Entra ID for Azure Storage with a made-up signature: it satisfies [`crate::Azurite::with_oauth`], and
/// anybody else who checks no signatures.
pub fn azure_jwt(tenant: &str, lifetime: Duration) -> String {
    let now = seconds_now();
    let claims = json!({
        "aud": "https://storage.azure.com",
        "iss": format!("https://sts.windows.net/{tenant}/"),
        "iat": now,
        "nbf": now,
        "exp": now + lifetime.as_secs(),
        "appid": "f997392c-e15a-4ad8-af9e-cd6966caba7f",
        "oid": "11059fcc-5514-4800-b5f8-49808b9cfab6",
        "sub": "11059fcc-5514-4800-b5f8-49808b9cfab6",
        "tid": tenant,
        "ver": "1.0",
    });
    let head = json!({ "typ": "JWT", "alg": "RS256", "kid": "plx-test" });
    format!("{}.{}.{}", part(&head), part(&claims), BASE64_URL_SAFE_NO_PAD.encode("not a signature"))
}

pub(crate) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn part(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}
