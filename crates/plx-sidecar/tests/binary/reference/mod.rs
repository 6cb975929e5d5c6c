//! Whole lives of Polyaxon's own sidecar (`tests/fixtures/sidecar`), lived again by ours; and the list of what we do
//! otherwise.
//!
//! What was recorded is compared: the exit code, what is in the store at the end and what was there in between, what is on
//! disk, and the calls of the tracking API. Each difference has to be in the list, and each entry of the list has to be seen.

mod differences;
mod scene;

use differences::DIFFERENCES;
use futures::future::join_all;
use scene::{Case, Lived, RUN};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/sidecar");
/// Headers of a call that say who calls, and nothing about the call.
const OWN_HEADERS: [&str; 4] = ["Host", "Content-Length", "Accept-Encoding", "User-Agent"];
/// Rights that Polyaxon's chart gives to a run's pods.
const RESOURCES: [&str; 5] = ["pods", "pods/status", "pods/log", "services", "events"];

fn cases() -> Vec<Case> {
    let files = fs::read_dir(FIXTURES).unwrap().map(|file| file.unwrap().path());
    files.map(|path| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()).collect()
}

/// In words, each difference once.
fn differences(case: &Case, here: &Lived) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = here.on_the_way.clone();
    if Some(case.rc) != here.code {
        let code = here.code.map_or("a signal".to_owned(), |code| code.to_string());
        found.insert(format!("exit: {} there, {code} here", case.rc));
    }
    for name in case.store.keys().chain(here.store.keys()).collect::<BTreeSet<_>>() {
        let short = name.strip_prefix(RUN).unwrap_or(name).trim_start_matches('/');
        match (case.store.get(name), here.store.get(name)) {
            (Some(_), None) => found.insert(format!("store: {short} is only there")),
            (None, Some(text)) => found.insert(format!("store: {short} is only here: {}", readable(text))),
            (Some(there), Some(here)) if !is_same(short, there, here) => {
                found.insert(format!("store: {short}: {} there, {} here", readable(there), readable(here)))
            }
            _ => false,
        };
    }
    let there: BTreeSet<&String> = case.local.iter().collect();
    let short = |name: &String| name.replace(&format!("artifacts/{RUN}/"), "");
    let here_too: BTreeSet<&String> = here.local.iter().collect();
    found.extend(there.difference(&here_too).map(|name| format!("disk: {} is only there", short(name))));
    found.extend(here_too.difference(&there).map(|name| format!("disk: {} is only here", short(name))));
    found.extend(calls(case, here));
    found
}

/// Logs are the same when their records are: lines of different containers come in any order.
fn is_same(name: &str, there: &str, here: &str) -> bool {
    let records = |text: &str| -> Vec<String> {
        let mut lines: Vec<_> = text.split('\n').map(str::to_owned).collect();
        lines.sort();
        lines
    };
    match name {
        _ if name.starts_with("plxlogs/") => here.starts_with('\n') && records(there) == records(here),
        "outputs/spec.json" => {
            let parsed = |text| serde_json::from_str::<Value>(text).unwrap();
            states(&parsed(here)) == states(&parsed(there))
        }
        _ => there == here,
    }
}

/// Of each pod its phase, and of its containers how they are. The recorded API gave its objects another form than a real
/// one: what is written of one and the same object is compared by the tests of the spec.
fn states(spec: &Value) -> BTreeMap<String, Vec<String>> {
    let of_container = |status: &Value| {
        let state = status["state"].as_object().into_iter().flat_map(|state| state.keys().cloned());
        format!("{} {}", status["name"], state.collect::<String>())
    };
    let pods = spec["pods"].as_object().into_iter().flatten();
    pods.map(|(name, pod)| {
        let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
        let mut states: Vec<String> = statuses.map(of_container).collect();
        states.push(pod["status"]["phase"].to_string());
        (name.clone(), states)
    })
    .collect()
}

/// Short enough for a list: of a record its time, container and value.
fn readable(text: &str) -> String {
    let records = text.split('\n').filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let word = |record: &Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let lines: Vec<String> = records
        .filter(|record| record["value"].is_string())
        .map(|record| ["timestamp", "container", "value"].map(|key| word(&record, key)))
        // What the sidecar says itself has the time of now.
        .map(|[time, of, said]| {
            if said.starts_with("[plx-sidecar]") { [of, said].join(" ") } else { [time, of, said].join(" ") }
        })
        .collect();
    if text.starts_with("{\"pods\"") {
        return "the spec".to_owned();
    }
    if lines.is_empty() {
        return format!("{text:?}");
    }
    // Of different containers in any order.
    lines.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("; ")
}

/// Calls of the tracking API: how often each was made, and headers.
fn calls(case: &Case, here: &Lived) -> Vec<String> {
    let mut counts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    let mut count = |at: usize, method: &str, path: &str, body: &Value| {
        let short = path.rsplit_once(RUN).map_or(path, |(_, rest)| rest);
        let names =
            body["artifacts"].as_array().into_iter().flatten().map(|artifact| artifact["name"].to_string());
        let of = names.collect::<Vec<_>>().join(" ");
        let what = format!("{method} runs/R{short} {of}").trim_end().to_owned();
        counts.entry(what).or_default()[at] += 1;
    };
    let mut found = Vec::new();
    for call in &case.api {
        count(0, &call.method, &call.path, &call.body);
        let Some(ours) =
            here.api.iter().find(|ours| (&ours.path, &ours.method) == (&call.path, &call.method))
        else {
            continue;
        };
        if ours.body != call.body {
            found
                .push(format!("api: {} {}: {} there, {} here", call.method, call.path, call.body, ours.body));
        }
        for (name, value) in call.headers.iter().filter(|(name, _)| !OWN_HEADERS.contains(&name.as_str())) {
            if ours.header(name) != Some(value.as_str()) {
                found.push(format!("api: header {name}: {value} there, {:?} here", ours.header(name)));
            }
        }
    }
    for call in &here.api {
        count(1, &call.method, &call.path, &call.body);
    }
    let differ = counts.into_iter().filter(|(_, [there, here])| there != here);
    found.extend(differ.map(|(what, [there, here])| format!("api: {what}: {there} there, {here} here")));
    found
}

#[tokio::test]
async fn each_life_of_polyaxons_sidecar_ends_as_there_but_for_what_is_listed() {
    let cases = cases();
    assert!(cases.len() >= 10, "{FIXTURES}");
    let lived = join_all(cases.iter().map(scene::live)).await;
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (case, here) in cases.iter().zip(&lived) {
        for call in &here.kube {
            let allowed =
                ["get", "list", "watch"].contains(&call.verb) && RESOURCES.contains(&call.resource.as_str());
            assert!(allowed, "{}: {} needs a right that runs do not have", case.name, call.target);
        }
        assert!(here.unstored.is_empty(), "{}: {:?}", case.name, here.unstored);
        let known = DIFFERENCES.iter().filter(|known| known.case == case.name);
        let known: BTreeSet<String> = known.map(|known| known.what.to_owned()).collect();
        let found: BTreeSet<String> = differences(case, here).into_iter().collect();
        seen += found.len();
        wrong.extend(found.difference(&known).map(|what| format!("{}: not listed: {what}", case.name)));
        wrong.extend(
            known.difference(&found).map(|what| format!("{}: listed, and not so: {what}", case.name)),
        );
        eprintln!("{}: {found:#?}", case.name);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 0);
}

#[test]
fn each_difference_stands_in_the_documents_with_its_reason() {
    let page = include_str!("../../../../../docs/differences.md");
    let cases: BTreeSet<String> = cases().into_iter().map(|case| case.name).collect();
    for known in DIFFERENCES {
        assert!(cases.contains(known.case), "{} is no case", known.case);
        assert!(page.contains(known.why), "docs/differences.md does not say: {}", known.why);
        assert!(
            page.contains(&format!("`{}`", known.case)),
            "docs/differences.md does not name {}",
            known.case
        );
    }
}
