//! Lists: by labels or fields, and in parts when they are asked for so.

use serde_json::{Value, json};

use super::api::{json_answer, status};
use super::state::State;
use super::{FakeKube, SeenKube};
use crate::http_server::Response;

/// A list of the objects that are asked for.
pub(super) fn answer(state: &State, seen: &SeenKube) -> Response {
    let (kind, all): (&str, Vec<&Value>) = match seen.resource.as_str() {
        "pods" => ("PodList", state.pods.values().collect()),
        "services" => ("ServiceList", state.services.values().collect()),
        _ => ("EventList", state.events.iter().collect()),
    };
    let bad = |message: &str| status(400, "BadRequest", message);
    let Some(labels) = pairs(seen.parameter("labelSelector")) else {
        return bad("unable to parse requirement");
    };
    let Some(fields) = pairs(seen.parameter("fieldSelector")) else {
        return bad("invalid selector");
    };
    if let Some((label, _)) = fields.iter().find(|(label, _)| !is_field(&seen.resource, label)) {
        return bad(&format!("field label not supported: {label}"));
    }
    let has =
        |object: &Value, path: String, want: &str| object.pointer(&path).is_some_and(|have| have == want);
    let fits = |object: &&Value| {
        seen.namespace == FakeKube::NAMESPACE
            && labels.iter().all(|(label, want)| {
                has(object, format!("/metadata/labels/{}", label.replace('~', "~0").replace('/', "~1")), want)
            })
            && fields.iter().all(|(field, want)| has(object, format!("/{}", field.replace('.', "/")), want))
    };
    let fitting: Vec<&Value> = all.into_iter().filter(fits).collect();
    let from: usize = match seen.parameter("continue").map(str::parse) {
        None => 0,
        Some(Ok(from)) => from,
        Some(Err(_)) => return bad("continue key is not valid"),
    };
    let limit = seen.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
    let items: Vec<Value> = fitting.iter().skip(from).take(limit).map(|object| in_a_list(object)).collect();
    let mut metadata = json!({ "resourceVersion": state.version.to_string() });
    let sent = from + items.len();
    if sent < fitting.len() {
        metadata["continue"] = json!(sent.to_string());
        metadata["remainingItemCount"] = json!(fitting.len() - sent);
    }
    json_answer(200, &json!({ "kind": kind, "apiVersion": "v1", "metadata": metadata, "items": items }))
}

/// The real one says of a list what its objects are, and not of each of them.
fn in_a_list(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(members) = object.as_object_mut() {
        members.shift_remove("kind");
        members.shift_remove("apiVersion");
    }
    object
}

/// The fields that a server knows of each resource, as far as tests ask for them.
fn is_field(resource: &str, field: &str) -> bool {
    match resource {
        "events" => {
            field.starts_with("involvedObject.") || ["metadata.name", "reason", "type"].contains(&field)
        }
        _ => field == "metadata.name",
    }
}

/// `a=b,c=d`; none when it is something else.
fn pairs(selector: Option<&str>) -> Option<Vec<(String, String)>> {
    let parts = selector.unwrap_or_default().split(',').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=')?;
            Some((name.to_owned(), value.trim_start_matches('=').to_owned()))
        })
        .collect()
}
