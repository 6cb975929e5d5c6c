//! A container while it is put together, and as the pod has it.

use crate::words;
use plx_contract::operation::{self, EnvVar};
use serde_json::{Map, Value, json};

/// A container of the pod.
#[derive(Debug, Clone, Default)]
pub struct Built {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: Option<String>,
    /// When the image is pulled.
    pub pull_policy: Option<String>,
    /// The program.
    pub command: Vec<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables, `{name, value}` or `{name, valueFrom}`.
    pub env: Vec<Value>,
    /// Secrets and config maps whose keys all become variables.
    pub env_from: Vec<Value>,
    /// Ports.
    pub ports: Vec<Value>,
    /// Requests and limits.
    pub resources: Option<Value>,
    /// Mounts.
    pub mounts: Vec<Value>,
    /// Fields that are handed on as they are.
    pub rest: Map<String, Value>,
    /// What it does, for people.
    pub about: About,
}

/// What a container does, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// In a few words.
    pub what: String,
    /// What it reads.
    pub reads: Vec<String>,
    /// What it writes.
    pub writes: Vec<String>,
    /// The connections it uses.
    pub connections: Vec<String>,
}

/// A variable with a value.
pub fn var(name: &str, value: impl Into<String>) -> Value {
    json!({"name": name, "value": value.into()})
}

/// A variable from the pod itself.
pub fn field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

/// A variable from a key of a secret.
pub fn from_secret(name: &str, secret: &str, key: &str) -> Value {
    json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
}

/// A variable from a key of a config map.
pub fn from_config_map(name: &str, map: &str, key: &str) -> Value {
    json!({"name": name, "valueFrom": {"configMapKeyRef": {"name": map, "key": key}}})
}

impl Built {
    /// A person's container.
    pub fn of(container: &operation::Container) -> Self {
        let mut rest = container.rest.clone();
        let list = |rest: &mut Map<String, Value>, key: &str| match rest.remove(key) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let (command, args) = words::in_a_pod(container.command.as_ref(), container.args.as_ref());
        let ports = list(&mut rest, "ports").into_iter().map(|port| match port {
            Value::Number(number) => json!({ "containerPort": number }),
            other => other,
        });
        let mut built = Self {
            name: container.name.clone().unwrap_or_default(),
            image: container.image.clone(),
            command,
            args,
            env: container.env.iter().flatten().map(of_person).collect(),
            ports: ports.collect(),
            ..Self::default()
        };
        built.env_from = list(&mut rest, "envFrom");
        built.mounts = list(&mut rest, "volumeMounts");
        built.resources = rest.remove("resources").filter(is_given).map(texts);
        let policy = rest.remove("imagePullPolicy");
        built.pull_policy = policy.and_then(|policy| policy.as_str().map(str::to_owned));
        if let Some(dir) = container.working_dir.as_ref().filter(|dir| !dir.is_empty()) {
            built.rest.insert("workingDir".to_owned(), json!(dir));
        }
        built.rest.extend(rest);
        built
    }

    /// A person's container over this one, which keeps its name: the person's image, resources, policy and words win,
    /// variables and mounts are the person's and then these, of which the last of a name stays.
    pub fn under(self, person: Option<Self>) -> Self {
        let Some(person) = person else { return self };
        let own_words = !person.command.is_empty() || !person.args.is_empty();
        let words = if own_words { (person.command, person.args) } else { (self.command, self.args) };
        Self {
            name: self.name,
            image: person.image.or(self.image),
            pull_policy: person.pull_policy.or(self.pull_policy),
            command: words.0,
            args: words.1,
            env: [person.env, self.env].concat(),
            env_from: [person.env_from, self.env_from].concat(),
            ports: [person.ports, self.ports].concat(),
            resources: person.resources.or(self.resources),
            mounts: [person.mounts, self.mounts].concat(),
            rest: person.rest,
            about: self.about,
        }
    }

    /// As the pod has it. Of several variables of a name the last stays; what is there twice is there once.
    pub fn into_value(self) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| {
            let value = without_nulls(value);
            if is_given(&value) {
                out.insert(key.to_owned(), value);
            }
        };
        put("name", json!(self.name));
        put("image", json!(self.image));
        put("imagePullPolicy", json!(self.pull_policy));
        put("command", json!(self.command));
        put("args", json!(self.args));
        for (key, value) in self.rest {
            put(&key, value);
        }
        put("env", Value::Array(last_of_a_name(self.env)));
        put("envFrom", Value::Array(once(self.env_from)));
        put("ports", Value::Array(first_of_a_port(self.ports)));
        put("resources", json!(self.resources));
        put("volumeMounts", Value::Array(once(self.mounts)));
        Value::Object(out)
    }
}

fn of_person(var: &EnvVar) -> Value {
    let mut out = json!({ "name": var.name });
    if let Some(from) = &var.value_from {
        out["valueFrom"] = from.clone();
    } else if let Some(value) = &var.value {
        out["value"] = json!(text(value));
    }
    out
}

/// A value as the text that Kubernetes wants: JSON for everything but a text.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Limits and requests as texts.
fn texts(mut resources: Value) -> Value {
    for key in ["limits", "requests"] {
        if let Some(Value::Object(amounts)) = resources.get_mut(key) {
            amounts.values_mut().for_each(|amount| *amount = json!(text(amount)));
        }
    }
    resources
}

/// Everything but null, and what is empty.
pub fn is_given(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

/// A value without the nulls in it: to Kubernetes an absent field and a null one are not always the same.
pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().filter(|item| !item.is_null()).map(without_nulls).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        other => other,
    }
}

fn last_of_a_name(vars: Vec<Value>) -> Vec<Value> {
    let name = |var: &Value| var.get("name").cloned();
    let last =
        |(index, var): &(usize, &Value)| vars[index + 1..].iter().all(|later| name(later) != name(var));
    vars.iter().enumerate().filter(last).map(|(_, var)| var.clone()).collect()
}

fn first_of_a_port(ports: Vec<Value>) -> Vec<Value> {
    let number = |port: &Value| port.get("containerPort").cloned();
    let mut first: Vec<Value> = Vec::new();
    for port in ports {
        if first.iter().all(|earlier| number(earlier) != number(&port)) {
            first.push(port);
        }
    }
    first
}

fn once(items: Vec<Value>) -> Vec<Value> {
    let mut first: Vec<Value> = Vec::new();
    for item in items {
        if !first.contains(&item) {
            first.push(item);
        }
    }
    first
}
