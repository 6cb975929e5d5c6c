//! Which fields the Kubernetes parts of a document may have, so that a misspelt one is found before the API server
//! drops it. What stands in [`init`](plx_contract::init) and `plugins` is checked by its own types.

use serde_json::Value;

/// What may stand at a place.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Anything.
    Any,
    /// An object of these fields, and what it is called in messages.
    Object(&'static str, &'static [(&'static str, Shape)]),
    /// A list of the same.
    List(&'static Shape),
}

use Shape::{Any, List, Object};

const KEY_REF: Shape = Object("a key reference", &[("name", Any), ("key", Any), ("optional", Any)]);
const FROM: Shape = Object(
    "valueFrom",
    &[
        ("secretKeyRef", KEY_REF),
        ("configMapKeyRef", KEY_REF),
        ("fieldRef", Object("fieldRef", &[("fieldPath", Any), ("apiVersion", Any)])),
        (
            "resourceFieldRef",
            Object("resourceFieldRef", &[("containerName", Any), ("divisor", Any), ("resource", Any)]),
        ),
        ("fileKeyRef", Any),
    ],
);
const VAR: Shape = Object("a variable", &[("name", Any), ("value", Any), ("valueFrom", FROM)]);
const SOURCE_REF: Shape = Object("an envFrom reference", &[("name", Any), ("optional", Any)]);
const ENV_FROM: Shape =
    Object("envFrom", &[("prefix", Any), ("secretRef", SOURCE_REF), ("configMapRef", SOURCE_REF)]);
const MOUNT: Shape = Object(
    "a volume mount",
    &[
        ("name", Any),
        ("mountPath", Any),
        ("subPath", Any),
        ("subPathExpr", Any),
        ("readOnly", Any),
        ("recursiveReadOnly", Any),
        ("mountPropagation", Any),
    ],
);
const PORT: Shape = Object(
    "a port",
    &[("containerPort", Any), ("name", Any), ("hostIP", Any), ("hostPort", Any), ("protocol", Any)],
);
const RESOURCES: Shape = Object("resources", &[("limits", Any), ("requests", Any), ("claims", Any)]);

/// A container.
pub const CONTAINER: Shape = Object(
    "a container",
    &[
        ("name", Any),
        ("image", Any),
        ("command", Any),
        ("args", Any),
        ("workingDir", Any),
        ("env", List(&VAR)),
        ("envFrom", List(&ENV_FROM)),
        ("imagePullPolicy", Any),
        ("lifecycle", Any),
        ("livenessProbe", Any),
        ("ports", List(&PORT)),
        ("readinessProbe", Any),
        ("resizePolicy", Any),
        ("resources", RESOURCES),
        ("restartPolicy", Any),
        ("securityContext", Any),
        ("startupProbe", Any),
        ("stdin", Any),
        ("stdinOnce", Any),
        ("terminationMessagePath", Any),
        ("terminationMessagePolicy", Any),
        ("tty", Any),
        ("volumeDevices", Any),
        ("volumeMounts", List(&MOUNT)),
    ],
);

const VOLUME: Shape = Object(
    "a volume",
    &[
        ("name", Any),
        ("configMap", Any),
        ("csi", Any),
        ("downwardAPI", Any),
        ("emptyDir", Object("emptyDir", &[("medium", Any), ("sizeLimit", Any)])),
        ("ephemeral", Any),
        ("fc", Any),
        ("hostPath", Object("hostPath", &[("path", Any), ("type", Any)])),
        ("image", Any),
        ("iscsi", Any),
        ("nfs", Object("nfs", &[("server", Any), ("path", Any), ("readOnly", Any)])),
        ("persistentVolumeClaim", Object("persistentVolumeClaim", &[("claimName", Any), ("readOnly", Any)])),
        ("projected", Any),
        (
            "secret",
            Object("secret", &[("secretName", Any), ("items", Any), ("defaultMode", Any), ("optional", Any)]),
        ),
        ("azureDisk", Any),
        ("azureFile", Any),
        ("cephfs", Any),
        ("cinder", Any),
        ("flexVolume", Any),
        ("gcePersistentDisk", Any),
        ("awsElasticBlockStore", Any),
        ("portworxVolume", Any),
        ("rbd", Any),
        ("vsphereVolume", Any),
    ],
);

/// `V1Environment`, and what older documents say of their volumes.
const ENVIRONMENT: Shape = Object(
    "environment",
    &[
        ("labels", Any),
        ("annotations", Any),
        ("nodeSelector", Any),
        ("affinity", Any),
        ("tolerations", Any),
        ("nodeName", Any),
        ("serviceAccountName", Any),
        ("hostAliases", Any),
        ("securityContext", Any),
        ("imagePullSecrets", Any),
        ("hostNetwork", Any),
        ("hostPID", Any),
        ("dnsPolicy", Any),
        ("dnsConfig", Any),
        ("schedulerName", Any),
        ("priorityClassName", Any),
        ("priority", Any),
        ("restartPolicy", Any),
        ("persistence", Object("persistence", &[("data", Any), ("outputs", Any)])),
        ("data_refs", Any),
        ("dataRefs", Any),
    ],
);

/// `run`, of kind job or service.
pub const RUN: Shape = Object(
    "run",
    &[
        ("kind", Any),
        (
            "init",
            List(&Object(
                "an init entry",
                &[
                    ("paths", Any),
                    ("artifacts", Any),
                    ("git", Any),
                    ("dockerfile", Any),
                    ("file", Any),
                    ("tensorboard", Any),
                    ("lineageRef", Any),
                    ("lineage_ref", Any),
                    ("modelRef", Any),
                    ("model_ref", Any),
                    ("artifactRef", Any),
                    ("artifact_ref", Any),
                    ("connection", Any),
                    ("path", Any),
                    ("container", CONTAINER),
                ],
            )),
        ),
        ("connections", Any),
        ("container", CONTAINER),
        ("environment", ENVIRONMENT),
        ("sidecars", List(&CONTAINER)),
        ("volumes", List(&VOLUME)),
        ("ports", Any),
        ("rewritePath", Any),
        ("isExternal", Any),
        ("replicas", Any),
    ],
);

/// A field that is not known where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Where, below the place that was checked.
    pub path: Vec<String>,
    /// What it is a field of.
    pub of: &'static str,
    /// The known one that it may have meant.
    pub meant: Option<&'static str>,
}

impl Unknown {
    /// Its name.
    pub fn field(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }
}

/// The first field of a value that is not known.
pub fn unknown(value: &Value, shape: &Shape) -> Option<Unknown> {
    fn at(value: &Value, shape: &Shape, path: &mut Vec<String>) -> Option<Unknown> {
        match (shape, value) {
            (Object(of, fields), Value::Object(map)) => map.iter().find_map(|(key, value)| {
                path.push(key.clone());
                let found = match fields.iter().find(|(known, _)| known == key) {
                    Some((_, shape)) => at(value, shape, path),
                    None => {
                        let meant = closest(key, fields.iter().map(|(known, _)| *known));
                        Some(Unknown { path: path.clone(), of, meant })
                    }
                };
                path.pop();
                found
            }),
            (List(shape), Value::Array(items)) => items.iter().enumerate().find_map(|(index, item)| {
                path.push(index.to_string());
                let found = at(item, shape, path);
                path.pop();
                found
            }),
            _ => None,
        }
    }
    at(value, shape, &mut Vec::new())
}

/// The known name that a misspelt one is nearest to; none when it is near to none. Case and underscores do not count.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    let name = plain(name);
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&plain(known), &name), known))
        .filter(|(likeness, _)| *likeness > 0.82)
        // Of two spellings of one name the first.
        .reduce(|best, other| if other.0 > best.0 { other } else { best })
        .map(|(_, known)| known)
}

/// What to do about an unknown field.
pub fn next_step(meant: Option<&str>) -> String {
    match meant {
        Some(meant) => format!("did you mean `{meant}`? Correct its spelling or remove it"),
        None => "correct its spelling or remove it".to_owned(),
    }
}
