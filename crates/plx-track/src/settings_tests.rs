use super::*;
use plx_contract::{Class, Classified};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Default)]
struct Disk(BTreeMap<PathBuf, String>);
impl Files for Disk {
    fn read(&self, path: &Path) -> std::io::Result<Option<String>> {
        if path.starts_with("/root") {
            return Err(std::io::ErrorKind::PermissionDenied.into());
        }
        Ok(self.0.get(path).cloned())
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn read(env: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Api, TrackError> {
    let files = files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
    Settings::read(&map(env), &Disk(files))
}

#[track_caller]
fn on(env: &[(&str, &str)], files: &[(&str, &str)]) -> Arc<Settings> {
    match read(env, files).expect("settings") {
        Api::On(settings) => settings,
        Api::Off(by) => panic!("off by {by}"),
    }
}

/// A case's `env` or `files`, with the places that its names stand for.
fn placed(case: &Value, what: &str) -> BTreeMap<String, String> {
    let text = |text: &str| text.replace("$HOME", "/home/u").replace("$CTX", "/ctx");
    case[what]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (text(key), text(value.as_str().expect("text"))))
        .collect()
}

#[test]
fn tokens_in_the_references_order() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../tests/fixtures/auth_token_precedence.json")).expect("JSON");
    assert_eq!(cases.len(), 16);
    for case in cases {
        let name = case["case"].as_str().expect("a name");
        let mut env = placed(&case, "env");
        env.insert("HOME".to_owned(), "/home/u".to_owned());
        env.insert(env::CONTEXT_ROOT.to_owned(), "/ctx".to_owned());
        let files = placed(&case, "files").into_iter().map(|(path, text)| (path.into(), text)).collect();
        let read = Settings::read(&env, &Disk(files));
        if case["result"].get("error").is_some() {
            let error = read.expect_err(name);
            assert_eq!(error.class(), Class::Config, "{name}");
            assert!(error.to_string().starts_with("/ctx/.configs/.auth is no JSON"), "{name}: {error}");
            continue;
        }
        let Ok(Api::On(settings)) = read else { panic!("{name}: {read:?}") };
        let shown = settings.credential.as_ref().map(|credential| credential.header().expect("a header"));
        let shown = shown.as_ref().map(|value| value.to_str().expect("text"));
        assert_eq!(shown, case["result"]["authorization"].as_str(), "{name}");
        let header = settings.header.as_ref().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let want = &case["result"]["client_header"];
        let want_name = want["header_name"].as_str().map(str::to_lowercase);
        let want = want_name.as_deref().zip(want["header_value"].as_str());
        assert_eq!(header, want, "{name}");
    }
}

#[test]
fn the_client_in_the_references_cases() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../tests/fixtures/client_config.json")).expect("JSON");
    for case in cases {
        let name = case["case"].as_str().expect("a name");
        let result = &case["result"];
        match Settings::read(&placed(&case, "env"), &Disk::default()) {
            Err(error) => {
                assert!(result.get("error").is_some(), "{name}: {error}");
                assert_eq!(error.class(), Class::Config, "{name}");
                assert!(error.to_string().contains(env::NO_API), "{name}: {error}");
            }
            Ok(Api::Off(by)) => {
                assert_eq!(by, env::NO_API, "{name}");
                assert_eq!(result[env::NO_API], true, "{name}");
            }
            Ok(Api::On(settings)) => {
                assert_ne!(result[env::NO_API], true, "{name}");
                let host = result[keys::HOST].as_str().expect("a host").trim_end_matches('/');
                assert_eq!(settings.base.as_str(), format!("{host}/api/v1"), "{name}");
            }
        }
    }
}

#[test]
fn the_api_is_off_by_three_variables_or_a_file() {
    for name in [env::NO_API, keys::NO_OP, keys::IS_OFFLINE] {
        let by = |read: Result<Api, TrackError>| match read {
            Ok(Api::Off(by)) => by,
            other => panic!("{other:?}"),
        };
        assert_eq!(by(read(&[(name, "yes")], &[])), name);
        let file = format!("{{\"{name}\": true}}");
        assert_eq!(by(read(&[], &[("/tmp/.polyaxon/.client", &file)])), name);
        assert!(matches!(read(&[(name, "off")], &[]), Ok(Api::On(_))));
        assert!(matches!(read(&[(name, "off")], &[("/tmp/.polyaxon/.client", &file)]), Ok(Api::On(_))));
        assert!(read(&[(name, "")], &[]).is_err());
    }
}

#[test]
fn every_setting_from_the_environment_and_from_a_file() {
    let env = [
        (keys::HOST, "https://api.example.com/plx/"),
        (keys::API_VERSION, "v2"),
        (keys::TIMEOUT, "2.5"),
        (keys::RETRIES, "0"),
        (keys::VERIFY_SSL, "false"),
    ];
    let settings = on(&env, &[]);
    assert_eq!(settings.base.as_str(), "https://api.example.com/plx/api/v2");
    assert_eq!((settings.timeout, settings.retries), (Duration::from_millis(2500), 0));
    assert!(!settings.verify);

    let file =
        r#"{"host":"http://of-the-file:1","timeout":7,"verify_ssl":false,"authentication_type":"Bearer"}"#;
    let files = [("/home/u/.polyaxon/.client", file), ("/home/u/.polyaxon/.auth", r#"{"token":"t\n"}"#)];
    let settings = on(&[("HOME", "/home/u")], &files);
    assert_eq!(settings.host(), "http://of-the-file:1");
    assert_eq!(settings.timeout, Duration::from_secs(7));
    assert!(!settings.verify);
    let header = settings.credential.as_ref().expect("a credential").header().expect("a header");
    assert_eq!(header.to_str().unwrap(), "Bearer t");

    assert!(settings.is_host_named());

    let settings = on(&[], &[]);
    assert_eq!((settings.timeout, settings.retries, settings.verify), (Duration::from_secs(60), 3, true));
    assert!(
        !settings.is_host_named()
            && !on(&[(keys::NO_CONFIG, "1"), (keys::HOST, "http://h")], &[]).is_host_named()
    );
}

#[test]
fn the_platforms_own_token_is_shown_where_the_type_asks_for_it() {
    let internal = [
        (keys::SECRET_INTERNAL_TOKEN, "platform"),
        (keys::AUTHENTICATION_TYPE, "InternalToken"),
        (keys::AUTH_TOKEN, "agent"),
    ];
    let settings = on(&internal, &[]);
    let header = settings.credential.as_ref().expect("a credential").header().expect("a header");
    assert_eq!((header.to_str().unwrap(), settings.user_kind.as_str()), ("InternalToken platform", "Token"));
    let settings = on(&[internal[0], internal[2]], &[]);
    let header = settings.credential.as_ref().expect("a credential").header().expect("a header");
    assert_eq!(header.to_str().unwrap(), "Token agent");
}

#[test]
fn a_home_that_may_not_be_read_is_none_and_a_context_that_may_not_is_an_error() {
    on(&[("HOME", "/root")], &[]);
    let error = read(&[(env::CONTEXT_ROOT, "/root")], &[]).expect_err("unreadable");
    assert!(error.to_string().starts_with("/root/.configs/.auth cannot be read"), "{error}");
}

#[test]
fn what_is_wrong_is_named_and_never_repeated() {
    for (name, value) in [
        (keys::HOST, "hunter2"),
        (keys::HOST, "ftp://hunter2"),
        (keys::HOST, "http://user:hunter2@api"),
        (keys::API_VERSION, "../hunter2"),
        (keys::TIMEOUT, "hunter2"),
        (keys::TIMEOUT, "0"),
        (keys::RETRIES, "-1"),
        (keys::AUTH_TOKEN, "hunter2\nx"),
        (keys::CERT_FILE, "/none"),
        (env::SSL_CA_CERT, "/none"),
    ] {
        let error = read(&[(name, value)], &[]).expect_err(name);
        assert_eq!(error.class(), Class::Config, "{name}");
        assert!(error.to_string().contains(name), "{name}: {error}");
        let next = error.next_step().expect("a next step");
        assert!(!format!("{error} {error:?} {next}").contains("hunter2"), "{error:?}");
    }
    for text in ["[\"hunter2\"]", "{\"token\": [\"hunter2\"]}", "{\"token\" \"hunter2\"}", "\"hunter2\""] {
        let error = read(&[(env::CONTEXT_ROOT, "/ctx")], &[("/ctx/.configs/.auth", text)]).expect_err(text);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    let settings = on(&[(keys::AUTH_TOKEN, "hunter2"), ("https_proxy", "http://u:hunter2@proxy")], &[]);
    assert!(!format!("{settings:?}").contains("hunter2"), "{settings:?}");
}
