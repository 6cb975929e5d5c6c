//! `--native-sidecar`: there before the inputs, told to end after main.

use super::{FAST, Here, ended, names};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Waits until that file of the outputs is in the store, for half a minute.
fn until_stored(here: &Here, name: &str) -> String {
    let path = here.path(&format!(".plx/store/u1/outputs/{name}"));
    let path = path.display();
    format!("for i in $(seq 600); do [ ! -e {path} ] || break; sleep 0.05; done; [ -e {path} ]")
}

fn here(init: &str, main: &str) -> Here {
    let here = Here::new("run: {kind: job}\n");
    let until = |text: &str| {
        let text = text.replace("UNTIL early", &until_stored(&here, "early"));
        text.replace("UNTIL late", &until_stored(&here, "late")).replace("OUT", "{{ run_outputs_path }}")
    };
    let document = format!(
        "version: 1.1\n{FAST}run:\n  kind: job\n  init:\n  - container:\n      name: mine\n      command: |\n        {}\n  \
         container:\n    command: |\n      {}\n",
        until(init),
        until(main)
    );
    std::fs::write(here.path("f.yaml"), document).expect("written");
    here
}

#[test]
fn what_an_init_container_writes_is_stored_before_main_starts() {
    let here = here("echo early > OUT/early; UNTIL early", "echo late > OUT/late");
    let said = ended(&here.run(&["--native-sidecar"]), 0);
    assert!(said.contains("exit 0") && said.contains("stored"), "{said}");
    assert_eq!(
        (here.stored("u1/outputs/early"), here.stored("u1/outputs/late")),
        ("early\n".into(), "late\n".into())
    );
    assert!(names(&here.path(".plx/pods")).is_empty(), "a complete run leaves no pod folder");
}

#[test]
fn what_was_written_before_an_init_container_failed_is_stored() {
    let here = here("echo early > OUT/early; exit 3", "echo STARTED");
    let said = ended(&here.run(&["--native-sidecar"]), 3);
    assert!(said.contains("not started") && !said.contains("STARTED"), "{said}");
    assert_eq!(here.stored("u1/outputs/early"), "early\n");
}

#[test]
fn ctrl_c_reaches_the_sidecar_after_main() {
    let main = "trap 'echo late > OUT/late; UNTIL late && exit 9' TERM; sleep 600 & echo ready; wait";
    let here = here("true", main);
    let command = &mut here.command(&["--native-sidecar", "--grace-period", "60"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("a run");
    let mut out = BufReader::new(child.stdout.take().expect("stdout")).lines();
    assert_eq!(out.next().expect("a line").expect("text"), "ready");
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signalled");
    let rest: Vec<String> = out.map(|line| line.expect("text")).collect();
    assert_eq!(child.wait().expect("an end").code(), Some(9), "{rest:?}");
    assert_eq!(here.stored("u1/outputs/late"), "late\n");
}
