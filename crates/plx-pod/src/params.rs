//! The values of a component's inputs: the same for `run` and `render`.

use crate::document::Loaded;
use plx_contract::Class;
use plx_runtime::Failure;
use serde_json::{Map, Value};

/// What templates and main get of the inputs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Params {
    /// By name: the operation's parameters over the component's defaults.
    pub values: Map<String, Value>,
    /// Those with `toEnv`, as variables of main.
    pub env: Vec<(String, String)>,
}

/// What is not a value but needs the platform to find one.
const FROM_ELSEWHERE: [&str; 4] = ["ref", "connection", "toInit", "contextOnly"];

/// The inputs of a document.
///
/// # Errors
/// With its place, when a parameter has no value of its own.
pub fn of(loaded: &Loaded) -> Result<Params, Failure> {
    let rest = &loaded.operation.rest;
    let given = rest.get("params").and_then(Value::as_object).cloned().unwrap_or_default();
    let inputs = rest.get("inputs").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut params = Params::default();
    for (name, param) in &given {
        let is_given = |key: &&&str| param.get(**key).is_some_and(|value| !value.is_null());
        if let Some(key) = FROM_ELSEWHERE.iter().find(is_given) {
            let own = ["params", name];
            let path =
                if loaded.source.has(&own) { own.to_vec() } else { [&["component"], &own[..]].concat() };
            let message = format!("`{key}` of parameter `{name}` needs the platform");
            let place = loaded.source.at(&path);
            return Err(Failure::new(Class::Config, format!("{place}: {message}"))
                .with_next("give the parameter a `value`"));
        }
        params.values.insert(name.clone(), param.get("value").unwrap_or(param).clone());
    }
    for input in &inputs {
        let Some(name) = input.get("name").and_then(Value::as_str) else { continue };
        let default = input.get("value").filter(|value| !value.is_null());
        if let (false, Some(default)) = (params.values.contains_key(name), default) {
            params.values.insert(name.to_owned(), default.clone());
        }
        let of_param = given.get(name).and_then(|param| param.get("toEnv"));
        let to_env = of_param.or_else(|| input.get("toEnv")).and_then(Value::as_str);
        if let (Some(key), Some(value)) = (to_env, params.values.get(name)) {
            params.env.push((key.to_owned(), text(value)));
        }
    }
    Ok(params)
}

/// A value as a variable holds it: JSON for everything but a text.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
