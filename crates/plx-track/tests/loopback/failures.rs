use crate::{client, client_of, run};
use plx_contract::{Class, Classified};
use plx_testkit::{FakeTracking, loopback};

#[tokio::test]
async fn each_refusal_has_its_class_and_no_token() {
    let api = FakeTracking::start().await;
    for (status, class) in [
        (400, Class::Config),
        (401, Class::Denied),
        (403, Class::Denied),
        (404, Class::NotFound),
        (405, Class::Config),
        (429, Class::Unavailable),
        (500, Class::Unavailable),
        (502, Class::Unavailable),
        (301, Class::Config),
    ] {
        api.forget_calls();
        api.fail("/impersonate", status, 1);
        let error = client(&api).impersonate(&run()).await.unwrap_err();
        assert_eq!(error.class(), class, "{status}");
        assert_eq!(error.is_silence(), class == Class::Unavailable, "{status}");
        assert!(error.to_string().contains(&format!("HTTP {status}")), "{error}");
        assert!(!format!("{error} {error:?} {:?}", error.next_step()).contains("hunter2"), "{error:?}");
        assert_eq!(api.calls().len(), 1, "an answer is not asked for again");
    }
}

#[tokio::test]
async fn nobody_there_is_tried_again_and_then_unavailable() {
    let host = format!("http://127.0.0.1:{}", loopback::free_port());
    let client = client_of(&[("POLYAXON_HOST", &host), ("POLYAXON_RETRIES", "1")]);
    let error = client.impersonate(&run()).await.unwrap_err();
    assert_eq!(error.class(), Class::Unavailable);
    assert!(error.is_silence());
    assert!(error.to_string().contains("cannot reach the tracking API"), "{error}");
    assert!(error.next_step().unwrap().contains("POLYAXON_HOST"));
}

#[tokio::test]
async fn no_answer_in_time_and_a_broken_one() {
    let api = FakeTracking::start().await;
    api.hang("/impersonate");
    let client = client_of(&[("POLYAXON_HOST", &api.url()), ("POLYAXON_TIMEOUT", "0.2")]);
    let error = client.impersonate(&run()).await.unwrap_err();
    assert_eq!(error.class(), Class::Unavailable);
    assert!(error.to_string().contains("not within POLYAXON_TIMEOUT"), "{error}");

    let api = FakeTracking::start().await;
    api.reset("/users", 1);
    let error = crate::client(&api).username(&"t".to_owned().into()).await.unwrap_err();
    assert_eq!((error.class(), error.is_silence()), (Class::Unavailable, true), "{error}");
}

#[tokio::test]
async fn an_answer_of_something_else_is_told_apart_and_not_repeated() {
    let api = FakeTracking::start().await;
    // A token of two lines would forge headers.
    api.give("hunter3\nX: y", "jane");
    let error = client(&api).impersonate(&run()).await.unwrap_err();
    assert!(!format!("{error:?}").contains("hunter3"), "{error:?}");

    let api = FakeTracking::start().await;
    let page = "<html>hunter3</html>";
    api.add_version("owner", "project", "model", "v", serde_json::json!(page));
    let version = client(&api).version("owner", "project", plx_track::VersionKind::Model, "v").await;
    let error = version.unwrap_err();
    assert_eq!(error.class(), Class::Config);
    assert!(error.to_string().contains("not one of the tracking API"), "{error}");
    assert!(!format!("{error:?}").contains("hunter3"), "{error:?}");
}
