//! Records that were not accepted: late ones, and dead letters.

use serde::{Deserialize, Serialize};

use crate::decode::DeadReason;
use crate::record::{Offset, Partition};
use crate::time::EventTime;

/// Why a record is in none of the windows.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Rejection {
    /// Its windows were over, by the watermark of its own partition.
    Late,
    /// It could not be read as asked.
    Dead(DeadReason),
}

impl Rejection {
    /// The code that outputs carry.
    pub fn code(self) -> &'static str {
        match self {
            Rejection::Late => "late",
            Rejection::Dead(reason) => reason.code(),
        }
    }
}

/// A record that was not accepted, with its original bytes and its origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Where it was read.
    pub partition: Partition,
    /// Where in the partition.
    pub offset: Offset,
    /// The timestamp that the log kept with it.
    pub log_timestamp: Option<EventTime>,
    /// Its event time, where that could be read (late records).
    pub event_time: Option<EventTime>,
    /// Why.
    pub rejection: Rejection,
    /// The original bytes; `None` for a null payload. Of a message that is too large, the first part
    /// and a line that says how many bytes it has.
    pub payload: Option<Vec<u8>>,
}
