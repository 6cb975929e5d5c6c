//! Azure: the metadata service of machines, the one of App Service, and Entra ID.

use chrono::Utc;
use serde_json::{Value, json};

use super::SeenIdentity;
use super::state::{Answered, Bearer, State};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(super) fn answer(state: &State, seen: &SeenIdentity) -> Option<Answered> {
    let (method, path) = (seen.method.as_str(), seen.path());
    match (method, path) {
        ("GET", "/metadata/identity/oauth2/token" | "/msi/token") => Some(managed(state, seen)),
        // An authority's address may end in a slash, and then there are two.
        ("POST", _) => {
            let tenant = path.strip_suffix("/oauth2/v2.0/token")?.trim_start_matches('/');
            (!tenant.is_empty() && !tenant.contains('/')).then(|| entra(state, seen))
        }
        _ => None,
    }
}

/// A managed identity: of App Service by its secret header, of a machine without.
fn managed(state: &State, seen: &SeenIdentity) -> Answered {
    let bad = |what: &str| {
        let body = json!({ "error": "invalid_request", "error_description": what });
        Answered::json(400, &body)
    };
    let secret = seen.header("x-identity-header");
    let service = secret.is_some() || seen.path() == "/msi/token";
    if service {
        if secret.is_none() || (state.identity_header.is_some() && secret != state.identity_header.as_deref())
        {
            let body = json!({ "statusCode": 401, "message": "The X-IDENTITY-HEADER is not valid." });
            return Answered::json(401, &body);
        }
    } else if seen.header("metadata") != Some("true") {
        return bad("Required metadata header not specified");
    } else if seen.header("x-forwarded-for").is_some() {
        return bad("Request contains header X-Forwarded-For");
    }
    if seen.query("api-version").is_none() {
        return bad("Required query variable 'api-version' is missing");
    }
    let Some(resource) = seen.query("resource") else {
        return bad("Required query variable 'resource' is missing");
    };
    let client_id = seen.query("client_id");
    if client_id.is_some() && state.client_id.is_some() && client_id != state.client_id {
        return bad("Identity not found");
    }
    let Some(Bearer { token, expires_on, expires_in }) = state.bearer() else {
        return bad("Identity not found");
    };
    let mut body = json!({
        "access_token": token,
        "expires_on": expires_on.to_string(),
        "resource": resource,
        "token_type": "Bearer",
        "client_id": client_id.or_else(|| state.client_id.clone()).unwrap_or_default(),
    });
    if !service {
        body["expires_in"] = json!(expires_in.to_string());
        body["ext_expires_in"] = json!(expires_in.to_string());
        body["not_before"] = json!(expires_on.saturating_sub(expires_in).to_string());
    }
    Answered::json(200, &body)
}

/// An application shows its secret, or a token of somebody whom Entra ID trusts.
fn entra(state: &State, seen: &SeenIdentity) -> Answered {
    for needed in ["grant_type", "client_id", "scope"] {
        if seen.form(needed).is_none_or(|value| value.is_empty()) {
            let what = format!("The request body must contain the following parameter: '{needed}'.");
            return error(400, "invalid_request", 900_144, &what);
        }
    }
    if seen.form("grant_type").as_deref() != Some("client_credentials") {
        let what = "The app requested an unsupported grant type.";
        return error(400, "unsupported_grant_type", 70_003, what);
    }
    let good = match (seen.form("client_secret"), seen.form("client_assertion")) {
        (Some(secret), _) if Some(&secret) == state.client_secret.as_ref() => Ok(()),
        (Some(_), _) => Err((
            7_000_215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
             value, not the client secret ID, for a secret added to app.",
        )),
        (None, Some(_)) if seen.form("client_assertion_type").as_deref() != Some(JWT_BEARER) => {
            Err((50_027, "JWT token is invalid or malformed."))
        }
        (None, Some(assertion)) if Some(&assertion) == state.federated_token.as_ref() => Ok(()),
        (None, Some(_)) => {
            Err((700_213, "No matching federated identity record found for presented assertion subject."))
        }
        (None, None) => Err((
            7_000_218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        )),
    };
    match (good, state.bearer()) {
        (Err((code, what)), _) => error(401, "invalid_client", code, what),
        (Ok(()), None) => error(400, "unauthorized_client", 700_016, "The application was not found."),
        (Ok(()), Some(Bearer { token, expires_in, .. })) => {
            let body = json!({
                "token_type": "Bearer",
                "expires_in": expires_in,
                "ext_expires_in": expires_in,
                "access_token": token,
            });
            Answered::json(200, &body)
        }
    }
}

fn error(status: u16, error: &str, code: u32, what: &str) -> Answered {
    let now = Utc::now().format("%Y-%m-%d %H:%M:%SZ").to_string();
    let id = "00000000-0000-0000-0000-000000000000";
    let description = format!("AADSTS{code}: {what} Trace ID: {id} Correlation ID: {id} Timestamp: {now}");
    let body: Value = json!({
        "error": error,
        "error_description": description,
        "error_codes": [code],
        "timestamp": now,
        "trace_id": id,
        "correlation_id": id,
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    Answered::json(status, &body)
}
