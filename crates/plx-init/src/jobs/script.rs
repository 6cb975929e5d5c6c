//! A store script of Polyaxon's converter, run natively: the same results, and no failure is passed over.
//!
//! The reference's scripts ignore every status but the last one's, skip dotfiles, and let a missing volume source pass.
//! Here all inputs of a store are one plan: if one is missing or refused, nothing of that store is fetched and the container
//! fails. Only a resume (`--sync-fw`, `fswatch`) may find nothing.

use crate::jobs::artifacts::Options;
use crate::jobs::fetch::{self, Fetched};
use crate::jobs::fswatch;
use crate::{InitError, say};
use plx_contract::connection::{Catalog, Connection, Kind};
use plx_contract::env::SharedEnv;
use plx_contract::script::{Copy, Fetch, Step};
use plx_contract::{Layout, RelPath};
use plx_runtime::{DiskFiles, Report, Stop};
use plx_store::Opened;
use plx_transfer::{Place, Want, WantKind};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// One thing to fetch, from wherever.
struct Input {
    connection: String,
    opened: Opened,
    from: RelPath,
    kind: WantKind,
    to: PathBuf,
    /// What is recorded afterwards: a resume.
    record: Option<PathBuf>,
    /// What the reference says when it is done.
    said: Option<String>,
}

/// Runs the steps.
///
/// # Errors
/// The first plan that cannot be carried out whole.
pub async fn run(steps: &[Step], env: &impl SharedEnv, stop: &Stop) -> Result<Report, InitError> {
    let catalog = Catalog::from_env(env)?;
    let mut doors = Doors::default();
    let mut inputs = Vec::new();
    for step in steps {
        match step {
            Step::MakeFolder(path) => {
                Place::open(Path::new(path)).map_err(|error| InitError::Transfer { errors: vec![error] })?;
            }
            Step::CopyFile(copy) => inputs.push(copied(copy, WantKind::File, &catalog, &mut doors, env)?),
            Step::CopyFolder(copy) => inputs.push(copied(copy, WantKind::Folder, &catalog, &mut doors, env)?),
            Step::Fetch(fetch) => inputs.push(fetched(fetch, &catalog, &mut doors, env)?),
        }
    }
    let (resumed, wanted): (Vec<Input>, Vec<Input>) =
        inputs.into_iter().partition(|input| input.record.is_some());
    let mut plans: BTreeMap<(String, String), Vec<Input>> = BTreeMap::new();
    for input in wanted {
        plans.entry((input.connection.clone(), input.opened.to_string())).or_default().push(input);
    }
    let (mut objects, mut bytes) = (0, 0);
    for inputs in resumed.into_iter().map(|one| vec![one]).chain(plans.into_values()) {
        let (some, size) = apply(inputs, env, stop).await?;
        objects += some;
        bytes += size;
    }
    let message = if objects > 0 { format!("{objects} objects fetched") } else { String::new() };
    Ok(fetch::report(message, objects, bytes))
}

/// Fetches inputs of one store as one plan.
async fn apply(inputs: Vec<Input>, env: &impl SharedEnv, stop: &Stop) -> Result<(u64, u64), InitError> {
    let Some(first) = inputs.first() else { return Ok((0, 0)) };
    let target = common(inputs.iter().map(Input::folder));
    let mut wants = Vec::new();
    for input in &inputs {
        let below = input.to.strip_prefix(&target).unwrap_or(&input.to);
        let to = RelPath::parse(&below.to_string_lossy())?;
        wants.push(Want { from: input.from.clone(), to, kind: input.kind });
    }
    let options = Options { resume: first.record.is_some(), ..Options::default() };
    let layout = Layout::from_env(env);
    let _underway = fswatch::announce(options.resume, &layout);
    let (objects, bytes) = match fetch::fetch(&first.opened, wants, &target, &options, env, stop).await? {
        Fetched::Shown | Fetched::Nothing => return Ok((0, 0)),
        Fetched::Placed { objects, bytes } => (objects, bytes),
    };
    for input in &inputs {
        if let Some(record) = &input.record {
            fswatch::record(record, &layout)?;
        }
        if let Some(said) = &input.said {
            say::line(said);
        }
    }
    Ok((objects, bytes))
}

impl Input {
    /// The folder that something lands in.
    fn folder(&self) -> PathBuf {
        match self.kind {
            WantKind::Folder => self.to.clone(),
            WantKind::File | WantKind::Lookup => self.to.parent().unwrap_or(&self.to).to_owned(),
        }
    }
}

/// Connections that are open: a script names the same one for each of its inputs, and each client costs memory.
#[derive(Default)]
struct Doors(BTreeMap<String, Opened>);

impl Doors {
    fn open(
        &mut self,
        connection: &Connection,
        path: &str,
        env: &impl SharedEnv,
    ) -> Result<(Opened, RelPath), InitError> {
        let root = connection.store_path()?;
        let below = path.strip_prefix(root.as_str());
        let below = below.filter(|rest| rest.is_empty() || rest.starts_with('/') || root.ends_with('/'));
        let Some(below) = below else { return Ok(plx_store::open_at(connection, path, env, &DiskFiles)?) };
        let below = RelPath::parse(below)?;
        if let Some(opened) = self.0.get(&connection.name) {
            return Ok((opened.clone(), below));
        }
        let opened = plx_store::open(connection, env, &DiskFiles)?;
        self.0.insert(connection.name.clone(), opened.clone());
        Ok((opened, below))
    }
}

fn fetched(
    fetch: &Fetch,
    catalog: &Catalog,
    doors: &mut Doors,
    env: &impl SharedEnv,
) -> Result<Input, InitError> {
    let connection = catalog.find(&fetch.connection)?;
    let (opened, from) = doors.open(connection, &fetch.from, env)?;
    let kind = match (fetch.is_file, fetch.check_path) {
        (true, _) => WantKind::File,
        (false, true) => WantKind::Lookup,
        (false, false) => WantKind::Folder,
    };
    let to = tidy(&fetch.to);
    Ok(Input {
        connection: connection.name.clone(),
        opened,
        from,
        kind,
        record: fetch.sync_fw.then(|| to.clone()),
        to,
        said: Some(format!("{} path is initialized, path: `{}`", fetch.kind, fetch.to)),
    })
}

fn copied(
    copy: &Copy,
    kind: WantKind,
    catalog: &Catalog,
    doors: &mut Doors,
    env: &impl SharedEnv,
) -> Result<Input, InitError> {
    let connection = mount(&copy.from, catalog)?;
    let (opened, from) = doors.open(&connection, &copy.from, env)?;
    let record = copy.record.as_deref().map(tidy);
    Ok(Input { connection: connection.name, opened, from, kind, to: tidy(&copy.to), record, said: None })
}

/// The connection that a path of this machine lies in; a path in none is its own.
fn mount(path: &str, catalog: &Catalog) -> Result<Connection, InitError> {
    let root = |connection: &Connection| connection.store_path().unwrap_or_default();
    let holds = |connection: &&Connection| {
        let root = root(connection);
        connection.kind.is_mount()
            && path
                .strip_prefix(root.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || root.ends_with('/'))
    };
    let found = catalog.connections.iter().filter(holds).max_by_key(|connection| root(connection).len());
    if let Some(found) = found {
        return Ok(found.clone());
    }
    let parent = Path::new(path).parent().unwrap_or(Path::new("/")).display().to_string();
    let schema = json!({"hostPath": parent, "mountPath": parent});
    let json = json!({"name": parent, "kind": Kind::HostPath.as_str(), "schema": schema});
    serde_json::from_value(json)
        .map_err(|error| InitError::Argument { flag: "script", reason: error.to_string() })
}

/// Without doubled and trailing slashes, which scripts have where a store or a run is the whole of it.
fn tidy(path: &str) -> PathBuf {
    Path::new(path).components().filter(|part| *part != Component::CurDir).collect()
}

/// The deepest folder that holds all of them.
fn common(folders: impl Iterator<Item = PathBuf>) -> PathBuf {
    folders
        .reduce(|one, other| {
            let same = one.components().zip(other.components()).take_while(|(a, b)| a == b);
            same.map(|(part, _)| part).collect()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_plan_lands_below_the_folder_that_all_share() {
        let all = |paths: &[&str]| common(paths.iter().map(|path| tidy(path)));
        assert_eq!(all(&["/a/b/c", "/a/b/d"]), Path::new("/a/b"));
        assert_eq!(all(&["/a/b/", "/a/b//c"]), Path::new("/a/b"));
        assert_eq!(all(&["/a/b"]), Path::new("/a/b"));
        assert_eq!(all(&["/a", "/b"]), Path::new("/"));
    }
}
