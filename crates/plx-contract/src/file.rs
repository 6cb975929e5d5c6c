//! `V1FileType`: a file to generate (`polyaxon/_flow/init`, `polyaxon/_fs/utils`).

use crate::dockerfile::{ContextError, short_md5};
use serde_json::{Map, Value, json};

/// Every kind of artifact that Polyaxon knows (`traceml`, `V1ArtifactKind`).
pub const ARTIFACT_KINDS: [&str; 32] = [
    "model",
    "audio",
    "video",
    "histogram",
    "image",
    "tensor",
    "dataframe",
    "chart",
    "csv",
    "tsv",
    "psv",
    "ssv",
    "metric",
    "env",
    "html",
    "text",
    "file",
    "dir",
    "dockerfile",
    "docker_image",
    "data",
    "coderef",
    "table",
    "tensorboard",
    "curve",
    "confusion",
    "analysis",
    "iteration",
    "markdown",
    "system",
    "artifact",
    "span",
];

/// A checked context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContext {
    /// The content, verbatim.
    pub content: String,
    /// The file's name, which may hold folders; `file` when none was given.
    pub filename: String,
    /// What `chmod` would be told.
    pub chmod: Option<String>,
    kind: Option<String>,
}

impl FileContext {
    /// The context under the reference's names, in the order of its schema.
    pub fn to_json(&self) -> Value {
        let mut context = Map::new();
        context.extend(self.kind.iter().map(|kind| ("kind".to_owned(), json!(kind))));
        context.insert("content".to_owned(), json!(self.content));
        context.insert("filename".to_owned(), json!(self.filename));
        context.extend(self.chmod.iter().map(|mode| ("chmod".to_owned(), json!(mode))));
        Value::Object(context)
    }

    /// Checks a context. Beside the reference's `filename` the `name` of its documentation's example is taken.
    ///
    /// # Errors
    /// The first field that is unknown, missing or of the wrong type.
    pub fn parse(context: &Value) -> Result<Self, ContextError> {
        let wrong = |field: &str, why: &str| ContextError { field: field.to_owned(), why: why.to_owned() };
        let Value::Object(given) = context else {
            return Err(wrong("context", "is no object"));
        };
        let text = |key: &str| match given.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            // Octal without quotes: `chmod: 0755` is the number 755 or 493, by the version of YAML.
            Some(_) => Err(wrong(key, "is no text")),
        };
        if let Some(unknown) =
            given.keys().find(|key| !["content", "filename", "name", "chmod", "kind"].contains(&key.as_str()))
        {
            return Err(wrong(unknown, "is unknown"));
        }
        let (filename, name) = (text("filename")?, text("name")?);
        if filename.is_some() && name.is_some() {
            return Err(wrong("name", "is given beside `filename`"));
        }
        let kind = text("kind")?;
        if kind.as_deref().is_some_and(|kind| !ARTIFACT_KINDS.contains(&kind)) {
            return Err(wrong("kind", "is no kind of artifact"));
        }
        Ok(Self {
            content: text("content")?.ok_or_else(|| wrong("content", "is missing"))?,
            filename: filename.or(name).filter(|name| !name.is_empty()).unwrap_or_else(|| "file".to_owned()),
            chmod: text("chmod")?.filter(|mode| !mode.is_empty()),
            kind,
        })
    }

    /// The kind of artifact in lineage.
    pub fn kind(&self) -> &str {
        match &self.kind {
            Some(kind) => kind,
            None if self.filename.to_lowercase().contains("dockerfile") => "dockerfile",
            None => "file",
        }
    }

    /// The mark of the content in lineage.
    pub fn lineage_hash(&self) -> String {
        short_md5(self.content.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<FileContext, String> {
        let context = serde_json::from_str(json).expect("JSON");
        FileContext::parse(&context).map_err(|error| error.to_string())
    }

    #[test]
    fn names_kinds_and_hashes() {
        let plain = parse(r#"{"content":"x"}"#).expect("a context");
        assert_eq!((plain.filename.as_str(), plain.kind()), ("file", "file"));
        let named = parse(r#"{"content":"x","name":"My.Dockerfile"}"#).expect("a context");
        assert_eq!((named.filename.as_str(), named.kind()), ("My.Dockerfile", "dockerfile"));
        assert_eq!(parse(r#"{"content":"","kind":"env"}"#).expect("a context").kind(), "env");
        let script = parse(r##"{"content":"#!/usr/bin/env bash\necho \"test\"\n"}"##).expect("a context");
        assert_eq!(script.lineage_hash(), "be6d0c9acf65");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, want) in [
            (r#"{"filename":"x"}"#, "`content` is missing"),
            (r#"{"content":5}"#, "`content` is no text"),
            (r#"{"content":"x","mode":"0600"}"#, "`mode` is unknown"),
            (r#"{"content":"x","kind":"nope"}"#, "`kind` is no kind of artifact"),
            (r#"{"content":"x","chmod":493}"#, "`chmod` is no text"),
            (r#"{"content":"x","name":"a","filename":"b"}"#, "`name` is given beside `filename`"),
            (r#"[1]"#, "`context` is no object"),
        ] {
            assert_eq!(parse(json), Err(want.to_owned()), "{json}");
        }
    }
}
