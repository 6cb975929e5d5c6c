use super::super::route::login_of;
use super::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    env_name: String,
    url: Option<String>,
    expected: Option<String>,
    verdict: String,
}

fn fixture() -> Vec<Case> {
    serde_json::from_str::<Fixture>(include_str!("../../../tests/fixtures/urls.json"))
        .expect("the fixture")
        .cases
}

#[track_caller]
fn check_route(name: &str, url: &str, address: &str, login: &str) {
    let route = route(url, &means(name)).unwrap_or_else(|error| panic!("{name}: {url}: {error}"));
    assert_eq!(
        (route.address.to_string().as_str(), shown(&route.login).as_str()),
        (address, login),
        "{name}: {url}"
    );
}

#[test]
fn what_the_reference_does_right_comes_out_equal() {
    let kept = fixture().into_iter().filter(|case| case.verdict == "keep");
    let mut count = 0;
    for Case { env_name, url, expected, .. } in kept {
        count += 1;
        let url = url.unwrap_or_default();
        let Some(expected) = expected else {
            let error = route(&url, &means(&env_name)).expect_err("no url");
            assert!(
                error.to_string().starts_with("Git initializer requires a valid url, received "),
                "{error}"
            );
            assert_eq!(error.class(), Class::Usage);
            continue;
        };
        let (address, login) = match expected.split_once("://") {
            Some((scheme, rest)) if scheme.starts_with("http") => match rest.split_once('@') {
                Some((login, rest)) => (format!("{scheme}://{rest}"), login),
                None => (expected.clone(), ""),
            },
            _ => (expected.clone(), ""),
        };
        check_route(&env_name, &url, &address, login);
    }
    assert_eq!(count, 96);
}

/// What the reference breaks: the means, the url, where it leads here, the login.
const FIXED: [(&str, &str, &str, &str); 25] = [
    ("creds", "http://git.example.com/org/repo", "http://git.example.com/org/repo", "user:pass"),
    (
        "creds",
        "http://git.example.com:8080/org/repo.git",
        "http://git.example.com:8080/org/repo.git",
        "user:pass",
    ),
    ("creds", "https://token@github.com/org/repo.git", "https://github.com/org/repo.git", "user:pass"),
    ("creds", "/local/path/repo", "/local/path/repo", ""),
    ("creds", "file:///local/repo.git", "file:///local/repo.git", ""),
    (
        "creds-empty",
        "http://git.example.com:8080/org/repo.git",
        "http://git.example.com:8080/org/repo.git",
        "",
    ),
    ("creds-empty", "git://host/repo.git", "git://host/repo.git", ""),
    ("store", "https://github.com/org/repo.git", "https://github.com/org/repo.git", ""),
    ("store", "http://git.example.com:8080/org/repo.git", "http://git.example.com:8080/org/repo.git", ""),
    ("store", "ssh://git@host:2222/org/repo.git", "ssh://git@host:2222/org/repo.git", ""),
    ("store", "https://token@github.com/org/repo.git", "https://github.com/org/repo.git", "token"),
    ("store", "https://host:8443/g/sub/repo.git", "https://host:8443/g/sub/repo.git", ""),
    ("store", "file:///local/repo.git", "file:///local/repo.git", ""),
    ("store", "git://host/repo.git", "git://host/repo.git", ""),
    ("ssh", "https://token@github.com/org/repo.git", "git@github.com:org/repo.git", ""),
    ("ssh", "https://host:8443/g/sub/repo.git", "git@host:g/sub/repo.git", ""),
    (
        "creds+ssh",
        "http://git.example.com:8080/org/repo.git",
        "http://git.example.com:8080/org/repo.git",
        "user:pass",
    ),
    ("creds+ssh", "/local/path/repo", "/local/path/repo", ""),
    ("creds+ssh", "file:///local/repo.git", "file:///local/repo.git", ""),
    ("creds+ssh", "git://host/repo.git", "git://host/repo.git", ""),
    ("store+ssh", "https://github.com/org/repo.git", "https://github.com/org/repo.git", ""),
    ("store+ssh", "git://host/repo.git", "git://host/repo.git", ""),
    ("store+ssh", "http://git.example.com:8080/org/repo.git", "http://git.example.com:8080/org/repo.git", ""),
    ("store+ssh", "ssh://git@host:2222/org/repo.git", "ssh://git@host:2222/org/repo.git", ""),
    ("store+ssh", "https://host:8443/g/sub/repo.git", "https://host:8443/g/sub/repo.git", ""),
];

#[test]
fn what_the_reference_breaks_leads_somewhere() {
    for (name, url, address, login) in FIXED {
        check_route(name, url, address, login);
    }
    let mut ours: Vec<_> = FIXED.iter().map(|(name, url, ..)| format!("{name} {url}")).collect();
    let mut theirs: Vec<_> = fixture()
        .into_iter()
        .filter(|case| case.verdict == "fix")
        .map(|case| format!("{} {}", case.env_name, case.url.unwrap_or_default()))
        .collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
}

#[test]
fn forms_that_the_fixture_has_not() {
    // Who logs in, and whether a port survives.
    check_route("creds", "me@host.org:o/r.git", "https://host.org/o/r", "user:pass");
    check_route("creds", "host:o/r", "https://host/o/r", "user:pass");
    check_route("creds", "host:8443/o/r", "https://host:8443/o/r", "user:pass");
    check_route("creds", "host:8443/o/r.git", "https://host:8443/o/r", "user:pass");
    check_route("creds", "git@host:8443/o/r", "https://host/8443/o/r", "user:pass");
}

#[test]
fn empty_credentials_leave_the_login_that_the_url_has() {
    check_route("creds-empty", "https://token@host/o/r", "https://host/o/r", "token");
    check_route("creds-empty", "me@host:o/r", "https://host/o/r", "me");
    check_route("creds-empty", "git@host/o/r", "https://host/o/r", "");
}

#[test]
fn a_login_without_a_scheme_is_replaced_by_credentials_and_refused_without() {
    for url in ["token@github.com/o/r", "user:token@github.com/o/r", "me@corp.com:token@github.com/o/r"] {
        check_route("creds", url, "https://github.com/o/r", "user:pass");
        for name in ["none", "store", "ssh"] {
            let error = route(url, &means(name)).expect_err(url);
            assert_eq!(error, AddressError::LoginWithoutScheme, "{name} {url}");
        }
    }
    check_route("store", "git@github.com/o/r", "https://github.com/o/r", "");
    check_route("store", "user:token@github.com/o/r.git", "https://github.com/o/r", "user:token");
}

#[test]
fn a_store_leaves_what_the_reference_leaves() {
    check_route("store", "me@host:o/r", "me@host:o/r", "");
    check_route("store", "me@host:o/r.git", "https://host/o/r", "me");
    check_route("store", "host:o/r.git", "https://host/o/r", "");
    check_route("store", "./o/r.git", "./o/r.git", "");
    check_route("store", "../o/r.git", "../o/r.git", "");
    check_route("store", "~/o/r.git", "~/o/r.git", "");
    check_route("store+ssh", "https://host/o/r", "https://host/o/r", "");
}

#[test]
fn a_name_without_a_slash_is_a_folder_whatever_the_means() {
    for name in ["none", "creds", "store", "ssh"] {
        check_route(name, "repo", "repo", "");
        check_route(name, "C:\\repo", "C:\\repo", "");
    }
}

#[test]
fn ssh_takes_the_place_of_http_without_its_user_and_port() {
    check_route("ssh", "http://me:tok@host:8080/o/r/", "git@host:o/r.git", "");
    check_route("ssh", "https://[::1]:8443/o/r.git", "git@[::1]:o/r.git", "");
    assert!(route("https://host/", &means("ssh")).is_err());
}

#[test]
fn credentials_are_a_user_and_a_token_or_a_token() {
    for (raw, want) in [
        ("", None),
        (":", None),
        ("\n", None),
        ("tok", Some(("tok", ""))),
        ("u:tok\n", Some(("u", "tok"))),
        (":tok", Some(("", "tok"))),
        ("me%40corp.com:a%2Fb:c+d%zz", Some(("me@corp.com", "a/b:c+d%zz"))),
        ("me@corp.com:t@k", Some(("me@corp.com", "t@k"))),
        ("u:%ff", Some(("u", "%ff"))),
    ] {
        let login = login_of(raw);
        let found = login.as_ref().map(|login| (login.user.as_str(), login.password.expose_secret()));
        assert_eq!(found, want, "{raw}");
    }
}
