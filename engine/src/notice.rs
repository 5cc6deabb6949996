//! What a source notices about records, and a person should hear: event times that were probably not
//! meant so, the first dead letter of each reason, and from which time on the records of a new partition
//! count.
//!
//! Nothing is decided by it. A worker sends it to the process that leads, which says it once.

use std::fmt;

use serde::{Deserialize, Serialize};
use strandline_operators::decode::{DeadReason, TimeUnit};
use strandline_operators::record::{Offset, Partition, SmolStr};
use strandline_operators::time::EventTime;

use crate::clock::date_time;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// No record of a partition is near the time at which it was sent, and one would be in another
    /// unit.
    OtherUnit { partition: Partition, unit: TimeUnit },
    /// A record is further ahead of this computer's clock than is accepted, and so is its Kafka
    /// timestamp, which the sender has set: its partition has moved on to there.
    AheadOfClock { partition: Partition, key: SmolStr, time: EventTime, is_refused: bool },
    /// Partitions were added to the topic after the job had begun. Windows that end at or before
    /// `counts_from` are closed; where it is `None`, none is.
    NewPartitions {
        partitions: Vec<Partition>,
        found_at: EventTime,
        counts_from: Option<EventTime>,
    },
    /// The first record in this run that is a dead letter for this reason.
    DeadLetter { partition: Partition, offset: Offset, reason: DeadReason, words: String },
}

impl Notice {
    /// Whether it need not be said where the other one was.
    pub(crate) fn is_like(&self, other: &Notice) -> bool {
        match (self, other) {
            (Notice::OtherUnit { unit, .. }, Notice::OtherUnit { unit: other, .. }) => {
                unit == other
            }
            (
                Notice::AheadOfClock { partition, .. },
                Notice::AheadOfClock { partition: other, .. },
            ) => partition == other,
            (
                Notice::NewPartitions { partitions, .. },
                Notice::NewPartitions { partitions: other, .. },
            ) => partitions == other,
            (Notice::DeadLetter { reason, .. }, Notice::DeadLetter { reason: other, .. }) => {
                reason == other
            }
            _ => false,
        }
    }

    /// Whether senders of wrong times can bring about any number of it.
    pub(crate) fn is_about_senders(&self) -> bool {
        !matches!(self, Notice::NewPartitions { .. })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::OtherUnit { partition, unit } => write!(
                f,
                "the times of the records of partition {} look like {}, which is not what they are read \
                 as: if that is what they are, start again with --time-unit {unit}, and with --fresh and --replace, because \
                 what was read at wrong times cannot be continued and its rows are wrong",
                partition.0,
                unit.words(),
            ),
            Notice::DeadLetter { partition, offset, reason, words } => write!(
                f,
                "the record of partition {} at offset {} is a dead letter: {} ({words}); further ones \
                 for this reason are counted and not reported",
                partition.0,
                offset.0,
                reason.code(),
            ),
            Notice::AheadOfClock { partition, key, time, is_refused } => {
                write!(
                    f,
                    "partition {}: a record of key `{}` is at {}, more than --max-future ahead of this \
                     computer's clock, and so is its Kafka timestamp, which the sender has set",
                    partition.0,
                    key.escape_debug(),
                    date_time(*time).unwrap_or_default(),
                )?;
                if *is_refused {
                    return f.write_str("; such records are dead letters (--max-future-by clock)");
                }
                write!(
                    f,
                    "; the partition is not read until the others have come there, and what it brings then \
                     is late. If that clock is wrong: stop, and \
                     start again with --max-future-by clock, which refuses such records, and once with \
                     --lower-event-time {}=TIME, which puts the partition right",
                    partition.0,
                )
            }
            Notice::NewPartitions { partitions, found_at, counts_from } => {
                let numbers: Vec<_> = partitions.iter().map(|p| p.0.to_string()).collect();
                let (named, are) = match partitions.len() {
                    1 => ("partition", "is"),
                    _ => ("partitions", "are"),
                };
                write!(
                    f,
                    "{named} {} {are} new, found at {}, and read from the beginning; ",
                    numbers.join(", "),
                    date_time(*found_at).unwrap_or_default(),
                )?;
                match counts_from.and_then(date_time) {
                    Some(time) => write!(
                        f,
                        "records count from event time {time} on; earlier ones are late, because their \
                         windows are closed"
                    ),
                    None => f.write_str("all records count, because no window is closed yet"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_names_partition_key_time_and_what_to_do() {
        let ahead = Notice::AheadOfClock {
            partition: Partition(3),
            key: "sensor\n7".into(),
            time: EventTime::from_millis(1_893_456_000_000),
            is_refused: false,
        };
        let said = ahead.to_string();
        for part in
            ["partition 3", "`sensor\\n7`", "2030-01-01 00:00:00 UTC", "--lower-event-time 3="]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        let unit = Notice::OtherUnit { partition: Partition(1), unit: TimeUnit::Seconds };
        assert!(unit.to_string().contains("--time-unit s, and with --fresh"), "{unit}");
        assert!(!unit.is_like(&ahead) && unit.is_like(&unit.clone()));
        let dead = |offset, reason| Notice::DeadLetter {
            partition: Partition(4),
            offset: Offset(offset),
            reason,
            words: "no field `id`".to_owned(),
        };
        let first = dead(17, DeadReason::MissingKey);
        let said = first.to_string();
        assert!(said.contains("partition 4 at offset 17"), "{said}");
        assert!(said.contains("missing_key (no field `id`)"), "{said}");
        assert!(first.is_like(&dead(18, DeadReason::MissingKey)), "one is enough");
        assert!(!first.is_like(&dead(17, DeadReason::NotJson)));
    }

    #[test]
    fn new_partitions_are_named_with_when_they_were_found_and_from_when_on_they_count() {
        let found_at = EventTime::from_millis(1_893_456_000_000);
        let new = |numbers: &[u32], counts_from| Notice::NewPartitions {
            partitions: numbers.iter().map(|number| Partition(*number)).collect(),
            found_at,
            counts_from,
        };
        let one = new(&[3], Some(EventTime::from_millis(1_893_455_990_000)));
        assert_eq!(
            one.to_string(),
            "partition 3 is new, found at 2030-01-01 00:00:00 UTC, and read from the beginning; records \
             count from event time 2029-12-31 23:59:50 UTC on; earlier ones are late, because their \
             windows are closed"
        );
        let two = new(&[4, 5], None).to_string();
        assert!(two.starts_with("partitions 4, 5 are new") && two.contains("all records count"));
    }
}
