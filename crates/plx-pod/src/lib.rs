//! The pod of an operation or component file: rendered for a cluster ([`render`]), or run on this machine, without
//! Kubernetes, with the real `plx-init` and `plx-sidecar`: the program starts itself again under their names, each
//! container with its own environment.
//!
//! # What differs from a cluster
//!
//! * The context root `/plx-context` is the folder `.plx/pods/POD`. In `command`, `args`, `env` values, `workingDir`
//!   and an init entry's `path`, a literal `/plx-context` is rewritten to that folder. So is an entry's absolute
//!   `path` (`/s3-path` becomes `POD/paths/s3-path`), and the `mountPath` of a `host_path` connection whose
//!   `hostPath` differs. Rewriting is at path boundaries: `/plx-context/x` and `--in=/plx-context` are rewritten,
//!   `/data/plx-context` and `/plx-contexts` are not. See [`localize`].
//! * Images are not run: `command` and `args` run as they are, with this machine's programs.
//! * Secrets and config maps do not exist: a connection's credentials come from the caller's environment, and only
//!   containers that use the connection get them. See [`environment`].
//! * There is no API: `POLYAXON_NO_API` and `POLYAXON_IS_OFFLINE` are true in every container.
//! * Names are kept, mounts are not isolated: every container sees this machine's files.
//!
//! # How it goes
//!
//! [`document`] reads the file, [`connections`] knows the stores, [`plan`] turns both into containers with their
//! argv and environment (pure), [`run`] starts them in order, [`collect`] keeps what they print, [`outcome`] says what
//! the end means, [`table`] shows it.

pub mod cli;
pub mod collect;
pub mod connections;
pub mod context;
pub mod deployment;
pub mod document;
pub mod environment;
pub mod fields;
pub mod localize;
pub mod located;
pub mod outcome;
pub mod params;
pub mod persistence;
pub mod plan;
pub mod process;
pub mod render;
pub mod roles;
pub mod run;
pub mod settings;
pub mod table;
pub mod term;
pub mod words;
pub mod workspace;

use plx_runtime::Report;
use std::cell::Cell;
use std::process::ExitCode;

/// The program: one of the pod's own programs when it was started under their name, else `plx-pod`.
pub fn main() -> ExitCode {
    let mut args = std::env::args_os();
    if let Some(role) = args.next().as_deref().and_then(roles::Role::of) {
        return role.main();
    }
    let asked = match cli::parse(std::env::args_os()) {
        Ok(cli::Command::Run(asked)) => *asked,
        Ok(cli::Command::Render(asked)) => {
            return plx_runtime::run("plx-pod", async |env, _| {
                render::command(&asked, &env).map(|()| Report::done())
            });
        }
        Ok(cli::Command::Explain(asked)) => {
            return plx_runtime::run("plx-pod", async |env, _| {
                render::explain::command(&asked, &env).map(|()| Report::done())
            });
        }
        Err(code) => return code,
    };
    // Main's exit code is any number, a class is one of ten: what is set here is the program's own.
    let code = Cell::new(None);
    let exit = plx_runtime::run("plx-pod", async |env, stop| {
        let done = run::operation(&asked, &env, stop).await?;
        code.set(Some(done.code));
        done.problem.map_or_else(|| Ok(Report::done()), Err)
    });
    code.get().map_or(exit, ExitCode::from)
}
