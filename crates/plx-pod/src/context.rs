//! What templates see: `globals`, the same names without it, `connections` and `init`.
//!
//! An expression that names nothing is an error: a misspelt path must not become an empty one. Jinja's comments
//! (`{# … #}`) are left as they are, because `${#name}` is everyday shell. As by Jinja, a template loses one line end behind its
//! last line, and a text that is none keeps it.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use plx_contract::Class;
use plx_contract::connection::Connection;
use plx_contract::run::RunInstance;
use plx_runtime::Failure;
use serde_json::{Map, Value, json};

/// The values of a run's templates.
#[derive(Debug, Clone, Default)]
pub struct Context {
    values: Map<String, Value>,
}

/// Where a run's folders are, for [`Context::new`].
#[derive(Debug, Clone)]
pub struct Paths {
    /// The context root.
    pub context: String,
    /// `ART`.
    pub artifacts: String,
    /// The run's folder: below `ART`, or in the store when nothing is collected.
    pub run: String,
    /// The store, when main may see it.
    pub store: Option<String>,
}

impl Context {
    /// The context of a run. `connections` are those of main, `init` those of the init entries.
    pub fn new<'a>(
        run: &RunInstance,
        namespace: &str,
        name: Option<&str>,
        paths: &Paths,
        connections: impl IntoIterator<Item = &'a Connection>,
        init: impl IntoIterator<Item = &'a Connection>,
    ) -> Self {
        let mut globals = Map::new();
        let mut add = |key: &str, value: &str| globals.insert(key.to_owned(), json!(value));
        add("owner_name", &run.owner);
        add("project_name", &run.project);
        add("project_unique_name", &format!("{}.{}", run.owner, run.project));
        add("run_info", &run.to_string());
        add("uuid", run.uuid.as_str());
        add("name", name.unwrap_or(run.uuid.as_str()));
        add("namespace", namespace);
        add("context_path", &paths.context);
        add("artifacts_path", &paths.artifacts);
        add("run_artifacts_path", &paths.run);
        add("run_outputs_path", &format!("{}/outputs", paths.run));
        add("run_relative_outputs_path", &format!("{}/outputs", run.uuid));
        if let Some(store) = &paths.store {
            add("store_path", store);
        }
        let mut values = globals.clone();
        values.insert("globals".to_owned(), Value::Object(globals));
        values.insert("connections".to_owned(), schemas(connections));
        values.insert("init".to_owned(), schemas(init));
        Self { values }
    }

    /// Adds a global, under its name alone too.
    pub fn with_global(mut self, name: &str, value: Value) -> Self {
        if let Some(Value::Object(globals)) = self.values.get_mut("globals") {
            globals.insert(name.to_owned(), value.clone());
        }
        self.values.insert(name.to_owned(), value);
        self
    }

    /// Adds the run's parameters: `NAME` where nothing else is called so, and `params.NAME` with its `value`, `as_str`
    /// and `as_arg`.
    pub fn with_params(mut self, params: &Map<String, Value>) -> Self {
        let mut all = Map::new();
        for (name, value) in params {
            self.values.entry(name.clone()).or_insert_with(|| value.clone());
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let forms = json!({"value": value, "as_str": text, "as_arg": format!("--{name}={text}")});
            all.insert(name.clone(), forms);
        }
        self.values.insert("params".to_owned(), Value::Object(all));
        self
    }

    /// Renders one text. `what` names it in errors.
    ///
    /// # Errors
    /// When it is no template or names something that does not exist.
    pub fn render(&self, what: &str, text: &str) -> Result<String, Failure> {
        if !text.contains("{{") && !text.contains("{%") {
            return Ok(text.to_owned());
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder()
            .comment_delimiters("{#plx-pod-comment#", "#plx-pod-comment#}") // see above: no comments
            .build();
        environment.set_syntax(syntax.expect("three delimiters that differ"));
        environment.render_str(text, Serde(&self.values)).map_err(|error| {
            let expression = error.range().map_or(text, |range| around(text, range));
            match error.kind() {
                minijinja::ErrorKind::UndefinedError => {
                    Failure::new(Class::Config, format!("{what}: nothing is called `{expression}`"))
                        .with_next(format!("use one of {}", self.known()))
                }
                kind => {
                    let detail = error.detail().map_or_else(String::new, |detail| format!(": {detail}"));
                    Failure::new(Class::Config, format!("{what}: {kind} in `{expression}`{detail}"))
                        .with_next("correct the template")
                }
            }
        })
    }

    fn known(&self) -> String {
        let of = |section: &str| {
            self.values
                .get(section)
                .and_then(Value::as_object)
                .map(|map| map.keys().cloned().collect::<Vec<_>>())
                .unwrap_or_default()
        };
        let mut known: Vec<String> = of("globals").iter().map(|key| format!("globals.{key}")).collect();
        for section in ["connections", "init", "params"] {
            known.extend(of(section).iter().map(|name| format!("{section}[\"{name}\"]")));
        }
        known.join(", ")
    }
}

fn schemas<'a>(connections: impl IntoIterator<Item = &'a Connection>) -> Value {
    let schema = |one: &Connection| (one.name.clone(), one.schema.clone().unwrap_or_else(|| json!({})));
    Value::Object(connections.into_iter().map(schema).collect())
}

/// The expression a place belongs to, without its braces.
fn around(source: &str, range: std::ops::Range<usize>) -> &str {
    let start = source[..range.start].rfind("{{").map_or(range.start, |at| at + 2);
    let end = source[range.start..].find("}}").map_or(range.end, |at| range.start + at);
    source.get(start..end).unwrap_or_default().trim()
}
