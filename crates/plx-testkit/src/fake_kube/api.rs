//! What is answered to which call.

use std::sync::Arc;

use http::HeaderValue;
use http::header::RETRY_AFTER;
use serde_json::{Value, json};

use super::lists;
use super::logs::LogStream;
use super::state::State;
use super::stream::Stream;
use super::{FakeKube, KubeFault, SeenKube, Shared};
use crate::http_server::{self, Response, lock};

/// In the order of a real one: who is it, may they, does it work, is it there.
pub(super) fn answer(shared: &Arc<Shared>, seen: &SeenKube, fault: Option<KubeFault>) -> Response {
    let state = lock(&shared.state);
    if seen.token != state.token {
        return status(401, "Unauthorized", "Unauthorized");
    }
    let (verb, resource) = (seen.verb, seen.resource.as_str());
    if state.is_denied(verb, resource) {
        let who = format!("system:serviceaccount:{}:polyaxon-runs", FakeKube::NAMESPACE);
        // As `pods.metrics.k8s.io`.
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        let of = resource.split('/').next().unwrap_or(resource);
        let message = format!(
            "{of} \"{}\" is forbidden: User \"{who}\" cannot {verb} resource \"{plural}\" in API group \"{group}\" in the \
             namespace \"{}\"",
            seen.name, seen.namespace
        );
        return status(403, "Forbidden", &message);
    }
    match fault {
        Some(KubeFault::Status(code)) => return status(code, "InternalError", "forced by the test"),
        Some(KubeFault::TooMany(seconds)) => {
            let mut response = status(429, "TooManyRequests", "too many requests, please try again later");
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            return response;
        }
        Some(KubeFault::Reset | KubeFault::Silence) | None => {}
    }
    match (verb, resource) {
        ("get", "pods" | "pods/status") => one(&state, seen),
        ("get", "pods/log") => {
            drop(state);
            LogStream::open(shared, seen)
        }
        ("list", "pods" | "events" | "services") => lists::answer(&state, seen),
        ("get", "pods.metrics.k8s.io") => metrics(&state, seen),
        ("watch", "pods") => match selected(seen) {
            Ok(name) => {
                let name = name.map(str::to_owned);
                drop(state);
                Stream::open(shared, seen, name)
            }
            Err(wrong) => status(400, "BadRequest", wrong),
        },
        _ => status(404, "NotFound", "the server could not find the requested resource"),
    }
}

fn one(state: &State, seen: &SeenKube) -> Response {
    let of_namespace = seen.namespace == FakeKube::NAMESPACE;
    match state.pods.get(&seen.name).filter(|_| of_namespace) {
        Some(pod) => json_answer(200, pod),
        None => status(404, "NotFound", &format!("pods \"{}\" not found", seen.name)),
    }
}

fn metrics(state: &State, seen: &SeenKube) -> Response {
    let name = &seen.name;
    let of_namespace = seen.namespace == FakeKube::NAMESPACE;
    match &state.metrics {
        // Nobody serves that group.
        None => http_server::answer(404, "text/plain", "404 page not found\n".to_owned()),
        Some(metrics) => match metrics.get(name).filter(|_| of_namespace) {
            Some(metrics) => json_answer(200, metrics),
            None => {
                status(404, "NotFound", &format!("podmetrics.metrics.k8s.io \"polyaxon/{name}\" not found"))
            }
        },
    }
}

/// The one pod that the field selector asks for, or none for all.
fn selected(seen: &SeenKube) -> Result<Option<&str>, &'static str> {
    match seen.parameter("fieldSelector").map(|selector| selector.split_once('=')) {
        None => Ok(None),
        Some(Some(("metadata.name", name))) => Ok(Some(name.trim_start_matches('='))),
        Some(_) => Err("unable to find that field label in a selector of pods"),
    }
}

pub(super) fn status_object(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    })
}

pub(super) fn status(code: u16, reason: &str, message: &str) -> Response {
    json_answer(code, &status_object(code, reason, message))
}

pub(super) fn json_answer(status: u16, body: &Value) -> Response {
    http_server::answer(status, "application/json", body.to_string())
}
