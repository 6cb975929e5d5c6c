//! Runs a pod: init containers in order, then main with the sidecar beside it, then the table.

use crate::cli::RunArgs;
use crate::collect::{LogFile, SharedLog, Show};
use crate::connections::Stores;
use crate::outcome::{self, ChildReport, Sync};
use crate::plan::{self, Container, Pod, Program};
use crate::process::{self, Ended, Running, Watch};
use crate::settings::{NATIVE_GRACE, Settings};
use crate::table::{self, Row};
use crate::workspace::Workspace;
use crate::{document, term, words};
use plx_contract::{Class, Env};
use plx_runtime::{DiskFiles, Failure, Stop};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

mod watch;

use watch::{Group, StartSidecar, Tell};

/// How a run ended.
#[derive(Debug)]
pub struct Done {
    /// The exit code.
    pub code: u8,
    /// What went wrong, when it was not main.
    pub problem: Option<Failure>,
}

/// `plx-pod run`.
///
/// # Errors
/// When nothing could be started: the file, the connections, the folders.
pub async fn operation(args: &RunArgs, env: &impl Env, stop: Stop) -> Result<Done, Failure> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::new(Class::Config, format!("find the working directory: {error}")))?;
    let own_binary = std::env::current_exe()
        .map_err(|error| Failure::new(Class::Bug, format!("find this program's own file: {error}")))?;
    let settings = Settings::settle(args, &here)?;
    let loaded = document::read(&args.file)?;
    let stores = Stores::choose(args, &settings, &here, env, &DiskFiles)?;
    let pod = plan::pod(&loaded, &settings, &stores, env)?;
    pod.notes.iter().for_each(|note| term::note(note));
    stop_on_hangup(&stop);
    let workspace = Workspace::open(&settings, &pod, &stores.create)?;
    let log = pod.log.as_deref().map(|path| Arc::new(Mutex::new(LogFile::held(path, &settings.pod))));
    let mut run = PodRun { settings, pod, own_binary, log, stop, rows: Vec::new() };
    if run.settings.dry_run {
        let done = run.dry().await;
        workspace.remove();
        return done;
    }
    let (done, sync) = run.whole().await?;
    let started = sync.is_some();
    let keep = run.settings.keep || !sync.is_some_and(|sync| sync.is_settled());
    run.show(run.pod.stored_at.as_deref().filter(|_| started), keep.then_some(workspace.dir()), &here);
    if !keep {
        workspace.remove();
    }
    Ok(done)
}

/// A terminal that is closed asks for the end, as Ctrl-C does.
fn stop_on_hangup(stop: &Stop) {
    let asked = stop.asked.clone();
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => {
            tokio::spawn(async move {
                if hangup.recv().await.is_some() {
                    asked.cancel();
                }
            });
        }
        Err(error) => tracing::debug!("watch for SIGHUP: {error}"),
    }
}

struct PodRun {
    settings: Settings,
    pod: Pod,
    own_binary: PathBuf,
    log: Option<SharedLog>,
    stop: Stop,
    rows: Vec<Row>,
}

impl PodRun {
    /// Everything. The second part is how far the outputs got; none when main was never started.
    async fn whole(&mut self) -> Result<(Done, Option<Sync>), Failure> {
        // A native sidecar is there before everything else.
        let early = self.settings.native_sidecar && self.pod.sidecar.is_some();
        let mut early = if early { Some(self.start_sidecar()?) } else { None };
        for container in self.pod.inits.clone() {
            // Plain containers come last and may print much: from the first of them on, lines are written at once.
            if matches!(container.program, Program::Person(_)) {
                self.release_log();
            }
            if let Some(done) = self.init(&container).await? {
                self.release_log();
                self.row_of_main("not started".to_owned(), None);
                self.end_early(early.take(), done.code).await?;
                return Ok((done, None));
            }
        }
        self.release_log();
        if self.stop.asked.is_cancelled() {
            self.row_of_main("not started".to_owned(), None);
            self.end_early(early.take(), 143).await?;
            let problem = Failure::new(Class::Incomplete, "stopped before main was started");
            return Ok((Done { code: 143, problem: Some(problem) }, None));
        }
        self.main_and_sidecar(early).await.map(|(done, sync)| (done, Some(sync)))
    }

    fn start_sidecar(&self) -> Result<Running, Failure> {
        let container = self.pod.sidecar.as_ref().expect("asked for only where there is one");
        let show = Show::Prefixed("sidecar | ");
        let out = if self.settings.verbose { show } else { Show::Hidden };
        process::start(container, &self.own_binary, &Watch { out, err: show, log: None })
    }

    fn is_wrapped(&self) -> bool {
        matches!(self.pod.main.program, Program::Own(..))
    }

    /// How the sidecar learns that main has ended.
    fn tell(&self) -> Option<Tell> {
        self.pod.sidecar.as_ref()?;
        Some(if self.settings.native_sidecar {
            Tell::Signal(Duration::from_secs(NATIVE_GRACE))
        } else {
            let layout = self.settings.layout();
            // Of a main that is run by plx-entry, it is there already.
            Tell::Marker(match self.is_wrapped() {
                true => layout.wrapped_main().join(plx_contract::wrapped::ENDED),
                false => layout.exit_marker(&self.settings.pod),
            })
        })
    }

    /// Ends a sidecar whose main will never start; it stores what there is.
    async fn end_early(&mut self, sidecar: Option<Running>, code: u8) -> Result<(), Failure> {
        let Some(sidecar) = sidecar else { return Ok(()) };
        let start = || self.start_sidecar();
        let sidecar = Some((sidecar, &start as StartSidecar<'_>));
        let group = Group::pod(Err(Ended::with_code(code)), sidecar, self.tell());
        let ended = group.until_end(&self.stop, self.settings.grace).await?.sidecar;
        self.row_of_outputs(ended.expect("a sidecar that was started has ended"));
        Ok(())
    }

    fn release_log(&self) {
        if let Some(log) = &self.log {
            log.lock().unwrap_or_else(PoisonError::into_inner).release();
        }
    }

    /// One init container; some when the run ends with it.
    async fn init(&mut self, container: &Container) -> Result<Option<Done>, Failure> {
        let begun = Instant::now();
        let show = Show::Prefixed("init | ");
        let watch = Watch { out: show, err: show, log: self.log.clone() };
        let ended = match process::start(container, &self.own_binary, &watch) {
            Ok(running) => Group::one(running).until_end(&self.stop, self.settings.grace).await?.main,
            Err(failure) => {
                self.rows.push(Row {
                    step: container.label.clone(),
                    result: "not started".to_owned(),
                    ..Row::default()
                });
                return Ok(Some(Done { code: not_started(&failure), problem: Some(failure) }));
            }
        };
        let report = container.report.as_deref().and_then(ChildReport::read);
        self.rows.push(Row {
            step: container.label.clone(),
            result: if ended.is_success() { "done".to_owned() } else { ended.to_string() },
            objects: report.as_ref().and_then(|report| report.objects),
            bytes: report.as_ref().and_then(|report| report.bytes),
            passes: None,
            time: Some(begun.elapsed()),
        });
        if ended.is_success() {
            return Ok(None);
        }
        Ok(Some(Done { code: ended.code, problem: Some(failure_of(container, ended, report)) }))
    }

    async fn main_and_sidecar(&mut self, early: Option<Running>) -> Result<(Done, Sync), Failure> {
        let wrapped = self.is_wrapped();
        let start = || self.start_sidecar();
        let sidecar = match (early, &self.pod.sidecar) {
            (Some(early), _) => Some(early),
            (None, Some(_)) => Some(start()?),
            (None, None) => None,
        };
        let sidecar = sidecar.map(|sidecar| (sidecar, &start as StartSidecar<'_>));
        let begun = Instant::now();
        // The sidecar has the lines of a wrapped main from the program that runs it.
        let log = self.log.clone().filter(|_| !wrapped);
        let watch = Watch { out: Show::Out, err: Show::Err, log };
        let mut problem = None;
        let main = process::start(&self.pod.main, &self.own_binary, &watch).map_err(|failure| {
            let ended = Ended::with_code(not_started(&failure));
            problem = Some(failure);
            ended
        });
        let ends = Group::pod(main, sidecar, self.tell()).until_end(&self.stop, self.settings.grace).await?;
        self.row_of_main(ends.main.to_string(), Some(ends.main_at.unwrap_or(begun) - begun));
        let Some(ended) = ends.sidecar else {
            return Ok((Done { code: ends.main.code, problem }, Sync::NotWanted));
        };
        let (sync, missing) = self.row_of_outputs(ended);
        let code = outcome::exit_code(ends.main, &sync);
        if let Some(missing) = missing {
            // Of two failures the one that decides the exit code is told last.
            match problem {
                None => problem = Some(missing),
                Some(_) => term::note(&missing.message),
            }
        }
        Ok((Done { code, problem }, sync))
    }

    /// How far the outputs got, by a sidecar that has ended; and what is missing.
    fn row_of_outputs(&mut self, ended: Ended) -> (Sync, Option<Failure>) {
        let container = self.pod.sidecar.as_ref().expect("a sidecar that has ended");
        let report = container.report.as_deref().and_then(ChildReport::read);
        let sync = Sync::of(ended, report.as_ref());
        let missing = matches!(sync, Sync::Incomplete | Sync::Failed(_));
        self.rows.push(Row {
            step: "outputs".to_owned(),
            result: match &sync {
                Sync::Failed(ended) => format!("sidecar: {ended}"),
                Sync::Incomplete => match report.as_ref().and_then(ChildReport::waiting) {
                    Some(count) => format!("{count} not stored"),
                    None => "incomplete".to_owned(),
                },
                Sync::Unknown => "no report".to_owned(),
                _ => "stored".to_owned(),
            },
            objects: report.as_ref().and_then(|report| report.stored),
            bytes: report.as_ref().and_then(|report| report.bytes),
            passes: report.as_ref().and_then(|report| report.passes),
            time: None,
        });
        let missing = missing.then(|| failure_of(container, ended, report));
        (sync, missing)
    }

    fn row_of_main(&mut self, result: String, time: Option<Duration>) {
        self.rows.push(Row { step: "main".to_owned(), result, time, ..Row::default() });
    }

    /// The table and where things are.
    fn show(&self, stored_at: Option<&str>, kept: Option<&Path>, here: &Path) {
        let near = |path: &Path| path.strip_prefix(here).unwrap_or(path).display().to_string();
        let mut lines = vec![String::new(), table::render(&self.rows), String::new()];
        lines.push(format!("run:     {}", self.settings.uuid()));
        if let Some(place) = stored_at {
            lines.push(format!("store:   {}", near(Path::new(place))));
        }
        if let Some(dir) = kept {
            lines.push(format!("pod:     {} (kept)", near(dir)));
        }
        term::result(&lines.join("\n"));
    }

    /// Says what would run, and lets init say what it would fetch.
    async fn dry(&mut self) -> Result<Done, Failure> {
        let containers = self.pod.inits.iter().chain(&self.pod.sidecar).chain([&self.pod.main]);
        for (number, container) in containers.enumerate() {
            let words = words::quoted(&container.program.words());
            term::result(&format!("{}. {}\n   {words}", number + 1, container.name));
        }
        for container in self.pod.inits.clone() {
            if !matches!(container.program, Program::Own(..)) {
                continue;
            }
            term::result(&format!("{}:", container.label));
            let watch = Watch { out: Show::Out, err: Show::Prefixed("init | "), log: None };
            let running = process::start(&container, &self.own_binary, &watch)?;
            let ended = Group::one(running).until_end(&self.stop, self.settings.grace).await?.main;
            if !ended.is_success() {
                let report = container.report.as_deref().and_then(ChildReport::read);
                return Ok(Done { code: ended.code, problem: Some(failure_of(&container, ended, report)) });
            }
        }
        Ok(Done { code: Class::Done.code(), problem: None })
    }
}

/// The exit code a shell gives for a program that cannot be started.
fn not_started(failure: &Failure) -> u8 {
    if failure.class == Class::NotFound { 127 } else { 126 }
}

fn failure_of(container: &Container, ended: Ended, report: Option<ChildReport>) -> Failure {
    let report = report.unwrap_or_default();
    let class = match outcome::class_of(ended.code) {
        Class::Done => Class::Incomplete,
        class => class,
    };
    let said = if report.message.is_empty() { String::new() } else { format!(": {}", report.message) };
    let ended = if ended.is_success() { String::new() } else { format!(" ({ended})") };
    let mut failure = Failure::new(class, format!("{}{ended}{said}", container.label));
    failure.next = report.next;
    failure
}
