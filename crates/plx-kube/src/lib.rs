//! The few Kubernetes calls that the programs make, from inside a pod.
//!
//! Configuration is what the kubelet gives every pod: `KUBERNETES_SERVICE_HOST` and `_PORT`, and below
//! `/var/run/secrets/kubernetes.io/serviceaccount` a token, which is read again for every call because the kubelet
//! rotates it, and the cluster's CA, which is the only one trusted. No proxy stands between a pod and its own cluster.

mod cluster;
mod error;

pub use cluster::{Cluster, operation_path};
pub use error::KubeError;
