//! Google: the metadata server of machines and of GKE pods.

use serde_json::json;

use super::SeenIdentity;
use super::state::{Answered, State};

const ACCOUNTS: &str = "/computeMetadata/v1/instance/service-accounts/";
const EMAIL: &str = "tests@plx-test.iam.gserviceaccount.com";

pub(super) fn answer(state: &State, seen: &SeenIdentity) -> Option<Answered> {
    if !seen.path().starts_with("/computeMetadata/") {
        return None;
    }
    let mut answered = if seen.header("metadata-flavor") == Some("Google") {
        metadata(state, seen)
    } else {
        Answered::text(403, "Missing Metadata-Flavor:Google header.")
    };
    answered.headers.extend([("Metadata-Flavor", "Google"), ("Server", "Metadata Server for VM")]);
    Some(answered)
}

fn metadata(state: &State, seen: &SeenIdentity) -> Answered {
    let asked = seen.path().strip_prefix(ACCOUNTS).and_then(|rest| rest.split_once('/'));
    let what = asked.filter(|(account, _)| ["default", EMAIL].contains(account)).map(|(_, what)| what);
    match (seen.method.as_str(), what, state.bearer()) {
        ("GET", Some("email"), _) => Answered::text(200, EMAIL),
        ("GET", Some("token"), Some(bearer)) => {
            let body = json!({
                "access_token": bearer.token,
                "expires_in": bearer.expires_in,
                "token_type": "Bearer",
            });
            Answered::json(200, &body)
        }
        _ => Answered::text(404, "Not Found"),
    }
}
