//! Authorities of a company's own, and which certificates are trusted where.

use crate::bench::{connection, opened, s3_connection, s3_keys, s3_place, try_open, vars};
use crate::carry::{Mounted, look, look_with, once, works_a_little};
use crate::proxies::{World, env, open};
use crate::refusals::is;
use plx_contract::{Class, Classified};
use plx_testkit::{
    AwsKeys, Azurite, GcsServer, IdentityServer, PrivateCa, SERVICE_ACCOUNT_PUBLIC_KEY, TlsFront, azure_jwt,
};
use plx_transfer::Cause;
use plx_transfer::WantKind::File;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_companys_authority_is_trusted_for_s3_by_either_name_or_not_asked_for() {
    let world = World::new().await;
    let ca = world.ca();
    for more in [("POLYAXON_SSL_CA_CERT", &*ca), ("AWS_CA_BUNDLE", &*ca), ("AWS_VERIFY_SSL", "false")] {
        works_a_little(&open(&world.secure, &[more])).await;
    }
    let secret = Mounted::new(&[("AWS_CA_BUNDLE", &ca)]);
    let remote = opened(&s3_connection(&world.secure, &secret.secret()), &s3_keys(&world.secure));
    works_a_little(&remote).await;
    for more in [&[][..], &[("AWS_VERIFY_SSL", "true")]] {
        is(&look(&open(&world.secure, more), File).await, Cause::Certificate, Class::Config, "CA_CERT");
    }
    // A file that is none is said at once, by its name.
    for (variable, path) in [("POLYAXON_SSL_CA_CERT", "/nowhere.pem"), ("AWS_CA_BUNDLE", "/nowhere.pem")] {
        let made = try_open(&s3_connection(&world.secure, ""), &env(&world.secure, &[(variable, path)]));
        let Err(error) = made else { panic!("it opened") };
        assert_eq!(error.class(), Class::Config);
        assert!(error.to_string().contains(variable) && error.to_string().contains(path), "{error}");
    }
}

#[tokio::test]
async fn a_companys_authority_is_trusted_for_sts_and_the_other_clouds_too() {
    let world = World::new().await;
    let ca = world.ca();
    // STS.
    let identity = IdentityServer::start().await;
    identity.set_federated_token("web");
    identity.set_aws(AwsKeys {
        access_key: world.server.access_key().to_owned(),
        secret_key: world.server.secret_key().to_owned(),
        token: "one".to_owned(),
        lifetime: HOUR,
    });
    let sts = TlsFront::start(identity.addr(), &world.ca).await;
    let token = Mounted::new(&[("token", "web")]);
    let mut env = s3_place(&world.secure);
    env.extend(vars([
        ("AWS_STS_ENDPOINT_URL", sts.url()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.file("token")),
    ]));
    env.extend(vars([("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"), ("POLYAXON_SSL_CA_CERT", &ca)]));
    works_a_little(&opened(&s3_connection(&world.secure, ""), &env)).await;
    assert_eq!(identity.requests().len(), 1);
    // Google.
    let google = GcsServer::start().await;
    google.accept_signed_by(SERVICE_ACCOUNT_PUBLIC_KEY);
    let front = TlsFront::start(google.addr(), &world.ca).await;
    let key = google.target("bkt").through(&front.url()).signing_key_json();
    let mut env = vars([("GC_KEYFILE_DICT", &key)]);
    let untrusting = opened(&connection("gcs", "gs://bkt/base", ""), &env);
    is(&look(&untrusting, File).await, Cause::Certificate, Class::Config, "CA_CERT");
    env.extend(vars([("POLYAXON_SSL_CA_CERT", &ca)]));
    works_a_little(&opened(&connection("gcs", "gs://bkt/base", ""), &env)).await;
    // Azure, and Entra ID.
    let azurite = Azurite::with_oauth(&world.ca).await;
    let target = azurite.target("authority").await;
    identity.set_client_secret("secret");
    identity.set_bearer(&azure_jwt("tenant", HOUR), HOUR);
    let entra = TlsFront::start(identity.addr(), &world.ca).await;
    let mut env =
        vars([("AZURE_TENANT_ID", "tenant"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "secret")]);
    env.extend(vars([("AZURE_AUTHORITY_HOST", &entra.url()), ("AZURE_STORAGE_ENDPOINT", &target.endpoint)]));
    env.extend(vars([("AZURE_ACCOUNT_NAME", &target.account), ("POLYAXON_SSL_CA_CERT", &ca)]));
    works_a_little(&opened(&connection("wasb", "wasb://authority/base", ""), &env)).await;
}

#[tokio::test]
async fn a_source_of_credentials_whose_certificate_does_not_hold_is_not_waited_for() {
    let identity = IdentityServer::start().await;
    let entra = TlsFront::start(identity.addr(), &PrivateCa::new()).await;
    let mut env =
        vars([("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "secret")]);
    env.extend(vars([("AZURE_AUTHORITY_HOST", &*entra.url()), ("AZURE_ACCOUNT_NAME", "a")]));
    // Never asked.
    env.extend(vars([("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:9/a")]));
    let remote = opened(&connection("wasb", "wasb://c/base", ""), &env);
    let error = look_with(&once(), &remote, File).await;
    assert!(error.to_string().contains("certificate"), "{error:?}");
    assert_eq!(error.class(), Class::Config, "{error:?}");
    assert!(!error.may_pass());
}
