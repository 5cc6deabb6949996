//! The families that have a sample for each partition.

use strandline_engine::view::{Ledger, PartitionState, PartitionView, Snapshot};
use strandline_operators::time::EventTime;

use super::writer::{Exposition, Kind, Seconds};
use crate::shown::{known, state_code};

fn of_run(view: &PartitionView) -> Ledger {
    view.ledger.since(&view.ledger_before)
}

/// What each partition is like, and what holds it.
pub(super) fn partitions(out: &mut Exposition, snapshot: &Snapshot) {
    type Value = fn(&PartitionView) -> Option<u64>;
    type Moment = fn(&PartitionView) -> Option<EventTime>;
    let families: [(&str, Kind, &str, Value); 8] = [
        ("strandline_partition_position", Kind::Gauge, "The next offset to read.", |view| {
            Some(view.position.0)
        }),
        (
            "strandline_partition_lag_records",
            Kind::Gauge,
            "Records between position and end; absent while the end is unknown.",
            PartitionView::lag,
        ),
        ("strandline_partition_records_read", Kind::Counter, "Records read in this run.", |view| {
            Some(of_run(view).read)
        }),
        (
            "strandline_partition_read_bytes",
            Kind::Counter,
            "Bytes of the payloads that were read in this run.",
            |view| Some(view.bytes_read),
        ),
        (
            "strandline_partition_records_windowed",
            Kind::Counter,
            "Records of this run that a window counts.",
            |view| Some(of_run(view).windowed),
        ),
        (
            "strandline_partition_records_late",
            Kind::Counter,
            "Records of this run that were late for every window.",
            |view| Some(of_run(view).late),
        ),
        (
            "strandline_partition_dead_letters",
            Kind::Counter,
            "Records of this run that could not be read.",
            |view| Some(of_run(view).dead_letters()),
        ),
        (
            "strandline_partition_offsets_skipped",
            Kind::Counter,
            "Offsets passed over in this run that hold no message.",
            |view| Some(view.skipped.saturating_sub(view.skipped_before)),
        ),
    ];
    if snapshot.partitions.is_empty() {
        return;
    }
    let numbers: Vec<String> =
        snapshot.partitions.iter().map(|view| view.partition.0.to_string()).collect();
    let labels = |index: usize| [("topic", &*snapshot.topic), ("partition", &*numbers[index])];
    for (name, kind, help, value) in families {
        let mut family = out.family(name, kind, help);
        for (index, view) in snapshot.partitions.iter().enumerate() {
            if let Some(value) = value(view) {
                family.sample(&labels(index), value);
            }
        }
    }
    let times: [(&str, &str, Moment); 2] = [
        (
            "strandline_partition_watermark_timestamp_seconds",
            "The partition's watermark.",
            |view| Some(view.watermark),
        ),
        (
            "strandline_partition_max_event_timestamp_seconds",
            "The greatest event time read.",
            |view| view.max_event_time,
        ),
    ];
    for (name, help, value) in times {
        let mut family = out.family(name, Kind::Seconds, help);
        for (index, view) in snapshot.partitions.iter().enumerate() {
            if let Some(time) = value(view).filter(|time| known(*time).is_some()) {
                family.sample(&labels(index), Seconds(time));
            }
        }
    }
    let mut family = out.family(
        "strandline_partition_state",
        Kind::Gauge,
        "1 for the state that the partition is in.",
    );
    for (index, view) in snapshot.partitions.iter().enumerate() {
        let [topic, partition] = labels(index);
        for state in [
            PartitionState::Active,
            PartitionState::Idle,
            PartitionState::Paused,
            PartitionState::Finished,
        ] {
            let is = u8::from(state == view.state);
            family.sample(&[topic, partition, ("state", state_code(state))], is);
        }
    }
    let mut family = out.family(
        "strandline_partition_holds_back",
        Kind::Gauge,
        "1 for the partition that the watermark waits for.",
    );
    let holder = snapshot.holding_back();
    for (index, view) in snapshot.partitions.iter().enumerate() {
        family.sample(&labels(index), u8::from(holder == Some(view.partition)));
    }
}
