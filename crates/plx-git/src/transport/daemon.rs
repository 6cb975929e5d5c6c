//! `git://`: the protocol of `git daemon`, on an open connection. libgit2 has one of its own, whose waiting nothing ends.

use super::{Conversation, chain};
use crate::GitError;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use percent_encoding::percent_decode_str;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECT: Duration = Duration::from_secs(10);

pub(super) struct Daemon {
    talk: Arc<Conversation>,
}

impl Daemon {
    pub fn new(talk: Arc<Conversation>) -> Self {
        Self { talk }
    }
}

impl SmartSubtransport for Daemon {
    fn action(&self, _: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        match action {
            // The second goes on with the stream of the first.
            Service::UploadPackLs | Service::UploadPack => {
                let socket = self.talk.wait_for_library(open(&self.talk))?;
                Ok(Box::new(Stream { talk: Arc::clone(&self.talk), socket, heard: false }))
            }
            Service::ReceivePackLs | Service::ReceivePack => {
                Err(git2::Error::from_str("nothing is pushed from here"))
            }
        }
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

async fn open(talk: &Conversation) -> Result<TcpStream, GitError> {
    let (host, port) = talk.address.host_port().unwrap_or_default();
    let failed = |error: io::Error| talk.unavailable(chain(&error));
    let mut socket = match tokio::time::timeout(CONNECT, TcpStream::connect((host, port))).await {
        Ok(connected) => connected.map_err(failed)?,
        Err(_) => return Err(talk.unavailable(format!("no connection within {} s", CONNECT.as_secs()))),
    };
    socket.write_all(request(&talk.address.path, host, port).as_bytes()).await.map_err(failed)?;
    Ok(socket)
}

/// One line of `gitprotocol-pack`: its length in four digits, the command, the host.
fn request(path: &str, host: &str, port: u16) -> String {
    let path = percent_decode_str(path).decode_utf8_lossy();
    // Of a path that begins with `~` the daemon wants no slash before it.
    let path = path.strip_prefix('/').filter(|rest| rest.starts_with('~')).unwrap_or(&path);
    let line = format!("git-upload-pack {path}\0host={host}:{port}\0");
    format!("{:04x}{line}", line.len() + 4)
}

struct Stream {
    talk: Arc<Conversation>,
    socket: TcpStream,
    heard: bool,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let talk = Arc::clone(&self.talk);
        let broken = |error: io::Error| talk.unavailable(format!("the answer broke off: {}", chain(&error)));
        let count = talk.wait_for_stream(async { self.socket.read(buffer).await.map_err(broken) })?;
        if count == 0 && !self.heard {
            // So a daemon refuses that says no word about it.
            return talk.wait_for_stream(async {
                Err(talk.unavailable("the server ended the connection without a word"))
            });
        }
        self.heard = true;
        talk.session.received.add(count);
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let talk = Arc::clone(&self.talk);
        let broken = |error: io::Error| talk.unavailable(chain(&error));
        talk.wait_for_stream(async { self.socket.write_all(data).await.map_err(broken) })?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_one_line_with_its_length() {
        assert_eq!(request("/r.git", "h", 9418), "0027git-upload-pack /r.git\0host=h:9418\0");
        assert!(request("/~me/r", "h", 1).contains(" ~me/r\0"));
    }
}
