//! What the tests of this project stand on. Used under dev-dependencies alone.
//!
//! - [`FaultProxy`]: an HTTP proxy in front of a real server that loses, delays, refuses and cuts by rules.
//! - [`FaultStore`]: an object store in memory that fails by rules, also on a paused clock.
//! - [`S3Server`] and [`Moto`]: two independent S3 servers on loopback. The first checks signatures; the second knows
//!   more calls. [`S3Target`] says where any S3 is, so one suite runs against all of them.
//! - [`Tree`] and [`Snapshot`]: folders made from a seed, and what a folder or a bucket holds.
//!
//! Servers and the proxy run on threads of their own: a test may block, pause its clock, or run a child process while
//! they go on.

mod environment;
mod external;
mod fault_proxy;
mod fault_store;
pub mod loopback;
mod moto;
mod s3;
mod snapshot;
mod times;
mod tree;

pub use external::S3Target;
pub use fault_proxy::{FaultProxy, Match, RuleBuilder, Seen};
pub use fault_store::{Fault, FaultStore, Op};
pub use moto::Moto;
pub use s3::S3Server;
pub use snapshot::{Content, Snapshot};
pub use times::Times;
pub use tree::Tree;
