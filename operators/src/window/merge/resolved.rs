//! What is added to a pane: of which key, window and records it is.

use crate::aggregate::Aggregate;
use crate::time::EventTime;
use crate::window::Span;
use crate::window::key_dictionary::KeyId;

/// Something to be added to a pane: of which key, window and records it is.
pub(super) struct Resolved<T> {
    pub(super) key: KeyId,
    pub(super) start: EventTime,
    pub(super) span: Span,
    pub(super) what: T,
}

/// What is added to a pane.
pub(super) enum Addend<'a, V, P> {
    /// A record that was not folded with others.
    Value(&'a V),
    Partial(&'a P),
}

impl<V, P: Clone> Addend<'_, V, P> {
    pub(super) fn to_partial<A: Aggregate<V, Partial = P>>(&self, aggregate: &A) -> P {
        match *self {
            Addend::Value(value) => aggregate.lift(value),
            Addend::Partial(partial) => partial.clone(),
        }
    }
}

/// What waits for its epoch.
pub(super) enum Kept<P> {
    /// A partial result, with a reference to its key.
    Partial(Resolved<P>),
    /// How many bytes crossed for those that came before it.
    Bytes(usize),
}
