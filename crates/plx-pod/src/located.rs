//! A YAML or JSON text that remembers where its keys stand, so that every error can say FILE:LINE:COLUMN.

use crate::fields;
use plx_contract::Class;
use plx_runtime::Failure;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use std::fmt;

/// A text, what it is called in messages, and the places of its keys.
#[derive(Debug)]
pub struct Located {
    name: String,
    text: String,
    places: Option<Node>,
}

impl Located {
    /// A text under a name. Nothing is checked yet.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let places = read(&text).ok();
        Self { name: name.into(), text, places }
    }

    /// The text as a value.
    ///
    /// # Errors
    /// With the place, when it is no YAML or has the wrong shape.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        read(&self.text).map_err(|error| {
            let error = error.without_snippet();
            let place =
                error.location().map_or_else(String::new, |at| format!(":{}:{}", at.line(), at.column()));
            let words = error.to_string();
            // The library ends its message with the place; it stands in front already.
            let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
            let words = words.strip_prefix("error: ").unwrap_or(words).replace('\n', " ");
            let failure = Failure::new(Class::Config, format!("{}{place}: {words}", self.name));
            match unknown(&words) {
                Some(meant) => failure.with_next(fields::next_step(meant)),
                None => failure,
            }
        })
    }

    /// FILE:LINE:COLUMN of the deepest part of a path that exists; the file alone when nothing of it does.
    /// Items of a list are called by their index.
    pub fn at(&self, path: &[&str]) -> String {
        let mut found = None;
        let mut node = self.places.as_ref();
        for part in path {
            let Some(child) = node.and_then(|node| node.children.iter().find(|child| child.key == *part))
            else {
                break;
            };
            found = Some(child.at);
            node = Some(&child.node);
        }
        match found {
            Some(at) => format!("{}:{}:{}", self.name, at.line(), at.column()),
            None => self.name.clone(),
        }
    }

    /// Whether a path exists.
    pub fn has(&self, path: &[&str]) -> bool {
        let mut node = self.places.as_ref();
        for part in path {
            node = node
                .and_then(|node| node.children.iter().find(|child| child.key == *part))
                .map(|child| &child.node);
        }
        node.is_some()
    }

    /// A configuration error at a path.
    pub fn wrong(&self, path: &[&str], message: impl fmt::Display) -> Failure {
        Failure::new(Class::Config, format!("{}: {message}", self.at(path)))
    }
}

/// YAML 1.2: `n`, `yes` and `off` are texts, as keys and as values. Where a flag is wanted they are understood.
fn read<T: DeserializeOwned>(text: &str) -> Result<T, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true })
}

/// Of serde's `unknown field X, expected one of A, B`: what X may have meant.
fn unknown(words: &str) -> Option<Option<&str>> {
    let rest = words.strip_prefix("unknown field `")?;
    let (field, rest) = rest.split_once('`')?;
    let known = rest
        .split([' ', ',', '`', ':'])
        .filter(|word| !matches!(*word, "" | "expected" | "one" | "of" | "or"));
    Some(fields::closest(field, known))
}

#[derive(Debug, Default)]
struct Node {
    children: Vec<Child>,
}

#[derive(Debug)]
struct Child {
    key: String,
    at: Location,
    node: Node,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

macro_rules! leaves {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Node, E> {
            Ok(Node::default())
        })*
    };
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    leaves!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Node::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut node = Node::default();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            node.children.push(Child { key: key.value, at: key.referenced, node: map.next_value()? });
        }
        Ok(node)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut node = Node::default();
        while let Some(item) = seq.next_element::<Spanned<Node>>()? {
            let key = node.children.len().to_string();
            node.children.push(Child { key, at: item.referenced, node: item.value });
        }
        Ok(node)
    }
}
