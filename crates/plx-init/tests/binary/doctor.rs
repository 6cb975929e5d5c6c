//! What the tests of `doctor` have in common: it is asked for JSON and for its table at once, at the loudest level that
//! it is run at, and both must say the same.

use crate::lab::{Ended, Lab};
use serde_json::Value;

/// The requests that a bucket is tried with, in their order.
pub const REQUESTS: [&str; 5] = ["list", "put", "get", "multipart", "delete"];

/// What it said.
pub struct Doctor {
    pub json: Ended,
    pub table: Ended,
    /// The objects of `connections`.
    pub all: Vec<Value>,
}

impl Lab {
    /// `plx-init doctor …`, once with `--json` and once without.
    pub async fn doctor(&self, args: &[&str]) -> Doctor {
        let mut env = self.env.clone();
        env.insert("POLYAXON_LOG_LEVEL".to_owned(), "debug".to_owned());
        env.insert("POLYAXON_DEBUG".to_owned(), "true".to_owned());
        let args = [&["doctor"], args].concat();
        let with_json = [&args[..], &["--json"]].concat();
        let (json, table) = tokio::join!(self.init_with(&with_json, &env), self.init_with(&args, &env));
        let said: Value = serde_json::from_str(&json.stdout).unwrap_or_default();
        let all = said["connections"].as_array().cloned().unwrap_or_default();
        let doctor = Doctor { json, table, all };
        doctor.check();
        doctor
    }

    /// `plx-init artifacts` at the same level fails as the diagnosis says, with those words.
    pub async fn cannot_fetch(&self, code: i32, words: &[&str]) {
        let mut env = self.env.clone();
        env.insert("POLYAXON_LOG_LEVEL".to_owned(), "debug".to_owned());
        env.insert("PLX_RETRY_SECONDS".to_owned(), "0".to_owned());
        let args = ["artifacts", "--connection=data", "--dir=a"];
        self.init_with(&args, &env).await.failed(code, words);
    }
}

impl Doctor {
    /// What holds whatever the diagnosis is.
    fn check(&self) {
        assert_eq!(self.json.code, self.table.code, "{:?}\n{:?}", self.json, self.table);
        let mut want = Vec::new();
        for connection in &self.all {
            let sick = rows(connection).any(|row| row["result"] == "failed");
            assert_eq!(connection["works"], !sick, "{connection}");
            want.push(format!("{} ({})", text(&connection["connection"]), text(&connection["kind"])));
            for row in rows(connection) {
                let failed = row["result"] == "failed";
                assert_eq!(row["class"].is_string(), failed, "{row}");
                assert!(!failed || !text(&row["next"]).is_empty(), "a failure without a next step: {row}");
                assert!(!text(&row["detail"]).is_empty(), "{row}");
                let mark = if failed { "FAILED" } else { text(&row["result"]) };
                want.push(format!("{mark} {}", text(&row["check"])));
                want.extend(row["next"].is_string().then(|| "next:".to_owned()));
            }
        }
        let mut got = Vec::new();
        for line in self.table.stdout.lines() {
            assert_eq!(line, line.trim_end(), "blanks at the end of a line");
            let words: Vec<&str> = line.split_whitespace().take(2).collect();
            got.push(match words.as_slice() {
                [] => continue, // between two connections
                ["next:", ..] => "next:".to_owned(),
                words => words.join(" "),
            });
        }
        assert_eq!(got, want, "{}", self.table.stdout);
    }

    /// The rows of the one connection that was looked at.
    fn rows(&self) -> Vec<&Value> {
        assert_eq!(self.all.len(), 1, "{:?}", self.json);
        rows(&self.all[0]).collect()
    }

    fn named(&self, result: &str) -> Vec<&str> {
        self.rows().iter().filter(|row| row["result"] == result).map(|row| text(&row["check"])).collect()
    }

    /// The row of that name.
    #[track_caller]
    pub fn row(&self, name: &str) -> &Value {
        let found = self.rows().into_iter().find(|row| row["check"] == name);
        found.unwrap_or_else(|| panic!("no row {name}:\n{}", self.table.stdout))
    }

    /// Everything was looked at and all is well; nothing to warn of.
    #[track_caller]
    pub fn healthy(&self) -> &Self {
        assert_eq!((self.json.code, self.table.code), (0, 0), "{:?}", self.json);
        for row in self.rows() {
            assert_eq!(row["result"], "ok", "{}", self.table.stdout);
        }
        assert_eq!(self.json.report["message"], "1 of 1 connections work");
        self
    }

    /// It works, and exactly that row has a warning with those words in it.
    #[track_caller]
    pub fn warns(&self, name: &str, words: &[&str]) -> &Self {
        assert_eq!(self.json.code, 0, "{:?}", self.json);
        assert_eq!(
            (self.named("failed"), self.named("warning")),
            (vec![], vec![name]),
            "{}",
            self.table.stdout
        );
        self.says(name, words)
    }

    /// Exactly that row failed, whatever the cause.
    #[track_caller]
    pub fn blames(&self, name: &str) -> &Self {
        assert_eq!(self.named("failed"), [name], "{}", self.table.stdout);
        self
    }

    /// Exactly that row failed, with that cause (`""` for none) and exit code, and its next step has those words.
    #[track_caller]
    pub fn fails(&self, name: &str, cause: &str, code: i32, next: &[&str]) -> &Self {
        self.blames(name).ends(name, cause, code, next)
    }

    /// That row failed, perhaps with others, and gave its words to the error line, the report and the exit code.
    #[track_caller]
    pub fn ends(&self, name: &str, cause: &str, code: i32, next: &[&str]) -> &Self {
        let (row, table) = (self.row(name), &self.table.stdout);
        assert_eq!(row["cause"].as_str().unwrap_or_default(), cause, "{table}");
        assert_eq!((text(&row["class"]), self.json.code), (class(code), code), "{table}");
        for word in next {
            assert!(text(&row["next"]).contains(word), "no {word:?} in the next step:\n{table}");
        }
        let report = &self.json.report;
        assert_eq!((&report["code"], &report["next"]), (&code.into(), &row["next"]), "{report}");
        let message = format!("1 of 1 connections do not work: data: {name}: {}", text(&row["detail"]));
        assert!(text(&report["message"]).starts_with(&message), "{report} has not {message:?}");
        let last = format!("error: {}\nnext: {}\n", text(&report["message"]), text(&row["next"]));
        assert!(self.json.stderr.ends_with(&last), "{}", self.json.stderr);
        self
    }

    /// What the row saw, or what it says to do, has those words.
    #[track_caller]
    pub fn says(&self, name: &str, words: &[&str]) -> &Self {
        let row = self.row(name);
        for word in words {
            let said = text(&row["detail"]).contains(word) || text(&row["next"]).contains(word);
            assert!(said, "no {word:?} in row {name}:\n{}", self.table.stdout);
        }
        self
    }

    /// Exactly those rows were not looked at.
    #[track_caller]
    pub fn skips(&self, names: &[&str]) -> &Self {
        assert_eq!(self.named("skipped"), names, "{}", self.table.stdout);
        self
    }

    /// The connection could not even be opened: there is that row and no other.
    #[track_caller]
    pub fn at_once(&self) -> &Self {
        assert_eq!(self.rows().len(), 1, "{}", self.table.stdout);
        self
    }

    /// What is wrong stands in the way of every request: none was made after it was met.
    #[track_caller]
    pub fn stops_all(&self) -> &Self {
        for name in REQUESTS {
            assert_eq!(self.row(name)["result"], "skipped", "{}", self.table.stdout);
        }
        self
    }
}

fn rows(connection: &Value) -> impl Iterator<Item = &Value> {
    connection["checks"].as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn class(code: i32) -> &'static str {
    match code {
        65 => "integrity",
        66 => "not-found",
        69 => "unavailable",
        73 => "cannot-write",
        77 => "denied",
        78 => "configuration",
        code => panic!("no class has code {code}"),
    }
}
