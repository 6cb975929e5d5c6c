//! Against the reference: its own results for every case of the contract, and for more that it was asked.

use super::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    case: String,
    path: String,
    text: String,
    /// The reference failed, and sent nothing of any file.
    error: bool,
    artifact: Option<String>,
    outputs: Option<String>,
}

#[derive(Deserialize)]
struct Described {
    case: String,
    values: Vec<String>,
    metric: String,
}

#[derive(Deserialize)]
struct Whole {
    case: String,
    kind: String,
    text: String,
    summary: String,
}

const TIME: &str = "2024-05-06T07:08:09+00:00";

/// Where we say something else, and why: case, part, what is said here in its place.
fn differences() -> Vec<(&'static str, &'static str, Value)> {
    let times = |min: &str, max: &str| json!({ "min": min, "max": max });
    let one = |value: f64, last: Value| json!({ "count": 1.0, "mean": value, "std": null, "min": value, "25%": value, "50%": value, "75%": value, "max": value, "last": last });
    vec![
        // Fractions beside whole seconds: pandas gives up on all times.
        ("events/metric/mixed-micro.plx", "timestamp", times(TIME, "2024-05-06T07:08:10.123456+00:00")),
        // A row that is not whole is not there yet: no step, no `last: null`, and the times stay.
        ("torn last row", "step", json!({ "count": 1, "min": 0, "max": 0 })),
        ("torn last row", "timestamp", times(TIME, TIME)),
        ("torn last row", "metric", one(1.5, json!(1.5))),
        ("torn mid value", "step", json!({ "count": 1, "min": 0, "max": 0 })),
        ("torn mid value", "timestamp", times(TIME, TIME)),
        ("torn mid value", "metric", one(1.5, json!(1.5))),
        // A bar in a value: pandas takes the columns for others, the time for the step.
        ("extra column", "step", json!({ "count": 1, "min": 0, "max": 0 })),
        ("extra column", "timestamp", times(TIME, TIME)),
        (
            "extra column",
            "metric",
            json!({ "count": 1, "unique": 1, "top": "1|2", "freq": 1, "last": "1|2" }),
        ),
    ]
}

/// Cases that the reference fails on; what is said here: the summary, or nothing yet.
fn failures() -> Vec<(&'static str, Option<Value>)> {
    let torn = json!({
        "is_event": true,
        "step": { "count": 1, "min": 1, "max": 1 },
        "timestamp": { "min": TIME, "max": TIME },
    });
    vec![("empty file", None), ("jsonl torn", Some(torn))]
}

fn read(kind: &str, text: &str) -> Option<Summary> {
    summarise(kind, text.as_bytes()).expect("a file of events")
}

/// Python writes `1e-07` where we write `1e-7`.
fn exponents(text: &str) -> String {
    text.replace("e-0", "e-")
}

#[test]
fn every_case_of_the_contract() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../tests/fixtures/events/events.json")).expect("the fixture");
    assert_eq!(cases.len(), 46);
    let (differences, failures) = (differences(), failures());
    let (mut met, mut failed) = (0, 0);
    for Case { case, path, text, error, artifact, outputs } in cases {
        let file = EventFile::at(&path).expect("a path of events");
        let ours = read(file.kind(), &text);
        if error {
            let want = &failures.iter().find(|(name, _)| *name == case).expect("a failure we know").1;
            let ours = ours.map(|ours| Value::Object(ours.fields).to_string());
            assert_eq!(ours, want.as_ref().map(Value::to_string), "{case}");
            failed += 1;
            continue;
        }
        let last = ours.as_ref().and_then(|ours| ours.last.clone());
        let ours = ours.map(|ours| json!(file.artifact(ours.fields, "s3-store")));
        let (Some(mut ours), Some(want)) = (ours.clone(), artifact.clone()) else {
            assert_eq!(ours.map(|ours| ours.to_string()), artifact, "{case}");
            continue;
        };
        let mut differs = false;
        // Put into ours after it was compared: what is left must be the reference's, to the byte.
        let mut theirs: Value = serde_json::from_str(&want).expect("JSON");
        for (_, part, value) in differences.iter().filter(|(name, ..)| *name == case) {
            let part_of_ours = ours["summary"].as_object_mut().expect("a summary").remove(*part);
            assert_eq!(part_of_ours.as_ref(), Some(value), "{case}: {part}");
            theirs["summary"].as_object_mut().expect("a summary").remove(*part);
            (met, differs) = (met + 1, true);
        }
        assert_eq!(ours.to_string(), if differs { theirs.to_string() } else { want }, "{case}");
        if let Some(outputs) = outputs.filter(|_| !differs) {
            let name = file.output().expect("a metric");
            assert_eq!(json!({ name: last }).to_string(), outputs, "{case}");
        }
    }
    assert_eq!((met, failed), (differences.len(), failures.len()), "a difference that is none");
}

#[test]
fn every_metric_is_described_to_the_last_digit() {
    let cases: Vec<Described> =
        serde_json::from_str(include_str!("../../tests/fixtures/events/describe.json")).expect("the fixture");
    assert!(cases.len() > 40, "{}", cases.len());
    for Described { case, values, metric } in cases {
        let mut text = "step|timestamp|metric".to_owned();
        for (step, value) in values.iter().enumerate() {
            text.push_str(&format!("\n{step}|2024-05-06 07:08:09+00:00|{value}"));
        }
        // Ended, so that no value may be cut.
        text.push('\n');
        let ours = read("metric", &text).expect("rows");
        assert_eq!(ours.fields["metric"].to_string(), exponents(&metric), "{case}");
    }
}

#[test]
fn files_of_other_shapes() {
    let cases: Vec<Whole> =
        serde_json::from_str(include_str!("../../tests/fixtures/events/files.json")).expect("the fixture");
    assert!(cases.len() > 20, "{}", cases.len());
    for Whole { case, kind, text, summary } in cases {
        let ours = read(&kind, &text).expect("rows");
        assert_eq!(Value::Object(ours.fields).to_string(), summary, "{case}");
        assert_eq!(ours.unread, 0, "{case}");
    }
}

#[test]
fn what_is_none_of_events_says_so_and_what_has_just_begun_does_not() {
    for (kind, text) in [
        ("metric", "garbage"),
        ("metric", "a|b|c\n1|2|3"),
        ("image", "step,timestamp\n"),
        ("metric", "step|timestamp|image\n1|2|3"),
    ] {
        assert!(matches!(summarise(kind, text.as_bytes()), Err(EventsError::Header)), "{text}");
    }
    assert!(matches!(summarise("span", &b"\n{\"a\":1}\n{}\n"[..]), Err(EventsError::Lines)));
    for (kind, text) in [
        ("metric", ""),
        ("metric", "st"),
        ("metric", "step|timestamp|me"),
        ("text", "\n\n"),
        ("text", "\n{\"timest"),
        ("image", "step|timestamp|image\n1|2024-05-06|{\"a\":"),
        ("image", "step|timestamp|image\n1|2024-05-06|\"{\""),
    ] {
        assert!(read(kind, text).is_none(), "{text}");
    }
}

#[test]
fn one_bad_line_between_good_ones_costs_itself() {
    let text =
        "\n{\"timestamp\":\"2024-05-06\",\"step\":1}\n{\"timest\n{\"timestamp\":\"2024-05-07\",\"step\":3}";
    let ours = read("html", text).expect("rows");
    assert_eq!((ours.unread, &ours.fields["step"]), (1, &json!({ "count": 2, "min": 1, "max": 3 })));
}

#[test]
fn words_beyond_counting_are_an_error() {
    let mut text = "step|timestamp|metric".to_owned();
    (0..10_001).for_each(|n| text.push_str(&format!("\n1|2024-05-06|word {n}")));
    assert!(matches!(summarise("metric", text.as_bytes()), Err(EventsError::Words)));
}

#[test]
fn places_of_events() {
    let file = EventFile::at("resources/metric/cpu.plx").expect("events");
    assert_eq!((file.kind(), file.output()), ("metric", None));
    let artifact = file.artifact(Map::new(), "s");
    assert_eq!((artifact.kind.as_str(), artifact.name.as_str()), ("system", "cpu"));
    let file = EventFile::at("events/metric/train/a.b c.plx.1").expect("events");
    assert_eq!((file.output().as_deref(), file.name.as_str()), (Some("a-b-c"), "a.b c"));
    for path in
        ["events/metric", "events/loss.plx", "outputs/events/metric/a.plx", "events/metric/.plx", "events"]
    {
        assert_eq!(EventFile::at(path), None, "{path}");
    }
}
