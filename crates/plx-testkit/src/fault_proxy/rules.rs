//! Which request, how often, and what happens to it.

use std::time::Duration;

use super::{FaultProxy, Seen};
use crate::Times;

/// Which requests are meant. Everything that is said must hold; [`Match::any`] says nothing.
///
/// Path and query are compared as they were sent, percent-encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    method: Option<String>,
    path_contains: Vec<String>,
    path_ends_with: Option<String>,
    query_contains: Vec<String>,
    query_lacks: Vec<String>,
    headers: Vec<String>,
    header_parts: Vec<(String, String)>,
}

impl Match {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests of that method.
    pub fn method(method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..Self::default() }
    }

    /// The path contains that.
    #[must_use]
    pub fn path_contains(mut self, part: &str) -> Self {
        self.path_contains.push(part.to_owned());
        self
    }

    /// The path ends like that.
    #[must_use]
    pub fn path_ends_with(mut self, end: &str) -> Self {
        self.path_ends_with = Some(end.to_owned());
        self
    }

    /// The query contains that, as `partNumber=`, `uploads`, `list-type=2`.
    #[must_use]
    pub fn query_contains(mut self, part: &str) -> Self {
        self.query_contains.push(part.to_owned());
        self
    }

    /// The query does not contain that: `PUT` without `partNumber=` is a whole object.
    #[must_use]
    pub fn query_lacks(mut self, part: &str) -> Self {
        self.query_lacks.push(part.to_owned());
        self
    }

    /// The request has that header.
    #[must_use]
    pub fn header(mut self, name: &str) -> Self {
        self.headers.push(name.to_owned());
        self
    }

    /// The request has that header, and one value of it contains that: which key signed it, whose token it shows.
    #[must_use]
    pub fn header_contains(mut self, name: &str, part: &str) -> Self {
        self.header_parts.push((name.to_owned(), part.to_owned()));
        self
    }

    /// Whether a request is meant.
    pub fn matches(&self, request: &Seen) -> bool {
        let (path, query) = request.path_and_query.split_once('?').unwrap_or((&request.path_and_query, ""));
        self.method.as_ref().is_none_or(|method| request.method.eq_ignore_ascii_case(method))
            && self.path_contains.iter().all(|part| path.contains(part.as_str()))
            && self.path_ends_with.as_ref().is_none_or(|end| path.ends_with(end.as_str()))
            && self.query_contains.iter().all(|part| query.contains(part.as_str()))
            && !self.query_lacks.iter().any(|part| query.contains(part.as_str()))
            && self.headers.iter().all(|name| request.header(name).is_some())
            && self.header_parts.iter().all(|(name, part)| {
                let mut values = request.headers.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name));
                values.any(|(_, value)| value.contains(part.as_str()))
            })
    }
}

/// What happens to a request.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Answer { status: u16, body: String, headers: Vec<(String, String)> },
    CutResponse(u64),
    CutRequest(u64),
    LoseAnswer,
    Refuse,
    Delay(Duration),
    Stall,
}

/// A match, how often, and an action.
#[derive(Debug)]
pub(super) struct Rule {
    matching: Match,
    times: Times,
    action: Action,
    met: u64,
}

impl Rule {
    /// The action, when the rule applies to this request. Counts the request when it matches.
    pub fn meet(&mut self, request: &Seen) -> Option<Action> {
        if !self.matching.matches(request) {
            return None;
        }
        self.met += 1;
        self.times.applies(self.met).then(|| self.action.clone())
    }
}

/// A rule on the way: how often, then what. It stands once the action is named.
///
/// A rule counts the matching requests that no earlier rule took.
#[derive(Debug)]
#[must_use = "a rule stands once its action is named"]
pub struct RuleBuilder<'a> {
    pub(super) proxy: &'a FaultProxy,
    pub(super) matching: Match,
    pub(super) times: Times,
}

impl RuleBuilder<'_> {
    /// How often; without this word, always.
    pub fn times(mut self, times: Times) -> Self {
        self.times = times;
        self
    }

    /// The first `n` matching requests.
    pub fn first(self, n: u64) -> Self {
        self.times(Times::First(n))
    }

    /// The `n`-th matching request alone, from 1.
    pub fn nth(self, n: u64) -> Self {
        self.times(Times::Nth(n))
    }

    /// Every `n`-th matching request.
    pub fn every(self, n: u64) -> Self {
        self.times(Times::Every(n))
    }

    /// That share of the matching requests, always the same ones for a seed.
    pub fn percent(self, percent: u8, seed: u64) -> Self {
        self.times(Times::Percent { percent, seed })
    }

    /// The proxy answers itself, after it has read the request; the server never sees it.
    pub fn answer(self, status: u16, body: &str, headers: &[(&str, &str)]) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.then(Action::Answer { status, body: body.to_owned(), headers });
    }

    /// Resets the connection once `n` bytes of the response's body are through. A body of `n` bytes or fewer passes.
    pub fn cut_after_response_bytes(self, n: u64) {
        self.then(Action::CutResponse(n));
    }

    /// Resets both connections once `n` bytes of the request's body are through. A body of `n` bytes or fewer passes.
    pub fn cut_after_request_bytes(self, n: u64) {
        self.then(Action::CutRequest(n));
    }

    /// The server gets the request and answers; the client gets a reset instead. Whether a write took place stays open.
    pub fn cut_before_response(self) {
        self.then(Action::LoseAnswer);
    }

    /// Resets the connection once the head is read; the server never sees the request.
    pub fn refuse(self) {
        self.then(Action::Refuse);
    }

    /// Holds the request for that long, then passes it on.
    pub fn delay(self, time: Duration) {
        self.then(Action::Delay(time));
    }

    /// Never answers, until [`FaultProxy::release`]; then the request is passed on, even when its sender gave up.
    pub fn stall(self) {
        self.then(Action::Stall);
    }

    fn then(self, action: Action) {
        self.proxy.add(Rule { matching: self.matching, times: self.times, action, met: 0 });
    }
}
