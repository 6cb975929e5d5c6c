//! Which version of an object a store has.

use serde::{Deserialize, Serialize};

/// A version of an object as its store names it. Stores differ in what they tell: all of it may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ObjectVersion {
    /// The entity tag, in the form in which the store gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e_tag: Option<Box<str>>,
    /// The generation (Google) or the version's id, where the store has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Box<str>>,
}

impl ObjectVersion {
    /// A version as a store told it.
    pub fn new(e_tag: Option<String>, generation: Option<String>) -> Self {
        // S3's id of every version in a bucket that keeps no others.
        let generation = generation.filter(|generation| generation != "null");
        Self { e_tag: e_tag.map(Into::into), generation: generation.map(Into::into) }
    }

    /// False when the store told nothing that tells one version from another.
    pub fn is_known(&self) -> bool {
        self.e_tag.is_some() || self.generation.is_some()
    }

    /// Whether both are the same version; none when that cannot be told. Listings and answers of one store quote tags
    /// differently.
    ///
    /// ```
    /// # use plx_contract::ObjectVersion;
    /// let tag = |text: &str| ObjectVersion::new(Some(text.to_owned()), None);
    /// assert_eq!(tag("\"0x8D\"").agrees(&tag("0x8D")), Some(true));
    /// assert_eq!(tag("\"1\"").agrees(&tag("\"2\"")), Some(false));
    /// assert_eq!(tag("\"1\"").agrees(&ObjectVersion::default()), None);
    /// ```
    pub fn agrees(&self, other: &Self) -> Option<bool> {
        let tags = self.e_tag.as_deref().zip(other.e_tag.as_deref());
        let tags = tags.map(|(one, other)| bare(one) == bare(other));
        let generations = self.generation.as_deref().zip(other.generation.as_deref());
        match (tags, generations) {
            (Some(true), _) => Some(true),
            // Interfaces of one store may disagree on tags, but never on its own numbers.
            (_, Some((one, other))) => Some(one == other),
            (tags, None) => tags,
        }
    }
}

fn bare(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_decide_where_tags_differ_in_form() {
        let version = |tag: &str, generation: &str| {
            ObjectVersion::new(Some(tag.to_owned()), Some(generation.to_owned()))
        };
        assert_eq!(version("a", "1").agrees(&version("b", "1")), Some(true));
        assert_eq!(version("a", "1").agrees(&version("b", "2")), Some(false));
        assert_eq!(version("\"a\"", "1").agrees(&version("a", "2")), Some(true), "the same content");
        assert_eq!(version("a", "null").agrees(&version("b", "null")), Some(false), "it is no number");
    }
}
