//! What the API was told, in memory and on disk: a restarted sidecar does not tell everything again.

use plx_contract::{Stat, layout};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

const NAME: &str = "summaries.json";
/// The form of the file.
const VERSION: u32 = 1;

/// Device, inode, size, mtime, ctime: a version of a file, as the journal knows it.
type Version = (u64, u64, u64, i64, i64);

/// The file `summaries.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    version: u32,
    /// By the path below the run's folder.
    files: BTreeMap<String, Version>,
    /// Outputs whose lineage was taken, but not they themselves.
    outputs: Map<String, Value>,
}

/// What the API was told.
#[derive(Debug)]
pub(super) struct Told {
    path: PathBuf,
    known: Known,
    /// The disk did not take it, and that was said.
    unsaved: bool,
}

impl Told {
    /// What stands in the pod's folder. A file that cannot be used is none: then all is told again, which does no harm.
    pub fn open(folder: &Path) -> Self {
        let path = folder.join(NAME);
        let known = read(&path).unwrap_or_else(|error| {
            tracing::warn!("{}: {error}; all summaries are sent again", path.display());
            None
        });
        Self {
            path,
            known: known.unwrap_or_else(|| Known { version: VERSION, ..Known::default() }),
            unsaved: false,
        }
    }

    /// Whether it was told of this version of a file.
    pub fn has(&self, path: &str, stat: &Stat) -> bool {
        self.known.files.get(path) == Some(&version(stat))
    }

    /// It was told of this version of a file.
    pub fn took(&mut self, path: String, stat: &Stat) {
        self.known.files.insert(path, version(stat));
    }

    /// Files it was told of.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.known.files.len()
    }

    /// Forgets the files that are not to be kept; on disk with the next that is taken.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.known.files.retain(|path, _| keep(path));
    }

    /// Outputs it has to be told yet.
    pub fn outputs(&mut self) -> &mut Map<String, Value> {
        &mut self.known.outputs
    }

    /// Writes it in one step. A disk that does not take it is one warning: after a restart summaries are sent again.
    pub fn save(&mut self) {
        let result = self.write();
        if let Err(error) = &result
            && !self.unsaved
        {
            tracing::warn!("{}: {error}; after a restart summaries are sent again", self.path.display());
        }
        self.unsaved = result.is_err();
    }

    fn write(&self) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let temp = self.path.with_file_name(format!("{}{NAME}", layout::TEMP_PREFIX));
        fs::write(&temp, serde_json::to_vec(&self.known)?)?;
        fs::rename(&temp, &self.path)
    }
}

fn version(stat: &Stat) -> Version {
    (stat.dev, stat.ino, stat.size, stat.mtime_ns, stat.ctime_ns)
}

fn read(path: &Path) -> io::Result<Option<Known>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let known: Known = serde_json::from_slice(&text)?;
    if known.version != VERSION {
        return Err(io::Error::other(format!("version {}, wanted {VERSION}", known.version)));
    }
    Ok(Some(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_outlives_its_process_and_a_file_that_is_none_costs_nothing_but_calls() {
        let folder = tempfile::tempdir().unwrap();
        let pod = folder.path().join("pod-1");
        let stat = Stat { dev: 1, ino: 2, size: 3, mtime_ns: 4, ctime_ns: 5, mode: 6 };
        let mut told = Told::open(&pod);
        told.took("events/metric/a.plx".to_owned(), &stat);
        told.outputs().insert("a".to_owned(), json!(1.5));
        told.save();
        let mut again = Told::open(&pod);
        assert!(again.has("events/metric/a.plx", &Stat { mode: 0, ..stat }));
        assert!(!again.has("events/metric/a.plx", &Stat { size: 4, ..stat }));
        assert_eq!(again.outputs()["a"], json!(1.5));

        for text in ["{\"version\":2,\"files\":{},\"outputs\":{}}", "{\"version\":1,\"fil"] {
            fs::write(pod.join(NAME), text).unwrap();
            assert!(!Told::open(&pod).has("events/metric/a.plx", &stat), "{text}");
        }
    }
}
