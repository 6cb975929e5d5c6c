//! Tracking for those who do not depend on it.

use crate::settings::{Api, Settings};
use crate::{Client, TrackError};
use plx_contract::credential::Files;
use plx_contract::lineage::{Artifact, Status};
use plx_contract::run::{self, RunInstance};
use plx_contract::{Classified, Env};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long the end of a program waits for posts that are on their way. The reference waits for as long as they take,
/// 60 s each.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Posts what is known about a run, in the background and in order. What cannot be delivered is one warning, and
/// nothing else: inputs are in place whether anybody hears of it or not.
#[derive(Debug)]
pub struct Tracker {
    posting: Option<Posting>,
}

#[derive(Debug)]
struct Posting {
    run: RunInstance,
    posts: mpsc::UnboundedSender<Post>,
    /// Ends when all were tried, with the first that failed.
    sent: JoinHandle<Result<(), TrackError>>,
}

#[derive(Debug)]
enum Post {
    Artifacts(Vec<Artifact>),
    Status(Status),
}

impl Tracker {
    /// One that tells nobody.
    pub fn off() -> Self {
        Self { posting: None }
    }

    /// One for the run of this pod; one that tells nobody when the API is off, or the settings are wrong, which is a
    /// warning. Must be called within a runtime.
    pub fn start(env: &impl Env, files: &impl Files) -> Self {
        match Self::posting(env, files) {
            Ok(posting) => Self { posting },
            Err(why) => {
                tracing::warn!("nothing is recorded with the tracking API: {why}");
                Self::off()
            }
        }
    }

    fn posting(env: &impl Env, files: &impl Files) -> Result<Option<Posting>, String> {
        let settings = match Settings::read(env, files).map_err(|error| words(&error))? {
            Api::Off(by) => {
                tracing::debug!("no tracking: {by}");
                return Ok(None);
            }
            Api::On(settings) => settings,
        };
        let run = run::from_env(env).map_err(|error| words(&error))?;
        let client = Client::new(settings).map_err(|error| words(&error))?;
        let (posts, waiting) = mpsc::unbounded_channel();
        let sent = tokio::spawn(send_all(client, run.clone(), waiting));
        Ok(Some(Posting { run, posts, sent }))
    }

    /// The run that is told about; none when nobody is told.
    pub fn run(&self) -> Option<&RunInstance> {
        self.posting.as_ref().map(|posting| &posting.run)
    }

    /// Adds artifacts to the run's lineage.
    pub fn artifacts(&self, artifacts: Vec<Artifact>) {
        self.post(Post::Artifacts(artifacts));
    }

    /// Adds a status to the run.
    pub fn status(&self, status: Status) {
        self.post(Post::Status(status));
    }

    fn post(&self, post: Post) {
        if let Some(posting) = &self.posting {
            // The other end lives as long as this one, unless it panicked, which `finish` tells.
            posting.posts.send(post).ok();
        }
    }

    /// Waits until all is delivered, at most [`LONGEST_WAIT`] from now.
    pub async fn finish(self) {
        let Some(Posting { run, posts, mut sent }) = self.posting else { return };
        drop(posts);
        let why = match tokio::time::timeout(LONGEST_WAIT, &mut sent).await {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(error))) => words(&error),
            Ok(Err(ended)) => ended.to_string(),
            Err(_) => {
                sent.abort();
                format!("not within {} s", LONGEST_WAIT.as_secs())
            }
        };
        tracing::warn!("run {} is not recorded in full with the tracking API: {why}", run.uuid);
    }
}

async fn send_all(
    client: Client,
    run: RunInstance,
    mut waiting: mpsc::UnboundedReceiver<Post>,
) -> Result<(), TrackError> {
    let mut first = Ok(());
    while let Some(post) = waiting.recv().await {
        let sent = match &post {
            Post::Artifacts(artifacts) => client.create_artifacts(&run, artifacts).await,
            Post::Status(status) => client.create_status(&run, status).await,
        };
        // One that is refused says nothing about the next.
        if let Err(error) = sent
            && first.is_ok()
        {
            first = Err(error);
        }
    }
    first
}

fn words(error: &impl Classified) -> String {
    match error.next_step() {
        Some(next) => format!("{error} ({next})"),
        None => error.to_string(),
    }
}
