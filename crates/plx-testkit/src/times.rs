//! How often a fault happens.

/// Which of the requests that match a rule it applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// All of them.
    Always,
    /// The first so many.
    First(u64),
    /// That one alone; the first is 1.
    Nth(u64),
    /// Every so-many-th: `Every(3)` is the third, the sixth, and so on.
    Every(u64),
    /// That share, by a coin whose throws are always the same for the same seed.
    Percent {
        /// 0 never, 100 always.
        percent: u8,
        /// Seed of the coin.
        seed: u64,
    },
}

impl Times {
    /// Whether it applies to the `nth` match, counted from 1.
    pub(crate) fn applies(self, nth: u64) -> bool {
        match self {
            Times::Always => true,
            Times::First(n) => nth <= n,
            Times::Nth(n) => nth == n,
            Times::Every(n) => n > 0 && nth.is_multiple_of(n),
            Times::Percent { percent, seed } => {
                let mut coin = fastrand::Rng::with_seed(seed ^ nth.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                coin.u8(..100) < percent
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Times;

    #[test]
    fn counts_from_one() {
        let hits = |times: Times| (1..=6).filter(|&n| times.applies(n)).collect::<Vec<u64>>();
        assert_eq!(hits(Times::Always), [1, 2, 3, 4, 5, 6]);
        assert_eq!(hits(Times::First(2)), [1, 2]);
        assert_eq!(hits(Times::Nth(2)), [2]);
        assert_eq!(hits(Times::Every(3)), [3, 6]);
        assert_eq!(hits(Times::Percent { percent: 0, seed: 1 }), [0; 0]);
        assert_eq!(hits(Times::Percent { percent: 100, seed: 1 }), [1, 2, 3, 4, 5, 6]);
        let half = (1..=1000).filter(|&n| Times::Percent { percent: 50, seed: 7 }.applies(n)).count();
        assert!((400..600).contains(&half), "{half} of 1000");
    }
}
