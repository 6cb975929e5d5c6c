//! Names as Polyaxon's converter makes them, with digits that are the same at every rendering.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::fmt::Write;

/// The longest DNS label.
const LONGEST: usize = 63;
/// What remains of a name before a dash and ten digits.
const STEM: usize = 52;
/// The name space of DNS names (RFC 4122, appendix C).
const DNS: [u8; 16] =
    [0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];

/// Whether a name is a DNS label (RFC 1123), as containers and volumes need it.
pub fn is_label(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty()
        && name.len() <= LONGEST
        && name.chars().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// `NAME-DIGITS`: DNS-safe, the stem cut to 52 when it must be, ten digits of what it is for.
pub fn unique(name: &str, identity: &str) -> String {
    let digits = &hex(&sha1(&[identity.as_bytes()]))[..10];
    let candidate = format!("{name}-{digits}");
    if is_label(&candidate) {
        return candidate;
    }
    let stem = label(name);
    let stem = stem.get(..STEM).unwrap_or(&stem).trim_end_matches('-');
    format!("{stem}-{digits}")
}

/// A name with everything that is not allowed replaced by dashes.
fn label(name: &str) -> String {
    let mut label = String::new();
    for c in name.to_lowercase().chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' {
            label.push(c);
        } else if !label.ends_with('-') {
            label.push('-');
        }
    }
    let label = label.trim_matches('-');
    if label.is_empty() { "container".to_owned() } else { label.to_owned() }
}

/// The name of a person's container: as it is, or DNS-safe.
pub fn container(name: &str) -> String {
    let plain = name.replace('_', "-").to_lowercase();
    if is_label(&plain) { plain } else { unique(name, name) }
}

/// The volume of an init entry's path: a version 5 uuid of it.
pub fn of_path(path: &str) -> String {
    let mut uuid = sha1(&[&DNS, path.as_bytes()]);
    uuid.truncate(16);
    uuid[6] = (uuid[6] & 0x0f) | 0x50;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    format!("connections-context-{}", hex(&uuid))
}

/// The value of a label from a text for people.
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.trim().chars().filter(|c| c.is_ascii()) {
        if c.is_ascii_alphanumeric() || c == '_' {
            slug.push(c);
        } else if (matches!(c, '-' | '.') || c.is_ascii_whitespace()) && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.get(..LONGEST).unwrap_or(&slug);
    slug.trim_matches(['-', '_']).to_owned()
}

fn sha1(parts: &[&[u8]]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, &parts.concat()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paths_volume_is_the_references() {
        assert_eq!(of_path("/s3-path"), "connections-context-20f7b657af85594298eadb72b7717851");
    }

    #[test]
    fn names_are_labels_and_stay_the_same() {
        for name in ["a", "My_Store", "x".repeat(80).as_str(), "é", "", "a.b/c", "-"] {
            let made = unique(name, "id");
            assert!(is_label(&made), "{made}");
            assert_eq!(made, unique(name, "id"));
            assert_ne!(made, unique(name, "other"));
        }
        assert_eq!(slug("my run: v1.2"), "my-run-v1-2");
    }
}
