//! The programs this binary is, by the name it was started under.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

/// One of the pod's own programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `plx-init`.
    Init,
    /// `plx-sidecar`.
    Sidecar,
    /// `plx-entry`, which runs main.
    Entry,
}

impl Role {
    /// The role that `argv[0]` names; none for any other name.
    pub fn of(argv0: &OsStr) -> Option<Self> {
        match Path::new(argv0).file_name()?.to_str()? {
            "plx-init" => Some(Self::Init),
            "plx-sidecar" => Some(Self::Sidecar),
            plx_entry::NAME => Some(Self::Entry),
            _ => None,
        }
    }

    /// The name it is started under.
    pub fn name(self) -> &'static str {
        match self {
            Self::Init => "plx-init",
            Self::Sidecar => "plx-sidecar",
            Self::Entry => plx_entry::NAME,
        }
    }

    /// Runs it to its end.
    pub(crate) fn main(self) -> ExitCode {
        match self {
            Self::Init => plx_init::main(),
            Self::Sidecar => plx_sidecar::main(),
            Self::Entry => plx_entry::main(),
        }
    }
}
