//! `wait`: until a run's resource is gone from the cluster (`polyaxon/_cli/services/wait.py`), before its artifacts are
//! cleaned.
//!
//! In the reference every error counts as gone; here only the absence does, because what comes next deletes the
//! outputs of a run that may still be writing them.

use clap::Args;
use plx_contract::{Class, Env};
use plx_kube::{Cluster, KubeError, operation_path};
use plx_runtime::{DiskFiles, Failure, Report, Stop};
use std::time::Duration;

/// Options of `wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// The run.
    #[arg(long, value_name = "UUID")]
    uuid: String,
    /// Its kind: job, service, tfjob, pytorchjob, mpijob, ray, dask.
    #[arg(long, value_name = "KIND")]
    kind: String,
    /// How often to look again; the pauses grow as the squares of seconds.
    #[arg(long, value_name = "N", default_value_t = 10)]
    max_retries: u32,
}

/// Waits.
///
/// # Errors
/// When the resource is still there at the end, or the cluster could not be asked.
pub async fn run(args: &WaitArgs, env: &impl Env, stop: &Stop) -> Result<Report, Failure> {
    let cluster = Cluster::of_this_pod(env, DiskFiles)?;
    let Some(path) = operation_path(cluster.namespace(), &args.kind, &args.uuid) else {
        let message = format!("--kind: `{}` is no kind of run", args.kind);
        return Err(
            Failure::new(Class::Usage, message).with_next("give job, service, tfjob, ray or another kind")
        );
    };
    gone(args.max_retries, stop, || cluster.get(&path)).await?;
    Ok(Report { message: format!("run {} is gone from the cluster", args.uuid), ..Report::done() })
}

async fn gone<T, Fut>(max_retries: u32, stop: &Stop, mut look: impl FnMut() -> Fut) -> Result<(), Failure>
where
    Fut: Future<Output = Result<Option<T>, KubeError>>,
{
    let mut last = None;
    for retry in 0..=max_retries {
        match look().await {
            Ok(None) => return Ok(()),
            Ok(Some(_)) => last = None,
            Err(error) => {
                tracing::warn!("{error}");
                last = Some(error);
            }
        }
        let pause = Duration::from_secs(u64::from(retry + 1).pow(2));
        if retry < max_retries {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.asked.cancelled() => return Err(Failure::new(Class::Incomplete, "stopped while waiting")),
            }
        }
    }
    Err(match last {
        Some(error) => Failure::from(error),
        None => Failure::new(Class::Incomplete, "the run's resource is still in the cluster")
            .with_next("look at the operation, or allow more --max-retries"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    fn refused() -> KubeError {
        KubeError::Refused { path: "/p".to_owned(), status: 403, said: "no".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_gone_is_gone() {
        let stop = Stop::new();
        let mut looks = 0;
        let third = || {
            looks += 1;
            let there = (looks < 3).then_some(());
            async move { Ok(there) }
        };
        let began = Instant::now();
        gone(10, &stop, third).await.expect("gone at the third look");
        assert_eq!(began.elapsed(), Duration::from_secs(1 + 4));

        let stays = gone(3, &stop, || async { Ok(Some(())) }).await.expect_err("it stays");
        assert_eq!(stays.class, Class::Incomplete);
        let denied = gone(3, &stop, || async { Err::<Option<()>, _>(refused()) }).await.expect_err("denied");
        assert_eq!(denied.class, Class::Denied);
        assert!(denied.next.is_some_and(|next| next.contains("service account")));
    }
}
