//! How far each partition is in event time, and what that makes late.
//!
//! A watermark belongs to one partition: the greatest event time that was read from it, less a
//! delay. Whether a record is late is decided by the watermark of its own partition alone, so it
//! depends on nothing but that partition's contents, and a slow partition cannot make the records
//! of a fast one late, or the other way round.
//!
//! The least watermark of all partitions is what a source holds its capability at; a frontier is
//! how every operator of every worker learns of it. A partition that has fallen silent would hold
//! everything back, so it can be lifted to a *floor*: what the others had reached. That is the one
//! thing here that is not a function of the data, and it changes only where an epoch does.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::record::Partition;
use crate::time::EventTime;

/// The watermark of one partition. It never falls.
///
/// ```
/// use std::time::Duration;
/// use strandline_operators::time::EventTime;
/// use strandline_operators::watermark::PartitionWatermark;
///
/// let mut watermark = PartitionWatermark::new(Duration::from_secs(60), EventTime::MIN);
/// watermark.observe(EventTime::from_millis(100_000));
/// watermark.observe(EventTime::from_millis(90_000)); // out of order: nothing moves
/// assert_eq!(watermark.value(), EventTime::from_millis(40_000));
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PartitionWatermark {
    delay: Duration,
    floor: EventTime,
    max_event_time: Option<EventTime>,
    /// What follows from the others: it is asked for at every record, and they seldom change.
    value: EventTime,
}

impl PartitionWatermark {
    /// A watermark `delay` behind the greatest event time, and never below `floor`.
    pub fn new(delay: Duration, floor: EventTime) -> Self {
        PartitionWatermark::restored(delay, floor, None)
    }

    /// The watermark as it was when `max_event_time` was its greatest event time.
    pub fn restored(
        delay: Duration,
        floor: EventTime,
        max_event_time: Option<EventTime>,
    ) -> PartitionWatermark {
        let value = max_event_time.map_or(floor, |time| floor.max(time - delay));
        PartitionWatermark { delay, floor, max_event_time, value }
    }

    /// Takes note of a valid record's event time.
    #[inline]
    pub fn observe(&mut self, time: EventTime) {
        if self.max_event_time < Some(time) {
            self.max_event_time = Some(time);
            self.value = self.value.max(time - self.delay);
        }
    }

    /// The watermark: no window that ends at or before it takes another record of this partition.
    #[inline]
    pub fn value(&self) -> EventTime {
        self.value
    }

    /// Raises the floor; a lower one than there is changes nothing.
    pub fn lift(&mut self, floor: EventTime) {
        self.floor = self.floor.max(floor);
        self.value = self.value.max(floor);
    }

    /// The floor.
    pub fn floor(&self) -> EventTime {
        self.floor
    }

    /// The greatest event time observed.
    pub fn max_event_time(&self) -> Option<EventTime> {
        self.max_event_time
    }
}

/// What a partition does to the watermarks of the others.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It brings records: everything waits for it.
    Active,
    /// It is at its end and silent: at the next change of epoch it is lifted to what the active
    /// ones have reached.
    Idle,
    /// Nothing more will come: it holds nothing.
    Finished,
}

/// The watermarks of several partitions and their minimum.
///
/// ```
/// use std::time::Duration;
/// use strandline_operators::record::Partition;
/// use strandline_operators::time::EventTime;
/// use strandline_operators::watermark::{Activity, PartitionWatermark, Watermarks};
///
/// let at = |millis| {
///     let mut watermark = PartitionWatermark::new(Duration::ZERO, EventTime::MIN);
///     watermark.observe(EventTime::from_millis(millis));
///     watermark
/// };
/// let mut watermarks = Watermarks::default();
/// watermarks.set(Partition(0), at(2), Activity::Active);
/// watermarks.set(Partition(1), at(5), Activity::Active);
/// assert_eq!(watermarks.minimum(), Some(EventTime::from_millis(2)));
///
/// // Partition 0 falls silent. It still holds, until the epoch changes.
/// watermarks.set(Partition(0), at(2), Activity::Idle);
/// assert_eq!(watermarks.minimum(), Some(EventTime::from_millis(2)));
/// let floor = watermarks.floor().unwrap();
/// watermarks.lift_idle(floor);
/// assert_eq!(watermarks.minimum(), Some(EventTime::from_millis(5)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Watermarks {
    partitions: BTreeMap<Partition, (PartitionWatermark, Activity)>,
}

impl Watermarks {
    /// Sets what is known of a partition.
    pub fn set(&mut self, partition: Partition, watermark: PartitionWatermark, as_: Activity) {
        self.partitions.insert(partition, (watermark, as_));
    }

    /// The least watermark of the partitions that are not finished; `None` where there is none, or
    /// where one of them has none yet.
    pub fn minimum(&self) -> Option<EventTime> {
        self.unfinished().map(|(_, watermark)| watermark).min().filter(|min| EventTime::MIN < *min)
    }

    /// The partition that the minimum is waiting for.
    pub fn furthest_behind(&self) -> Option<Partition> {
        self.unfinished().min_by_key(|(_, watermark)| *watermark).map(|(partition, _)| partition)
    }

    /// The floor for the next epoch: the least watermark of the active partitions. `None` where
    /// none is active (then time stands still) or one of them has no watermark yet.
    pub fn floor(&self) -> Option<EventTime> {
        self.partitions
            .values()
            .filter(|(_, activity)| *activity == Activity::Active)
            .map(|(watermark, _)| watermark.value())
            .min()
            .filter(|min| EventTime::MIN < *min)
    }

    /// Lifts the idle partitions to `floor`.
    pub fn lift_idle(&mut self, floor: EventTime) {
        for (watermark, activity) in self.partitions.values_mut() {
            if *activity == Activity::Idle {
                watermark.lift(floor);
            }
        }
    }

    /// The watermark of one partition.
    pub fn get(&self, partition: Partition) -> Option<&PartitionWatermark> {
        self.partitions.get(&partition).map(|(watermark, _)| watermark)
    }

    fn unfinished(&self) -> impl Iterator<Item = (Partition, EventTime)> + '_ {
        self.partitions
            .iter()
            .filter(|(_, (_, activity))| *activity != Activity::Finished)
            .map(|(partition, (watermark, _))| (*partition, watermark.value()))
    }
}
