//! The same topic gives the same rows, whatever the number of workers and partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use strandline_engine::job::Stop;
use strandline_engine::source::simulated::SimulatedLog;

use crate::toy::{Kept, PlainRow, WINDOW, new_view, options, run, text};

/// A small generator (splitmix64), so that a seed tells a topic.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// By partition: the first and the last offset, and how many records.
type Spans = BTreeMap<u32, (u64, u64, u64)>;

/// What the rules say, computed one partition after the other.
#[derive(Default)]
struct Expected {
    rows: BTreeMap<(String, i64), Spans>,
    rejected: BTreeMap<(u32, u64), &'static str>,
}

impl Expected {
    fn rows(&self) -> BTreeSet<PlainRow> {
        let rows = self.rows.iter().map(|((key, start), spans)| {
            let count = spans.values().map(|span| span.2).sum();
            let spans = spans.iter().map(|(p, (first, last, n))| (*p, *first, *last, *n));
            (key.clone(), *start, count, spans.collect())
        });
        rows.collect()
    }
}

/// A topic with disorder, late records, records that cannot be read, skew and empty partitions.
fn topic(seed: u64, partitions: u32, records: u64) -> (SimulatedLog, Expected) {
    let mut random = Random(seed);
    let log = SimulatedLog::new("toy", partitions).bounded();
    let mut expected = Expected::default();
    let watermark_ms = 5_000;
    let window_ms = i64::try_from(WINDOW.as_millis()).unwrap();
    let mut max = vec![i64::MIN; partitions as usize];
    let mut offsets = vec![0; partitions as usize];
    for i in 0..records {
        // Partition 0 gets half of the records; the last one none, if there are several.
        let spread = u64::from(partitions.saturating_sub(1).max(1));
        let partition = if random.below(2) == 0 { 0 } else { random.below(spread) } as u32;
        let index = partition as usize;
        let offset = offsets[index];
        offsets[index] += 1;
        if random.below(50) == 0 {
            text(&log, partition, "unreadable");
            expected.rejected.insert((partition, offset), "missing_time");
            continue;
        }
        let disorder = if random.below(30) == 0 { 40_000 } else { 4_000 };
        let time = 100_000 + i as i64 * (20 + i64::from(partition)) - random.below(disorder) as i64;
        let key = format!("key-{}", random.below(20));
        text(&log, partition, &format!("{key} {time}"));
        max[index] = max[index].max(time);
        let start = time.div_euclid(window_ms) * window_ms;
        if start + window_ms <= max[index] - watermark_ms {
            expected.rejected.insert((partition, offset), "late");
            continue;
        }
        let spans = expected.rows.entry((key, start)).or_default();
        let span = spans.entry(partition).or_insert((offset, offset, 0));
        (span.1, span.2) = (offset, span.2 + 1);
    }
    (log, expected)
}

#[test]
fn rows_are_the_same_for_every_number_of_workers_and_partitions() {
    for partitions in [1, 2, 3, 5, 16] {
        let (log, expected) = topic(u64::from(partitions), partitions, 20_000);
        assert!(expected.rejected.values().filter(|code| **code == "late").count() > 10);
        for workers in [1, 2, 3, 4, 8] {
            let (kept, view) = (Kept::default(), new_view());
            let summary =
                run(log.clone(), workers, options(), &kept, &view, &Stop::default()).unwrap();
            let label = format!("{partitions} partitions, {workers} workers");
            assert_eq!(kept.rejected_codes(), expected.rejected, "{label}");
            assert_eq!(kept.plain_rows(), expected.rows(), "{label}");
            assert!(summary.finished && summary.ledger.balances(), "{label}: {summary:?}");
            assert_eq!(summary.ledger.read, 20_000, "{label}");
            assert_eq!(summary.final_rows, expected.rows.len() as u64, "{label}");
            assert_eq!(summary.open_windows, 0, "{label}");
        }
    }
}

#[test]
fn a_tight_drift_and_short_epochs_change_no_row() {
    let (log, expected) = topic(7, 4, 20_000);
    let mut options = options();
    options.max_drift = Duration::from_millis(1);
    options.epoch_every = Duration::ZERO;
    options.publish_every = Duration::ZERO;
    let (kept, view) = (Kept::default(), new_view());
    run(log, 3, options, &kept, &view, &Stop::default()).unwrap();
    assert_eq!(kept.plain_rows(), expected.rows());
}

/// Only reading waits for what is not merged: no epoch does, and no window.
#[test]
fn a_bound_of_no_bytes_between_workers_blocks_nothing_and_changes_no_row() {
    let (log, expected) = topic(7, 4, 20_000);
    for workers in [1, 3] {
        let mut options = options();
        options.unmerged_bytes_max = 0;
        let (kept, view) = (Kept::default(), new_view());
        let summary = run(log.clone(), workers, options, &kept, &view, &Stop::default()).unwrap();
        assert!(summary.finished && summary.ledger.balances(), "{summary:?}");
        assert_eq!(kept.plain_rows(), expected.rows());
    }
}

#[test]
fn an_empty_topic_ends_at_once() {
    let (kept, view) = (Kept::default(), new_view());
    let log = SimulatedLog::new("toy", 3).bounded();
    let summary = run(log, 2, options(), &kept, &view, &Stop::default()).unwrap();
    assert!(summary.finished && kept.plain_rows().is_empty());
}
