//! Pods of Polyaxon's converter beside ours: `tests/fixtures/pods`, and the table of differences in `docs/render.md`.

mod differences;
mod documents;
mod normal;
mod valid;
mod wrapping;

use crate::Vars;
use differences::Table;
use plx_pod::cli::RenderArgs;
use plx_pod::render::{self, Asked, Rendered};
use plx_pod::{deployment, document};
use plx_runtime::Failure;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pods")
}

/// A recorded case.
struct Case {
    name: String,
    operation: String,
    agent: Value,
    options: Value,
    /// None where the converter made none.
    pod: Option<Value>,
}

fn cases() -> Vec<Case> {
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(folder()).expect("fixtures").map(|entry| entry.expect("an entry").path()).collect();
    names.sort();
    names.into_iter().filter(|path| path.is_dir()).map(|path| case(&path)).collect()
}

fn case(path: &Path) -> Case {
    let text = |name: &str| std::fs::read_to_string(path.join(name));
    let json = |name: &str| serde_json::from_str(&text(name).expect(name)).expect("JSON");
    Case {
        name: path.file_name().expect("a name").to_string_lossy().into_owned(),
        operation: text("operation.yaml").expect("an operation"),
        agent: json("agent.json"),
        options: json("options.json"),
        pod: text("pod.json").ok().map(|text| serde_json::from_str(&text).expect("JSON")),
    }
}

impl Case {
    fn render(&self, words: &[&str]) -> Result<Rendered, Failure> {
        let options = |key: &str| self.options[key].as_str().unwrap_or_default().to_owned();
        let project = format!("{}/{}", options("owner"), options("project"));
        let (uuid, name, host) = (options("run_uuid"), options("run_name"), options("api_host"));
        let mut all =
            vec!["f.yaml", "--run-uuid", &uuid, "--project", &project, "--name", &name, "--host", &host];
        all.extend(words);
        let asked = Asked::settle(&RenderArgs::from_words(&all).expect("a command line"))?;
        let mut config = self.agent.clone();
        config["auth"] = self.options["default_auth"].clone();
        config["internal_auth"] = self.options["internal_auth"].clone();
        if self.options["client"]["no_api"] == true {
            config["no_api"] = json!(true);
        }
        for (helper, image) in [("init", "polyaxon/polyaxon-init"), ("sidecar", "polyaxon/polyaxon-sidecar")]
        {
            if config.get(helper).is_none() {
                config[helper] = json!({"image": image, "imageTag": "2.18.0"});
            }
        }
        let deployment = deployment::parse("agent.json", &config.to_string())?;
        let env: Vars = self.options["process_env"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        render::render(&document::parse("f.yaml", &self.operation)?, &deployment, &asked, &env)
    }
}

#[test]
fn pods_are_those_of_the_converter_but_for_the_table_of_differences() {
    let mut table = Table::of_the_docs();
    let mut wrong = Vec::new();
    for case in cases() {
        let ours = case.render(&[]);
        let want = table.expected(&case.name, case.pod.clone());
        match (ours, want) {
            (Ok(ours), Ok(want)) => {
                valid::pod(&ours);
                let ours = normal::of_ours(&ours.resource);
                if let Some(difference) = normal::difference(&want, &ours) {
                    wrong.push(format!("{}: {difference}", case.name));
                }
            }
            (Err(failure), Err(want)) if failure.message.contains(&want) => {}
            (Err(failure), _) => wrong.push(format!("{}: {}", case.name, failure.message)),
            (Ok(_), Err(want)) => wrong.push(format!("{}: rendered, wanted the error `{want}`", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    table.all_rows_were_used();
}
