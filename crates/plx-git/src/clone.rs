//! One clone, from the words of the command line to a folder.

use crate::access::Access;
use crate::address::{self, Address, Route};
use crate::checkout::{check_out, init, tidy, warn_of_pointers};
use crate::flags::{self, Flags};
use crate::link::{Link, is_id};
use crate::publish::{self, Record, Stage, Standing};
use crate::revision::{Ask, Target, obtain};
use crate::submodules;
use crate::transport::{Conversation, Session, replaced};
use crate::{GitError, Received, library};
use backon::{BackoffBuilder, ExponentialBuilder};
use git2::Repository;
use plx_contract::credential::Files;
use plx_contract::network::ca_bundle;
use plx_contract::{Class, Classified};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// What is wanted.
#[derive(Debug, Clone)]
pub struct Job {
    /// As the user wrote it.
    pub url: String,
    /// Branch, tag, commit, `refs/…`, `HEAD~n`; the default branch when absent or empty.
    pub revision: Option<String>,
    /// Options of `git clone`, see [`crate::FlagError`] for those that are none.
    pub flags: Option<String>,
    /// The folder that the clone becomes.
    pub target: PathBuf,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloned {
    /// The commit that is checked out.
    pub commit: String,
    /// The branch that it is on; `HEAD` when it is on none.
    pub branch: String,
    /// The URL for the code reference, without any secret.
    pub code_url: String,
    /// The address as it was asked, for messages.
    pub at: String,
    /// Whether a clone from before is used as it is.
    pub kept: bool,
}

/// What is the same in every attempt.
struct Plan {
    session: Arc<Session>,
    route: Route,
    origin: Address,
    flags: Flags,
    asked: Record,
    target: PathBuf,
}

/// Clones. A failure that may pass is tried again, for as long as `PLX_RETRY_SECONDS` says.
///
/// # Errors
/// When the job cannot be understood, the repository or the revision is not there, nobody lets us in, or the target
/// cannot be written. Nothing stands under the target's name then that did not before.
pub async fn clone(
    job: Job,
    access: Access,
    files: &impl Files,
    received: Arc<Received>,
    stop: CancellationToken,
) -> Result<Cloned, GitError> {
    library::init().map_err(GitError::library("start libgit2"))?;
    let patience = access.patience;
    let plan = Arc::new(plan(job, access, files, received, stop)?);
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_total_delay(Some(patience))
        .with_jitter()
        .without_max_times()
        .build();
    loop {
        let attempt = Arc::clone(&plan);
        // The library blocks. It ends by itself when the token says stop, so it is always waited for.
        let done = tokio::task::spawn_blocking(move || attempt.run()).await;
        let error = match done {
            Ok(Err(error)) if error.class() == Class::Unavailable => error,
            Ok(done) => return done,
            Err(panic) => {
                return Err(GitError::Library {
                    what: "clone".to_owned(),
                    why: panic.to_string(),
                    class: Class::Bug,
                });
            }
        };
        let Some(pause) = pauses.next() else { return Err(error) };
        tracing::warn!("{error}: tried again in {:.1} s", pause.as_secs_f64());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = plan.session.stop.cancelled() => return Err(GitError::Stopped { at: plan.route.address.to_string() }),
        }
    }
}

fn plan(
    job: Job,
    mut access: Access,
    files: &impl Files,
    received: Arc<Received>,
    stop: CancellationToken,
) -> Result<Plan, GitError> {
    let flags = flags::parse(job.flags.as_deref())?;
    access.stores.extend(flags.transfer.stores.iter().cloned());
    if let Some(path) = &flags.transfer.ca_info {
        access.trust(ca_bundle("http.sslCAInfo", path, files)?);
    }
    let raw = replaced(&flags.transfer, &job.url);
    let mut route = address::route(&raw, &access.means())?;
    route.login = access.complete(&route.address, route.login)?;
    // As the user wrote it, and not as it was asked: a push from main goes where they think it goes.
    let origin = address::parse(&job.url).map_or_else(|_| route.address.clone(), |(address, _)| address);
    let revision = job.revision.filter(|revision| !revision.is_empty());
    let asked = Record { url: origin.to_string(), revision, flags: flags.canonical(), commit: String::new() };
    let target = std::path::absolute(&job.target).map_err(GitError::disk("resolve", &job.target))?;
    let session = Session::new(access, flags.transfer.clone(), route.clone(), received, stop);
    Ok(Plan { session: Arc::new(session), route, origin, flags, asked, target })
}

impl Plan {
    fn run(&self) -> Result<Cloned, GitError> {
        // Pods that share a volume may be asked for the same: the second finds what the first made.
        let _lock = publish::lock(&self.target, &self.session)?;
        let standing = publish::look(&self.target, &self.asked)?;
        let stage = Stage::prepare(&self.target)?;
        if let Standing::Same(record) = &standing {
            publish::is_good(&self.target, record, self.flags.recurse_submodules.is_some())?;
            // A commit is the same for ever; nobody has to be asked.
            if self.asked.revision.as_deref().is_some_and(is_id) {
                return self.kept();
            }
        }
        let repo = init(&stage.path, &self.origin.to_string(), &self.flags)?;
        let talk = Conversation::new(&self.session, self.route.address.clone(), self.route.login.clone());
        let mut link = Link::open(&repo, talk)?;
        let before = match &standing {
            Standing::Same(record) => Some(record.commit.as_str()),
            Standing::Nothing => None,
        };
        let moved = |now: &str| GitError::Occupied {
            target: self.target.clone(),
            why: format!(
                "a clone of {} stands there at {}, and `{}` is {now} by now",
                self.asked.url,
                before.unwrap_or_default(),
                self.asked.revision.as_deref().unwrap_or("HEAD")
            ),
        };
        if let (Standing::Same(record), Some(before)) = (&standing, before)
            && self.flags.branch.is_none()
            && let Some(now) = publish::means_now(&link, record)
        {
            return if now == before { self.kept() } else { Err(moved(&now)) };
        }
        let ask = Ask { revision: self.asked.revision.as_deref(), flags: &self.flags };
        let obtained = obtain(&repo, &mut link, ask)?;
        drop(link);
        let commit = obtained.target.oid().to_string();
        if let Some(before) = before {
            return if commit == before { self.kept() } else { Err(moved(&commit)) };
        }
        let at = self.route.address.to_string();
        check_out(&repo, &obtained, &self.session, &at)?;
        tidy(&repo)?;
        if self.flags.recurse_submodules.is_some() {
            submodules::bring(&self.session, &repo, &self.route.address, &self.flags, 0)?;
        }
        warn_of_pointers(&repo, &at)?;
        publish::write_record(&stage.path, &Record { commit: commit.clone(), ..self.asked.clone() })?;
        publish::write_for_main(&repo, &self.target, self.flags.recurse_submodules.is_some())?;
        publish::open_to_all(&stage.path)?;
        drop(repo);
        if self.session.stop.is_cancelled() {
            return Err(GitError::Stopped { at });
        }
        stage.publish()?;
        let branch = match obtained.target {
            Target::Branch(name, _) => name,
            Target::Commit(_) => "HEAD".to_owned(),
        };
        Ok(Cloned { commit, branch, code_url: self.origin.code_url(), at, kept: false })
    }

    fn kept(&self) -> Result<Cloned, GitError> {
        let wrong = |error| GitError::library(format!("read {}", self.target.display()))(error);
        let repo = Repository::open(&self.target).map_err(wrong)?;
        let head = repo.head().map_err(wrong)?;
        let branch =
            if head.is_branch() { head.shorthand().unwrap_or("HEAD").to_owned() } else { "HEAD".to_owned() };
        let commit = head.peel_to_commit().map_err(wrong)?.id().to_string();
        let (code_url, at) = (self.origin.code_url(), self.route.address.to_string());
        Ok(Cloned { commit, branch, code_url, at, kept: true })
    }
}
