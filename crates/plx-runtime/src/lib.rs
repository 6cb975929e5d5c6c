//! The shell around a program: everything between `main` and the program's own code.
//!
//! A program is an async function from its environment and a [`Stop`] to a result. [`run`] gives it a runtime that fits
//! a small container, installs the signal handlers before anything else, and turns a [`Failure`] into one `error:`
//! line, one `next:` line, the termination message and the exit code of its class.

mod failure;
mod files;
mod logging;
mod report;
mod signals;
mod usage;

pub use failure::Failure;
pub use files::{DiskFiles, ProcessEnv, memory_limit, umask};
pub use logging::init_logging;
pub use report::{REPORT_LIMIT, Report};
pub use signals::Stop;
pub use usage::usage;

use plx_contract::Class;
use std::process::ExitCode;

/// Runs a program to its end.
///
/// `program` is its name in messages. The body's `Ok` is the report of a run that did its job as far as it could;
/// `Err` is a run that did not.
pub fn run<B>(program: &'static str, body: B) -> ExitCode
where
    B: AsyncFnOnce(ProcessEnv, Stop) -> Result<Report, Failure>,
{
    let env = ProcessEnv;
    init_logging(&env);
    // Two TLS providers can be compiled in; the first use would then panic. One is named here, once.
    let installed = rustls::crypto::ring::default_provider().install_default();
    debug_assert!(installed.is_ok(), "the provider is installed once, at start");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().min(4)))
        // Each blocking thread costs memory that the pod's 60 Mi have to hold.
        .max_blocking_threads(16)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::new(Class::Bug, format!("start the async runtime: {error}"));
            return finish(program, &env, Err(failure));
        }
    };
    // A panic's own words are on stderr by then; here it gets its class and its report.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(async {
            let stop = Stop::on_signals()?;
            body(env, stop).await
        })
    }))
    .unwrap_or_else(|_| {
        let failure = Failure::new(Class::Bug, "the program panicked; its last words are above");
        Err(failure.with_next("report it with those words"))
    });
    let code = finish(program, &env, outcome);
    // A thread that hangs on a dead disk is not waited for: the report is out.
    runtime.shutdown_background();
    code
}

fn finish(program: &'static str, env: &ProcessEnv, outcome: Result<Report, Failure>) -> ExitCode {
    let report = match outcome {
        Ok(report) => report,
        Err(failure) => {
            report::print_failure(&failure);
            Report::of_failure(&failure)
        }
    };
    report.write(program, env);
    ExitCode::from(report.exit_code())
}
