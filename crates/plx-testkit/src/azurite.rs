//! The Azure Blob server: Azurite, a Node.js program of Microsoft's, in a process of its own.

use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::keeper::{Keeper, Program};
use crate::{AzureTarget, Planted, PrivateCa};

/// The account that Azurite always has.
const ACCOUNT: &str = "devstoreaccount1";
/// Its key, the same everywhere.
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running Azurite. It checks keys, signatures of SAS tokens and their time, and keeps all in memory.
#[derive(Debug)]
pub struct Azurite {
    keeper: Keeper,
    tls: Option<Tls>,
}

#[derive(Debug)]
struct Tls {
    authority: String,
    _leaf: TempDir,
}

impl Azurite {
    /// The one that all tests of this process share; choose container names that no other test uses.
    ///
    /// # Panics
    /// As [`Azurite::start`].
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Azurite> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// A new one on a free port, over plain HTTP: keys and SAS tokens are taken, bearer tokens are not.
    ///
    /// # Panics
    /// When Azurite is not installed, or does not come up in a minute.
    pub async fn start() -> Self {
        Self { keeper: launch(&[]).await, tls: None }
    }

    /// A new one over https that takes bearer tokens too. It reads the claims (issuer, audience, times) of a token
    /// that [`crate::azure_jwt`] makes, not its signature, and not who may do what.
    ///
    /// # Panics
    /// As [`Azurite::start`].
    pub async fn with_oauth(ca: &PrivateCa) -> Self {
        let folder = TempDir::with_prefix("plx-azurite-").expect("a temporary folder");
        let (chain, key) = (folder.path().join("leaf.pem"), folder.path().join("leaf.key"));
        let leaf = ca.leaf();
        std::fs::write(&chain, leaf.chain_pem()).expect("a new folder takes a file");
        std::fs::write(&key, leaf.key_pem()).expect("a new folder takes a file");
        let text = |path: &Path| path.to_str().expect("temporary folders have plain names").to_owned();
        let more = ["--oauth".to_owned(), "basic".to_owned(), "--cert".to_owned(), text(&chain)];
        let keeper = launch(&[&more[..], &["--key".to_owned(), text(&key)]].concat()).await;
        Self { keeper, tls: Some(Tls { authority: ca.pem(), _leaf: folder }) }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.keeper.addr()
    }

    /// As `http://127.0.0.1:PORT/devstoreaccount1`; with https when it was started so.
    pub fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/{ACCOUNT}", self.addr())
    }

    /// A container of this server as a target. The container is made when it is missing.
    ///
    /// # Panics
    /// When the container cannot be made.
    pub async fn target(&self, container: &str) -> AzureTarget {
        Planted::here().key(KEY);
        let target = AzureTarget {
            endpoint: self.endpoint(),
            account: ACCOUNT.to_owned(),
            key: KEY.to_owned(),
            container: container.to_owned(),
        };
        let authority = self.tls.as_ref().map(|tls| tls.authority.as_str());
        target.create_container(authority).await.expect("Azurite makes containers");
        target
    }
}

async fn launch(more: &[String]) -> Keeper {
    let arguments = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence"].into_iter();
    // Clients may speak a newer API than Azurite lists; it answers them all the same.
    let arguments = arguments.chain(["--skipApiVersionCheck", "--disableTelemetry"]).map(str::to_owned);
    Keeper::start(Program {
        name: "azurite",
        variable: "PLX_TEST_AZURITE",
        installed: ".cache/azurite/node_modules/.bin/azurite-blob",
        arguments: arguments.chain(more.iter().cloned()).collect(),
    })
    .await
}
