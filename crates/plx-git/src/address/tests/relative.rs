use super::*;

#[track_caller]
fn check_join(base: &str, relative: &str, want: Option<&str>) {
    let (base, _) = parse(base).expect("a base");
    let found = base.join(relative).map(|(address, _)| address.to_string()).ok();
    assert_eq!(found.as_deref(), want, "{base} {relative}");
}

#[test]
fn a_submodule_is_found_relative_to_its_repository_as_git_does() {
    // Checked against `git submodule init` of git 2.47.
    check_join("https://h/o/r", "../x", Some("https://h/o/x"));
    check_join("https://h/o/r.git", "./x", Some("https://h/o/r.git/x"));
    check_join("https://h/o/r/", "../x/", Some("https://h/o/x"));
    check_join("https://h/o/r", "../../x", Some("https://h/x"));
    check_join("https://h/o/r", ".././../x/../y", Some("https://h/x/../y"));
    check_join("ssh://me@h:22/o/r", "../x", Some("ssh://me@h:22/o/x"));
    check_join("me@h:o/r", "../x", Some("me@h:o/x"));
    check_join("me@h:o/r", "../../x", Some("me@h:x"));
    check_join("me@h:r", "../x", Some("me@h:x"));
    check_join("me@h:/o/r", "../../x", Some("me@h:/x"));
    check_join("/a/b", "../x", Some("/a/x"));
    check_join("/a/b", "../../x", Some("/x"));
    check_join("a/b", "../x", Some("a/x"));
    check_join("a", "../x", Some("x"));
    check_join("./a", "../x", Some("x"));
    check_join("../a", "../x", Some("../x"));
    check_join("file:///a/b", "../x", Some("file:///a/x"));
}

#[test]
fn a_submodule_does_not_climb_out_of_its_host() {
    for base in ["https://h/r", "https://h/r/", "me@h:r", "me@h:/r", "/r", "r", "./r", "../r", "file:///r"] {
        check_join(base, "../../x", None);
    }
    check_join("..", "../x", None);
    check_join("https://h/r", "../x\ny", None);
    check_join("r", "../host:x", None);
    check_join("r", "../ext::sh", None);
    let error = parse("https://h/r").expect("a base").0.join("../../x").expect_err("too many");
    assert_eq!(error.to_string(), "the submodule url `../../x` leads out of https://h/r");
    assert_eq!(error.class(), Class::Integrity);
}

#[test]
fn a_submodule_elsewhere_stands_for_itself() {
    let (base, _) = parse("https://h/r").expect("a base");
    let (address, login) = base.join("https://u:t@other/x").expect("an address");
    assert_eq!((address.to_string().as_str(), shown(&login).as_str()), ("https://other/x", "u:t"));
    check_join("https://h/r", "git@h:x", Some("git@h:x"));
    check_join("https://h/r", "/srv/x", Some("/srv/x"));
    check_join("https://h/r", "..x", Some("..x"));
    check_join("https://h/r", "ext::sh", None);
}
