//! AWS: the metadata service of machines, the agents of pods and tasks, and STS.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::SeenIdentity;
use super::state::{Answered, AwsKeys, State, time};
use crate::jwt::seconds_now;

const ROLE: &str = "plx-test-role";
const ROLES: &str = "/latest/meta-data/iam/security-credentials";
const LONGEST_SESSION: u64 = 21_600;

pub(super) fn answer(state: &mut State, seen: &SeenIdentity) -> Option<Answered> {
    let (method, path) = (seen.method.as_str(), seen.path());
    match (method, path) {
        ("PUT", "/latest/api/token") => Some(open_session(state, seen)),
        ("GET", _) if path.starts_with("/latest/meta-data") => Some(metadata(state, seen)),
        ("GET", _) if path.starts_with("/v1/credentials") || path.starts_with("/v2/credentials/") => {
            Some(container(state, seen))
        }
        ("POST", "/") => web_identity(state, seen),
        _ => None,
    }
}

/// IMDSv2 answers only who could send a PUT: an open proxy that can be made to GET a URL cannot.
fn open_session(state: &mut State, seen: &SeenIdentity) -> Answered {
    if seen.header("x-forwarded-for").is_some() {
        return Answered::text(403, "Forbidden");
    }
    let seconds = seen.header("x-aws-ec2-metadata-token-ttl-seconds").and_then(|text| text.parse().ok());
    let Some(seconds) = seconds.filter(|seconds| (1..=LONGEST_SESSION).contains(seconds)) else {
        return Answered::text(400, "Bad Request");
    };
    let token: String = std::iter::repeat_with(fastrand::alphanumeric).take(56).collect();
    state.sessions.insert(token.clone(), seconds_now() + seconds);
    Answered::text(200, token)
}

fn metadata(state: &State, seen: &SeenIdentity) -> Answered {
    let session = seen.header("x-aws-ec2-metadata-token").and_then(|token| state.sessions.get(token));
    if session.is_none_or(|end| *end <= seconds_now()) {
        return Answered::text(401, "Unauthorized");
    }
    let Some((keys, expires)) = &state.aws else {
        return Answered::text(404, "Not Found");
    };
    match seen.path().strip_prefix(ROLES).map(|role| role.trim_matches('/')) {
        Some("") => Answered::text(200, ROLE),
        Some(ROLE) => {
            let mut body = json!({
                "Code": "Success",
                "LastUpdated": time(SystemTime::now()),
                "Type": "AWS-HMAC",
            });
            add(&mut body, keys, *expires);
            // The real service says text here, too.
            Answered::text(200, body.to_string())
        }
        _ => Answered::text(404, "Not Found"),
    }
}

fn container(state: &State, seen: &SeenIdentity) -> Answered {
    if state.pod_token.is_some() && seen.header("authorization") != state.pod_token.as_deref() {
        let body = json!({ "code": "AccessDenied", "message": "the authorization token is not valid" });
        return Answered::json(401, &body);
    }
    let Some((keys, expires)) = &state.aws else {
        let body = json!({ "code": "NotFound", "message": "no credentials for this pod" });
        return Answered::json(404, &body);
    };
    let mut body =
        json!({ "AccountId": "123456789012", "RoleArn": "arn:aws:iam::123456789012:role/plx-test-role" });
    add(&mut body, keys, *expires);
    Answered::json(200, &body)
}

fn add(body: &mut Value, keys: &AwsKeys, expires: SystemTime) {
    body["AccessKeyId"] = json!(keys.access_key);
    body["SecretAccessKey"] = json!(keys.secret_key);
    body["Token"] = json!(keys.token);
    body["Expiration"] = json!(time(expires));
}

/// What IAM roles for service accounts use. Parameters may come in the query or as a form.
fn web_identity(state: &State, seen: &SeenIdentity) -> Option<Answered> {
    let asked = |name: &str| seen.query(name).or_else(|| seen.form(name));
    if asked("Action")? != "AssumeRoleWithWebIdentity" {
        return None;
    }
    if state.federated_token.is_none() || asked("WebIdentityToken") != state.federated_token {
        return Some(sts_error("InvalidIdentityToken", "The web identity token could not be validated."));
    }
    let (Some((keys, expires)), Some(role)) = (&state.aws, asked("RoleArn")) else {
        return Some(sts_error("ValidationError", "There is no such role."));
    };
    let AwsKeys { access_key, secret_key, token, .. } = keys;
    let expires = time(*expires);
    Some(Answered::xml(
        200,
        format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleWithWebIdentityResult>\
             <AssumedRoleUser><Arn>{role}/session</Arn><AssumedRoleId>AROATEST:session</AssumedRoleId></AssumedRoleUser>\
             <Credentials><AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>{secret_key}</SecretAccessKey>\
             <SessionToken>{token}</SessionToken><Expiration>{expires}</Expiration></Credentials>\
             </AssumeRoleWithWebIdentityResult>\
             <ResponseMetadata><RequestId>plx-test</RequestId></ResponseMetadata>\
             </AssumeRoleWithWebIdentityResponse>"
        ),
    ))
}

fn sts_error(code: &str, message: &str) -> Answered {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>plx-test</RequestId></ErrorResponse>"
    );
    Answered::xml(400, body)
}
