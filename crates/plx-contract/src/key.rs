//! A path below some root: what a key in a store and a file on disk have in common.

use std::fmt;
use std::path::{Path, PathBuf};

/// A relative path in UTF-8 that stays below whatever it is joined to.
///
/// * Segments are separated by `/`; none is empty, `.` or `..`.
/// * It never begins or ends with `/`, and holds no NUL.
/// * Every other character is literal: spaces, `%`, `+`, `#`, `*`, any Unicode.
/// * The empty path is the root itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RelPath(String);

impl RelPath {
    /// The root itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// Takes a key or a user's path. Repeated, leading and trailing slashes and `.` segments mean nothing and go;
    /// `R//x` is `R/x`, as Polyaxon places it.
    ///
    /// ```
    /// use plx_contract::RelPath;
    /// assert_eq!(RelPath::parse("/a//b/").unwrap().as_str(), "a/b");
    /// assert!(RelPath::parse("a/../../etc/passwd").is_err());
    /// ```
    ///
    /// # Errors
    /// When a segment is `..`, or the text holds a NUL.
    pub fn parse(raw: &str) -> Result<Self, UnsafePath> {
        if raw.contains('\0') {
            return Err(UnsafePath { path: raw.to_owned(), reason: "holds a NUL character" });
        }
        let mut clean = String::with_capacity(raw.len());
        for segment in raw.split('/') {
            match segment {
                "" | "." => {}
                ".." => return Err(UnsafePath { path: raw.to_owned(), reason: "has a `..` segment" }),
                _ => {
                    if !clean.is_empty() {
                        clean.push('/');
                    }
                    clean.push_str(segment);
                }
            }
        }
        Ok(Self(clean))
    }

    /// The path as text, without leading or trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// This path below `root`.
    pub fn beneath(&self, root: &Path) -> PathBuf {
        if self.is_root() { root.to_owned() } else { root.join(&self.0) }
    }

    /// `self/other`.
    pub fn join(&self, other: &RelPath) -> RelPath {
        match (self.is_root(), other.is_root()) {
            (true, _) => other.clone(),
            (_, true) => self.clone(),
            _ => Self(format!("{}/{}", self.0, other.0)),
        }
    }

    /// The folder that holds it; the root for a single segment.
    pub fn parent(&self) -> RelPath {
        Self(self.0.rsplit_once('/').map(|(parent, _)| parent.to_owned()).unwrap_or_default())
    }

    /// The last segment; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path that would leave the place it is meant for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path `{}` {reason}", path.escape_debug())]
pub struct UnsafePath {
    /// The path as it was found.
    pub path: String,
    /// What is wrong with it, as a verb phrase.
    pub reason: &'static str,
}

impl crate::Classified for UnsafePath {
    fn class(&self) -> crate::Class {
        crate::Class::Integrity
    }
    fn next_step(&self) -> Option<String> {
        Some(
            "rename it in the store or leave it out of the inputs: it would be written outside its target"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn odd_names_are_literal() {
        for name in ["sp ace", "é", "a+b&c=d", "pct%20x", "star*[x]", "#tag", "q?x", ".hid", "a\\b", "-n"] {
            assert_eq!(RelPath::parse(name).map(|p| p.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn parents_and_names() {
        let path = RelPath::parse("a/b/c").expect("safe");
        assert_eq!((path.parent().as_str(), path.name()), ("a/b", "c"));
        assert_eq!(RelPath::parse("c").expect("safe").parent(), RelPath::root());
    }

    proptest! {
        #[test]
        fn what_is_accepted_never_leaves_its_root(raw in "[a./%\u{0}é ]{0,12}") {
            if let Ok(path) = RelPath::parse(&raw) {
                let joined = path.beneath(Path::new("/root"));
                prop_assert!(joined.starts_with("/root"));
                prop_assert!(!joined.components().any(|c| c == std::path::Component::ParentDir));
                prop_assert_eq!(RelPath::parse(path.as_str()), Ok(path.clone()));
            }
        }
    }
}
