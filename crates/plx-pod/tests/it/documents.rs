use crate::component;
use plx_contract::Class;
use plx_pod::document::parse;

#[track_caller]
fn refused(text: &str, want: &str) {
    let failure = parse("f.yaml", text).map(|_| ()).expect_err(text);
    assert_eq!((failure.class, failure.message.as_str()), (Class::Config, want));
}

#[test]
fn every_error_has_its_line_and_column() {
    refused("version: 1.1\nrun:\n  kind: job\n  initt: []\n", "f.yaml:4:3: unknown field `initt` of run");
    refused("version: 1.1\nfoo: 1\nrun: {kind: job}\n", "f.yaml:2:1: unknown field `foo`");
    refused(
        "version: 1.1\nkind: operation\ncomponent:\n  matrix: {}\n  run: {kind: job}\n",
        "f.yaml:4:3: `matrix` needs the platform",
    );
    refused(
        &component("  init:\n    - artifacts: {fils: [a]}\n"),
        "f.yaml:6:19: unknown field `fils`, expected one of files, dirs, workers",
    );
    refused(&component("  container: {comand: [a]}\n"), "f.yaml:5:15: unknown field `comand` of a container");
    refused("version: 1.0\nrun: {kind: job}\n", "f.yaml:1:1: version is 1.0, wanted 1.1");
    refused("run: {kind: job}\n", "f.yaml: `version` is missing");
    refused("version: 1.1\nrun: {kind: tfjob}\n", "f.yaml:2:7: run.kind is `tfjob`, wanted job or service");
    refused("version: 1.1\nkind: hub\n", "f.yaml:2:1: kind is `hub`, wanted operation or component");
}

#[test]
fn broken_yaml_has_its_place_too() {
    for (text, place) in [
        ("version: 1.1\nrun:\n  kind: job\n   x: 1\n", "f.yaml:4:"),
        ("version: 1.1\nrun: [", "f.yaml:2:"),
        ("version: 1.1\nversion: 1.1\n", "f.yaml:2:1: "),
    ] {
        let message = parse("f.yaml", text).map(|_| ()).expect_err(text).message;
        assert!(message.starts_with(place), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn json_with_tabs_is_read_as_well() {
    let text = "{\n\t\"version\": 1.1,\n\t\"run\": {\"kind\": \"job\", \"container\": {\"command\": [\"a\\u00e9\"]}}\n}";
    let loaded = parse("f.json", text).expect("JSON");
    assert!(loaded.operation.run.container.is_some());
}

#[test]
fn an_operation_overrides_its_component() {
    let text = "version: '1.1'\nkind: operation\nname: op\nplugins: {collectLogs: false}\ncomponent:\n  name: c\n  \
                plugins: {collectLogs: true, autoResume: false, sidecar: null}\n  run:\n    kind: job\n    \
                container: {image: x, command: [a], volumeMounts: [{name: v, mountPath: /v}]}\n";
    let loaded = parse("f.yaml", text).expect("an operation");
    assert_eq!(loaded.operation.name.as_deref(), Some("op"));
    assert!(!loaded.operation.plugins.collects_logs() && !loaded.operation.plugins.resumes());
    assert_eq!(loaded.notes.len(), 2, "{:?}", loaded.notes);
}
