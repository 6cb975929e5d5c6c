//! `--wrap-main`: what is other than without it, and nothing else is.

use super::{cases, valid};
use crate::vars;
use plx_contract::Class;
use plx_pod::cli::RenderArgs;
use plx_pod::render::{self, Asked, Rendered};
use plx_pod::{deployment, document};
use plx_runtime::Failure;
use serde_json::{Value, json};

const FOLDER: &str = "/plx-context/artifacts/.plx-main";

fn rendered(run: &str, config: &str, words: &[&str]) -> Result<Rendered, Failure> {
    let words = [&["f.yaml", "--wrap-main", "--run-uuid", "u1"], words].concat();
    let asked = Asked::settle(&RenderArgs::from_words(&words).expect("a command line"))?;
    let document = document::parse("f.yaml", &format!("version: 1.1\nkind: component\n{run}"))?;
    render::render(&document, &deployment::parse("c.yaml", config)?, &asked, &vars(&[]))
}

fn container<'a>(spec: &'a Value, name: &str) -> &'a Value {
    let lists = ["initContainers", "containers"];
    let mut all = lists.iter().flat_map(|list| spec[list].as_array().into_iter().flatten());
    all.find(|one| one["name"] == name).expect(name)
}

/// Takes away what is other on purpose, in the pod with it and in the one without.
fn put_back(with: &mut Value, without: &mut Value) {
    let spec = if with["kind"] == "Job" { "/spec/template/spec" } else { "/spec" };
    let (with, without) = (with.pointer_mut(spec).expect(spec), without.pointer_mut(spec).expect(spec));
    let inits = with["initContainers"].as_array_mut().expect("init containers");
    let at =
        inits.iter().position(|one| one["name"] == "polyaxon-init-entry").expect("the program is placed");
    let placed = inits.remove(at);
    assert_eq!(
        (&placed["command"], &placed["args"]),
        (&json!(["plx-init", "entry"]), &json!([format!("--to={FOLDER}")]))
    );
    if inits.is_empty() {
        with.as_object_mut().expect("a spec").remove("initContainers");
    }
    with.as_object_mut().expect("a spec").remove("automountServiceAccountToken");
    for (spec, name) in [(&mut *with, "with"), (&mut *without, "without")] {
        for container in spec["containers"].as_array_mut().expect("containers") {
            if container["name"] == "polyaxon-main" && name == "with" {
                let words = container["command"].as_array_mut().expect("a command");
                let dashes = words.iter().position(|word| word == "--").expect("the program's options end");
                assert_eq!(
                    words[..3],
                    [json!(format!("{FOLDER}/plx-entry")), json!("--folder"), json!(FOLDER)]
                );
                words.drain(..=dashes);
                // Logs alone need the volume too.
                container["volumeMounts"]
                    .as_array_mut()
                    .expect("mounts")
                    .retain(|mount| mount["mountPath"] != "/plx-context/artifacts");
            } else if container["name"] == "polyaxon-main" {
                container["volumeMounts"]
                    .as_array_mut()
                    .expect("mounts")
                    .retain(|mount| mount["mountPath"] != "/plx-context/artifacts");
            } else if container["name"] == "polyaxon-sidecar" {
                let args = container["args"].as_array_mut().expect("arguments");
                let ours = format!("--wrapped-main={FOLDER}");
                assert_eq!(args.contains(&json!(ours)), name == "with", "{args:?}");
                args.retain(|arg| *arg != ours && arg != "--monitor-spec");
            }
        }
    }
}

#[test]
fn of_every_recorded_pod_nothing_else_is_changed() {
    let (mut wrapped, mut without_command) = (0, 0);
    for case in cases(&super::folder()) {
        for form in [&["--as", "pod"][..], &["--as", "job"]] {
            let Ok(without) = case.render(form) else { continue };
            let with = match case.render(&[form, &["--wrap-main"]].concat()) {
                Ok(with) => with,
                Err(failure) => {
                    assert!(failure.message.contains("no command"), "{}: {}", case.name, failure.message);
                    without_command += 1;
                    continue;
                }
            };
            valid::pod(&with);
            let (mut with, mut without) = (with.resource, without.resource);
            let collects = without.to_string().contains("polyaxon-sidecar");
            if collects {
                put_back(&mut with, &mut without);
                wrapped += 1;
            }
            assert_eq!(with, without, "{}", case.name);
        }
    }
    assert!(wrapped > 20, "{wrapped} pods, and {without_command} without a command");
}

#[test]
fn main_is_run_by_the_program_with_its_words_as_they_were() {
    let run = "run:\n  kind: job\n  container: {image: a, command: [python, -c], args: ['print(\"$(HOME)\")', '', --tee]}\n";
    let pod = rendered(run, "{}", &[]).expect("a pod");
    valid::pod(&pod);
    let spec = &pod.pod()["spec"];
    let main = container(spec, "polyaxon-main");
    let program = format!("{FOLDER}/plx-entry");
    assert_eq!(main["command"], json!([program, "--folder", FOLDER, "--tee", "--", "python", "-c"]));
    assert_eq!(main["args"], json!(["print(\"$(HOME)\")", "", "--tee"]));
    let sidecar = &container(spec, "polyaxon-sidecar")["args"];
    let common =
        ["--container-id=polyaxon-main", "--sleep-interval=10", "--sync-interval=10", "--monitor-logs"];
    assert_eq!(*sidecar, json!([&common[..], &[&format!("--wrapped-main={FOLDER}")]].concat()));
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert!(pod.notes.iter().all(|note| !note.contains("service account")), "{:?}", pod.notes);
    let place = container(spec, "polyaxon-init-entry");
    assert_eq!(place["image"], container(spec, "polyaxon-init-artifacts-default")["image"]);
    // A line is for a shell, as without it.
    let pod = rendered("run: {kind: job, container: {image: a, command: 'echo a; echo b'}}", "{}", &[])
        .expect("a pod");
    let main = container(&pod.pod()["spec"], "polyaxon-main").clone();
    assert_eq!(
        main["command"].as_array().expect("words")[5..],
        [json!("sh"), json!("-c"), json!("echo a; echo b")]
    );
}

#[test]
fn a_restart_policy_is_told_to_the_program() {
    let main = "container: {image: a, command: [b]}";
    for (run, words, told) in [
        (format!("run: {{kind: job, {main}}}"), &[][..], None),
        (
            format!("run: {{kind: job, environment: {{restartPolicy: OnFailure}}, {main}}}"),
            &["--as", "job"][..],
            Some("OnFailure"),
        ),
        (format!("run: {{kind: service, {main}}}"), &[][..], Some("Always")),
    ] {
        let pod = rendered(&run, "{}", words).expect("a pod");
        let command = container(&pod.pod()["spec"], "polyaxon-main")["command"].clone();
        let words: Vec<&str> = command.as_array().expect("words").iter().filter_map(Value::as_str).collect();
        let at = words.iter().position(|word| *word == "--restart-policy");
        assert_eq!(at.map(|at| words[at + 1]), told, "{run}");
    }
}

#[test]
fn a_main_whose_command_is_its_images_cannot_be_wrapped() {
    for container in ["{image: a}", "{image: a, args: [train]}", "{image: a, command: []}"] {
        let failure =
            rendered(&format!("run:\n  kind: job\n  container: {container}\n"), "{}", &[]).map(|_| ());
        let failure = failure.expect_err("it is not known what to run");
        assert_eq!(failure.class, Class::Config);
        assert!(
            failure.message.starts_with("f.yaml:5:") && failure.message.contains("no command"),
            "{}",
            failure.message
        );
        assert!(failure.next.as_deref().is_some_and(|next| next.contains("`command`")), "{:?}", failure.next);
    }
}

#[test]
fn what_is_not_collected_is_not_teed() {
    let main = "run: {kind: job, container: {image: a, command: [b]}, sidecars: [{name: mine, image: c, command: [d]}]}\n";
    let pod = rendered(&format!("plugins: {{collectLogs: false}}\n{main}"), "{}", &[]).expect("a pod");
    let spec = &pod.pod()["spec"];
    let command = &container(spec, "polyaxon-main")["command"];
    assert_eq!(command.as_array().expect("words")[3..], [json!("--"), json!("b")]);
    let sidecar = container(spec, "polyaxon-sidecar")["args"].to_string();
    assert!(!sidecar.contains("--monitor-logs") && sidecar.contains("--wrapped-main"), "{sidecar}");
    assert_eq!(container(spec, "mine")["command"], json!(["d"]), "a person's sidecar stays");
    // Logs alone: main has the volume all the same.
    let pod = rendered(&format!("plugins: {{collectArtifacts: false}}\n{main}"), "{}", &[]).expect("a pod");
    valid::pod(&pod);
    let mounts = container(&pod.pod()["spec"], "polyaxon-main")["volumeMounts"].to_string();
    assert!(mounts.contains("\"/plx-context/artifacts\""), "{mounts}");
    // Neither: nobody would read it.
    let pod =
        rendered(&format!("plugins: {{collectArtifacts: false, collectLogs: false}}\n{main}"), "{}", &[])
            .expect("a pod");
    assert_eq!(container(&pod.pod()["spec"], "polyaxon-main")["command"], json!(["b"]));
    assert!(pod.notes.iter().any(|note| note.contains("--wrap-main has no effect")), "{:?}", pod.notes);
}

#[test]
fn an_account_that_the_run_names_is_mains() {
    let run = "run:\n  kind: job\n  environment: {serviceAccountName: mine}\n  container: {image: a, command: [b]}\n";
    let pod = rendered(run, "runsSa: theirs", &[]).expect("a pod");
    assert_eq!(pod.pod()["spec"]["automountServiceAccountToken"], Value::Null);
    let run = "run:\n  kind: job\n  container: {image: a, command: [b]}\n";
    let pod = rendered(run, "runsSa: theirs", &[]).expect("a pod");
    assert_eq!(pod.pod()["spec"]["automountServiceAccountToken"], false, "that one was for the sidecar");
}

#[test]
fn a_native_sidecar_stands_before_the_program_is_placed() {
    let run = "run:\n  kind: job\n  container: {image: a, command: [b]}\n";
    let pod = rendered(run, "{}", &["--native-sidecar"]).expect("a pod");
    valid::pod(&pod);
    let inits = pod.pod()["spec"]["initContainers"].as_array().expect("init containers").clone();
    let names: Vec<&str> = inits.iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["polyaxon-sidecar", "polyaxon-init-entry", "polyaxon-init-artifacts-default"]);
    assert!(inits[0]["args"].to_string().contains("--wrapped-main"));
}

#[test]
fn the_pod_that_is_explained_has_the_program() {
    let run = "run:\n  kind: job\n  container: {image: a, command: [b]}\n";
    let pod = rendered(run, "{}", &[]).expect("a pod");
    let about =
        |name: &str| pod.about.iter().find(|(known, _)| known == name).map(|(_, about)| about.clone());
    assert!(about("polyaxon-init-entry").is_some_and(|about| about.what.contains("runs main")));
    assert!(
        about("polyaxon-main")
            .is_some_and(|about| about.what == "b" && about.writes.contains(&FOLDER.to_owned()))
    );
}
