//! Which bearer tokens are good.

use std::collections::HashSet;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

use crate::jwt::seconds_now;

#[derive(Debug, Default)]
pub(super) struct Tokens {
    any: bool,
    good: HashSet<String>,
    revoked: HashSet<String>,
    /// As PKCS#1.
    keys: Vec<Vec<u8>>,
}

/// What becomes of a request by its header `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Welcome,
    /// The token is not, or no longer, good.
    BadToken,
    /// There is no token, and nothing here is public.
    Anonymous,
}

impl Tokens {
    pub(super) fn accept_any(&mut self) {
        self.any = true;
    }

    pub(super) fn accept(&mut self, token: &str) {
        self.revoked.remove(token);
        self.good.insert(token.to_owned());
    }

    pub(super) fn revoke(&mut self, token: &str) {
        self.good.remove(token);
        self.revoked.insert(token.to_owned());
    }

    pub(super) fn accept_signed_by(&mut self, key: &[u8]) {
        self.keys.push(pkcs1(key).expect("an RSA public key"));
    }

    pub(super) fn judge(&self, authorization: Option<&str>) -> Verdict {
        let token =
            authorization.and_then(|value| value.split_once(' ')).map_or("", |(_, token)| token.trim());
        if self.revoked.contains(token) {
            Verdict::BadToken
        } else if self.any || self.good.contains(token) || self.signed(token).is_some() {
            Verdict::Welcome
        } else if authorization.is_none() {
            Verdict::Anonymous
        } else {
            Verdict::BadToken
        }
    }

    /// `Some` when one of the keys signed it and it has not expired.
    fn signed(&self, token: &str) -> Option<()> {
        let (message, signature) = token.rsplit_once('.')?;
        let claims = BASE64_URL_SAFE_NO_PAD.decode(message.split_once('.')?.1).ok()?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
        let fresh = claims.get("exp")?.as_u64()? > seconds_now();
        let mut keys = self.keys.iter().map(|key| UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key));
        (fresh && keys.any(|key| key.verify(message.as_bytes(), &signature).is_ok())).then_some(())
    }
}

/// The bare RSA key in PEM or DER, with or without the wrapping that says that it is RSA.
fn pkcs1(key: &[u8]) -> Option<Vec<u8>> {
    let der = match std::str::from_utf8(key) {
        Ok(text) if text.contains("-----BEGIN") => {
            let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
            BASE64_STANDARD.decode(lines.collect::<String>()).ok()?
        }
        _ => key.to_vec(),
    };
    let (_, whole, _) = element(&der)?;
    let (first, _, rest) = element(whole)?;
    if first == 0x02 {
        return Some(der); // a number: this is the bare key already
    }
    let (_, bits, _) = element(rest)?;
    Some(bits.split_first()?.1.to_vec())
}

/// Tag, content and what follows of the first DER element.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
        (digits.iter().fold(0, |sum, &digit| (sum << 8) | usize::from(digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
