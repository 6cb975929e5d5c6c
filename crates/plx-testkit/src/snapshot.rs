//! What a folder or a bucket holds, to compare.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStore, ObjectStoreExt as _};
use walkdir::WalkDir;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::tree::because;

/// Size and hash (xxh3, 64 bits) of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Bytes.
    pub size: u64,
    /// Over all bytes.
    pub hash: u64,
}

impl Content {
    /// Of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, hash: xxh3_64(bytes) }
    }
}

/// Files by relative path with `/`, and the folders that hold nothing.
///
/// Symbolic links are not followed: one stands as a file whose content is `-> target`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What is there.
    pub files: BTreeMap<String, Content>,
    /// Folders without any entry. Buckets have none.
    pub empty_dirs: BTreeSet<String>,
}

impl Snapshot {
    /// Of a folder, read as a stream.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        for entry in WalkDir::new(dir).min_depth(1).sort_by_file_name() {
            let entry = entry?;
            let path = entry.path();
            let name =
                path.strip_prefix(dir).expect("a walk stays below its root").to_string_lossy().into_owned();
            if entry.file_type().is_dir() {
                if fs::read_dir(path)?.next().is_none() {
                    found.empty_dirs.insert(name);
                }
            } else if entry.file_type().is_symlink() {
                let target = format!("-> {}", fs::read_link(path)?.display());
                found.files.insert(name, Content::of(target.as_bytes()));
            } else {
                let content = read(path).map_err(|error| because("read", path, &error))?;
                found.files.insert(name, content);
            }
        }
        Ok(found)
    }

    /// Of the objects below a prefix, or of all, read as streams; keys are taken literally.
    pub async fn of_store(store: &dyn ObjectStore, prefix: &str) -> object_store::Result<Self> {
        let root = object_store::path::Path::parse(prefix)?;
        let objects: Vec<_> = store.list((!prefix.is_empty()).then_some(&root)).try_collect().await?;
        let reads = objects.into_iter().map(|object| {
            let root = &root;
            async move {
                let key = object.location.as_ref();
                let name = key.strip_prefix(root.as_ref()).unwrap_or(key).trim_start_matches('/').to_owned();
                let mut bytes = store.get(&object.location).await?.into_stream();
                let (mut size, mut hash) = (0, Xxh3::new());
                while let Some(piece) = bytes.try_next().await? {
                    size += piece.len() as u64;
                    hash.update(&piece);
                }
                Ok::<_, object_store::Error>((name, Content { size, hash: hash.digest() }))
            }
        });
        let files = futures::stream::iter(reads).buffer_unordered(8).try_collect().await?;
        Ok(Self { files, empty_dirs: BTreeSet::new() })
    }

    /// The part below a folder, with paths relative to it.
    #[must_use]
    pub fn under(&self, dir: &str) -> Self {
        let below = |path: &str| path.strip_prefix(dir)?.strip_prefix('/').map(str::to_owned);
        let files = self.files.iter().filter_map(|(path, content)| Some((below(path)?, *content)));
        Self {
            files: files.collect(),
            empty_dirs: self.empty_dirs.iter().filter_map(|path| below(path)).collect(),
        }
    }

    /// The same without the paths, files or folders, that `drop` picks.
    #[must_use]
    pub fn without(mut self, drop: impl Fn(&str) -> bool) -> Self {
        self.files.retain(|path, _| !drop(path));
        self.empty_dirs.retain(|path| !drop(path));
        self
    }

    /// One line for each file in which `self`, what is there, differs from `wanted`; empty when none does.
    pub fn diff(&self, wanted: &Self) -> String {
        let mut lines = Vec::new();
        let paths: BTreeSet<&String> = self.files.keys().chain(wanted.files.keys()).collect();
        for path in paths {
            match (self.files.get(path), wanted.files.get(path)) {
                (Some(_), None) => lines.push(format!("+ {path:?} should not be there")),
                (None, Some(_)) => lines.push(format!("- {path:?} is missing")),
                (Some(have), Some(want)) if have.size != want.size => {
                    lines.push(format!("~ {path:?} has {} bytes instead of {}", have.size, want.size));
                }
                (Some(have), Some(want)) if have != want => lines.push(format!("~ {path:?} has other bytes")),
                _ => {}
            }
        }
        lines.join("\n")
    }

    /// As [`Snapshot::diff`], with empty folders too.
    pub fn diff_with_dirs(&self, wanted: &Self) -> String {
        let mut lines = vec![self.diff(wanted)];
        let extra = self.empty_dirs.difference(&wanted.empty_dirs);
        lines.extend(extra.map(|path| format!("+ empty folder {path:?} should not be there")));
        let missing = wanted.empty_dirs.difference(&self.empty_dirs);
        lines.extend(missing.map(|path| format!("- empty folder {path:?} is missing")));
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    }
}

fn read(path: &Path) -> io::Result<Content> {
    let mut file = File::open(path)?;
    let (mut size, mut hash, mut buffer) = (0, Xxh3::new(), vec![0; 64 * 1024]);
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(Content { size, hash: hash.digest() });
        }
        size += length as u64;
        hash.update(&buffer[..length]);
    }
}
