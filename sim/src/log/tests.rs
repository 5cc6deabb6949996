use std::collections::BTreeMap;

use super::*;
use crate::oracle::{OracleOptions, outcome, read};

fn log(seed: u64, partitions: u32, options: &LogOptions) -> Vec<Vec<LoggedRecord>> {
    simulated_log(seed, partitions, 20_000, options).unwrap()
}

#[test]
fn a_seed_is_a_log() {
    let options = LogOptions::default();
    assert_eq!(log(5, 4, &options), log(5, 4, &options));
    assert_ne!(log(5, 4, &options), log(6, 4, &options));
}

/// A log that holds too little of something tests nothing: every verdict and every oddity has to
/// occur in the default, for whatever seed.
#[test]
fn the_default_has_a_little_of_everything() {
    for seed in 0..5 {
        let log = log(seed, 4, &LogOptions::default());
        let outcome = outcome(&log, &OracleOptions::default());
        assert_eq!(outcome.ledger.read, 20_000);
        assert!(200 < outcome.ledger.late && outcome.ledger.late < 2_000, "{:?}", outcome.ledger);
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        outcome.dead.values().for_each(|reason| *reasons.entry(reason).or_default() += 1);
        assert_eq!(reasons.len(), 9, "every reason: {reasons:?}");
        assert!(60 < outcome.rows.len());
        assert!(outcome.rows.iter().any(|row| 1 < row.spans.len()), "a device moved");
        assert!(outcome.rows.iter().any(|row| row.metrics[0].average.is_none()));
        assert!(log.iter().flatten().any(|record| record.timestamp_ms.is_none()));
        assert!(log.iter().flatten().any(|record| record.payload.is_none()));
    }
}

#[test]
fn offsets_rise_and_have_gaps() {
    for records in log(1, 4, &LogOptions::default()) {
        let steps: Vec<u64> =
            records.windows(2).map(|pair| pair[1].offset - pair[0].offset).collect();
        assert!(steps.iter().all(|step| (1..=4).contains(step)));
        assert!(steps.iter().any(|step| 1 < *step));
    }
    let without = LogOptions { gap_share: 0.0, ..LogOptions::default() };
    for records in log(1, 4, &without) {
        assert!((0..).zip(&records).all(|(offset, record)| record.offset == offset));
    }
}

/// Exactly at the edge is accepted, one millisecond beyond is not.
#[test]
fn the_edge_of_the_future_is_met_from_both_sides() {
    let options = LogOptions { edge_share: 0.5, untimed_share: 0.0, ..LogOptions::default() };
    let mut met = [0, 0];
    for record in log(2, 1, &options).concat() {
        let unbounded = read(record.payload.as_deref(), None, &OracleOptions::default());
        let Ok(sample) = unbounded else { continue };
        let ahead_ms = sample.event_time_ms - record.timestamp_ms.unwrap();
        let bounded =
            read(record.payload.as_deref(), record.timestamp_ms, &OracleOptions::default());
        assert_eq!(bounded.is_ok(), ahead_ms <= 3_600_000);
        met[0] += usize::from(ahead_ms == 3_600_000);
        met[1] += usize::from(ahead_ms == 3_600_001);
    }
    assert!(1_000 < met[0] && 1_000 < met[1], "{met:?}");
}

#[test]
fn empty_partitions_are_empty_and_the_others_are_not() {
    let options = LogOptions { empty_partitions: 2, moving_devices: 8, ..LogOptions::default() };
    let lengths: Vec<usize> = log(3, 5, &options).iter().map(Vec::len).collect();
    assert!(lengths[..3].iter().all(|length| 0 < *length), "{lengths:?}");
    assert_eq!(lengths[3..], [0, 0]);
    let all_empty = LogOptions { empty_partitions: 9, ..LogOptions::default() };
    let lengths: Vec<usize> = log(3, 2, &all_empty).iter().map(Vec::len).collect();
    assert_eq!(lengths, [20_000, 0], "one partition always holds the records");
}

#[test]
fn only_moving_devices_move() {
    let plain = LogOptions {
        moving_devices: 2,
        odd_share: 0.0,
        fleet: FleetOptions { malformed_share: 0.0, ..FleetOptions::default() },
        ..LogOptions::default()
    };
    let mut partitions_of: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (partition, records) in log(4, 4, &plain).into_iter().enumerate() {
        for record in records {
            let sample = read(record.payload.as_deref(), None, &OracleOptions::default()).unwrap();
            partitions_of.entry(sample.key).or_default().insert(partition);
        }
    }
    let mut counts: Vec<usize> = partitions_of.values().map(BTreeSet::len).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 1, 1, 1, 1, 1, 4, 4]);
}

#[test]
fn places_are_those_of_all_records() {
    let log = log(1, 3, &LogOptions::default());
    let places = places(&log);
    assert_eq!(places.len(), 20_000);
    assert!(places.contains(&(2, log[2][0].offset)));
}
