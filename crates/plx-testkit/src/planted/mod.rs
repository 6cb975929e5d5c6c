//! Secrets that a test plants, and the search for them in all that a program says, leaves and sends.
//!
//! A test plants what must be shown nowhere: [`Planted::plant`]. The servers of this crate plant what they give out and
//! what opens them, and every one of them searches what it was asked, at the latest when it is dropped: no test has to
//! ask for that. What a program says and leaves is searched by who started it: [`Planted::assert_free`] and
//! [`LeftFiles`].
//!
//! Where a secret may stand all the same is listed in `carriers.rs`, each place with its reason.

mod carriers;
mod forms;
mod left;
mod wire;

use std::sync::{Arc, Mutex};

use self::forms::Forms;
pub use self::left::{Belongs, LeftFiles};
pub(crate) use self::wire::{Asked, Noted, Searched, Wire};
use crate::http_server::lock;

/// Shorter words are found by chance.
const SHORTEST: usize = 8;

/// What is planted in one test, and the servers of that test. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Planted {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    secrets: Mutex<Vec<Secret>>,
    wires: Mutex<Vec<Arc<Wire>>>,
}

#[derive(Debug)]
struct Secret {
    forms: Forms,
    /// It signs, and is shown to nobody: no place is excepted for it.
    signs: bool,
}

/// Who looks, and so what is excepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Every secret counts.
    Anywhere,
    /// Where a token is shown to whom it is meant for: only keys count, which are never shown.
    AtCarrier,
}

thread_local! {
    static HERE: Planted = Planted::default();
}

impl Planted {
    /// Of the test that runs on this thread: each test has a thread of its own, and starts its servers there.
    pub fn here() -> Self {
        HERE.with(Self::clone)
    }

    /// From now on it must be found nowhere but at a carrier: a token, a password, whatever is shown to one server.
    ///
    /// # Panics
    /// When it is so short that it would be found by chance.
    pub fn plant(&self, secret: &str) {
        assert!(secret.len() >= SHORTEST, "{secret:?} would be found by chance");
        self.add(secret, false);
    }

    /// From now on it must be found nowhere at all: a key that only signs.
    ///
    /// # Panics
    /// As [`Planted::plant`].
    pub fn plant_key(&self, secret: &str) {
        assert!(secret.len() >= SHORTEST, "{secret:?} would be found by chance");
        self.add(secret, true);
    }

    /// What a server gives out or wants to be shown. A test chooses it, and where only answers count, a short one.
    pub(crate) fn token(&self, secret: &str) {
        if secret.len() >= SHORTEST {
            self.add(secret, false);
        }
    }

    /// What signs for who asks a server.
    pub(crate) fn key(&self, secret: &str) {
        if secret.len() >= SHORTEST {
            self.add(secret, true);
        }
    }

    fn add(&self, secret: &str, signs: bool) {
        let mut secrets = lock(&self.shared.secrets);
        match secrets.iter_mut().find(|known| known.forms.plain() == secret) {
            Some(known) => known.signs |= signs,
            None => secrets.push(Secret { forms: Forms::of(secret), signs }),
        }
    }

    /// Which secret stands there, and in which form; `None` when none does.
    pub fn find(&self, text: &[u8]) -> Option<String> {
        self.look(text, Look::Anywhere)
    }

    fn look(&self, text: &[u8], look: Look) -> Option<String> {
        let secrets = lock(&self.shared.secrets);
        let mut counted = secrets.iter().filter(|secret| secret.signs || look == Look::Anywhere).peekable();
        counted.peek()?;
        let text = String::from_utf8_lossy(text);
        let readings = forms::readings(&text);
        counted.find_map(|secret| readings.iter().find_map(|reading| secret.forms.stands_in(reading)))
    }

    /// Fails when a secret stands there, and names `what`.
    ///
    /// # Panics
    /// Then.
    #[track_caller]
    pub fn assert_free(&self, what: &str, text: &[u8]) {
        let found = self.find(text);
        assert!(
            found.is_none(),
            "{} in {what}: {}",
            found.unwrap_or_default(),
            String::from_utf8_lossy(text)
        );
    }

    /// Fails when a server of this test was sent a secret elsewhere than at a carrier.
    ///
    /// # Panics
    /// Then.
    #[track_caller]
    pub fn assert_requests_are_free(&self) {
        let wires = lock(&self.shared.wires).clone();
        let found: Vec<String> = wires.iter().flat_map(|wire| wire.leaks(self)).collect();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

#[cfg(test)]
mod tests;
