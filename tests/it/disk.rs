//! What the disk says no to, and what must never be written or read through a link.

use crate::bench::{Bench, Kind, names, rel, volume, want};
use object_store::ObjectStore;
use plx_contract::layout::TEMP_PREFIX;
use plx_contract::{Class, Classified};
use plx_testkit::{Content, FaultStore, Op, Snapshot, Tree};
use plx_transfer::WantKind::{File, Folder, Lookup};
use plx_transfer::{
    Ended, Engine, Expected, Remote, Settings, TransferError, Upload, download, plan, upload,
};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A file system of its own, so small that it fills up; gone on drop.
struct Mounted {
    folder: TempDir,
}

impl Mounted {
    /// None where nobody may mount, and then only there.
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "plx-it"])
            .arg(folder.path())
            .output()
            .unwrap();
        if mount.status.success() {
            return Some(Self { folder });
        }
        let why = String::from_utf8_lossy(&mount.stderr).into_owned();
        assert!(
            why.contains("permission denied") || why.contains("superuser") || why.contains("not permitted"),
            "mount failed, and not for want of privilege: {why}"
        );
        eprintln!("NOT TESTED: a full or read-only disk, because this user may not mount: {why}");
        None
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("to")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(self.folder.path()).status();
        assert!(done.is_ok_and(|status| status.success()) || std::thread::panicking(), "umount");
    }
}

fn stock() -> (FaultStore, Remote) {
    let store = FaultStore::new();
    let shared = Arc::new(store.clone());
    (store, Remote::bucket(Arc::clone(&shared) as Arc<dyn ObjectStore>, shared, rel(""), "s3://stock"))
}

async fn fetch(remote: &Remote, to: &Path) -> plx_transfer::Outcome {
    let (engine, stop) = (Engine::new(Settings::default()), CancellationToken::new());
    let plan = plan(&engine, remote, vec![want("", "", Folder)], &stop).await;
    assert!(plan.missing.is_empty(), "{:?}", plan.missing);
    download(&engine, remote, plan, to, &stop).await
}

fn no_temp(folder: &Path) {
    let found = Snapshot::of(folder).unwrap();
    assert!(!found.files.keys().any(|name| name.contains(TEMP_PREFIX)), "{found:?}");
}

#[tokio::test]
async fn inputs_that_cannot_fit_are_refused_before_anything_is_fetched() {
    let Some(disk) = Mounted::new("size=4m") else { return };
    let (store, remote) = stock();
    store.insert("a", vec![1; 10]).await;
    store.insert("b", vec![1; 5 << 20]).await;
    let outcome = fetch(&remote, &disk.path()).await;
    let [error @ TransferError::NoSpace { need, free, .. }] = &outcome.failed[..] else {
        panic!("{outcome:?}")
    };
    assert!(*need == (5 << 20) + 10 && *free <= 4 << 20, "{error}");
    assert_eq!(error.class(), Class::CannotWrite);
    assert!(error.next_step().unwrap().contains("more space"));
    assert_eq!(store.count(Op::Get), 0);
    assert_eq!(names(&Snapshot::of(&disk.path()).unwrap()), [""; 0]);
}

#[tokio::test]
async fn inputs_that_are_there_already_need_no_room_again() {
    let Some(disk) = Mounted::new("size=4m") else { return };
    let (store, remote) = stock();
    for key in ["a", "b", "c"] {
        store.insert(key, vec![1; 1 << 20]).await;
    }
    assert_eq!(fetch(&remote, &disk.path()).await.objects, 3);
    let again = Engine::new(Settings { workers: 1, ..Settings::default() });
    let stop = CancellationToken::new();
    let planned = plan(&again, &remote, vec![want("", "", Folder)], &stop).await;
    let outcome = download(&again, &remote, planned, &disk.path(), &stop).await;
    assert_eq!((outcome.objects, outcome.failed.len()), (3, 0), "{outcome:?}");
}

#[tokio::test]
async fn a_disk_that_fills_up_in_the_middle_ends_it_and_leaves_only_whole_files() {
    let Some(disk) = Mounted::new("size=4m") else { return };
    let (store, remote) = stock();
    // Few bytes, but a block each; and one that goes to disk in pieces.
    for index in 0..3000 {
        store.insert(&format!("{index:04}"), vec![1; 10]).await;
    }
    store.insert("0100-large", vec![1; 1 << 20]).await;
    let outcome = fetch(&remote, &disk.path()).await;
    let first = &outcome.failed[0];
    assert_eq!(first.class(), Class::CannotWrite, "{first:?}");
    assert!(first.next_step().unwrap().contains("more space"), "{first:?}");
    // At most what was under way at that moment.
    let said = outcome.failed.len();
    assert!(said <= Settings::WORKERS + 1, "{said} errors that all say the same");
    assert!(store.count(Op::Get) < 2000, "{} objects were asked for", store.count(Op::Get));
    let there = Snapshot::of(&disk.path()).unwrap();
    assert_eq!(there.files.len() as u64, outcome.objects);
    for (name, content) in &there.files {
        assert_eq!(content.size, if name == "0100-large" { 1 << 20 } else { 10 }, "{name}");
    }
    no_temp(&disk.path());
}

#[tokio::test]
async fn a_copy_onto_a_disk_that_fills_up_leaves_only_whole_files() {
    let Some(disk) = Mounted::new("size=4m") else { return };
    let folder = tempfile::tempdir().unwrap();
    let tree = Tree::new(1).small(3000, 10).write_to(folder.path()).unwrap();
    let outcome = fetch(&volume(folder.path()), &disk.path()).await;
    assert_eq!(outcome.failed[0].class(), Class::CannotWrite, "{:?}", outcome.failed[0]);
    let there = Snapshot::of(&disk.path()).unwrap();
    assert_eq!(there.files.len() as u64, outcome.objects);
    assert!(there.files.iter().all(|(name, content)| tree.files[name] == *content));
    no_temp(&disk.path());

    // And the other way: outputs to a volume that is full.
    let remote = volume(&disk.path());
    let engine = Engine::new(Settings::default());
    let job = |(name, content): (&String, &Content)| Upload {
        key: rel(&format!("up/{name}")),
        path: folder.path().join(name),
        expected: Expected::Anything,
        size: content.size,
    };
    let mut failed = 0;
    upload(&engine, &remote, tree.files.iter().map(job).collect(), &CancellationToken::new(), |_, how| {
        if let Ended::Failed(error) = how {
            assert_eq!(error.class(), Class::CannotWrite, "{error:?}");
            failed += 1;
        }
    })
    .await;
    assert!(failed > 0);
    no_temp(&disk.path());
}

#[tokio::test]
async fn a_read_only_target_is_named() {
    let Some(disk) = Mounted::new("size=4m,ro") else { return };
    let (store, remote) = stock();
    store.insert("a", "x").await;
    for to in [disk.path(), disk.folder.path().to_owned()] {
        let outcome = fetch(&remote, &to).await;
        assert_eq!(outcome.failed[0].class(), Class::CannotWrite, "{outcome:?}");
        assert_eq!(outcome.failed[0].next_step().unwrap(), "mount the target writable");
    }
}

#[tokio::test]
async fn a_file_where_a_folder_should_be_cannot_be_written() {
    let (store, remote) = stock();
    store.insert("sub/a", "new").await;
    store.insert("other", "new").await;
    store.insert("folder", "new").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sub"), "a file").unwrap();
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    let outcome = fetch(&remote, folder.path()).await;
    assert_eq!((outcome.objects, outcome.failed.len()), (1, 2), "{outcome:?}");
    for error in &outcome.failed {
        assert_eq!(error.class(), Class::CannotWrite, "{error:?}");
        assert!(
            error.next_step().unwrap().contains("want the same name"),
            "{error:?} {:?}",
            error.next_step()
        );
    }
    assert_eq!(std::fs::read(folder.path().join("sub")).unwrap(), b"a file");
    no_temp(folder.path());

    let outcome = fetch(&remote, &folder.path().join("sub")).await;
    let [error] = &outcome.failed[..] else { panic!("{outcome:?}") };
    assert_eq!(error.class(), Class::CannotWrite);
    assert!(error.next_step().unwrap().contains("want the same name"), "{error:?}");
}

#[tokio::test]
async fn nothing_is_written_through_a_link_that_leads_outside() {
    let (outside, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, remote) = stock();
    for key in ["out/x", "up/up/x", "in/x", "fine"] {
        store.insert(key, "x").await;
    }
    symlink(outside.path(), folder.path().join("out")).unwrap();
    symlink("..", folder.path().join("up")).unwrap();
    std::fs::create_dir(folder.path().join("real")).unwrap();
    symlink("real", folder.path().join("in")).unwrap();
    let outcome = fetch(&remote, folder.path()).await;
    assert_eq!((outcome.objects, outcome.failed.len()), (2, 2), "{outcome:?}");
    assert!(outcome.failed.iter().all(|error| error.class() == Class::Integrity), "{outcome:?}");
    assert_eq!(names(&Snapshot::of(outside.path()).unwrap()), [""; 0]);
    assert_eq!(std::fs::read(folder.path().join("real/x")).unwrap(), b"x");

    // An upload into a mounted folder is held to the same.
    std::fs::write(folder.path().join("fine"), "y").unwrap();
    let job =
        Upload { key: rel("out/y"), path: folder.path().join("fine"), size: 1, expected: Expected::Anything };
    let engine = Engine::new(Settings::default());
    upload(&engine, &volume(folder.path()), vec![job], &CancellationToken::new(), |_, how| {
        let Ended::Failed(error) = how else { panic!("{how:?}") };
        assert_eq!(error.class(), Class::Integrity, "{error:?}");
    })
    .await;
    assert_eq!(names(&Snapshot::of(outside.path()).unwrap()), [""; 0]);
}

#[tokio::test]
async fn nothing_is_read_through_a_link_that_leads_out_of_the_mount() {
    let bench = Bench::new(Kind::Folder, "links").await;
    let (mount, outside) = (bench.path("mount"), bench.path("outside"));
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("secret"), "s").unwrap();
    bench.put("model/d/x", "x").await;
    symlink(&outside, mount.join("linked")).unwrap();
    symlink(outside.join("secret"), mount.join("file")).unwrap();
    symlink(&outside, mount.join("model/out")).unwrap();
    for (path, kind) in [
        ("linked", Folder),
        ("linked", Lookup),
        ("linked/secret", File),
        ("file", File),
        ("file", Lookup),
        ("model", Folder),
    ] {
        let plan = bench.plan([want(path, "", kind)]).await;
        let [error] = &plan.missing[..] else { panic!("{path} {kind:?}: {plan:?}") };
        assert_eq!(error.class(), Class::Integrity, "{path}: {error:?}");
    }
    // One step at a time each of these stays inside; together they do not.
    std::fs::remove_file(mount.join("model/out")).unwrap();
    symlink("..", mount.join("model/d/up")).unwrap();
    symlink("up/../../outside", mount.join("model/d/far")).unwrap();
    let plan = bench.plan([want("model", "", Folder)]).await;
    let [error] = &plan.missing[..] else { panic!("{plan:?}") };
    assert_eq!(error.class(), Class::Integrity, "{error:?}");
}

#[tokio::test]
async fn links_inside_a_mounted_folder_stay_links_and_folders_stay_folders() {
    let bench = Bench::new(Kind::Folder, "inside").await;
    bench.put("model/ckpt-5/w", "w").await;
    bench.put("shared/tokens", "t").await;
    bench.put(&format!("model/{TEMP_PREFIX}left-behind"), "half").await;
    std::fs::create_dir(bench.path("mount/model/empty")).unwrap();
    symlink("ckpt-5", bench.path("mount/model/latest")).unwrap();
    symlink("../shared/tokens", bench.path("mount/model/tokens")).unwrap();
    let fetched = bench.fetch([want("model", "m", Folder)], "to").await.under("m");
    assert_eq!(names(&fetched), ["ckpt-5/w", "latest", "tokens"]);
    assert_eq!(fetched.files["latest"], Content::of(b"-> ckpt-5"));
    assert_eq!(fetched.files["tokens"], Content::of(b"t"));
    assert_eq!(fetched.empty_dirs, ["empty".to_owned()].into());
    // Once more over what is there: links are replaced.
    let again = bench.fetch([want("model", "m", Folder)], "to").await.under("m");
    assert_eq!(again, fetched);
}

#[tokio::test]
async fn modes_of_a_mounted_file_are_kept() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new(Kind::Folder, "modes").await;
    bench.put("run.sh", "#!/bin/sh").await;
    let script = bench.path("mount/run.sh");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    bench.fetch([want("run.sh", "run.sh", File)], "to").await;
    assert_eq!(std::fs::metadata(bench.path("to/run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
}
