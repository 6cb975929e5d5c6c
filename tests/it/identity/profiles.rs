//! Profile files, as other AWS tools read them.

use super::sts::Sts;
use super::{and, says};
use crate::bench::{Vars, opened, s3_connection, try_open, vars};
use crate::carry::{look, works, works_a_little};
use plx_contract::{Class, Classified};
use plx_testkit::{Match, Moto, RegionHint, S3Front, S3Server, S3Target};
use plx_transfer::WantKind::Folder;
use tempfile::TempDir;

/// A home folder with the two files in it.
struct Home(TempDir);

impl Home {
    fn new(config: &str, credentials: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        std::fs::write(home.path().join(".aws/config"), config).unwrap();
        std::fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
        Self(home)
    }

    fn env<const N: usize>(&self, more: [(&str, &str); N]) -> Vars {
        and(vars([("HOME", self.0.path().display().to_string())]), more)
    }
}

fn keys(target: &S3Target) -> String {
    let S3Target { access_key, secret_key, .. } = target;
    format!("aws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n")
}

#[tokio::test]
async fn the_default_profile_has_the_keys_the_region_and_the_endpoint() {
    let server = S3Server::start().await;
    let front = S3Front::start(server.addr()).await;
    front.region("eu-west-1", RegionHint::Silent);
    let target = server.target("bkt");
    let config = format!("[default]\nregion = eu-west-1\nendpoint_url = {}\n", front.url());
    let home = Home::new(&config, &format!("[default]\n{}", keys(&target)));
    works(&opened(&s3_connection(&target, ""), &home.env([]))).await;
    assert!(front.count(&Match::any()) > 5);
}

#[tokio::test]
async fn the_profile_that_is_named_is_used_with_its_session_and_comes_before_web_identity() {
    let server = S3Server::start().await;
    let front = S3Front::start(server.addr()).await;
    front.require_token();
    front.valid_tokens(["of-the-profile"]);
    let target = server.target("bkt");
    let credentials = format!(
        "[default]\naws_access_key_id = AKWRONG\naws_secret_access_key = wrong\n\n[work]\n{}aws_session_token = of-the-profile\n",
        keys(&target)
    );
    let home = Home::new("[profile work]\nregion = us-east-1\n", &credentials);
    let env = home.env([
        ("AWS_PROFILE", "work"),
        ("AWS_ENDPOINT_URL", &front.url()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/other"),
    ]);
    works_a_little(&opened(&s3_connection(&target, ""), &env)).await;
    // The other files, where variables say so.
    let elsewhere = and(
        home.env([("AWS_PROFILE", "work"), ("AWS_ENDPOINT_URL", &front.url()), ("HOME", "/nowhere")]),
        [
            ("AWS_CONFIG_FILE", home.0.path().join(".aws/config").display().to_string()),
            ("AWS_SHARED_CREDENTIALS_FILE", home.0.path().join(".aws/credentials").display().to_string()),
        ],
    );
    works_a_little(&opened(&s3_connection(&target, ""), &elsewhere)).await;
}

#[tokio::test]
async fn keys_of_the_connection_come_before_any_profile() {
    let server = S3Server::start().await;
    let target = server.target("bkt");
    let home = Home::new("", "[default]\naws_access_key_id = AKWRONG\naws_secret_access_key = wrong\n");
    let env = and(crate::bench::s3_keys(&target), home.env([("AWS_PROFILE", "default")]));
    works_a_little(&opened(&s3_connection(&target, ""), &env)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_with_a_role_assumes_it_with_the_keys_of_its_source() {
    let moto = Moto::shared().await;
    let target = moto.target("it-profile-role").await;
    let front = S3Front::start(moto.addr()).await;
    front.require_token();
    let sts = Sts::before(moto.addr()).await;
    let role = "arn:aws:iam::123456789012:role/of-profile";
    let config = format!(
        "[profile work]\nrole_arn = {role}\nsource_profile = base\nrole_session_name = by-profile\n\
         duration_seconds = 900\nexternal_id = x-2\nregion = us-east-1\n"
    );
    let home = Home::new(&config, &format!("[base]\n{}", keys(&target)));
    let env = home.env([
        ("AWS_PROFILE", "work"),
        ("AWS_ENDPOINT_URL_S3", &front.url()),
        ("AWS_ENDPOINT_URL_STS", &sts.url()),
    ]);
    works_a_little(&opened(&s3_connection(&target, ""), &env)).await;
    let asked = sts.requests();
    let [asked] = &asked[..] else { panic!("{asked:?}") };
    for (field, value) in [
        ("RoleArn", role),
        ("RoleSessionName", "by-profile"),
        ("DurationSeconds", "900"),
        ("ExternalId", "x-2"),
    ] {
        assert_eq!(asked.form(field).as_deref(), Some(value), "{field}");
    }
    assert!(asked.header("authorization").unwrap().contains("Credential=moto/"));
}

#[tokio::test]
async fn a_profile_that_leads_nowhere_says_what_is_wrong_with_it() {
    let target = S3Server::start().await.target("bkt");
    let config = "[profile a]\nrole_arn = r\nsource_profile = b\n[profile b]\nrole_arn = r\nsource_profile = a\n\
                  [profile sso]\nsso_session = company\n[profile mfa]\nrole_arn = r\nmfa_serial = m\n\
                  source_profile = a\n[profile orphan]\nrole_arn = r\nsource_profile = gone\n";
    let home = Home::new(config, "");
    for (name, word) in [
        ("a", "circle"),
        ("sso", "sso_session"),
        ("mfa", "second factor"),
        ("orphan", "`gone`"),
        ("nobody", "`nobody`"),
    ] {
        let env = home.env([("AWS_PROFILE", name), ("AWS_ENDPOINT_URL", &target.endpoint)]);
        let Err(error) = try_open(&s3_connection(&target, ""), &env) else { panic!("{name} opened") };
        assert_eq!(error.class(), Class::Config, "{error}");
        assert!(error.to_string().contains(word), "{name}: {error}");
        assert!(error.next_step().is_some());
    }
}

#[tokio::test]
async fn a_profile_with_a_wrong_key_is_named_by_the_store_alone_and_never_shown() {
    let server = S3Server::start().await;
    let target = S3Target { secret_key: "hunter2-in-a-profile".to_owned(), ..server.target("bkt") };
    let home = Home::new("", &format!("[default]\n{}", keys(&target)));
    let env = home.env([("AWS_ENDPOINT_URL", &target.endpoint)]);
    let opened = try_open(&s3_connection(&target, ""), &env).unwrap();
    let plx_store::Opened::Bucket(bucket) = &opened else { panic!("no bucket") };
    assert!(bucket.about.credential.contains("profile `default`"), "{:?}", bucket.about);
    assert!(!format!("{opened:?} {opened} {:?}", bucket.about).contains("hunter2"));
    let error = look(&crate::bench::remote(opened), Folder).await;
    says(&error, &["SignatureDoesNotMatch"]);
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}
