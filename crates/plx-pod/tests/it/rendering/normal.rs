//! Pods in one form, so that two of them can be compared: the normalisation of `docs/render.md`.

use serde_json::{Map, Value, json};

/// A recorded pod: `{metadata, initContainers, containers, volumes, rest}`.
pub fn of_theirs(pod: &Value) -> Value {
    let mut spec = pod["rest"].as_object().cloned().unwrap_or_default();
    for key in ["initContainers", "containers", "volumes"] {
        spec.insert(key.to_owned(), pod[key].clone());
    }
    normal(&json!({"metadata": pod["metadata"], "spec": spec}))
}

/// A rendered Pod.
pub fn of_ours(resource: &Value) -> Value {
    normal(&json!({"metadata": resource["metadata"], "spec": resource["spec"]}))
}

/// Empty lists and nulls are dropped, the digits of container names too, and JSON in texts is read.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut out = Map::new();
            for (key, value) in fields {
                let value = normal(value);
                let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
                if !empty {
                    out.insert(key.clone(), if key == "name" { without_digits(&value) } else { value });
                }
            }
            Value::Object(out)
        }
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::String(text) => with_json(text),
        other => other.clone(),
    }
}

fn without_digits(name: &Value) -> Value {
    let Some(text) = name.as_str() else { return name.clone() };
    match text.rsplit_once('-') {
        Some((stem, digits)) if digits.len() == 10 && digits.chars().all(|c| c.is_ascii_hexdigit()) => {
            json!(format!("{stem}-X"))
        }
        _ => name.clone(),
    }
}

/// `--flag={…}` and `{…}`: the order of keys has no meaning.
fn with_json(text: &str) -> Value {
    let (flag, rest) = match text.split_once('=') {
        Some((flag, rest)) if flag.starts_with("--") => (flag, rest),
        _ => ("", text),
    };
    match serde_json::from_str::<Value>(rest) {
        Ok(json @ (Value::Object(_) | Value::Array(_))) => json!({ "flag": flag, "json": json }),
        _ => json!(text),
    }
}

/// The first place where two values differ.
pub fn difference(want: &Value, have: &Value) -> Option<String> {
    fn at(want: &Value, have: &Value, path: &str) -> Option<String> {
        match (want, have) {
            (Value::Object(one), Value::Object(other)) => {
                let keys = one.keys().chain(other.keys());
                keys.into_iter().find_map(|key| {
                    let null = Value::Null;
                    let sides = (one.get(key).unwrap_or(&null), other.get(key).unwrap_or(&null));
                    at(sides.0, sides.1, &format!("{path}.{key}"))
                })
            }
            (Value::Array(one), Value::Array(other)) if one.len() != other.len() => {
                let only = |these: &[Value], those: &[Value]| {
                    these
                        .iter()
                        .filter(|item| !those.contains(item))
                        .map(Value::to_string)
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                Some(format!("{path}\n  only theirs {}\n  only ours {}", only(one, other), only(other, one)))
            }
            (Value::Array(one), Value::Array(other)) if one.len() == other.len() => one
                .iter()
                .zip(other)
                .enumerate()
                .find_map(|(index, (one, other))| at(one, other, &format!("{path}[{index}]"))),
            _ if want == have => None,
            _ => Some(format!("{path}\n  want {want}\n  have {have}")),
        }
    }
    at(want, have, "")
}
