//! What is odd about the times of a partition's records, so that a person can be told.
//!
//! It costs the way of a record two comparisons with what does not change while it is read. What is
//! looked at more closely are a few records: the first of each epoch that takes its partition on, the
//! first that is rejected because of its time, and those that are ahead of this computer's clock.

use std::time::Duration;

use strandline_operators::decode::{DeadReason, Decode};
use strandline_operators::record::{Key, Message, Partition, SmolStr, TimestampType};
use strandline_operators::time::EventTime;

use super::IngestOptions;
use crate::notice::Notice;

/// A time so far before the log's timestamp may be one in another unit: seconds, read as
/// milliseconds, are in January 1970.
const OTHER_UNIT_BEYOND: Duration = Duration::from_secs(365 * 86_400);
/// How many records of a partition are read, at least, where there are so many, before it is said that
/// they are in another unit.
const RECORDS_MIN: u64 = 10;
/// The largest payload that is kept for that, in bytes.
const SAMPLE_BYTES_MAX: usize = 1 << 16;

/// What is known of the times of one partition.
#[derive(Debug)]
pub(super) struct TimeCheck {
    /// The key of a record that took the partition to its greatest event time.
    newest_key: Option<SmolStr>,
    /// Whether the next such record is to be noted.
    pub(super) seeks_key: bool,
    /// Later times are ahead of this computer's clock by more than is accepted; those of bounded runs
    /// never are.
    pub(super) ahead_after: EventTime,
    is_bounded: bool,
    said_ahead: bool,
    wall: EventTime,
    sample: Option<Sample>,
    /// Whether it is decided what the unit is.
    unit_is_settled: bool,
}

/// A record whose time is far from where it should be.
#[derive(Debug)]
struct Sample {
    payload: Vec<u8>,
    expected: EventTime,
}

impl TimeCheck {
    pub(super) fn new(is_bounded: bool) -> TimeCheck {
        TimeCheck {
            newest_key: None,
            seeks_key: true,
            ahead_after: EventTime::MAX,
            is_bounded,
            said_ahead: false,
            wall: EventTime::MIN,
            sample: None,
            unit_is_settled: false,
        }
    }

    /// Messages are read now, by the clock on the wall.
    pub(super) fn read_at(&mut self, wall: EventTime, options: &IngestOptions) {
        self.wall = wall;
        let is_decided = self.said_ahead && !options.future_by_clock;
        self.ahead_after = match self.is_bounded || is_decided {
            true => EventTime::MAX,
            false => wall + options.max_future,
        };
    }

    /// An epoch begins.
    pub(super) fn enter_epoch(&mut self) {
        self.seeks_key = true;
    }

    /// The key of a record that took the partition to its greatest event time, if one was noted.
    pub(super) fn newest_key(&self) -> Option<SmolStr> {
        self.newest_key.clone()
    }

    /// A valid record was read, and its key is sought.
    #[cold]
    pub(super) fn note(
        &mut self,
        key: Key<'_>,
        time: EventTime,
        newest: Option<EventTime>,
        message: Message<'_>,
    ) {
        if newest > Some(time) {
            return;
        }
        self.newest_key = Some(SmolStr::new(key.as_str()));
        self.seeks_key = false;
        if time + OTHER_UNIT_BEYOND < message.timestamp.unwrap_or(self.wall) {
            self.keep_sample(message);
        }
    }

    /// A record is ahead of the clock, and not of its own timestamp. Says whether it is refused.
    #[cold]
    pub(super) fn is_refused(
        &mut self,
        partition: Partition,
        key: Key<'_>,
        time: EventTime,
        message: Message<'_>,
        options: &IngestOptions,
    ) -> (bool, Option<Notice>) {
        // What the broker has set is as good as any clock.
        if message.timestamp.is_some() && message.timestamp_type == TimestampType::LogAppendTime {
            return (false, None);
        }
        let is_refused = options.future_by_clock;
        let is_news = !std::mem::replace(&mut self.said_ahead, true);
        if !is_refused {
            self.ahead_after = EventTime::MAX;
        }
        let key = SmolStr::new(key.as_str());
        let notice = is_news.then_some(Notice::AheadOfClock { partition, key, time, is_refused });
        (is_refused, notice)
    }

    /// A record was rejected.
    #[cold]
    pub(super) fn rejected(&mut self, message: Message<'_>, reason: DeadReason) {
        if let DeadReason::Future | DeadReason::BadTime | DeadReason::Past = reason {
            self.keep_sample(message);
        }
    }

    fn keep_sample(&mut self, message: Message<'_>) {
        let Some(payload) = message.payload else { return };
        if self.unit_is_settled || self.sample.is_some() || payload.len() > SAMPLE_BYTES_MAX {
            return;
        }
        let expected = message.timestamp.unwrap_or(self.wall);
        self.sample = Some(Sample { payload: payload.to_vec(), expected });
    }

    /// Whether there is a record by which it may be told that the unit is another one.
    #[inline]
    pub(super) fn has_sample(&self) -> bool {
        self.sample.is_some()
    }

    /// Decides about the unit, once enough was read: after `records`, of which `newest` is the greatest
    /// event time, or at the end.
    pub(super) fn settle_unit(
        &mut self,
        partition: Partition,
        records: u64,
        is_at_end: bool,
        newest: Option<EventTime>,
        decoder: &impl Decode,
    ) -> Option<Notice> {
        if records < RECORDS_MIN && !is_at_end {
            return None;
        }
        let Sample { payload, expected } = self.sample.take()?;
        self.unit_is_settled = true;
        // Where another record is at the right time, this one is the exception.
        if newest.is_some_and(|newest| expected <= newest + OTHER_UNIT_BEYOND) {
            return None;
        }
        let unit = decoder.guess_time_unit(&payload, expected)?;
        Some(Notice::OtherUnit { partition, unit })
    }
}
