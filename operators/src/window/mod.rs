//! Windows over a stream of events.
//!
//! A record's way through here is [`Fold`] (on the worker that read it), exchange by key,
//! `merge` (combine, close as the frontier passes). A source that folds what it reads needs
//! [`MergeWindows`] alone; for a stream of events, [`WindowAggregate`] builds both.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use smol_str::SmolStr;
use timely::ExchangeData;
use timely::dataflow::{Stream, StreamVec};

use crate::aggregate::Aggregate;
use crate::record::{Events, Offset, Partition};
use crate::time::{EventTime, Time};

mod fold;
mod index;
mod key_dictionary;
mod key_group;
mod merge;
mod merge_input;
mod open;
mod pages;
mod panes;
mod partial;
mod prefetch;
mod provenance;
mod slots;
mod state;
mod tumbling;
mod unfolded;
mod unmerged;
mod unsent;

pub use fold::Fold;
pub use index::PlacementSeed;
pub use key_group::{KEY_GROUPS, KeyGroup};
pub use merge_input::MergeInput;
pub use state::{Cut, LAST_EPOCH, PaneState, Snapshot, WindowInputs};
pub use tumbling::Tumbling;
pub use unmerged::Unmerged;

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
    /// The key: one of up to 23 bytes is copied with its row and needs no allocation.
    pub key: SmolStr,
    /// The window.
    pub window: Window,
    /// What the aggregates computed.
    pub output: O,
    /// Which records it covers.
    pub spans: Spans,
}

/// Aggregates events by key and window.
pub trait WindowAggregate<'s, V: ExchangeData + Clone> {
    /// Computes `aggregate` for every key and window.
    ///
    /// A record is expected only while the window it falls into is open, that is, the stream
    /// carries no late records: the source decides what is late
    /// ([`Tumbling::is_late`]). `inputs` asks for live rows and copies of the state, and brings
    /// state back; [`WindowInputs::none`] does nothing of the kind.
    ///
    /// Work per record is O(1); state is one pane for each key and open window.
    ///
    /// ```
    /// use std::time::Duration;
    /// use strandline_operators::aggregate::Count;
    /// use strandline_operators::record::{Events, Offset, Partition};
    /// use strandline_operators::time::{EventTime, Time};
    /// use strandline_operators::window::{Tumbling, WindowAggregate, WindowInputs};
    /// use timely::container::NoopBuilder;
    /// use timely::dataflow::operators::Inspect;
    /// use timely::dataflow::operators::core::UnorderedInput;
    ///
    /// let counts = timely::execute_directly(|worker| {
    ///     let (mut input, capability, counts) = worker.dataflow::<Time, _, _>(|scope| {
    ///         let ((input, capability), events) =
    ///             scope.new_unordered_input::<NoopBuilder<Events<()>>>();
    ///         let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
    ///         let (sender, counts) = std::sync::mpsc::channel();
    ///         events.window(windows, Count, WindowInputs::none(scope)).finals.inspect(move |row| {
    ///             sender.send(row.output).unwrap();
    ///         });
    ///         (input, capability, counts)
    ///     });
    ///     let mut batch = Events::default();
    ///     for (offset, millis) in [(0, 1_000), (1, 2_000), (2, 11_000)] {
    ///         let time = EventTime::from_millis(millis);
    ///         batch.push("a", time, Partition(0), Offset(offset), ());
    ///     }
    ///     input.activate().session_with_builder(&capability).give_container(&mut batch);
    ///     counts
    /// });
    /// let counts: Vec<u64> = counts.iter().collect();
    /// assert_eq!(counts, [2, 1]);
    /// ```
    fn window<A: Aggregate<V>>(
        self,
        windows: Tumbling,
        aggregate: A,
        inputs: WindowInputs<'s, A::Partial>,
    ) -> Windowed<'s, A::Partial, A::Output>;
}

impl<'s, V: ExchangeData + Clone> WindowAggregate<'s, V> for Stream<'s, Time, Events<V>> {
    fn window<A: Aggregate<V>>(
        self,
        windows: Tumbling,
        aggregate: A,
        inputs: WindowInputs<'s, A::Partial>,
    ) -> Windowed<'s, A::Partial, A::Output> {
        let placement = inputs.placement;
        let partials = partial::partial_windows(self, windows, aggregate.clone(), placement);
        partials.merge_windows(windows, aggregate, inputs)
    }
}

/// Merges what the [`Fold`]s of all workers send.
pub trait MergeWindows<'s, V, P: Clone + 'static> {
    /// Combines partial results by key and window, and closes windows as the frontier passes them.
    /// In all else as [`WindowAggregate::window`], which is this after a fold of events.
    fn merge_windows<A: Aggregate<V, Partial = P>>(
        self,
        windows: Tumbling,
        aggregate: A,
        inputs: WindowInputs<'s, P>,
    ) -> Windowed<'s, P, A::Output>;
}

impl<'s, V: ExchangeData + Clone, P: ExchangeData + Clone> MergeWindows<'s, V, P>
    for StreamVec<'s, Time, MergeInput<V, P>>
{
    fn merge_windows<A: Aggregate<V, Partial = P>>(
        self,
        windows: Tumbling,
        aggregate: A,
        inputs: WindowInputs<'s, P>,
    ) -> Windowed<'s, P, A::Output> {
        merge::merge_windows(self.scope(), self, inputs, windows, aggregate)
    }
}

/// What comes out of windows.
pub struct Windowed<'s, P: 'static, O: ExchangeData + Clone> {
    /// One row for each key and window, once, when the frontier has passed the window.
    pub finals: StreamVec<'s, Time, Row<O>>,
    /// What the open windows hold, at each pulse.
    pub live: StreamVec<'s, Time, Live<O>>,
    /// How many records the windows counted, by epoch and partition: one side of the ledger.
    pub counts: StreamVec<'s, Time, EpochCount>,
    /// What each worker holds at each cut.
    pub snapshots: StreamVec<'s, Time, Snapshot<P>>,
}

/// Asks for live rows.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    /// The start of the window whose rows are wanted.
    pub show: Option<EventTime>,
}

/// What one worker publishes of its open windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Live<O> {
    /// The windows that are open on this worker, the oldest first.
    Open(Vec<WindowKeys>),
    /// A row of the window asked for, as it stands. Rows that did not change since the last pulse
    /// are left out.
    Row(Row<O>),
}

/// A window and how many keys have a row in it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowKeys {
    /// The window.
    pub window: Window,
    /// Keys on one worker.
    pub keys: u64,
}

/// Records that windows counted in one epoch.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochCount {
    /// The epoch.
    pub epoch: u64,
    /// Where the records were read.
    pub partition: Partition,
    /// How many.
    pub records: u64,
}
