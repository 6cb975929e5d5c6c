//! The examples of Polyaxon's documentation, and what is refused.

use super::valid;
use crate::{Vars, vars};
use plx_contract::Class;
use plx_pod::cli::RenderArgs;
use plx_pod::render::{self, Asked, Rendered};
use plx_pod::{deployment, document};
use plx_runtime::Failure;
use serde_json::{Value, json};

fn fixture(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/documents").join(name);
    std::fs::read_to_string(path).expect(name)
}

fn rendered_with(operation: &str, config: &str, words: &[&str], caller: &Vars) -> Result<Rendered, Failure> {
    let words = [&["f.yaml", "--run-uuid", "u1", "--project", "me/p"], words].concat();
    let asked = Asked::settle(&RenderArgs::from_words(&words).expect("a command line"))?;
    let deployment = deployment::parse("c.yaml", config)?;
    render::render(&document::parse("f.yaml", operation)?, &deployment, &asked, caller)
}

fn rendered(operation: &str, config: &str, words: &[&str]) -> Result<Rendered, Failure> {
    rendered_with(operation, config, words, &vars(&[]))
}

fn documents(operation: &str, config: Option<&str>) -> Rendered {
    let config = config.map_or_else(|| "{}".to_owned(), fixture);
    let rendered = rendered(&fixture(operation), &config, &[]).expect("a pod");
    valid::pod(&rendered);
    rendered
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    let containers = pod["spec"][list].as_array().expect("containers");
    containers.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

fn env<'a>(rendered: &'a Rendered, name: &str) -> &'a Value {
    let vars = rendered.pod()["spec"]["containers"][0]["env"].as_array().expect("variables");
    vars.iter().find(|var| var["name"] == name).map_or(&Value::Null, |var| &var["value"])
}

#[track_caller]
fn refused(operation: &str, config: &str, words: &[&str], want: &str, next: &str) {
    let failure = rendered(operation, config, words).map(|_| ()).expect_err(want);
    assert_eq!((failure.class, failure.message.as_str()), (Class::Config, want));
    assert!(failure.next.as_deref().is_some_and(|step| step.contains(next)), "{:?}", failure.next);
}

fn component(run: &str) -> String {
    format!("version: 1.1\nkind: component\nrun:\n  kind: job\n{run}")
}

const MAIN: &str = "  container: {image: a}\n";

#[test]
fn the_example_of_init_renders_with_its_references() {
    let pod = documents("init.yaml", Some("init.config.yaml"));
    let stems: Vec<String> = names(pod.pod(), "initContainers")
        .iter()
        .map(|name| name.trim_start_matches("polyaxon-init-").to_owned())
        .collect();
    let want = [
        "artifacts-default",
        "artifacts-store-",
        "ref-lineage-",
        "ref-artifact-",
        "ref-artifact-",
        "ref-model-",
        "ref-model-",
        "artifacts-gcs-large-datasets-",
        "artifacts-s3-datasets-",
        "git-repo1-",
        "git-repo2-",
        "dockerfile-",
        "file-",
        "myapp-container",
    ];
    assert_eq!(stems.len(), want.len(), "{stems:?}");
    assert!(stems.iter().zip(want).all(|(stem, want)| stem.starts_with(want)), "{stems:?}");
    let inits = &pod.pod()["spec"]["initContainers"];
    assert_eq!(inits[6]["args"], json!(["--model-ref=otherProjectName:version"]));
    assert_eq!(inits[7]["resources"], json!({"requests": {"memory": "256Mi", "cpu": "500m"}}));
    let file = inits[12]["args"][0].as_str().expect("an argument");
    assert!(file.contains("\"filename\":\"script.sh\""), "{file}");
}

#[test]
fn plugins_that_are_null_have_their_defaults() {
    let null = documents("plugins.yaml", None);
    let without = documents("plain.yaml", None);
    assert_eq!(null.resource, without.resource);
    let pod = documents("plugins-collect-artifacts.yaml", None);
    let main = &pod.pod()["spec"]["containers"][0];
    let line = "cp /some/know/path/file /plx-context/artifacts/u1/file";
    assert_eq!(main["command"], json!(["sh", "-c", line]));
    let sidecar = &pod.pod()["spec"]["containers"][1];
    assert_eq!(sidecar["args"][2], "--sync-interval=60");
    assert_eq!(env(&pod, "POLYAXON_LOG_LEVEL"), "warning");
}

#[test]
fn a_run_that_names_its_volumes_gets_those() {
    let pod = documents("persistence.yaml", Some("persistence.config.yaml"));
    assert_eq!(env(&pod, "POLYAXON_RUN_DATA_PATHS"), r#"{"data1": "/data/1", "data-foo": "/data/foo"}"#);
    assert_eq!(env(&pod, "POLYAXON_RUN_OUTPUTS_PATH"), "/outputs/foo/me/p/jobs/u1");
    let volumes = pod.pod()["spec"]["volumes"].as_array().expect("volumes");
    let named: Vec<&Value> = volumes.iter().map(|volume| &volume["name"]).collect();
    assert_eq!(named, ["local", "artifacts-context", "data1", "data-foo", "outputs-foo", "shm"]);
    assert_eq!(volumes[4]["persistentVolumeClaim"], json!({"claimName": "outputs-foo-pvc"}));
    let mounts = pod.pod()["spec"]["containers"][0]["volumeMounts"].as_array().expect("mounts");
    assert!(
        mounts.contains(&json!({"name": "data1", "mountPath": "/data/1", "readOnly": true})),
        "{mounts:?}"
    );
    assert!(mounts.contains(&json!({"name": "outputs-foo", "mountPath": "/outputs/foo"})), "{mounts:?}");
    let by_ref = documents("data.yaml", Some("data.config.yaml"));
    assert_eq!(env(&by_ref, "POLYAXON_RUN_DATA_PATHS"), r#"{"data1": "/data/1", "data-foo": "/data/foo"}"#);
}

#[test]
fn a_run_that_names_none_gets_all_data_and_the_first_outputs() {
    let pod = documents("plain.yaml", Some("data.config.yaml"));
    assert_eq!(
        env(&pod, "POLYAXON_RUN_DATA_PATHS"),
        r#"{"data1": "/data/1", "data2": "/data/2", "data-foo": "/data/foo", "data-gcs3": "gs://data-bucket", "data-s3": "s3://data-bucket", "data-az": "wasbs://data-container@account.blob.core.windows.net"}"#
    );
    // One secret serves three stores: its key is one variable.
    let vars = pod.pod()["spec"]["containers"][0]["env"].as_array().expect("variables");
    let keys: Vec<&Value> = vars.iter().filter(|var| var["name"] == "secret-key").collect();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0]["valueFrom"]["secretKeyRef"], json!({"name": "secret-name", "key": "secret-key"}));
    assert_eq!(
        env(&pod, "POLYSTORES_RUN_STORES_ACCESS_KEYS"),
        r#"{"gs://data-bucket": {"store": "gcs", "secret_key": "secret-key"}, "s3://data-bucket": {"store": "s3", "secret_key": "secret-key"}, "wasbs://data-container@account.blob.core.windows.net": {"store": "azure", "secret_key": "secret-key"}}"#
    );
    // Outputs were not configured: a folder of the node.
    assert_eq!(env(&pod, "POLYAXON_RUN_OUTPUTS_PATH"), "/outputs/me/p/jobs/u1");
    let host = documents("plain.yaml", Some("outputs-host.config.yaml"));
    assert_eq!(env(&host, "POLYAXON_RUN_OUTPUTS_PATH"), "/outputs/1/me/p/jobs/u1");
    assert_eq!(env(&host, "POLYAXON_RUN_DATA_PATHS"), r#"{"data": "/data"}"#);
    let claim = documents("plain.yaml", Some("outputs-claim.config.yaml"));
    assert_eq!(env(&claim, "POLYAXON_RUN_OUTPUTS_PATH"), "/polyaxon-outputs/me/p/jobs/u1");
    documents("plain.yaml", Some("data-folders.config.yaml"));
}

#[test]
fn without_any_configuration_the_store_is_a_folder_of_the_node() {
    let pod = documents("plain.yaml", None);
    assert_eq!(pod.pod()["spec"]["volumes"][0]["hostPath"]["path"], "/tmp/plx/store");
    assert_eq!(env(&pod, "POLYAXON_NO_API"), "true");
    assert_eq!(env(&pod, "POLYAXON_RUN_OUTPUTS_PATH"), "/plx-context/artifacts/u1/outputs");
    assert_eq!(env(&pod, "POLYAXON_RUN_DATA_PATHS"), &Value::Null);
    let notes: Vec<bool> = ["artifactsStore", "service account"]
        .iter()
        .map(|what| pod.notes.iter().any(|note| note.contains(what)))
        .collect();
    assert_eq!(notes, [true, true], "{:?}", pod.notes);
}

#[test]
fn volumes_that_cannot_be_given_are_named_with_their_place() {
    let config = fixture("persistence.config.yaml");
    refused(
        &fixture("plain.yaml"),
        &config,
        &[],
        "f.yaml:4:1: outputs volume `outputs1` is read-only",
        "outputs2, outputs-foo, outputs-gcs3, outputs-s3",
    );
    let wants = |what: &str| component(&format!("  environment:\n    {what}\n{MAIN}"));
    refused(
        &wants("persistence: {data: [nope], outputs: outputs2}"),
        &config,
        &[],
        "f.yaml:6:5: persistence.data has no `nope`",
        "data1",
    );
    refused(
        &wants("persistence: {outputs: outputs1}"),
        &config,
        &[],
        "f.yaml:6:5: outputs volume `outputs1` is read-only",
        "outputs-foo",
    );
    refused(
        &wants("persistence: {dat: []}"),
        &config,
        &[],
        "f.yaml:6:19: unknown field `dat` of persistence",
        "did you mean `data`",
    );
    let volume = |fields: &str| format!("persistence:\n  data:\n    d: {{{fields}}}\n");
    for (fields, why) in [
        ("mountPath: /d", "has neither a `hostPath` nor an `existingClaim`"),
        ("mountPath: d, hostPath: /d", "has a `mountPath` that is not absolute, or the root, or holds `..`"),
        ("bucket: 's3://b'", "has a `bucket` and no `store`"),
        ("bucket: 'gs://b', store: s3", "is of store s3: its bucket begins with s3://"),
        ("bucket: 's3://b', store: s3, secret: x", "needs `secret` and `secretKey` together"),
        ("hostPath: /d", "has neither a `mountPath` nor a `bucket`"),
    ] {
        let want = format!("c.yaml:3:5: volume `d` {why}");
        refused(&component(MAIN), &volume(fields), &[], &want, "give mountPath");
    }
    let two = "persistence:\n  data:\n    a: {store: s3, bucket: 's3://a', secret: one, secretKey: k}\n    b: {store: s3, \
               bucket: 's3://b', secret: two, secretKey: k}\n";
    refused(
        &component(MAIN),
        two,
        &[],
        "f.yaml:3:1: volumes `a` and `b` have keys of one name, `k`, in two secrets: a variable has one value",
        "different names",
    );
}

#[test]
fn what_is_misspelt_or_contradicts_itself_is_refused_with_its_place() {
    let check = |run: &str, want: &str, next: &str| refused(&component(run), "{}", &[], want, next);
    check(
        "  init:\n  - git: {url: 'https://h/r'}\n    file: {content: a}\n  container: {image: a}\n",
        "f.yaml:6:5: init entry 1: init entry has two handlers, `git` and `file`",
        "one init entry per handler",
    );
    check(
        "  container:\n    image: a\n    volumMounts: []\n",
        "f.yaml:7:5: unknown field `volumMounts` of a container",
        "did you mean `volumeMounts`",
    );
    check(
        "  container:\n    image: a\n    env:\n    - name: A\n      valuFrom: {}\n",
        "f.yaml:9:7: unknown field `valuFrom` of a variable",
        "did you mean `valueFrom`",
    );
    check(
        "  environment: {node_selector: {a: b}}\n  container: {image: a}\n",
        "f.yaml:5:17: unknown field `node_selector` of environment",
        "did you mean `nodeSelector`",
    );
    check("  container: {command: [a]}\n", "f.yaml:5:3: the container has no image", "give it an image");
    check(
        "  container: {image: a, volumeMounts: [{name: v, mountPath: /v}]}\n",
        "container `polyaxon-main` mounts `v`, and the pod has no such volume",
        "run.volumes",
    );
    check(
        "  connections: [nope]\n  container: {image: a}\n",
        "f.yaml:5:17: unknown connection `nope`",
        "local",
    );
    check(
        "  init: [{git: {revison: a, url: 'https://h/r'}}]\n  container: {image: a}\n",
        "f.yaml:5:17: unknown field `revison` of git",
        "did you mean `revision`",
    );
    check(
        "  container: {image: a, command: ['{{ globals.uid }}']}\n",
        "f.yaml:5:35: nothing is called `globals.uid`",
        "globals.uuid",
    );
    let plugins = format!("plugins: {{collectLog: true}}\n{}", component(MAIN));
    let failure = rendered(&plugins, "{}", &[]).map(|_| ()).expect_err("a misspelt plugin");
    assert!(failure.message.starts_with("f.yaml:1:11: unknown field `collectLog`"), "{}", failure.message);
    assert!(failure.next.is_some_and(|next| next.contains("did you mean `collectLogs`")));
    let failure =
        rendered(&component(MAIN), "artifactStore: {}\n", &[]).map(|_| ()).expect_err("a misspelt key");
    assert!(failure.message.starts_with("c.yaml:1:1: unknown field `artifactStore`"), "{}", failure.message);
    assert!(failure.next.is_some_and(|next| next.contains("did you mean `artifactsStore`")));
}

#[test]
fn a_job_ends_and_is_not_repeated_unasked() {
    let rendered = |text: &str, words: &[&str]| rendered(text, "{}", words);
    let job = rendered(&component(MAIN), &["--as", "job"]).expect("a job");
    valid::pod(&job);
    assert_eq!((&job.resource["apiVersion"], &job.resource["kind"]), (&json!("batch/v1"), &json!("Job")));
    assert_eq!(job.resource["spec"]["backoffLimit"], 0);
    let template = &job.resource["spec"]["template"];
    assert_eq!(template["spec"]["restartPolicy"], "Never");
    assert_eq!(template["metadata"]["labels"]["app.kubernetes.io/instance"], "u1");
    let set = format!("termination: {{maxRetries: 3, timeout: 60, ttl: 5}}\n{}", component(MAIN));
    let job = rendered(&set, &["--as", "job"]).expect("a job");
    let spec = &job.resource["spec"];
    assert_eq!(
        (&spec["backoffLimit"], &spec["activeDeadlineSeconds"], &spec["ttlSecondsAfterFinished"]),
        (&json!(3), &json!(60), &json!(5))
    );
    let pod = rendered(&set, &[]).expect("a pod");
    assert_eq!(pod.pod()["spec"]["activeDeadlineSeconds"], 60);
    for key in ["maxRetries", "ttl"] {
        assert!(pod.notes.iter().any(|note| note.contains(key)), "{:?}", pod.notes);
    }
    let always = component("  environment: {restartPolicy: Always}\n  container: {image: a}\n");
    let place = "f.yaml:5:17: a Job's pod cannot be restarted always";
    refused(&always, "{}", &["--as", "job"], place, "Never or OnFailure");
    let service = component(MAIN).replace("job", "service");
    refused(
        &service,
        "{}",
        &["--as", "job"],
        "f.yaml:4:3: a service has no end, and a Job waits for one",
        "--as pod",
    );
}

#[test]
fn a_native_sidecar_is_the_first_init_container() {
    let pod = rendered(&component(MAIN), "{}", &["--native-sidecar"]).expect("a pod");
    valid::pod(&pod);
    let spec = &pod.pod()["spec"];
    assert_eq!(names(pod.pod(), "initContainers")[0], "polyaxon-sidecar");
    assert_eq!(names(pod.pod(), "containers"), ["polyaxon-main"]);
    let sidecar = &spec["initContainers"][0];
    assert_eq!(sidecar["restartPolicy"], "Always");
    let vars = sidecar["env"].as_array().expect("variables");
    assert!(vars.contains(&json!({"name": "PLX_GRACE_SECONDS", "value": "300"})), "{vars:?}");
    assert_eq!(spec["terminationGracePeriodSeconds"], 300);
    assert!(pod.notes.iter().all(|note| !note.contains("service account")), "{:?}", pod.notes);
}

#[test]
fn rendering_twice_gives_the_same() {
    let again =
        || rendered(&fixture("init.yaml"), &fixture("init.config.yaml"), &[]).expect("a pod").resource;
    assert_eq!(again(), again());
}

#[test]
fn secrets_of_the_caller_are_not_in_the_pod() {
    let caller = vars(&[
        ("AWS_SECRET_ACCESS_KEY", "caller-secret"),
        ("POLYAXON_AUTH_TOKEN", "caller-secret"),
        ("HTTPS_PROXY", "http://user:caller-secret@proxy"),
    ]);
    let config = fixture("init.config.yaml");
    let pod =
        rendered_with(&fixture("init.yaml"), &config, &["--host", "http://api"], &caller).expect("a pod");
    assert!(!pod.yaml().expect("YAML").contains("caller-secret"));
    let proxies = format!("{config}useProxyEnvVarsUseInOps: true\n");
    let failure =
        rendered_with(&fixture("init.yaml"), &proxies, &[], &caller).map(|_| ()).expect_err("a login");
    assert!(failure.message.contains("HTTPS_PROXY holds a login"), "{}", failure.message);
    assert!(!failure.message.contains("caller-secret"));
}

#[test]
fn the_examples_of_this_project_render() {
    let example = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
        std::fs::read_to_string(path).expect(name)
    };
    for operation in ["train.yaml", "s3.yaml"] {
        for config in ["deployment.yaml", "connections.yaml"] {
            if (operation, config) == ("s3.yaml", "deployment.yaml") {
                continue; // its dataset is another one
            }
            for words in [&["--as", "pod"][..], &["--as", "job", "--native-sidecar"]] {
                valid::pod(&rendered(&example(operation), &example(config), words).expect("a pod"));
            }
        }
    }
}

#[test]
fn a_run_that_would_be_no_name_is_a_wrong_command_line() {
    for uuid in ["Upper", "a_b", "x".repeat(50).as_str()] {
        let args = RenderArgs::from_words(&["f.yaml", "--run-uuid", uuid]).expect("a command line");
        assert_eq!(Asked::settle(&args).expect_err(uuid).class, Class::Usage);
    }
}

#[test]
fn flags_and_words_are_understood_as_people_write_them() {
    let run = component(
        "  container: {image: a, command: [a, 1, true, no], env: [{name: A, value: yes}, {name: B, value: 2}]}\n",
    );
    let text = format!("plugins: {{shm: no, docker: 'on'}}\n{run}");
    let pod = rendered(&text, "{}", &[]).expect("a pod");
    valid::pod(&pod);
    let main = &pod.pod()["spec"]["containers"][0];
    assert_eq!(main["command"], json!(["a", "1", "true", "no"]));
    assert_eq!((env(&pod, "A"), env(&pod, "B")), (&json!("yes"), &json!("2")));
    let mounts = main["volumeMounts"].as_array().expect("mounts");
    assert!(
        mounts.iter().all(|mount| mount["name"] != "shm")
            && mounts.iter().any(|mount| mount["name"] == "docker")
    );
}

#[test]
fn volumes_of_one_name_are_told_apart_and_strange_names_become_labels() {
    let config = "artifactsStore: {name: Store_1, kind: volume_claim, schema: {volumeClaim: c, mountPath: /s}}\nconnections:\n\
                  - {name: shm, kind: host_path, schema: {hostPath: /h, mountPath: /m}}\n\
                  - {name: k.eys, kind: custom, secret: {name: my.keys, mountPath: /k}, configMap: {name: my.keys, mountPath: /l}}\n";
    let run = component(
        "  connections: [shm, k.eys, Store_1]\n  init: [{connection: Store_1}]\n  container: {image: a}\n",
    );
    let pod = rendered(&run, config, &[]).expect("a pod");
    valid::pod(&pod);
    let main = &pod.pod()["spec"]["containers"][0];
    let paths: Vec<&Value> =
        main["volumeMounts"].as_array().expect("mounts").iter().map(|mount| &mount["mountPath"]).collect();
    assert_eq!(paths, ["/dev/shm", "/plx-context/artifacts", "/m", "/s", "/k", "/l"]);
}
