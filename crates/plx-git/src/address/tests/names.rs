use super::*;
use serde::Deserialize;

fn code_url(url: &str) -> String {
    parse(url).unwrap_or_else(|error| panic!("{url}: {error}")).0.code_url()
}

#[test]
fn repositories_are_named_as_in_the_reference() {
    #[derive(Deserialize)]
    struct Named {
        url: String,
        name: String,
    }
    let cases: Vec<Named> =
        serde_json::from_str(include_str!("../../../tests/fixtures/repo_names.json")).expect("the fixture");
    assert_eq!(cases.len(), 16);
    for Named { url, name } in cases {
        assert_eq!(repository_name(&url), Some(name), "{url}");
    }
    for (url, want) in [
        ("git@h:repo.git", Some("repo")),
        ("https://h/o/my.repo.git/", Some("my")),
        ("https://u:t@h/o/r?ref=a/b", Some("r")),
        ("https://h", None),
        ("https://h/o/..", None),
        ("/srv/r/.git", None),
        ("", None),
    ] {
        assert_eq!(repository_name(url).as_deref(), want, "{url}");
    }
}

#[test]
fn code_references_are_as_in_the_reference_without_logins() {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../../tests/fixtures/code_refs.json")).expect("the fixture");
    for case in &cases {
        let Some(url) = case["url"].as_str() else { continue };
        let expected = case["code_ref"]["url"].as_str().expect("a url").replace("user:tok@", "");
        assert_eq!(code_url(url), expected, "{url}");
    }
    for (url, want) in [
        // The reference cuts at the first `.git`.
        ("git@git.github.io:o/my.github.io.git", "https://git.github.io/o/my.github.io"),
        ("git@h:/o/r.git/", "https://h/o/r"),
        ("git@[::1]:o/r", "https://[::1]/o/r"),
        ("ssh://git:secret@h/r", "https://h/r"),
        ("me@h:o/r.git", "me@h:o/r.git"),
        ("github.com/o/r", "github.com/o/r"),
    ] {
        assert_eq!(code_url(url), want, "{url}");
    }
}
