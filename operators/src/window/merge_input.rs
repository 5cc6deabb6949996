//! What crosses to the worker that merges a key.

use serde::{Deserialize, Serialize};

use super::key_group::KeyGroup;
use super::slots::Slot;
use super::unfolded::UnfoldedBatch;
use crate::record::{Offset, Partition};
use crate::time::EventTime;

/// What one worker sends to another about keys of the other one: partial results, and what their
/// small numbers stand for. It is made by a [`Fold`](super::Fold) and taken by
/// [`MergeWindows`](super::MergeWindows).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MergeInput<V, P>(pub(super) MergeMessage<V, P>);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum MergeMessage<V, P> {
    /// `slot` of `sender` stands for this key, from now on.
    Bind { route: u64, sender: u32, slot: Slot, partition: Partition, key: Box<str> },
    /// `slot` of `sender` stands for nothing any more.
    Unbind { route: u64, sender: u32, slot: Slot },
    /// Records of keys of one group, which have no slots.
    Unfolded(UnfoldedBatch<V>),
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

impl<V, P> MergeInput<V, P> {
    /// How much memory it takes, in bytes, roughly. O(1).
    pub fn bytes(&self) -> usize {
        let beside = match &self.0 {
            MergeMessage::Bind { key, .. } => key.len(),
            MergeMessage::Unfolded(batch) => batch.bytes(),
            MergeMessage::Unbind { .. } | MergeMessage::Partial { .. } => 0,
        };
        size_of::<Self>() + beside
    }

    /// Whether it adds to panes, which it does in its epoch. What a slot stands for is learned at once.
    pub(super) fn has_records(&self) -> bool {
        matches!(self.0, MergeMessage::Partial { .. } | MergeMessage::Unfolded(_))
    }

    /// Where it goes.
    pub(super) fn group(&self) -> KeyGroup {
        match &self.0 {
            MergeMessage::Bind { route, .. }
            | MergeMessage::Unbind { route, .. }
            | MergeMessage::Partial { route, .. } => KeyGroup::of_route(*route),
            MergeMessage::Unfolded(batch) => batch.group(),
        }
    }
}
