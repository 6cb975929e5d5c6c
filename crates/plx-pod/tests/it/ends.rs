use clap::error::ErrorKind;
use plx_contract::Class;
use plx_pod::cli::{RunArgs, exit_code as clap_code};
use plx_pod::outcome::{ChildReport, Sync, class_of, exit_code};
use plx_pod::process::Ended;
use plx_pod::roles::Role;
use plx_pod::table::{Row, bytes, render};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

fn report(json: &str) -> ChildReport {
    serde_json::from_str(json).expect("a report")
}

fn killed(signal: i32) -> Ended {
    Ended::of(ExitStatus::from_raw(signal))
}

#[test]
fn the_exit_code_is_mains_unless_its_outputs_are_missing() {
    let code = Ended::with_code;
    assert_eq!(exit_code(code(0), &Sync::Complete), 0);
    assert_eq!(exit_code(code(0), &Sync::Unknown), 75);
    assert_eq!(exit_code(code(3), &Sync::Incomplete), 3);
    assert_eq!(exit_code(code(3), &Sync::Failed(code(77))), 3);
    assert_eq!(exit_code(code(0), &Sync::Incomplete), 75);
    assert_eq!(exit_code(code(0), &Sync::Failed(code(77))), 77);
    assert_eq!(exit_code(code(0), &Sync::Failed(killed(9))), 75);
    assert_eq!(exit_code(killed(9), &Sync::Complete), 137);
    assert_eq!(killed(15).to_string(), "signal 15");
    assert_eq!(Ended::of(ExitStatus::from_raw(255 << 8)).code, 255);
}

#[test]
fn a_sidecar_that_leaves_files_behind_is_found_out_though_it_exits_0() {
    let fine = report(r#"{"program":"plx-sidecar","class":"done","stored":3,"waiting":[]}"#);
    let left = report(r#"{"class":"done","waiting":["a","b"]}"#);
    let said = report(r#"{"class":"incomplete","message":"m"}"#);
    assert_eq!(Sync::of(Ended::with_code(0), Some(&fine)), Sync::Complete);
    assert_eq!(Sync::of(Ended::with_code(0), Some(&left)), Sync::Incomplete);
    assert_eq!(left.waiting(), Some(2));
    assert_eq!(Sync::of(Ended::with_code(0), Some(&said)), Sync::Incomplete);
    assert_eq!(Sync::of(Ended::with_code(75), None), Sync::Incomplete);
    assert_eq!(Sync::of(Ended::with_code(0), None), Sync::Unknown);
    assert_eq!(Sync::of(Ended::with_code(69), Some(&fine)), Sync::Failed(Ended::with_code(69)));
    assert!(Sync::Complete.is_settled() && Sync::NotWanted.is_settled() && !Sync::Unknown.is_settled());
    assert_eq!((class_of(77), class_of(3)), (Class::Denied, Class::Bug));
}

#[test]
fn an_unreadable_report_is_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("r.json");
    assert_eq!(ChildReport::read(&path), None);
    std::fs::write(&path, "{").expect("written");
    assert_eq!(ChildReport::read(&path), None);
    std::fs::write(&path, "{\"class\":\"done\",\"objects\":2}\n").expect("written");
    assert_eq!(ChildReport::read(&path).and_then(|report| report.objects), Some(2));
}

#[test]
fn usage_errors_are_64_and_help_is_0() {
    let kind = |words: &[&str]| RunArgs::from_words(words).expect_err("no run").kind();
    assert_eq!(clap_code(kind(&["f", "--bogus"])), 64);
    assert_eq!(clap_code(kind(&[])), 64);
    assert_eq!(clap_code(kind(&["--help"])), 0);
    assert_eq!(clap_code(ErrorKind::DisplayVersion), 0);
    assert_eq!(RunArgs::from_words(&["f", "--sync-interval", "-1"]).expect("a run").sync_interval, Some(-1));
}

#[test]
fn the_name_it_is_started_under_is_its_role() {
    assert_eq!(Role::of("/usr/bin/plx-init".as_ref()), Some(Role::Init));
    assert_eq!(Role::of("plx-sidecar".as_ref()), Some(Role::Sidecar));
    assert_eq!(Role::of("target/debug/plx-pod".as_ref()), None);
}

#[test]
fn the_table_shows_what_is_not_known_as_a_dash() {
    let row = Row { step: "main".into(), result: "exit 0".into(), bytes: Some(1536), ..Row::default() };
    let text = render(&[row]);
    let line = text.lines().last().expect("a row");
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>(),
        ["main", "exit", "0", "-", "1.5", "KiB", "-", "-"]
    );
    assert_eq!(
        (bytes(1023), bytes(1 << 20), bytes((1 << 30) - 1)),
        ("1023 B".into(), "1.0 MiB".into(), "1.0 GiB".into())
    );
}
