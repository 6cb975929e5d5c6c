//! Whom the server takes, and what goes wrong.

use std::collections::VecDeque;

use http::HeaderValue;
use http::header::{LOCATION, WWW_AUTHENTICATE};

use super::SeenGit;
use crate::http_server::{Response, answer};

/// How an answer ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Break {
    Cut,
    Hang,
}

/// All that can be set while the server runs.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub login: Option<(String, String)>,
    pub fail_next: (usize, u16),
    pub refuse_all: Option<u16>,
    /// What a path begins with, and what stands there instead.
    pub redirects: Vec<(String, String)>,
    /// One for each answer that is to break, with the bytes that still pass.
    breaks: VecDeque<(Break, u64)>,
}

impl Rules {
    /// An answer for whom git is not asked.
    pub fn refuse(&mut self, seen: &SeenGit) -> Option<Response> {
        let refusal = |status| Some(answer(status, "text/plain", "refused"));
        let (left, status) = self.fail_next;
        if left > 0 {
            self.fail_next = (left - 1, status);
            return refusal(status);
        }
        if let Some(status) = self.refuse_all {
            return refusal(status);
        }
        for (from, to) in &self.redirects {
            if let Some(rest) = seen.path_and_query.strip_prefix(from.as_str()) {
                let location = HeaderValue::from_str(&format!("{to}{rest}")).expect("a URL is plain text");
                return with(answer(301, "text/plain", "moved"), LOCATION, location);
            }
        }
        if self.login.is_some() && seen.login() != self.login {
            let realm = HeaderValue::from_static(r#"Basic realm="git""#);
            return with(answer(401, "text/plain", "who are you?"), WWW_AUTHENTICATE, realm);
        }
        None
    }

    pub fn add_break(&mut self, how: Break, bytes: u64, times: usize) {
        self.breaks.extend(std::iter::repeat_n((how, bytes), times));
    }

    /// How an answer that is about to have `sent` bytes breaks, and after how many of them.
    pub fn take_break(&mut self, sent: u64) -> Option<(Break, u64)> {
        let (_, bytes) = *self.breaks.front()?;
        if sent > bytes { self.breaks.pop_front() } else { None }
    }
}

fn with(mut response: Response, name: http::HeaderName, value: HeaderValue) -> Option<Response> {
    response.headers_mut().insert(name, value);
    Some(response)
}
