//! A bucket in another region than was set, and a clock that is off.

use crate::bench::bucket;
use crate::carry::{every_failure, fetch, look, one_by_one, send, works};
use crate::refusals::is;
use plx_contract::Class;
use plx_testkit::{Match, RegionHint, S3Front, S3Server, Tree};
use plx_transfer::Cause;
use plx_transfer::WantKind::{File, Folder};
use std::time::Duration;

const RIGHT: &str = "eu-west-1";

fn signed_for(region: &str) -> Match {
    Match::any().header_contains("authorization", &format!("/{region}/s3/"))
}

#[tokio::test]
async fn the_region_that_the_store_names_is_used_from_then_on() {
    let server = S3Server::start().await;
    for redirects in [false, true] {
        for hint in [RegionHint::Header, RegionHint::Body, RegionHint::Both] {
            // AWS's redirects name the region in the header alone; in the body is a host.
            let front = S3Front::start(server.addr()).await;
            front.region(RIGHT, hint);
            front.redirects(redirects);
            let remote = bucket(&server.target("bkt").through(&front.url()), "base");
            let tree = Tree::new(5).small(3, 1000).file("large", 20 << 20);
            let sent = send(&one_by_one(), &remote, &tree).await;
            assert_eq!(front.count(&signed_for("us-east-1")), 1, "{redirects} {hint:?}");
            assert_eq!(fetch(&one_by_one(), &remote).await.diff(&sent), "");
            assert_eq!(front.count(&signed_for("us-east-1")), 1, "{redirects} {hint:?}");
            assert!(front.count(&signed_for(RIGHT)) > 10);
            assert!(front.requests().iter().all(|seen| seen.status.is_some_and(|status| status < 400)
                || seen.header("authorization").unwrap().contains("us-east-1")));
        }
    }
}

#[tokio::test]
async fn a_head_that_comes_first_learns_the_region_too() {
    let server = S3Server::start().await;
    for (hint, redirects) in
        [(RegionHint::Header, false), (RegionHint::Body, false), (RegionHint::Both, true)]
    {
        let front = S3Front::start(server.addr()).await;
        front.region(RIGHT, hint);
        front.redirects(redirects);
        let remote = bucket(&server.target("bkt").through(&front.url()), "base");
        let error = look(&remote, File).await;
        assert_eq!(
            (plx_contract::Classified::class(&error), error.cause()),
            (Class::NotFound, None),
            "{error:?}"
        );
        // The HEAD, and the GET that says what its answer meant; then the HEAD again.
        assert_eq!(front.count(&signed_for("us-east-1")), 2, "{hint:?}");
        works(&remote).await;
        assert_eq!(front.count(&signed_for("us-east-1")), 2, "{hint:?}");
    }
}

#[tokio::test]
async fn many_workers_at_once_find_the_region_together() {
    let server = S3Server::start().await;
    let front = S3Front::start(server.addr()).await;
    front.region(RIGHT, RegionHint::Both);
    let remote = bucket(&server.target("bkt").through(&front.url()), "base");
    let sent = send(&crate::bench::engine(), &remote, &Tree::new(5).small(200, 100)).await;
    assert_eq!(fetch(&crate::bench::engine(), &remote).await.diff(&sent), "");
    // 200 objects at the least; whoever was refused was sent once more and no oftener.
    let refused = front.count(&signed_for("us-east-1"));
    assert!((1..=200).contains(&refused), "{refused}");
    assert_eq!(front.count(&Match::method("PUT")), 200 + refused);
}

#[tokio::test]
async fn a_region_that_nobody_names_is_asked_for() {
    let server = S3Server::start().await;
    for redirects in [false, true] {
        let front = S3Front::start(server.addr()).await;
        front.region(RIGHT, RegionHint::Silent);
        front.redirects(redirects);
        let remote = bucket(&server.target("bkt").through(&front.url()), "base");
        for error in every_failure(&remote).await {
            is(&error, Cause::WrongRegion, Class::Config, "AWS_REGION");
        }
        // Each was asked once, and HEADs what they meant.
        assert_eq!(front.requests().len(), 5 + 2);
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_named_with_its_seconds() {
    let server = S3Server::with_any_clock().await;
    let front = S3Front::start(server.addr()).await;
    let remote = bucket(&server.target("bkt").through(&front.url()), "base");
    let hour = Duration::from_secs(3600);
    for (ahead, word) in [(true, "behind"), (false, "ahead of")] {
        if ahead {
            front.clock_ahead(hour);
        } else {
            front.clock_behind(hour);
        }
        for error in every_failure(&remote).await {
            is(&error, Cause::ClockSkew, Class::Denied, "NTP");
            let said = error.to_string();
            // A second may turn between the two clocks.
            assert!(
                (3598..=3602).any(|s| said.contains(&format!("this machine's clock is {s} s {word}"))),
                "{said}"
            );
        }
    }
    // Nothing was tried again.
    assert_eq!(front.requests().len(), 2 * (5 + 2));
}

#[tokio::test]
async fn a_clock_that_is_a_little_off_hinders_nobody() {
    let server = S3Server::with_any_clock().await;
    let front = S3Front::start(server.addr()).await;
    front.clock_ahead(Duration::from_secs(600));
    let remote = bucket(&server.target("bkt").through(&front.url()), "base");
    works(&remote).await;
    // And what the bucket does not hold is missing, whatever the clock says.
    assert_eq!(plx_contract::Classified::class(&look(&remote, Folder).await), Class::NotFound);
}

#[tokio::test]
async fn a_clock_that_is_a_little_off_does_not_explain_a_missing_right() {
    let server = S3Server::with_any_clock().await;
    let front = S3Front::start(server.addr()).await;
    front.clock_ahead(Duration::from_secs(600));
    front.deny_matching(Match::any());
    let remote = bucket(&server.target("bkt").through(&front.url()), "base");
    is(&look(&remote, Folder).await, Cause::Denied, Class::Denied, "grant");
}
