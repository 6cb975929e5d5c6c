//! Containers that run beside each other, and what signals do to them.

use crate::process::{Ended, Running};
use plx_contract::Class;
use plx_contract::layout::TEMP_PREFIX;
use plx_runtime::{Failure, Stop};
use rustix::process::Signal;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What a sidecar gets beyond the grace period, and after a second Ctrl-C: it ends by itself before.
const MARGIN: Duration = Duration::from_secs(10);

/// How soon a sidecar that was started again is told to end: it listens by then.
const REMIND: Duration = Duration::from_secs(1);

/// Starts the sidecar, as often as it is called.
pub(super) type StartSidecar<'a> = &'a (dyn Fn() -> Result<Running, Failure> + Send + std::marker::Sync);

/// How a sidecar learns of main's end.
pub(super) enum Tell {
    /// By what is written down there.
    Marker(PathBuf),
    /// By SIGTERM, which it gets only then: a native sidecar. It has so long, and is not asked to end before main.
    Signal(Duration),
}

/// One container, or main and its sidecar.
pub(super) struct Group<'a> {
    main: Option<Running>,
    sidecar: Option<Running>,
    again: Option<StartSidecar<'a>>,
    /// How the sidecar is told of main's end, until it is.
    tell: Option<Tell>,
    main_end: Option<(Ended, Instant)>,
    sidecar_end: Option<Ended>,
}

/// How they ended.
#[derive(Debug)]
pub(super) struct Ends {
    pub main: Ended,
    /// When main ended, if it was started.
    pub main_at: Option<Instant>,
    pub sidecar: Option<Ended>,
}

impl<'a> Group<'a> {
    /// A container alone.
    pub fn one(running: Running) -> Self {
        Self {
            main: Some(running),
            sidecar: None,
            again: None,
            tell: None,
            main_end: None,
            sidecar_end: None,
        }
    }

    /// Main and its sidecar. A main that could not be started has ended already.
    pub fn pod(
        main: Result<Running, Ended>,
        sidecar: Option<(Running, StartSidecar<'a>)>,
        tell: Option<Tell>,
    ) -> Self {
        let (sidecar, again) = sidecar.unzip();
        let (main, main_end) = match main {
            Ok(main) => (Some(main), None),
            Err(ended) => (None, Some((ended, Instant::now()))),
        };
        Self { main, sidecar, again, tell, main_end, sidecar_end: None }
    }

    /// Waits until all have ended.
    ///
    /// The first signal goes to both as SIGTERM, as when a pod is deleted, and main is killed after the grace period;
    /// the second one kills main now, and the sidecar stores what there is. A native sidecar gets its SIGTERM after main.
    pub async fn until_end(mut self, stop: &Stop, grace: Duration) -> Result<Ends, Failure> {
        let (mut asked, mut now) = (false, false);
        let (mut kill_main, mut kill_sidecar, mut remind) = (None, None, None);
        let native = matches!(self.tell, Some(Tell::Signal(_)));
        loop {
            match (self.main_end, self.tell.take_if(|_| self.main.is_none())) {
                // Whoever ran main may have left it.
                (Some((ended, _)), Some(Tell::Marker(marker))) if !marker.exists() => {
                    if let Err(failure) = leave_marker(&marker, ended) {
                        // Main filled the disk, perhaps: the sidecar still has a grace period to store what there is.
                        tracing::warn!("{}; the sidecar is told to end instead", failure.message);
                        self.signal_sidecar(Signal::TERM);
                        kill_sidecar = Some(Instant::now() + grace + MARGIN);
                    }
                }
                (Some(_), Some(Tell::Signal(grace))) => {
                    self.signal_sidecar(Signal::TERM);
                    kill_sidecar.get_or_insert(Instant::now() + grace + MARGIN);
                }
                _ => {}
            }
            if self.main.is_none() && self.sidecar.is_none() {
                break;
            }
            tokio::select! {
                ended = end_of(&mut self.main) => {
                    self.main_end = Some((ended?, Instant::now()));
                    // Its last words belong to what the sidecar stores: before the marker.
                    if let Some(main) = self.main.take() {
                        main.clean_up().await;
                    }
                }
                ended = end_of(&mut self.sidecar) => {
                    let ended = ended?;
                    // It was told before it could listen, which in a pod, as process 1, would not have ended it.
                    let deaf = ended.signal == Some(Signal::TERM.as_raw()) && kill_sidecar.is_some();
                    if let (true, Some(again)) = (deaf, self.again) {
                        self.sidecar = Some(again()?);
                        remind = Some(Instant::now() + REMIND);
                        continue;
                    }
                    self.sidecar_end = Some(ended);
                    if self.main.is_some() {
                        tracing::warn!("the sidecar ended before main ({ended}): outputs are not stored any more");
                    }
                    if let Some(sidecar) = self.sidecar.take() {
                        sidecar.clean_up().await;
                    }
                }
                () = stop.asked.cancelled(), if !asked => {
                    asked = true;
                    self.signal_main(Signal::TERM);
                    kill_main = Some(Instant::now() + grace);
                    if !native {
                        self.signal_sidecar(Signal::TERM);
                    }
                    if !native || self.main.is_none() {
                        kill_sidecar = Some(Instant::now() + grace + MARGIN);
                    }
                }
                () = stop.now.cancelled(), if !now => {
                    now = true;
                    // The sidecar sees by the marker that main is gone, and makes its last pass; a second SIGTERM would
                    // tell it to leave out even that.
                    self.signal_main(Signal::KILL);
                    kill_sidecar = Some(Instant::now() + MARGIN);
                }
                () = at(kill_main) => {
                    kill_main = None;
                    self.signal_main(Signal::KILL);
                }
                () = at(remind) => {
                    remind = None;
                    self.signal_sidecar(Signal::TERM);
                }
                () = at(kill_sidecar) => {
                    kill_sidecar = None;
                    self.signal_sidecar(Signal::KILL);
                }
            }
        }
        let (main, main_at) = self.main_end.expect("the loop ends after main");
        Ok(Ends { main, main_at: Some(main_at), sidecar: self.sidecar_end })
    }

    fn signal_main(&self, signal: Signal) {
        if let Some(main) = &self.main {
            main.signal(signal);
        }
    }

    fn signal_sidecar(&self, signal: Signal) {
        if let Some(sidecar) = &self.sidecar {
            sidecar.signal(signal);
        }
    }
}

async fn end_of(running: &mut Option<Running>) -> Result<Ended, Failure> {
    match running {
        Some(running) => running.wait().await,
        None => pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Writes `{"exit_code":N}`, whole or not at all.
fn leave_marker(path: &Path, ended: Ended) -> Result<(), Failure> {
    let write = || {
        let dir = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(dir)?;
        let temp = dir.join(format!("{TEMP_PREFIX}main-exit"));
        std::fs::write(&temp, format!("{{\"exit_code\":{}}}\n", ended.code))?;
        std::fs::rename(&temp, path)
    };
    write().map_err(|error| Failure::new(Class::CannotWrite, format!("write {}: {error}", path.display())))
}
