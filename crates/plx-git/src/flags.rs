//! `--flags` of `polyaxon initializer git`: options of `git clone`, as far as they make sense for a clone that a run
//! starts from. What is not understood is refused, never passed over: a run with other code than its owner meant is
//! worse than none.

mod config;
mod error;
mod options;
#[cfg(test)]
mod tests;
mod transfer;
mod words;

pub use error::FlagError;
pub use transfer::Transfer;

use options::{Effect, Known, Takes};
use std::borrow::Cow;
use std::num::NonZeroU32;

/// What a clone is made with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    /// `--depth`: how many commits back from each tip.
    pub depth: Option<NonZeroU32>,
    /// `--single-branch`, `--no-single-branch`. Git makes it true when nothing is said and there is a depth.
    pub single_branch: Option<bool>,
    /// `--branch`: a branch or tag in place of the remote's HEAD.
    pub branch: Option<String>,
    /// `--recurse-submodules`: the pathspecs of those that are wanted; all when there are none.
    pub recurse_submodules: Option<Vec<String>>,
    /// `--tags`, `--no-tags`.
    pub tags: Option<bool>,
    /// `--shallow-submodules`, `--no-shallow-submodules`.
    pub shallow_submodules: Option<bool>,
    /// `--experimental-fetch`, Polyaxon's own: fetch the revision alone and leave HEAD detached.
    pub experimental_fetch: bool,
    /// What `-c` says about the transfer. It is not written to the clone.
    pub transfer: Transfer,
    /// What else `-c` says, for the configuration of the clone, in order; keys as git writes them.
    pub written: Vec<(String, String)>,
}

/// Reads the flags: a JSON list (`["--depth 1","--single-branch"]`), a list with commas (`--a,--b=1`), or words as in a
/// shell (`--depth 1 --branch 'a b'`). Each item is split as a shell would, and the last of two that disagree wins.
///
/// # Errors
/// The first flag that is unknown, not supported or has a wrong value. No value is repeated: it may be a secret.
pub fn parse(raw: Option<&str>) -> Result<Flags, FlagError> {
    let mut reader = Reader::default();
    let mut words = words::split(raw.unwrap_or_default())?.into_iter();
    while let Some(word) = words.next() {
        reader.read(&word, &mut words)?;
    }
    Ok(reader.flags)
}

#[derive(Default)]
struct Reader {
    flags: Flags,
    /// All submodules were asked for, so that pathspecs no longer narrow them.
    all_submodules: bool,
    /// The option before, to say where a word too many stands.
    before: Option<String>,
}

impl Reader {
    fn read(&mut self, word: &str, more: &mut impl Iterator<Item = String>) -> Result<(), FlagError> {
        if let Some(long) = word.strip_prefix("--").filter(|long| !long.is_empty()) {
            let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v.to_owned())));
            let known = options::long(name)?;
            let option = format!("--{name}");
            let value = match known.takes {
                Takes::Nothing if value.is_some() => return Err(FlagError::NoValue { option }),
                Takes::Value if value.is_none() => Some(following(known, more)?),
                _ => value,
            };
            self.before = Some(option);
            return self.apply(known, value);
        }
        match word.strip_prefix('-').filter(|letters| !letters.is_empty() && !letters.starts_with('-')) {
            Some(letters) => self.letters(letters, more),
            None => Err(FlagError::Word { after: self.before.take() }),
        }
    }

    /// `-vb dev`: letters without values, and at the end one with.
    fn letters(&mut self, letters: &str, more: &mut impl Iterator<Item = String>) -> Result<(), FlagError> {
        for (at, letter) in letters.char_indices() {
            let known = options::short(letter)?;
            self.before = Some(format!("-{letter}"));
            if known.takes == Takes::Value {
                let rest = &letters[at + letter.len_utf8()..];
                let value = if rest.is_empty() { following(known, more)? } else { rest.to_owned() };
                return self.apply(known, Some(value));
            }
            self.apply(known, None)?;
        }
        Ok(())
    }

    fn apply(&mut self, known: &Known, value: Option<String>) -> Result<(), FlagError> {
        let flags = &mut self.flags;
        let given = value.clone().unwrap_or_default();
        let number = || given.parse::<u32>().ok().filter(|number| i32::try_from(*number).is_ok());
        match known.effect {
            Effect::Depth => {
                flags.depth = Some(number().and_then(NonZeroU32::new).ok_or_else(|| known.wrong())?);
            }
            Effect::Branch if given.is_empty() => return Err(known.wrong()),
            Effect::Branch => flags.branch = Some(given),
            Effect::SingleBranch(single) => flags.single_branch = Some(single),
            Effect::Tags(tags) => flags.tags = Some(tags),
            Effect::ShallowSubmodules(shallow) => flags.shallow_submodules = Some(shallow),
            Effect::ExperimentalFetch => flags.experimental_fetch = true,
            Effect::Submodules(false) => {
                (flags.recurse_submodules, self.all_submodules) = (None, false);
            }
            Effect::Submodules(true) => {
                let paths = flags.recurse_submodules.get_or_insert_default();
                self.all_submodules |= matches!(value.as_deref(), None | Some("."));
                paths.push(given);
                if self.all_submodules {
                    paths.clear();
                }
            }
            Effect::Config => config::apply(flags, &given)?,
            Effect::Jobs => _ = number().ok_or_else(|| known.wrong())?,
            Effect::None => {}
        }
        Ok(())
    }
}

/// The word after an option; one with a dash is an option of its own.
fn following(known: &Known, more: &mut impl Iterator<Item = String>) -> Result<String, FlagError> {
    more.next().filter(|word| !word.starts_with('-')).ok_or_else(|| known.wrong())
}

impl Flags {
    /// The flags that shape a clone, as one would write them: equal for equal flags, and without any secret. What only
    /// concerns the transfer (logins, certificates, proxies) is not in it.
    pub fn canonical(&self) -> String {
        let mut words = Vec::new();
        let mut say = |word: String| words.push(word);
        let negated = |yes: bool, name: &str| format!("--{}{name}", if yes { "" } else { "no-" });
        if let Some(depth) = self.depth {
            say(format!("--depth={depth}"));
        }
        if let Some(single) = self.single_branch {
            say(negated(single, "single-branch"));
        }
        if let Some(branch) = &self.branch {
            say(format!("--branch={branch}"));
        }
        match self.recurse_submodules.as_deref() {
            Some([]) => say("--recurse-submodules".to_owned()),
            Some(paths) => paths.iter().for_each(|path| say(format!("--recurse-submodules={path}"))),
            None => {}
        }
        if let Some(tags) = self.tags {
            say(negated(tags, "tags"));
        }
        if let Some(shallow) = self.shallow_submodules {
            say(negated(shallow, "shallow-submodules"));
        }
        if self.experimental_fetch {
            say("--experimental-fetch".to_owned());
        }
        let settings = self.written.iter().map(|(key, value)| format!("{key}={value}"));
        for setting in settings.chain(self.transfer.shaping()) {
            say("-c".to_owned());
            say(setting);
        }
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// A word that [`parse`] reads as one again; as it is where that is enough.
fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_=./:@+%".contains(char);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    shlex::try_quote(word).unwrap_or_else(|_| word.into())
}
