//! What a job knows of each partition, at one moment.

use serde::{Deserialize, Serialize};
use strandline_operators::decode::DeadReason;
use strandline_operators::record::{Offset, Partition};
use strandline_operators::time::EventTime;

use crate::ledger::Ledger;

/// What holds a partition where it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PartitionState {
    /// It is being read, and windows wait for it.
    Active,
    /// It is at its end and has been silent for long enough not to hold the others back.
    Idle,
    /// It ran ahead of the others by more than the drift that is allowed, and is not read.
    Paused,
    /// The end of a bounded run.
    Finished,
}

/// A record that could not be read.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Where it is in its partition.
    pub offset: Offset,
    /// Why it is a dead letter.
    pub reason: DeadReason,
}

/// One partition of the topic.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// The partition.
    pub partition: Partition,
    /// The worker that reads it.
    pub worker: usize,
    /// The next offset to read.
    pub position: Offset,
    /// The end of the partition; `None` if it is unknown, as while Kafka cannot be reached.
    pub end: Option<Offset>,
    /// The greatest event time read, if any.
    pub max_event_time: Option<EventTime>,
    /// Its watermark.
    pub watermark: EventTime,
    /// What holds it.
    pub state: PartitionState,
    /// When its last record was read, in civil time, if it had one in this run.
    pub last_record_at: Option<EventTime>,
    /// When its last record was read that is no dead letter, if it had one in this run.
    pub last_readable_at: Option<EventTime>,
    /// The first dead letter that was read since, if there was one in this run.
    pub first_unreadable: Option<Unreadable>,
    /// Bytes of the payloads that were read in this run.
    pub bytes_read: u64,
    /// Its part of the ledger.
    pub ledger: Ledger,
    /// What of that was there when this run began.
    pub ledger_before: Ledger,
    /// Offsets passed over that hold no message.
    pub skipped: u64,
    /// How many of these there were when this run began.
    pub skipped_before: u64,
    /// Records whose message had no timestamp, so that no time is too far in the future for them.
    pub untimed: u64,
}

impl PartitionView {
    /// Records between the position and the end, if that is known.
    pub fn lag(&self) -> Option<u64> {
        Some(self.end?.0.saturating_sub(self.position.0))
    }
}
