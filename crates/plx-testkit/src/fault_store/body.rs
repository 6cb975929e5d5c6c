//! Streams that break.

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use object_store::{PutPayload, Result};

use super::rules::{Fault, reset};
use super::{FaultStore, Flight};

const PIECE: usize = 64 * 1024;

/// The body of a read, in pieces, as far as the fault lets it.
pub(super) fn body(
    mut bytes: Bytes,
    fault: Option<Fault>,
    flight: Flight,
) -> BoxStream<'static, Result<Bytes>> {
    if fault == Some(Fault::Corrupt) {
        bytes = corrupt(bytes);
    }
    let (limit, end) = Ending::of(fault.as_ref());
    bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let pieces = stream::unfold(bytes, |mut rest| async move {
        // So that a reader of many pieces lets others run.
        tokio::task::yield_now().await;
        let piece = rest.split_to(rest.len().min(PIECE));
        (!piece.is_empty()).then_some((Ok(piece), rest))
    });
    hold(pieces.chain(end.stream()).boxed(), flight)
}

/// A listing, as far as the fault lets it.
pub(super) fn listing<T: Send + 'static>(
    store: &FaultStore,
    prefix: String,
    entries: BoxStream<'static, Result<T>>,
    flight: Flight,
    fault: Option<Fault>,
) -> BoxStream<'static, Result<T>> {
    let store = store.clone();
    let (limit, end) = Ending::of(fault.as_ref());
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let first = async move { store.suffer(fault, &prefix).await };
    let entries = stream::once(first).flat_map({
        let mut entries = Some(entries);
        move |suffered| match suffered {
            Ok(_) => entries
                .take()
                .unwrap_or_else(|| stream::empty().boxed())
                .take(limit)
                .chain(end.stream())
                .boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    });
    hold(entries.boxed(), flight)
}

/// What comes where a stream breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Quiet,
    Break,
    Stall,
}

impl Ending {
    fn of(fault: Option<&Fault>) -> (u64, Self) {
        match fault {
            Some(Fault::Truncate(n)) => (*n, Ending::Break),
            Some(Fault::Short(n)) => (*n, Ending::Quiet),
            Some(Fault::StallAfter(n)) => (*n, Ending::Stall),
            Some(Fault::Lost) => (0, Ending::Break),
            _ => (u64::MAX, Ending::Quiet),
        }
    }

    fn stream<T: Send + 'static>(self) -> BoxStream<'static, Result<T>> {
        match self {
            Ending::Quiet => stream::empty().boxed(),
            Ending::Break => stream::iter([Err(reset())]).boxed(),
            Ending::Stall => stream::pending().boxed(),
        }
    }
}

/// The call is under way as long as the stream lives.
fn hold<T: Send + 'static>(
    inner: BoxStream<'static, Result<T>>,
    flight: Flight,
) -> BoxStream<'static, Result<T>> {
    stream::unfold((inner, flight), |(mut inner, flight)| async move {
        let item = inner.next().await?;
        Some((item, (inner, flight)))
    })
    .boxed()
}

/// The same with one bit turned, in the middle.
pub(super) fn corrupt(bytes: Bytes) -> Bytes {
    let mut bytes = Vec::from(bytes);
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.into()
}

/// What is stored of what was sent: a copy, as over a network. Kept itself, a buffer of the sender's would never return.
pub(super) fn stored(payload: PutPayload, fault: Option<Fault>) -> PutPayload {
    let bytes = Bytes::copy_from_slice(&Bytes::from(payload));
    if fault == Some(Fault::Corrupt) { corrupt(bytes).into() } else { bytes.into() }
}
