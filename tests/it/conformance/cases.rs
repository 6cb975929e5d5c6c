//! The functions of the suite. Each gets a fresh, empty store.

use crate::bench::{Bench, Kind, engine, names, rel, want};
use plx_contract::{Class, Classified};
use plx_testkit::{Content, Snapshot, Tree};
use plx_transfer::WantKind::{File, Folder, Lookup};
use plx_transfer::{Ended, Expected, Ledger, Stored, TransferError, Upload, compare, remove, upload};
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;

pub async fn a_tree_goes_up_and_comes_down_the_same(bench: &Bench) {
    let mut tree = Tree::new(11)
        .small(40, 3000)
        .odd_names()
        .empty_file("empty")
        .empty_file("deep/er/and/deep/er/empty")
        .file(".hidden/.file", 10)
        .file("single-part", 8 * MIB)
        .file("two-parts", 8 * MIB + 1)
        .file("two-whole-parts", 16 * MIB)
        .file("multipart", 26 * MIB + 3);
    if !bench.is_served_from_files() {
        tree = tree.long_name();
    }
    let mut sent = tree.write_to(&bench.path("from")).unwrap();
    if bench.kind == Kind::Azurite {
        // Azure takes a backslash for a slash, and so does Azurite.
        std::fs::remove_file(bench.path("from/odd/back\\slash")).unwrap();
        sent.files.remove("odd/back\\slash").unwrap();
    }
    bench.send(&bench.path("from"), &sent).await;
    assert_eq!(bench.stored().await.diff(&sent), "");

    let plan = bench.plan([want("", "", Folder)]).await;
    let bytes: u64 = sent.files.values().map(|content| content.size).sum();
    assert_eq!((plan.objects(), plan.bytes()), (sent.files.len() as u64, bytes));
    let fetched = bench.fetch([want("", "", Folder)], "to").await;
    assert_eq!(fetched.diff_with_dirs(&sent), "");
}

pub async fn an_upload_overwrites(bench: &Bench) {
    for seed in [1, 2] {
        let folder = bench.path(&format!("from-{seed}"));
        let tree = Tree::new(seed).small(3, 100 * seed).file("large", (30 - 10 * seed) * MIB);
        let sent = tree.write_to(&folder).unwrap();
        bench.send(&folder, &sent).await;
        assert_eq!(bench.stored().await.diff(&sent), "");
    }
}

pub async fn an_upload_that_was_broken_off_is_continued(bench: &Bench) {
    let size = 64 * MIB + 1;
    let sent = Tree::new(3).file("large", size).write_to(&bench.path("from")).unwrap();
    let path = bench.path("uploads.jsonl");
    let send = async |stop: &CancellationToken| {
        let engine = engine().with_ledger(Ledger::open(&path, &bench.remote.identity()).unwrap().0);
        let expected = Expected::Anything;
        let job = Upload { key: rel("large"), path: bench.path("from/large"), size, expected };
        let mut landed = false;
        upload(&engine, &bench.remote, vec![job], stop, |_, how| {
            landed = matches!(how, Ended::Landed { .. })
        })
        .await;
        (landed, engine)
    };
    if bench.kind != Kind::Folder {
        let stop = CancellationToken::new();
        let part = async {
            let mut looks = tokio::time::interval(std::time::Duration::from_millis(1));
            while !std::fs::read_to_string(&path).unwrap_or_default().contains(r#""op":"part""#) {
                looks.tick().await;
            }
            stop.cancel();
        };
        let ((landed, _), ()) = tokio::join!(send(&stop), part);
        assert!(!landed && bench.stored().await.files.is_empty());
    }
    let (landed, engine) = send(&CancellationToken::new()).await;
    assert!(landed);
    assert!(bench.kind == Kind::Folder || engine.progress().bytes() < size);
    assert_eq!(bench.stored().await.diff(&sent), "");
    engine.ledger().close();
    assert!(!path.exists(), "nothing is in flight");
}

pub async fn an_upload_replaces_what_it_expects_and_nothing_else(bench: &Bench) {
    let stop = CancellationToken::new();
    let engine = engine().with_ledger(Ledger::in_memory());
    for (name, size) in [("small", 300), ("large", 17 * MIB)] {
        let send = async |seed: u64, expected: Expected| {
            let folder = bench.path(&format!("from-{seed}"));
            Tree::new(seed).file(name, size).write_to(&folder).unwrap();
            let job = Upload { key: rel(&format!("R/{name}")), path: folder.join(name), size, expected };
            let mut ended = None;
            upload(&engine, &bench.remote, vec![job], &stop, |_, how| ended = Some(how)).await;
            engine.ledger().close();
            ended.unwrap()
        };
        let landed = |ended: Ended| match ended {
            Ended::Landed { version: Some(version), .. } => version,
            other => panic!("{name}: {other:?}"),
        };
        let refused = |ended: Ended| match ended {
            Ended::Other(present) => present,
            other => panic!("{name}: {other:?}"),
        };
        let first = landed(send(1, Expected::Nothing).await);
        assert!(first.is_known(), "{name}");
        let stands = refused(send(2, Expected::Nothing).await);
        assert_eq!((stands.size, stands.version.agrees(&first)), (size, Some(true)), "{name}");
        if name == "small" {
            let same = send(1, Expected::Nothing).await;
            assert!(
                matches!(same, Ended::Landed { version: None, .. }),
                "the same bytes are no conflict: {same:?}"
            );
        }
        let second = landed(send(2, Expected::Version(first.clone())).await);
        assert_eq!(second.agrees(&first), Some(false), "{name}");
        let stands = refused(send(3, Expected::Version(first.clone())).await);
        assert_eq!(stands.version.agrees(&second), Some(true), "{name}");
        let differing = async |version| {
            let expected = [(rel(&format!("R/{name}")), Stored { size, version })].into();
            compare(&engine, &bench.remote, expected, &stop).await.unwrap().len()
        };
        assert_eq!(differing(second.clone()).await, 0, "{name}: a listing knows the version");
        // Not every store names versions in its listings.
        if matches!(bench.kind, Kind::Folder | Kind::Moto | Kind::Azurite) {
            assert_eq!(differing(first).await, 1, "{name}: of the same size, and another");
        }
        remove(&engine, &bench.remote, vec![rel(&format!("R/{name}"))], &stop, |_, how| how.unwrap()).await;
        landed(send(3, Expected::Version(second)).await);
    }
}

pub async fn a_folder_is_not_its_neighbour(bench: &Bench) {
    for key in ["model/a", "model/sub/b", "model-hf/c", "model.bin", "models/d", "mode/e"] {
        bench.put(key, key).await;
    }
    let fetched = bench.fetch([want("model", "", Folder)], "to").await;
    assert_eq!(names(&fetched), ["a", "sub/b"]);
    assert_eq!(fetched.files["sub/b"], Content::of(b"model/sub/b"));
}

pub async fn a_lookup_finds_either_and_the_object_first(bench: &Bench) {
    bench.put("file", "a file").await;
    bench.put("folder/x", "x").await;
    let fetched = bench.fetch([want("file", "as/file", Lookup)], "file").await;
    assert_eq!(fetched.files, [("as/file".to_owned(), Content::of(b"a file"))].into());
    if bench.is_served_from_files() {
        return; // It answers 500 where a folder stands, and holds no object beside one of the same name.
    }
    let fetched = bench.fetch([want("folder", "as/folder", Lookup)], "folder").await;
    assert_eq!(fetched.files, [("as/folder/x".to_owned(), Content::of(b"x"))].into());
    if bench.kind == Kind::Folder {
        return;
    }
    bench.put("both", "the object").await;
    bench.put("both/x", "below it").await;
    for kind in [Lookup, File] {
        let fetched = bench.fetch([want("both", "it", kind)], "both").await;
        assert_eq!(fetched.files, [("it".to_owned(), Content::of(b"the object"))].into());
    }
    let fetched = bench.fetch([want("both", "", Folder)], "below").await;
    assert_eq!(fetched.files, [("x".to_owned(), Content::of(b"below it"))].into());
}

pub async fn what_is_absent_is_named(bench: &Bench) {
    bench.put("there/x", "x").await;
    for kind in [File, Folder, Lookup] {
        for path in ["nothing", "there/y", "there/x/z", "ther"] {
            if bench.is_served_from_files() && path == "there/x/z" {
                continue; // It answers 500 below a file.
            }
            let plan = bench.plan([want(path, "", kind)]).await;
            assert!(plan.items.is_empty());
            let [error] = &plan.missing[..] else { panic!("{kind:?} {path}: {:?}", plan.missing) };
            assert!(matches!(error, TransferError::Absent { .. }), "{kind:?} {path}: {error:?}");
            assert_eq!(error.class(), Class::NotFound);
            assert!(error.to_string().contains(path), "{error}");
            assert!(error.next_step().unwrap().contains("--optional"), "{error:?}");
        }
    }
    // The others are found all the same.
    let plan = bench.plan([want("nothing", "a", File), want("there/x", "b", File)]).await;
    assert_eq!((plan.items.len(), plan.missing.len()), (1, 1));
}

pub async fn the_whole_of_an_empty_store_is_fine(bench: &Bench) {
    for kind in [Folder, Lookup] {
        let fetched = bench.fetch([want("", "into", kind)], "to").await;
        assert_eq!(fetched.diff(&Snapshot::default()), "");
        assert!(bench.path("to/into").is_dir());
    }
}

pub async fn every_pair_lands_where_it_is_meant_to(bench: &Bench) {
    for key in ["a/one", "a/two", "b/three", "c"] {
        bench.put(key, key).await;
    }
    let wants = [
        want("a", "x/y", Folder),
        want("a/one", "renamed", File),
        want("b", "x/y", Folder),
        want("c", "c.txt", File),
        want("c", "z/c", File),
    ];
    let fetched = bench.fetch(wants, "to").await;
    assert_eq!(names(&fetched), ["c.txt", "renamed", "x/y/one", "x/y/three", "x/y/two", "z/c"]);
    assert_eq!(fetched.files["renamed"], Content::of(b"a/one"));
}

pub async fn what_stands_in_the_target_is_replaced(bench: &Bench) {
    bench.put("R/file", "new").await;
    bench.put("R/linked", "new").await;
    bench.put("R/read-only", "new").await;
    let to = bench.path("to");
    std::fs::create_dir(&to).unwrap();
    std::fs::write(to.join("file"), "old and longer").unwrap();
    std::fs::write(to.join("other"), "stays").unwrap();
    std::fs::write(to.join("read-only"), "old").unwrap();
    let mut mode = std::fs::metadata(to.join("read-only")).unwrap().permissions();
    mode.set_readonly(true);
    std::fs::set_permissions(to.join("read-only"), mode).unwrap();
    std::os::unix::fs::symlink("other", to.join("linked")).unwrap();
    let fetched = bench.fetch([want("R", "", Folder)], "to").await;
    let new = Content::of(b"new");
    let wanted = [("file", new), ("linked", new), ("other", Content::of(b"stays")), ("read-only", new)];
    assert_eq!(fetched.files, wanted.map(|(name, content)| (name.to_owned(), content)).into());
}

pub async fn every_character_of_a_key_is_literal(bench: &Bench) {
    let keys = [
        "pct%20x", "a+b&c=d", "star*[x]", "sp ace", "#", "?", "q?a=b#c", "a[1].txt", "a1.txt", "é", "~",
        "'\"", "%",
    ];
    for key in keys {
        bench.put(&format!("R/{key}"), key).await;
    }
    let mut wanted: Vec<&str> = keys.to_vec();
    wanted.sort_unstable();
    assert_eq!(names(&bench.fetch([want("R", "", Folder)], "to").await), wanted);
    for key in keys {
        let fetched = bench.fetch([want(&format!("R/{key}"), "it", File)], "one").await;
        assert_eq!(fetched.files["it"], Content::of(key.as_bytes()), "{key}");
    }
    bench.put("a b+c%41#/x", "x").await;
    assert_eq!(names(&bench.fetch([want("a b+c%41#", "", Folder)], "folder").await), ["x"]);
}

pub async fn many_objects_come_in_many_pages(bench: &Bench) {
    let sent = Tree::new(3).small(1200, 3).write_to(&bench.path("from")).unwrap();
    bench.send(&bench.path("from"), &sent).await;
    assert_eq!(bench.plan([want("small", "", Folder)]).await.objects(), 1200);
    let fetched = bench.fetch([want("small", "small", Folder)], "to").await;
    assert_eq!(fetched.diff_with_dirs(&sent), "");
}

pub async fn a_delete_of_what_is_there_and_of_what_is_not_succeeds(bench: &Bench) {
    for key in ["R/a", "R/pct%20x", "R/a+b&c=d #?", "R/sub/é", "R/stays"] {
        bench.put(key, "x").await;
    }
    let keys = ["R/a", "R/pct%20x", "R/a+b&c=d #?", "R/sub/é", "R/never", "nowhere/at/all"].map(rel);
    let mut ended = 0;
    remove(&bench.engine, &bench.remote, keys.to_vec(), &bench.stop, |key, how| {
        assert!(how.is_ok(), "{key}: {how:?}");
        ended += 1;
    })
    .await;
    assert_eq!(ended, 6);
    assert_eq!(names(&bench.stored().await), ["R/stays"]);
}
