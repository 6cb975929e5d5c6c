use crate::{NoFiles, Vars, vars};
use plx_contract::Class;
use plx_pod::cli::RunArgs;
use plx_pod::connections::Stores;
use plx_pod::deployment::parse;
use plx_pod::settings::Settings;
use plx_runtime::Failure;
use std::path::{Path, PathBuf};

fn choose(words: &[&str], caller: &Vars) -> Result<Stores, Failure> {
    let args = RunArgs::from_words(&[&["f.yaml"], words].concat()).expect("a command line");
    let settings = Settings::settle(&args, Path::new("/w"))?;
    Stores::choose(&args, &settings, Path::new("/w"), caller, &NoFiles)
}

#[test]
fn the_default_store_is_a_folder_of_the_work_dir() {
    let stores = choose(&[], &vars(&[])).expect("a store");
    assert_eq!(stores.store().store_path(), Ok("/w/.plx/store".to_owned()));
    assert_eq!(stores.create, [PathBuf::from("/w/.plx/store")]);
    let stores = choose(&["--store", "data"], &vars(&[])).expect("a store");
    assert_eq!(stores.store().store_path(), Ok("/w/data".to_owned()));
}

#[test]
fn a_bucket_needs_its_keys_and_keeps_its_endpoint() {
    let bucket = ["--store", "s3://b/p", "--endpoint", "http://h:9000", "--region", "r"];
    let keys = vars(&[("aws_access_key_id", "K"), ("POLYAXON_AWS_SECRET_ACCESS_KEY", "S")]);
    let stores = choose(&bucket, &keys).expect("a store");
    let json = serde_json::to_value(stores.store()).expect("JSON");
    assert_eq!(json["schema"]["bucket"], "s3://b/p");
    assert_eq!(json["env"]["AWS_ENDPOINT_URL"], "http://h:9000");
    assert!(stores.create.is_empty());

    let failure = choose(&bucket, &vars(&[])).expect_err("no keys");
    assert_eq!(failure.class, Class::Config);
    assert!(failure.message.contains("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"), "{}", failure.message);
    let failure = choose(&bucket, &vars(&[("AWS_ACCESS_KEY_ID", "K")])).expect_err("half the keys");
    assert!(failure.message.contains("AWS_SECRET_ACCESS_KEY is not"), "{}", failure.message);
    choose(&bucket, &vars(&[("AWS_PROFILE", "work")])).expect("a profile says where to look");
    for (url, kind) in [("gs://b/p", "gcs"), ("wasbs://c@a.blob.core.windows.net/p", "wasb")] {
        let stores = choose(&["--store", url], &vars(&[])).expect("a store");
        let json = serde_json::to_value(stores.store()).expect("JSON");
        assert_eq!((&json["kind"], &json["schema"]["bucket"]), (&kind.into(), &url.into()));
        let failure = choose(&["--store", url, "--region", "r"], &vars(&[])).expect_err("an s3 setting");
        assert_eq!(failure.class, Class::Usage);
    }
    assert_eq!(choose(&["--store", "ftp://b"], &vars(&[])).expect_err("no store").class, Class::Config);
    assert_eq!(choose(&["--store", "gs://"], &vars(&[])).expect_err("no bucket").class, Class::Usage);
    let failure = choose(&["--store", "d", "--region", "r"], &vars(&[])).expect_err("a folder has no region");
    assert_eq!(failure.class, Class::Usage);
}

#[test]
fn a_connections_file_is_taken_to_the_letter() {
    let store = "{name: s, kind: s3, schema: {bucket: 's3://b'}}";
    for key in ["artifactsStore", "artifacts_store"] {
        let read = parse("c.yaml", &format!("{key}: {store}\nconnections: [{{name: d, kind: host_path}}]\n"));
        let read = read.expect("connections");
        assert_eq!((read.store.map(|s| s.name), read.others.len()), (Some("s".to_owned()), 1));
    }
    assert_eq!(parse("c.json", r#"{"connections":[]}"#).expect("empty"), Default::default());
    let refused = |text: &str, want: &str| {
        let message = parse("c.yaml", text).expect_err(text).message;
        assert!(message.starts_with(want), "{message}");
    };
    refused("store: {}\n", "c.yaml:1:1: unknown field `store`");
    refused("connections:\n  - {name: d, kind: s3, shema: {}}\n", "c.yaml:2:25: unknown field `shema`");
    refused("connections:\n  - {kind: s3}\n", "c.yaml:2:");
    let twice = "connections:\n  - {name: d, kind: s3}\n  - {name: d, kind: gcs}\n";
    refused(twice, "c.yaml:3:6: a second connection `d`");
}
