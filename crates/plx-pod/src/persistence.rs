//! Which of the older documents' volumes a run gets: the same for `run` and `render`.

use crate::located::Located;
use plx_contract::Class;
use plx_contract::operation::Run;
use plx_contract::persistence::{Chosen, Persistence, Place, Wanted};
use plx_runtime::Failure;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a run gets; none when neither the deployment nor the run speaks of it.
///
/// # Errors
/// With its place in the file: an unknown name, read-only outputs, two buckets that need one variable for two keys.
pub fn choose(
    run: &Run,
    configured: Option<&Persistence>,
    source: &Located,
    run_path: &[&str],
) -> Result<Option<Chosen>, Failure> {
    let environment = run.rest.get("environment").cloned().unwrap_or_default();
    let place = |path: &[&str]| source.at(&[run_path, &["environment"], path].concat());
    let within = |path: &[&str], mut failure: Failure| {
        failure.message = format!("{}: {}", place(path), failure.message);
        failure
    };
    let section = environment.get("persistence").filter(|section| !section.is_null());
    let mut wanted: Wanted = match section {
        Some(section) => serde_json::from_value(section.clone())
            .map_err(|error| within(&["persistence"], Failure::new(Class::Config, error.to_string())))?,
        None => Wanted::default(),
    };
    let mut refs = ["data_refs", "dataRefs"].into_iter().filter_map(|key| Some((key, environment.get(key)?)));
    if let Some((key, names)) = refs.find(|(_, names)| !names.is_null()) {
        if wanted.data.is_some() {
            let message = format!("`{key}` and `persistence.data` both name data volumes");
            return Err(within(&[key], Failure::new(Class::Config, message)).with_next("keep one of the two"));
        }
        let names = serde_json::from_value(Value::clone(names));
        wanted.data =
            Some(names.map_err(|error| within(&[key], Failure::new(Class::Config, error.to_string())))?);
    }
    if configured.is_none() && wanted == Wanted::default() && section.is_none() {
        return Ok(None);
    }
    let persistence = configured.cloned().unwrap_or_default();
    let chosen = persistence.choose(&wanted).map_err(|error| within(&["persistence"], error.into()))?;
    let mut keys: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for (name, volume) in chosen.places() {
        if let Place::Bucket { secret: Some((secret, key)), .. } = volume {
            let (other, owner) = *keys.entry(key).or_insert((secret, name));
            if other != secret {
                let message = format!(
                    "volumes `{owner}` and `{name}` have keys of one name, `{key}`, in two secrets: a variable has one value"
                );
                return Err(within(&["persistence"], Failure::new(Class::Config, message))
                    .with_next("give the keys different names, or name the data this run needs"));
            }
        }
    }
    Ok(Some(chosen))
}
