//! What AWS does and small S3 servers do not: regions, clocks, session tokens, rights.
//!
//! ```no_run
//! # async fn story(server: plx_testkit::S3Server) {
//! use plx_testkit::{RegionHint, S3Front};
//! let front = S3Front::start(server.addr()).await;
//! front.region("eu-west-1", RegionHint::Header);
//! let target = server.target("bucket").through(&front.url());
//! # }
//! ```

mod asked;
mod rules;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use http::{HeaderValue, Method};

use self::asked::Asked;
pub use self::rules::RegionHint;
use self::rules::{Refusal, Rules};
use crate::http_server::{
    Request, Reset, Response, Upstream, all_headers, answer, boxed, drain, full, lock, serve,
};
use crate::loopback::{self, Background};
use crate::planted::{Noted, Planted, Searched, Wire};
use crate::{Match, Seen};

/// A server in front of an S3 server, which judges requests as AWS would and passes on those it finds good.
///
/// Without any of its methods it only passes on. It keeps `Host`, so signatures hold. A server with a clock of its own
/// must be made for it: [`crate::S3Server::with_any_clock`].
#[derive(Debug)]
pub struct S3Front {
    address: SocketAddr,
    shared: Arc<Shared>,
    _background: Background,
    _searched: Searched,
}

#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    rules: Mutex<Rules>,
    log: Mutex<Vec<Seen>>,
    wire: Arc<Wire>,
}

impl S3Front {
    /// Starts one in front of a server.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = loopback::listener();
        let address = loopback::address_of(&listener);
        let upstream = Upstream::new(upstream);
        let (wire, searched) = Wire::start("s3-front");
        let shared = Arc::new(Shared { upstream, rules: Mutex::default(), log: Mutex::default(), wire });
        let serving = Arc::clone(&shared);
        let background = Background::run("s3-front", move || {
            serve(listener, move |request| handle(Arc::clone(&serving), request))
        });
        Self { address, shared, _background: background, _searched: searched }
    }

    /// As `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Buckets are there. A request signed for another region gets 400 `AuthorizationHeaderMalformed`, and is told the
    /// right one as the hint says.
    pub fn region(&self, region: &str, hint: RegionHint) {
        lock(&self.shared.rules).region = Some((region.to_owned(), hint));
    }

    /// A request signed for another region gets 301 `PermanentRedirect` instead. `Location` it has none, as AWS's.
    pub fn redirects(&self, yes: bool) {
        lock(&self.shared.rules).redirects = yes;
    }

    /// Its clock is that much ahead of this machine's: answers say so in `Date`, and a request that was signed more than
    /// 15 minutes from it gets 403 `RequestTimeTooSkewed`.
    pub fn clock_ahead(&self, by: Duration) {
        lock(&self.shared.rules).clock = Some(TimeDelta::from_std(by).expect("a clock within reason"));
    }

    /// Its clock is that much behind; see [`S3Front::clock_ahead`].
    pub fn clock_behind(&self, by: Duration) {
        lock(&self.shared.rules).clock = Some(-TimeDelta::from_std(by).expect("a clock within reason"));
    }

    /// Only these session tokens are good from now on; others get 400 `ExpiredToken`. Requests without one still pass.
    pub fn valid_tokens<T: Into<String>>(&self, tokens: impl IntoIterator<Item = T>) {
        let tokens: HashSet<String> = tokens.into_iter().map(Into::into).collect();
        tokens.iter().for_each(|token| Planted::here().token(token));
        lock(&self.shared.rules).tokens = Some(tokens);
    }

    /// That session token is good no more.
    pub fn expire(&self, token: &str) {
        lock(&self.shared.rules).expire(token);
    }

    /// Requests without a session token get 403 `AccessDenied`.
    pub fn require_token(&self) {
        lock(&self.shared.rules).token_required = true;
    }

    /// Requests of that method whose query contains that get 403 `AccessDenied`; `""` is in every query.
    pub fn deny(&self, method: &str, query_contains: &str) {
        self.deny_matching(Match::method(method).query_contains(query_contains));
    }

    /// Requests that match get 403 `AccessDenied`.
    pub fn deny_matching(&self, matching: Match) {
        lock(&self.shared.rules).denied.push(matching);
    }

    /// That access key is known no more: 403 `InvalidAccessKeyId`.
    pub fn revoke_key(&self, access_key: &str) {
        lock(&self.shared.rules).revoked_keys.insert(access_key.to_owned());
    }

    /// From before 2025: requests with checksum headers, trailers or `aws-chunked` get 501 `NotImplemented`.
    pub fn refuse_new_checksums(&self) {
        lock(&self.shared.rules).no_new_checksums = true;
    }

    /// Passes everything on again, as at first.
    pub fn clear_rules(&self) {
        *lock(&self.shared.rules) = Rules::default();
    }

    /// All requests so far, in the order they came. Bytes are those that heads announce.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.shared.log).clone()
    }

    /// How many requests match.
    pub fn count(&self, matching: &Match) -> usize {
        lock(&self.shared.log).iter().filter(|seen| matching.matches(seen)).count()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        lock(&self.shared.log).clear();
    }
}

async fn handle(shared: Arc<Shared>, request: Request) -> Result<Response, Reset> {
    let noted = shared.wire.note_request(&request);
    let asked = Asked::of(&request);
    let seen = seen(&request);
    let number = {
        let mut log = lock(&shared.log);
        log.push(seen.clone());
        log.len() - 1
    };
    let refusal = lock(&shared.rules).refusal(&asked, &seen);
    let head = request.method() == Method::HEAD;
    let mut response = match refusal {
        None => shared.upstream.send(request.map(|body| boxed(Noted { body, asked: noted }))).await,
        Some(refusal) => {
            drain(request.into_body()).await?;
            refused(refusal, head)
        }
    };
    lock(&shared.rules).mark(&asked, response.headers_mut());
    if let Some(entry) = lock(&shared.log).get_mut(number) {
        entry.status = Some(response.status().as_u16());
        entry.response_bytes = length(response.headers());
        entry.finished = true;
    }
    Ok(response)
}

fn refused(refusal: Refusal, head: bool) -> Response {
    let Refusal { status, code, message, more, region } = refusal;
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>{message}</Message>{more}\
         <RequestId>PLXTEST</RequestId><HostId>PLXTEST</HostId></Error>"
    );
    let mut response = answer(status, "application/xml", body);
    if head {
        *response.body_mut() = full("");
    }
    if let Some(region) = region {
        let region = HeaderValue::try_from(region).expect("a region is a word");
        response.headers_mut().insert("x-amz-bucket-region", region);
    }
    response
}

fn seen(request: &Request) -> Seen {
    Seen {
        method: request.method().to_string(),
        path_and_query: request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: all_headers(request.headers()),
        status: None,
        request_bytes: length(request.headers()),
        response_bytes: 0,
        finished: false,
    }
}

fn length(headers: &http::HeaderMap) -> u64 {
    crate::http_server::header(headers, "content-length").parse().unwrap_or_default()
}
