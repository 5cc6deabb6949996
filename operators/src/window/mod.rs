//! Windows over a stream of events.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::record::{Offset, Partition};
use crate::time::EventTime;

/// A window of event time: `start <= t < end`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first time in it.
    pub start: EventTime,
    /// The first time after it.
    pub end: EventTime,
}

/// The records of one partition that a row covers.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The partition.
    pub partition: Partition,
    /// The least offset among them.
    pub first: Offset,
    /// The greatest offset among them.
    pub last: Offset,
    /// How many they are (other keys' records lie between them).
    pub records: u64,
}

/// The records that a row covers, a span a partition, sorted by partition. A key usually comes
/// from one partition, so one span needs no allocation.
pub type Spans = SmallVec<[Span; 1]>;

/// One result: a key, a window, what was computed, and where it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row<O> {
    /// The key.
    pub key: Arc<str>,
    /// The window.
    pub window: Window,
    /// What the aggregates computed.
    pub output: O,
    /// Which records it covers.
    pub spans: Spans,
}
