//! Where credentials were found: the row names each place, and never what was there.

use crate::lab::Lab;
use serde_json::{Value, json};
use std::fs;

const KEYS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// The three spellings of a key.
fn spellings(key: &str) -> [String; 3] {
    [key.to_owned(), key.to_lowercase(), key.to_lowercase().replace('_', "")]
}

/// A bucket whose keys are not in the environment, and the keys.
async fn without_keys() -> (Lab, [String; 2]) {
    let mut lab = Lab::s3(&[]).await;
    let keys = KEYS.map(|key| lab.env.remove(key).unwrap());
    (lab, keys)
}

#[tokio::test]
async fn files_of_a_mounted_secret_and_of_a_config_map() {
    for (field, words) in [("secret", "secret file"), ("configMap", "config map file")] {
        for spelling in 0..3 {
            let (mut lab, keys) = without_keys().await;
            let mount = lab.path("mount");
            fs::create_dir_all(&mount).unwrap();
            for (key, value) in KEYS.iter().zip(&keys) {
                fs::write(mount.join(&spellings(key)[spelling]), format!("{value}\n")).unwrap();
            }
            let mut connection = json!({"name": "data", "kind": "s3", "schema": {"bucket": "s3://plx/base"}});
            connection[field] = json!({"name": "keys", "mountPath": mount.display().to_string()});
            lab.catalog(&connection);
            let file = mount.join(&spellings(KEYS[0])[spelling]).display().to_string();
            lab.doctor(&[]).await.healthy().says("credentials", &[words, &file]);
        }
    }
}

#[tokio::test]
async fn the_schema_and_the_connections_own_env_in_all_its_forms() {
    let (mut lab, [id, secret]) = without_keys().await;
    let connection =
        |schema: Value, env: Value| json!({"name": "data", "kind": "s3", "schema": schema, "env": env});
    let bucket = json!({"bucket": "s3://plx/base"});
    let [id_key, secret_key] = KEYS;
    for (spelling, (id_key, secret_key)) in spellings(id_key).iter().zip(spellings(secret_key)).enumerate() {
        let full = json!({"bucket": "s3://plx/base", id_key: id, secret_key.as_str(): secret});
        lab.catalog(&connection(full, Value::Null));
        lab.doctor(&[]).await.healthy().says("credentials", &[&format!("schema field {id_key}")]);
        if spelling > 0 {
            lab.catalog(&connection(bucket.clone(), json!({id_key: id, secret_key: secret})));
            lab.doctor(&[]).await.healthy().says("credentials", &[&format!("connection env {id_key}")]);
        }
    }
    for env in [
        json!({id_key: id, secret_key: secret}),
        json!([[id_key, id], [secret_key, secret]]),
        json!([{"name": id_key, "value": id}, {"name": secret_key, "value": secret}]),
    ] {
        lab.catalog(&connection(bucket.clone(), env));
        lab.doctor(&[]).await.healthy().says("credentials", &["connection env AWS_ACCESS_KEY_ID"]);
    }
}

#[tokio::test]
async fn the_environment_in_each_spelling_with_and_without_the_prefix() {
    for prefix in ["", "POLYAXON_"] {
        for spelling in 0..3 {
            let (mut lab, keys) = without_keys().await;
            for (key, value) in KEYS.iter().zip(&keys) {
                lab.set(&format!("{prefix}{}", spellings(key)[spelling]), value);
            }
            let name = format!("environment variable {prefix}{}", spellings(KEYS[0])[spelling]);
            lab.doctor(&[]).await.healthy().says("credentials", &[&name]);
        }
    }
}

#[tokio::test]
async fn a_profile_is_named_with_its_file_and_what_was_passed_over() {
    let (mut lab, [id, secret]) = without_keys().await;
    let file = lab.path("credentials").display().to_string();
    let profile = format!("[team]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    fs::write(lab.path("credentials"), profile).unwrap();
    lab.set("AWS_SHARED_CREDENTIALS_FILE", &file);
    lab.set("AWS_PROFILE", "team");
    lab.doctor(&[]).await.healthy().says("credentials", &["profile `team`", &file, "no AWS_ACCESS_KEY_ID"]);
    lab.set("AWS_PROFILE", "other");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "", 78, &["profile"]).at_once().says("credentials", &["`other`", &file]);
}

#[tokio::test]
async fn half_of_a_pair_in_each_place_says_where_the_other_half_is() {
    let (mut lab, [id, secret]) = without_keys().await;
    lab.set("AWS_SECRET_ACCESS_KEY", &secret);
    // The reference takes each half from wherever it stands, and so must we.
    let env = json!({"AWS_ACCESS_KEY_ID": id});
    lab.catalog(&json!({"name": "data", "kind": "s3", "schema": {"bucket": "s3://plx/base"}, "env": env}));
    lab.doctor(&[]).await.healthy().says("credentials", &["connection env AWS_ACCESS_KEY_ID"]);
    lab.env.remove("AWS_SECRET_ACCESS_KEY");
    let doctor = lab.doctor(&[]).await;
    doctor.fails("credentials", "", 78, &["AWS_SECRET_ACCESS_KEY"]);
    doctor.says("credentials", &["(connection env AWS_ACCESS_KEY_ID) is set"]);
}
