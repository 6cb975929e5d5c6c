//! The sidecar, and the images of the helper containers.

use super::Renderer;
use super::built::{About, Built, is_given, var};
use super::service::Service;
use super::supply::{Supply, Take};
use crate::deployment::Helper;
use crate::settings::{MAIN, NATIVE_GRACE};
use plx_contract::env;
use plx_contract::plugins::Sidecar;
use serde_json::{Value, json};

/// Seconds between two looks, and between two passes, unless something else is said.
const INTERVAL: i64 = 10;

impl Renderer<'_> {
    /// The sidecar; none when nothing is collected.
    pub(super) fn sidecar(&self) -> Result<Option<Built>, plx_runtime::Failure> {
        let plugins = &self.plugins;
        if !plugins.collects_artifacts && !plugins.collects_logs {
            return Ok(None);
        }
        let set = self.sidecar_settings();
        let mut args = vec![
            format!("--container-id={MAIN}"),
            format!("--sleep-interval={}", set.sleep_interval.unwrap_or(INTERVAL)),
            format!("--sync-interval={}", set.sync_interval.unwrap_or(INTERVAL)),
        ];
        if self.monitors_logs() {
            args.push("--monitor-logs".to_owned());
        }
        if self.wraps() {
            // The spec is the API's alone.
            args.push(format!("--wrapped-main={}", self.wrapped_main()));
        } else if set.monitor_spec.unwrap_or(true) {
            args.push("--monitor-spec".to_owned());
        }
        let supply = Supply::of(&[&self.store], Take::Store, &self.volumes);
        let mut vars = self.service(Service::Sidecar);
        vars.extend([var(env::CONTAINER_ID, MAIN), var(env::ARTIFACTS_STORE_NAME, self.store.name.as_str())]);
        vars.extend([supply.secret_env, supply.map_env, supply.own_env].concat());
        let mut mounts: Vec<Value> = self.login_mount().into_iter().collect();
        let mut about = About {
            what: "sends outputs and logs to the store".to_owned(),
            writes: vec![format!("{}/{}", self.store.store_path()?, self.run_instance.uuid)],
            connections: vec![self.store.name.clone()],
            ..About::default()
        };
        // Without outputs its own state and the logs have a place all the same.
        mounts.push(self.volumes.mount("artifacts", &self.artifacts(), Some(false)));
        if plugins.collects_artifacts {
            about.reads = vec![self.layout.run(&self.run_instance.uuid).display().to_string()];
        } else {
            about.what = "sends logs to the store".to_owned();
        }
        mounts.extend(supply.mounts);
        let mut rest = serde_json::Map::new();
        if self.asked.native_sidecar {
            rest.insert("restartPolicy".to_owned(), json!("Always"));
            vars.push(var(env::GRACE_SECONDS, NATIVE_GRACE.to_string()));
        }
        let of_helper = Helper {
            image: set.image,
            image_tag: set.image_tag,
            image_pull_policy: set.image_pull_policy,
            resources: set.resources,
        };
        let (image, pull_policy, resources) = image_of(&of_helper, "plx-sidecar");
        Ok(Some(Built {
            name: "polyaxon-sidecar".to_owned(),
            image: Some(image),
            pull_policy,
            command: super::init::texts(&["polyaxon", "sidecar"]),
            args,
            env: vars,
            env_from: supply.env_from,
            resources,
            mounts,
            rest,
            about,
            ..Built::default()
        }))
    }

    pub(super) fn sidecar_settings(&self) -> Sidecar {
        over(&self.cluster.sidecar, &self.plugins.sidecar)
    }

    /// Image, pull policy and resources of an init container.
    pub(super) fn init_image(&self) -> (String, Option<String>, Option<Value>) {
        image_of(&self.cluster.init, "plx-init")
    }
}

/// A run's own settings over the deployment's.
fn over(below: &Sidecar, above: &Sidecar) -> Sidecar {
    let (above, below) = (above.clone(), below.clone());
    // A run that names another image does not mean the deployment's tag of it.
    let tag_below = if above.image.is_some() { None } else { below.image_tag };
    Sidecar {
        image: above.image.or(below.image),
        image_tag: above.image_tag.or(tag_below),
        image_pull_policy: above.image_pull_policy.or(below.image_pull_policy),
        resources: above.resources.or(below.resources),
        sleep_interval: above.sleep_interval.or(below.sleep_interval),
        sync_interval: above.sync_interval.or(below.sync_interval),
        monitor_logs: above.monitor_logs.or(below.monitor_logs),
        monitor_spec: above.monitor_spec.or(below.monitor_spec),
        no_connections: above.no_connections.or(below.no_connections),
    }
}

fn image_of(helper: &Helper, ours: &str) -> (String, Option<String>, Option<Value>) {
    let image = helper.image.as_deref().filter(|image| !image.is_empty()).unwrap_or(ours);
    let has_tag = image.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    let image = match &helper.image_tag {
        Some(tag) if tag.is_empty() => image.to_owned(),
        Some(tag) => format!("{image}:{tag}"),
        None if has_tag => image.to_owned(),
        None => format!("{image}:{}", env!("CARGO_PKG_VERSION")),
    };
    let policy = helper.image_pull_policy.clone().unwrap_or_else(|| "IfNotPresent".to_owned());
    let resources = helper.resources.clone().filter(is_given).unwrap_or_else(
        || json!({"limits": {"cpu": "1", "memory": "500Mi"}, "requests": {"cpu": "0.1", "memory": "60Mi"}}),
    );
    (image, Some(policy), Some(resources))
}
