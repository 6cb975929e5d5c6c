//! What the tests of this project stand on. Used under dev-dependencies alone.
//!
//! - [`FaultProxy`]: an HTTP proxy in front of a real server that loses, delays, refuses and cuts by rules.
//! - [`FaultStore`]: an object store in memory that fails by rules, also on a paused clock.
//! - [`S3Server`] and [`Moto`]: two independent S3 servers on loopback. The first checks signatures; the second knows
//!   more calls. [`S3Target`] says where any S3 is, so one suite runs against all of them.
//! - [`S3Front`]: before an S3 server, it behaves as AWS where small servers do not: regions, clocks, tokens, rights.
//! - [`Azurite`] with [`AzureTarget`], and [`GcsServer`] with [`GcsTarget`]: Azure Blob, and GCS's XML API.
//! - [`IdentityServer`]: the services of all clouds that give out credentials, on one port.
//! - [`FakeTracking`]: the tracking API of Polyaxon: runs, statuses, lineage, versions, tokens.
//! - [`FakeKube`]: the API server of a cluster, with pods, watches, rights and faults.
//! - [`GitRepo`], and [`GitHttp`], [`GitSsh`] and [`GitDaemon`] to serve it: what a git client meets.
//! - [`Numbered`]: what became of each line that was printed.
//! - [`CutLine`], [`ForwardProxy`], and [`TlsFront`] with [`PrivateCa`]: what stands between a cluster and its stores.
//! - [`Planted`] and [`LeftFiles`]: whether secrets show in what a program says, leaves and sends.
//! - [`Tree`] and [`Snapshot`]: folders made from a seed, and what a folder or a bucket holds.
//!
//! Servers and the proxy run on threads of their own: a test may block, pause its clock, or run a child process while
//! they go on.

mod azure_target;
mod azurite;
mod cut_line;
mod environment;
mod external;
mod fake_kube;
mod fake_tracking;
mod fault_proxy;
mod fault_store;
mod forward_proxy;
mod gcs;
pub mod git;
mod http_server;
mod identity;
mod jwt;
mod keeper;
pub mod loopback;
mod moto;
mod numbered;
mod planted;
mod private_ca;
mod s3;
mod s3_front;
mod snapshot;
mod times;
mod tls_front;
mod tree;

pub use azure_target::AzureTarget;
pub use azurite::Azurite;
pub use cut_line::CutLine;
pub use external::S3Target;
pub use fake_kube::{FakeKube, KubeFault, SeenKube};
pub use fake_tracking::{FakeTracking, SeenCall};
pub use fault_proxy::{FaultProxy, Match, RuleBuilder, Seen};
pub use fault_store::{Fault, FaultStore, Op};
pub use forward_proxy::ForwardProxy;
pub use gcs::{GcsServer, GcsTarget, SERVICE_ACCOUNT_KEY, SERVICE_ACCOUNT_PUBLIC_KEY, SeenGcs};
pub use git::{GitDaemon, GitHttp, GitRepo, GitSsh, SeenGit};
pub use identity::{AwsKeys, IdentityServer, SeenIdentity};
pub use jwt::azure_jwt;
pub use moto::Moto;
pub use numbered::Numbered;
pub use planted::{Belongs, LeftFiles, Planted};
pub use private_ca::PrivateCa;
pub use s3::S3Server;
pub use s3_front::{RegionHint, S3Front};
pub use snapshot::{Content, Snapshot};
pub use times::Times;
pub use tls_front::TlsFront;
pub use tree::Tree;
