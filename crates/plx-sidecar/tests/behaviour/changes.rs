//! What counts as a change, and what is never stored.

use crate::log::Log;
use crate::world::{RUN, World, detail, pass, rename, waiting};
use plx_contract::Class;
use plx_testkit::{Fault, Op, Times};
use serde_json::json;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn r2_a_rewrite_with_the_same_size_and_mtime_is_stored() {
    let world = World::new();
    world.settled(&["outputs/model"]); // as many bytes as below
    let mut passes = world.passes();
    pass(&mut passes).await;
    let path = world.run("outputs/model");
    let before = fs::metadata(&path).unwrap();
    fs::write(&path, "other content").unwrap();
    let times = FileTimes::new().set_modified(before.modified().unwrap());
    File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.len(), after.modified().unwrap()), (before.len(), before.modified().unwrap()));
    pass(&mut passes).await;
    assert_eq!(world.stored("outputs/model").await.as_deref(), Some("other content"));
}

#[tokio::test(start_paused = true)]
async fn a_rewrite_within_one_tick_of_the_clock_is_stored() {
    let world = World::new();
    let mut passes = world.passes();
    // The clock that stamps files may be 10 ms coarse: for the first of these the second may look the same.
    for round in 0..20 {
        let (first, second) = (format!("first {round:02}"), format!("again {round:02}"));
        world.write("state", &first);
        pass(&mut passes).await;
        world.write("state", &second);
        pass(&mut passes).await;
        assert_eq!(world.stored("state").await, Some(second));
    }
}

#[tokio::test(start_paused = true)]
async fn r2_an_older_file_renamed_over_a_stored_one_is_stored() {
    let world = World::new();
    world.settled(&["outputs/best", "backup"]);
    let old =
        FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    File::options().write(true).open(world.run("backup")).unwrap().set_times(old).unwrap();
    let mut passes = world.passes();
    pass(&mut passes).await;
    rename(&world.run("backup"), &world.run("outputs/best"));
    pass(&mut passes).await;
    assert_eq!(world.stored("outputs/best").await.as_deref(), Some("backup"));
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn r3_a_dangling_link_stops_nothing_and_is_named_once() {
    let (world, log) = (World::new(), Log::capture());
    world.settled(&["a", "outputs/z"]);
    symlink("/nowhere/at-all", world.run("broken")).unwrap();
    symlink("loop", world.run("loop")).unwrap();
    symlink("/etc/hostname", world.run("leaves")).unwrap();
    symlink("a", world.run("fine")).unwrap();
    let mut passes = world.passes();
    for _ in 0..3 {
        pass(&mut passes).await;
    }
    assert_eq!(world.stored("outputs/z").await.as_deref(), Some("outputs/z"));
    assert_eq!(world.stored("fine").await.as_deref(), Some("a"), "a link to a file is that file");
    for name in ["broken", "loop", "leaves"] {
        assert_eq!(world.stored(name).await, None, "{name}");
        assert_eq!(log.count(&format!("{RUN}/{name}`")), 1, "{name}: {}", log.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_becomes_a_folder_is_deleted_before_what_is_in_it_is_stored() {
    let world = World::new();
    world.settled(&["x"]);
    let mut passes = world.passes();
    pass(&mut passes).await;
    fs::remove_file(world.run("x")).unwrap();
    world.settled(&["x/y"]);
    world.store.forget_calls();
    pass(&mut passes).await;
    let calls: Vec<Op> = world.store.calls().into_iter().map(|call| call.0).collect();
    assert_eq!(calls, [Op::Delete, Op::Put]);
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_becomes_a_file_is_deleted_before_the_file_is_stored() {
    let world = World::new();
    world.settled(&["x/y", "x/z/w"]);
    let mut passes = world.passes();
    pass(&mut passes).await;
    fs::remove_dir_all(world.run("x")).unwrap();
    world.settled(&["x"]);
    world.store.forget_calls();
    pass(&mut passes).await;
    let calls: Vec<Op> = world.store.calls().into_iter().map(|call| call.0).collect();
    assert_eq!(calls, [Op::Delete, Op::Delete, Op::Put]);
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn an_upload_waits_for_the_delete_that_stands_in_its_way() {
    let world = World::new();
    world.settled(&["x"]);
    let mut passes = world.passes();
    pass(&mut passes).await;
    fs::remove_file(world.run("x")).unwrap();
    world.settled(&["x/y", "other"]);
    world.store.fail(Op::Delete, "", Fault::Denied, Times::First(1));
    let report = pass(&mut passes).await;
    assert_eq!(waiting(&report), [format!("{RUN}/x/y")]);
    assert_eq!(world.stored("other").await.as_deref(), Some("other"));
    let report = pass(&mut passes).await;
    assert_eq!(waiting(&report).len(), 0);
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn keys_are_those_of_polyaxon_and_our_own_files_are_never_stored() {
    let world = World::new();
    world.settled(&[
        "outputs/a",
        ".hidden",
        "empty",
        ".git/HEAD",
        "sub/.git/config",
        "sub/.gitignore",
        ".plx-part.0123",
        "sub/.plx-part.model",
        ".plx/inner",
    ]);
    fs::write(world.run("empty"), "").unwrap();
    for (path, content) in [
        ("_related_runs/X/outputs/b", "b"),
        ("_related_runs/X/.git/HEAD", "no"),
        ("_related_runs/loose", "no"),
        ("datasets/c", "no"),
        ("loose", "no"),
    ] {
        fs::create_dir_all(world.art(path).parent().unwrap()).unwrap();
        fs::write(world.art(path), content).unwrap();
    }
    world.settle();
    pass(&mut world.passes()).await;
    let mut keys: Vec<String> = world.store.calls().into_iter().map(|(_, key)| key).collect();
    keys.sort();
    let of_run = [".hidden", "empty", "outputs/a", "sub/.gitignore"].map(|path| format!("base/{RUN}/{path}"));
    let mut want = of_run.to_vec();
    want.push("base/X/outputs/b".to_owned());
    assert_eq!(keys, want);
    assert!(world.art(".plx/pod-1").is_dir(), "the journal is there, and not stored");
    assert_eq!(world.stored("empty").await.as_deref(), Some(""), "a file of no bytes is a file");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_utf_8_is_reported_as_not_stored_and_stops_nothing() {
    let (world, log) = (World::new(), Log::capture());
    world.settled(&["outputs/a"]);
    fs::write(world.run("outputs").join(OsStr::from_bytes(b"caf\xe9.txt")), "x").unwrap();
    let sidecar = world.start();
    crate::world::after(35.0).await;
    world.main.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!((report.class, report.exit_code()), (Class::Incomplete, 0));
    assert_eq!(detail(&report, "unstored"), json!(1));
    assert!(report.message.contains("caf") && report.message.contains("UTF-8"), "{}", report.message);
    assert_eq!(world.stored("outputs/a").await.as_deref(), Some("outputs/a"));
    assert_eq!(log.count("its name is not UTF-8 and cannot be a key; rename it"), 2, "{}", log.text());
}
