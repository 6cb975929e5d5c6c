//! One watch of one pod, from its request to its end.

use crate::cluster::{refused, unreachable};
use crate::lines::{Event, Lines};
use crate::{Cluster, KubeError, News, Pace};
use plx_contract::credential::Files;
use reqwest::Response;
use reqwest::header::RETRY_AFTER;
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::time::Instant;

/// How a watch ended.
#[derive(Debug)]
pub(crate) enum Watched {
    /// Nobody wants to hear more.
    Enough,
    /// After its time, or after it said something.
    Ended,
    /// The server has forgotten that version; the pod may have had it for hours, while others of its cluster changed.
    Expired,
    /// Early and without a word: another one at once would be a hot loop.
    Useless {
        /// What the server asked for.
        pause: Duration,
        /// What happened.
        why: String,
    },
    /// It may not be watched, or the server does not know how.
    Refused(KubeError),
}

/// The pause that a server asks for; zero when it does not.
pub(crate) fn retry_after(response: &Response) -> Duration {
    let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Duration::from_secs(header.and_then(|value| value.trim().parse().ok()).unwrap_or_default())
}

/// Watches a pod from a version on; without one, from how it is now, which is told first. Of another pod of that name nothing is told: a look has to find out.
pub(crate) async fn watch<F: Files>(
    cluster: &Cluster<F>,
    pod: &str,
    uid: &str,
    version: &str,
    pace: Pace,
    tell: &mut impl FnMut(News) -> ControlFlow<()>,
) -> Watched {
    let from = if version.is_empty() { String::new() } else { format!("&resourceVersion={version}") };
    let path = format!(
        "/api/v1/namespaces/{}/pods?watch=true&fieldSelector=metadata.name%3D{pod}{from}&timeoutSeconds={}\
         &allowWatchBookmarks=true",
        cluster.namespace(),
        pace.watch.as_secs().max(1),
    );
    let began = Instant::now();
    // The bound is one of the whole exchange: a connection that died silently never ends by itself.
    let mut response = match cluster.send(&path, pace.watch + pace.slack).await {
        Ok(response) => response,
        Err(error) => return Watched::Useless { pause: Duration::ZERO, why: error.chain() },
    };
    match response.status().as_u16() {
        200..300 => {}
        410 => return Watched::Expired,
        // A token that was just replaced, too many, out of order: that passes.
        401 | 408 | 429 | 500 | 502..600 => {
            let pause = retry_after(&response);
            return Watched::Useless { pause, why: refused(&path, response).await.chain() };
        }
        _ => return Watched::Refused(refused(&path, response).await),
    }
    let (mut lines, mut heard) = (Lines::default(), false);
    let why = 'over: loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                if lines.push(&chunk).is_err() {
                    break "a line without an end".to_owned();
                }
            }
            Ok(None) => break "it ended".to_owned(),
            Err(error) => break unreachable(&path, error).chain(),
        }
        while let Some(line) = lines.next() {
            match Event::parse(&line) {
                Event::Changed(pod) if pod.metadata.uid == uid => {
                    heard = true;
                    if tell(News::Pod(pod)).is_break() {
                        return Watched::Enough;
                    }
                }
                // How main ended may stand in there; that the pod is gone is for two looks to say.
                Event::Deleted(pod) if pod.metadata.uid == uid => {
                    return if tell(News::Pod(pod)).is_break() { Watched::Enough } else { Watched::Ended };
                }
                Event::Changed(_) | Event::Deleted(_) => break 'over "of another pod".to_owned(),
                Event::Bookmark => heard = true,
                Event::Error(410) => return Watched::Expired,
                Event::Error(code) => break 'over format!("error {code}"),
                Event::Unknown => {}
            }
        }
    };
    // Servers end watches somewhat before their time; a silent one that ends in its first half was not meant to.
    if heard || began.elapsed() >= pace.watch / 2 {
        tracing::debug!("the watch of the pod is over: {why}");
        Watched::Ended
    } else {
        Watched::Useless { pause: Duration::ZERO, why }
    }
}
