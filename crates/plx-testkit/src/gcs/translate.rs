//! From GCS's words to S3's and back.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use super::bearer::Verdict;
use super::{SeenGcs, Shared};
use crate::http_server::{Request, Reset, Response, answer, boxed, drain, full, header, lock};
use crate::planted::{Asked, Noted};

const GENERATION_MATCH: &str = "x-goog-if-generation-match";
/// What GCS says in its own words and S3 in others.
const PREFIXES: [(&str, &str); 3] = [
    ("x-goog-meta-", "x-amz-meta-"),
    ("x-goog-copy-source", "x-amz-copy-source"),
    ("x-goog-storage-class", "x-amz-storage-class"),
];

pub(super) async fn handle(shared: Arc<Shared>, request: Request) -> Result<Response, Reset> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut seen = SeenGcs {
        method: request.method().to_string(),
        path_and_query: request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        authorization: request.headers().get(AUTHORIZATION).map(text),
        status: 0,
    };
    let asked = shared.wire.note_request(&request);
    let head = request.method() == Method::HEAD;
    let verdict = lock(&shared.tokens).judge(seen.authorization.as_deref());
    let mut response = match verdict {
        Verdict::Welcome => shared.pass_on(request, asked).await?,
        Verdict::BadToken => {
            drain(request.into_body()).await?;
            error(401, "AuthenticationRequired", "Authentication required.")
        }
        Verdict::Anonymous => {
            drain(request.into_body()).await?;
            error(403, "AccessDenied", "Access denied.")
        }
    };
    if head && !response.status().is_success() {
        *response.body_mut() = full("");
    }
    response.headers_mut().insert("x-guploader-uploadid", HeaderValue::from(fastrand::u64(..)));
    seen.status = response.status().as_u16();
    lock(&shared.log).push(seen);
    Ok(response)
}

impl Shared {
    async fn pass_on(&self, mut request: Request, asked: Arc<Asked>) -> Result<Response, Reset> {
        let path = request.uri().path().to_owned();
        let (writes, deletes) = (is_write(&request), request.method() == Method::DELETE);
        let wanted = header(request.headers(), GENERATION_MATCH).parse::<u64>().ok();
        let version = take_generation(request.uri_mut());
        // Two conditions at once must not both find what they want.
        let _alone = if wanted.is_some() { Some(self.conditional.lock().await) } else { None };
        let current = self.generation(&path);
        if wanted.is_some_and(|wanted| wanted != current) {
            drain(request.into_body()).await?;
            let message = "At least one of the pre-conditions you specified did not hold.";
            return Ok(error(412, "PreconditionFailed", message));
        }
        if version.is_some_and(|version| version != current) {
            drain(request.into_body()).await?;
            return Ok(error(404, "NoSuchKey", "The specified key does not exist."));
        }
        *request.headers_mut() = to_s3(request.headers());
        let request = request.map(|body| s3s::Body::http_body_unsync(Noted { body, asked }));
        let response = self.files.call(request).await.map_err(|_| Reset)?;
        let mut response = response.map(boxed);
        *response.headers_mut() = from_s3(response.headers());
        if response.status().is_success() {
            if writes {
                self.written(&path);
            } else if deletes && self.generation(&path) == 0 {
                lock(&self.generations).remove(&path);
            }
            let generation = self.generation(&path);
            if generation != 0 {
                response.headers_mut().insert("x-goog-generation", HeaderValue::from(generation));
            }
        }
        Ok(response)
    }

    /// 0 where there is no object, as in a condition.
    fn generation(&self, path: &str) -> u64 {
        let decoded = percent_decode_str(path.trim_start_matches('/')).decode_utf8_lossy();
        let Ok(about) = std::fs::metadata(self.data_dir.join(&*decoded)) else { return 0 };
        if !about.is_file() {
            return 0;
        }
        lock(&self.generations).get(path).copied().unwrap_or_else(|| {
            let changed = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            changed.unwrap_or_default().as_micros() as u64
        })
    }

    /// Generations are microseconds, and no two are the same.
    fn written(&self, path: &str) {
        let mut generations = lock(&self.generations);
        let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_micros() as u64;
        let last = generations.values().max().copied().unwrap_or_default();
        generations.insert(path.to_owned(), now.max(last + 1));
    }
}

/// Whether success means a new object: a PUT that is no part, or the end of an upload in parts.
fn is_write(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let has = |name: &str| form_urlencoded::parse(query.as_bytes()).any(|(have, _)| have == name);
    match *request.method() {
        Method::PUT => !has("partNumber"),
        Method::POST => has("uploadId"),
        _ => false,
    }
}

/// Takes `generation` out of the query, which S3 does not know.
fn take_generation(uri: &mut Uri) -> Option<u64> {
    let query = uri.query()?;
    let generation = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "generation");
    let generation = generation?.1.parse().ok();
    let rest: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("generation=")).collect();
    *uri = format!("{}?{}", uri.path(), rest.join("&")).parse().expect("a URI with less in it");
    generation
}

fn to_s3(headers: &HeaderMap) -> HeaderMap {
    let mut out = HeaderMap::new();
    for (name, value) in headers {
        let renamed = PREFIXES
            .iter()
            .find_map(|(ours, theirs)| Some(format!("{theirs}{}", name.as_str().strip_prefix(ours)?)));
        if let Some(renamed) = renamed {
            out.append(HeaderName::try_from(renamed).expect("a name like the one before"), value.clone());
        } else if name == GENERATION_MATCH && value == "0" {
            out.insert(http::header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        } else if name != AUTHORIZATION && !name.as_str().starts_with("x-goog-") {
            out.append(name, value.clone());
        }
    }
    out
}

fn from_s3(headers: &HeaderMap) -> HeaderMap {
    let mut out = HeaderMap::new();
    for (name, value) in headers {
        if let Some(rest) = name.as_str().strip_prefix("x-amz-meta-") {
            let renamed = HeaderName::try_from(format!("x-goog-meta-{rest}"));
            out.append(renamed.expect("a name like the one before"), value.clone());
        } else if !name.as_str().starts_with("x-amz-") {
            out.append(name, value.clone());
        }
    }
    out
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let body = format!(
        "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut response = answer(status, "application/xml; charset=UTF-8", body);
    if response.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"https://accounts.google.com/\"");
        response.headers_mut().insert(http::header::WWW_AUTHENTICATE, challenge);
    }
    response
}
