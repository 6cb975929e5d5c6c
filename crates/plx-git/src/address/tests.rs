mod names;
mod relative;
mod route;

use super::*;
use plx_contract::{Class, Classified};
use secrecy::ExposeSecret;

/// The means that the fixture's names stand for.
fn means(name: &str) -> Means {
    let has = |wanted: &str| name.split('+').any(|part| part == wanted);
    let credentials = if has("creds") { Some("user:pass") } else { has("creds-empty").then_some("") };
    Means { credentials: credentials.map(SecretString::from), store: has("store"), ssh: has("ssh") }
}

fn shown(login: &Option<Login>) -> String {
    login.as_ref().map_or_else(String::new, |login| {
        let password = login.password.expose_secret();
        if password.is_empty() { login.user.clone() } else { format!("{}:{password}", login.user) }
    })
}

#[track_caller]
fn check(raw: &str, display: &str, request: &str, login: &str) {
    let (address, found) = parse(raw).unwrap_or_else(|error| panic!("{raw}: {error}"));
    assert_eq!(address.to_string(), display, "{raw}");
    assert_eq!(address.to_request(), request, "{raw}");
    assert_eq!(shown(&found), login, "{raw}");
    let (again, _) = parse(display).expect("what is shown is an address");
    assert_eq!(again, address, "{raw}");
}

#[test]
fn urls_of_http_lose_their_login_and_nothing_else() {
    check("https://h/o/r", "https://h/o/r", "https://h/o/r", "");
    check(" https://h/o/r ", "https://h/o/r", "https://h/o/r", "");
    check("HTTPS://H.org/o/R/", "https://H.org/o/R/", "https://H.org/o/R/", "");
    check("https://u:t@h:8443/a%20b", "https://h:8443/a%20b", "https://h:8443/a%20b", "u:t");
    check("https://me@corp.com:tok@host/x", "https://host/x", "https://host/x", "me@corp.com:tok");
    check("https://u:a%2Fb%3Ac:d@h/x", "https://h/x", "https://h/x", "u:a/b:c:d");
    check("https://:tok@h/x", "https://h/x", "https://h/x", ":tok");
    check("https://@h/x", "https://h/x", "https://h/x", "");
    check("https://:@h/x@y", "https://h/x@y", "https://h/x@y", "");
    check("http://[::1]:8080/x", "http://[::1]:8080/x", "http://[::1]:8080/x", "");
    check("https://h:/x", "https://h/x", "https://h/x", "");
    check("https://h", "https://h", "https://h", "");
    check("git://h:9419/x", "git://h:9419/x", "git://h:9419/x", "");
}

#[test]
fn a_query_is_asked_with_and_never_shown() {
    let (address, _) = parse("https://h/o/r.git?private_token=hunter2#z").expect("an address");
    assert_eq!(address.to_string(), "https://h/o/r.git");
    assert_eq!(address.code_url(), "https://h/o/r.git");
    assert_eq!(address.to_request(), "https://h/o/r.git?private_token=hunter2#z");
}

#[test]
fn addresses_of_ssh_keep_their_user() {
    check("ssh://me@h:2222/o/r.git", "ssh://me@h:2222/o/r.git", "ssh://me@h:2222/o/r.git", "");
    check("ssh://h/~/r", "ssh://h/~/r", "ssh://git@h/~/r", "");
    check("git+ssh://git@h/r", "ssh://git@h/r", "ssh://git@h/r", "");
    check("ssh://me:secret@h/r", "ssh://me@h/r", "ssh://me@h/r", "me:secret");
    check("ssh://me%40corp@h/r", "ssh://me%40corp@h/r", "ssh://me%40corp@h/r", "");
    check("git@h:o/r.git", "git@h:o/r.git", "ssh://git@h/o/r.git", "");
    check("host:o/r", "host:o/r", "ssh://git@host/o/r", "");
    check("me@h:/abs/r", "me@h:/abs/r", "ssh://me@h/abs/r", "");
    check("git@h:~me/a b%20?", "git@h:~me/a b%20?", "ssh://git@h/~me/a%20b%2520%3F", "");
    check("[h:2222]:o/r", "[h:2222]:o/r", "ssh://git@h:2222/o/r", "");
    check("git@[::1]:o/r", "git@[::1]:o/r", "ssh://git@[::1]/o/r", "");
    check("me@corp@h:o/r", "me@corp@h:o/r", "ssh://me%40corp@h/o/r", "");
    check("git@h:me@corp/r", "git@h:me@corp/r", "ssh://git@h/me@corp/r", "");
}

#[test]
fn paths_are_paths() {
    check("/a/b", "/a/b", "/a/b", "");
    check("-x", "-x", "-x", "");
    check("./a:b", "./a:b", "./a:b", "");
    check("a/b@c:d", "a/b@c:d", "a/b@c:d", "");
    check("pkg@1/r", "pkg@1/r", "pkg@1/r", "");
    check("file:///a%20b", "file:///a%20b", "/a b", "");
    check("file://localhost/a", "file://localhost/a", "/a", "");
}

#[track_caller]
fn check_refused(raw: &str, class: Class, says: &str) {
    for name in ["none", "creds", "store", "ssh"] {
        let error = route(raw, &means(name)).expect_err(raw);
        let text = format!("{error} {error:?} {}", error.next_step().expect("a next step"));
        assert!(text.contains(says), "{raw}: {text}");
        assert!(!text.contains("hunter2"), "{raw}: {text}");
        assert_eq!(error.class(), class, "{raw}");
    }
}

#[test]
fn what_is_no_address_is_refused_without_repeating_a_secret() {
    for (raw, says) in [
        ("", "valid url"),
        ("  ", "valid url"),
        ("https://u:hunter2@h/x\n", "control character"),
        ("https://u:hunter2%0a@h/x", "control character"),
        ("ssh://h/a%00b", "control character"),
        ("file:///a%0ab", "control character"),
        ("https://u:hunter2/x@h/x", "port"),
        ("https://u:hunter2?x@h/x", "port"),
        ("https://h:0/x", "port"),
        ("https://h:65536/x", "port"),
        ("https://h:+22/x", "port"),
        ("https:///x", "no host"),
        ("https://u:hunter2@/x", "no host"),
        (":x", "no host"),
        ("https://-h/x", "begins with `-`"),
        ("-h:x", "begins with `-`"),
        ("ssh://-oProxyCommand=x@h/x", "begins with `-`"),
        ("-oProxyCommand@h:x", "begins with `-`"),
        ("https://evil\\/x", "name of a host"),
        ("https://a b/x", "name of a host"),
        ("https://[::1/x", "bracket"),
        ("https://[h]/x", "IPv6"),
        ("https://[::1]x/x", "IPv6"),
        ("https:/u:hunter2@h/x", "`//`"),
        ("https:u:hunter2@h/x", "`//`"),
        ("ssh:/h/x", "`//`"),
        ("git://u:hunter2@h/x", "no login"),
        ("git://h/x%0d%0aFLUSHALL", "text"),
        ("git://h/x%00host=other", "text"),
        ("https//u:hunter2@h/x", "no scheme"),
        ("//u:hunter2@h/x", "no scheme"),
        ("file://h/x", "file url"),
        ("git@h:", "no path"),
        ("[h]:x", "IPv6"),
        ("[h:]:x", "IPv6"),
    ] {
        check_refused(raw, Class::Usage, says);
    }
}

#[test]
fn a_scheme_that_nothing_here_speaks_is_named() {
    for (raw, says) in [
        ("ftp://u:hunter2@h/x", "`ftp://`"),
        ("s3://bucket/x", "`s3://`"),
        ("git+https://u:hunter2@h/x", "`git+https://`"),
        ("ext::sh -c hunter2", "`ext::`"),
        ("https::https://u:hunter2@h/x", "`https::`"),
    ] {
        check_refused(raw, Class::Config, says);
        check_refused(raw, Class::Config, "ssh://");
    }
}

#[test]
fn debug_shows_no_login() {
    let route = route("https://hunter1:hunter2@h/x", &means("none")).expect("a route");
    let means = Means { credentials: Some("hunter3".into()), ..Means::default() };
    assert!(!format!("{route:?} {means:?}").contains("hunter"), "{route:?} {means:?}");
}

#[test]
fn the_same_host_is_the_same_scheme_name_and_port() {
    for (a, b, want) in [
        ("https://h/a", "https://H:443/b", true),
        ("http://[::1]/a", "http://[0:0::1]:80/b", true),
        ("https://h/a", "http://h/a", false),
        ("http://h:443/a", "https://h/a", false),
        ("https://h/a", "https://h:8443/a", false),
        ("https://h/a", "https://h.org/a", false),
        ("ssh://h/a", "ssh://h/a", false),
        ("/a", "/a", false),
    ] {
        let [(a, _), (b, _)] = [a, b].map(|raw| parse(raw).expect("an address"));
        assert_eq!(a.same_host(&b), want, "{a} {b}");
    }
}

#[test]
fn the_port_is_the_written_one_or_the_schemes() {
    for (raw, want) in [
        ("https://h/a", Some(("h", 443))),
        ("http://[::1]:81/a", Some(("::1", 81))),
        ("git@h:a", Some(("h", 22))),
        ("git://h/a", Some(("h", 9418))),
        ("/a", None),
        ("file:///a", None),
    ] {
        assert_eq!(parse(raw).expect("an address").0.host_port(), want, "{raw}");
    }
}

#[test]
fn an_ssh_server_is_asked_for_the_path_as_git_asks() {
    for (raw, want) in [
        ("git@h:o/r.git", Some("o/r.git")),
        ("git@h:/o/r%20", Some("/o/r%20")),
        ("git@h:~/r", Some("~/r")),
        ("git@h:/~me/r", Some("~me/r")),
        ("git@h:-r", Some("./-r")),
        ("ssh://h/o/r%20s", Some("/o/r s")),
        ("ssh://h/~me/r", Some("~me/r")),
        ("ssh://h/-r", Some("/-r")),
        ("https://h/r", None),
    ] {
        assert_eq!(parse(raw).expect("an address").0.upload_pack_path().as_deref(), want, "{raw}");
    }
}
