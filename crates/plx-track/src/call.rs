//! A call as data: method, path, query, body. Pure.

use crate::TrackError;
use plx_contract::run::RunInstance;
use reqwest::Method;
use serde_json::Value;
use url::Url;

/// One call of the API.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub method: Method,
    pub url: Url,
    pub body: Option<Value>,
}

/// What a segment of a path is, for the error when it can be none.
pub(crate) type Segment<'a> = (&'static str, &'a str);

impl Call {
    /// A call of `base` and the segments behind it, each of them literal.
    pub fn new(method: Method, base: &Url, segments: &[Segment<'_>]) -> Result<Self, TrackError> {
        let mut url = base.clone();
        for (what, segment) in segments {
            // The library leaves dots out, and an empty one is another call.
            if matches!(*segment, "" | "." | "..") || segment.chars().any(char::is_control) {
                return Err(TrackError::Name { what, name: (*segment).to_owned() });
            }
        }
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments.iter().map(|(_, segment)| segment));
        }
        Ok(Self { method, url, body: None })
    }

    pub fn with_body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub fn with_query(mut self, pairs: &[(&str, &str)]) -> Self {
        self.url.query_pairs_mut().extend_pairs(pairs);
        self
    }

    /// Method and URL, without the query.
    pub fn shown(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        format!("{} {url}", self.method)
    }
}

/// `OWNER/PROJECT/runs/UUID`.
pub(crate) fn run<'a>(run: &'a RunInstance) -> [Segment<'a>; 4] {
    [("owner", &run.owner), ("project", &run.project), ("path", "runs"), ("run uuid", run.uuid.as_str())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_literal_and_never_lead_elsewhere() {
        let base = Url::parse("http://h/p/api/v1").expect("a URL");
        let call = |name: &str| Call::new(Method::GET, &base, &[("owner", "o"), ("version", name)]);
        for (name, want) in [
            ("v1.0", "GET http://h/p/api/v1/o/v1.0"),
            ("a/b", "GET http://h/p/api/v1/o/a%2Fb"),
            ("a b?c#d%2e", "GET http://h/p/api/v1/o/a%20b%3Fc%23d%252e"),
        ] {
            assert_eq!(call(name).expect("a call").shown(), want);
        }
        for name in ["", ".", "..", "a\nb"] {
            let error = call(name).expect_err(name);
            assert!(error.to_string().ends_with("is no version"), "{error}");
        }
    }

    #[test]
    fn a_query_is_written_as_pythons_client_does() {
        let base = Url::parse("http://h/api/v1").expect("a URL");
        let call = Call::new(Method::GET, &base, &[("owner", "o")]).expect("a call");
        let call = call.with_query(&[("limit", "20"), ("query", "uuid:a|b")]);
        assert_eq!(call.url.query(), Some("limit=20&query=uuid%3Aa%7Cb"));
        assert_eq!(call.shown(), "GET http://h/api/v1/o");
    }
}
