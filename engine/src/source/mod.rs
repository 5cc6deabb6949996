//! Logs of partitions, behind one small trait.
//!
//! A [`Source`] is asked once which partitions there are and where to begin
//! ([`plan`](Source::plan)); then each worker opens a [`Reader`] of its own and is told which
//! partitions to read. There is no consumer group and no rebalancing: which worker reads which
//! partition is part of a consistent cut, so the job itself has to decide it.

pub mod altered;
pub mod simulated;

pub mod kafka;

use std::sync::Arc;

use strandline_operators::record::{Message, Offset, Partition};

/// A log that a job reads: one topic.
pub trait Source: Clone + Send + Sync + 'static {
    /// What one worker reads with.
    type Reader: Reader;

    /// The topic's name, for outputs and messages.
    fn topic(&self) -> &str;

    /// Which topic this is, which partitions there are, where reading begins, and, in a bounded
    /// run, where it ends (the ends at this moment). Blocks; retries while the log cannot be
    /// reached, having said so once; asks `stopped` between tries.
    ///
    /// The partitions of `kept` begin where they are said to begin, and others, if it is not
    /// empty, at their beginning.
    ///
    /// # Errors
    ///
    /// [`SourceError::Stopped`], or what no retry can mend, such as an absent topic.
    fn plan(
        &self,
        kept: &[PartitionStart],
        stopped: &dyn Fn() -> bool,
    ) -> Result<Plan, SourceError>;

    /// Whether partitions have ends: the run is over when it has read to those.
    fn is_bounded(&self) -> bool;

    /// Takes note of up to where results are durable, for whoever watches the lag from outside.
    /// Does not block, and recovery does not rely on it.
    fn committed(&self, _positions: &[(Partition, Offset)]) {}

    /// Which partitions there are beyond the first `known`, to be read from their beginning. May
    /// block; is called from a thread of its own.
    ///
    /// # Errors
    ///
    /// What stands in the way just now: the caller tries again later.
    fn discover(&self, known: u32) -> Result<Vec<PartitionStart>, SourceError>;

    /// Opens the reader of one worker. `wake` is called, from any thread, when there may be
    /// something to read after a read came back empty.
    ///
    /// # Errors
    ///
    /// Settings that make no reader.
    fn reader(&self, wake: Wake) -> Result<Self::Reader, SourceError>;
}

/// Wakes the worker that a reader belongs to.
#[derive(Clone)]
pub struct Wake(Arc<dyn Fn() + Send + Sync>);

impl Wake {
    /// Wakes by calling `wake`.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Wake {
        Wake(Arc::new(wake))
    }

    /// Wakes. Cheap, from any thread, as often as you like.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl std::fmt::Debug for Wake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wake")
    }
}

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which topic it is.
    pub topic: TopicIdentity,
    /// Its partitions.
    pub partitions: Vec<PartitionStart>,
}

/// Tells a topic apart from others, also from those that had or will have its name.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TopicIdentity {
    /// The name.
    pub name: String,
    /// The cluster's id, where it has one.
    pub cluster: Option<String>,
    /// The topic's id, where the cluster gives it one.
    pub id: Option<String>,
}

impl TopicIdentity {
    /// A topic of which only the name is known.
    pub fn named(name: &str) -> TopicIdentity {
        TopicIdentity { name: name.to_owned(), cluster: None, id: None }
    }
}

/// Where the reading of a partition begins and ends.
#[derive(Copy, Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PartitionStart {
    /// The partition.
    pub partition: Partition,
    /// The first offset to read.
    pub next_offset: Offset,
    /// In a bounded run: the offset to stop before.
    pub end: Option<Offset>,
}

/// Reads the partitions of one worker. Never blocks.
pub trait Reader: 'static {
    /// The topic that is to be read, as the process that planned found it: reading another one of that
    /// name is an error. Called before the first partition is assigned.
    fn expect(&mut self, _topic: &TopicIdentity) {}

    /// Begins to read a partition.
    ///
    /// # Errors
    ///
    /// What stands in the way of reading it at all.
    fn assign(&mut self, start: PartitionStart) -> Result<(), SourceError>;

    /// Hands at most `limit` messages of an assigned partition to `visit`, in the order of their
    /// offsets, none twice, none at or after the partition's end. What is not yet here is not
    /// waited for.
    ///
    /// # Errors
    ///
    /// What no retry can mend, such as offsets whose messages are gone. A log that cannot be
    /// reached is no error: nothing is read until it is back.
    fn read(
        &mut self,
        partition: Partition,
        limit: usize,
        visit: impl FnMut(Message<'_>),
    ) -> Result<Progress, SourceError>;

    /// Asks the log where an assigned partition ends now. Does not block: the answer comes with a
    /// later read, as [`Progress::asked_end`], and `wake` is called when it is there. Another
    /// question takes the place of the one before it. A log that cannot be reached does not answer.
    ///
    /// # Errors
    ///
    /// The partition was not assigned.
    fn ask_end(&mut self, partition: Partition) -> Result<(), SourceError>;

    /// The end of an assigned partition (the high watermark), as heard some seconds ago at most, also
    /// if it is not read; `None` if that is unknown, as while the log cannot be reached. Does not
    /// block: what is too old is asked for, and known when this is called again.
    fn end(&mut self, partition: Partition) -> Option<Offset>;
}

/// How far a partition has been read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many messages this call handed over.
    pub messages: usize,
    /// Offsets passed over by this call that hold no message: transaction markers, compaction.
    pub skipped: u64,
    /// The next offset to read: everything before it was handed over or holds no message.
    pub position: Offset,
    /// The end of the partition (the high watermark), as last heard with messages; `None` if it was
    /// not. It may be old: [`Reader::end`] is not.
    pub end: Option<Offset>,
    /// The end (the high watermark) that the log reported in answer to the last
    /// [`ask_end`](Reader::ask_end): later than that was asked. `None` until it has answered.
    pub asked_end: Option<Offset>,
    /// Whether the log says at this moment that there is nothing at `position` (never guessed from an
    /// empty read: a busy reader is not idle, and a log that does not answer may hold anything).
    pub at_end: bool,
    /// Whether the end of a bounded run has been reached: nothing more will come.
    pub finished: bool,
}

/// What helps where a log no longer holds what is to be read. With a checkpoint, where reading begins
/// is said by that alone.
pub(crate) const START_OVER: &str = "start over with --fresh, from where --from says: a checkpoint, \
                                     if there is one, is left behind with its open windows";

/// Why a source cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The topic does not exist.
    #[error(
        "topic `{topic}` does not exist on {bootstrap}: create it, or name another with --topic"
    )]
    TopicAbsent {
        /// The topic asked for.
        topic: String,
        /// The broker asked.
        bootstrap: String,
    },
    /// Messages that were to be read are no longer there.
    #[error(
        "data of topic `{topic}` partition {} is gone: expected offset {}, but the log now begins \
         at {} ({} offsets lost); to go on without them, {}",
        .partition.0, .expected.0, .low.0, .low.0.saturating_sub(.expected.0), START_OVER
    )]
    DataGone {
        /// The topic.
        topic: String,
        /// The partition.
        partition: Partition,
        /// The offset that was to be read next.
        expected: Offset,
        /// The first offset that the log still has.
        low: Offset,
    },
    /// A setting that the client does not take.
    #[error("{0}")]
    Config(String),
    /// The system has no room for the client: no option is wrong.
    #[error(
        "the client cannot start: {0}; this process may have no more threads or memory: raise the limit \
         (ulimit -u, ulimit -v, or the container's), or end other programs"
    )]
    NoResources(String),
    /// The job was asked to stop while it waited for the log.
    #[error("stopped before the log could be reached")]
    Stopped,
    /// Anything else that retries do not mend.
    #[error("reading topic `{topic}`: {reason}")]
    Failed {
        /// The topic.
        topic: String,
        /// What the client said.
        reason: String,
    },
}
