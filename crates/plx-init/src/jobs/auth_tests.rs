use super::*;
use plx_testkit::{FakeTracking, loopback};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

const R: &str = "8aac02e3a62a4f0aaa257c59da5eab80";

/// What was printed, and how long was waited.
#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    pauses: Vec<u64>,
}

fn pod(context: &Path, host: &str) -> BTreeMap<String, String> {
    rustls::crypto::ring::default_provider().install_default().ok();
    [
        ("POLYAXON_CONTEXT_ROOT", context.to_str().expect("UTF-8")),
        ("POLYAXON_HOST", host),
        ("POLYAXON_RETRIES", "0"),
        ("POLYAXON_RUN_INSTANCE", &format!("owner-name.project-name.runs.{R}")),
        ("POLYAXON_AUTH_TOKEN", "agent-token"),
        ("POLYAXON_HEADER", "X-POLYAXON-SERVICE"),
        ("POLYAXON_HEADER_SERVICE", "initializer"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// Runs the job without waiting.
async fn authenticate(env: &BTreeMap<String, String>) -> (Result<Report, AuthError>, Seen) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let pause = |time: Duration| {
        seen.lock().unwrap().pauses.push(time.as_secs());
        std::future::ready(())
    };
    let say = |line: &str| seen.lock().unwrap().lines.push(line.to_owned());
    let done = attempts(env, pause, say).await;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (done, seen)
}

const AGAIN: &str = "Could not establish connection, retrying ...";
const DONE: &str = "Auth context initialized.";

fn paths(api: &FakeTracking) -> Vec<String> {
    api.calls().iter().map(|call| call.path.rsplit('/').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_token_is_written_for_everybody_in_the_pod() {
    let (api, context) = (FakeTracking::start().await, tempfile::tempdir().unwrap());
    api.accept("Token agent-token");
    let (done, seen) = authenticate(&pod(context.path(), &api.url())).await;
    done.unwrap();
    assert_eq!((seen.lines, seen.pauses), (vec![DONE.to_owned()], vec![]));
    let file = context.path().join(".configs/.auth");
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        r#"{"POLYAXON_AUTH_USERNAME":"jane","POLYAXON_AUTH_TOKEN":"run-token-1"}"#
    );
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(std::fs::read_dir(context.path().join(".configs")).unwrap().count(), 1);
    let calls = api.calls();
    assert_eq!(calls[0].path, format!("/api/v1/owner-name/project-name/runs/{R}/impersonate"));
    assert_eq!(calls[0].header("x-polyaxon-service"), Some("initializer"));
    let shown: Vec<_> = calls.iter().map(|call| call.header("authorization").unwrap()).collect();
    assert_eq!(shown, ["Token agent-token", "Token run-token-1"]);
}

#[tokio::test]
async fn each_failed_attempt_is_said_and_the_next_begins_with_impersonation() {
    for (suffix, status, times, calls) in [
        ("/impersonate", 403, 1, vec!["impersonate", "impersonate", "users"]),
        ("/users", 401, 2, vec!["impersonate", "users", "impersonate", "users", "impersonate", "users"]),
        ("/impersonate", 500, 3, vec!["impersonate", "impersonate", "impersonate", "impersonate", "users"]),
    ] {
        let (api, context) = (FakeTracking::start().await, tempfile::tempdir().unwrap());
        api.fail(suffix, status, times);
        let (done, seen) = authenticate(&pod(context.path(), &api.url())).await;
        done.unwrap();
        let mut lines = vec![AGAIN; times];
        lines.push(DONE);
        assert_eq!(seen.lines, lines);
        assert_eq!(seen.pauses, [1, 4, 9][..times]);
        assert_eq!(paths(&api), calls);
    }
}

#[tokio::test]
async fn after_four_attempts_the_run_is_told_and_the_class_is_the_apis() {
    let (api, context) = (FakeTracking::start().await, tempfile::tempdir().unwrap());
    api.fail("/impersonate", 403, 4);
    let (done, seen) = authenticate(&pod(context.path(), &api.url())).await;
    let error = done.unwrap_err();
    assert_eq!((seen.lines, seen.pauses), (vec![AGAIN.to_owned(); 4], vec![1, 4, 9]));
    assert_eq!(error.class(), Class::Denied);
    assert_eq!(paths(&api), ["impersonate", "impersonate", "impersonate", "impersonate", "statuses"]);
    let condition = &api.statuses(R)[0]["condition"];
    assert_eq!((&condition["type"], &condition["reason"]), (&json!("failed"), &json!("AuthContext")));
    let message = condition["message"].as_str().unwrap();
    assert!(
        message.starts_with("Polyaxon auth initializer failed authenticating the operation: "),
        "{message}"
    );
    let failure = plx_runtime::Failure::from(error);
    assert!(failure.message.contains("HTTP 403"), "{}", failure.message);
    assert!(!format!("{failure:?} {message}").contains("agent-token"));
    assert!(!context.path().join(".configs").exists());
}

#[tokio::test]
async fn an_api_that_is_away_is_unavailable() {
    let context = tempfile::tempdir().unwrap();
    let host = format!("http://127.0.0.1:{}", loopback::free_port());
    let (done, seen) = authenticate(&pod(context.path(), &host)).await;
    assert_eq!(done.unwrap_err().class(), Class::Unavailable);
    assert_eq!(seen.pauses, [1, 4, 9]);
}

#[tokio::test]
async fn the_platforms_own_token_is_used() {
    let (api, context) = (FakeTracking::start().await, tempfile::tempdir().unwrap());
    api.accept("InternalToken platform");
    let mut env = pod(context.path(), &api.url());
    env.remove("POLYAXON_AUTH_TOKEN");
    for (key, value) in [
        ("POLYAXON_SECRET_INTERNAL_TOKEN", "platform"),
        ("POLYAXON_AUTHENTICATION_TYPE", "InternalToken"),
        ("POLYAXON_HEADER", "X-POLYAXON-INTERNAL"),
    ] {
        env.insert(key.to_owned(), value.to_owned());
    }
    authenticate(&env).await.0.unwrap();
    let calls = api.calls();
    let shown: Vec<_> = calls.iter().map(|call| call.header("authorization").unwrap()).collect();
    assert_eq!(shown, ["InternalToken platform", "Token run-token-1"]);
}

#[tokio::test]
async fn without_a_run_or_with_the_api_off_nobody_is_called() {
    let (api, context) = (FakeTracking::start().await, tempfile::tempdir().unwrap());
    let with = |key: &str, value: &str| {
        let mut env = pod(context.path(), &api.url());
        env.insert(key.to_owned(), value.to_owned());
        env
    };
    let (done, seen) = authenticate(&with("POLYAXON_RUN_INSTANCE", "")).await;
    assert_eq!((done.unwrap_err().class(), seen.lines.len()), (Class::Config, 0));
    let (done, seen) = authenticate(&with("POLYAXON_NO_API", "true")).await;
    done.unwrap();
    assert_eq!(seen.lines, ["No auth context: POLYAXON_NO_API is set."]);
    assert_eq!(api.calls(), []);
    assert!(!context.path().join(".configs").exists());
}

#[tokio::test]
async fn an_older_file_is_replaced_whole() {
    let (api, context) = (FakeTracking::start().await, tempfile::tempdir().unwrap());
    api.give("second", "joe");
    let folder = context.path().join(".configs");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(".auth"), r#"{"token":"first, and much longer than the second"}"#).unwrap();
    authenticate(&pod(context.path(), &api.url())).await.0.unwrap();
    assert_eq!(
        std::fs::read_to_string(folder.join(".auth")).unwrap(),
        r#"{"POLYAXON_AUTH_USERNAME":"joe","POLYAXON_AUTH_TOKEN":"second"}"#
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_waiting() {
    let (api, context) = (FakeTracking::start().await, tempfile::tempdir().unwrap());
    let stop = Stop::new();
    stop.asked.cancel();
    let error = run(&AuthArgs {}, &pod(context.path(), &api.url()), &stop).await.unwrap_err();
    assert_eq!(error.class(), Class::Incomplete);
}
