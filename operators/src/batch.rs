//! What travels between the nodes of a pipeline: rows in columns, with what belongs to each row
//! beside them.
//!
//! A [`Batch`] is an Arrow [`RecordBatch`] with the *event time* of each row, and, as long as rows are
//! single records of a log, with the *origin* of each: its place in the log, and the watermark that
//! its partition had when it was read. Whether a row is late is decided by that watermark alone, so it
//! has to travel with the row, and not with the batch: a batch may hold several partitions, and a
//! partition's watermark moves within it.

mod runs;
mod wire;

use std::sync::Arc;

use arrow_array::{Array, BooleanArray, RecordBatch, UInt32Array};
use arrow_schema::{ArrowError, SchemaRef, TimeUnit};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use arrow_select::take::take_record_batch;
use serde::{Deserialize, Serialize};

pub use self::runs::Runs;
use crate::record::{Offset, Partition};
use crate::time::EventTime;

/// Some rows of one flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    rows: RecordBatch,
    times: Option<Times>,
    origin: Option<Origin>,
}

/// The event time of each row of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// In `unit` since 1970.
    values: Arc<[i64]>,
    per_millis: i64,
    millis_per: i64,
}

/// Where the rows of a batch come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The source, by its number in the plan, and the partition there.
    pub partitions: Runs<(u32, Partition)>,
    /// The offset in the partition.
    pub offsets: Vec<Offset>,
    /// The number within the message, where several rows come from one: they are of one time and
    /// place otherwise, and have to be in one order everywhere.
    pub indices: Runs<u32>,
    /// The watermark of the partition when the row was read.
    pub watermarks: Runs<EventTime>,
}

impl Times {
    /// Times that are counted in `unit`.
    pub fn new(values: impl Into<Arc<[i64]>>, unit: TimeUnit) -> Self {
        let (per_millis, millis_per) = match unit {
            TimeUnit::Second => (1, 1000),
            TimeUnit::Millisecond => (1, 1),
            TimeUnit::Microsecond => (1000, 1),
            TimeUnit::Nanosecond => (1_000_000, 1),
        };
        Self { values: values.into(), per_millis, millis_per }
    }

    /// As they are counted: how they are compared with each other.
    pub fn exact(&self) -> &[i64] {
        &self.values
    }

    /// The time of a row as progress counts it, rounded down.
    #[inline]
    pub fn millis(&self, row: usize) -> EventTime {
        self.to_millis(self.values[row])
    }

    /// The time of each row as progress counts it.
    pub fn iter(&self) -> impl Iterator<Item = EventTime> {
        self.values.iter().map(|exact| self.to_millis(*exact))
    }

    /// The least of them.
    pub fn least(&self) -> Option<EventTime> {
        self.values.iter().min().map(|exact| self.to_millis(*exact))
    }

    #[inline]
    fn to_millis(&self, exact: i64) -> EventTime {
        let millis = exact.div_euclid(self.per_millis).saturating_mul(self.millis_per);
        EventTime::from_millis(millis)
    }

    /// How many of them make a millisecond: as finely as they are counted, which may be 0 (seconds).
    pub(crate) fn per_millis(&self) -> i64 {
        if self.millis_per > 1 { 0 } else { self.per_millis }
    }

    /// The same times, counted in milliseconds if they are counted in seconds.
    #[must_use]
    pub(crate) fn at_least_millis(self) -> Self {
        match self.millis_per {
            1 => self,
            _ => self.counted_in(TimeUnit::Millisecond),
        }
    }

    /// The same times, counted in a unit that is as fine or finer; what does not fit is the greatest
    /// or the least time there is.
    #[must_use]
    pub(crate) fn counted_in(self, unit: TimeUnit) -> Self {
        let of = Self::new([], unit);
        let factor = (of.per_millis * self.millis_per) / (self.per_millis * of.millis_per);
        if factor <= 1 {
            return self;
        }
        let values: Arc<[i64]> = self.values.iter().map(|t| t.saturating_mul(factor)).collect();
        Self { values, ..of }
    }

    fn select(&self, rows: impl Iterator<Item = usize>) -> Self {
        Self { values: rows.map(|row| self.values[row]).collect(), ..*self }
    }
}

impl Origin {
    /// How many rows it is of.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether it is of no rows.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Adds a row that is the only one of its message.
    pub fn push(
        &mut self,
        source: u32,
        partition: Partition,
        offset: Offset,
        watermark: EventTime,
    ) {
        self.partitions.push((source, partition), 1);
        self.offsets.push(offset);
        self.indices.push(0, 1);
        self.watermarks.push(watermark, 1);
    }
}

impl Batch {
    /// Rows with the event time and the origin of each, if they have them.
    ///
    /// # Panics
    ///
    /// If there are not as many times or origins as rows.
    pub fn new(rows: RecordBatch, times: Option<Times>, origin: Option<Origin>) -> Self {
        let len = rows.num_rows();
        assert!(
            times.as_ref().is_none_or(|times| times.values.len() == len),
            "a time for each row"
        );
        assert!(origin.as_ref().is_none_or(|origin| origin.len() == len), "an origin for each row");
        Self { rows, times, origin }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its columns.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// The event time of each row, if they have one.
    pub fn times(&self) -> Option<&Times> {
        self.times.as_ref()
    }

    /// Where each row comes from, if they are records of a log.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The same rows with other columns: times and origins stay.
    ///
    /// # Panics
    ///
    /// If there are not as many rows as before.
    #[must_use]
    pub fn with_rows(&self, rows: RecordBatch) -> Self {
        Self::new(rows, self.times.clone(), self.origin.clone())
    }

    /// The same rows with their times counted otherwise.
    #[must_use]
    pub(crate) fn with_times(self, times: Times) -> Self {
        Self::new(self.rows, Some(times), self.origin)
    }

    /// The rows for which `mask` is true. Null counts as false.
    ///
    /// # Panics
    ///
    /// If the mask is of another number of rows.
    #[must_use]
    pub fn filter(&self, mask: &BooleanArray) -> Self {
        if mask.true_count() == self.len() {
            return self.clone();
        }
        let mask = match mask.null_count() {
            0 => mask.clone(),
            _ => arrow_select::filter::prep_null_mask_filter(mask),
        };
        let rows = expect(filter_record_batch(&self.rows, &mask));
        let kept = || mask.values().set_indices();
        Self {
            rows,
            times: self.times.as_ref().map(|times| times.select(kept())),
            origin: self.origin.as_ref().map(|origin| Origin {
                partitions: origin.partitions.filter(mask.values()),
                offsets: kept().map(|row| origin.offsets[row]).collect(),
                indices: origin.indices.filter(mask.values()),
                watermarks: origin.watermarks.filter(mask.values()),
            }),
        }
    }

    /// The rows at these indices, in their order. One may be taken several times.
    ///
    /// # Panics
    ///
    /// If there is no row at one of them.
    #[must_use]
    pub fn take(&self, indices: &[u32]) -> Self {
        let rows = expect(take_record_batch(&self.rows, &UInt32Array::from(indices.to_vec())));
        let each = || indices.iter().map(|row| *row as usize);
        Self {
            rows,
            times: self.times.as_ref().map(|times| times.select(each())),
            origin: self.origin.as_ref().map(|origin| Origin {
                partitions: origin.partitions.take(indices),
                offsets: each().map(|row| origin.offsets[row]).collect(),
                indices: origin.indices.take(indices),
                watermarks: origin.watermarks.take(indices),
            }),
        }
    }

    /// All rows of several batches of one flow, whose columns are these.
    ///
    /// # Panics
    ///
    /// If they are not of one flow: some have times or origins and others do not, or their columns
    /// are others.
    pub fn concat(schema: &SchemaRef, batches: &[Batch]) -> Self {
        let rows = expect(concat_batches(schema, batches.iter().map(|batch| &batch.rows)));
        let times = batches.first().and_then(|batch| batch.times.as_ref()).map(|first| {
            let values = batches.iter().flat_map(|batch| {
                let times = batch.times.as_ref().expect("all rows of a flow have times, or none");
                times.values.iter().copied()
            });
            Times { values: values.collect(), ..*first }
        });
        let origin = batches.first().and_then(|batch| batch.origin.as_ref()).map(|_| {
            let mut all = Origin::default();
            for origin in batches.iter().filter_map(|batch| batch.origin.as_ref()) {
                all.partitions.extend(&origin.partitions);
                all.offsets.extend_from_slice(&origin.offsets);
                all.indices.extend(&origin.indices);
                all.watermarks.extend(&origin.watermarks);
            }
            all
        });
        Self::new(rows, times, origin)
    }

    /// About how much memory it takes, bytes. Columns that batches share count in each.
    pub fn bytes(&self) -> usize {
        let times = self.times.as_ref().map_or(0, |times| size_of_val(&*times.values));
        let origin = self.origin.as_ref().map_or(0, |origin| size_of_val(&*origin.offsets));
        self.rows.get_array_memory_size() + times + origin
    }
}

/// Kernels fail for other numbers of rows or types, which a checked plan does not have.
fn expect(made: Result<RecordBatch, ArrowError>) -> RecordBatch {
    made.expect("the columns of a flow have one schema")
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn schema() -> SchemaRef {
        let fields = [("n", DataType::Int64), ("s", DataType::Utf8)];
        Arc::new(Schema::new(fields.map(|(name, of)| Field::new(name, of, true)).to_vec()))
    }

    fn batch(rows: std::ops::Range<i64>) -> Batch {
        let n = Arc::new(Int64Array::from_iter_values(rows.clone()));
        let s = Arc::new(StringArray::from_iter_values(rows.clone().map(|n| n.to_string())));
        let mut origin = Origin::default();
        for n in rows.clone() {
            let partition = Partition(u32::try_from(n / 3).unwrap());
            let offset = Offset(n.unsigned_abs());
            origin.push(0, partition, offset, EventTime::from_millis(n / 2));
        }
        let times =
            Times::new(rows.map(|n| n * 1500 - 1).collect::<Vec<_>>(), TimeUnit::Microsecond);
        Batch::new(RecordBatch::try_new(schema(), vec![n, s]).unwrap(), Some(times), Some(origin))
    }

    #[test]
    fn what_belongs_to_a_row_stays_with_it() {
        let whole = batch(0..10);
        let odd = BooleanArray::from_iter((0..10).map(|n| (n != 5).then_some(n % 2 == 1)));
        let taken = whole.take(&[1, 3, 7, 9]);
        assert_eq!(whole.filter(&odd), taken);
        let parts = [batch(0..4), batch(4..10)];
        assert_eq!(Batch::concat(&schema(), &parts), whole);
        let origin = taken.origin().unwrap();
        assert_eq!(origin.partitions.get(2), (0, Partition(2)));
        assert_eq!(origin.offsets, [1, 3, 7, 9].map(Offset));
        assert_eq!(origin.watermarks.get(3), EventTime::from_millis(4));
    }

    #[test]
    fn times_finer_than_a_millisecond_are_rounded_down() {
        let times = batch(0..2).times().cloned().unwrap();
        assert_eq!(times.millis(0), EventTime::from_millis(-1));
        assert_eq!(times.millis(1), EventTime::from_millis(1));
        assert_eq!(times.least(), Some(EventTime::from_millis(-1)));
        assert_eq!(Times::new([i64::MAX], TimeUnit::Second).millis(0).as_millis(), i64::MAX);
    }
}
