//! What crosses to the worker that merges a key.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::slots::Slot;
use crate::record::{Key, Offset, Partition};
use crate::time::EventTime;

/// What one worker sends to another about keys of the other one: partial results, and what their
/// small numbers stand for. It is made by a [`Fold`](super::Fold) and taken by
/// [`MergeWindows`](super::MergeWindows).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shipment<P>(pub(super) Content<P>);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Content<P> {
    /// `slot` of `sender` stands for this key, from now on.
    Name { route: u64, sender: u32, slot: Slot, partition: Partition, key: Box<str> },
    /// `slot` of `sender` stands for nothing any more.
    Forget { route: u64, sender: u32, slot: Slot },
    /// One record, of a key that has no slot.
    Alone { route: u64, key: ShippedKey, pane: LonePane<P> },
    /// Records of one partition, key and window.
    Partial { route: u64, sender: u32, pane: PartialPane<P> },
}

/// A partial result: records of one partition, key and window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PartialPane<P> {
    pub(super) slot: Slot,
    pub(super) start: EventTime,
    pub(super) first: Offset,
    pub(super) last: Offset,
    pub(super) records: u64,
    pub(super) partial: P,
}

/// A record as a partial result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LonePane<P> {
    pub(super) start: EventTime,
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    pub(super) partial: P,
}

/// The bytes of a key, which are UTF-8. Up to the length of a UUID as text it needs no allocation,
/// which another worker would have to free.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ShippedKey(SmallVec<[u8; 36]>);

impl ShippedKey {
    pub(super) fn key(&self) -> Key<'_> {
        Key::of_utf8(&self.0)
    }
}

impl From<Key<'_>> for ShippedKey {
    #[inline]
    fn from(key: Key<'_>) -> ShippedKey {
        ShippedKey(SmallVec::from_slice(key.as_bytes()))
    }
}

impl<P> Shipment<P> {
    /// The route and the key of a record whose key has no slot.
    pub(super) fn lone_key(&self) -> Option<(u64, Key<'_>)> {
        match &self.0 {
            Content::Alone { route, key, .. } => Some((*route, key.key())),
            _ => None,
        }
    }

    /// Where it goes.
    pub(super) fn route(&self) -> u64 {
        match self.0 {
            Content::Name { route, .. }
            | Content::Forget { route, .. }
            | Content::Alone { route, .. }
            | Content::Partial { route, .. } => route,
        }
    }
}
