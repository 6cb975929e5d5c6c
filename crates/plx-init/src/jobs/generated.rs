//! A file that is generated: read its context, write it, copy it to the outputs.

use crate::InitError;
use plx_contract::lineage::Artifact;
use plx_contract::{Env, Layout, RelPath};
use plx_runtime::{DiskFiles, umask};
use plx_track::Tracker;
use plx_transfer::{Place, TransferError};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The mode of a new file before the umask.
pub(super) const NEW: u32 = 0o666;

/// A context as an argument: JSON, YAML, or the path of a file that holds either.
pub(super) fn context(flag: &'static str, raw: &str) -> Result<Value, InitError> {
    let wrong = |reason: String| InitError::Argument { flag, reason };
    let is_file = !raw.trim_start().starts_with('{') && fs::metadata(raw).is_ok_and(|found| found.is_file());
    let text = match is_file.then(|| fs::read_to_string(raw)) {
        None => raw.to_owned(),
        Some(Ok(text)) => text,
        Some(Err(error)) => return Err(wrong(format!("read {raw}: {error}"))),
    };
    if let Ok(value) = serde_json::from_str(&text) {
        return Ok(value);
    }
    match serde_saphyr::from_str::<Value>(&text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        // Any text at all is YAML: a word is a path that leads nowhere as like as not.
        Ok(_) => Err(wrong("it is neither a JSON or YAML object nor a file that holds one".to_owned())),
        Err(error) => {
            let at = error.location().map(|at| format!(" (line {} column {})", at.line(), at.column()));
            // The message may quote the content, which may be a secret.
            Err(wrong(format!("it is neither JSON nor YAML{}", at.unwrap_or_default())))
        }
    }
}

/// The mode of a new file after this process's umask, and the umask.
pub(super) fn new_mode() -> (u32, u32) {
    let umask = umask(&DiskFiles);
    (NEW & !umask, umask)
}

/// Where it was written.
pub(super) struct Written {
    /// The file itself.
    pub path: PathBuf,
    /// The copy, if one was asked for.
    pub copy: Option<PathBuf>,
}

impl Written {
    /// The copy, else the file.
    pub fn last(&self) -> &Path {
        self.copy.as_deref().unwrap_or(&self.path)
    }
}

impl Written {
    /// Records it as an input of the run, as far as the tracking API is there. Only what lies in the run's own folder or
    /// beside it has a place in its lineage, and that is all the platform asks for.
    pub async fn track(&self, wanted: bool, kind: &str, hash: &str, env: &impl Env) {
        if !wanted {
            return;
        }
        let tracker = Tracker::start(env, &DiskFiles);
        if let Some(run) = tracker.run() {
            let artifact = Artifact::written(&Layout::from_env(env), &run.uuid, self.last(), kind, hash);
            tracker.artifacts(vec![artifact]);
        }
        tracker.finish().await;
    }
}

/// Writes content below a folder, and again under its last name below the folder of copies.
pub(super) fn write(
    folder: &Path,
    name: &str,
    content: &[u8],
    mode: u32,
    copies: Option<&Path>,
) -> Result<Written, InitError> {
    let rel = RelPath::parse(name)?;
    // The reference takes an absolute name for itself, and so leaves the folder.
    if rel.is_root() || name.starts_with('/') {
        let reason = format!("`{name}` names no file below {}", folder.display());
        return Err(InitError::Argument { flag: "filename", reason });
    }
    let failed = |error: TransferError| InitError::Transfer { errors: vec![error] };
    let place = Place::open(folder).map_err(failed)?;
    place.put(&rel, content, mode).map_err(failed)?;
    let mut written = Written { path: rel.beneath(folder), copy: None };
    if let Some(copies) = copies {
        let last = RelPath::parse(rel.name())?;
        Place::open(copies).and_then(|place| place.put(&last, content, mode)).map_err(failed)?;
        written.copy = Some(last.beneath(copies));
    }
    Ok(written)
}
