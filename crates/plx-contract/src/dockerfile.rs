//! `V1DockerfileType`: a Dockerfile to generate (`polyaxon/_flow/init`, `polyaxon/_docker/generator.py`).
//!
//! Byte for byte what the reference writes: no value is escaped, and what is null prints as Python's `None`.

use crate::python::{repr_of, str_of};
use crate::{Class, Classified};
use md5::{Digest, Md5};
use serde_json::{Map, Value};
use std::fmt::Write;

/// The fields in the order of the schema; lineage hashes depend on it.
const FIELDS: [&str; 13] = [
    "image",
    "env",
    "path",
    "copy",
    "postRunCopy",
    "run",
    "langEnv",
    "uid",
    "gid",
    "username",
    "filename",
    "workdir",
    "workdirPath",
];
/// The last one, which is also the last of the schema.
const SHELL: &str = "shell";
/// What Python calls them.
const SNAKE: [(&str, &str); 3] =
    [("post_run_copy", "postRunCopy"), ("lang_env", "langEnv"), ("workdir_path", "workdirPath")];

/// A checked context.
#[derive(Debug, Clone, PartialEq)]
pub struct Dockerfile {
    /// What was given, by its camel-case name.
    given: Map<String, Value>,
}

impl Dockerfile {
    /// Checks a context as the reference does.
    ///
    /// # Errors
    /// The first field that is unknown, missing or of the wrong type.
    pub fn parse(context: &Value) -> Result<Self, ContextError> {
        let wrong = |field: &str, why: &str| ContextError { field: field.to_owned(), why: why.to_owned() };
        let Value::Object(raw) = context else {
            return Err(wrong("context", "is no object"));
        };
        let mut given = Map::new();
        for (key, value) in raw {
            let name = SNAKE.iter().find(|(snake, _)| snake == key).map_or(key.as_str(), |(_, camel)| camel);
            if name != SHELL && !FIELDS.contains(&name) {
                return Err(wrong(key, "is unknown"));
            }
            given.insert(name.to_owned(), checked(name, value).map_err(|why| wrong(key, why))?);
        }
        if !given.contains_key("image") {
            return Err(wrong("image", "is missing"));
        }
        Ok(Self { given })
    }

    /// The context in the order of the schema, without what is null.
    pub fn to_json(&self) -> Value {
        let given = |key: &&str| {
            Some(((*key).to_owned(), self.given.get(*key).filter(|one| !one.is_null())?.clone()))
        };
        Value::Object(FIELDS.iter().chain([&SHELL]).filter_map(given).collect())
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.given.get(key)?.as_str()
    }

    /// A text with a default, printed as Python does when null was given.
    fn printed(&self, key: &str, default: &str) -> String {
        self.given.get(key).map_or_else(|| default.to_owned(), str_of)
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &Value> {
        self.given.get(key).and_then(Value::as_array).into_iter().flatten()
    }

    /// The file's name; `Dockerfile` when none was given.
    pub fn filename(&self) -> &str {
        self.text("filename").filter(|name| !name.is_empty()).unwrap_or("Dockerfile")
    }

    /// The file's content.
    pub fn render(&self) -> String {
        let mut out = format!("\nFROM {}\n\n", self.printed("image", ""));
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        if let Some(lang) = self.text("langEnv").filter(|lang| !lang.is_empty()) {
            for name in ["LC_ALL", "LANG", "LANGUAGE"] {
                line(format!("ENV {name} {lang}"));
            }
        }
        let shell = match self.given.get(SHELL) {
            None => "/bin/bash",
            Some(shell) => shell.as_str().unwrap_or_default(),
        };
        if !shell.is_empty() {
            line(format!("\nENV SHELL {shell}"));
        }
        for path in self.list("path") {
            line(format!("ENV PATH=\"${{PATH}}:{}\"", str_of(path)));
        }
        for (key, value) in self.env() {
            line(format!("ENV {key} {value}"));
        }
        let workdir = self.printed("workdir", "/code");
        line(format!("WORKDIR {workdir}\n"));
        let copy = |entry: &Value| match entry.as_array().map(Vec::as_slice) {
            Some([from, to]) => format!("COPY {} {}", str_of(from), str_of(to)),
            _ => format!("COPY {} {workdir}", str_of(entry)),
        };
        self.list("copy").map(copy).for_each(&mut line);
        for step in self.list("run") {
            line(format!("RUN {}", str_of(step)));
        }
        self.list("postRunCopy").map(copy).for_each(&mut line);
        if let (Some(uid), Some(gid)) = (self.id("uid"), self.id("gid")) {
            let username = self.printed("username", "polyaxon");
            line("# Drop root user and use Polyaxon user".to_owned());
            line(format!(
                "RUN groupadd -g {gid} -r polyaxon && useradd -r -m -g polyaxon -u {uid} {username}"
            ));
        }
        if let Some(path) = self.text("workdirPath").filter(|path| !path.is_empty()) {
            line(format!("COPY {path} {workdir}"));
        }
        out
    }

    fn env(&self) -> Vec<(String, String)> {
        match self.given.get("env") {
            Some(Value::Object(map)) => map.iter().map(|(key, value)| (key.clone(), str_of(value))).collect(),
            Some(Value::Array(pairs)) => pairs
                .iter()
                .filter_map(|pair| match pair.as_array()?.as_slice() {
                    [key, value] => Some((str_of(key), str_of(value))),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// 0 is the user that is there already.
    fn id(&self, key: &str) -> Option<i64> {
        self.given.get(key)?.as_i64().filter(|id| *id != 0)
    }

    /// The first 12 digits of the MD5 of what Python prints for the context.
    pub fn lineage_hash(&self) -> String {
        let mut repr = String::from("{");
        let fields = FIELDS.iter().chain([&SHELL]).filter_map(|name| Some((*name, self.given.get(*name)?)));
        for (name, value) in fields.filter(|(_, value)| !value.is_null()) {
            let comma = if repr.len() > 1 { ", " } else { "" };
            // Writing to a `String` cannot fail.
            write!(repr, "{comma}'{name}': {}", repr_of(value)).ok();
        }
        repr.push('}');
        short_md5(repr.as_bytes())
    }
}

/// The first 12 hexadecimal digits of an MD5: how the reference marks contents in lineage.
pub fn short_md5(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(32);
    for byte in Md5::digest(bytes) {
        write!(text, "{byte:02x}").ok();
    }
    text.truncate(12);
    text
}

fn checked(name: &str, value: &Value) -> Result<Value, &'static str> {
    let texts = |items: &[Value]| items.iter().all(Value::is_string);
    let fits = match (name, value) {
        ("image", Value::String(image)) => return check_image(image).map(|()| value.clone()),
        ("image", _) => return Err("is no text"),
        (_, Value::Null) => true,
        ("env", Value::Object(_)) => true,
        ("env", Value::Array(pairs)) => {
            pairs.iter().all(|pair| pair.as_array().is_some_and(|pair| pair.len() == 2))
        }
        ("path" | "run", Value::Array(items)) => texts(items),
        ("copy" | "postRunCopy", Value::Array(items)) => items.iter().all(|item| match item {
            Value::Array(pair) => pair.len() == 2 && texts(pair),
            other => other.is_string(),
        }),
        ("uid" | "gid", Value::Number(number)) => number.is_i64() || number.is_u64(),
        // A number in quotes is a number.
        ("uid" | "gid", Value::String(text)) => {
            return text.trim().parse::<i64>().map(Value::from).map_err(|_| "is no whole number");
        }
        ("env" | "path" | "run" | "copy" | "postRunCopy" | "uid" | "gid", _) => false,
        (_, other) => other.is_string(),
    };
    if fits {
        return Ok(value.clone());
    }
    Err(match name {
        "env" => "is neither an object nor a list of pairs",
        "path" | "run" => "is no list of texts",
        "copy" | "postRunCopy" => "is no list of texts and pairs",
        "uid" | "gid" => "is no whole number",
        _ => "is no text",
    })
}

/// As the reference checks it (`clipped/utils/validation`, docker images).
fn check_image(image: &str) -> Result<(), &'static str> {
    let wrong = "is no image";
    if image.is_empty() || image.contains(' ') {
        return Err(wrong);
    }
    match image.split(':').collect::<Vec<_>>().as_slice() {
        [_] | [_, _] => Ok(()),
        // A registry with a port: what follows the port begins with it.
        [_, middle, _] if middle.contains('/') && !middle.starts_with('/') => Ok(()),
        _ => Err(wrong),
    }
}

/// A context that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {why}")]
pub struct ContextError {
    /// The field, as it was written.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl Classified for ContextError {
    fn class(&self) -> Class {
        Class::Usage
    }
    fn next_step(&self) -> Option<String> {
        Some(format!("correct `{}` in the context", self.field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_reference_refuses_is_refused() {
        let raw = include_str!("../tests/fixtures/dockerfiles/invalid.json");
        let cases: Map<String, Value> = serde_json::from_str(raw).expect("JSON");
        for (name, case) in cases {
            let got = Dockerfile::parse(&case["context"]);
            assert_eq!(got.is_ok(), case["valid"].as_bool().expect("a boolean"), "{name}: {got:?}");
        }
        let refused = |json: &str| {
            let context = serde_json::from_str(json).expect("JSON");
            Dockerfile::parse(&context).expect_err(json).to_string()
        };
        assert_eq!(refused(r#"{"image":"a","foo":1}"#), "`foo` is unknown");
        assert_eq!(refused(r#"{"image":"a:b:c"}"#), "`image` is no image");
        assert_eq!(
            refused(r#"{"image":"a","env":[["x"]]}"#),
            "`env` is neither an object nor a list of pairs"
        );
    }

    #[test]
    fn images_with_a_port_and_a_tag() {
        for (image, want) in [
            ("reg:5000/team/x:1", true),
            ("reg:5000/x", true),
            ("reg:/x:1", false),
            ("a:b:c:d", false),
            ("", false),
            ("x@sha256:abc", true),
        ] {
            assert_eq!(check_image(image).is_ok(), want, "{image}");
        }
    }
}
