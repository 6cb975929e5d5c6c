//! The real binary, with the real plx-init and plx-sidecar, on a folder.

#[path = "run/native.rs"]
mod native;

use plx_testkit::{LeftFiles, Planted};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// In the caller's environment, by names that a store's key, the API's token and a proxy's login have.
const SECRETS: [(&str, &str, &str); 3] = [
    ("AWS_SECRET_ACCESS_KEY", "pod-secret-key-0123456789", "pod-secret-key-0123456789"),
    ("POLYAXON_AUTH_TOKEN", "pod-api-token-0123456789", "pod-api-token-0123456789"),
    ("http_proxy", "http://user:pod-password-0123@127.0.0.1:9", "pod-password-0123"),
];

/// A folder to run in. When a test is through, all that its runs left there is searched for [`SECRETS`].
struct Here(tempfile::TempDir, LeftFiles);

impl Drop for Here {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.1.assert_free(&[]);
        }
    }
}

impl Here {
    fn new(document: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("f.yaml"), format!("version: 1.1\n{document}")).expect("written");
        for (_, _, secret) in SECRETS {
            Planted::here().plant_key(secret);
        }
        let left = LeftFiles::before(&Planted::here(), vec![dir.path().to_owned()]);
        Self(dir, left)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.path(".plx/store").join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    #[track_caller]
    fn stored(&self, path: &str) -> String {
        let path = self.path(".plx/store").join(path);
        let text = fs::read_to_string(&path);
        assert!(text.is_ok(), "{}: {text:?}", path.display());
        text.expect("checked")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plx-pod"));
        command.args(["run", "f.yaml", "--run-uuid", "u1"]).args(words).current_dir(self.0.path());
        command.envs(SECRETS.map(|(name, value, _)| (name, value)));
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).stdin(Stdio::null()).output().expect("a run")
    }
}

#[track_caller]
fn ended(output: &Output, code: i32) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Planted::here().assert_free("stdout", &output.stdout);
    Planted::here().assert_free("stderr", &output.stderr);
    assert_eq!(output.status.code(), Some(code), "stdout:\n{out}\nstderr:\n{err}");
    format!("{out}{err}")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).map(|entries| entries.flatten().collect()).unwrap_or_else(|_| Vec::new());
    entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

const FAST: &str = "plugins: {sidecar: {sleepInterval: 1, syncInterval: 1}}\n";

#[test]
fn inputs_come_in_and_outputs_and_logs_go_out() {
    let here = Here::new(&format!(
        "{FAST}run:\n  kind: job\n  init:\n  - artifacts: {{files: [in/a.txt, [in/b.txt, c.txt]]}}\n  \
         - {{path: /data, paths: [in]}}\n  - container: {{name: mine, command: 'echo from mine > /data/mine'}}\n  \
         container:\n    command: |\n      cd /plx-context/artifacts\n      cat in/a.txt c.txt /data/in/a.txt /data/mine\n      \
         echo problem >&2\n      cat in/a.txt > $POLYAXON_RUN_OUTPUTS_PATH/out.txt\n      : > '{{{{ run_outputs_path }}}}/empty'\n"
    ));
    here.put("in/a.txt", "alpha\n");
    here.put("in/b.txt", "beta\n");
    let said = ended(&here.run(&[]), 0);
    assert!(said.starts_with("alpha\nbeta\nalpha\nfrom mine\n"), "{said}");
    assert!(said.contains("exit 0") && said.contains(".plx/store/u1"), "{said}");
    assert_eq!(here.stored("u1/outputs/out.txt"), "alpha\n");
    assert_eq!(here.stored("u1/outputs/empty"), "");
    let log = here.stored("u1/plxlogs/plx-operation-u1.jsonl");
    for (container, value) in [("polyaxon-main", "beta"), ("polyaxon-main", "problem")] {
        assert!(log.contains(&format!("\"container\":\"{container}\",\"value\":\"{value}\"")), "{log}");
    }
    assert!(names(&here.path(".plx/pods")).is_empty(), "a complete run leaves no pod folder");
}

#[test]
fn the_exit_code_is_mains() {
    let here = Here::new(&format!(
        "{FAST}run: {{kind: job, container: {{command: 'echo x > {{{{ run_outputs_path }}}}/x; exit 7'}}}}\n"
    ));
    ended(&here.run(&[]), 7);
    assert_eq!(here.stored("u1/outputs/x"), "x\n");
    let here = Here::new(&format!("{FAST}run: {{kind: job, container: {{command: 'kill -9 $$'}}}}\n"));
    ended(&here.run(&["--keep"]), 137);
    assert_eq!(names(&here.path(".plx/pods")), ["plx-operation-u1"], "--keep");
    let here = Here::new(&format!("{FAST}run: {{kind: job, container: {{command: [no-such-program]}}}}\n"));
    assert!(ended(&here.run(&[]), 127).contains("no-such-program"));
}

#[test]
fn a_missing_input_ends_the_run_before_main() {
    let here = Here::new(
        "run:\n  kind: job\n  init: [{artifacts: {files: [nope.txt]}}]\n  container: {command: 'echo STARTED'}\n",
    );
    let said = ended(&here.run(&[]), 66);
    assert!(said.contains("nope.txt") && said.contains("not started") && !said.contains("STARTED"), "{said}");
    assert_eq!(names(&here.path(".plx/pods")), ["plx-operation-u1"], "the folder is kept and named");
    // The next attempt begins with an empty folder, and the earlier one is not lost.
    here.put("nope.txt", "");
    ended(&here.run(&[]), 0);
    assert_eq!(names(&here.path(".plx/pods")), ["plx-operation-u1.1"]);
}

#[test]
fn a_second_run_of_the_same_uuid_resumes() {
    let here = Here::new(&format!(
        "{FAST}run: {{kind: job, container: {{command: 'echo more >> {{{{ run_outputs_path }}}}/f'}}}}\n"
    ));
    ended(&here.run(&[]), 0);
    ended(&here.run(&[]), 0);
    assert_eq!(here.stored("u1/outputs/f"), "more\nmore\n");
}

#[test]
fn ctrl_c_ends_main_and_stores_what_it_wrote() {
    let here = Here::new(&format!(
        "{FAST}run:\n  kind: job\n  container:\n    command: |\n      \
         trap 'echo late > {{{{ run_outputs_path }}}}/late; exit 9' TERM\n      echo early > {{{{ run_outputs_path }}}}/early\n      \
         sleep 600 &\n      echo ready\n      wait\n"
    ));
    let mut child = here.command(&["--grace-period", "60"]).stdout(Stdio::piped()).spawn().expect("a run");
    let mut out = BufReader::new(child.stdout.take().expect("stdout")).lines();
    assert_eq!(out.next().expect("a line").expect("text"), "ready");
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signalled");
    let rest: Vec<String> = out.map(|line| line.expect("text")).collect();
    assert_eq!(child.wait().expect("an end").code(), Some(9), "{rest:?}");
    assert_eq!(
        (here.stored("u1/outputs/early"), here.stored("u1/outputs/late")),
        ("early\n".into(), "late\n".into())
    );
}

#[test]
fn a_second_ctrl_c_kills_main_and_still_stores() {
    let here = Here::new(&format!(
        "{FAST}run:\n  kind: job\n  container:\n    command: |\n      trap 'echo deaf' TERM\n      \
         echo early > {{{{ run_outputs_path }}}}/early\n      echo ready\n      while :; do sleep 600 & wait; done\n"
    ));
    let mut child = here.command(&["--grace-period", "600"]).stdout(Stdio::piped()).spawn().expect("a run");
    let mut out = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).expect("a pid");
    for said in ["ready", "deaf"] {
        assert_eq!(out.next().expect("a line").expect("text"), said);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signalled");
    }
    let rest: Vec<String> = out.map(|line| line.expect("text")).collect();
    assert_eq!(child.wait().expect("an end").code(), Some(137), "{rest:?}");
    assert_eq!(here.stored("u1/outputs/early"), "early\n");
}

#[test]
fn a_dry_run_starts_nothing_and_leaves_nothing() {
    let here = Here::new(
        "run:\n  kind: job\n  init: [{artifacts: {dirs: [in]}}]\n  container: {command: 'echo STARTED > x'}\n",
    );
    here.put("in/a.txt", "alpha\n");
    let said = ended(&here.run(&["--dry-run"]), 0);
    assert!(
        said.contains("polyaxon-main") && said.contains("plx-sidecar --container-id=polyaxon-main"),
        "{said}"
    );
    assert!(!here.path("x").exists() && names(&here.path(".plx/pods")).is_empty());
    assert_eq!(names(&here.path(".plx/store")), ["in"]);
}

#[test]
fn without_collection_nothing_is_stored() {
    let here = Here::new(
        "plugins: {collectArtifacts: false}\nrun: {kind: job, container: {command: [echo, hello]}}\n",
    );
    assert!(ended(&here.run(&[]), 0).starts_with("hello\n"));
    assert!(names(&here.path(".plx/store")).is_empty() && names(&here.path(".plx/pods")).is_empty());
}

#[test]
fn stdin_is_a_file_too_and_a_bad_flag_is_64() {
    let here = Here::new("run: {kind: job, container: {command: [echo, 'hello {{ uuid }}']}}\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_plx-pod"));
    let file = fs::File::open(here.path("f.yaml")).expect("a file");
    let output =
        command.args(["run", "-", "--run-uuid", "u2"]).current_dir(here.0.path()).stdin(file).output();
    assert!(ended(&output.expect("a run"), 0).starts_with("hello u2\n"));
    ended(&here.run(&["--bogus"]), 64);
}

#[test]
fn a_pod_is_rendered_and_shown() {
    let here = Here::new(
        "run: {kind: job, init: [{artifacts: {dirs: [a]}}], container: {image: busybox, command: [a]}}\n",
    );
    let plx_pod = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plx-pod"));
        command.args(words).current_dir(here.0.path()).envs(SECRETS.map(|(name, value, _)| (name, value)));
        command.stdin(Stdio::null()).output().expect("a run")
    };
    let yaml = plx_pod(&["render", "f.yaml", "--run-uuid", "u1", "--as", "job"]);
    assert!(ended(&yaml, 0).contains("kind: Job"));
    let again = plx_pod(&["render", "f.yaml", "--run-uuid", "u1", "--as", "job"]);
    assert_eq!(yaml.stdout, again.stdout);
    let shown = ended(&plx_pod(&["explain", "f.yaml", "--run-uuid", "u1"]), 0);
    assert!(shown.contains("2. polyaxon-init-artifacts-local-"), "{shown}");
    ended(&plx_pod(&["explain", "f.yaml", "-o", "pod.html"]), 0);
    let page = fs::read_to_string(here.path("pod.html")).expect("a page");
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg "), "{page}");
    fs::write(here.path("c.yaml"), "artifactsStor: {}\n").expect("written");
    let refused = plx_pod(&["render", "f.yaml", "-c", "c.yaml"]);
    let said = ended(&refused, 78);
    assert!(
        refused.stdout.is_empty() && said.contains("c.yaml:1:1: unknown field `artifactsStor`"),
        "{said}"
    );
    assert!(said.contains("did you mean `artifactsStore`?"), "{said}");
    ended(&plx_pod(&["render", "nope.yaml"]), 66);
}

/// What is below the run in the store: files with their content, without those of the logs.
fn tree(here: &Here) -> Vec<(String, Vec<u8>)> {
    let root = here.path(".plx/store/u1");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for name in names(&folder) {
            let path = folder.join(name);
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let below = path.strip_prefix(&root).expect("below").display().to_string();
            files.push((below, fs::read(&path).expect("read")));
        }
    }
    files.retain(|(name, _)| !name.starts_with("plxlogs/"));
    files.sort();
    files
}

/// The records of the store in the order of their parts, without their times.
fn records(here: &Here) -> Vec<serde_json::Value> {
    let logs = here.path(".plx/store/u1/plxlogs");
    let mut parts = names(&logs);
    parts.sort();
    let text: String = parts.iter().map(|part| fs::read_to_string(logs.join(part)).expect("read")).collect();
    let records = text.lines().filter(|line| !line.is_empty());
    let mut records: Vec<serde_json::Value> =
        records.map(|line| serde_json::from_str(line).expect("JSON")).collect();
    records.iter_mut().for_each(|record| assert!(record["timestamp"].take().is_string()));
    records
}

/// What main said, without what the sidecar says of it.
fn of_main(here: &Here) -> Vec<String> {
    let of_main = records(here).into_iter().filter(|record| record["container"] == "polyaxon-main");
    let values = of_main.map(|record| record["value"].as_str().expect("text").to_owned());
    values.filter(|value| !value.starts_with("[plx-sidecar]")).collect()
}

#[test]
fn a_wrapped_main_leaves_the_same_tree_and_the_same_lines() {
    let document = format!(
        "{FAST}run:\n  kind: job\n  init:\n  - container: {{name: mine, command: 'echo from init'}}\n  container:\n    \
         command: [sh, -c]\n    args:\n    - |\n      echo \"$@ $(pwd)\"; for i in $(seq 1 3000); do echo line $i; done\n      \
         sleep 1.5; printf 'bytes \\377\\n\\n  indented  \\r\\n'; mkdir $POLYAXON_RUN_OUTPUTS_PATH/deep\n      \
         echo a > $POLYAXON_RUN_OUTPUTS_PATH/deep/a; : > $POLYAXON_RUN_OUTPUTS_PATH/empty; printf 'no end'; exit 7\n    \
         - sh\n    - --tee\n    - ''\n"
    );
    let run = |words: &[&str]| {
        let here = Here::new(&document);
        let output = here.run(words);
        ended(&output, 7);
        assert!(names(&here.path(".plx/pods")).is_empty(), "a complete run leaves no pod folder");
        let shown = String::from_utf8_lossy(&output.stdout).replace(&here.path("").display().to_string(), "");
        let shown = shown.split("\n\n").next().unwrap_or_default().to_owned();
        (tree(&here), records(&here).into_iter().map(|record| record.to_string()).collect::<Vec<_>>(), shown)
    };
    let (plain, wrapped) = (run(&[]), run(&["--wrap-main"]));
    assert_eq!(wrapped.0, plain.0);
    assert!(plain.1.len() == 3006, "{}", plain.1.len());
    // The folder is another one.
    let but_the_folder = |mut lines: Vec<String>| {
        lines.retain(|line| !line.contains("--tee"));
        lines
    };
    assert_eq!(but_the_folder(wrapped.1), but_the_folder(plain.1));
    assert_eq!(wrapped.2.len(), plain.2.len(), "main's output is shown as before");
}

#[test]
fn a_wrapped_main_ends_with_its_code_and_signals_reach_it_once() {
    for (command, code) in [("'kill -9 $$'", 137), ("[no-such-program]", 127), ("'exit 0'", 0)] {
        let here = Here::new(&format!("{FAST}run: {{kind: job, container: {{command: {command}}}}}\n"));
        let said = ended(&here.run(&["--wrap-main"]), code);
        assert!(code != 127 || of_main(&here)[0].contains("no-such-program"), "{said}");
    }
    let here = Here::new(&format!(
        "{FAST}run:\n  kind: job\n  container:\n    command: |\n      trap 'echo TERM; told=1' TERM\n      echo ready\n      \
         until [ -n \"$told\" ]; do sleep 0.05; done; sleep 0.3; echo last >&2; exit 9\n"
    ));
    let mut child =
        here.command(&["--wrap-main", "--grace-period", "60"]).stdout(Stdio::piped()).spawn().expect("a run");
    let mut out = BufReader::new(child.stdout.take().expect("stdout")).lines();
    assert_eq!(out.next().expect("a line").expect("text"), "ready");
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signalled");
    let rest: Vec<String> = out.map(|line| line.expect("text")).collect();
    assert_eq!(child.wait().expect("an end").code(), Some(9), "{rest:?}");
    assert_eq!(of_main(&here), ["ready", "TERM", "last"]);
}

#[test]
fn a_second_ctrl_c_kills_a_wrapped_main_and_what_it_started() {
    let here = Here::new(&format!(
        "{FAST}run:\n  kind: job\n  container:\n    command: |\n      trap 'echo deaf' TERM\n      sleep 600 & echo $!\n      \
         while :; do wait; done\n"
    ));
    let mut child = here
        .command(&["--wrap-main", "--grace-period", "600"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a run");
    let mut out = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).expect("a pid");
    let left = out.next().expect("a line").expect("text");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signalled");
    assert_eq!(out.next().expect("a line").expect("text"), "deaf");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signalled");
    let rest: Vec<String> = out.map(|line| line.expect("text")).collect();
    assert_eq!(child.wait().expect("an end").code(), Some(137), "{rest:?}");
    let stat = fs::read_to_string(format!("/proc/{left}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(" Z "), "{stat}");
    assert_eq!(of_main(&here), [left.as_str(), "deaf"]);
}
