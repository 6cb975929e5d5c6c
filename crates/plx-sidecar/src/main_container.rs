//! How one knows that main is gone.

use crate::SidecarError;
use futures::future::{self, BoxFuture, FutureExt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// A look at a process or a marker costs one system call.
pub(crate) const POLL: Duration = Duration::from_millis(200);

/// How main's end was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The sign, for the log.
    pub by: String,
    /// Its exit code, when the sign tells.
    pub exit_code: Option<i64>,
}

/// A sign of main's end: a process, a marker, a pod's status. Each suffices; none is needed.
pub trait MainContainer: Send {
    /// Waits until main is gone; again and again, the answer is the same. Cancel safe.
    fn gone(&mut self) -> BoxFuture<'_, Gone>;

    /// Whether it can come, as things are now.
    fn can_tell(&self) -> bool {
        true
    }

    /// Whether it says, as things are now, that main lives. A marker that is not there says nothing: whoever writes it
    /// may have been killed together with main.
    fn lives(&self) -> bool {
        false
    }

    /// Whether it says that main has not been started, because init containers are at work.
    fn is_prepared(&self) -> bool {
        false
    }
}

/// A process of this machine.
pub struct Process {
    pid: i32,
    /// Refers to the process itself: a pid may be given to another process, this is not. None when it was gone.
    fd: Option<OwnedFd>,
}

impl Process {
    /// Watches a process; one that is gone already is gone.
    ///
    /// # Errors
    /// When the pid is none, or the system does not let us watch.
    pub fn watch(pid: i32) -> Result<Self, SidecarError> {
        let failed = |source| SidecarError::Watch { pid, source };
        let number = Pid::from_raw(pid).ok_or_else(|| failed(std::io::ErrorKind::InvalidInput.into()))?;
        match pidfd_open(number, PidfdFlags::empty()) {
            Ok(fd) => Ok(Self { pid, fd: Some(fd) }),
            Err(rustix::io::Errno::SRCH) => Ok(Self { pid, fd: None }),
            Err(error) => Err(failed(error.into())),
        }
    }

    fn is_gone(&self) -> bool {
        let Some(fd) = &self.fd else { return true };
        // A pidfd becomes readable when its process ends, and stays so.
        let mut polled = [PollFd::new(fd, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }
}

impl MainContainer for Process {
    fn gone(&mut self) -> BoxFuture<'_, Gone> {
        async {
            let mut looks = tokio::time::interval(POLL);
            while !self.is_gone() {
                looks.tick().await;
            }
            Gone { by: format!("process {}", self.pid), exit_code: None }
        }
        .boxed()
    }

    fn lives(&self) -> bool {
        !self.is_gone()
    }
}

/// A file that main's wrapper leaves: `{"exit_code":N}`.
pub struct Marker {
    path: PathBuf,
}

impl Marker {
    /// Watches for a file.
    pub fn watch(path: PathBuf) -> Self {
        Self { path }
    }
}

impl MainContainer for Marker {
    fn gone(&mut self) -> BoxFuture<'_, Gone> {
        async {
            let mut looks = tokio::time::interval(POLL);
            loop {
                looks.tick().await;
                let Ok(text) = tokio::fs::read_to_string(&self.path).await else { continue };
                let marker: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                let exit_code = marker.get("exit_code").and_then(serde_json::Value::as_i64);
                return Gone { by: format!("marker {}", self.path.display()), exit_code };
            }
        }
        .boxed()
    }
}

/// Whichever of several signs comes first. Without any, nothing tells but SIGTERM and quiet.
#[derive(Default)]
pub struct Signs {
    signs: Vec<Box<dyn MainContainer>>,
}

impl Signs {
    /// Adds a sign.
    #[must_use]
    pub fn and(mut self, sign: impl MainContainer + 'static) -> Self {
        self.signs.push(Box::new(sign));
        self
    }
}

impl MainContainer for Signs {
    fn gone(&mut self) -> BoxFuture<'_, Gone> {
        if self.signs.is_empty() {
            return future::pending().boxed();
        }
        future::select_all(self.signs.iter_mut().map(|sign| sign.gone())).map(|(gone, _, _)| gone).boxed()
    }

    fn can_tell(&self) -> bool {
        self.signs.iter().any(|sign| sign.can_tell())
    }

    fn lives(&self) -> bool {
        self.signs.iter().any(|sign| sign.lives())
    }

    fn is_prepared(&self) -> bool {
        self.signs.iter().any(|sign| sign.is_prepared())
    }
}
