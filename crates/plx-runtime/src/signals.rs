//! SIGTERM and SIGINT as two tokens.

use crate::Failure;
use plx_contract::Class;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the outside asks for.
///
/// Kubernetes sends SIGTERM once; a person presses Ctrl-C twice. The first signal asks for an orderly end, the second
/// for an end now, report included.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Cancelled by the first signal.
    pub asked: CancellationToken,
    /// Cancelled by the second signal.
    pub now: CancellationToken,
}

impl Stop {
    /// Tokens that nobody cancels but the caller: for tests and for programs inside programs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Installs the handlers. Must be called within a runtime, and is the first thing a program does: a signal that
    /// comes before it kills the process.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn on_signals() -> Result<Self, Failure> {
        let stop = Self::new();
        let refused = |error| Failure::new(Class::Bug, format!("install signal handlers: {error}"));
        let mut term = signal(SignalKind::terminate()).map_err(refused)?;
        let mut int = signal(SignalKind::interrupt()).map_err(refused)?;
        let tokens = stop.clone();
        tokio::spawn(async move {
            for token in [&tokens.asked, &tokens.now] {
                // Both are cancel safe: a signal that is not taken stays pending.
                tokio::select! {
                    _ = term.recv() => tracing::info!("SIGTERM"),
                    _ = int.recv() => tracing::info!("interrupted"),
                }
                token.cancel();
            }
        });
        Ok(stop)
    }
}
