use super::*;
use futures::FutureExt;
use futures::future::BoxFuture;
use plx_contract::lineage::Status;
use serde_json::Map;
use std::sync::Mutex;

/// Takes everything, and keeps the names.
#[derive(Default)]
struct Listener(Mutex<Vec<Vec<String>>>);

impl Lineage for Listener {
    fn artifacts<'a>(&'a self, artifacts: &'a [Artifact]) -> BoxFuture<'a, Result<(), TrackError>> {
        self.0.lock().unwrap().push(artifacts.iter().map(|artifact| artifact.name.clone()).collect());
        async { Ok(()) }.boxed()
    }

    fn outputs<'a>(&'a self, _: &'a Map<String, Value>) -> BoxFuture<'a, Result<(), TrackError>> {
        async { Ok(()) }.boxed()
    }

    fn status<'a>(&'a self, _: &'a Status) -> BoxFuture<'a, Result<(), TrackError>> {
        async { Ok(()) }.boxed()
    }
}

fn candidate(folder: &Path, name: &str, text: &str) -> Candidate {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    let stat = Stat::of(&std::fs::metadata(&path).unwrap());
    Candidate { file: EventFile::at(&format!("events/metric/{name}")).unwrap(), path, stat }
}

#[tokio::test]
async fn a_file_that_rests_is_read_at_the_end_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let listener = Arc::new(Listener::default());
    let api: Arc<dyn Lineage> = Arc::<Listener>::clone(&listener);
    let mut rounds = Rounds::new(api, "s".to_owned(), &folder.path().join("own"));
    let large = candidate(folder.path(), "large.plx", "step|timestamp|metric\n0|2024-05-06|1");
    let small = candidate(folder.path(), "small.plx", "step|timestamp|metric\n0|2024-05-06|1");
    rounds.resting.insert(large.file.path().to_owned(), Instant::now() + Duration::from_secs(3600));
    let files = [large, small];
    rounds.next(&files).await;
    assert_eq!(*listener.0.lock().unwrap(), [["small"]]);
    rounds.last(&files).await;
    assert_eq!(*listener.0.lock().unwrap(), [["small"], ["large"]]);
}

#[tokio::test]
async fn what_took_long_rests_twenty_times_as_long() {
    let folder = tempfile::tempdir().unwrap();
    let mut rounds = Rounds::new(Arc::new(Listener::default()), "s".to_owned(), &folder.path().join("own"));
    for (name, took) in [("long.plx", LONG), ("short.plx", LONG / 2)] {
        let one = read_one(candidate(folder.path(), name, "step|timestamp|metric\n0|2024-05-06|1"));
        rounds.take(One { took, ..one });
    }
    let until: Vec<&String> = rounds.resting.keys().collect();
    assert_eq!(until, ["events/metric/long.plx"]);
    let rest = rounds.resting["events/metric/long.plx"].duration_since(Instant::now());
    assert!(rest > LONG * REST / 2 && rest <= LONG * REST, "{rest:?}");
}

#[tokio::test]
async fn what_was_read_in_the_tick_of_its_last_change_is_read_again_and_told_only_when_it_differs() {
    let folder = tempfile::tempdir().unwrap();
    let listener = Arc::new(Listener::default());
    let api: Arc<dyn Lineage> = Arc::<Listener>::clone(&listener);
    let mut rounds = Rounds::new(api, "s".to_owned(), &folder.path().join("own"));
    let told = || std::mem::take(&mut *listener.0.lock().unwrap()).len();
    let file = candidate(folder.path(), "a.plx", "step|timestamp|metric\n0|2024-05-06|1");
    let read = |settled| One { settled, ..read_one(file.clone()) };
    let first = read(false).read.unwrap().0;
    rounds.take(read(false));
    rounds.tell().await.unwrap();
    assert_eq!((told(), rounds.knows(&file)), (1, false), "another version may look the same");

    // It does: the same times and size, and another value.
    std::fs::write(&file.path, "step|timestamp|metric\n0|2024-05-06|2").unwrap();
    let same_look = |settled| {
        let one = read(settled);
        One { read: one.read.map(|(_, summary)| (first, summary)), ..one }
    };
    rounds.take(same_look(false));
    rounds.tell().await.unwrap();
    assert_eq!((told(), rounds.knows(&file)), (1, false));
    rounds.take(same_look(true));
    rounds.tell().await.unwrap();
    assert_eq!((told(), rounds.knows(&file)), (0, true), "settled, and nothing new");
}

#[tokio::test]
async fn of_files_that_are_gone_nothing_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let mut rounds = Rounds::new(Arc::new(Listener::default()), "s".to_owned(), &folder.path().join("own"));
    for number in 0..20 {
        let good =
            candidate(folder.path(), &format!("{number}.plx"), "step|timestamp|metric\n0|2024-05-06|1");
        let none = candidate(folder.path(), &format!("none-{number}.plx"), "");
        let long = One { took: LONG, ..read_one(good.clone()) };
        rounds.take(long);
        rounds.next(&[good.clone(), none]).await;
        assert!(rounds.told.has(good.file.path(), &good.stat), "it is told");
        for known in [rounds.unsettled.len(), rounds.silent.len(), rounds.resting.len(), rounds.told.len()] {
            assert!(known <= 1, "{known} after {number}");
        }
    }
    rounds.next(&[]).await;
    assert!(rounds.silent.is_empty() && rounds.told.len() == 0);
}
