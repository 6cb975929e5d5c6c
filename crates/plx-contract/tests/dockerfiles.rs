//! Contexts that were rendered by the reference, and what it made of them.

use plx_contract::dockerfile::Dockerfile;
use serde_json::Value;
use std::path::Path;

#[test]
fn every_recorded_context_gives_the_same_bytes_and_the_same_hash() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dockerfiles");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("the fixtures") {
        let case = entry.expect("an entry").path();
        if !case.is_dir() {
            continue;
        }
        let read = |name: &str| std::fs::read_to_string(case.join(name)).expect("a file");
        let parsed = |name: &str| serde_json::from_str::<Value>(&read(name)).expect("JSON");
        let dockerfile = Dockerfile::parse(&parsed("context.json")).expect("a context");
        let meta = parsed("meta.json");
        assert_eq!(dockerfile.render(), read("Dockerfile"), "{}", case.display());
        assert_eq!(dockerfile.lineage_hash(), meta["lineage_hash"], "{}", case.display());
        assert_eq!(dockerfile.filename(), meta["filename"], "{}", case.display());
        seen += 1;
    }
    assert!(seen >= 20, "{seen} cases");
}
