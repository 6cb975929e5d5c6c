//! Large uploads that a pass, or a sidecar, does not live to finish.

use crate::world::{RUN, World, pass, waiting};
use plx_contract::layout::TEMP_PREFIX;
use plx_sidecar::supervise;
use plx_testkit::{Fault, Op, Times, Tree};
use plx_transfer::{Patience, Remote};
use std::fs;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;
/// Of three parts in little memory; a test searches all it leaves for keys, so it is not larger than that.
const SIZE: u64 = 11 * MIB;

fn world() -> World {
    World::with(|config| {
        config.buffer_bytes = Some(8 * MIB);
        config.grace = Some(Duration::from_secs(30));
    })
}

fn big(world: &World, seed: u64) {
    Tree::new(seed).file("big", SIZE).write_to(&world.run("outputs")).unwrap();
    world.settle();
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_a_pass_broke_off_is_continued_by_the_next_one() {
    let world = world();
    world.write("outputs/small", "stored at once");
    big(&world, 1);
    let mut passes = world.passes();
    world.store.fail(Op::PutPart, "", Fault::Stall, Times::Nth(3));
    let hard = CancellationToken::new();
    let (report, ()) = tokio::join!(passes.run(Patience::PASS, &hard), async {
        world.called(Op::PutPart, "big", 3).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        hard.cancel();
    });
    assert_eq!((report.stored, waiting(&report)), (1, vec![format!("{RUN}/outputs/big")]));
    assert_eq!(world.store.open_multipart(), 1);
    let report = pass(&mut passes).await;
    assert_eq!((report.stored, report.waiting.len()), (1, 0));
    assert_eq!((world.store.count(Op::Create), world.store.count(Op::PutPart)), (1, 4));
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn an_upload_whose_file_is_gone_or_another_is_aborted_by_the_next_pass() {
    for gone in [true, false] {
        let world = world();
        big(&world, 1);
        let mut passes = world.passes();
        world.store.fail(Op::Complete, "", Fault::Reset, Times::Always);
        let report = pass(&mut passes).await;
        assert_eq!((report.stored, world.store.open_multipart()), (0, 1));
        world.store.clear_faults();
        if gone {
            fs::remove_file(world.run("outputs/big")).unwrap();
        } else {
            big(&world, 2);
        }
        let report = pass(&mut passes).await;
        assert_eq!((report.stored, world.store.open_multipart()), (u64::from(!gone), 0));
        assert_eq!(world.difference().await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_finished_is_aborted_at_the_very_end() {
    let world = world();
    big(&world, 1);
    world.store.fail(Op::PutPart, "", Fault::Stall, Times::Nth(2));
    let sidecar = world.start();
    world.called(Op::PutPart, "big", 2).await;
    world.stop.asked.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!(report.class, plx_contract::Class::Incomplete, "{}", report.message);
    assert_eq!(world.store.open_multipart(), 0);
    assert!(!world.art(".plx/pod-1/uploads.jsonl").exists());
}

#[tokio::test(start_paused = true)]
async fn temporary_files_of_a_killed_sidecar_leave_the_volume_and_those_of_a_living_one_stay() {
    let world = World::new();
    let volume = tempfile::tempdir().unwrap();
    world.settled(&["outputs/a"]);
    let temp = |number: u64| volume.path().join(RUN).join(format!("outputs/{TEMP_PREFIX}{number:016x}"));
    fs::create_dir_all(temp(1).parent().unwrap()).unwrap();
    fs::write(temp(1), "half of a file that is gone").unwrap();
    fs::write(temp(2), "half of one that somebody writes").unwrap();
    let writer = fs::File::open(temp(2)).unwrap();
    rustix::fs::flock(&writer, rustix::fs::FlockOperation::LockExclusive).unwrap();
    // It ended in order: nobody looks.
    let passes = || supervise::passes(&world.config, Remote::volume(volume.path()));
    let mut first = passes();
    pass(&mut first).await;
    first.close(Duration::from_secs(1)).await;
    assert!(temp(1).exists());
    // It was killed: its file is there still, and maybe half of another.
    drop(passes());
    let half = world.art(".plx/pod-1").join(format!("{TEMP_PREFIX}journal.jsonl"));
    fs::write(&half, "half").unwrap();
    assert!(world.art(".plx/pod-1/uploads.jsonl").exists());
    pass(&mut passes()).await;
    assert_eq!((temp(1).exists(), temp(2).exists(), half.exists()), (false, true, false));
    assert_eq!(fs::read_to_string(volume.path().join(RUN).join("outputs/a")).unwrap(), "outputs/a");
}
