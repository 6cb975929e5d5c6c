//! The second S3 server: moto, a Python program, in a process of its own.

use std::io;
use std::net::SocketAddr;

use tokio::sync::OnceCell;

use crate::keeper::{Keeper, Program};
use crate::{S3Target, loopback};

/// A running moto server. It knows every S3 call, keeps all in memory and checks no signatures.
#[derive(Debug)]
pub struct Moto {
    keeper: Keeper,
}

impl Moto {
    /// The one that all tests of this process share; choose bucket names that no other test uses.
    ///
    /// # Panics
    /// As [`Moto::start`].
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Moto> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// A new one on a free port.
    ///
    /// # Panics
    /// When moto is not installed, or does not come up in a minute.
    pub async fn start() -> Self {
        let keeper = Keeper::start(Program {
            name: "moto",
            variable: "PLX_TEST_MOTO",
            installed: ".cache/venv/bin/moto_server",
            arguments: ["-H", "127.0.0.1", "-p", "0"].map(str::to_owned).to_vec(),
        });
        Self { keeper: keeper.await }
    }

    /// As `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.keeper.addr()
    }

    /// Makes a bucket, unless it is there.
    pub async fn create_bucket(&self, name: &str) -> io::Result<()> {
        let answer = loopback::request(self.addr(), "PUT", &format!("/{name}"), b"").await?;
        match answer.status {
            200 | 409 => Ok(()),
            status => {
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                Err(io::Error::other(format!("moto made no bucket {name}: {status} {body}")))
            }
        }
    }

    /// A bucket of this server as a target. The bucket is made when it is missing.
    ///
    /// # Panics
    /// When the bucket cannot be made.
    pub async fn target(&self, bucket: &str) -> S3Target {
        self.create_bucket(bucket).await.expect("moto makes buckets");
        S3Target {
            endpoint: self.endpoint(),
            access_key: "moto".to_owned(),
            secret_key: "unchecked".to_owned(),
            bucket: bucket.to_owned(),
            region: "us-east-1".to_owned(),
        }
    }
}
