//! Why a payload is not a row.

use crate::decode::DeadReason;

/// Why a payload is a dead letter; columns are said by their numbers in the schema.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum RowReason {
    /// As decoders of fixed fields have it: the payload is empty, no JSON, or too large.
    Payload(DeadReason),
    /// A column of the key is absent or null.
    MissingKey(usize),
    /// A column of the key is not of its type, does not fit it, or is a text or bytes of another length
    /// than 1 to [`KEY_BYTES_MAX`](super::super::KEY_BYTES_MAX).
    BadKey(usize),
    /// The event time is absent or null.
    MissingTime,
    /// The event time is not of the form that was asked for, or before 1970.
    BadTime,
    /// The event time is after the year 9999, or after what its column can hold (the year 2262 in
    /// nanoseconds).
    Future,
    /// A column that has to have a value is absent or null.
    MissingValue(usize),
    /// A value is not of the type of its column.
    BadValue(usize),
    /// A value is of the right type, and the column cannot hold it: it is too large, or has digits that
    /// would be lost.
    OutOfRange(usize),
}

impl RowReason {
    /// The same reason, where decoders of fixed fields have it.
    pub fn dead_reason(self) -> Option<DeadReason> {
        match self {
            RowReason::Payload(reason) => Some(reason),
            RowReason::MissingKey(_) => Some(DeadReason::MissingKey),
            RowReason::BadKey(_) => Some(DeadReason::BadKey),
            RowReason::MissingTime => Some(DeadReason::MissingTime),
            RowReason::BadTime => Some(DeadReason::BadTime),
            RowReason::Future => Some(DeadReason::Future),
            RowReason::MissingValue(_) | RowReason::BadValue(_) | RowReason::OutOfRange(_) => None,
        }
    }

    /// The code that outputs and metrics carry.
    pub fn code(self) -> &'static str {
        match self {
            RowReason::MissingValue(_) => "missing_value",
            RowReason::BadValue(_) => "bad_value",
            RowReason::OutOfRange(_) => "out_of_range",
            _ => self.dead_reason().map_or("bad_value", DeadReason::code),
        }
    }

    /// The number of the column that it is about, if it is about one.
    pub fn column(self) -> Option<usize> {
        match self {
            RowReason::MissingKey(column)
            | RowReason::BadKey(column)
            | RowReason::MissingValue(column)
            | RowReason::BadValue(column)
            | RowReason::OutOfRange(column) => Some(column),
            RowReason::Payload(_)
            | RowReason::MissingTime
            | RowReason::BadTime
            | RowReason::Future => None,
        }
    }
}
