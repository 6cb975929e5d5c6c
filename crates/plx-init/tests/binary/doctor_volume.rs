//! Mounted folders that are not there, may not be written to, or are full.

use crate::lab::{Lab, below, files_only, texts};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const OBJECTS: [(&str, &str); 1] = [("a/x", "1")];

/// A mount that ends with the test. None where this user may not mount.
struct Mount(PathBuf);

impl Mount {
    fn new(at: &Path, steps: &[&[&str]]) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mut mounted = None;
        for step in steps {
            let done =
                Command::new("mount").args(*step).arg(at).output().is_ok_and(|out| out.status.success());
            if !done {
                eprintln!("skipped: this user may not mount");
                return None;
            }
            mounted = mounted.or_else(|| Some(Self(at.to_owned())));
        }
        mounted
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).output().unwrap();
    }
}

#[tokio::test]
async fn a_volume_that_is_not_mounted_is_78() {
    let lab = Lab::folder(&OBJECTS);
    fs::rename(lab.path("store"), lab.path("elsewhere")).unwrap();
    let place = lab.path("store").display().to_string();
    lab.doctor(&[]).await.fails("mount", "", 78, &["mount the volume at", &place]).at_once();
    fs::write(lab.path("store"), "a file").unwrap();
    lab.doctor(&[]).await.fails("mount", "", 78, &["mount the volume at", &place]).at_once();
}

#[tokio::test]
async fn a_connection_that_is_read_only_is_only_looked_at() {
    let mut lab = Lab::folder(&OBJECTS);
    let place = lab.path("store").display().to_string();
    for kind in [json!({"volumeClaim": "c"}), json!({"hostPath": "/x"})] {
        let mut schema = kind;
        schema["mountPath"] = json!(place);
        schema["readOnly"] = json!(true);
        lab.catalog(&json!({"name": "data", "kind": "volume_claim", "schema": schema}));
        let doctor = lab.doctor(&[]).await;
        assert_eq!(doctor.json.code, 0, "{}", doctor.table.stdout);
        doctor.skips(&["put", "get", "delete"]).says("put", &["the connection is read-only"]);
    }
    assert_eq!(files_only(below(&lab.path("store"))), texts(&OBJECTS));
}

#[tokio::test]
async fn a_volume_that_is_mounted_read_only_cannot_be_put_to() {
    let lab = Lab::folder(&OBJECTS);
    let place = lab.path("store");
    let bind = ["--bind", place.to_str().unwrap()];
    let Some(_mount) = Mount::new(&place, &[&bind[..], &["-o", "remount,ro,bind"]]) else { return };
    let doctor = lab.doctor(&[]).await;
    doctor
        .fails("put", "", 73, &["writable"])
        .says("put", &[place.to_str().unwrap(), "Read-only file system"]);
    assert_eq!(lab.doctor(&["--read-only"]).await.json.code, 0);
}

#[tokio::test]
async fn a_volume_that_is_full_cannot_be_put_to_and_nothing_is_left() {
    let lab = Lab::folder(&[]);
    let place = lab.path("store");
    let Some(_mount) = Mount::new(&place, &[&["-t", "tmpfs", "-o", "size=64k", "tmpfs"]]) else { return };
    fs::write(place.join("big"), vec![0; 1 << 20]).unwrap_err();
    let doctor = lab.doctor(&[]).await;
    doctor.fails("put", "", 73, &["more space"]).says("put", &["No space left"]).says("mount", &["0 B free"]);
    let names: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["big"]);
}
