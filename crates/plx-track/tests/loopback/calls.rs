use crate::{R, client, client_of, run};
use plx_contract::lineage::{Artifact, Status};
use plx_testkit::FakeTracking;
use plx_track::VersionKind;
use secrecy::ExposeSecret as _;
use serde_json::json;

#[tokio::test]
async fn a_token_and_whose_it_is() {
    let api = FakeTracking::start().await;
    api.accept("Token hunter2");
    let client = client(&api);
    let token = client.impersonate(&run()).await.unwrap();
    assert_eq!(token.expose_secret(), "run-token-1");
    assert_eq!(client.username(&token).await.unwrap(), "jane");

    let calls = api.calls();
    let line = |n: usize| format!("{} {} {}", calls[n].method, calls[n].path, calls[n].query);
    assert_eq!(line(0), format!("POST /api/v1/owner/project/runs/{R}/impersonate "));
    assert_eq!(line(1), "GET /api/v1/users ");
    for (call, authorization) in calls.iter().zip(["Token hunter2", "Token run-token-1"]) {
        assert_eq!(call.header("authorization"), Some(authorization));
        assert_eq!(call.header("accept"), Some("application/json"));
        assert_eq!(call.header("x-polyaxon-service"), Some("initializer"));
        assert!(call.header("user-agent").unwrap().starts_with("plx-runtime/"));
        assert_eq!((call.header("content-type"), call.text.as_str()), (None, ""));
    }
    assert_eq!(calls[0].header("content-length"), Some("0"));
}

#[tokio::test]
async fn the_platforms_token_first_and_then_the_users() {
    let api = FakeTracking::start().await;
    let client = client_of(&[
        ("POLYAXON_HOST", &api.url()),
        ("POLYAXON_SECRET_INTERNAL_TOKEN", "platform"),
        ("POLYAXON_AUTHENTICATION_TYPE", "InternalToken"),
        ("POLYAXON_HEADER", "X-POLYAXON-INTERNAL"),
        ("POLYAXON_HEADER_SERVICE", "initializer"),
    ]);
    let token = client.impersonate(&run()).await.unwrap();
    client.username(&token).await.unwrap();
    let calls = api.calls();
    assert_eq!(calls[0].header("authorization"), Some("InternalToken platform"));
    assert_eq!(calls[1].header("authorization"), Some("Token run-token-1"));
    assert_eq!(calls[1].header("x-polyaxon-internal"), Some("initializer"));
}

#[tokio::test]
async fn statuses_and_lineage_are_posted_and_lineage_is_read_back() {
    let api = FakeTracking::start().await;
    let client = client(&api);
    let status = Status { kind: "warning", reason: "GitInitializer".to_owned(), message: "no".to_owned() };
    client.create_status(&run(), &status).await.unwrap();
    let code = Artifact::code("58f0", "main", "https://h/r", Some("repo1"));
    client.create_artifacts(&run(), &[code]).await.unwrap();

    let calls = api.calls();
    assert_eq!(calls[0].header("content-type"), Some("application/json"));
    assert_eq!(calls[0].body["condition"]["type"], "warning");
    assert_eq!(
        calls[1].text,
        r#"{"artifacts":[{"name":"58f0","kind":"coderef","summary":{"commit":"58f0","branch":"main","url":"https://h/r"},"connection":"repo1","is_input":true}]}"#
    );
    let found = client.artifacts_named(&run(), "58f0").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].connection.as_deref(), &found[0].path), (Some("repo1"), &None));
    assert_eq!(client.artifacts_named(&run(), "58").await.unwrap(), []);
}

#[tokio::test]
async fn outputs_are_merged_with_those_that_are_there() {
    let api = FakeTracking::start().await;
    api.accept("Token hunter2");
    let client = client(&api);
    for outputs in [json!({ "loss": 1.5, "acc": null }), json!({ "loss": 0.25 })] {
        client.merge_outputs(&run(), outputs.as_object().unwrap()).await.unwrap();
    }
    assert_eq!(api.outputs(R), json!({ "loss": 0.25, "acc": null }));
    let call = &api.calls()[0];
    assert_eq!(
        (call.method.as_str(), call.path.as_str()),
        ("PATCH", &*format!("/api/v1/owner/project/runs/{R}"))
    );
    assert_eq!(call.text, r#"{"outputs":{"loss":1.5,"acc":null},"merge":true}"#);
    assert_eq!(call.header("authorization"), Some("Token hunter2"));

    api.fail(R, 403, 1);
    let refused = client.merge_outputs(&run(), &serde_json::Map::new()).await.unwrap_err();
    assert!(refused.to_string().contains("HTTP 403"), "{refused}");
}

#[tokio::test]
async fn a_name_that_means_something_in_a_query_is_found_among_all() {
    let api = FakeTracking::start().await;
    for n in 0..45 {
        api.add_artifact(
            R,
            json!({ "name": format!("a|{n}"), "kind": "file", "path": format!("outputs/{n}") }),
        );
    }
    let found = client(&api).artifacts_named(&run(), "a|44").await.unwrap();
    assert_eq!(found[0].path.as_deref(), Some("outputs/44"));
    let queries: Vec<String> = api.calls().iter().map(|call| call.query.clone()).collect();
    assert_eq!(queries, ["limit=20", "limit=20&offset=20", "limit=20&offset=40"]);
}

#[tokio::test]
async fn any_number_of_runs_twenty_at_a_time() {
    let api = FakeTracking::start().await;
    let uuids: Vec<String> = (0..45).map(|n| format!("{n:032x}")).collect();
    for uuid in &uuids {
        api.add_run("owner", "project", uuid, Some("exp"));
    }
    api.add_run("owner", "another", R, None);
    let mut asked = uuids.clone();
    asked.push(R.to_owned());
    let runs = client(&api).runs("owner", "project", &asked).await.unwrap();
    assert_eq!(runs.iter().map(|run| &run.uuid).collect::<Vec<_>>(), uuids.iter().collect::<Vec<_>>());
    let calls = api.calls();
    assert_eq!(calls.len(), 3);
    let first = uuids[..20].join("%7C");
    assert_eq!(calls[0].query, format!("limit=20&query=uuid%3A{first}"));
}

#[tokio::test]
async fn a_version_as_the_real_api_answers_it() {
    let api = FakeTracking::start().await;
    // Captured from haupt 2.18.0.
    let version: serde_json::Value = serde_json::from_str(include_str!("../fixtures/version.json")).unwrap();
    api.add_version("owner", "project", "model", "v1.0", version);
    let client = client(&api);
    let version = client.version("owner", "project", VersionKind::Model, "v1.0").await.unwrap();
    assert_eq!(version.run_uuid(), Some("e74ee6ec70d2453488c9e03e14f41a5c"));
    assert_eq!(version.run_project(), Some("proj"));
    assert_eq!(version.recorded()[0].path.as_deref(), Some("outputs/model"));
    assert_eq!((version.names(), version.connection()), (&["model".to_owned()][..], None));

    let error = client.version("owner", "project", VersionKind::Artifact, "v1.0").await.unwrap_err();
    assert!(error.is_absence() && !error.is_silence());
    assert_eq!(
        error.to_string(),
        format!(
            "GET {}/api/v1/owner/project/versions/artifact/v1.0: HTTP 404: No ProjectVersion matches the given query.",
            api.url()
        )
    );
}
