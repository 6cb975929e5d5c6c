//! The client against an API on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod calls;
mod failures;
mod tracking;
mod trust;

use plx_contract::credential::Files;
use plx_contract::run::RunInstance;
use plx_testkit::FakeTracking;
use plx_track::{Api, Client, Settings};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

pub const R: &str = "8aac02e3a62a4f0aaa257c59da5eab80";

pub fn run() -> RunInstance {
    RunInstance::parse(&format!("owner.project.runs.{R}")).unwrap()
}

#[derive(Clone, Copy)]
pub struct Disk;
impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }
}

pub fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub fn client_of(pairs: &[(&str, &str)]) -> Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    match Settings::read(&env(pairs), &Disk).unwrap() {
        Api::On(settings) => Client::new(settings).unwrap(),
        Api::Off(by) => panic!("off by {by}"),
    }
}

pub fn client(api: &FakeTracking) -> Client {
    client_of(&[
        ("POLYAXON_HOST", &api.url()),
        ("POLYAXON_AUTH_TOKEN", "hunter2"),
        ("POLYAXON_HEADER", "X-POLYAXON-SERVICE"),
        ("POLYAXON_HEADER_SERVICE", "initializer"),
    ])
}
