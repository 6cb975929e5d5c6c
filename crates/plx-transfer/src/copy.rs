//! Copies between two folders of this machine: by reference where the file system can, in the kernel where not.

use crate::grows::hash_of;
use crate::place::Place;
use crate::still::Held;
use crate::{Present, Progress, TransferError};
use plx_contract::layout::TEMP_PREFIX;
use plx_contract::{RelPath, Stat};
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Copied in one call; between two of them a stop is seen.
pub(crate) const CHUNK: u64 = 32 << 20;

/// Something in a folder.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Its name below the folder that is walked.
    pub rel: RelPath,
    pub kind: Kind,
}

impl Found {
    /// The folder that is walked.
    pub(crate) fn folder() -> Self {
        Self { rel: RelPath::root(), kind: Kind::Folder }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    File { source: PathBuf, size: u64 },
    Folder,
    Link { to: PathBuf },
}

/// Walks a folder of a mount. Links that stay within the folder are links again on the other side; others are followed
/// as long as they stay within `boundary`, the mount. Everything else is an error of its own, and the walk goes on.
pub(crate) fn walk(root: &Path, boundary: &Path, each: &mut dyn FnMut(Result<Found, TransferError>)) {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Walk { boundary: real(boundary), root: real(root), above: Vec::new() }.folder(
        root,
        &RelPath::root(),
        each,
    );
}

struct Walk {
    boundary: PathBuf,
    /// The real folder that the walk began at.
    root: PathBuf,
    /// The real folders that lead to here through links: a link to one of them is a loop.
    above: Vec<PathBuf>,
}

impl Walk {
    fn folder(&mut self, root: &Path, below: &RelPath, each: &mut dyn FnMut(Result<Found, TransferError>)) {
        let entries = walkdir::WalkDir::new(root)
            .min_depth(1)
            .follow_links(false)
            .into_iter()
            .filter_entry(|entry| !entry.file_name().to_string_lossy().starts_with(TEMP_PREFIX));
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let path = error.path().unwrap_or(root).to_owned();
                    let source =
                        error.into_io_error().unwrap_or_else(|| io::Error::other("a loop of folders"));
                    each(Err(TransferError::disk("read", &path, source)));
                    continue;
                }
            };
            let rel = match entry.path().strip_prefix(root).ok().and_then(Path::to_str).map(RelPath::parse) {
                Some(Ok(rel)) => below.join(&rel),
                _ => {
                    each(Err(TransferError::Unsafe {
                        at: entry.path().display().to_string(),
                        why: "its name is not UTF-8".to_owned(),
                    }));
                    continue;
                }
            };
            let kind = entry.file_type();
            if kind.is_symlink() {
                self.link(root, entry.path(), rel, each);
            } else if kind.is_dir() {
                each(Ok(Found { rel, kind: Kind::Folder }));
            } else if kind.is_file() {
                let size = entry.metadata().map_or(0, |metadata| metadata.len());
                each(Ok(Found { rel, kind: Kind::File { source: entry.into_path(), size } }));
            } else {
                each(Err(TransferError::Unsafe {
                    at: entry.path().display().to_string(),
                    why: "it is neither a file, a folder nor a link".to_owned(),
                }));
            }
        }
    }

    fn link(
        &mut self,
        root: &Path,
        path: &Path,
        rel: RelPath,
        each: &mut dyn FnMut(Result<Found, TransferError>),
    ) {
        let refused = |why: String| TransferError::Unsafe { at: path.display().to_string(), why };
        let to = match std::fs::read_link(path) {
            Ok(to) => to,
            Err(error) => return each(Err(TransferError::disk("read link", path, error))),
        };
        let real = path.canonicalize();
        // Its own steps may stay inside while another link on its way leads out: where it ends counts too.
        let ends_within = real.as_ref().map_or(true, |real| real.starts_with(&self.root));
        if self.above.is_empty() && ends_within && stays_within(root, path, &to) {
            return each(Ok(Found { rel, kind: Kind::Link { to } }));
        }
        let Ok(real) = real else {
            return each(Err(refused(format!("it is a link to {}, which does not exist", to.display()))));
        };
        if !real.starts_with(&self.boundary) {
            return each(Err(refused(format!(
                "it is a link to {}, outside of the connection",
                to.display()
            ))));
        }
        match std::fs::metadata(&real) {
            Ok(metadata) if metadata.is_file() => {
                each(Ok(Found { rel, kind: Kind::File { source: real, size: metadata.len() } }));
            }
            Ok(metadata) if metadata.is_dir() => {
                let loops =
                    path.starts_with(&real) || self.above.iter().any(|above| above.starts_with(&real));
                if loops {
                    return each(Err(refused(format!("it is a link to {}, a loop", to.display()))));
                }
                each(Ok(Found { rel: rel.clone(), kind: Kind::Folder }));
                self.above.push(real.clone());
                self.folder(&real, &rel, each);
                self.above.pop();
            }
            Ok(_) => each(Err(refused("it is a link to neither a file nor a folder".to_owned()))),
            Err(error) => each(Err(TransferError::disk("read", path, error))),
        }
    }
}

/// True for a relative link whose steps, taken one by one, never leave `root`.
fn stays_within(root: &Path, link: &Path, to: &Path) -> bool {
    let Some(depth) = link.strip_prefix(root).ok().map(|rel| rel.components().count()) else { return false };
    let mut depth = depth.saturating_sub(1);
    for part in to.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    true
}

/// What a copy did.
pub(crate) enum Copied {
    /// The whole of one version.
    Whole { stat: Stat, bytes: u64, present: Present },
    /// The file changed in the meantime; nothing was published.
    Changed,
    /// The file is not there any more.
    Vanished,
}

/// Copies one file under its final name: the version that was `held`, where one is given, and no other. Of a file that
/// grows it is the bytes that were there when it was looked at, whatever has come behind them since. A `durable` copy is
/// on the platter before it has its name.
pub(crate) fn file(
    source: &Path,
    place: &Place,
    name: &RelPath,
    held: Option<Held>,
    durable: bool,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<Copied, TransferError> {
    let from = match File::open(source) {
        Ok(from) => from,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Copied::Vanished),
        Err(error) => return Err(TransferError::disk("read", source, error)),
    };
    let unread = |error| TransferError::disk("read", source, error);
    if durable {
        crate::upload::show_mapped_writes(&from);
    }
    let found = crate::still::status(&from).map_err(unread)?;
    let held = held.unwrap_or(Held::Still(found));
    let Some(stat) = held.of(&found) else { return Ok(Copied::Changed) };
    // What comes behind the end of a file that grows is for the next time. Every other one is read to its end.
    let end = if matches!(held, Held::Grows(_) | Held::Prefix(..)) { stat.size } else { u64::MAX };
    let temp = place.temp(name)?;
    let written = |error| place.failed("write", name, error);
    if rustix::fs::ioctl_ficlone(temp.file(), &from).is_ok() {
        let cloned = temp.file().metadata().map_err(written)?.len();
        if cloned < stat.size {
            return Ok(Copied::Changed);
        }
        if cloned > end {
            temp.file().set_len(end).map_err(written)?;
        }
        progress.moved(stat.size);
    } else {
        let mut copied = 0;
        loop {
            if stop.is_cancelled() {
                return Err(TransferError::Stopped { at: source.display().to_string(), last: None });
            }
            // The standard library copies file to file inside the kernel (copy_file_range, then sendfile).
            let chunk = CHUNK.min(end - copied);
            let moved = io::copy(&mut (&from).take(chunk), &mut temp.file()).map_err(written)?;
            progress.moved(moved);
            copied += moved;
            if moved < chunk || copied == end {
                break;
            }
            // The rest of it would be copied for nothing.
            if held.of(&crate::still::glance(&from).map_err(unread)?).is_none() {
                return Ok(Copied::Changed);
            }
        }
        if copied != stat.size {
            return Ok(Copied::Changed);
        }
    }
    if held.of(&crate::still::status(&from).map_err(unread)?).is_none() {
        return Ok(Copied::Changed);
    }
    if let Held::Prefix(stat, wanted) = held
        && hash_of(temp.file(), stat.size, source, stop)? != Some(wanted)
    {
        return Ok(Copied::Changed);
    }
    temp.file().set_permissions(Permissions::from_mode(stat.mode & 0o777)).map_err(written)?;
    if durable {
        // On NFS a write error may come only now; before the rename it is still harmless.
        temp.file().sync_all().map_err(written)?;
    }
    // A new name changes neither size nor time of modification.
    let present = Present::on_volume(&temp.file().metadata().map_err(written)?);
    temp.publish()?;
    Ok(Copied::Whole { stat, bytes: stat.size, present })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_inside_stay_links_and_links_outside_the_mount_are_refused() {
        let mount = tempfile::tempdir().unwrap();
        let model = mount.path().join("model");
        std::fs::create_dir_all(model.join("ckpt-5")).unwrap();
        std::fs::create_dir_all(mount.path().join("shared")).unwrap();
        std::fs::write(model.join("ckpt-5/w"), "w").unwrap();
        std::fs::write(mount.path().join("shared/tok"), "t").unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, model.join(name)).unwrap();
        link("ckpt-5", "latest");
        link("../shared/tok", "tok");
        link("../shared", "dir");
        link("/etc/passwd", "pw");
        link("../model", "loop");
        link("../nothing", "dangling");
        let (mut seen, mut errors) = (Vec::new(), Vec::new());
        walk(&model, mount.path(), &mut |found| match found {
            Ok(found) => seen.push(format!(
                "{} {}",
                found.rel,
                match found.kind {
                    Kind::File { .. } => "file".to_owned(),
                    Kind::Folder => "folder".to_owned(),
                    Kind::Link { to } => format!("-> {}", to.display()),
                }
            )),
            Err(error) => errors.push(error.to_string()),
        });
        seen.sort();
        assert_eq!(
            seen,
            ["ckpt-5 folder", "ckpt-5/w file", "dir folder", "dir/tok file", "latest -> ckpt-5", "tok file"]
        );
        assert_eq!(errors.len(), 3, "{errors:#?}");
    }

    #[test]
    fn of_a_large_log_the_beginning_that_was_marked_is_copied_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (source, to) = (folder.path().join("log"), folder.path().join("to"));
        std::fs::create_dir(&to).unwrap();
        std::fs::write(&source, "one\ntwo\n").unwrap();
        let (seen, stop) = (Stat::of(&std::fs::metadata(&source).unwrap()), CancellationToken::new());
        let hash = hash_of(&File::open(&source).unwrap(), 8, &source, &stop).unwrap().expect("text");
        let copied = || {
            let (place, name) = (Place::existing(&to).unwrap(), RelPath::parse("log").unwrap());
            let held = Some(Held::Prefix(seen, hash));
            file(&source, &place, &name, held, true, &Progress::default(), &stop).unwrap()
        };
        std::fs::write(&source, "one\ntwo\nthree\n").unwrap();
        assert!(matches!(copied(), Copied::Whole { bytes: 8, .. }));
        assert_eq!(std::fs::read_to_string(to.join("log")).unwrap(), "one\ntwo\n");
        std::fs::write(&source, "ONE\ntwo\nthree\n").unwrap();
        assert!(matches!(copied(), Copied::Changed), "it is as long, and another");
        assert_eq!(std::fs::read_to_string(to.join("log")).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn of_a_file_that_grows_the_bytes_that_were_seen_are_copied_and_of_another_none() {
        let folder = tempfile::tempdir().unwrap();
        let (source, to) = (folder.path().join("log"), folder.path().join("to"));
        std::fs::create_dir(&to).unwrap();
        let place = Place::existing(&to).unwrap();
        let seen_of = |text: &str| {
            std::fs::write(&source, text).unwrap();
            Stat::of(&std::fs::metadata(&source).unwrap())
        };
        let copied = |held| {
            let (progress, stop) = (Progress::default(), CancellationToken::new());
            let name = RelPath::parse("log").unwrap();
            file(&source, &place, &name, Some(held), true, &progress, &stop).unwrap()
        };
        let seen = seen_of("one\n");
        std::fs::write(&source, "one\ntwo\n").unwrap();
        assert!(matches!(copied(Held::Still(seen)), Copied::Changed), "it is not still");
        let Copied::Whole { stat, bytes, .. } = copied(Held::Grows(seen)) else { panic!("it only grew") };
        assert!(stat.same_version(&seen), "what came behind it must show as another version");
        assert_eq!((bytes, std::fs::read_to_string(to.join("log")).unwrap().as_str()), (4, "one\n"));
        let seen = seen_of("one\ntwo\nthree\n");
        std::fs::write(&source, "four\n").unwrap();
        assert!(matches!(copied(Held::Grows(seen)), Copied::Changed), "it is shorter");
        let seen = seen_of("one\n");
        // The one before is kept, so that the new one is another file.
        std::fs::rename(&source, folder.path().join("log.1")).unwrap();
        std::fs::write(&source, "one\ntwo\n").unwrap();
        assert!(matches!(copied(Held::Grows(seen)), Copied::Changed), "it is another file");
        assert_eq!(std::fs::read_to_string(to.join("log")).unwrap(), "one\n");
    }
}
