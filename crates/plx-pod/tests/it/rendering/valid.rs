//! What an API server checks, as far as it can be told without one.

use plx_pod::render::Rendered;
use serde_json::Value;
use std::collections::BTreeSet;

fn is_label(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len())
        && name.chars().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).map(|list| list.as_array().expect(key)).into_iter().flatten()
}

fn name(value: &Value) -> &str {
    value["name"].as_str().expect("a name")
}

/// Panics when no API server would take it.
pub fn pod(rendered: &Rendered) {
    let yaml = rendered.yaml().expect("YAML");
    let read: Value = serde_saphyr::from_str(&yaml).expect("YAML that can be read");
    assert_eq!(read, rendered.resource, "what is read is what was written");
    no_nulls(&rendered.resource, "");
    let pod = rendered.pod();
    let labels = pod["metadata"]["labels"].as_object().expect("labels");
    for (key, value) in labels {
        let value = value.as_str().expect(key);
        let ends = |c: char| c.is_ascii_alphanumeric();
        assert!(
            value.len() <= 63 && value.starts_with(ends) && value.ends_with(ends),
            "label {key}: {value}"
        );
    }
    let annotations = pod["metadata"]["annotations"].as_object().expect("annotations");
    assert!(annotations.values().all(Value::is_string), "{annotations:?}");
    let spec = &pod["spec"];
    let mut volumes = BTreeSet::new();
    for volume in list(spec, "volumes") {
        assert!(is_label(name(volume)) && volumes.insert(name(volume)), "volume {volume}");
        assert_eq!(volume.as_object().expect("a volume").len(), 2, "one source: {volume}");
    }
    let mut names = BTreeSet::new();
    for container in list(spec, "initContainers").chain(list(spec, "containers")) {
        assert!(is_label(name(container)) && names.insert(name(container)), "container {}", name(container));
        assert!(container["image"].as_str().is_some_and(|image| !image.is_empty()), "{container}");
        let mut paths = BTreeSet::new();
        for mount in list(container, "volumeMounts") {
            assert!(volumes.contains(name(mount)), "{} mounts {mount}", name(container));
            assert!(
                paths.insert(mount["mountPath"].as_str().expect("a path")),
                "{} mounts {mount}",
                name(container)
            );
        }
        for var in list(container, "env") {
            assert!(!name(var).is_empty());
            let either = var.get("value").is_some_and(Value::is_string) || var.get("valueFrom").is_some();
            assert!(either || var.as_object().expect("a variable").len() == 1, "{var}");
        }
        for port in list(container, "ports") {
            assert!(port["containerPort"].as_u64().is_some_and(|port| (1..=65535).contains(&port)), "{port}");
        }
        for words in ["command", "args"] {
            assert!(list(container, words).all(Value::is_string), "{container}");
        }
        for amounts in ["limits", "requests"] {
            let amounts = container["resources"].get(amounts).and_then(Value::as_object);
            assert!(amounts.into_iter().flatten().all(|(_, amount)| amount.is_string()), "{container}");
        }
    }
}

fn no_nulls(value: &Value, path: &str) {
    match value {
        Value::Null => unreachable!("{path} is null"),
        Value::Array(items) => items.iter().for_each(|item| no_nulls(item, &format!("{path}[]"))),
        Value::Object(fields) => {
            fields.iter().for_each(|(key, item)| no_nulls(item, &format!("{path}.{key}")))
        }
        _ => {}
    }
}
