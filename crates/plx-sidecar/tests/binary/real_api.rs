//! A run for the real platform: `tests/api/seen.py` starts `haupt sandbox`, has plx-init and this make a run, and reads it
//! back with Polyaxon's own client.

use crate::kubernetes::{OFTEN, POD, within};
use crate::pod::Sidecar;
use plx_contract::Env as _;
use plx_runtime::ProcessEnv;
use plx_testkit::FakeKube;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// 2026-01-01T00:00:00Z, in nanoseconds.
const THEN: i64 = 1_767_225_600_000_000_000;
const STEPS: i64 = 40;

/// `{"host","owner","project","run","store","context"}` of the script.
fn world() -> BTreeMap<String, String> {
    let world = ProcessEnv.get("PLX_REAL_API").expect("tests/api/seen.py sets PLX_REAL_API");
    serde_json::from_str(&world).unwrap()
}

/// What main makes in one step: a row of two metrics, one of a text, and a line of its log.
fn step(run: &Path, kube: &FakeKube, step: i64) {
    let at = format!("2026-01-01 00:00:{step:02}+00:00");
    let (loss, accuracy) = (1.0 / (1.0 + step as f64 / 4.0), 1.0 - 0.9 / (1.0 + step as f64 / 8.0));
    for (name, value) in [("loss", loss), ("accuracy", accuracy)] {
        let path = run.join(format!("events/metric/{name}.plx"));
        let known = fs::read_to_string(&path).unwrap_or_else(|_| "step|timestamp|metric".to_owned());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{known}\n{step}|{at}|{value:.6}")).unwrap();
    }
    kube.print(POD, FakeKube::MAIN, THEN + step * 1_000_000_000, format!("step {step}: loss {loss:.6}"));
}

#[tokio::test]
#[ignore = "needs haupt: run tests/api/seen.py"]
async fn a_run_that_polyaxon_reads() {
    let world = world();
    let context = PathBuf::from(&world["context"]);
    let run = context.join("artifacts").join(&world["run"]);
    let kube = FakeKube::start().await;
    kube.start_pod(POD, "Never");
    kube.print(POD, "polyaxon-init-auth", THEN - 1_000_000_000, "Auth context initialized.");
    let schema = json!({ "hostPath": world["store"], "mountPath": world["store"] });
    let catalog = json!({ "connections": [{ "name": "store", "kind": "host_path", "schema": schema }] });
    let report = context.join("termination-log");
    let own = [
        ("POLYAXON_CONTEXT_ROOT", context.display().to_string()),
        ("POLYAXON_RUN_INSTANCE", format!("{}.{}.runs.{}", world["owner"], world["project"], world["run"])),
        ("POLYAXON_HOST", world["host"].clone()),
        ("POLYAXON_K8S_POD_ID", POD.to_owned()),
        ("POLYAXON_ARTIFACTS_STORE_NAME", "store".to_owned()),
        ("POLYAXON_CONNECTIONS_CATALOG", catalog.to_string()),
        ("PLX_TERMINATION_LOG", report.display().to_string()),
    ];
    let env = own.into_iter().chain(kube.env()).map(|(key, value)| (key.to_owned(), value)).collect();
    let sidecar = Sidecar::start(&["--monitor-logs", OFTEN[0], OFTEN[1]], &env, vec![context.clone()]);
    within("a watch", kube.answered("watch", 200, 1)).await;
    for number in 0..STEPS {
        step(&run, &kube, number);
    }
    fs::create_dir_all(run.join("outputs/model/deep")).unwrap();
    fs::write(run.join("outputs/model/deep/weights.bin"), [0, 1, 2, 255]).unwrap();
    fs::write(run.join("outputs/metrics.csv"), "step,loss\n0,1\n").unwrap();
    kube.main_ended(POD, 0, "Completed");
    let ended = within("its end", sidecar.end()).await;
    let told = (&ended.report["class"], &ended.report["untold"]);
    assert_eq!((ended.code, told), (Some(0), (&json!("done"), &Value::Null)), "{ended:?}");
}
