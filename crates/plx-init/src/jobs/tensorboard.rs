//! `tensorboard`: the logs of runs, and a script that shows them (`polyaxon/_init/tensorboard.py`).
//!
//! The reference fetches nothing from buckets, because no connection is named on its command line; here the
//! catalog's only connection is used, or the one that the source lies in.

use crate::jobs::artifacts::Options;
use crate::jobs::fetch::{self, Fetched};
use crate::jobs::generated;
use crate::{InitError, cli::CommonArgs, say};
use clap::Args;
use plx_contract::connection::{Catalog, Connection, Kind};
use plx_contract::env::SharedEnv;
use plx_contract::mode::chmod;
use plx_contract::run::{self, RunUuid};
use plx_contract::{Env, RelPath};
use plx_runtime::{DiskFiles, Report, Stop};
use plx_track::{Api, Client, Settings};
use plx_transfer::{Want, WantKind};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Options of `initializer tensorboard`.
#[derive(Debug, Args)]
pub struct TensorboardArgs {
    /// The store, or the folder in it that holds the runs.
    #[arg(long, value_name = "PATH")]
    pub(crate) context_from: String,
    /// The folder that gets `tensorboard/` and `start_tensorboard`.
    #[arg(long, value_name = "DIR")]
    pub(crate) context_to: PathBuf,
    /// Kind of the connection, for the message.
    #[arg(long, value_name = "KIND")]
    pub(crate) connection_kind: Option<String>,
    /// The connection; by default the catalog's only one, or the one that the source lies in.
    #[arg(long, value_name = "NAME")]
    pub(crate) connection_name: Option<String>,
    /// Port of the started tensorboard.
    #[arg(long, value_name = "N", default_value_t = 6006)]
    pub(crate) port: u16,
    /// The runs, separated by commas.
    #[arg(long, value_name = "UUIDS", value_delimiter = ',', alias = "uid")]
    pub(crate) uuids: Vec<String>,
    /// Calls the folders by the runs' names in place of their uuids.
    #[arg(long)]
    pub(crate) use_names: bool,
    /// What stands before every path of the started tensorboard.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) path_prefix: Option<String>,
    /// Python packages to install first, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) plugins: Vec<String>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Fetches the logs and writes the script.
///
/// # Errors
/// When a run has no logs, the store refuses, or the target cannot be written.
pub async fn run(args: &TensorboardArgs, env: &impl SharedEnv, stop: &Stop) -> Result<Report, InitError> {
    let script = script(args)?;
    let uuids = uuids(&args.uuids)?;
    let connection = connection(args, env)?;
    let (opened, base) = plx_store::open_at(&connection, &args.context_from, env, &DiskFiles)?;
    let folders = folders(&uuids, args.use_names, env).await?;
    let mut wants = Vec::new();
    for (uuid, folder) in uuids.iter().zip(&folders) {
        let logs = RelPath::parse(&format!("{uuid}/outputs/tensorboard"))?;
        let to = RelPath::parse(&format!("tensorboard/{folder}"))?;
        wants.push(Want { from: base.join(&logs), to, kind: WantKind::Folder });
    }
    let options = Options {
        workers: args.common.workers,
        optional: args.common.optional,
        dry_run: args.common.dry_run,
        resume: false,
    };
    let (objects, bytes) = match fetch::fetch(&opened, wants, &args.context_to, &options, env, stop).await? {
        Fetched::Shown => return Ok(Report::done()),
        Fetched::Nothing => (0, 0),
        Fetched::Placed { objects, bytes } => (objects, bytes),
    };
    let kind = args.connection_kind.clone().unwrap_or_else(|| connection.kind.to_string());
    for folder in &folders {
        let path = args.context_to.join("tensorboard").join(folder);
        say::line(&format!("{kind} path is initialized, path: `{}`", path.display()));
    }
    let (new, umask) = generated::new_mode();
    let mode = chmod(new, "+x", umask).unwrap_or(new);
    let written = generated::write(&args.context_to, "start_tensorboard", script.as_bytes(), mode, None)?;
    let message = format!("Tensorboard script is initialized, path: `{}`", written.path.display());
    say::line(&message);
    Ok(fetch::report(message, objects, bytes))
}

fn uuids(given: &[String]) -> Result<Vec<RunUuid>, InitError> {
    let mut seen = BTreeSet::new();
    let given = given.iter().map(|uuid| uuid.trim()).filter(|uuid| !uuid.is_empty());
    given
        .filter(|uuid| seen.insert(uuid.to_owned()))
        .map(|uuid| {
            RunUuid::new(uuid)
                .map_err(|error| InitError::Argument { flag: "--uuids", reason: error.to_string() })
        })
        .collect()
}

fn connection(args: &TensorboardArgs, env: &impl Env) -> Result<Connection, InitError> {
    let catalog = Catalog::from_env(env)?;
    if let Some(name) = &args.connection_name {
        return Ok(catalog.find(name)?.clone());
    }
    let stores: Vec<&Connection> =
        catalog.connections.iter().filter(|connection| connection.kind.is_artifacts()).collect();
    let from = &args.context_from;
    let holds = |connection: &&&Connection| {
        connection.store_path().is_ok_and(|path| {
            from.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    match (stores.as_slice(), stores.iter().find(holds)) {
        ([only], _) => Ok((*only).clone()),
        (_, Some(found)) => Ok((**found).clone()),
        // A folder of this machine: what the reference always takes it for.
        ([], None) if Path::new(from).is_absolute() => {
            let schema = json!({"hostPath": from, "mountPath": from});
            let json = json!({"name": from, "kind": Kind::HostPath.as_str(), "schema": schema});
            serde_json::from_value(json)
                .map_err(|error| InitError::Argument { flag: "--context-from", reason: error.to_string() })
        }
        _ => Err(InitError::Argument {
            flag: "--context-from",
            reason: format!("`{from}` lies in no connection of the catalog: give --connection-name"),
        }),
    }
}

/// The folder of each run: its uuid, or its name.
async fn folders(uuids: &[RunUuid], use_names: bool, env: &impl SharedEnv) -> Result<Vec<String>, InitError> {
    if !use_names {
        return Ok(uuids.iter().map(ToString::to_string).collect());
    }
    let off = |by: &str| InitError::Argument {
        flag: "--use-names",
        reason: format!("names come from the tracking API, which {by} switches off"),
    };
    let settings = match Settings::read(env, &DiskFiles)? {
        Api::On(settings) => settings,
        Api::Off(by) => return Err(off(by)),
    };
    let run = run::from_env(env)?;
    let client = Client::new(settings)?;
    let wanted: Vec<&str> = uuids.iter().map(RunUuid::as_str).collect();
    let found = client.runs(&run.owner, &run.project, &wanted).await?;
    let names: Vec<(String, String)> =
        found.into_iter().map(|run| (run.uuid, run.name.unwrap_or_default())).collect();
    Ok(named(uuids, &names))
}

/// A name that two runs have is followed by the first ten digits of the second one's uuid. A run without a name, or with
/// one that is no folder's, keeps its uuid.
fn named(uuids: &[RunUuid], names: &[(String, String)]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let folder = |uuid: &RunUuid| {
        let found = names.iter().find(|(known, _)| known == uuid.as_str()).map(|(_, name)| name.as_str());
        let usable = found.filter(|name| {
            !name.is_empty() && !name.contains('/') && RelPath::parse(name).is_ok_and(|path| !path.is_root())
        });
        let Some(name) = usable else { return uuid.to_string() };
        if taken.insert(name.to_owned()) {
            return name.to_owned();
        }
        let digits: String = uuid.as_str().chars().take(10).collect();
        let longer = format!("{name}-{digits}");
        // Two runs in one folder would be one run.
        if taken.insert(longer.clone()) { longer } else { uuid.to_string() }
    };
    uuids.iter().map(folder).collect()
}

/// One line for `sh`. Whatever came from a user is one word of it.
fn script(args: &TensorboardArgs) -> Result<String, InitError> {
    let word = |flag: &'static str, text: &str| {
        shlex::try_quote(text)
            .map(|word| word.into_owned())
            .map_err(|_| InitError::Argument { flag, reason: "it holds a zero byte".to_owned() })
    };
    let mut line = String::new();
    let plugins: Vec<&str> =
        args.plugins.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
    if !plugins.is_empty() {
        line.push_str("pip install");
        for plugin in plugins {
            if plugin.starts_with('-') {
                return Err(InitError::Argument {
                    flag: "--plugins",
                    reason: format!("`{plugin}` is an option and no package"),
                });
            }
            line.push(' ');
            line.push_str(&word("--plugins", plugin)?);
        }
        line.push_str(" && ");
    }
    let logs = args.context_to.join("tensorboard");
    let logs = logs
        .to_str()
        .ok_or(InitError::Argument { flag: "--context-to", reason: "it is not UTF-8".to_owned() })?;
    let prefix = args.path_prefix.as_deref().filter(|prefix| !prefix.is_empty());
    let prefix = prefix.map(|prefix| word("--path-prefix", prefix)).transpose()?.unwrap_or_default();
    line.push_str(&format!(
        "tensorboard  --logdir={} --port={} --path_prefix={prefix} --host=0.0.0.0",
        word("--context-to", logs)?,
        args.port
    ));
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: TensorboardArgs,
    }

    fn parsed(more: &[&str]) -> TensorboardArgs {
        let fixed = ["x", "--context-from=/s", "--context-to=/plx-context/artifacts"];
        Line::try_parse_from(fixed.iter().chain(more)).expect("parses").args
    }

    #[test]
    fn the_script_is_the_references_and_its_words_stay_words() {
        let line = |more: &[&str]| script(&parsed(more)).expect("a script");
        assert_eq!(
            line(&["--port=6006", "--path-prefix=/p/x", "--plugins=plug1,plug2"]),
            "pip install plug1 plug2 && tensorboard  --logdir=/plx-context/artifacts/tensorboard --port=6006 \
             --path_prefix=/p/x --host=0.0.0.0"
        );
        assert!(
            line(&[]).starts_with("tensorboard  --logdir=") && line(&[]).contains("--path_prefix= --host")
        );
        let odd = line(&["--path-prefix=/a b; rm -rf $HOME", "--plugins=x && y,z[extra]>=1"]);
        assert!(odd.contains("--path_prefix='/a b; rm -rf $HOME' "), "{odd}");
        assert!(odd.starts_with("pip install 'x && y' 'z[extra]>=1' && "), "{odd}");
        assert!(script(&parsed(&["--plugins=--index-url=http://evil"])).is_err());
    }

    #[test]
    fn runs_of_one_name_are_told_apart() {
        let all =
            uuids(&["c7c0a8a6d6914b8a".into(), "11c0a8a6d6914b8a".into(), "22c0".into()]).expect("uuids");
        let name = |uuid: &str, name: &str| (uuid.to_owned(), name.to_owned());
        let names = [name("c7c0a8a6d6914b8a", "exp"), name("11c0a8a6d6914b8a", "exp"), name("22c0", "../x")];
        assert_eq!(named(&all, &names), ["exp", "exp-11c0a8a6d6", "22c0"]);
        assert_eq!(named(&all, &[]), ["c7c0a8a6d6914b8a", "11c0a8a6d6914b8a", "22c0"]);
    }
}
