mod config;

use super::*;
use plx_contract::{Class, Classified};

fn ours(raw: &str) -> Flags {
    parse(Some(raw)).unwrap_or_else(|error| panic!("{raw}: {error}"))
}

#[track_caller]
fn check(raw: &str, want: &str) {
    let flags = ours(raw);
    assert_eq!(flags.canonical(), want, "{raw}");
    assert_eq!(ours(&flags.canonical()), flags, "what is canonical means the same: {raw}");
}

#[track_caller]
fn check_refused(raw: &str, says: &str, next: &str) {
    let error = parse(Some(raw)).map(|flags| flags.canonical()).expect_err(raw);
    let step = error.next_step().expect("a next step");
    assert!(
        error.to_string().starts_with("git flags: ") && error.to_string().contains(says),
        "{raw}: {error}"
    );
    assert!(step.contains(next), "{raw}: {error}: {step}");
    assert!(!format!("{error} {error:?} {step}").contains("hunter2"), "{raw}: {error:?}");
    assert_eq!(error.class(), Class::Usage);
}

#[test]
fn no_flags_are_no_flags() {
    assert_eq!(parse(None).expect("flags"), Flags::default());
    for raw in ["", "  ", "[]", "[\"\"]", ",", " , "] {
        check(raw, "");
    }
}

#[test]
fn all_three_forms_say_the_same() {
    let want = "--depth=1 --single-branch '--branch=a b'";
    for raw in [
        r#"["--depth 1","--single-branch","--branch 'a b'"]"#,
        r#"["--depth", "1", "--single-branch --branch 'a b'"]"#,
        r#" [ "--depth=1" , "--single-branch" , "--branch='a b'" ] "#,
        "--depth 1,--single-branch,--branch='a b'",
        "--depth=1 , --single-branch , -b 'a b' ,",
        "--depth 1 --single-branch --branch 'a b'",
        "--depth 1 --single-branch\n--branch \"a b\"\n",
        r"--depth 1 --single-branch --branch a\ b",
    ] {
        check(raw, want);
    }
}

#[test]
fn a_comma_in_a_value_stays() {
    check("--branch a,b", "'--branch=a,b'");
    check("--branch a,,b,--depth 1", "--depth=1 '--branch=a,,b'");
    check("--branch 'a,-b',--depth 1", "--depth=1 '--branch=a,-b'");
    check(r#"["--branch=a,-b"]"#, "'--branch=a,-b'");
    let flags = ours("-c 'http.extraHeader=X: A, B',--depth=1");
    assert_eq!((flags.transfer.headers.len(), flags.depth), (1, NonZeroU32::new(1)));
    let flags = ours("-c http.extraHeader=X:A,B,--depth=1");
    assert_eq!((flags.transfer.headers.len(), flags.depth), (1, NonZeroU32::new(1)));
}

#[test]
fn a_hash_begins_no_comment() {
    check("--branch #12 --depth 1", "--depth=1 '--branch=#12'");
    check(r##"["--branch", "#12"]"##, "'--branch=#12'");
    check("--branch '#12'", "'--branch=#12'");
    check("--branch a#b", "'--branch=a#b'");
}

#[test]
fn every_spelling_of_an_option_is_known() {
    for (raw, want) in [
        ("--depth 5", "--depth=5"),
        ("--depth=2147483647", "--depth=2147483647"),
        ("--depth 1 --depth 2", "--depth=2"),
        ("-b dev", "--branch=dev"),
        ("-bdev", "--branch=dev"),
        ("--branch=-x", "--branch=-x"),
        ("-b-x", "--branch=-x"),
        ("-vb dev", "--branch=dev"),
        ("--single-branch --no-single-branch", "--no-single-branch"),
        ("--no-tags", "--no-tags"),
        ("--no-tags --tags", "--tags"),
        ("--shallow-submodules", "--shallow-submodules"),
        ("--no-shallow-submodules", "--no-shallow-submodules"),
        ("--recurse-submodules", "--recurse-submodules"),
        ("--recursive", "--recurse-submodules"),
        ("--recursive --no-recurse-submodules", ""),
        ("--recurse-submodules=a --no-recursive --recursive=b", "--recurse-submodules=b"),
        ("--recurse-submodules=a --recurse-submodules=b", "--recurse-submodules=a --recurse-submodules=b"),
        ("--recurse-submodules=a --recurse-submodules", "--recurse-submodules"),
        ("--recurse-submodules --recurse-submodules=a", "--recurse-submodules"),
        ("--recurse-submodules=.", "--recurse-submodules"),
        ("--experimental-fetch", "--experimental-fetch"),
        ("-c core.autocrlf=input", "-c core.autocrlf=input"),
        ("-ccore.autocrlf=input", "-c core.autocrlf=input"),
        ("--config core.autocrlf=input", "-c core.autocrlf=input"),
        ("--config=core.autocrlf=input", "-c core.autocrlf=input"),
    ] {
        check(raw, want);
    }
}

#[test]
fn what_only_concerns_printing_and_speed_changes_nothing() {
    for raw in [
        "-v",
        "--verbose",
        "-q",
        "--quiet",
        "-qv",
        "--progress",
        "--no-progress",
        "-j4",
        "-j 4",
        "--jobs=4",
        "--jobs 4",
        "-l",
        "--local",
        "--no-local",
        "--no-hardlinks",
        "--hardlinks",
        "--checkout",
        "--no-bare",
    ] {
        check(raw, "");
    }
}

#[test]
fn a_depth_means_one_branch_only_where_git_decides_so() {
    assert_eq!(ours("--depth 1").single_branch, None);
}

#[test]
fn what_cannot_be_done_is_refused_with_the_way_around() {
    for (raw, says, next) in [
        ("--filter=blob:none", "--filter is not supported", "use --depth=1"),
        ("--filter blob:none", "--filter is not supported", "use --depth=1"),
        ("--also-filter-submodules", "--also-filter-submodules", "--shallow-submodules"),
        ("--shallow-since=2020-01-01", "--shallow-since", "--depth=N"),
        ("--shallow-exclude=v1", "--shallow-exclude", "--depth=N"),
        ("--reject-shallow", "--reject-shallow", "leave it out"),
        ("--sparse", "--sparse", "sparse-checkout"),
        ("--bare", "--bare", "beside .git"),
        ("--mirror", "--mirror", "beside .git"),
        ("--no-checkout", "--no-checkout", "beside .git"),
        ("-n", "-n (--no-checkout)", "beside .git"),
        ("--separate-git-dir=/x", "--separate-git-dir", "beside .git"),
        ("--reference /x", "--reference", "stands on its own"),
        ("--reference-if-able /x", "--reference-if-able", "stands on its own"),
        ("--shared", "--shared", "stands on its own"),
        ("-s", "-s (--shared)", "stands on its own"),
        ("--dissociate", "--dissociate", "stands on its own"),
        ("--upload-pack=hunter2", "--upload-pack", "upload-pack"),
        ("-u hunter2", "-u (--upload-pack)", "upload-pack"),
        ("-uhunter2", "-u (--upload-pack)", "upload-pack"),
        ("-qu hunter2", "-u (--upload-pack)", "upload-pack"),
        ("--template=/x", "--template", "hooks"),
        ("--origin=up", "--origin", "always origin"),
        ("-o up", "-o (--origin)", "always origin"),
        ("--bundle-uri=https://u:hunter2@h/b", "--bundle-uri", "--depth=1"),
        ("--remote-submodules", "--remote-submodules", "--recurse-submodules"),
        ("--server-option=x", "--server-option", "version 2"),
        ("--ref-format=reftable", "--ref-format", "files"),
        ("--ipv4", "--ipv4", "answers first"),
        ("-4", "-4 (--ipv4)", "answers first"),
        ("-6", "-6 (--ipv6)", "answers first"),
        ("--revision=v1", "--revision", "beside the url"),
    ] {
        check_refused(raw, says, next);
    }
}

#[test]
fn an_unknown_option_is_named_with_the_nearest_known() {
    check_refused("--dept 1", "unknown option --dept", "perhaps --depth is meant");
    check_refused("--recurse-submodule", "unknown option --recurse-submodule", "--recurse-submodules");
    check_refused("--single_branch", "unknown option --single", "perhaps --single-branch");
    check_refused("--zzz=hunter2", "unknown option --zzz", "options of git clone");
    check_refused("--zzz:hunter2", "unknown option --zzz", "options of git clone");
    check_refused("-xhunter2", "unknown option -x", "options of git clone");
}

#[test]
fn a_wrong_value_is_refused_without_repeating_it() {
    for raw in [
        "--depth",
        "--depth 0",
        "--depth=-1",
        "--depth hunter2",
        "--depth=2147483648",
        "--depth --tags",
        "--depth=",
    ] {
        check_refused(raw, "--depth wants a number of commits", "at least 1");
    }
    for raw in ["--branch", "--branch=", "--branch -hunter2", "-b", "--branch --tags"] {
        check_refused(raw, "--branch wants a branch", "--branch=-NAME");
    }
    check_refused("-j hunter2", "--jobs wants a number", "a number");
    check_refused("--single-branch=true", "--single-branch takes no value", "write --single-branch alone");
    check_refused("-c", "--config wants a setting", "KEY=VALUE");
    check_refused("-c --tags", "--config wants a setting", "KEY=VALUE");
}

#[test]
fn a_word_of_its_own_is_refused_without_repeating_it() {
    check_refused("hunter2", "belongs to no option", "quote");
    check_refused("--depth 1 hunter2", "belongs to no option, after --depth", "quote");
    check_refused("-c http.extraHeader=Authorization:Basic hunter2", "no option, after -c", "quote");
    check_refused("-- hunter2", "belongs to no option", "quote");
    check_refused("- hunter2", "belongs to no option", "quote");
    check_refused("---x", "unknown option", "options of git clone");
}

#[test]
fn a_text_that_is_none_of_the_forms_is_refused() {
    check_refused(r#"["--depth 1"#, "no JSON list", "[\"--depth 1\"");
    check_refused("['--depth hunter2']", "no JSON list", "[\"--depth 1\"");
    check_refused(r#"[1, "hunter2"]"#, "no JSON list", "[\"--depth 1\"");
    check_refused("--branch 'hunter2", "quote is not closed", "close it");
    check_refused(r#"["--branch 'hunter2"]"#, "quote is not closed", "close it");
    check_refused("-c 'http.extraHeader=A: b\r\nB: hunter2'", "control character", "one line");
    check_refused(r#"["--branch=a\u0000b"]"#, "control character", "one line");
}

#[test]
fn equal_flags_have_one_text_and_others_another() {
    let one = ours("--depth 1 -v -c http.sslVerify=false -b dev");
    let same = ours(r#"["-bdev","--depth=1","-c 'http.extraHeader=Authorization: hunter2'"]"#);
    assert_eq!(one.canonical(), same.canonical());
    assert_ne!(one.canonical(), ours("--depth 2 -b dev").canonical());
    assert_ne!(one.canonical(), ours("--depth 1 -b dev -c core.eol=lf").canonical());
}
