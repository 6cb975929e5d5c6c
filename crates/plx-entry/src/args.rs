//! The command line. It is written by a renderer, and each container that is wrapped has a copy of this program: no library
//! for it.

use plx_contract::wrapped::Restarts;
use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "plx-entry --folder DIR [--tee] [--keep BYTES] [--restart-policy Never|OnFailure|Always] -- COMMAND [ARGS…]";

/// In front of main's words, where this program is to become main; and to lead a process group besides.
pub(crate) const EXEC: &str = "--exec";
pub(crate) const LEAD: &str = "--exec-lead";

/// Kept for the sidecar at most, where nothing else is said: five times what a kubelet keeps.
const KEEP: u64 = 256 << 20;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Where things are left for the sidecar.
    pub folder: PathBuf,
    /// The output is kept.
    pub tee: bool,
    /// So many bytes of it at most.
    pub keep: u64,
    pub restarts: Restarts,
    /// Main; never empty.
    pub words: Vec<OsString>,
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Asked, String> {
    let mut args = args.into_iter();
    let mut asked = Asked {
        folder: PathBuf::new(),
        tee: false,
        keep: KEEP,
        restarts: Restarts::Never,
        words: Vec::new(),
    };
    while let Some(option) = args.next() {
        let option = option.to_string_lossy().into_owned();
        let mut value = || args.next().ok_or_else(|| format!("{option} needs a value"));
        match option.as_str() {
            "--" => break,
            "--tee" => asked.tee = true,
            "--folder" => asked.folder = value()?.into(),
            "--keep" => {
                let value = value()?.to_string_lossy().into_owned();
                asked.keep =
                    value.parse().map_err(|_| format!("--keep is `{value}`: wanted a number of bytes"))?;
            }
            "--restart-policy" => {
                let value = value()?.to_string_lossy().into_owned();
                asked.restarts = Restarts::named(&value).ok_or_else(|| {
                    format!("--restart-policy is `{value}`: wanted Never, OnFailure or Always")
                })?;
            }
            _ => return Err(format!("`{option}` is no option")),
        }
    }
    asked.words = args.collect();
    match (asked.folder.as_os_str().is_empty(), asked.words.is_empty()) {
        (true, _) => Err("--folder is missing".to_owned()),
        (_, true) => Err("there is no command behind `--`".to_owned()),
        _ => Ok(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Asked, String> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn what_stands_behind_the_dashes_is_mains_alone() {
        let asked = parsed("--folder /f --tee --keep 5 --restart-policy OnFailure -- sh --tee -- x").unwrap();
        assert_eq!((asked.tee, asked.keep, asked.restarts), (true, 5, Restarts::OnFailure));
        assert_eq!(asked.words, ["sh", "--tee", "--", "x"]);
        assert_eq!(parsed("--folder /f -- -x").unwrap().words, ["-x"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (line, said) in [
            ("-- sh", "--folder"),
            ("--folder /f", "no command"),
            ("--folder /f --", "no command"),
            ("--folder", "needs a value"),
            ("--folder /f --keep x -- sh", "--keep"),
            ("--folder /f --restart-policy never -- sh", "Never"),
            ("--folder /f sh", "`sh`"),
        ] {
            assert!(parsed(line).unwrap_err().contains(said), "{line}");
        }
    }
}
