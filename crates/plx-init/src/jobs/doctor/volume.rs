//! A mounted folder: can it be read, and written to.

use super::check::{Check, Diagnosis};
use super::{Manner, scratch};
use crate::jobs::fetch::free_below;
use indicatif::HumanBytes;
use plx_contract::{Class, Classified};
use plx_store::Volume;
use plx_transfer::TransferError;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Adds what is seen of a mounted folder.
pub(super) async fn look(diagnosis: &mut Diagnosis, volume: &Volume, manner: &Manner) {
    let (volume, read_only) = (volume.clone(), manner.read_only || volume.read_only);
    let seen = tokio::task::spawn_blocking(move || rows(&volume, read_only));
    // A server that is gone makes every call on its mount hang.
    match tokio::time::timeout(manner.timeout, seen).await {
        Ok(Ok(rows)) => diagnosis.checks.extend(rows),
        Ok(Err(error)) => {
            let said = format!("internal error: {error}");
            diagnosis.add(Check::failed("mount", Class::Bug, None, said, None));
        }
        Err(_) => {
            let said = format!("no answer in {} s", manner.timeout.as_secs());
            let next = "check the file server behind the volume".to_owned();
            diagnosis.add(Check::failed("mount", Class::Unavailable, Some("unreachable"), said, Some(next)));
        }
    }
}

fn rows(volume: &Volume, read_only: bool) -> Vec<Check> {
    let root = &volume.root;
    let free = free_below(root).map_or_else(|| "unknown".to_owned(), |free| HumanBytes(free).to_string());
    let mut rows = vec![Check::ok("mount", format!("{}, {free} free", root.display()))];
    rows.push(match fs::read_dir(root).map(|mut entries| entries.next().is_some()) {
        Ok(some) => Check::ok("list", if some { "there are entries" } else { "it is empty" }),
        Err(error) => failed("list", root, error),
    });
    if read_only {
        let why = if volume.read_only { "the connection is read-only" } else { "only looking (--read-only)" };
        rows.extend(["put", "get", "delete"].map(|name| Check::skipped(name, why)));
        return rows;
    }
    let path = root.join(scratch());
    match write(&path) {
        Ok(()) => rows.push(Check::ok("put", "written and synced")),
        Err(error) => {
            rows.push(failed("put", &path, error));
            // It may be there in part.
            if fs::remove_file(&path).is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
                rows.push(Check::skipped("delete", format!("{} may be left", path.display())));
            }
            return rows;
        }
    }
    rows.push(match fs::read(&path) {
        Ok(read) if read == WORDS => Check::ok("get", "the same bytes came back"),
        Ok(read) => {
            let said = format!("{} bytes came back and they are not those that were put", read.len());
            Check::failed("get", Class::Integrity, None, said, Some("check the volume".to_owned()))
        }
        Err(error) => failed("get", &path, error),
    });
    rows.push(match fs::remove_file(&path) {
        Ok(()) => Check::ok("delete", "nothing is left behind"),
        Err(error) => failed("delete", &path, error),
    });
    rows
}

const WORDS: &[u8] = b"written by plx-init doctor, to be deleted at once\n";

fn write(path: &Path) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(WORDS)?;
    file.sync_all()
}

fn failed(name: &'static str, path: &Path, error: io::Error) -> Check {
    let said = format!("{}: {error}", path.display());
    let error = TransferError::disk(if name == "put" { "write" } else { "read" }, path, error);
    Check::failed(name, error.class(), None, said, error.next_step())
}
