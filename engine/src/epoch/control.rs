//! What the coordinator and the sources say to each other: an epoch begins, an epoch is over.
//!
//! Epoch numbers come from worker 0 and are broadcast. A source changes epoch at a moment of its
//! own, says what it had read until then, and stamps everything after that with the new epoch. No
//! source waits for another: progress tracking finds out when all of them have moved.

use serde::{Deserialize, Serialize};
use strandline_operators::record::{Offset, SmolStr};
use strandline_operators::time::EventTime;
use strandline_operators::window::EpochCount;

use crate::checkpoint::manifest::PartitionCut;
use crate::monitor::others::Raised;
use crate::notice::Notice;
use crate::partition::{PartitionState, Unreadable};
use crate::source::{PartitionStart, TopicIdentity};

/// A new epoch, said by the coordinator to every source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Turn {
    /// The epoch to enter.
    pub(crate) epoch: u64,
    /// What idle partitions are lifted to, where that is known.
    pub(crate) floor: Option<EventTime>,
    /// Partitions to read from this epoch on.
    pub(crate) assign: Vec<Assignment>,
    /// The topic that they are of; only together with partitions.
    pub(crate) topic: Option<TopicIdentity>,
    /// No window that ends at or before this may be opened again, by a partition that is new.
    pub(crate) closed_before: EventTime,
    /// Whether the partitions have ends: a source that has read all of its own is finished.
    pub(crate) bounded: bool,
    /// What to do besides.
    pub(crate) order: Order,
    /// The epochs before this one are complete: what was sent in them is merged everywhere.
    pub(crate) complete_before: u64,
    /// The last epoch whose cut has become a checkpoint, for those who leave and may not hear of
    /// it otherwise.
    pub(crate) committed: Option<u64>,
}

/// The last words that a worker that leaves has heard: the last epoch whose cut has become a
/// checkpoint, if there are checkpoints.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leave {
    pub(crate) committed: Option<u64>,
}

/// What a source does from an epoch on.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// It reads.
    Read,
    /// It reads no more and holds its time, so that no window closes.
    Rest,
    /// The worker leaves: everything that was read is durable.
    Leave,
}

/// A partition and the worker that reads it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) worker: usize,
    pub(crate) start: PartitionStart,
    /// Where an earlier run left it.
    pub(crate) kept: Option<PartitionCut>,
}

/// What a source had read of a partition when it left an epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ack {
    /// The epoch that is over.
    pub(crate) epoch: u64,
    pub(crate) worker: usize,
    /// Everything before its `next_offset` belongs to this epoch or an earlier one. The floor is
    /// that of the next epoch: windows may close by it before the next epoch has a record.
    /// `windowed` is not a source's to say.
    pub(crate) cut: PartitionCut,
    pub(crate) end: Option<Offset>,
    pub(crate) state: PartitionState,
    /// When its last record was read.
    pub(crate) last_record_at: Option<EventTime>,
    /// When its last record was read that is no dead letter, ...
    pub(crate) last_readable_at: Option<EventTime>,
    /// ... and the first dead letter since.
    pub(crate) first_unreadable: Option<Unreadable>,
    /// Bytes of the payloads that were read in this run.
    pub(crate) bytes_read: u64,
    /// The key of a record that took it to its greatest event time, if one was noted in this run.
    pub(crate) newest_key: Option<SmolStr>,
}

/// What is said to the coordinator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are acknowledgements, one a partition and epoch"
)]
pub(crate) enum Report {
    /// A source has left an epoch.
    Read(Ack),
    /// Windows have counted an epoch.
    Counted(EpochCount),
    /// The process of a source has been asked to stop.
    StopAsked,
    /// A partition has run ahead and waits for the others.
    Waits,
    /// So much that was sent is not known to be merged that the next epoch should begin at once: it is
    /// merged when its epoch is complete.
    Laden,
    /// What is raised in a process that does not lead has changed.
    Raised(Raised),
    /// A source has noticed something that a person should hear.
    Noticed(Notice),
}
