//! What the API server would refuse, told before it is asked.

use super::names;
use plx_contract::Class;
use plx_runtime::Failure;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Checks a pod's spec.
///
/// # Errors
/// The first thing that no API server takes: names that are no labels or not unique, a mount without its volume, two
/// mounts at one place.
pub fn pod(spec: &Map<String, Value>) -> Result<(), Failure> {
    let list = |key: &str| spec.get(key).and_then(Value::as_array).into_iter().flatten();
    let mut volumes = BTreeSet::new();
    for volume in list("volumes") {
        let name = text(volume, "name");
        label("volume", name)?;
        if !volumes.insert(name) {
            return Err(wrong(format!("two volumes are called `{name}`"), "give them different names"));
        }
    }
    let mut containers = BTreeSet::new();
    for container in list("initContainers").chain(list("containers")) {
        let name = text(container, "name");
        label("container", name)?;
        if !containers.insert(name) {
            return Err(wrong(format!("two containers are called `{name}`"), "give them different names"));
        }
        self::container(name, container, &volumes)?;
    }
    Ok(())
}

fn container(name: &str, container: &Value, volumes: &BTreeSet<&str>) -> Result<(), Failure> {
    let list = |key: &str| container.get(key).and_then(Value::as_array).into_iter().flatten();
    let mut places: Vec<(&str, &str)> = Vec::new();
    for mount in list("volumeMounts") {
        let (volume, path) = (text(mount, "name"), text(mount, "mountPath"));
        if !volumes.contains(volume) {
            let message = format!("container `{name}` mounts `{volume}`, and the pod has no such volume");
            return Err(wrong(message, "add it under run.volumes, or correct its name"));
        }
        if let Some((other, _)) = places.iter().find(|(_, known)| *known == path) {
            let message = format!("container `{name}` mounts both `{other}` and `{volume}` at {path}");
            return Err(wrong(message, "mount one of them elsewhere"));
        }
        if path.is_empty() {
            return Err(wrong(
                format!("container `{name}` mounts `{volume}` nowhere"),
                "give the mount a mountPath",
            ));
        }
        places.push((volume, path));
    }
    for var in list("env") {
        let key = text(var, "name");
        if key.is_empty() || key.contains(['=', '\0']) {
            return Err(wrong(
                format!("container `{name}` has a variable called `{key}`"),
                "give every variable a name, without `=`",
            ));
        }
    }
    Ok(())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn label(what: &str, name: &str) -> Result<(), Failure> {
    if names::is_label(name) {
        return Ok(());
    }
    Err(wrong(
        format!("{what} `{name}` is no name that Kubernetes takes"),
        "use at most 63 lower-case letters, digits and dashes, none of them at an end",
    ))
}

fn wrong(message: String, next: &str) -> Failure {
    Failure::new(Class::Config, message).with_next(next)
}
