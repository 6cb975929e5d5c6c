//! Against the reference, and what follows the keys that it reads.

use super::Sources;
use crate::StoreError;
use crate::client::Wire;
use crate::reference::{rows, setting};
use crate::setting::Setting;
use plx_contract::network::Network;
use plx_contract::{Class, Classified};

fn sources(setting: &Setting) -> Sources {
    // As the programs' main does; another test may have been first.
    rustls::crypto::ring::default_provider().install_default().ok();
    Sources {
        setting: setting.clone(),
        wire: Wire { connection: setting.name().to_owned(), network: Network::default(), verify: true },
    }
}

#[test]
fn every_row_is_read_as_the_reference_reads_it_or_better() {
    let names = [
        ("account_name", "AZURE_ACCOUNT_NAME"),
        ("account_key", "AZURE_ACCOUNT_KEY"),
        ("connection_string", "AZURE_CONNECTION_STRING"),
        ("tenant_id", "AZURE_TENANT_ID"),
        ("client_id", "AZURE_CLIENT_ID"),
    ];
    for row in rows("wasb") {
        let setting = row.setting();
        assert_eq!(
            setting.connection.store_path().expect("a path"),
            row.result["store_path"],
            "{}",
            row.case
        );
        for (name, key) in names {
            assert_eq!(
                setting.text(key).expect("readable").as_deref(),
                row.passed(name),
                "{}: {name}",
                row.case
            );
        }
        let sas = setting.find_first(super::SAS).expect("readable").map(|found| found.expose().to_owned());
        assert_eq!(sas.as_deref(), row.passed("sas_token"), "{}", row.case);
        // A misspelt field loses it in the reference.
        let secret = setting.text("AZURE_CLIENT_SECRET").expect("readable");
        assert_eq!(secret.is_some(), row.case.contains("the client secret is lost"), "{}", row.case);
        // The reference drops the account of the URL, and then has none.
        let account = sources(&setting).account(None).expect("an account");
        assert_eq!(account, row.passed("account_name").unwrap_or("account"), "{}", row.case);
    }
}

const BUCKET: &str =
    r#"{"name":"a","kind":"wasb","schema":{"bucket":"wasbs://c@acc.blob.core.windows.net/base"}}"#;

fn chosen(env: &[(&str, &str)]) -> Result<String, StoreError> {
    Ok(sources(&setting(BUCKET, env, &[("/t", "token")])).resolve()?.source.chosen)
}

#[test]
fn the_sources_in_the_order_of_the_reference_and_then_identities() {
    let string = ("AZURE_CONNECTION_STRING", "AccountName=a;AccountKey=a2V5");
    let key = ("AZURE_ACCOUNT_KEY", "a2V5");
    let sas = ("AZURE_STORAGE_SAS_TOKEN", "?sv=1&sig=abc");
    let ids = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c")];
    let secret = ("AZURE_CLIENT_SECRET", "s");
    let token = ("AZURE_FEDERATED_TOKEN_FILE", "/t");
    let steps: [(&[(&str, &str)], &str); 6] = [
        (&[string, key, sas, secret, ids[0], ids[1]], "account key of the connection string"),
        (&[key, sas, secret, ids[0], ids[1]], "account key from environment variable AZURE_ACCOUNT_KEY"),
        (&[sas, secret, ids[0], ids[1]], "shared access signature from environment"),
        (&[secret, token, ids[0], ids[1]], "service principal: client secret from"),
        (&[token, ids[0], ids[1]], "workload identity: the federated token in /t"),
        (&[ids[1]], "managed identity at http://169.254.169.254"),
    ];
    for (env, want) in steps {
        let got = chosen(env).expect("a source");
        assert!(got.contains(want), "{got}");
    }
}

#[test]
fn what_cannot_be_used_is_named_without_its_value() {
    for (env, word) in [
        (&[("AZURE_ACCOUNT_KEY", "hunter2!")][..], "base64"),
        (&[("AZURE_SAS_TOKEN", "hunter2")], "no shared access signature"),
        (&[("AZURE_CONNECTION_STRING", "hunter2")], "without `=`"),
        (&[("AZURE_CLIENT_SECRET", "hunter2"), ("AZURE_CLIENT_ID", "c")], "AZURE_TENANT_ID"),
        (&[("AZURE_FEDERATED_TOKEN_FILE", "/t"), ("AZURE_TENANT_ID", "t")], "AZURE_CLIENT_ID"),
        (&[("IDENTITY_ENDPOINT", "hunter2")], "IDENTITY_ENDPOINT"),
    ] {
        let error = chosen(env).expect_err(word);
        assert!(error.to_string().contains(word), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        assert_eq!(error.class(), Class::Config);
    }
    let nameless = setting(r#"{"name":"a","kind":"wasb","schema":{"bucket":"wasb://c/p"}}"#, &[], &[]);
    let error = sources(&nameless).account(None).expect_err("no account");
    assert!(error.next_step().is_some_and(|next| next.contains("AZURE_ACCOUNT_NAME")), "{error}");
}

#[test]
fn the_account_has_its_blobs_where_the_url_or_the_settings_say() {
    let at = |bucket: &str, env: &[(&str, &str)]| {
        let json = format!(r#"{{"name":"a","kind":"wasb","schema":{{"bucket":"{bucket}"}}}}"#);
        let sources = sources(&setting(&json, env, &[]));
        let string = sources.connection_string().expect("a string");
        let account = sources.account(string.as_ref()).expect("an account");
        let (url, _) = sources.address(string.as_ref(), &account).expect("an address");
        url.as_str().trim_end_matches('/').to_owned()
    };
    let url = "wasbs://c@acc.blob.core.windows.net/p";
    assert_eq!(at(url, &[]), "https://acc.blob.core.windows.net");
    assert_eq!(at(url, &[("AZURE_ACCOUNT_NAME", "other")]), "https://other.blob.core.windows.net");
    assert_eq!(at("https://acc.blob.core.chinacloudapi.cn/c", &[]), "https://acc.blob.core.chinacloudapi.cn");
    assert_eq!(at(url, &[("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:1/acc")]), "http://127.0.0.1:1/acc");
    let string = "AccountName=x;AccountKey=a2V5;EndpointSuffix=core.usgovcloudapi.net";
    assert_eq!(at(url, &[("AZURE_CONNECTION_STRING", string)]), "https://x.blob.core.usgovcloudapi.net");
}
