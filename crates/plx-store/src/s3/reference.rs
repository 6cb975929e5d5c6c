//! Against the reference, and the chain that it leaves to the AWS SDK.

use super::{Settings, Sources};
use crate::StoreError;
use crate::client::Wire;
use crate::identity::Source;
use crate::reference::{Row, rows, setting};
use crate::setting::Setting;
use plx_contract::Classified;
use plx_contract::credential::CredentialError;
use plx_contract::network::Network;

fn sources(setting: &Setting) -> Sources {
    // As the programs' main does; another test may have been first.
    rustls::crypto::ring::default_provider().install_default().ok();
    Sources {
        setting: setting.clone(),
        wire: Wire { connection: setting.name().to_owned(), network: Network::default(), verify: true },
        settings: Settings::of(setting).expect("settings"),
    }
}

/// Key, secret and token, when the connection has keys of its own.
async fn keys(row: &Row) -> Result<Option<(String, String, Option<String>)>, StoreError> {
    let Some(found) = sources(&row.setting()).keys()? else { return Ok(None) };
    let credential = found.provider.get_credential().await.expect("keys are there");
    Ok(Some((credential.key_id.clone(), credential.secret_key.clone(), credential.token.clone())))
}

/// Where we differ on purpose, and what we read there.
enum Differs {
    /// The region that is read.
    Region(&'static str),
    /// A line end is no part of a key, and half a pair of keys is said at once.
    HalfAPair,
    /// The token alone is no credential: the SDK's chain is asked, as there.
    TokenAlone,
}

fn difference(case: &str) -> Option<Differs> {
    Some(match case {
        "s3 squeezed env keys" | "s3 mounted file with newline kept" => Differs::HalfAPair,
        "s3 AWS_DEFAULT_REGION is not read" => Differs::Region("x"), // by the SDK it is
        "s3 endpoint, tls flags" => Differs::TokenAlone,
        "s3 env list of pairs on the connection" | "s3 env list of name/value on the connection" => {
            Differs::Region("conn-env")
        }
        "s3 schema extra key" => Differs::Region("schema-region"),
        "s3 spellings compete: order depends on the hash seed" => Differs::Region("UPPER"),
        _ => return None,
    })
}

#[tokio::test]
async fn every_row_is_read_as_the_reference_reads_it_or_better() {
    for row in rows("s3") {
        let setting = row.setting();
        let settings = Settings::of(&setting).expect("settings");
        let difference = difference(&row.case);
        assert!(!row.is_broken() || difference.is_some(), "{}", row.case);
        // The rows whose result is a list are those that the reference reads differently each time.
        let one = row.result.as_object();
        let region = match &difference {
            Some(Differs::Region(region)) => Some(*region),
            _ => row.result["fs_kwargs"]["config_kwargs"]["region_name"].as_str(),
        };
        assert_eq!(settings.region, region.unwrap_or("us-east-1"), "{}", row.case);
        if let Some(kwargs) = one.and_then(|one| one.get("fs_kwargs")) {
            assert_eq!(kwargs["use_ssl"], settings.use_ssl, "{}", row.case);
            let endpoint = settings.endpoint.as_ref().map(|url| url.as_str().trim_end_matches('/'));
            assert_eq!(endpoint, kwargs["endpoint_url"].as_str(), "{}", row.case);
            let verify = setting.flag("AWS_VERIFY_SSL").expect("a boolean");
            assert_eq!(verify, kwargs["client_kwargs"]["verify"].as_bool(), "{}", row.case);
            assert_eq!(
                setting.connection.store_path().expect("a path"),
                row.result["store_path"],
                "{}",
                row.case
            );
        }
        match (&difference, keys(&row).await) {
            (Some(Differs::HalfAPair), got) => {
                let Err(StoreError::Credential(CredentialError::Partial { missing, .. })) = got else {
                    panic!("{}: {got:?}", row.case);
                };
                assert_eq!(missing, "AWS_SECRET_ACCESS_KEY");
            }
            (Some(Differs::TokenAlone), got) => assert_eq!(got.expect("no mistake"), None, "{}", row.case),
            (_, got) => {
                let want = row.passed("key").map(|key| {
                    let text = |name| row.passed(name).map(str::to_owned);
                    (key.to_owned(), text("secret").expect("a secret"), text("token"))
                });
                assert_eq!(got.expect("no mistake"), want, "{}", row.case);
            }
        }
    }
}

const PLAIN: &str = r#"{"name":"s","kind":"s3","schema":{"bucket":"s3://b"}}"#;
const MOUNTED: &str =
    r#"{"name":"s","kind":"s3","schema":{"bucket":"s3://b"},"secret":{"name":"x","mountPath":"/sec"}}"#;
const CONFIG: &str = "[default]\nregion = eu-west-1\n[profile work]\nrole_arn = arn:r\nsource_profile = base\n\
                      [profile base]\naws_access_key_id = AK\naws_secret_access_key = SK\n\
                      [profile circle]\nrole_arn = arn:r\nsource_profile = circle2\n\
                      [profile circle2]\nrole_arn = arn:r\nsource_profile = circle\n\
                      [profile sso]\nsso_start_url = https://x\n";

fn resolved(connection: &str, env: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Source, StoreError> {
    let setting = setting(connection, env, files);
    // What fails already here fails when it is opened.
    Settings::of(&setting)?;
    Ok(sources(&setting).resolve()?.source)
}

#[track_caller]
fn chooses(env: &[(&str, &str)], want: &str) {
    let files = [("/home/.aws/config", CONFIG), ("/token", "t")];
    let source = resolved(PLAIN, env, &files).expect("a source");
    assert!(source.chosen.contains(want), "{}", source.chosen);
}

#[test]
fn without_keys_the_chain_of_the_aws_tools_is_gone_through_in_its_order() {
    let profile = ("AWS_PROFILE", "base");
    let home = ("HOME", "/home");
    let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"), ("AWS_ROLE_ARN", "arn:w")];
    let pod = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials");
    let key = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "S")];
    chooses(&[key[0], key[1], profile, home, web[0], web[1], pod], "access key from environment");
    chooses(&[profile, home, web[0], web[1], pod], "profile `base`");
    chooses(&[home, web[0], web[1], pod], "web identity: role arn:w by the token in /token");
    chooses(&[home, pod], "container credentials from http://169.254.170.23");
    chooses(&[home], "instance metadata at http://169.254.169.254");
    chooses(&[home, ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://h")], "instance metadata at http://h");
    let relative = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x");
    chooses(&[relative], "container credentials from http://169.254.170.2");
}

#[test]
fn a_role_is_assumed_on_top_of_whatever_comes_below_it() {
    let role = [("AWS_ASSUME_ROLE", "True"), ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r")];
    let key = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "S")];
    let region = ("AWS_REGION", "eu-central-1");
    chooses(
        &[role[0], role[1], key[0], key[1], region],
        "role arn:aws:iam::1:role/r at sts.eu-central-1.amazonaws.com by access key from",
    );
    chooses(
        &[role[0], role[1], key[0], key[1], ("AWS_REGION", "cn-north-1")],
        "sts.cn-north-1.amazonaws.com.cn",
    );
    chooses(&[role[0], role[1], key[0], key[1], ("AWS_STS_ENDPOINT_URL", "http://sts:1")], "at sts by");
    chooses(&[role[0], role[1]], "by instance metadata");
    chooses(
        &[("AWS_PROFILE", "work"), ("HOME", "/home")],
        "role arn:r at sts.us-east-1.amazonaws.com by profile `base`",
    );
    // Off is off, and an ARN alone assumes nothing.
    chooses(&[("AWS_ASSUME_ROLE", "false"), role[1], key[0], key[1]], "access key from");
    chooses(&[role[1], key[0], key[1]], "access key from");
}

#[test]
fn a_session_token_belongs_to_the_keys_it_stands_beside() {
    let files = [("/sec/AWS_ACCESS_KEY_ID", "A"), ("/sec/AWS_SECRET_ACCESS_KEY", "S\n")];
    let chosen = |env: &[(&str, &str)], files: &[(&str, &str)]| {
        resolved(MOUNTED, env, files).expect("a source").chosen
    };
    // Set by something else for another account; the reference does not read it either.
    assert!(!chosen(&[("AWS_SESSION_TOKEN", "T")], &files).contains("session token"));
    assert!(chosen(&[("AWS_SECURITY_TOKEN", "T")], &files).contains("session token from environment"));
    let all = [files[0], files[1], ("/sec/AWS_SESSION_TOKEN", "T")];
    assert!(chosen(&[], &all).contains("session token from secret file /sec/AWS_SESSION_TOKEN"));
}

#[track_caller]
fn refuses(env: &[(&str, &str)], words: &[&str]) {
    let files = [("/home/.aws/config", CONFIG), ("/broken/.aws/config", "[x\nhunter2")];
    let error = resolved(PLAIN, env, &files).expect_err("a mistake");
    let text = format!("{error} {}", error.next_step().unwrap_or_default());
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert!(!format!("{text} {error:?}").contains("hunter2"), "{text}");
    assert_eq!(error.class(), plx_contract::Class::Config);
}

#[test]
fn what_cannot_be_used_is_named_with_what_to_do() {
    let home = ("HOME", "/home");
    refuses(&[home, ("AWS_PROFILE", "nobody")], &["`nobody`", "/home/.aws/config"]);
    refuses(&[home, ("AWS_PROFILE", "circle")], &["circle"]);
    refuses(&[home, ("AWS_PROFILE", "sso")], &["sso_start_url", "needs a program or a person"]);
    refuses(&[("HOME", "/broken"), ("AWS_PROFILE", "x")], &["/broken/.aws/config", "line"]);
    refuses(&[("AWS_ASSUME_ROLE", "true")], &["AWS_ROLE_ARN"]);
    refuses(&[("AWS_ASSUME_ROLE", "hunter2")], &["AWS_ASSUME_ROLE", "true or false"]);
    refuses(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")], &["AWS_ROLE_ARN"]);
    refuses(&[("AWS_ACCESS_KEY_ID", "A B"), ("AWS_SECRET_ACCESS_KEY", "hunter2")], &["without blanks"]);
    refuses(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil/x")], &["without TLS"]);
    refuses(&[("AWS_ENDPOINT_URL", "http://u:hunter2@h")], &["AWS_ENDPOINT_URL"]);
    // A store that is not AWS's has no identity of this machine: it is said at once, not after a minute.
    refuses(
        &[("AWS_ENDPOINT_URL", "http://minio:9000")],
        &["no credentials", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"],
    );
    refuses(&[("AWS_EC2_METADATA_DISABLED", "true")], &["no credentials"]);
}

#[track_caller]
fn address(bucket: &str, env: &[(&str, &str)], want: &str, want_virtual: bool) {
    let settings = Settings::of(&setting(PLAIN, env, &[])).expect("settings");
    let (url, virtual_host) = settings.address(bucket);
    assert_eq!((url.as_str().trim_end_matches('/'), virtual_host), (want, want_virtual), "{bucket} {env:?}");
}

#[test]
fn where_a_bucket_is() {
    address("b", &[], "https://b.s3.us-east-1.amazonaws.com", true);
    address("b.c", &[("AWS_REGION", "eu-west-1")], "https://s3.eu-west-1.amazonaws.com", false);
    address("B_c", &[], "https://s3.us-east-1.amazonaws.com", false);
    address("b", &[("AWS_REGION", "cn-north-1")], "https://b.s3.cn-north-1.amazonaws.com.cn", true);
    address("b", &[("AWS_USE_SSL", "false")], "http://b.s3.us-east-1.amazonaws.com", true);
    address("b", &[("AWS_ENDPOINT_URL", "http://minio:9000/")], "http://minio:9000", false);
    address("b", &[("AWS_ENDPOINT_URL", "minio:9000"), ("AWS_USE_SSL", "0")], "http://minio:9000", false);
    address("b", &[("AWS_ENDPOINT_URL", "minio.example")], "https://minio.example", false);
    let virtual_host = ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true");
    address("b", &[("AWS_ENDPOINT_URL", "https://minio:9000"), virtual_host], "https://b.minio:9000", true);
    address("b", &[("AWS_ENDPOINT_URL", "https://b.minio:9000"), virtual_host], "https://b.minio:9000", true);
    // A number takes no name in front of it.
    address(
        "b",
        &[("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"), virtual_host],
        "http://127.0.0.1:9000",
        false,
    );
    address("b", &[("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "no")], "https://s3.us-east-1.amazonaws.com", false);
}
