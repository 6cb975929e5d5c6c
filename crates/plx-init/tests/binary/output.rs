//! What is printed, where, and what never is.

use crate::lab::Lab;
use serde_json::Value;

const OBJECTS: [(&str, &str); 2] = [("R/a", "1"), ("R/b", "2")];

#[tokio::test]
async fn the_success_line_is_polyaxons_under_each_of_its_commands() {
    let lab = Lab::s3(&OBJECTS).await;
    let to = lab.art("R").display().to_string();
    for (command, kind) in [(&["path", "--connection-kind=s3"][..], "s3"), (&["path"], "s3"), (&["s3"], "s3")]
    {
        let fixed = ["--connection-name=data", "--path-from=s3://plx/base/R", "--path-to", &to];
        let ended = lab.polyaxon(&[&["initializer"], command, &fixed[..]].concat()).await;
        ended.succeeded();
        assert_eq!(ended.stdout, format!("{kind} path is initialized, path: `{to}`\n"));
    }
    let lab = Lab::folder(&OBJECTS);
    let (from, to) = (lab.path("store/R").display().to_string(), lab.art("R").display().to_string());
    let args = ["initializer", "path", "--connection-name=data", "--path-from", &from, "--path-to", &to];
    let ended = lab.polyaxon(&args).await;
    assert_eq!(ended.stdout, format!("volume_claim path is initialized, path: `{to}`\n"));
}

#[tokio::test]
async fn json_lines_are_json_and_a_level_in_any_case_silences_what_is_below_it() {
    let mut lab = Lab::s3(&OBJECTS).await;
    lab.set("PLX_LOG_FORMAT", "json");
    lab.set("POLYAXON_LOG_LEVEL", "Debug");
    let ended = lab.artifacts(&["--dir=R", "--file=none", "--optional"]).await;
    ended.succeeded();
    assert!(ended.stderr.lines().count() >= 2, "{}", ended.stderr);
    for line in ended.stderr.lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value["level"].is_string(), "{line}");
    }
    lab.set("POLYAXON_LOG_LEVEL", "WARNING");
    let ended = lab.artifacts(&["--dir=R", "--file=none", "--optional"]).await;
    assert_eq!(ended.stderr.lines().count(), 1, "the warning about `none`: {}", ended.stderr);
    lab.set("POLYAXON_LOG_LEVEL", "error");
    assert_eq!(lab.artifacts(&["--dir=R", "--file=none", "--optional"]).await.stderr, "");
    lab.set("POLYAXON_LOG_LEVEL", "loud");
    let ended = lab.artifacts(&["--dir=R"]).await;
    ended.succeeded();
    assert!(ended.stderr.contains("POLYAXON_LOG_LEVEL is `loud`"), "{}", ended.stderr);
}

#[tokio::test]
async fn credentials_appear_nowhere_at_any_level() {
    let mut lab = Lab::s3(&OBJECTS).await;
    let secret = lab.env["AWS_SECRET_ACCESS_KEY"].clone();
    lab.set("AWS_SESSION_TOKEN", "session-token-0123456789");
    for level in ["debug", "trace"] {
        lab.set("POLYAXON_LOG_LEVEL", level);
        for args in [&["--dir=R"][..], &["--dir=none"], &["--dir=R", "--dry-run"]] {
            let ended = lab.artifacts(args).await;
            ended.says_nowhere(&secret);
            ended.says_nowhere("session-token-0123456789");
        }
    }
    lab.env.remove("AWS_ACCESS_KEY_ID");
    let ended = lab.artifacts(&["--dir=R"]).await;
    ended.failed(78, &["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"]);
    ended.says_nowhere(&secret);
}
