//! plx-pod without processes: documents, templates, plans, lines, exit codes.

mod collecting;
mod connecting;
mod documents;
mod ends;
mod planning;
mod rendering;
mod texts;

use plx_contract::credential::Files;
use plx_pod::cli::RunArgs;
use plx_pod::connections::Stores;
use plx_pod::plan::{self, Pod};
use plx_pod::settings::Settings;
use plx_runtime::Failure;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

type Vars = BTreeMap<String, String>;

fn vars(pairs: &[(&str, &str)]) -> Vars {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// No mounted secrets.
struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Option<String>> {
        Ok(None)
    }
}

/// The pod of a document in `/w` with run uuid `u1`.
fn pod_of(document: &str, words: &[&str], caller: &Vars) -> Result<Pod, Failure> {
    let words = [&["f.yaml", "--run-uuid", "u1"], words].concat();
    let args = RunArgs::from_words(&words).expect("a command line");
    let settings = Settings::settle(&args, Path::new("/w"))?;
    let loaded = plx_pod::document::parse("f.yaml", document)?;
    let stores = Stores::choose(&args, &settings, Path::new("/w"), caller, &NoFiles)?;
    plan::pod(&loaded, &settings, &stores, caller)
}

/// A component with this `run` section, its lines indented by two.
fn component(run: &str) -> String {
    format!("version: 1.1\nkind: component\nrun:\n  kind: job\n{run}")
}
