//! What a source notices about the times of records, and a person should hear: event times that were
//! probably not meant so.
//!
//! Nothing is decided by it. A worker sends it to the process that leads, which says it once.

use std::fmt;

use serde::{Deserialize, Serialize};
use strandline_operators::decode::TimeUnit;
use strandline_operators::record::{Partition, SmolStr};
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
            _ => false,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::OtherUnit { partition, unit } => write!(
                f,
                "the times of the records of partition {} look like {}, which is not what they are read \
                 as: if that is what they are, start again with --time-unit {unit} (and --fresh, \
                 because what was read at wrong times cannot be continued)",
                partition.0,
                unit.words(),
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
        assert!(unit.to_string().contains("--time-unit s "), "{unit}");
        assert!(!unit.is_like(&ahead) && unit.is_like(&unit.clone()));
    }
}
