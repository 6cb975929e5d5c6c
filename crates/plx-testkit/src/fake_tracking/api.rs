//! What is answered to which call.

use percent_encoding::percent_decode_str;
use plx_contract::file::ARTIFACT_KINDS;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::SeenCall;
use super::state::{Answered, State};
use crate::http_server::Reset;

const ROWS: usize = 20;

pub(super) fn answer(state: &mut State, seen: &SeenCall) -> Result<Answered, Reset> {
    match state.forced(&seen.path) {
        Some(0) => return Err(Reset),
        Some(status) => return Ok(Answered::json(status, json!({ "errors": "forced" }))),
        None => {}
    }
    let shown = seen.header("authorization").unwrap_or_default();
    let given = format!("Token {}", state.given.0);
    if !state.accepted.is_empty() && shown != given && !state.accepted.iter().any(|known| known == shown) {
        return Ok(Answered::detail(401, "Invalid token."));
    }
    let decoded: Vec<String> =
        seen.path.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect();
    let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let ["", "api", "v1", rest @ ..] = parts.as_slice() else {
        return Ok(Answered::detail(404, "Not found."));
    };
    Ok(route(state, seen, rest))
}

fn route(state: &mut State, seen: &SeenCall, path: &[&str]) -> Answered {
    let method = seen.method.as_str();
    match path {
        ["users"] => only("GET", method, || user(state, seen)),
        [owner, project, "runs"] => only("GET", method, || runs(state, seen, owner, project)),
        [owner, project, "versions", kind, name] => {
            only("GET", method, || match state.version([owner, project, kind, name]) {
                Some(version) => Answered::json(200, version.clone()),
                None => Answered::detail(404, "No ProjectVersion matches the given query."),
            })
        }
        [owner, project, "runs", uuid, rest @ ..] => {
            if !state.knows_run(owner, project, uuid) {
                return Answered::detail(404, "No Run matches the given query.");
            }
            run(state, seen, uuid, rest)
        }
        _ => Answered::detail(404, "Not found."),
    }
}

fn run(state: &mut State, seen: &SeenCall, uuid: &str, path: &[&str]) -> Answered {
    match (seen.method.as_str(), path) {
        ("POST", ["impersonate"]) => Answered::json(200, json!({ "token": state.given.0 })),
        ("PATCH", []) => {
            let given = &seen.body["outputs"];
            if !given.is_null() && !given.is_object() {
                return Answered::json(400, json!({ "outputs": ["Value must be valid JSON."] }));
            }
            if let Some(given) = given.as_object() {
                state.set_outputs(uuid, given, seen.body["merge"] == true);
            }
            Answered::json(200, json!({ "uuid": uuid, "outputs": state.outputs.get(uuid) }))
        }
        ("POST", ["statuses"]) => {
            if !seen.body["condition"].is_object() {
                return Answered::json(400, json!({ "condition": ["This field is required."] }));
            }
            state.statuses.entry(uuid.to_owned()).or_default().push(seen.body.clone());
            Answered::json(201, json!({ "status": null, "status_conditions": null, "meta_info": null }))
        }
        ("GET", ["statuses"]) => {
            let all = state.statuses.get(uuid).cloned().unwrap_or_default();
            let conditions: Vec<&Value> = all.iter().map(|body| &body["condition"]).collect();
            let last = conditions.last().map_or(Value::Null, |condition| condition["type"].clone());
            Answered::json(200, json!({ "uuid": uuid, "status": last, "status_conditions": conditions }))
        }
        ("POST", ["lineage", "artifacts"]) => {
            let Some(artifacts) = seen.body["artifacts"].as_array() else {
                return Answered::json(400, json!({ "artifacts": ["This field is required."] }));
            };
            // All or none, as `V1RunArtifacts` is read there.
            let kind = |artifact: &Value| artifact["kind"].as_str().map(str::to_owned);
            let unknown =
                artifacts.iter().filter_map(kind).find(|kind| !ARTIFACT_KINDS.contains(&kind.as_str()));
            if let Some(kind) = unknown {
                return Answered::json(400, json!([format!("Input should be an artifact kind, not {kind}")]));
            }
            for artifact in artifacts {
                state.add_artifact(uuid, artifact.clone());
            }
            Answered::empty(201)
        }
        ("GET", ["lineage", "artifacts"]) => {
            let all = state.artifacts.get(uuid).cloned().unwrap_or_default();
            page(&all, seen, "name", "name")
        }
        ("GET", ["lineage", "artifacts", name]) => {
            let all = state.artifacts.get(uuid).into_iter().flatten();
            match all.clone().find(|artifact| artifact["name"] == *name) {
                Some(artifact) => Answered::json(200, artifact.clone()),
                None => Answered::detail(404, "No ArtifactLineage matches the given query."),
            }
        }
        (method, ["impersonate" | "statuses"] | ["lineage", "artifacts", ..]) => {
            Answered::detail(405, &format!("Method \"{method}\" not allowed."))
        }
        _ => Answered::detail(404, "Not found."),
    }
}

fn only(wanted: &str, method: &str, answered: impl FnOnce() -> Answered) -> Answered {
    if method == wanted {
        answered()
    } else {
        Answered::detail(405, &format!("Method \"{method}\" not allowed."))
    }
}

fn user(state: &State, seen: &SeenCall) -> Answered {
    match seen.header("authorization") {
        None => Answered::detail(401, "Authentication credentials were not provided."),
        Some(_) => Answered::json(200, json!({ "username": state.given.1, "email": "jane@x.y" })),
    }
}

fn runs(state: &State, seen: &SeenCall, owner: &str, project: &str) -> Answered {
    let of_project = state.runs.iter().filter(|(o, p, _)| o == owner && p == project);
    let all: Vec<Value> = of_project.map(|(_, _, run)| run.clone()).collect();
    page(&all, seen, "uuid", "uuid")
}

/// One page of what `query=KEY:A|B` leaves, or of all without a query.
fn page(all: &[Value], seen: &SeenCall, key: &str, field: &str) -> Answered {
    let asked = |name: &str| {
        let mut pairs = form_urlencoded::parse(seen.query.as_bytes());
        pairs.find(|(have, _)| have == name).map(|(_, value)| value.into_owned())
    };
    let wanted: Option<Vec<String>> = match asked("query") {
        None => None,
        Some(query) => match query.split_once(':') {
            Some((name, values)) if name == key => Some(values.split('|').map(str::to_owned).collect()),
            _ => {
                let wrong = format!("Error applying or resolving queryset, key `{query}` is not supported.");
                return Answered::json(400, json!([wrong]));
            }
        },
    };
    let fits = |row: &&Value| {
        let value = row[field].as_str().unwrap_or_default();
        wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|wanted| wanted == value))
    };
    let rows: Vec<&Value> = all.iter().filter(fits).collect();
    let number =
        |name: &str, default: usize| asked(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (limit, offset) = (number("limit", ROWS), number("offset", 0));
    let some: Vec<&Value> = rows.iter().skip(offset).take(limit).copied().collect();
    let next =
        (offset + some.len() < rows.len()).then(|| format!("?limit={limit}&offset={}", offset + limit));
    Answered::json(200, json!({ "count": rows.len(), "next": next, "previous": null, "results": some }))
}
