//! As much of HTTP/1.1 as a proxy needs: heads, and where a body ends.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};

const MAX_HEAD: usize = 256 * 1024;
/// How much is read and passed on at once.
pub(super) const PIECE: usize = 16 * 1024;

/// A request or response head, with the bytes it came in.
#[derive(Debug)]
pub(super) struct Head {
    /// Verbatim, with the empty line.
    pub raw: BytesMut,
    start: String,
    /// In the order they came.
    pub headers: Vec<(String, String)>,
}

impl Head {
    fn parse(raw: BytesMut) -> io::Result<Self> {
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        if start.split(' ').count() < 2 {
            return Err(invalid(format!("not an HTTP head: {start:?}")));
        }
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        let headers = lines.filter_map(header).collect();
        Ok(Self { raw, start, headers })
    }

    fn word(&self, index: usize) -> &str {
        self.start.split(' ').nth(index).unwrap_or_default()
    }

    /// Of a request.
    pub fn method(&self) -> &str {
        self.word(0)
    }

    /// Path and query of a request.
    pub fn target(&self) -> &str {
        self.word(1)
    }

    /// Of a response.
    pub fn status(&self) -> io::Result<u16> {
        self.word(1).parse().map_err(|_| invalid(format!("not a status line: {:?}", self.start)))
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The connection lives on after this message.
    pub fn keeps_alive(&self) -> bool {
        let said = self.header("connection").unwrap_or_default().to_ascii_lowercase();
        if self.start.contains("HTTP/1.0") { said.contains("keep-alive") } else { !said.contains("close") }
    }

    /// Where the body of a request ends.
    pub fn request_body(&self) -> io::Result<Framing> {
        Ok(self.declared_body()?.unwrap_or(Framing::Length(0)))
    }

    /// Where the body of a response ends.
    pub fn response_body(&self, method: &str) -> io::Result<Framing> {
        let status = self.status()?;
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return Ok(Framing::Length(0));
        }
        Ok(self.declared_body()?.unwrap_or(Framing::UntilClose))
    }

    fn declared_body(&self) -> io::Result<Option<Framing>> {
        if self.header("transfer-encoding").is_some_and(|how| how.to_ascii_lowercase().contains("chunked")) {
            return Ok(Some(Framing::Chunked(Chunk::Size(0))));
        }
        let Some(length) = self.header("content-length") else { return Ok(None) };
        let length = length.parse().map_err(|_| invalid(format!("content-length {length:?}")))?;
        Ok(Some(Framing::Length(length)))
    }
}

/// How far a body is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are missing.
    Length(u64),
    /// In chunks.
    Chunked(Chunk),
    /// Until the other side closes.
    UntilClose,
}

/// Where in a chunked body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In the size line, with what was read of it.
    Size(u64),
    /// Behind the size, before the line's end, for an extension.
    Extension(u64),
    /// In data, with its line end.
    Data(u64),
    /// In the trailer; so many bytes stand in the current line.
    Trailer(u64),
    /// At the end.
    End,
}

impl Framing {
    /// All of the body has passed.
    pub fn is_done(&self) -> bool {
        matches!(self, Framing::Length(0) | Framing::Chunked(Chunk::End))
    }

    /// How many of these bytes are body. At least one of a non-empty piece, unless the body is done.
    pub fn advance(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Framing::UntilClose => Ok(bytes.len()),
            Framing::Length(missing) => {
                let taken = bytes.len().min(usize::try_from(*missing).unwrap_or(usize::MAX));
                *missing -= taken as u64;
                Ok(taken)
            }
            Framing::Chunked(chunk) => {
                let mut at = 0;
                while at < bytes.len() && *chunk != Chunk::End {
                    at += chunk.step(&bytes[at..])?;
                }
                Ok(at)
            }
        }
    }
}

impl Chunk {
    fn step(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let byte = bytes[0];
        let mut taken = 1;
        *self = match *self {
            Chunk::Size(size) | Chunk::Extension(size) if byte == b'\n' => match size {
                0 => Chunk::Trailer(0),
                size => Chunk::Data(size.saturating_add(2)),
            },
            Chunk::Size(size) if byte == b'\r' || byte == b';' || byte == b' ' => Chunk::Extension(size),
            Chunk::Size(size) => {
                let digit = char::from(byte)
                    .to_digit(16)
                    .ok_or_else(|| invalid(format!("chunk size byte {byte}")))?;
                Chunk::Size(size.saturating_mul(16).saturating_add(u64::from(digit)))
            }
            Chunk::Data(missing) => {
                taken = bytes.len().min(usize::try_from(missing).unwrap_or(usize::MAX));
                match missing - taken as u64 {
                    0 => Chunk::Size(0),
                    missing => Chunk::Data(missing),
                }
            }
            Chunk::Trailer(0) if byte == b'\n' => Chunk::End,
            Chunk::Trailer(_) if byte == b'\n' => Chunk::Trailer(0),
            Chunk::Trailer(line) => Chunk::Trailer(if byte == b'\r' { line } else { line + 1 }),
            ref other => other.clone(),
        };
        Ok(taken)
    }
}

/// Reads one head; `None` when the other side closed before it.
pub(super) async fn read_head(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<Option<Head>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            return Head::parse(buffer.split_to(end + 4)).map(Some);
        }
        if buffer.len() > MAX_HEAD {
            return Err(invalid(format!("no end of the head in {MAX_HEAD} bytes")));
        }
        buffer.reserve(PIECE);
        if from.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::{Chunk, Framing, Head};

    #[test]
    fn a_chunked_body_ends_where_it_ends_however_it_is_cut() {
        let body = b"5\r\nhello\r\n1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nTrailer: 1\r\n\r\nNEXT";
        for piece in 1..body.len() {
            let mut framing = Framing::Chunked(Chunk::Size(0));
            let mut taken = 0;
            while !framing.is_done() {
                let end = (taken + piece).min(body.len());
                taken += framing.advance(&body[taken..end]).unwrap();
            }
            assert_eq!(&body[taken..], b"NEXT", "in pieces of {piece}");
        }
    }

    #[test]
    fn bodies_are_found() {
        let head = |text: &str| Head::parse(text.as_bytes().into()).unwrap();
        let put = head("PUT /b/k?x=1 HTTP/1.1\r\nContent-Length: 7\r\n\r\n");
        assert_eq!(
            (put.method(), put.target(), put.request_body().unwrap()),
            ("PUT", "/b/k?x=1", Framing::Length(7))
        );
        let ok = head("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
        assert!(ok.response_body("HEAD").unwrap().is_done());
        assert_eq!(ok.response_body("GET").unwrap(), Framing::Length(7));
        assert_eq!(head("HTTP/1.0 200 OK\r\n\r\n").response_body("GET").unwrap(), Framing::UntilClose);
        assert!(!head("HTTP/1.0 200 OK\r\n\r\n").keeps_alive());
        assert!(ok.keeps_alive());
    }
}
