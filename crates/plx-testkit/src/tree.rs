//! Folders made from a seed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use crate::snapshot::{Content, Snapshot};

/// Names that break programs which build URLs, patterns, command lines or XML by hand.
const ODD_NAMES: [&str; 34] = [
    "with space.txt",
    " leading space",
    "trailing space ",
    "two  spaces",
    "plus+plus",
    "percent%sign",
    "pct%20x",
    "pct%2Fslash",
    "hash#tag",
    "question?mark",
    "star*star",
    "[x]",
    "{a,b}",
    "a&b=c",
    "<tag>&amp;",
    "semi;colon,comma",
    "at@colon:dollar$",
    "-dash",
    "--help",
    ".dotfile",
    "..two-dots",
    "trailing dot.",
    "back\\slash",
    "single'quote",
    "double\"quote",
    "`back`tick",
    "tilde~caret^pipe|bang!",
    "grüße",
    "decomposed-e\u{301}",
    "日本語",
    "emoji-🦀",
    "CASE",
    "case",
    "dir with space+plus%25/in#ner/file?.bin",
];

/// A folder to be: files with content from a seed, the same for the same seed, path and size.
///
/// ```no_run
/// # fn f(dir: &std::path::Path) -> std::io::Result<()> {
/// let written = plx_testkit::Tree::new(7).small(100, 4096).file("model.bin", 20 << 20).odd_names().write_to(dir)?;
/// assert_eq!(plx_testkit::Snapshot::of(dir)?.diff(&written), "");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Tree {
    seed: u64,
    files: Vec<(String, u64)>,
    dirs: Vec<String>,
}

impl Tree {
    /// An empty one.
    pub fn new(seed: u64) -> Self {
        Self { seed, files: Vec::new(), dirs: Vec::new() }
    }

    /// `n` files of `size` bytes each, `small/000/00000.bin` and on, a hundred to a folder.
    #[must_use]
    pub fn small(mut self, n: usize, size: u64) -> Self {
        self.files.extend((0..n).map(|i| (format!("small/{:03}/{i:05}.bin", i / 100), size)));
        self
    }

    /// A file. A later one of the same path takes its place.
    #[must_use]
    pub fn file(mut self, path: &str, size: u64) -> Self {
        self.files.push((path.to_owned(), size));
        self
    }

    /// A file of no bytes.
    #[must_use]
    pub fn empty_file(self, path: &str) -> Self {
        self.file(path, 0)
    }

    /// Small files below `odd/` whose names break programs: spaces, `+ % # ? * [x]`, quotes, a leading dash, dots,
    /// a backslash, umlauts in both forms, an emoji, and a folder of that kind.
    #[must_use]
    pub fn odd_names(mut self) -> Self {
        self.files.extend(ODD_NAMES.iter().zip(10..).map(|(name, size)| (format!("odd/{name}"), size)));
        self
    }

    /// A small file below `long/` with a name of 200 bytes. Apart from the odd ones: [`crate::S3Server`] cannot store it.
    #[must_use]
    pub fn long_name(self) -> Self {
        self.file(&format!("long/{}", "long-".repeat(40)), 10)
    }

    /// A folder that holds nothing.
    #[must_use]
    pub fn dirs_only(mut self, path: &str) -> Self {
        self.dirs.push(path.to_owned());
        self
    }

    /// The paths of all files, in the order they were added.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(path, _)| path.as_str())
    }

    /// Content of one file in pieces, at most 64 KiB each.
    pub fn content(&self, path: &str, size: u64) -> impl Iterator<Item = Vec<u8>> + use<> {
        let mut random = fastrand::Rng::with_seed(xxh3_64_with_seed(path.as_bytes(), self.seed));
        let mut missing = size;
        std::iter::from_fn(move || {
            let mut piece = vec![0; usize::try_from(missing.min(64 * 1024)).ok()?];
            random.fill(&mut piece);
            missing -= piece.len() as u64;
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// Writes it into a folder, which is made when it is missing, and says what it wrote.
    pub fn write_to(&self, dir: &Path) -> io::Result<Snapshot> {
        let mut written = Snapshot::default();
        fs::create_dir_all(dir).map_err(|error| because("make", dir, &error))?;
        for path in &self.dirs {
            let path = dir.join(path);
            fs::create_dir_all(&path).map_err(|error| because("make", &path, &error))?;
        }
        for (path, size) in &self.files {
            let target = dir.join(path);
            let content =
                self.write_file(&target, path, *size).map_err(|error| because("write", &target, &error))?;
            written.files.insert(path.clone(), content);
        }
        let holds_something =
            |dir: &str| written.files.keys().any(|file| file.starts_with(&format!("{dir}/")));
        let others = |dir: &str| self.dirs.iter().any(|other| other.starts_with(&format!("{dir}/")));
        let empty = self.dirs.iter().filter(|dir| !holds_something(dir) && !others(dir)).cloned();
        written.empty_dirs = empty.collect();
        Ok(written)
    }

    fn write_file(&self, target: &Path, path: &str, size: u64) -> io::Result<Content> {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = BufWriter::new(File::create(target)?);
        let mut hash = Xxh3::new();
        for piece in self.content(path, size) {
            hash.update(&piece);
            file.write_all(&piece)?;
        }
        file.flush()?;
        Ok(Content { size, hash: hash.digest() })
    }
}

/// An error that says what was tried on which path.
pub(crate) fn because(verb: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {verb} {}: {error}", path.display()))
}
