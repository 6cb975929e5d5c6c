//! The search finds what it is for.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

use super::{Belongs, LeftFiles, Planted, Wire};

const SECRET: &str = "planted~/+?s3cret\"word";

fn planted() -> Planted {
    let planted = Planted::default();
    planted.plant(SECRET);
    planted
}

/// The words of the panic; none when there was none.
fn complaint(work: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(work)).err()?;
    Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn a_secret_is_found_plain_and_in_every_form_it_is_written_in() {
    let planted = planted();
    let percent = |byte: u8| format!("%{byte:02X}");
    let all: String = SECRET.bytes().map(percent).collect();
    let mut texts = vec![
        format!("before {SECRET} behind"),
        format!("http://host/?q={all}&more"),
        format!("http://host/?q={}", all.to_lowercase().replace('%', "%25")),
        serde_json::json!({ "token": SECRET }).to_string(),
    ];
    for user in ["", "u:", "us:", "use:", "user:"] {
        let login = format!("{user}{SECRET}");
        texts.extend([BASE64_STANDARD.encode(&login), BASE64_URL_SAFE.encode(&login)]);
        texts.push(BASE64_STANDARD.encode(format!("{login}\nand more")));
    }
    for text in texts {
        assert!(planted.find(text.as_bytes()).is_some(), "{text}");
        assert!(complaint(|| planted.assert_free("stdout", text.as_bytes())).unwrap().contains("in stdout"));
    }
    assert_eq!(planted.find(&SECRET.as_bytes()[1..]), None);
    let binary = [b"\xff\xfe\0", SECRET.as_bytes(), b"\xff"].concat();
    assert!(planted.find(&binary).is_some(), "also between bytes that are no text");
}

#[test]
fn a_file_that_a_program_left_is_found_by_its_bytes_and_by_its_name() {
    let (planted, folder) = (Planted::default(), tempfile::tempdir().unwrap());
    planted.plant("planted-secret");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("key"), "planted-secret").unwrap();
    let left = LeftFiles::before(&planted, vec![folder.path().to_owned()]);
    left.assert_free(&[]);
    fs::create_dir(path("deep")).unwrap();
    fs::write(path("deep/log"), b"\xff planted-secret \xff").unwrap();
    assert!(complaint(|| left.assert_free(&[])).unwrap().contains("deep/log"));
    let belongs = Belongs { file: path("deep/log"), why: "a test" };
    left.assert_free(std::slice::from_ref(&belongs));
    planted.plant_key("planted-secret");
    assert!(complaint(|| left.assert_free(&[belongs])).is_some(), "a key belongs nowhere");
    fs::remove_file(path("deep/log")).unwrap();
    left.assert_free(&[]);
    fs::write(path("key"), "changed planted-secret").unwrap();
    assert!(
        complaint(|| left.assert_free(&[])).unwrap().contains("key"),
        "the test's own, until it is changed"
    );
    fs::write(path("key"), "planted-secret").unwrap();
    std::os::unix::fs::symlink("/tmp/planted-secret", path("link")).unwrap();
    assert!(complaint(|| left.assert_free(&[])).unwrap().contains("link"));
    fs::remove_file(path("link")).unwrap();
    fs::create_dir(path("deep/planted-secret")).unwrap();
    assert!(complaint(|| left.assert_free(&[])).unwrap().contains("in the name"));
}

/// Whether a request to that server is found to leak.
fn leaks(planted: &Planted, server: &'static str, target: &str, header: (&str, &str), body: &str) -> bool {
    let (wire, searched) = Wire::start(server);
    let header = (header.0.to_owned(), header.1.to_owned());
    wire.note("POST", target, vec![("Content-Type".to_owned(), FORM.to_owned()), header])
        .more(body.as_bytes());
    let found = !wire.leaks(planted).is_empty();
    drop(searched);
    found
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn a_request_shows_a_token_at_its_carriers_alone_and_a_key_nowhere() {
    let planted = Planted::default();
    planted.plant("planted-token");
    let none = ("Accept", "*/*");
    for (server, target, header, body, leaking) in [
        ("s3-server", "/", none, "", false),
        ("s3-server", "/planted-token", none, "", true),
        ("s3-server", "/?x=planted%2Dtoken", none, "", true),
        ("s3-server", "/?sig=planted-token", none, "", false),
        ("s3-server", "/", ("X-Note", "planted-token"), "", true),
        ("s3-server", "/", ("Authorization", "Bearer planted-token"), "", false),
        ("s3-server", "/", ("Proxy-Authorization", "Basic planted-token"), "", true),
        ("forward-proxy", "/", ("Proxy-Authorization", "Basic planted-token"), "", false),
        ("identity-server", "/", none, "a=b&client_secret=planted-token", false),
        ("identity-server", "/", none, "a=planted-token&client_secret=x", true),
    ] {
        let case = format!("{server} {target} {header:?} {body}");
        assert_eq!(leaks(&planted, server, target, header, body), leaking, "{case}");
    }
    planted.plant_key("planted-token");
    assert!(leaks(&planted, "s3-server", "/", ("Authorization", "planted-token"), ""));
    assert!(leaks(&planted, "identity-server", "/", none, "client_secret=planted-token"));
}
