//! How a secret looks when it is written down.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;

/// A secret as it is, and inside of anything that is base64: so `user:secret` too, whoever the user is.
#[derive(Debug)]
pub(super) struct Forms {
    plain: String,
    /// With the name of the form.
    encoded: Vec<(&'static str, String)>,
}

impl Forms {
    pub(super) fn of(secret: &str) -> Self {
        let mut encoded = Vec::new();
        for before in 0..3 {
            for engine in [&BASE64_STANDARD_NO_PAD, &BASE64_URL_SAFE_NO_PAD] {
                encoded.push(("base64 of ", inner(engine.encode(padded(secret, before)), secret, before)));
            }
        }
        if let Ok(json) = serde_json::to_string(secret) {
            encoded.push(("JSON of ", json.trim_matches('"').to_owned()));
        }
        Self { plain: secret.to_owned(), encoded }
    }

    pub(super) fn plain(&self) -> &str {
        &self.plain
    }

    pub(super) fn stands_in(&self, text: &str) -> Option<String> {
        if text.contains(&self.plain) {
            return Some(format!("{:?}", self.plain));
        }
        let found = self.encoded.iter().find(|(_, form)| text.contains(form));
        found.map(|(how, _)| format!("{how}{:?}", self.plain))
    }
}

/// The secret behind so many other bytes.
fn padded(secret: &str, before: usize) -> String {
    format!("{}{secret}", "\0".repeat(before))
}

/// The characters that depend on the secret alone, not on what stands before or behind it.
fn inner(encoded: String, secret: &str, before: usize) -> String {
    let first = (before * 8).div_ceil(6);
    let last = (before + secret.len()) * 8 / 6;
    encoded[first..last].to_owned()
}

/// A text as it is, and with its percent signs resolved, once and twice: a URL may stand in another one's query.
pub(super) fn readings(text: &str) -> Vec<Cow<'_, str>> {
    let mut all = vec![Cow::Borrowed(text)];
    for _ in 0..2 {
        let last = all.last().map_or("", AsRef::as_ref);
        if !last.contains('%') {
            break;
        }
        let decoded = percent_decode_str(last).decode_utf8_lossy().into_owned();
        all.push(Cow::Owned(decoded));
    }
    all
}
