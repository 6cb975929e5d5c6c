//! Where a request shows a secret to whom it is meant for. Nothing else is excepted, and nothing at all for a key that
//! only signs.

use percent_encoding::percent_decode_str;

/// A header, and why a secret stands in it.
struct Header {
    name: &'static str,
    /// Of that server alone; of all when it is none.
    only: Option<&'static str>,
    #[expect(dead_code, reason = "for who reads this list")]
    why: &'static str,
}

const HEADERS: [Header; 6] = [
    Header { name: "authorization", only: None, why: "where every API and every store wants its token" },
    Header {
        name: "proxy-authorization",
        only: Some("forward-proxy"),
        why: "the login of a proxy is for that proxy, and for nobody behind it",
    },
    Header {
        name: "x-amz-security-token",
        only: None,
        why: "AWS wants the session token beside a signature",
    },
    Header {
        name: "x-aws-ec2-metadata-token",
        only: None,
        why: "IMDSv2 wants back the token that it gave, with each question",
    },
    Header {
        name: "x-token",
        only: Some("git-http"),
        why: "what `-c http.extraHeader=X-Token: …` asks for; which host gets it is looked at by its test",
    },
    Header { name: "x-identity-header", only: None, why: "how an app shows App Service that it is that app" },
];

/// Of a query or of a form, and why.
const FIELDS: [(&str, &str); 5] = [
    ("WebIdentityToken", "STS is shown the token of the pod's own account, in the query or as a form"),
    ("client_secret", "Entra ID is shown the secret of an application, as a form"),
    ("client_assertion", "Entra ID is shown the federated token of the pod, as a form"),
    ("assertion", "Google's token service is shown a signed claim, as a form"),
    ("sig", "a shared access signature is a part of each URL, that is what it is"),
];

pub(super) fn is_header(server: &str, name: &str) -> bool {
    let fits = |header: &Header| {
        header.name.eq_ignore_ascii_case(name) && header.only.is_none_or(|only| only == server)
    };
    HEADERS.iter().any(fits)
}

/// The query or form in two parts: all of it without the values at carriers, and these values.
pub(super) fn split_fields(text: &str) -> (String, String) {
    let (mut open, mut carried) = (Vec::new(), Vec::new());
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name_is = percent_decode_str(name).decode_utf8_lossy();
        if FIELDS.iter().any(|(field, _)| *field == name_is) {
            open.push(name);
            carried.push(value);
        } else {
            open.push(pair);
        }
    }
    (open.join("&"), carried.join("&"))
}
