//! Each fault that was found in Polyaxon's own containers has tests that show that these do not have it: their names begin
//! with its number, `r1_` to `r15_`. None may be lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Fault by fault, what the reference does.
const FAULTS: [&str; 15] = [
    "an upload that failed is never tried again",
    "only a later time of change is a change",
    "one dangling link, and nothing is stored",
    "only at the end means all the time, and every 60 s every 70",
    "an input that is refused passes for one that came",
    "a volume's folder that is missing is skipped, dotfiles are left out, names are read by a shell",
    "a git revision or repository that is not there passes for one that came",
    "git's credentials stand in its address, and no host's key is checked",
    "a service principal of Azure never works",
    "lines of one container's log drop those of another",
    "a log is sent whole each time, and twice after a restart",
    "SIGTERM is not heard, and main's end is not seen when the API fails",
    "the pod's secrets are stored with its spec",
    "a folder that is emptied or unmounted empties the store",
    "an assumed role ends in the middle",
];

/// `fn r7_…` is a test of fault 7.
fn fault(line: &str) -> Option<usize> {
    let (number, _) = line.split_once("fn r")?.1.split_once('_')?;
    number.parse().ok()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn each_has_a_test_that_is_named_after_it() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut files = Vec::new();
    for folder in ["crates", "tests"] {
        sources(&root.join(folder), &mut files);
    }
    let mut tests: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair[0].trim_start().starts_with("#[")) {
            if let Some(number) = fault(pair[1]) {
                tests.entry(number).or_default().push(pair[1].trim().to_owned());
            }
        }
    }
    for (number, what) in (1..).zip(FAULTS) {
        assert!(tests.contains_key(&number), "no test begins with r{number}_: {what}");
    }
    assert_eq!(tests.keys().max(), Some(&FAULTS.len()), "{tests:#?}");
}
