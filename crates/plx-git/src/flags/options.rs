//! The options of `git clone`, each with what becomes of it here.

use super::FlagError;

/// An option.
#[derive(Debug)]
pub(super) struct Known {
    long: &'static str,
    short: Option<char>,
    /// Whether a value belongs to it.
    pub(super) takes: Takes,
    /// What it does.
    pub(super) effect: Effect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Value,
    /// Only after `=`.
    Maybe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Depth,
    Branch,
    SingleBranch(bool),
    Submodules(bool),
    Tags(bool),
    ShallowSubmodules(bool),
    ExperimentalFetch,
    Config,
    /// Checked and then nothing.
    Jobs,
    /// Taken and without effect: it changes what is printed, or how fast git copies.
    None,
}

const fn known(long: &'static str, short: Option<char>, takes: Takes, effect: Effect) -> Known {
    Known { long, short, takes, effect }
}

/// What is taken.
const TAKEN: [Known; 33] = {
    use Takes::{Maybe, Nothing, Value};
    [
        known("depth", None, Value, Effect::Depth),
        known("branch", Some('b'), Value, Effect::Branch),
        known("single-branch", None, Nothing, Effect::SingleBranch(true)),
        known("no-single-branch", None, Nothing, Effect::SingleBranch(false)),
        known("recurse-submodules", None, Maybe, Effect::Submodules(true)),
        known("recursive", None, Maybe, Effect::Submodules(true)),
        known("no-recurse-submodules", None, Nothing, Effect::Submodules(false)),
        known("no-recursive", None, Nothing, Effect::Submodules(false)),
        known("shallow-submodules", None, Nothing, Effect::ShallowSubmodules(true)),
        known("no-shallow-submodules", None, Nothing, Effect::ShallowSubmodules(false)),
        known("tags", None, Nothing, Effect::Tags(true)),
        known("no-tags", None, Nothing, Effect::Tags(false)),
        known("config", Some('c'), Value, Effect::Config),
        known("experimental-fetch", None, Nothing, Effect::ExperimentalFetch),
        // What is printed is decided by the program's own log level.
        known("verbose", Some('v'), Nothing, Effect::None),
        known("no-verbose", None, Nothing, Effect::None),
        known("quiet", Some('q'), Nothing, Effect::None),
        known("no-quiet", None, Nothing, Effect::None),
        known("progress", None, Nothing, Effect::None),
        known("no-progress", None, Nothing, Effect::None),
        // Hints of speed: submodules come one after another, and a repository of this machine is always copied.
        known("jobs", Some('j'), Value, Effect::Jobs),
        known("local", Some('l'), Nothing, Effect::None),
        known("no-local", None, Nothing, Effect::None),
        known("hardlinks", None, Nothing, Effect::None),
        known("no-hardlinks", None, Nothing, Effect::None),
        // What is done anyway.
        known("checkout", None, Nothing, Effect::None),
        known("no-reject-shallow", None, Nothing, Effect::None),
        known("no-bare", None, Nothing, Effect::None),
        known("no-mirror", None, Nothing, Effect::None),
        known("no-sparse", None, Nothing, Effect::None),
        known("no-shared", None, Nothing, Effect::None),
        known("no-filter", None, Nothing, Effect::None),
        known("no-remote-submodules", None, Nothing, Effect::None),
    ]
};

const PROGRAM: &str = "leave it out: the server's own upload-pack is run";
const WHOLE: &str = "leave it out: a clone here stands on its own, objects and all";
const FILES: &str = "leave it out: the clone has its files beside .git, as main expects them";
const SPARSE: &str = "leave it out: all files are checked out; main can run `git sparse-checkout` afterwards";
const NETWORK: &str = "leave it out: the address is chosen by what answers first";

/// What is refused, and the way around.
const REFUSED: [(&str, Option<char>, &str); 24] = [
    ("filter", None, "use --depth=1: libgit2 has no partial clones"),
    ("also-filter-submodules", None, "use --depth=1 --shallow-submodules: libgit2 has no partial clones"),
    ("shallow-since", None, "use --depth=N: libgit2 counts commits only"),
    ("shallow-exclude", None, "use --depth=N: libgit2 counts commits only"),
    ("reject-shallow", None, "leave it out, and ask for the whole history where that matters"),
    ("sparse", None, SPARSE),
    ("bare", None, FILES),
    ("mirror", None, FILES),
    ("no-checkout", Some('n'), FILES),
    ("separate-git-dir", None, FILES),
    ("reference", None, WHOLE),
    ("reference-if-able", None, WHOLE),
    ("shared", Some('s'), WHOLE),
    ("dissociate", None, WHOLE),
    ("upload-pack", Some('u'), PROGRAM),
    ("template", None, "leave it out: no hooks are run; add what main needs in main"),
    ("origin", Some('o'), "leave it out: the remote is always origin; main can run `git remote rename`"),
    ("bundle-uri", None, "leave it out, or use --depth=1 to fetch less"),
    (
        "remote-submodules",
        None,
        "use --recurse-submodules: a run gets the submodules' commits that its own commit names",
    ),
    ("server-option", None, "leave it out: libgit2 does not speak the protocol's version 2"),
    ("ref-format", None, "leave it out: libgit2 reads refs as files only"),
    ("ipv4", Some('4'), NETWORK),
    ("ipv6", Some('6'), NETWORK),
    ("revision", None, "give the revision beside the url, not as a flag"),
];

/// How like a known name an unknown one must be to be taken for a typing error.
pub(super) const ALIKE: f64 = 0.85;

/// The name that is meant, perhaps.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// The option of that name.
pub(super) fn long(name: &str) -> Result<&'static Known, FlagError> {
    if let Some(known) = TAKEN.iter().find(|known| known.long == name) {
        return Ok(known);
    }
    // Not more than can be a name: what follows may be a secret.
    let name: String = name.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '-').collect();
    let option = format!("--{name}");
    Err(match REFUSED.iter().find(|(refused, ..)| *refused == name) {
        Some((_, _, way)) => FlagError::Refused { option, way },
        None => FlagError::Unknown { option, nearest: nearest(&name, TAKEN.iter().map(|known| known.long)) },
    })
}

/// The option of that letter.
pub(super) fn short(letter: char) -> Result<&'static Known, FlagError> {
    if let Some(known) = TAKEN.iter().find(|known| known.short == Some(letter)) {
        return Ok(known);
    }
    let refused = REFUSED.iter().find(|(_, short, _)| *short == Some(letter));
    Err(match refused {
        Some((name, _, way)) => FlagError::Refused { option: format!("-{letter} (--{name})"), way },
        None => FlagError::Unknown { option: format!("-{letter}"), nearest: None },
    })
}

impl Known {
    /// The error for a value that is missing or wrong.
    pub(super) fn wrong(&self) -> FlagError {
        let wants = match self.effect {
            Effect::Depth => "a number of commits, at least 1",
            Effect::Jobs => "a number",
            Effect::Branch => "a branch or tag; one that begins with a dash as --branch=-NAME",
            Effect::Config => "a setting, as in -c KEY=VALUE",
            _ => "a value",
        };
        FlagError::Value { option: format!("--{}", self.long), wants }
    }
}
