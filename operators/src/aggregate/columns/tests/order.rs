//! The first and the last row: by time, then by where rows come from, then by their bytes.

use arrow_array::{Int64Array, StringArray};
use strandline_plan::aggregate::{first, last};

use super::*;
use crate::batch::Origin;
use crate::record::{Offset, Partition};
use crate::time::EventTime;

/// A row: time, source, partition, offset, number within the message, value.
type Row = (i64, u32, u32, u64, u32, Option<i64>);

fn batch(rows: &[Row], of_log: bool) -> Batch {
    let x: ArrayRef = Arc::new(rows.iter().map(|row| row.5).collect::<Int64Array>());
    // Another column, which tells rows apart that have the same value.
    let y: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.3.to_string())));
    let columns = RecordBatch::try_from_iter_with_nullable([("x", x, true), ("y", y, true)]);
    let mut origin = Origin::default();
    for (_, source, partition, offset, index, _) in rows {
        origin.partitions.push((*source, Partition(*partition)), 1);
        origin.offsets.push(Offset(*offset));
        origin.indices.push(*index, 1);
        origin.watermarks.push(EventTime::MIN, 1);
    }
    let times: Vec<i64> = rows.iter().map(|row| row.0).collect();
    let times = Times::new(times, TimeUnit::Microsecond);
    Batch::new(columns.unwrap(), Some(times), of_log.then_some(origin))
}

/// The first and the last value of rows that go to two slots, which are combined then.
fn ends(rows: &[Row], of_log: bool, split: usize) -> (Option<i64>, Option<i64>) {
    let schema = batch(&[], of_log).rows().schema();
    let bound = [first(col("x")).bind(&schema).unwrap(), last(col("x")).bind(&schema).unwrap()];
    let mut aggregates = Aggregates::new(&bound, &schema).unwrap();
    let (a, b) = (aggregates.slot(), aggregates.slot());
    for (rows, slot) in [(&rows[..split], a), (&rows[split..], b)] {
        for rows in rows.chunks(3) {
            aggregates.add(&batch(rows, of_log), &vec![slot; rows.len()]).unwrap();
        }
    }
    aggregates.combine(&[(a, b)]);
    let saved = aggregates.save(&[b]);
    aggregates.free(b);
    let b = aggregates.slot();
    aggregates.load(&[b], &saved).unwrap();
    let results = aggregates.results(&[b]).unwrap().columns;
    let value = |of: &ArrayRef| {
        let of = of.as_any().downcast_ref::<Int64Array>().unwrap();
        of.is_valid(0).then(|| of.value(0))
    };
    (value(&results[0]), value(&results[1]))
}

proptest! {
    #[test]
    fn rows_are_ordered_by_time_and_place(
        rows in prop::collection::btree_map((0_u32..2, 0_u32..2, 0_u64..4, 0_u32..2), (0_i64..3, prop::option::weighted(0.8, any::<i64>())), 0..20),
        shuffle in prop::collection::vec(any::<u32>(), 20),
        split in 0_usize..=20,
    ) {
        let mut rows: Vec<Row> = rows.into_iter().map(|((s, p, o, i), (t, x))| (t, s, p, o, i, x)).collect();
        let valued = rows.iter().filter(|row| row.5.is_some());
        let place = |row: &&Row| (row.0, row.1, row.2, row.3, row.4);
        let wanted = (valued.clone().min_by_key(place), valued.max_by_key(place));
        let wanted = (wanted.0.and_then(|row| row.5), wanted.1.and_then(|row| row.5));
        let mut keyed: Vec<_> = rows.drain(..).zip(shuffle).collect();
        keyed.sort_by_key(|(_, key)| *key);
        let rows: Vec<Row> = keyed.into_iter().map(|(row, _)| row).collect();
        prop_assert_eq!(ends(&rows, true, split.min(rows.len())), wanted);
    }

    /// Behind an operator with state, rows of one time are ordered by their bytes.
    #[test]
    fn rows_from_nowhere_are_ordered_by_time_and_bytes(
        rows in prop::collection::vec((0_i64..3, 0_u64..4, -3_i64..3), 0..20),
        split in 0_usize..=20,
    ) {
        let rows: Vec<Row> = rows.into_iter().map(|(t, y, x)| (t, 0, 0, y, 0, Some(x))).collect();
        let place = |row: &&Row| (row.0, row.5, row.3);
        let wanted = (rows.iter().min_by_key(place), rows.iter().max_by_key(place));
        let wanted = (wanted.0.and_then(|row| row.5), wanted.1.and_then(|row| row.5));
        prop_assert_eq!(ends(&rows, false, split.min(rows.len())), wanted);
    }
}
