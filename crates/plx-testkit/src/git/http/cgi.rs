//! `git http-backend` as CGI runs it: the request in its environment and its input, the answer from its output.

use std::io;
use std::process::Stdio;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::request::Parts;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::Shared;
use super::rules::Break;
use crate::git::program::backend;
use crate::http_server::{Request, Reset, Response, answer as plain, boxed, header, lock};

const PIECE: usize = 16 * 1024;

/// What git answers; 500 where it does not.
pub(super) async fn answer(shared: &Arc<Shared>, request: Request) -> Response {
    match run(shared, request).await {
        Ok(response) => response,
        Err(error) => plain(500, "text/plain", format!("git http-backend: {error}")),
    }
}

async fn run(shared: &Arc<Shared>, request: Request) -> io::Result<Response> {
    let (head, body) = request.into_parts();
    let mut child = command(shared, &head).spawn()?;
    let (to, from) = (child.stdin.take(), child.stdout.take());
    tokio::spawn(pass_in(body, to.expect("standard input is piped")));
    let mut from = BufReader::new(from.expect("standard output is piped"));
    let mut response = read_head(&mut from).await?;
    let with_pack = head.method == http::Method::POST && head.uri.path().ends_with("/git-upload-pack");
    let output =
        Output { from, _child: child, sent: 0, breaks: with_pack.then(|| Arc::clone(shared)), broken: None };
    let body = futures::stream::unfold(output, |mut output| async move {
        output.next().await.transpose().map(|piece| (piece.map(Frame::data), output))
    });
    *response.body_mut() = boxed(StreamBody::new(body));
    Ok(response)
}

fn command(shared: &Shared, head: &Parts) -> Command {
    let mut command = backend("git-http-backend");
    let path = percent_decode_str(head.uri.path()).decode_utf8_lossy();
    command
        .env("GIT_PROJECT_ROOT", shared.root.path())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", &*path)
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("REMOTE_ADDR", "127.0.0.1");
    let names = ["content-type", "content-length", "content-encoding", "git-protocol", "accept-encoding"];
    for name in names.into_iter().filter(|&name| head.headers.contains_key(name)) {
        let variable = name.to_ascii_uppercase().replace('-', "_");
        // The two that CGI has names of its own for.
        let prefix = if matches!(name, "content-type" | "content-length") { "" } else { "HTTP_" };
        command.env(format!("{prefix}{variable}"), header(&head.headers, name));
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    command
}

/// Reads the request to its end, also when git wants no more of it: a client must not fail at writing.
async fn pass_in(mut body: Incoming, to: ChildStdin) {
    let mut to = Some(to);
    while let Some(Ok(frame)) = body.frame().await {
        let (Some(input), Ok(data)) = (&mut to, frame.into_data()) else { continue };
        if input.write_all(&data).await.is_err() {
            to = None;
        }
    }
}

/// The head of a CGI answer, with an empty body.
async fn read_head(from: &mut BufReader<ChildStdout>) -> io::Result<Response> {
    let invalid = |line: &str| io::Error::new(io::ErrorKind::InvalidData, format!("not a header: {line:?}"));
    let (mut status, mut headers) = (200, HeaderMap::new());
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid(line))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            status = value.get(..3).and_then(|code| code.parse().ok()).ok_or_else(|| invalid(line))?;
        } else {
            let name = http::HeaderName::try_from(name).map_err(|_| invalid(line))?;
            headers.insert(name, http::HeaderValue::from_str(value).map_err(|_| invalid(line))?);
        }
    }
    let mut response = plain(status, "text/plain", "");
    *response.headers_mut() = headers;
    Ok(response)
}

/// What git still has to say.
struct Output {
    from: BufReader<ChildStdout>,
    _child: Child,
    sent: u64,
    /// Who says whether this answer breaks.
    breaks: Option<Arc<Shared>>,
    broken: Option<Break>,
}

impl Output {
    async fn next(&mut self) -> Result<Option<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
        match self.broken {
            // First out with what was sent.
            Some(Break::Cut) => {
                tokio::task::yield_now().await;
                return Err(Reset.into());
            }
            Some(Break::Hang) => std::future::pending::<()>().await,
            None => {}
        }
        let mut piece = BytesMut::with_capacity(PIECE);
        if self.from.read_buf(&mut piece).await? == 0 {
            return Ok(None);
        }
        let next = self.sent + piece.len() as u64;
        let broken = self.breaks.as_ref().and_then(|shared| lock(&shared.rules).take_break(next));
        if let Some((how, bytes)) = broken {
            self.broken = Some(how);
            // A rule may have come while more than its bytes was already sent.
            piece.truncate(usize::try_from(bytes.saturating_sub(self.sent)).unwrap_or(usize::MAX));
        }
        self.sent = next;
        Ok(Some(piece.freeze()))
    }
}
