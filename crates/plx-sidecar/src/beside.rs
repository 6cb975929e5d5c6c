//! What is collected beside passes, each by a task of its own, and becomes files that passes see.

use crate::Config;
use crate::spec::Spec;
use plx_contract::env::SharedEnv;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What is collected beside passes.
#[derive(Default)]
pub struct Beside {
    /// The spec of the run's pods.
    pub spec: Option<Spec>,
}

impl Beside {
    /// What the settings ask for, as far as it can be had.
    pub fn start(config: &Config, env: &impl SharedEnv) -> Self {
        Self { spec: if config.monitor_spec { Spec::follow(config, env) } else { None } }
    }

    /// Begins its end; what is returned waits for it. It has a bound of its own, and `hard` ends it at once.
    pub fn finish(self, main_is_gone: bool, hard: &CancellationToken) -> impl Future<Output = ()> + use<> {
        let (mut ends, hard) = (JoinSet::new(), hard.clone());
        let Self { spec } = self;
        if let Some(spec) = spec {
            ends.spawn(async move { spec.finish(main_is_gone, &hard).await });
        }
        async move {
            while let Some(ended) = ends.join_next().await {
                if let Err(error) = ended {
                    tracing::warn!("the end of what is collected beside: {error}");
                }
            }
        }
    }
}
