//! The program from outside: what main gets, what others see of main, and what the sidecar finds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use plx_contract::wrapped::{Decoder, ENDED, Ended, Part, Restarts, STARTED, Segment, Started, Stream};
use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

const ENTRY: &str = env!("CARGO_BIN_EXE_plx-entry");

struct Here(TempDir);

impl Here {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("main")
    }

    /// The words that run a shell script as main.
    fn words(&self, options: &[&str], script: &str) -> Vec<String> {
        let folder = self.folder().display().to_string();
        let words = [ENTRY, "--folder", &folder, "--tee"].into_iter().chain(options.iter().copied());
        words.chain(["--", "sh", "-c", script]).map(str::to_owned).collect()
    }

    fn run(&self, options: &[&str], script: &str) -> Output {
        run(&self.words(options, script))
    }

    fn start(&self, script: &str) -> Child {
        let words = self.words(&[], script);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    fn ended(&self) -> Ended {
        let text = fs::read(self.folder().join(ENDED)).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    fn started(&self) -> Started {
        serde_json::from_slice(&fs::read(self.folder().join(STARTED)).unwrap()).unwrap()
    }

    /// The bytes of both streams that are kept of a start, and how many are missing before them.
    fn kept(&self, attempt: u32) -> ([Vec<u8>; 2], u64) {
        let (mut kept, mut missing) = ([Vec::new(), Vec::new()], 0);
        for segment in segments(&self.folder()).into_iter().filter(|one| one.attempt == attempt) {
            let bytes = fs::read(self.folder().join(segment.name())).unwrap();
            let pushed = Decoder::default().push(&bytes, |part| match part {
                Part::Begins(before) => {
                    missing =
                        before.iter().sum::<u64>() - kept.iter().map(|one| one.len() as u64).sum::<u64>();
                }
                Part::Bytes(stream, at, bytes) => {
                    assert!(at > 1_700_000_000_000_000_000, "{at}");
                    kept[stream.index()].extend(bytes);
                }
            });
            pushed.unwrap();
        }
        (kept, missing)
    }
}

fn segments(folder: &Path) -> Vec<Segment> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut all: Vec<Segment> = names.filter_map(|name| Segment::of(&name)).collect();
    all.sort();
    all
}

fn run(words: &[impl AsRef<std::ffi::OsStr>]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "-k1", "30"]).args(words).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn signal(child: &Child, signal: i32) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status().unwrap();
    assert!(sent.success());
}

/// Runs a script in namespaces of its own, where `plx-entry` can be process 1 and something can be mounted.
fn apart(script: &str) -> Output {
    let all = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        script,
    ];
    run(&all)
}

#[test]
fn both_streams_are_copied_byte_for_byte_and_main_has_its_words_its_stdin_and_its_code() {
    let here = Here::new();
    let words = ["--folder", &here.folder().display().to_string(), "--tee", "--"].map(str::to_owned);
    let script = r#"printf 'a\377\n%s|' "$@"; cat; printf 'no end\0' >&2; exit 7"#;
    let mut command = Command::new(ENTRY);
    command.args(words).args(["sh", "-c", script, "sh", "--tee", "", "a b", "$HOME"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"\x00in\xfe").unwrap();
    let output = child.wait_with_output().unwrap();
    let out: &[u8] = b"a\xff\n--tee|a\xff\n|a\xff\na b|a\xff\n$HOME|\x00in\xfe";
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (out, b"no end\0".as_slice()));
    assert_eq!(here.kept(1), ([out.to_vec(), b"no end\0".to_vec()], 0));
    let written = Some([out.len() as u64, 7]);
    assert_eq!(
        (output.status.code(), here.ended()),
        (Some(7), Ended { exit_code: 7, again: false, attempt: 1, written })
    );
    for name in [ENDED, STARTED, &segments(&here.folder())[0].name()] {
        let mode = fs::metadata(here.folder().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{name}: the sidecar may be another user");
    }
}

#[test]
fn without_tee_main_has_the_streams_themselves() {
    let here = Here::new();
    let folder = here.folder().display().to_string();
    let output = run(&[ENTRY, "--folder", &folder, "--", "sh", "-c", "echo out; exit 3"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), "out\n".to_owned()));
    assert_eq!((here.ended().exit_code, here.ended().written, segments(&here.folder())), (3, None, vec![]));
}

#[test]
fn what_is_printed_is_there_at_once_without_a_line_end_too() {
    let here = Here::new();
    let mut child = here.start("printf 'name? '; read name; echo \"$name\"");
    let mut prompt = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut prompt).unwrap();
    assert_eq!((&prompt, text(&here.kept(1).0[0]).as_str()), (b"name? ", "name? "));
    assert!(!here.folder().join(ENDED).exists(), "main runs");
    child.stdin.take().unwrap().write_all(b"jane\n").unwrap();
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), "jane\n");
}

#[test]
fn a_program_that_is_not_there_and_one_that_cannot_be_run_are_told_apart() {
    let here = Here::new();
    let folder = here.folder().display().to_string();
    let data = here.0.path().join("data").display().to_string();
    fs::write(&data, "no program").unwrap();
    for (attempt, program, code) in [(1, "no-such-program", 127), (2, data.as_str(), 126)] {
        let output = run(&[ENTRY, "--folder", &folder, "--tee", "--", program, "x"]);
        assert_eq!((output.status.code(), here.ended().exit_code), (Some(code), i64::from(code)));
        let said = text(&output.stderr);
        assert!(said.contains(program), "{said}");
        assert_eq!(text(&here.kept(attempt).0[1]), said, "it is all that the store will have of this main");
    }
    let output = run(&[ENTRY, "--folder", &folder]);
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn each_signal_is_handed_on_once_and_an_end_by_one_has_its_number() {
    let here = Here::new();
    // HUP, INT, QUIT, USR1, USR2, TERM, CONT, TSTP, WINCH
    let numbers = [1, 2, 3, 10, 12, 15, 18, 20, 28];
    let traps: String = numbers.map(|number| format!("trap 'echo {number}' {number}; ")).concat();
    let mut child = here.start(&format!("{traps} echo ready; while :; do sleep 0.02; done"));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    for number in numbers {
        signal(&child, number);
        assert_eq!(lines.next().unwrap().unwrap(), number.to_string());
    }
    // What came twice would stand before this one.
    signal(&child, 12);
    assert_eq!(lines.next().unwrap().unwrap(), "12");
    let main = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    assert!(Command::new("kill").args(["-KILL", main.trim()]).status().unwrap().success());
    assert_eq!((child.wait().unwrap().code(), here.ended().exit_code), (Some(137), 137));
}

#[test]
fn main_begins_with_no_signal_held_back() {
    let here = Here::new();
    let folder = here.folder().display().to_string();
    let look = ["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"];
    let output = run(&[&[ENTRY, "--folder", &folder, "--tee", "--"][..], &look].concat());
    assert_eq!(text(&output.stdout), text(&run(&look).stdout), "as without it");
    assert!(text(&output.stdout).starts_with("SigBlk:\t0000000000000000\n"), "{output:?}");
    // Nothing handles it: it does what it does to main.
    let child = here.start("kill -TERM $PPID; exec sleep 600");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
}

#[test]
fn a_process_that_main_left_with_its_output_holds_up_the_end_for_seconds_at_most() {
    let here = Here::new();
    let output = here.run(&[], "sleep 600 & echo $!");
    let left = text(&output.stdout);
    assert_eq!((output.status.code(), here.ended().exit_code), (Some(0), 0));
    assert!(text(&output.stderr).contains("holds its output open"), "{output:?}");
    assert!(Command::new("kill").arg(left.trim()).status().unwrap().success(), "it was not ours to end");
}

#[test]
fn process_1_reaps_what_is_orphaned_and_with_main_all_else_ends() {
    let here = Here::new();
    // Orphans that end: nobody but process 1 can take leave of them. A pipe tells that they have.
    let script = r#"
        (sh -c 'exec sleep 0.05' | cat) & wait
        sh -c 'sleep 0.1 & sleep 0.1 & exit'
        until [ "$(ls /proc | grep -c "^[0-9]")" -le 5 ]; do sleep 0.05; done
        grep -l "^State:.Z" /proc/[0-9]*/status; echo pid $$ of group $(cut -d" " -f5 /proc/$$/stat)
        sleep 600 & kill -USR1 1; sleep 600"#;
    let words = shlex(&here.words(&[], script));
    let begun = std::time::SystemTime::now();
    let output = apart(&format!("exec {words}"));
    let out = text(&output.stdout);
    let mut words = out.split_whitespace();
    let pid = words.nth(1).unwrap_or_else(|| panic!("{output:?}"));
    assert_eq!(out, format!("pid {pid} of group {pid}\n"), "no zombies: {output:?}");
    assert_eq!(
        (output.status.code(), here.ended().exit_code),
        (Some(138), 138),
        "USR1 to process 1 was main's"
    );
    assert!(begun.elapsed().unwrap().as_secs() < 60 && !text(&output.stderr).contains("holds"), "{output:?}");
}

fn shlex(words: &[String]) -> String {
    words.iter().map(|word| format!("'{}' ", word.replace('\'', r"'\''"))).collect()
}

#[test]
fn much_output_at_once_is_there_to_the_last_byte() {
    let here = Here::new();
    let script = "head -c 30000000 /dev/zero | tr '\\0' x; echo; seq 1 200000 >&2";
    let output = here.run(&[], script);
    let (kept, missing) = here.kept(1);
    assert_eq!((output.stdout.len(), missing), (30_000_001, 0));
    assert!(kept == [output.stdout, output.stderr], "{} {}", kept[0].len(), kept[1].len());
    assert_eq!(here.ended().written, Some([30_000_001, kept[1].len() as u64]));
    assert!(segments(&here.folder()).len() >= 4);
}

#[test]
fn what_nobody_takes_is_bounded_and_the_oldest_goes_first() {
    let here = Here::new();
    let output = here.run(&["--keep", "1000000"], "seq 1 1000000");
    let size = |one: &Segment| fs::metadata(here.folder().join(one.name())).unwrap().len();
    let all: u64 = segments(&here.folder()).iter().map(size).sum();
    assert!((800_000..=1_070_000).contains(&all), "{all}");
    let oldest = fs::read(here.folder().join(segments(&here.folder())[0].name())).unwrap();
    let mut before = None;
    let pushed = Decoder::default().push(&oldest, |part| {
        if let Part::Begins([out, 0]) = part {
            before = Some(out);
        }
    });
    pushed.unwrap();
    let kept = segments(&here.folder()).iter().fold(Vec::<u8>::new(), |mut kept, segment| {
        let bytes = fs::read(here.folder().join(segment.name())).unwrap();
        let pushed = Decoder::default().push(&bytes, |part| {
            if let Part::Bytes(Stream::Out, _, bytes) = part {
                kept.extend(bytes);
            }
        });
        pushed.unwrap();
        kept
    });
    assert_eq!(
        output.stdout[usize::try_from(before.unwrap()).unwrap()..],
        kept,
        "no more and no less is missing"
    );
}

#[test]
fn a_full_volume_costs_main_nothing_and_what_is_missing_is_counted() {
    let here = Here::new();
    fs::create_dir(here.folder()).unwrap();
    let folder = here.folder().display().to_string();
    let words = shlex(&here.words(&[], "seq 1 100000; sleep 1.2; rm $FOLDER/filler; echo last; exit 5"));
    let script = format!(
        "mount -t tmpfs -o size=256k none {folder} && export FOLDER={folder}
         head -c 150000 /dev/zero >{folder}/filler; {words}; code=$?
         cat {folder}/main-exit.json >&2; head -qn1 {folder}/*.log >&2; tail -qn1 {folder}/*.log >&2; exit $code"
    );
    let output = apart(&script);
    let numbers: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    assert_eq!((text(&output.stdout), output.status.code()), (format!("{numbers}last\n"), Some(5)));
    let said = text(&output.stderr);
    assert_eq!(said.matches("missing in the store").count(), 1, "{said}");
    assert!(
        said.contains(r#""exit_code":5"#)
            && said.contains(&format!(r#""written":[{},0]"#, numbers.len() + 5)),
        "{said}"
    );
    assert!(
        said.contains(&format!("plx-entry 1 {} 0\n", numbers.len())) && said.ends_with("last\n"),
        "{said}"
    );
}

#[test]
fn the_marker_has_its_place_on_a_volume_that_became_full() {
    let here = Here::new();
    fs::create_dir(here.folder()).unwrap();
    let folder = here.folder().display().to_string();
    let words = shlex(&here.words(&[], &format!("cat /dev/zero >{folder}/filler; echo out; exit 4")));
    let output =
        apart(&format!("mount -t tmpfs -o size=128k none {folder} && {words}; cat {folder}/main-exit.json"));
    let out = text(&output.stdout);
    assert!(
        out.starts_with("out\n") && out.contains(r#"{"exit_code":4,"#) && out.contains("[4,"),
        "{output:?}"
    );
}

#[test]
fn a_folder_that_cannot_be_written_costs_main_nothing() {
    let output = run(&[ENTRY, "--folder", "/proc/nope", "--tee", "--", "sh", "-c", "echo out; exit 6"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(6), "out\n".to_owned()));
    let said = text(&output.stderr);
    assert!(said.contains("/proc/nope") && said.matches("missing in the store").count() == 1, "{said}");
}

#[test]
fn a_later_start_takes_back_the_marker_and_has_a_log_of_its_own() {
    let here = Here::new();
    let policy = ["--restart-policy", "OnFailure"];
    let script = format!(
        "ls {}; exit $(test -e {}; echo $?)",
        here.folder().display(),
        here.0.path().join("ok").display()
    );
    let first = here.run(&policy, &script);
    assert_eq!((first.status.code(), here.ended().exit_code, here.ended().again), (Some(1), 1, true));
    assert_eq!((here.started().attempt, here.started().restarts), (1, Restarts::OnFailure));
    fs::write(here.0.path().join("ok"), "").unwrap();
    // The sidecar took all of it.
    for segment in segments(&here.folder()) {
        fs::remove_file(here.folder().join(segment.name())).unwrap();
    }
    let second = here.run(&policy, &script);
    assert!(!text(&second.stdout).contains("\nmain-exit.json"), "{second:?}");
    let Ended { exit_code, again, attempt, .. } = here.ended();
    assert_eq!((exit_code, again, attempt), (0, false, 2));
    assert_eq!(here.kept(2), ([second.stdout, Vec::new()], 0));
}

#[test]
fn the_lock_says_whether_main_runs_however_it_is_ended() {
    let here = Here::new();
    let mut child = here.start("echo; read line");
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let file = File::open(here.folder().join(STARTED)).unwrap();
    assert!(matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)));
    child.kill().unwrap();
    child.wait().unwrap();
    // Main, which lives on here, does not hold it.
    file.try_lock_shared().unwrap();
    assert!(!here.folder().join(ENDED).exists());
}
