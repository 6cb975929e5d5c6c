use super::*;
use serde_json::{Value, json};

/// Literal variables of pods that Polyaxon's converter writes, none of them secret but the token of the sandbox.
const OF_POLYAXON: [(&str, &str); 21] = [
    ("POLYAXON_API_VERSION", "v1"),
    ("POLYAXON_ARTIFACTS_STORE_NAME", "azure-store"),
    ("POLYAXON_AUTHENTICATION_TYPE", "InternalToken"),
    ("POLYAXON_COLLECT_RESOURCES", "true"),
    (
        "POLYAXON_CONNECTIONS_CATALOG",
        r#"{"connections":[{"name":"az","kind":"wasb","schema":{"bucket":"wasbs://c@acc.blob.core.windows.net/p"},"secret":{"name":"az-secret","mountPath":"/plx-context/.k","items":["AZURE_ACCOUNT_KEY"]}}]}"#,
    ),
    ("POLYAXON_CONTAINER_ID", "polyaxon-main"),
    ("POLYAXON_HEADER", "X-POLYAXON-INTERNAL"),
    ("POLYAXON_HEADER_SERVICE", "sidecar"),
    ("POLYAXON_HOST", "http://polyaxon-api:80"),
    ("POLYAXON_RUN_INSTANCE", "owner-name.project-name.runs.8aac02e3a62a4f0aaa257c59da5eab80"),
    ("POLYAXON_LOG_LEVEL", "warning"),
    ("POLYAXON_SSH_PATH", "/root/.ssh-secret"),
    ("POLYAXON_SSH_PRIVATE_KEY", "id_ed25519"),
    ("POLYAXON_KEY_FILE", "/certs/key.pem"),
    ("POLYAXON_GIT_CREDENTIALS_STORE", "/git/credentials"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "/plx-context/.gc/gc-secret.json"),
    ("HTTP_PROXY", "http://proxy:3128"),
    ("NO_PROXY", "10.0.0.0/8"),
    ("NVIDIA_VISIBLE_DEVICES", "none"),
    ("AWS_REGION", "eu-central-1"),
    ("AZURE_CLIENT_ID", "0b5e7c1a-0000-4000-8000-000000000001"),
];

#[test]
fn what_polyaxons_pods_hold_stays() {
    for (name, value) in OF_POLYAXON {
        assert_eq!(of_variable(name, value), Verdict::Harmless, "{name}");
    }
}

#[test]
fn what_only_seems_to_be_a_secret_stays() {
    for (name, value) in [
        ("TOKENIZERS_PARALLELISM", "false"),
        ("TOKENIZER", "bert-base-uncased"),
        ("MAX_TOKENS", "4096"),
        ("KEYBOARD", "de"),
        ("MONKEY", "george"),
        ("DESIGN", "flat"),
        ("AUTHOR", "jane"),
        ("USE_AUTH", "true"),
        ("SECRET_NAME", "s3-secret"),
        ("PASSWORD_FILE", "/run/secrets/pw"),
        ("DB_PASSWORD", ""),
        ("DB_PASSWORD", "$(PG_PASSWORD)"),
        ("IMAGE", "registry.example.org/a@sha256:0b5e7c1a"),
        ("REPO", "git@github.com:org/repo.git"),
        ("REPO", "ssh://git@github.com/org/repo.git"),
        ("COMMIT", "58f0a3bd58f0a3bd58f0a3bd58f0a3bd58f03162"),
        ("OUT", "/plx-context/artifacts/8aac02e3a62a4f0aaa257c59da5eab80"),
        ("CONTACT", "mailto:jane@example.org"),
        ("PYTHONPATH", "/a:/b@c"),
        ("SETTINGS", r#"{ "lr": 0.1,  "layers": [1, 2] }"#),
        ("LIST", "[1, 2"),
    ] {
        assert_eq!(of_variable(name, value), Verdict::Harmless, "{name}={value}");
    }
}

#[test]
fn names_of_secrets_are_known_in_any_spelling() {
    for name in [
        "POLYAXON_AUTH_TOKEN",
        "POLYAXON_SANDBOX_TOKEN",
        "POLYAXON_SECRET_INTERNAL_TOKEN",
        "POLYAXON_GIT_CREDENTIALS",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "aws_secret_access_key",
        "awsSecretAccessKey",
        "AWS_SECURITY_TOKEN",
        "AZURE_ACCOUNT_KEY",
        "AZURE_CONNECTION_STRING",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_CLIENT_SECRET",
        "GC_KEYFILE_DICT",
        "PGPASSWORD",
        "DB_PASS",
        "MYSQL_PWD",
        "WANDB_API_KEY",
        "OPENAI_APIKEY",
        "HFTOKEN",
        "HF_TOKEN",
        "ENCRYPTION_KEY",
        "AUTH",
        "BASIC_AUTH",
        "Authorization",
        "SESSION_COOKIE",
        "SENTRY_DSN",
        "CREDENTIALS",
        "db.password",
    ] {
        assert_eq!(of_variable(name, "some-value-1"), Verdict::Secret, "{name}");
    }
    assert_eq!(of_variable("PASSWORD", "1"), Verdict::Secret);
    assert_eq!(of_variable("PASSWORD", "123456"), Verdict::Secret);
    assert_eq!(of_variable("TOKENS", "a,b"), Verdict::Secret);
    assert_eq!(of_variable("GOOGLE_CREDENTIALS", "{\"type\":\"x\"}"), Verdict::Secret);
}

#[test]
fn values_that_are_secret_whatever_their_name_is() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P";
    let aws = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLE9KE";
    assert_eq!(of_variable("A", aws), Verdict::Secret);
    for (value, rest) in [
        ("http://me:hunter2@proxy:3128", "http://[redacted]@proxy:3128"),
        ("https://0123456789abcdef@github.com/org/repo", "https://[redacted]@github.com/org/repo"),
        ("postgres://u:p@ss@db:5432/x?sslmode=on", "postgres://[redacted]@db:5432/x?sslmode=on"),
        ("ssh://me:pw@host/x", "ssh://[redacted]@host/x"),
        ("a http://u:p@h1/x and http://u:p@h2", "a http://[redacted]@h1/x and http://[redacted]@h2"),
        ("root:hunter2@tcp(db:3306)/x", "[redacted]@tcp(db:3306)/x"),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted]"),
        (jwt, "[redacted]"),
        ("Bearer abcdefghijklmnop0123", "Bearer [redacted]"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[redacted]"),
        (
            "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=QUJD/+==;EndpointSuffix=x",
            "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=[redacted];EndpointSuffix=x",
        ),
        ("Server=db;User Id=me;Password=hunter2;Port=1", "Server=db;User Id=me;Password=[redacted];Port=1"),
        (
            "https://acc.blob.core.windows.net/c?sv=2020&sig=abc%3D&se=2031",
            "https://acc.blob.core.windows.net/c?sv=2020&sig=[redacted]&se=2031",
        ),
        (
            "https://b.s3.amazonaws.com/k?X-Amz-Credential=AKID%2F2026&X-Amz-Signature=00ff",
            "https://b.s3.amazonaws.com/k?X-Amz-Credential=[redacted]&X-Amz-Signature=[redacted]",
        ),
        ("a -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- b", "a [redacted] b"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE", "[redacted]"),
        (
            r#"{"type":"service_account","private_key":"-----BEGIN","client_email":"a@b"}"#,
            r#"{"type":"service_account","private_key":"[redacted]","client_email":"a@b"}"#,
        ),
        (
            r#"{"connections":[{"name":"s","secret":{"name":"n"},"env":[{"name":"DB_PASSWORD","value":"x"}],"schema":{"url":"https://u:p@h"}}]}"#,
            r#"{"connections":[{"name":"s","secret":{"name":"n"},"env":[{"name":"DB_PASSWORD","value":"[redacted]"}],"schema":{"url":"https://[redacted]@h"}}]}"#,
        ),
    ] {
        assert_eq!(of_variable("A", value), Verdict::Partly(rest.to_owned()), "{value}");
        // What is left has nothing more to hide.
        assert_eq!(of_variable("A", rest), Verdict::Harmless, "{rest}");
    }
    let public = "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----";
    assert_eq!(of_variable("CA", public), Verdict::Harmless);
}

/// A pod that holds `hunter2-plain` in as many places as one can.
fn pod() -> Value {
    let own = json!({"spec": {"containers": [{"env": [{"name": "DB_PASSWORD", "value": "hunter2-plain"}]}]}});
    json!({
        "metadata": {
            "labels": {"token-kind": "x"},
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": own.to_string(),
                "note": "the word is hunter2-plain",
                "operation.polyaxon.com/kind": "job",
                "deploy-token": "any",
            },
            "managedFields": [{"fieldsV1": {"f:env": {"k:{\"name\":\"DB_PASSWORD\"}": {}}}}],
        },
        "spec": {
            "automountServiceAccountToken": true,
            "imagePullSecrets": [{"name": "pull"}],
            "initContainers": [{
                "env": [{"name": "DB_PASSWORD", "value": "hunter2-plain"}],
                "args": ["--url=https://u:hunter2-plain@host/r", "--token=abc", "--repo-path=/x"],
            }],
            "containers": [{
                "env": [
                    {"name": "PG_PASSWORD", "valueFrom": {"secretKeyRef": {"key": "PG_PASSWORD", "name": "pg"}}},
                    {"name": "POLYAXON_RUN_INSTANCE", "value": "o.p.runs.8aac02e3"},
                    {"name": "DB_PASSWORD", "value": "hunter2-plain"},
                ],
                "envFrom": [{"secretRef": {"name": "s3-secret"}}],
                "command": ["train", "--password", "hunter2-plain", "--sort-key", "id", "--max-tokens", "512"],
                "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": "Basic aGk="}]}},
            }],
            "ephemeralContainers": [{"env": [{"name": "API_KEY", "value": "another-1"}]}],
            "volumes": [{"name": "v", "secret": {"secretName": "s", "items": [{"key": "k", "path": "p"}]}}],
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        },
        "status": {"containerStatuses": [{"state": {"terminated": {"message": "no hunter2-plain"}}}]},
    })
}

#[test]
fn a_pod_loses_its_secrets_and_nothing_else() {
    let (mut redacted, before) = (pod(), pod());
    let known = secrets_of(&before);
    assert_eq!(known, ["hunter2-plain", "Basic aGk=", "another-1"]);
    assert!(redact(&mut redacted, &known));
    let text = redacted.to_string();
    for secret in ["hunter2", "another-1", "aGk=", "--token=abc", "\"any\""] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let main = |pod: &Value| pod["spec"]["containers"][0].clone();
    assert_eq!(main(&redacted)["env"][0], main(&before)["env"][0]);
    assert_eq!(main(&redacted)["env"][1], main(&before)["env"][1]);
    assert_eq!(main(&redacted)["env"][2], json!({"name": "DB_PASSWORD", "value": "[redacted]"}));
    assert_eq!(
        main(&redacted)["command"],
        json!(["train", "--password", "[redacted]", "--sort-key", "id", "--max-tokens", "512"])
    );
    assert_eq!(
        redacted["spec"]["initContainers"][0]["args"],
        json!(["--url=https://[redacted]@host/r", "--token=[redacted]", "--repo-path=/x"])
    );
    for path in ["/metadata/labels", "/metadata/managedFields", "/spec/volumes", "/spec/tolerations"] {
        assert_eq!(redacted.pointer(path), before.pointer(path), "{path}");
    }
    for path in ["/spec/imagePullSecrets", "/spec/automountServiceAccountToken", "/spec/containers/0/envFrom"]
    {
        assert_eq!(redacted.pointer(path), before.pointer(path), "{path}");
    }
    let annotations = &redacted["metadata"]["annotations"];
    assert_eq!(annotations["note"], "the word is [redacted]");
    assert_eq!(annotations["operation.polyaxon.com/kind"], "job");
    let own: Value = serde_json::from_str(
        annotations["kubectl.kubernetes.io/last-applied-configuration"].as_str().unwrap_or("-"),
    )
    .expect("an annotation that is JSON stays JSON");
    assert_eq!(own["spec"]["containers"][0]["env"][0]["value"], "[redacted]");
    assert!(!redact(&mut redacted.clone(), &[]), "once is enough");
}

#[test]
fn a_password_that_is_a_name_too_does_not_cost_the_name() {
    let known = vec!["polyaxon".to_owned()];
    let mut pod = json!({
        "metadata": {"namespace": "polyaxon", "annotations": {"note": "it is polyaxon"}},
        "spec": {"serviceAccountName": "polyaxon-runs", "containers": [{"name": "polyaxon-main", "args": ["polyaxon"]}]},
    });
    assert!(redact(&mut pod, &known));
    assert_eq!(
        pod,
        json!({
            "metadata": {"namespace": "polyaxon", "annotations": {"note": "it is [redacted]"}},
            "spec": {"serviceAccountName": "polyaxon-runs", "containers": [{"name": "polyaxon-main", "args": ["[redacted]"]}]},
        })
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_taken_and_a_variable_of_a_secret_name_never_shows_its_value(
        around in "(\\PC|[=:@/;&\"'{}$. -]|eyJ|://|Bearer |-----BEGIN |PRIVATE KEY-----){0,40}",
        secret in "[a-zA-Z0-9+/]{12,60}",
    ) {
        let mut document = json!({
            "env": [{"name": "A", "value": around}, {"name": "DB_PASSWORD", "value": secret}],
            "args": [format!("{around}{secret}"), around],
            "note": around,
        });
        let known = secrets_of(&document);
        redact(&mut document, &known);
        proptest::prop_assert!(!document.to_string().contains(&secret));
    }
}
