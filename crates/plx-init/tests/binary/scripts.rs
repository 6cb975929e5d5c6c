//! `sh -c` with the converter's scripts: run natively, and no failure is passed over. Everything else is busybox's.

use crate::lab::{Lab, files_only, texts};
use plx_testkit::{Moto, Snapshot};
use serde_json::json;
use std::fs;

fn script(lab: &Lab, template: &str) -> String {
    let root = lab.path("").display().to_string();
    template
        .replace("$ART", lab.art("").display().to_string().trim_end_matches('/'))
        .replace("$STORE", &format!("{}/store", root.trim_end_matches('/')))
}

const MKDIR: &str = "if [ ! -d \"$ART/data\" ]; then mkdir -m 0777 -p $ART/data; fi;";

#[tokio::test]
async fn files_and_folders_of_a_bucket_are_one_plan() {
    let objects = [("a.csv", "1"), ("dir/x", "2"), ("dir/.hidden", "3"), ("dir/sub/y", "4")];
    let lab = Lab::s3(&objects).await;
    let fetch = |from: &str, to: &str, flags: &str| {
        format!(
            "polyaxon initializer path --connection-name=data --connection-kind=s3 \
             --path-from=s3://plx/base/{from} --path-to=$ART/data/{to} {flags};"
        )
    };
    let whole = [MKDIR, &fetch("a.csv", "a.csv", "--is-file"), MKDIR, &fetch("dir", "dir", "")].join(" ");
    let ended = lab.sh(&script(&lab, &whole)).await;
    ended.succeeded();
    assert!(ended.stdout.contains("s3 path is initialized, path: `"), "{ended:?}");
    let want = texts(&[
        ("data/a.csv", "1"),
        ("data/dir/x", "2"),
        ("data/dir/.hidden", "3"),
        ("data/dir/sub/y", "4"),
    ]);
    assert_eq!(files_only(lab.files()), want);

    // One of them missing: none is fetched, where the reference ends with 0.
    let lab = Lab::s3(&objects).await;
    let whole = [MKDIR, &fetch("a.csv", "a.csv", "--is-file"), &fetch("nope", "nope", "")].join(" ");
    lab.sh(&script(&lab, &whole)).await.failed(66, &["nope"]);
    assert_eq!(files_only(lab.files()).len(), 0);

    // Only a resume may find nothing, and then there is no record.
    let ended = lab.sh(&script(&lab, &[MKDIR, &fetch("run", "run", "--sync-fw")].join(" "))).await;
    ended.succeeded();
    assert!(!lab.art(".fs").exists());
    let ended = lab.sh(&script(&lab, &[MKDIR, &fetch("dir", "dir", "--sync-fw")].join(" "))).await;
    ended.succeeded();
    assert!(lab.art(".fs").exists());
}

#[tokio::test]
async fn r6_a_volume_is_copied_with_its_dotfiles_and_a_missing_source_fails() {
    let lab = Lab::folder(&[("d/a", "1"), ("d/.h", "2"), ("f", "3")]);
    let copy = |kind: &str, from: &str, to: &str| match kind {
        "f" => format!("if [ -f $STORE/{from} ]; then cp $STORE/{from} $ART/data/{to};  fi;"),
        _ => format!(
            "if [ -d $STORE/{from} ] && [ \"$(ls -A $STORE/{from})\" ]; then cp -R $STORE/{from}/* $ART/data/{to};  fi;"
        ),
    };
    let whole = [MKDIR, &copy("f", "f", "f"), &copy("d", "d", "d")].join(" ");
    lab.sh(&script(&lab, &whole)).await.succeeded();
    let want = texts(&[("data/f", "3"), ("data/d/a", "1"), ("data/d/.h", "2")]);
    assert_eq!(files_only(lab.files()), want);
    for (kind, name) in [("f", "none"), ("d", "none"), ("f", "d"), ("d", "f")] {
        let whole = [MKDIR, &copy(kind, name, "x")].join(" ");
        lab.sh(&script(&lab, &whole)).await.failed(66, &[name]);
    }
}

#[tokio::test]
async fn r6_names_that_a_shell_would_read_are_names() {
    let objects = [("a b/$(touch pwned)", "1"), ("*[x]?", "2"), ("it's", "3")];
    let lab = Lab::folder(&objects);
    for (from, _) in objects {
        let block = "if [ -f $STORE/NAME ]; then cp $STORE/NAME $ART/data/NAME;  fi;";
        let text = script(&lab, &[MKDIR, block].join(" ")).replace("NAME", from);
        lab.sh(&text).await.succeeded();
        assert!(lab.art("data").join(from).exists(), "{from}");
    }
    assert!(!lab.path("pwned").exists());
}

#[tokio::test]
async fn anything_else_goes_to_busybox_or_says_that_there_is_none() {
    let lab = Lab::empty();
    let ended = lab.sh("echo hello; exit 3").await;
    if std::path::Path::new("/bin/busybox").exists() || std::path::Path::new("/usr/bin/busybox").exists() {
        assert_eq!((ended.code, ended.stdout.as_str()), (3, "hello\n"), "{ended:?}");
    } else {
        ended.failed(78, &["busybox"]);
    }
}

#[tokio::test]
async fn tools_that_cannot_be_shipped_are_named_before_anything_is_copied() {
    let lab = Lab::empty();
    let copy = |from: &str| {
        let name = from.rsplit('/').next().unwrap_or_default();
        format!("cp {from} /opt/polyaxon/bin/{name}")
    };
    let done = |plugin: &str| format!("printf '%s\\n' 'Polyaxon {plugin} tools initialized'");
    let sandbox =
        [copy("/usr/bin/plx-exec"), copy("/usr/bin/bootstrap-sandbox.sh"), done("sandbox")].join(" && ");
    lab.sh(&sandbox).await.failed(78, &["plugins.sandbox", "plx-exec", "plugins.tmux"]);
    let ssh = [sandbox, copy("/usr/sbin/sshd"), copy("/usr/bin/bootstrap-ssh.sh"), done("ssh")].join(" && ");
    lab.sh(&ssh).await.failed(78, &["plugins.ssh", "bootstrap-ssh.sh", "plugins.tmux"]);
}

#[tokio::test]
async fn what_is_cleaned_is_gone_and_so_is_what_was_gone_before() {
    let objects = [("R/a", "1"), ("R/sub/b", "2"), ("R", "x"), ("R2/c", "3"), ("f", "4")];
    let lab = Lab::moto("cleaned", &objects).await;
    let clean = ["clean-artifacts", "s3", "--connection-name", "data"];
    let target = Moto::shared().await.target("cleaned").await;
    let left = async || {
        Snapshot::of_store(&target.store(), "base").await.unwrap().files.into_keys().collect::<Vec<_>>()
    };
    for _ in ["there", "gone"] {
        let paths = ["-sp=s3://cleaned/base/R", "-sp=s3://cleaned/base/none"];
        lab.polyaxon(&[&clean[..], &paths].concat()).await.succeeded();
        assert_eq!(left().await, ["R2/c", "f"]);
    }
    lab.polyaxon(&[&clean[..], &["--subpath=s3://cleaned/base/f", "--is-file"]].concat()).await.succeeded();
    // Nobody means the whole store.
    lab.polyaxon(&[&clean[..], &["-sp=s3://cleaned/base"]].concat()).await.failed(65, &["whole store"]);
    assert_eq!(left().await, ["R2/c"]);

    let lab = Lab::folder(&[("R/a", "1"), ("R2/c", "3")]);
    let root = lab.path("store").display().to_string();
    let clean = ["clean-artifacts", "volume-claim", "--connection-name=data"];
    for _ in ["there", "gone"] {
        lab.polyaxon(&[&clean[..], &[&format!("-sp={root}/R")]].concat()).await.succeeded();
        assert!(!lab.path("store/R").exists() && lab.path("store/R2/c").exists());
    }
}

#[tokio::test]
async fn tensorboard_logs_come_from_buckets_too_and_a_run_without_them_fails() {
    let lab =
        Lab::s3(&[("r1/outputs/tensorboard/a/ev", "1"), ("r2/outputs/tensorboard/ev", "2"), ("r3/x", "3")])
            .await;
    let to = lab.art("").display().to_string();
    let call = |uuids: &str, more: &[&str]| {
        let fixed = ["initializer", "tensorboard", "--context-from=s3://plx/base", "--connection-kind=s3"];
        let mut args: Vec<String> = fixed.iter().chain(more).map(|arg| (*arg).to_owned()).collect();
        args.extend([format!("--context-to={to}"), format!("--uuids={uuids}")]);
        args
    };
    let run = async |uuids: &str, more: &[&str]| {
        let args = call(uuids, more);
        lab.polyaxon(&args.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    run("r1,r3", &[]).await.failed(66, &["r3/outputs/tensorboard"]);
    assert!(!lab.art("start_tensorboard").exists(), "nothing is half-made");
    run("r1,r2,r3", &["--optional"]).await.succeeded();
    let found = files_only(lab.files());
    assert_eq!(found["tensorboard/r1/a/ev"].as_deref(), Some("1"));
    assert_eq!(found["tensorboard/r2/ev"].as_deref(), Some("2"));
    assert!(
        found["start_tensorboard"].as_deref().is_some_and(|line| line.starts_with("tensorboard  --logdir="))
    );
}

#[tokio::test]
async fn a_reference_is_resolved_and_fetched_from_a_bucket_without_any_api() {
    const RUN: &str = "8aac02e3a62a4f0aaa257c59da5eab80";
    let lineage = json!([{"name": "model", "kind": "model", "path": "outputs/model"}]).to_string();
    let (file, weights) = (format!("{RUN}/lineages.plx.json"), format!("{RUN}/outputs/model/weights"));
    let mut lab = Lab::moto("references", &[(&file, &lineage), (&weights, "w")]).await;
    lab.set("POLYAXON_NO_API", "true");
    lab.set("POLYAXON_ARTIFACTS_STORE_NAME", "data");
    lab.init(&["ref", "--lineage-ref", &format!("{RUN}:model")]).await.succeeded();
    assert_eq!(files_only(lab.files()), texts(&[(&weights, "w")]));
    lab.init(&["run", &format!("lineageRef: '{RUN}:model'")]).await.succeeded();
    let ended = lab.init(&["ref", "--lineage-ref", &format!("{RUN}:none")]).await;
    ended.failed(66, &["none", "POLYAXON_NO_API", "lineages.plx.json"]);
}

#[tokio::test]
async fn an_entry_is_carried_out_as_it_is_written() {
    let mut lab = Lab::folder(&[("d/a", "1"), ("d/b", "2")]);
    lab.set("POLYAXON_RUN_INSTANCE", "owner.project.runs.8aac02e3a62a4f0aaa257c59da5eab80");
    lab.set("POLYAXON_NO_API", "true");
    let entries = [
        json!({"connection": "data", "artifacts": {"dirs": ["d"]}}).to_string(),
        "file: {filename: run.sh, chmod: +x, content: echo hello}".to_owned(),
        "dockerfile: {image: 'python:3.12', run: [ls]}".to_owned(),
    ];
    for entry in &entries {
        lab.init(&["run", entry]).await.succeeded();
    }
    let found = files_only(lab.files());
    for name in ["data/d/a", "data/d/b", "run.sh", "Dockerfile"] {
        assert!(found.contains_key(name), "{name} in {found:?}");
    }
    let outputs = lab.art("8aac02e3a62a4f0aaa257c59da5eab80/outputs");
    assert_eq!(fs::read_to_string(outputs.join("run.sh")).unwrap(), "echo hello");
    for (entry, words) in [
        ("{}", &["no handler"][..]),
        ("{file: {content: x}, dockerfile: {image: x}}", &["`dockerfile` and `file`"]),
        ("{connection: zz}", &["zz"]),
        ("{container: {image: x}}", &["started by the pod"]),
        ("{fiel: {}}", &["fiel"]),
    ] {
        let ended = lab.init(&["run", entry]).await;
        assert_ne!(ended.code, 0);
        for word in words {
            assert!(ended.stderr.contains(word), "{entry}: {ended:?}");
        }
    }
}
