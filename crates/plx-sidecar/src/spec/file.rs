//! The file: whole or not at all, and left alone when there is nothing new.

use super::document::{Document, meaning_of};
use plx_contract::layout::TEMP_PREFIX;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Everybody may read it, whatever the umask is.
const MODE: u32 = 0o644;
/// What a longer file says is not looked at, so it is written anew: values take up to 20 times the memory of their text, and the
/// file may be anybody's.
const LONGEST: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct SpecFile {
    path: PathBuf,
    /// What it says; none when that is not known.
    says: Option<u64>,
}

impl SpecFile {
    /// The file at a path, with what an earlier sidecar wrote there.
    pub fn at(path: PathBuf) -> Self {
        Self { says: read(&path, LONGEST).and_then(|text| meaning_of(&text)), path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a document that says something new; the last one also when it only differs.
    ///
    /// # Errors
    /// When it cannot be written; what was there is still there then.
    pub fn write(&mut self, document: &Document, last: bool) -> io::Result<()> {
        let found = match fs::symlink_metadata(&self.path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        // What somebody took away is made good.
        let is_news = found.is_none() || self.says != Some(document.meaning());
        // When the pods are gone, or the right to list them, what is there is the last that is known of them.
        let keeps = document.is_empty() && found.is_some();
        if keeps || !is_news && !last {
            return Ok(());
        }
        let text = document.text();
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        // Whatever cannot be read is replaced.
        if !is_news && read(&self.path, length).is_some_and(|found| found == text.as_bytes()) {
            return Ok(());
        }
        self.replace(text.as_bytes())?;
        self.says = Some(document.meaning());
        Ok(())
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let temp = self.path.with_file_name(format!("{TEMP_PREFIX}spec.json"));
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        // A new file, never one that a link leads to.
        match fs::remove_file(&temp) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&temp)?;
        file.set_permissions(Permissions::from_mode(MODE))?;
        let written = file.write_all(text).and_then(|()| fs::rename(&temp, &self.path));
        if written.is_err() {
            // It would take space that is missing.
            fs::remove_file(&temp).ok();
        }
        written
    }
}

/// What a file holds; none when it is longer, or cannot be read. Main may write there while we read.
fn read(path: &Path, longest: u64) -> Option<Vec<u8>> {
    // Opening a pipe would wait for who writes into it.
    if !fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= longest) {
        return None;
    }
    let mut text = Vec::new();
    File::open(path).ok()?.take(longest.saturating_add(1)).read_to_end(&mut text).ok()?;
    u64::try_from(text.len()).is_ok_and(|length| length <= longest).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::symlink;

    fn document(name: &str) -> Document {
        let mut document = Document::default();
        document.pod(name, json!({}), vec![]);
        document
    }

    #[test]
    fn it_is_replaced_as_a_whole_and_never_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("outputs/spec.json"), folder.path().join("other"));
        fs::create_dir(folder.path().join("outputs")).unwrap();
        fs::write(&other, "another's").unwrap();
        symlink(&other, &path).unwrap();
        symlink(&other, path.with_file_name(format!("{TEMP_PREFIX}spec.json"))).unwrap();
        SpecFile::at(path.clone()).write(&document("a"), false).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "another's");
        assert_eq!(fs::read_to_string(&path).unwrap(), document("a").text());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        // Who holds it open reads on in the old one.
        let mut open = fs::File::open(&path).unwrap();
        SpecFile::at(path.clone()).write(&document("b"), false).unwrap();
        let mut text = String::new();
        io::Read::read_to_string(&mut open, &mut text).unwrap();
        assert_eq!(text, document("a").text());
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spec.json");
        fs::create_dir(&path).unwrap();
        assert!(SpecFile::at(path.clone()).write(&document("a"), false).is_err());
        assert!(path.is_dir() && fs::read_dir(folder.path()).unwrap().count() == 1);
    }
    #[test]
    fn a_large_file_is_not_read_and_gives_way_to_what_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spec.json");
        // It means the same, and is longer by blanks alone.
        let ours = document("a");
        let length = usize::try_from(LONGEST).unwrap();
        let padded = |length: usize| ours.text() + &" ".repeat(length - ours.text().len());
        for (length, is_read) in [(length, true), (length + 1, false), (4 << 20, false)] {
            fs::write(&path, padded(length)).unwrap();
            let mut file = SpecFile::at(path.clone());
            assert_eq!(file.says.is_some(), is_read);
            file.write(&ours, false).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap() == ours.text(), !is_read);
        }
        fs::write(&path, padded(length)).unwrap();
        SpecFile::at(path.clone()).write(&ours, true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), ours.text());
        // Nothing to say, nothing lost.
        fs::write(&path, padded(length + 1)).unwrap();
        SpecFile::at(path.clone()).write(&Document::default(), true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().len(), length + 1);
    }
}
