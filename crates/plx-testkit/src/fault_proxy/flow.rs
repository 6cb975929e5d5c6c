//! One direction of an exchange.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Exchange;
use super::http1::{Framing, PIECE};
use super::limits::Limits;
use crate::planted::Asked;

/// Which side of a transfer failed.
pub(super) enum Broken {
    Read(io::Error),
    Write(io::Error),
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Read(error) | Broken::Write(error) => error,
        }
    }
}

pub(super) const NOWHERE: Option<&mut TcpStream> = None;

/// One direction of an exchange.
pub(super) struct Flow<'a> {
    pub count: &'a AtomicU64,
    pub cut: Option<u64>,
    pub limits: &'a Limits,
    /// Where the body of a request is noted.
    pub asked: Option<&'a Asked>,
}

impl<'a> Flow<'a> {
    pub(super) fn up(exchange: &'a Exchange, cut: Option<u64>) -> Self {
        let Exchange { entry, shared } = exchange;
        Self { count: &entry.request_bytes, cut, limits: &shared.limits, asked: Some(&entry.asked) }
    }

    /// Moves a body; without `to`, nowhere. False when it was cut.
    pub(super) async fn pump(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
        framing: &mut Framing,
        mut to: Option<&mut (impl AsyncWrite + Unpin)>,
    ) -> Result<bool, Broken> {
        let mut moved = 0;
        while !framing.is_done() {
            if buffer.is_empty() {
                buffer.reserve(PIECE);
                if from.read_buf(buffer).await.map_err(Broken::Read)? == 0 {
                    let complete = *framing == Framing::UntilClose;
                    return if complete {
                        Ok(true)
                    } else {
                        Err(Broken::Read(io::ErrorKind::UnexpectedEof.into()))
                    };
                }
            }
            let length = framing.advance(&buffer[..buffer.len().min(PIECE)]).map_err(Broken::Read)?;
            let mut piece = buffer.split_to(length);
            let cut_here = self.cut.is_some_and(|cut| moved + piece.len() as u64 > cut);
            if let Some(cut) = self.cut.filter(|_| cut_here) {
                piece.truncate(usize::try_from(cut - moved).unwrap_or(usize::MAX));
            }
            if let Some(asked) = self.asked {
                asked.more(&piece);
            }
            moved += piece.len() as u64;
            self.limits.pass(piece.len()).await;
            self.count.fetch_add(piece.len() as u64, Ordering::SeqCst);
            if let Some(to) = &mut to {
                to.write_all(&piece).await.map_err(Broken::Write)?;
            }
            if cut_here {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
