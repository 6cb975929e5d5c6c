//! What is collected beside passes, each by a task of its own, and becomes files that passes see.

use crate::Config;
use crate::resources::Resources;
use crate::spec::Spec;
use plx_contract::env::SharedEnv;
use plx_runtime::Stop;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What is collected beside passes.
#[derive(Default)]
pub struct Beside {
    /// The spec of the run's pods.
    pub spec: Option<Spec>,
    /// What main uses.
    pub resources: Option<Resources>,
}

impl Beside {
    /// What the settings ask for, as far as it can be had.
    pub fn start(config: &Config, env: &impl SharedEnv, stop: &Stop) -> Self {
        Self {
            spec: if config.monitor_spec && config.wrapped_main.is_none() {
                Spec::follow(config, env)
            } else {
                None
            },
            resources: Resources::follow(config, env, stop),
        }
    }

    /// Begins its end; what is returned waits for it. It has a bound of its own, and `hard` ends it at once.
    pub fn finish(self, main_is_gone: bool, hard: &CancellationToken) -> impl Future<Output = ()> + use<> {
        let (mut ends, hard) = (JoinSet::new(), hard.clone());
        let Self { spec, resources } = self;
        if let Some(spec) = spec {
            let hard = hard.clone();
            ends.spawn(async move { spec.finish(main_is_gone, &hard).await });
        }
        if let Some(resources) = resources {
            ends.spawn(async move { resources.finish(&hard).await });
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
