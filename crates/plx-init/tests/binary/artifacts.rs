//! `artifacts`: files, folders, pairs, look-ups, everything.

use crate::lab::{Lab, below, files_only, texts};

const OBJECTS: [(&str, &str); 8] = [
    ("model", "exact"),
    ("model-hf/weights", "another model"),
    ("set/train/1", "one"),
    ("set/train/.hidden", "dot"),
    ("set/train/deep/2", "two"),
    ("set/empty", ""),
    ("labels.csv", "a,b"),
    ("sp ace+%20#?*[x]é", "odd"),
];

/// The same objects in a folder and on an S3 server.
async fn both() -> [Lab; 2] {
    [Lab::folder(&OBJECTS), Lab::s3(&OBJECTS).await]
}

#[tokio::test]
async fn files_folders_and_pairs_go_below_the_connections_name() {
    for lab in both().await {
        let ended = lab
            .artifacts(&[
                "--file=labels.csv",
                "--file=[\"model\",\"renamed/model.bin\"]",
                "--dir=set/train",
                "--dir=[\"model-hf\",\"hf\"]",
                "--file=sp ace+%20#?*[x]é",
                "--file=set/empty",
            ])
            .await;
        ended.succeeded();
        let want = texts(&[
            ("data/hf/weights", "another model"),
            ("data/labels.csv", "a,b"),
            ("data/renamed/model.bin", "exact"),
            ("data/set/empty", ""),
            ("data/set/train/.hidden", "dot"),
            ("data/set/train/1", "one"),
            ("data/set/train/deep/2", "two"),
            ("data/sp ace+%20#?*[x]é", "odd"),
        ]);
        assert_eq!(files_only(lab.files()), want);
        assert!(ended.stdout.starts_with("data: 8 objects, "), "{}", ended.stdout);
        assert_eq!((&ended.report["class"], &ended.report["objects"]), (&"done".into(), &8.into()));
    }
}

#[tokio::test]
async fn a_path_is_looked_up_and_an_exact_object_wins_over_a_prefix() {
    // `S3Server` cannot be asked whether a folder's name is an object: it answers 500.
    for lab in [Lab::folder(&OBJECTS), Lab::moto("look-up", &OBJECTS).await] {
        lab.artifacts(&["--paths", r#"["model",["set/train/deep","deep"]]"#]).await.succeeded();
        let want = texts(&[("data/deep/2", "two"), ("data/model", "exact")]);
        assert_eq!(files_only(lab.files()), want, "`model` never takes `model-hf`");
    }
}

#[tokio::test]
async fn nothing_named_or_whole_is_everything() {
    for args in [&[][..], &["--whole"], &["--artifacts", "{}"]] {
        for lab in both().await {
            lab.artifacts(args).await.succeeded();
            let want: Vec<(String, &str)> =
                OBJECTS.iter().map(|(key, text)| (format!("data/{key}"), *text)).collect();
            let want: Vec<(&str, &str)> = want.iter().map(|(key, text)| (key.as_str(), *text)).collect();
            assert_eq!(files_only(lab.files()), texts(&want));
        }
    }
}

#[tokio::test]
async fn a_target_of_ones_own_and_the_artifacts_store_have_their_places() {
    for mut lab in both().await {
        let to = lab.path("elsewhere/deep");
        lab.artifacts(&["--dir=set/train/deep", "--to", to.to_str().unwrap()]).await.succeeded();
        assert_eq!(files_only(below(&to)), texts(&[("set/train/deep/2", "two")]));
        assert_eq!(lab.files().len(), 0);
        lab.set("POLYAXON_ARTIFACTS_STORE_NAME", "data");
        lab.artifacts(&["--dir=set/train/deep"]).await.succeeded();
        assert_eq!(files_only(lab.files()), texts(&[("set/train/deep/2", "two")]), "without the name");
    }
}

#[tokio::test]
async fn a_dry_run_shows_the_plan_and_writes_nothing() {
    for lab in both().await {
        let ended = lab.artifacts(&["--dir=set", "--file=model", "--dry-run"]).await;
        ended.succeeded();
        for word in ["5 objects", "14 B in all", "free at", "model", "set"] {
            assert!(ended.stdout.contains(word), "{word:?} in {}", ended.stdout);
        }
        assert_eq!(lab.files().len(), 0);
        let ended = lab.artifacts(&["--dir=none", "--dry-run"]).await;
        ended.failed(66, &["none", "does not exist"]);
    }
}

#[tokio::test]
async fn optional_inputs_may_be_absent_but_the_rest_is_fetched() {
    for mut lab in both().await {
        let args = ["--file=model", "--file=none", "--dir=nowhere"];
        lab.artifacts(&args).await.failed(66, &["none", "nowhere", "2 inputs failed"]);
        assert_eq!(lab.files().len(), 0, "nothing is fetched for a job that cannot start");
        let ended = lab.artifacts(&[&args[..], &["--optional"]].concat()).await;
        ended.succeeded();
        assert!(ended.stderr.contains("none does not exist: optional, left out"), "{}", ended.stderr);
        assert_eq!(files_only(lab.files()), texts(&[("data/model", "exact")]));
        lab.set("PLX_OPTIONAL_INPUTS", "true");
        lab.artifacts(&args).await.succeeded();
    }
}

#[tokio::test]
async fn a_second_run_over_the_first_gives_the_same_files() {
    for lab in both().await {
        lab.artifacts(&[]).await.succeeded();
        let first = lab.files();
        std::fs::write(lab.art("data/labels.csv"), "spoilt by somebody").unwrap();
        lab.artifacts(&[]).await.succeeded();
        assert_eq!(lab.files(), first);
    }
}
