//! What a run switches on and off, with the defaults of the deployment.

use crate::deployment::Cluster;
use plx_contract::plugins::{Plugins, Sidecar};

/// The plugins with their defaults.
#[derive(Debug, Clone)]
pub(super) struct Effective {
    pub(super) auth: bool,
    pub(super) docker: bool,
    pub(super) shm: bool,
    pub(super) mounts_store: bool,
    pub(super) collects_artifacts: bool,
    pub(super) collects_logs: bool,
    pub(super) collects_resources: bool,
    pub(super) resumes: bool,
    pub(super) external_host: bool,
    pub(super) tmux: bool,
    pub(super) log_level: Option<String>,
    pub(super) sidecar: Sidecar,
}

impl Effective {
    pub(super) fn of(plugins: &Plugins, cluster: &Cluster, has_api: bool) -> Self {
        let platform = !cluster.no_api;
        let on = |given: Option<bool>| platform && given.unwrap_or(true);
        Self {
            auth: platform && plugins.auth.unwrap_or(cluster.auth.unwrap_or(has_api)),
            docker: plugins.docker.unwrap_or(false),
            shm: plugins.shm.unwrap_or(true),
            mounts_store: plugins.mount_artifacts_store.unwrap_or(false),
            collects_artifacts: on(plugins.collect_artifacts),
            collects_logs: on(plugins.collect_logs),
            collects_resources: on(plugins.collect_resources),
            resumes: on(plugins.auto_resume),
            external_host: plugins.external_host.unwrap_or(false),
            tmux: plugins.tmux.unwrap_or(false),
            log_level: plugins.log_level.clone(),
            sidecar: plugins.sidecar.clone().unwrap_or_default(),
        }
    }
}
