//! The few Kubernetes calls that the programs make, from inside a pod.
//!
//! Configuration is what the kubelet gives every pod: `KUBERNETES_SERVICE_HOST` and `_PORT`, and below
//! `/var/run/secrets/kubernetes.io/serviceaccount` a token, which is read again for every call because the kubelet
//! rotates it, and the cluster's CA, which is the only one trusted. No proxy stands between a pod and its own cluster.

//!
//! [`Feed`] follows the own pod, and [`End::of`] says whether its main container has ended for good.
//! [`log::Follower`] follows the log of one of its containers. [`Cluster::page`] lists what belongs to a run, and
//! [`Cluster::usage`] says what a pod's containers use.

mod cluster;
mod end;
mod error;
mod feed;
mod lines;
mod list;
pub mod log;
mod pace;
pub mod pod;
mod usage;
mod watch;

pub use cluster::{Cluster, has_service, operation_path};
pub use end::{End, is_prepared, waits_in_vain};
pub use error::KubeError;
pub use feed::{Feed, News};
pub use list::{Page, Selector};
pub use pace::{LogPace, Pace};
pub use pod::Pod;
pub use usage::{PodUsage, Usage, quantity};
