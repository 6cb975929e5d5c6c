//! When collected lines become a file that passes send.
//!
//! A file that grows is sent again and again, whole. So lines are collected aside, and what was collected becomes a part of
//! its own, which never changes: each line is sent once. Parts are few: the first come with each pass, and once there are
//! many each has to be worth it, by its share of all that was sent.

/// So many parts come as soon as there is something to send.
const FREE: u32 = 100;
/// From then on a part has at least this share of all parts before it, as one of so many.
const SHARE: u64 = 8;
/// So many at most while main runs. The others are for ends, of which a sidecar that is started again has several.
const RUNNING: u32 = 190;
/// So many of a pod at most.
pub(super) const MOST: u32 = 200;

/// Whether what was collected becomes a part now.
pub(super) fn is_due(parts: u32, sent: u64, collected: u64, last: bool) -> bool {
    let worth_it = match parts {
        ..FREE => true,
        FREE..RUNNING => collected >= sent / SHARE,
        _ => false,
    };
    collected > 0 && parts < MOST && (worth_it || last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a run with so many passes, of which each finds so many new bytes.
    fn parts(passes: u64, new: impl Fn(u64) -> u64) -> (Vec<u64>, u64, u64) {
        let (mut sent, mut collected, mut parts, mut longest_wait) = (0, 0, Vec::new(), 0);
        for pass in 0..=passes {
            collected += new(pass);
            let count = u32::try_from(parts.len()).unwrap();
            if is_due(count, sent, collected, pass == passes) {
                parts.push(collected);
                sent += collected;
                collected = 0;
            }
            longest_wait = longest_wait.max(collected * 100 / (sent + collected).max(1));
        }
        (parts, collected, longest_wait)
    }

    #[test]
    fn every_line_is_sent_once_in_at_most_200_parts() {
        // A month of passes every 10 seconds.
        let month = 259_200;
        type New = Box<dyn Fn(u64) -> u64>;
        let runs: [(&str, u64, New); 6] = [
            ("a line a pass", month, Box::new(|_| 150)),
            ("a line now and then", month, Box::new(|pass| u64::from(pass % 1000 == 0) * 150)),
            ("more and more", month, Box::new(|pass| pass * pass)),
            ("a burst at the end", 8640, Box::new(|pass| if pass == 8640 { 1 << 33 } else { 150 })),
            ("a little, then much", 8640, Box::new(|pass| if pass < 200 { 10 } else { 10 << 20 })),
            ("twice as much each time", 50, Box::new(|pass| 1 << pass)),
        ];
        for (name, passes, new) in runs {
            let all: u64 = (0..=passes).map(&new).sum();
            let (parts, left, _) = parts(passes, new);
            assert_eq!((parts.iter().sum::<u64>(), left), (all, 0), "{name}");
            assert!(parts.len() <= 200, "{name}: {}", parts.len());
        }
    }

    #[test]
    fn little_waits_to_be_sent() {
        // While there are few parts, nothing waits for longer than a pass.
        assert_eq!(parts(99, |_| 1000).2, 0);
        // From then on a part of what there is.
        let (_, _, wait) = parts(259_200, |_| 1000);
        assert!(wait <= 12, "{wait} %");
    }

    #[test]
    fn ends_have_room() {
        assert!(!is_due(RUNNING, 1, 1 << 40, false));
        assert!(is_due(RUNNING, 1 << 40, 1, true) && is_due(MOST - 1, 1 << 40, 1, true));
        assert!(!is_due(MOST, 1, 1, true) && !is_due(0, 0, 0, true));
    }
}
