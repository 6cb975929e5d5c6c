//! A rendered pod as a picture for people: containers in order, what each reads and writes, which connection and which
//! secrets it uses, and the environment of main.

mod html;
mod svg;
mod text;

use super::{About, Rendered};
use crate::cli::{ExplainArgs, Form};
use crate::settings::MAIN;
use crate::term;
use plx_contract::{Class, Env};
use plx_runtime::Failure;
use serde_json::Value;

/// A pod for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// What it is: `Pod NAME`, and where.
    pub title: String,
    /// In the order they start.
    pub containers: Vec<Shown>,
    /// The variables of main, and where each is from.
    pub env: Vec<(String, String)>,
}

/// A container for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// `init`, `main` or `beside main`.
    pub phase: &'static str,
    /// What it does.
    pub about: About,
    /// The secrets and config maps it gets, and how.
    pub secrets: Vec<String>,
}

/// `plx-pod explain`.
///
/// # Errors
/// As [`super::command`], and when the picture cannot be written.
pub fn command(args: &ExplainArgs, env: &impl Env) -> Result<(), Failure> {
    let rendered = super::from_files(&args.render, env)?;
    rendered.notes.iter().for_each(|note| term::note(note));
    let picture = Picture::of(&rendered);
    let shown = match args.form() {
        Form::Text => text::draw(&picture),
        Form::Svg => svg::draw(&picture),
        Form::Html => html::draw(&picture),
    };
    match &args.output {
        None => {
            term::result(shown.trim_end());
            Ok(())
        }
        Some(path) => std::fs::write(path, shown).map_err(|error| {
            Failure::new(Class::CannotWrite, format!("write {}: {error}", path.display()))
                .with_next("give another file with --output")
        }),
    }
}

impl Picture {
    /// A rendered pod for people.
    pub fn of(rendered: &Rendered) -> Self {
        let resource = &rendered.resource;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let place = match resource["metadata"]["namespace"].as_str() {
            Some(namespace) => format!(" in {namespace}"),
            None => String::new(),
        };
        let title = format!("{} {}{place}", text(&resource["kind"]), text(&resource["metadata"]["name"]));
        let spec = &rendered.pod()["spec"];
        let list = |key: &str| spec.get(key).and_then(Value::as_array).into_iter().flatten();
        let volumes: Vec<&Value> = list("volumes").collect();
        let mut picture = Self { title, ..Self::default() };
        for (is_init, container) in
            list("initContainers").map(|one| (true, one)).chain(list("containers").map(|one| (false, one)))
        {
            let name = text(&container["name"]);
            let about =
                rendered.about.iter().find(|(known, _)| *known == name).map(|(_, about)| about.clone());
            let phase = match (is_init, container["restartPolicy"] == "Always") {
                (true, true) => "beside all others",
                (true, false) => "init",
                (false, _) if name == MAIN => "main",
                (false, _) => "beside main",
            };
            if name == MAIN {
                picture.env = variables(container);
            }
            picture.containers.push(Shown {
                image: text(&container["image"]),
                secrets: secrets(container, &volumes),
                about: about.unwrap_or_default(),
                phase,
                name,
            });
        }
        picture
    }
}

fn variables(container: &Value) -> Vec<(String, String)> {
    let vars = container.get("env").and_then(Value::as_array).into_iter().flatten();
    vars.map(|var| {
        let name = var["name"].as_str().unwrap_or_default().to_owned();
        let value = match (var.get("value"), var.get("valueFrom")) {
            (_, Some(from)) => source(from),
            (Some(value), None) => value.as_str().unwrap_or_default().to_owned(),
            (None, None) => String::new(),
        };
        (name, value)
    })
    .collect()
}

/// Where a variable is from.
fn source(from: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(secret) = from.get("secretKeyRef") {
        return format!("key {} of secret {}", text(&secret["key"]), text(&secret["name"]));
    }
    if let Some(map) = from.get("configMapKeyRef") {
        return format!("key {} of config map {}", text(&map["key"]), text(&map["name"]));
    }
    match from.get("fieldRef") {
        Some(field) => format!("the pod's {}", text(&field["fieldPath"])),
        None => from.to_string(),
    }
}

/// The secrets and config maps of a container, and how it gets each.
fn secrets(container: &Value, volumes: &[&Value]) -> Vec<String> {
    let list = |key: &str| container.get(key).and_then(Value::as_array).into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for source in list("envFrom") {
        for (key, what) in [("secretRef", "secret"), ("configMapRef", "config map")] {
            if let Some(source) = source.get(key) {
                found.push(format!("{what} {}: all keys as variables", text(&source["name"])));
            }
        }
    }
    for var in list("env") {
        if let Some(from) = var.get("valueFrom").filter(|from| from.get("fieldRef").is_none()) {
            found.push(format!("{}: as {}", source(from), text(&var["name"])));
        }
    }
    for mount in list("volumeMounts") {
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]);
        let place = text(&mount["mountPath"]);
        if let Some(secret) = volume.and_then(|volume| volume.get("secret")) {
            found.push(format!("secret {}: files below {place}", text(&secret["secretName"])));
        } else if let Some(map) = volume.and_then(|volume| volume.get("configMap")) {
            found.push(format!("config map {}: files below {place}", text(&map["name"])));
        }
    }
    found
}

impl Shown {
    /// Its facts, one line each: what it reads, writes, uses.
    fn lines(&self) -> Vec<(&'static str, String)> {
        let about = &self.about;
        let mut lines = Vec::new();
        for (word, facts) in [
            ("reads", &about.reads),
            ("writes", &about.writes),
            ("connection", &about.connections),
            ("gets", &self.secrets),
        ] {
            lines.extend(facts.iter().map(|fact| (word, fact.clone())));
        }
        lines
    }
}

/// Text for XML: nothing in it is markup, and control characters, which XML does not know, are replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A text of at most so many characters.
fn cut(text: &str, longest: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= longest {
        return line;
    }
    line.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let shown = |name: &str, phase| Shown {
            name: name.to_owned(),
            image: "plx-init:1".to_owned(),
            phase,
            about: About {
                what: "fetches <b>".to_owned(),
                reads: vec!["s3://b/a&c".to_owned()],
                writes: vec!["/x".to_owned()],
                connections: vec!["data".to_owned()],
            },
            secrets: vec!["secret keys: all keys as variables".to_owned()],
        };
        Picture {
            title: "Pod p".to_owned(),
            containers: vec![shown("one", "init"), shown(MAIN, "main"), shown("two", "beside main")],
            env: vec![("A".to_owned(), "1\u{1b}[2J".to_owned())],
        }
    }

    #[test]
    fn the_text_says_who_reads_what_in_which_order() {
        let shown = text::draw(&picture());
        let at = |what: &str| shown.find(what).unwrap_or_else(|| unreachable!("{what} in {shown}"));
        assert!(at("1. one") < at("2. polyaxon-main") && at("2. polyaxon-main") < at("3. two"));
        for fact in
            ["reads       s3://b/a&c", "writes      /x", "connection  data", "gets        secret keys"]
        {
            at(fact);
        }
        assert!(!shown.contains('\u{1b}'), "a value cannot steer the terminal");
    }

    #[test]
    fn nothing_of_the_pod_is_markup_in_a_picture() {
        for drawn in [svg::draw(&picture()), html::draw(&picture())] {
            assert!(drawn.contains("fetches &lt;b&gt;") && drawn.contains("s3://b/a&amp;c"), "{drawn}");
            assert!(!drawn.contains("<b>") && !drawn.contains('\u{1b}'), "{drawn}");
        }
    }

    #[test]
    fn the_drawing_is_as_high_as_what_it_holds() {
        let drawn = svg::draw(&picture());
        let height = |text: &str| -> Option<usize> {
            let rest = text.split_once("height=\"")?.1;
            rest.split_once('"')?.0.parse().ok()
        };
        let whole = height(&drawn).expect("a height");
        let last = drawn.rmatches(" y=\"").count();
        assert!(last > 10 && whole > 200, "{drawn}");
        for text in drawn.split("<text ").skip(1) {
            let y: usize = text
                .split_once("y=\"")
                .and_then(|(_, rest)| rest.split_once('"')?.0.parse().ok())
                .expect("y");
            assert!(y < whole, "{text}");
        }
    }
}
