//! A credential is asked of a provider for every request, never kept as a value: tokens end, mounted secrets are
//! rotated, and the service that hands them out may be younger than this container.

use crate::StoreError;
use async_trait::async_trait;
use object_store::CredentialProvider;
use plx_contract::Class;
use plx_contract::fault::{HttpFault, IdentityFault, in_chain};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// In the first minute of a node's life its metadata service and agents are not there yet.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// After a failure the source is left alone for so long: a hundred workers ask at once.
const REST: Duration = Duration::from_secs(1);
/// A failing refresh is tried again this often while the credential in hand still works.
const REFRESH_REST: Duration = Duration::from_secs(10);

/// Where credentials come from, found out once.
pub(crate) struct Resolved<C> {
    /// Hands them out, and refreshes them before they end.
    pub provider: Arc<dyn CredentialProvider<Credential = C>>,
    /// For people: what was chosen. Never a credential.
    pub source: Source,
}

/// What was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// What was chosen, such as `access key from secret file /sec/AWS_ACCESS_KEY_ID`.
    pub chosen: String,
    /// What would have come before it and is not there.
    pub passed_over: Vec<String>,
    /// Nothing names this source: it is what is asked when nothing else is there.
    pub last_resort: bool,
}

/// Whether there is anything to ask with; for people who want to know that alone.
#[async_trait]
pub trait Credentials: fmt::Debug + Send + Sync {
    /// Asks the source, as a request would.
    ///
    /// # Errors
    /// When it gives nothing.
    async fn check(&self) -> Result<(), IdentityFault>;
}

#[async_trait]
impl<C: PartialEq + Send + Sync + 'static> Credentials for Identity<C> {
    async fn check(&self) -> Result<(), IdentityFault> {
        self.get().await.map(drop)
    }
}

type Resolve<C> = Box<dyn Fn() -> Result<Resolved<C>, StoreError> + Send + Sync>;

/// The credentials of one connection.
pub(crate) struct Identity<C> {
    resolve: Resolve<C>,
    state: Mutex<State<C>>,
}

struct State<C> {
    /// Grows with each new source or reading of it.
    generation: u64,
    resolved: Resolved<C>,
    /// What was handed out last.
    last: Option<Arc<C>>,
    first_asked: Option<Instant>,
    failed: Option<(Instant, IdentityFault)>,
    renewed_in_vain: Option<Instant>,
}

impl<C> fmt::Debug for Identity<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// A credential, and which reading of its source it came from.
pub(crate) struct Held<C> {
    pub credential: Arc<C>,
    pub generation: u64,
}

impl<C> fmt::Debug for Held<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held(generation {})", self.generation)
    }
}

impl<C: PartialEq + Send + Sync + 'static> Identity<C> {
    /// Finds the source; asks it nothing yet.
    pub fn new(
        resolve: impl Fn() -> Result<Resolved<C>, StoreError> + Send + Sync + 'static,
    ) -> Result<(Self, Source), StoreError> {
        let resolved = resolve()?;
        let source = resolved.source.clone();
        let state = State {
            generation: 0,
            resolved,
            last: None,
            first_asked: None,
            failed: None,
            renewed_in_vain: None,
        };
        Ok((Self { resolve: Box::new(resolve), state: Mutex::new(state) }, source))
    }

    /// The credential of now. One caller at a time asks the source; the others wait for what it gets.
    pub async fn get(&self) -> Result<Held<C>, IdentityFault> {
        let mut state = self.state.lock().await;
        let first = *state.first_asked.get_or_insert_with(Instant::now);
        if let Some((at, fault)) = &state.failed {
            match &state.last {
                Some(last) if at.elapsed() < REFRESH_REST => {
                    return Ok(Held { credential: Arc::clone(last), generation: state.generation });
                }
                None if at.elapsed() < REST => return Err(fault.clone()),
                _ => {}
            }
        }
        match state.resolved.provider.get_credential().await {
            Ok(credential) => {
                // The source renewed it by itself: whoever still holds the old one is told so when it is refused.
                if state.last.as_ref().is_some_and(|old| *old != credential) {
                    state.generation += 1;
                }
                state.failed = None;
                state.last = Some(Arc::clone(&credential));
                Ok(Held { credential, generation: state.generation })
            }
            Err(error) => {
                let fault = fault(&state.resolved.source, &error, first.elapsed() < READY_WITHIN);
                if state.failed.is_none() {
                    tracing::warn!("{fault}{}", if fault.may_pass { "; it is asked again" } else { "" });
                }
                state.failed = Some((Instant::now(), fault.clone()));
                match &state.last {
                    // Refreshed early, so what is in hand may still do; if not, the store says so.
                    Some(last) => Ok(Held { credential: Arc::clone(last), generation: state.generation }),
                    None => Err(fault),
                }
            }
        }
    }

    /// The store refused a credential of that generation. Reads the sources again; true when another one came of it.
    pub async fn renew(&self, generation: u64) -> bool {
        let mut state = self.state.lock().await;
        if state.generation != generation {
            return true;
        }
        if state.renewed_in_vain.is_some_and(|at| at.elapsed() < REFRESH_REST) {
            return false;
        }
        let renewed = match (self.resolve)() {
            Ok(resolved) => match resolved.provider.get_credential().await {
                Ok(credential) if state.last.as_ref() != Some(&credential) => Some((resolved, credential)),
                Ok(_) => None,
                Err(error) => {
                    tracing::warn!("renew: {}", fault(&resolved.source, &error, false));
                    None
                }
            },
            Err(error) => {
                tracing::warn!("renew the credentials: {error}");
                None
            }
        };
        let Some((resolved, credential)) = renewed else {
            state.renewed_in_vain = Some(Instant::now());
            return false;
        };
        tracing::info!("the store refused the credentials; new ones from {}", resolved.source.chosen);
        state.generation += 1;
        state.resolved = resolved;
        state.last = Some(credential);
        state.failed = None;
        state.renewed_in_vain = None;
        true
    }
}

/// What it means that a source gave nothing.
fn fault(source: &Source, error: &object_store::Error, early: bool) -> IdentityFault {
    let from = source.chosen.clone();
    if let Some(found) = in_chain::<IdentityFault>(error) {
        // The source's own source failed, such as the keys that a role is to be assumed with.
        return IdentityFault { may_pass: found.may_pass && early, ..found.clone() };
    }
    let (class, passing, why) = match in_chain::<HttpFault>(error) {
        // Metadata proxies answer 404 until they know the pod.
        Some(http) if http.may_pass() || http.status == 404 => (Class::Unavailable, true, http.to_string()),
        Some(http) if http.status == 407 => (Class::Config, false, format!("the proxy refuses: {http}")),
        Some(http) => (Class::Denied, false, http.to_string()),
        // What waiting does not cure.
        None if ["certificate", "UnknownIssuer", "proxy", "tunnel"]
            .iter()
            .any(|word| root(error).contains(word)) =>
        {
            (Class::Config, false, root(error))
        }
        None => {
            let passing = in_chain::<object_store::client::HttpError>(error).is_some();
            (if passing { Class::Unavailable } else { Class::Config }, passing, root(error))
        }
    };
    let class = if source.last_resort && class == Class::Unavailable { Class::Config } else { class };
    let why = if source.last_resort && !source.passed_over.is_empty() {
        format!("{why} (and there is {})", source.passed_over.join(", "))
    } else {
        why
    };
    IdentityFault { from, why, class, may_pass: passing && early }
}

/// The innermost words of an error, on one line.
pub(crate) fn root(error: &(dyn Error + 'static)) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string().replace(['\n', '\r'], " ")
}

/// Always the same credential: keys that stand somewhere. They are read again when the store refuses them.
#[derive(Debug)]
pub(crate) struct Fixed<C>(pub Arc<C>);

#[async_trait]
impl<C: fmt::Debug + Send + Sync> CredentialProvider for Fixed<C> {
    type Credential = C;
    async fn get_credential(&self) -> object_store::Result<Arc<C>> {
        Ok(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::client::{HttpError, HttpErrorKind};
    use std::sync::Mutex as Plain;

    /// A source that gives what the test says, and counts.
    #[derive(Debug, Clone, Default)]
    struct Lab(Arc<Plain<Script>>);

    /// What it says, and how often it was asked.
    type Script = (Vec<Result<u32, u16>>, u32);

    impl Lab {
        fn says(answers: impl Into<Vec<Result<u32, u16>>>) -> Self {
            Self(Arc::new(Plain::new((answers.into(), 0))))
        }
        fn asked(&self) -> u32 {
            self.0.lock().unwrap().1
        }
        fn identity(&self) -> Identity<u32> {
            let lab = self.clone();
            let source = Source {
                chosen: "the lab".to_owned(),
                passed_over: vec!["no key".to_owned()],
                last_resort: true,
            };
            let resolve = move || Ok(Resolved { provider: Arc::new(lab.clone()), source: source.clone() });
            Identity::new(resolve).expect("a source").0
        }
    }

    #[async_trait]
    impl CredentialProvider for Lab {
        type Credential = u32;
        async fn get_credential(&self) -> object_store::Result<Arc<u32>> {
            let mut state = self.0.lock().unwrap();
            state.1 += 1;
            // The last answer is given for ever.
            let answer = if state.0.len() > 1 { state.0.remove(0) } else { state.0[0] };
            let generic = |source| object_store::Error::Generic { store: "lab", source: Box::new(source) };
            answer.map(Arc::new).map_err(|status| {
                generic(HttpError::new(
                    if status == 0 { HttpErrorKind::Connect } else { HttpErrorKind::Unknown },
                    HttpFault { status, ..HttpFault::default() },
                ))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_is_not_ready_is_waited_for_and_for_a_minute_only() {
        let lab = Lab::says([Err(503)]);
        let identity = lab.identity();
        let early = identity.get().await.expect_err("not ready");
        assert!(early.may_pass, "{early:?}");
        // Others that ask at once are told the same without asking it again.
        assert!(identity.get().await.is_err());
        assert_eq!(lab.asked(), 1);
        tokio::time::advance(READY_WITHIN).await;
        let late = identity.get().await.expect_err("still not");
        assert!(!late.may_pass && late.class == Class::Config, "{late:?}");
        assert!(late.to_string().contains("the lab") && late.to_string().contains("no key"), "{late}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_refuses_is_not_waited_for() {
        let refused = Lab::says([Err(403)]).identity().get().await.expect_err("refused");
        assert!(!refused.may_pass && refused.class == Class::Denied, "{refused:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_that_fails_leaves_the_credential_that_still_works() {
        let lab = Lab::says([Ok(1), Err(503), Ok(2)]);
        let identity = lab.identity();
        for want in [1, 1, 1] {
            assert_eq!(*identity.get().await.expect("one in hand").credential, want);
        }
        assert_eq!(lab.asked(), 2, "it is left alone for a while");
        tokio::time::advance(REFRESH_REST).await;
        assert_eq!(*identity.get().await.expect("a new one").credential, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_credential_is_renewed_once_for_all_who_hold_it() {
        let lab = Lab::says([Ok(1), Ok(2)]);
        let identity = lab.identity();
        let held = identity.get().await.expect("one");
        let (a, b) = tokio::join!(identity.renew(held.generation), identity.renew(held.generation));
        assert!(a && b);
        assert_eq!(lab.asked(), 2);
        assert_eq!(*identity.get().await.expect("the new one").credential, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_credential_that_its_source_renewed_is_another_one_for_whoever_holds_the_old() {
        let lab = Lab::says([Ok(1), Ok(2)]);
        let identity = lab.identity();
        let old = identity.get().await.expect("one");
        assert_eq!(*identity.get().await.expect("renewed").credential, 2);
        assert!(identity.renew(old.generation).await, "it is in hand already");
        assert_eq!(lab.asked(), 2, "and nobody was asked for it");
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_credential_again_is_no_renewal_and_is_not_asked_for_at_once_again() {
        let lab = Lab::says([Ok(1)]);
        let identity = lab.identity();
        let held = identity.get().await.expect("one");
        assert!(!identity.renew(held.generation).await);
        assert!(!identity.renew(held.generation).await);
        assert_eq!(lab.asked(), 2);
        tokio::time::advance(REFRESH_REST).await;
        assert!(!identity.renew(held.generation).await);
        assert_eq!(lab.asked(), 3);
    }
}
