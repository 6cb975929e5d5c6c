//! `/bin/sh` and `/bin/bash` of the init image: a script of the converter is run natively, as one plan; everything else
//! goes to busybox as it is.

use crate::jobs::script;
use plx_contract::Class;
use plx_contract::script::parse;
use plx_runtime::{Failure, Report};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Where busybox is; the first one that is there.
const BUSYBOX: [&str; 3] = ["/bin/busybox", "/usr/bin/busybox", "/sbin/busybox"];

/// Runs what a shell was asked to run.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    if let [_, flag, text] = args
        && flag == "-c"
        && let Some(steps) = text.to_str().and_then(parse)
    {
        return crate::run(async move |env, stop| Ok(script::run(&steps, &env, &stop).await?));
    }
    let failure = busybox(&args[1..]);
    plx_runtime::run("plx-init", async move |_, _| Err::<Report, _>(failure))
}

/// Becomes busybox's shell; comes back only when that cannot be done.
fn busybox(args: &[OsString]) -> Failure {
    let Some(program) = BUSYBOX.into_iter().find(|path| Path::new(path).exists()) else {
        let message = format!("this script needs a shell, and there is no busybox ({})", BUSYBOX.join(", "));
        return Failure::new(Class::Config, message).with_next("use the init image, which holds one");
    };
    let error = Command::new(program).arg("sh").args(args).exec();
    Failure::new(Class::Config, format!("run {program} sh: {error}"))
        .with_next("check that busybox may be executed by this user")
}
