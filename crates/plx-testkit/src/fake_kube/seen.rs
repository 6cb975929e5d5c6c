//! A call, in the words that rights are given in.

use std::sync::atomic::{AtomicU64, Ordering};

use url::form_urlencoded;

use crate::http_server::header;

/// A call the cluster was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenKube {
    /// `get`, `list` or `watch`; `none` of what is no resource that is known here.
    pub verb: &'static str,
    /// As `pods`, `pods/status` or `pods.metrics.k8s.io`.
    pub resource: String,
    /// As it was asked for.
    pub namespace: String,
    /// Of the one object; empty for all.
    pub name: String,
    /// The path and what follows it, as they were sent.
    pub target: String,
    /// What was shown as a bearer; empty when nothing was.
    pub token: String,
    /// What the client was told; `None` when its connection was reset, or while it still waits.
    pub status: Option<u16>,
    pub(super) id: u64,
    query: Vec<(String, String)>,
}

impl SeenKube {
    pub(super) fn of(head: &http::request::Parts) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let query = head.uri.query().unwrap_or_default();
        let mut seen = Self {
            verb: "none",
            resource: String::new(),
            namespace: String::new(),
            name: String::new(),
            target: head.uri.to_string(),
            token: header(&head.headers, "authorization")
                .strip_prefix("Bearer ")
                .unwrap_or_default()
                .to_owned(),
            status: None,
            id: COUNT.fetch_add(1, Ordering::SeqCst),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        };
        let parts: Vec<&str> = head.uri.path().split('/').skip(1).collect();
        let (group, namespace, rest) = match parts.as_slice() {
            ["api", "v1", "namespaces", namespace, rest @ ..] => ("", namespace, rest),
            ["apis", "metrics.k8s.io", "v1beta1", "namespaces", namespace, rest @ ..] => {
                (".metrics.k8s.io", namespace, rest)
            }
            _ => return seen,
        };
        if head.method != http::Method::GET {
            return seen;
        }
        let watches = matches!(seen.parameter("watch"), Some("true" | "1"));
        let (verb, resource, name) = match rest {
            [resource] if watches => ("watch", format!("{resource}{group}"), ""),
            [resource] => ("list", format!("{resource}{group}"), ""),
            [resource, name] => ("get", format!("{resource}{group}"), *name),
            [resource, name, part] => ("get", format!("{resource}/{part}"), *name),
            _ => return seen,
        };
        (seen.verb, seen.resource) = (verb, resource);
        (seen.namespace, seen.name) = ((*namespace).to_owned(), name.to_owned());
        seen
    }

    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is a call of that verb, `*` for any, or of a verb and a resource, as `get pods/log`.
    pub(super) fn is(&self, call: &str) -> bool {
        match call.split_once(' ') {
            Some((verb, resource)) => self.verb == verb && self.resource == resource,
            None => call == "*" || self.verb == call,
        }
    }
}
