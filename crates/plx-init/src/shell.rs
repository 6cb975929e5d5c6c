//! `/bin/sh` and `/bin/bash` of the init image: a script of the converter is run natively, as one plan; everything else
//! goes to busybox as it is. The scripts of `plugins.sandbox` and `plugins.ssh` copy programs that nobody but Polyaxon can
//! ship: they end before the first copy, with an error that says so.

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

/// A program that a plugin's script copies into main's tools, and the plugin. They are closed parts of Polyaxon's own init
/// image; an image that has them all the same is used as it is.
const CLOSED: [(&str, &str); 2] =
    [("/usr/bin/bootstrap-ssh.sh", "plugins.ssh"), ("/usr/bin/plx-exec", "plugins.sandbox")];

/// Runs what a shell was asked to run.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let text = match args {
        [_, flag, text] if flag == "-c" => text.to_str(),
        _ => None,
    };
    if let Some(steps) = text.and_then(parse) {
        return crate::run(async move |env, stop| Ok(script::run(&steps, &env, &stop).await?));
    }
    let failure = text.and_then(closed_tools).unwrap_or_else(|| busybox(&args[1..]));
    plx_runtime::run("plx-init", async move |_, _| Err::<Report, _>(failure))
}

/// What stands in the way of a tools script.
fn closed_tools(text: &str) -> Option<Failure> {
    let (program, plugin) = CLOSED.into_iter().find(|(program, _)| {
        text.contains(&format!("cp {program} /opt/polyaxon/bin/")) && !Path::new(program).exists()
    })?;
    let message = format!("{plugin} needs {program}, which only Polyaxon's own init image holds");
    let next = format!(
        "remove {plugin} from the operation (plugins.tmux works), or add its programs to an image made from this one"
    );
    Some(Failure::new(Class::Config, message).with_next(next))
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
