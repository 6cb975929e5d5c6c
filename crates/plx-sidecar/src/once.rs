//! Warnings that are given once, however long a run is.

use std::collections::HashMap;

/// So many are remembered whatever becomes of them.
const KEPT: usize = 1000;

/// What was said. Of more than some, what nothing has given rise to in the last round is forgotten: files come and go, and a
/// run of months has millions of them.
#[derive(Debug, Default)]
pub(crate) struct Once {
    /// With the round in which there was a reason last.
    said: HashMap<String, u64>,
    round: u64,
}

impl Once {
    /// True when it was not said before.
    pub fn is_new(&mut self, what: &str) -> bool {
        if let Some(last) = self.said.get_mut(what) {
            *last = self.round;
            return false;
        }
        self.said.insert(what.to_owned(), self.round);
        true
    }

    /// A pass, or a round, is over.
    pub fn round_ended(&mut self) {
        if self.said.len() > KEPT {
            self.said.retain(|_, last| *last == self.round);
        }
        self.round += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_said_once_and_what_comes_and_goes_is_forgotten() {
        let mut once = Once::default();
        let mut said = 0;
        for round in 0..100 {
            for number in 0..100 {
                assert!(once.is_new(&format!("link {round}/{number} leads nowhere")));
            }
            said += u32::from(once.is_new("the name is no text"));
            once.round_ended();
            assert!(once.said.len() <= KEPT + 101, "{}", once.said.len());
        }
        assert_eq!(said, 1);
    }

    #[test]
    fn however_many_there_are_at_once_each_is_said_once() {
        let mut once = Once::default();
        let say = |once: &mut Once| (0..KEPT * 5).filter(|number| once.is_new(&number.to_string())).count();
        assert_eq!(say(&mut once), KEPT * 5);
        once.round_ended();
        assert_eq!(say(&mut once), 0);
    }
}
