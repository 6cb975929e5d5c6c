//! The shell scripts that Polyaxon's converter writes for its store init containers
//! (`_runner/converter/init/store.py`, `artifacts.py`), read back as what they mean.
//!
//! Every block ends in `;`, blocks are joined by one blank, and paths are not quoted, so a path is whatever stands
//! between two known pieces of text. A script that is not exactly of these blocks is none of ours.

use std::fmt;

/// What a block asks for. Paths are literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `if [ ! -d "P" ]; then mkdir -m 0777 -p P; fi;`
    MakeFolder(String),
    /// `if [ -f A ]; then cp A B; fi;`
    CopyFile(Copy),
    /// `if [ -d A ] && [ "$(ls -A A)" ]; then cp -R A/* B; fi;`
    CopyFolder(Copy),
    /// `polyaxon initializer path --connection-name=N --connection-kind=K --path-from=A --path-to=B FLAGS;`
    Fetch(Fetch),
}

/// A copy from a mounted folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Where from, on the mount.
    pub from: String,
    /// Where to.
    pub to: String,
    /// The folder that is recorded afterwards (`fswatch`): the sign of a resume.
    pub record: Option<String>,
}

/// A fetch from a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetch {
    /// The connection.
    pub connection: String,
    /// Its kind, for the message.
    pub kind: String,
    /// Where from: the store path and what follows.
    pub from: String,
    /// Where to.
    pub to: String,
    /// `--is-file`
    pub is_file: bool,
    /// `--sync-fw`: a resume.
    pub sync_fw: bool,
    /// `--check-path`
    pub check_path: bool,
}

impl fmt::Display for Step {
    /// The block as the converter writes it: what [`parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record =
            |copy: &Copy| copy.record.as_ref().map_or_else(String::new, |path| format!("{FSWATCH}{path};"));
        match self {
            Self::MakeFolder(path) => {
                write!(f, "if [ ! -d \"{path}\" ]; then mkdir -m 0777 -p {path}; fi;")
            }
            Self::CopyFile(copy) => {
                let Copy { from, to, .. } = copy;
                write!(f, "if [ -f {from} ]; then cp {from} {to}; {} fi;", record(copy))
            }
            Self::CopyFolder(copy) => {
                let Copy { from, to, .. } = copy;
                write!(f, "if [ -d {from} ] && [ \"$(ls -A {from})\" ]; then ")?;
                write!(f, "cp -R {from}/* {to}; {} fi;", record(copy))
            }
            Self::Fetch(fetch) => {
                write!(f, "{}{} --connection-kind={}", STARTS[1], fetch.connection, fetch.kind)?;
                write!(f, " --path-from={} --path-to={} ", fetch.from, fetch.to)?;
                let flags = [
                    (fetch.is_file, "--is-file"),
                    (fetch.sync_fw, "--sync-fw"),
                    (fetch.check_path, "--check-path"),
                ];
                let given: Vec<&str> = flags.iter().filter(|flag| flag.0).map(|flag| flag.1).collect();
                write!(f, "{};", given.join(" "))
            }
        }
    }
}

/// A script of these steps; none when a path cannot be told from the script around it.
pub fn write(steps: &[Step]) -> Option<String> {
    let blocks: Vec<String> = steps.iter().map(ToString::to_string).collect();
    let script = blocks.join(" ");
    (parse(&script).as_deref() == Some(steps)).then_some(script)
}

const FSWATCH: &str = "polyaxon initializer fswatch --path=";
/// How a block begins; what follows a fetch must be one of them, or nothing.
const STARTS: [&str; 2] = ["if [ ", "polyaxon initializer path --connection-name="];

/// The steps of a script; none when it is not one of the converter's.
pub fn parse(script: &str) -> Option<Vec<Step>> {
    let mut rest = script.trim();
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = make_folder(rest)
            .or_else(|| copy_file(rest))
            .or_else(|| copy_folder(rest))
            .or_else(|| fetch(rest))?;
        steps.push(step);
        rest = after.trim_start_matches(' ');
    }
    (!steps.is_empty()).then_some(steps)
}

/// Every way to split a text at a piece of it.
fn splits<'a>(text: &'a str, at: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.match_indices(at).map(move |(index, _)| (&text[..index], &text[index + at.len()..]))
}

fn make_folder(text: &str) -> Option<(Step, &str)> {
    let text = text.strip_prefix("if [ ! -d \"")?;
    splits(text, "\" ]; then mkdir -m 0777 -p ").find_map(|(path, rest)| {
        let rest = rest.strip_prefix(path)?.strip_prefix("; fi;")?;
        Some((Step::MakeFolder(path.to_owned()), rest))
    })
}

fn copy_file(text: &str) -> Option<(Step, &str)> {
    let text = text.strip_prefix("if [ -f ")?;
    splits(text, " ]; then cp ").find_map(|(from, rest)| {
        let rest = rest.strip_prefix(from)?.strip_prefix(' ')?;
        let (copy, rest) = copied(from, rest)?;
        Some((Step::CopyFile(copy), rest))
    })
}

fn copy_folder(text: &str) -> Option<(Step, &str)> {
    let text = text.strip_prefix("if [ -d ")?;
    splits(text, " ] && [ \"$(ls -A ").find_map(|(from, rest)| {
        let rest = rest.strip_prefix(from)?.strip_prefix(")\" ]; then cp -R ")?;
        let rest = rest.strip_prefix(from)?.strip_prefix("/* ")?;
        let (copy, rest) = copied(from, rest)?;
        Some((Step::CopyFolder(copy), rest))
    })
}

/// `B; [FS] fi;`
fn copied<'a>(from: &str, text: &'a str) -> Option<(Copy, &'a str)> {
    let copy = |to: &str, record: Option<&str>| Copy {
        from: from.to_owned(),
        to: to.to_owned(),
        record: record.map(str::to_owned),
    };
    // The next block must not be taken for a part of this one's path.
    let (head, rest) = splits(text, " fi;").find(|(_, rest)| follows(rest))?;
    let head = head.strip_suffix(';').or_else(|| head.strip_suffix("; "))?;
    match head.split_once(&format!("; {FSWATCH}")) {
        Some((to, record)) => Some((copy(to, Some(record)), rest)),
        None => Some((copy(head, None), rest)),
    }
}

fn follows(rest: &str) -> bool {
    let rest = rest.trim_start_matches(' ');
    rest.is_empty() || STARTS.iter().any(|start| rest.starts_with(start))
}

fn fetch(text: &str) -> Option<(Step, &str)> {
    let (head, rest) = splits(text, ";").find(|(_, rest)| follows(rest))?;
    let head = head.strip_prefix(STARTS[1])?;
    let (connection, head) = head.split_once(" --connection-kind=")?;
    let (kind, head) = head.split_once(" --path-from=")?;
    let (from, head) = head.split_once(" --path-to=")?;
    let mut fetch = Fetch {
        connection: connection.to_owned(),
        kind: kind.to_owned(),
        from: from.to_owned(),
        ..Fetch::default()
    };
    // What precedes the flags is the path; without any flag one blank is left.
    let mut to = head;
    loop {
        if let Some(path) = to.strip_suffix(" --check-path") {
            (fetch.check_path, to) = (true, path);
        } else if let Some(path) = to.strip_suffix(" --sync-fw") {
            (fetch.sync_fw, to) = (true, path);
        } else if let Some(path) = to.strip_suffix(" --is-file") {
            (fetch.is_file, to) = (true, path);
        } else {
            break;
        }
    }
    let to = if fetch.is_file || fetch.sync_fw || fetch.check_path { to } else { to.strip_suffix(' ')? };
    fetch.to = to.to_owned();
    Some((Step::Fetch(fetch), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &str) -> Step {
        Step::MakeFolder(path.to_owned())
    }

    fn copy(from: &str, to: &str, record: Option<&str>) -> Copy {
        Copy { from: from.into(), to: to.into(), record: record.map(str::to_owned) }
    }

    #[test]
    fn the_blocks_of_the_converter() {
        let script = "if [ ! -d \"/a\" ]; then mkdir -m 0777 -p /a; fi; polyaxon initializer path --connection-name=s3-store \
                      --connection-kind=s3 --path-from=s3://b/R --path-to=/a/R --sync-fw;";
        let fetch = Fetch {
            connection: "s3-store".into(),
            kind: "s3".into(),
            from: "s3://b/R".into(),
            to: "/a/R".into(),
            sync_fw: true,
            ..Fetch::default()
        };
        assert_eq!(parse(script), Some(vec![folder("/a"), Step::Fetch(fetch.clone())]));

        let script = "polyaxon initializer path --connection-name=c --connection-kind=s3 --path-from=s3://b/ --path-to=/a/ ;";
        let whole = Fetch {
            connection: "c".into(),
            kind: "s3".into(),
            from: "s3://b/".into(),
            to: "/a/".into(),
            ..Fetch::default()
        };
        assert_eq!(parse(script), Some(vec![Step::Fetch(whole)]));

        let script = "if [ -d /o/R ] && [ \"$(ls -A /o/R)\" ]; then cp -R /o/R/* /a/R; polyaxon initializer fswatch --path=/a/R; fi; \
                      if [ -f /o/f ]; then cp /o/f /a/f;  fi;";
        let want = vec![
            Step::CopyFolder(copy("/o/R", "/a/R", Some("/a/R"))),
            Step::CopyFile(copy("/o/f", "/a/f", None)),
        ];
        assert_eq!(parse(script), Some(want));
    }

    #[test]
    fn every_recorded_script_is_one_of_ours() {
        let scripts: Vec<String> =
            serde_json::from_str(include_str!("../tests/fixtures/scripts/pods.json")).expect("a list");
        assert!(scripts.len() >= 10);
        for script in scripts {
            let steps = parse(&script);
            assert!(steps.is_some(), "{script}");
            let steps = steps.expect("checked");
            assert_eq!(write(&steps).as_deref(), Some(script.trim()));
        }
    }

    #[test]
    fn a_path_that_would_become_a_part_of_the_script_is_refused() {
        let with =
            |path: &str| write(&[folder(path), Step::Fetch(Fetch { to: path.into(), ..Fetch::default() })]);
        assert!(with("/a b $(id)").is_some());
        for odd in ["/a; if [ b", "/a; polyaxon initializer path --connection-name=x"] {
            assert_eq!(with(odd), None, "{odd}");
        }
    }

    #[test]
    fn paths_are_literal_whatever_stands_in_them() {
        for odd in ["/a b", "/$(id)", "/it's \"x\"", "/*[x]?", "/--sync-fw", "/é;x", "/a; fi;b"] {
            let script = format!(
                "if [ ! -d \"{odd}\" ]; then mkdir -m 0777 -p {odd}; fi; if [ -f /o{odd} ]; then cp /o{odd} {odd}/f;  fi; \
                 polyaxon initializer path --connection-name=c --connection-kind=s3 --path-from=s3://b{odd} --path-to={odd} --check-path;"
            );
            let fetch = Fetch {
                connection: "c".into(),
                kind: "s3".into(),
                from: format!("s3://b{odd}"),
                to: odd.into(),
                check_path: true,
                ..Fetch::default()
            };
            let want = vec![
                folder(odd),
                Step::CopyFile(copy(&format!("/o{odd}"), &format!("{odd}/f"), None)),
                Step::Fetch(fetch),
            ];
            assert_eq!(parse(&script), Some(want), "{odd}");
        }
    }

    #[test]
    fn anything_else_is_for_a_shell() {
        for script in [
            "",
            "echo hello",
            "polyaxon initializer path --connection-name=c;",
            "if [ ! -d \"/a\" ]; then mkdir -m 0777 -p /b; fi;",
            "if [ ! -d \"/a\" ]; then mkdir -m 0777 -p /a; fi; echo hello;",
            "if [ -f /a ]; then cp /b /c;  fi;",
            "polyaxon wait --uuid=R --kind=job && polyaxon clean-artifacts s3 --connection-name c --subpath=s3://b/R",
        ] {
            assert_eq!(parse(script), None, "{script}");
        }
    }
}
