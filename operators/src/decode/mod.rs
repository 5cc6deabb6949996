//! From bytes to an event, or a reason why not.
//!
//! A record that cannot be read is data too: it becomes a dead letter with a [`DeadReason`], never
//! an error that stops the stream.

#[cfg(test)]
mod agreement;
mod cursor;
mod field;
mod fixed;
mod json;
mod layout;
mod metrics;
mod name;
mod number;
mod rfc3339;
#[cfg(feature = "batch")]
pub mod rows;
mod scan;
mod strict;
#[cfg(test)]
mod tests;
mod time_unit;
mod word;

use serde::{Deserialize, Serialize};
use timely::ExchangeData;

use crate::record::Key;
use crate::time::EventTime;

pub use json::JsonFields;
pub use metrics::Metrics;
pub use time_unit::{NoTimeUnit, TimeUnit};

/// What a decoder read from one payload; the key is borrowed from the payload or from the decoder.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Decoded<'a, V> {
    /// The key, 1 to [`KEY_BYTES_MAX`] bytes.
    pub key: Key<'a>,
    /// Event time, not before 1970 ([`DeadReason::Future`] is decided by the caller, who knows the
    /// log's timestamp).
    pub time: EventTime,
    /// The other fields that were asked for.
    pub value: V,
}

/// Longest key that is accepted, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

/// How many levels deep a payload may be nested; its object is the first.
pub const LEVELS_MAX: u32 = 128;

/// Reads records. One decoder belongs to one worker, so it may keep buffers between calls.
pub trait Decode: Clone + Send + 'static {
    /// What a window aggregates of a record. It may cross to another worker.
    type Value: ExchangeData + Clone;

    /// What it reads, in a few words for people: a checkpoint of another shape is refused. By
    /// default the name of the value's type, which tells decoders of other types apart.
    fn shape(&self) -> String {
        std::any::type_name::<Self::Value>().to_owned()
    }

    /// The same decoder, for records that say their time in this unit; `None` if it cannot read that.
    /// By default it reads what it reads, which is taken for milliseconds.
    #[must_use]
    fn in_time_unit(self, unit: TimeUnit) -> Option<Self> {
        (unit == TimeUnit::Milliseconds).then_some(self)
    }

    /// Another unit in which the time of this payload would be near `expected`: what a person is told
    /// whose records are all at the wrong time. Not for the way that every record takes.
    fn guess_time_unit(&self, _payload: &[u8], _expected: EventTime) -> Option<TimeUnit> {
        None
    }

    /// What a reason means for this decoder, in words for people that name the field: `no field
    /// \`device_id\``. By default words that fit any decoder.
    fn explain(&self, reason: DeadReason) -> String {
        reason.words().to_owned()
    }

    /// The names of the fields that were asked for and that a record lacks which was read all the same.
    /// Not for the way that every record takes. By default none is known.
    fn absent_fields(&self, _value: &Self::Value) -> Vec<&str> {
        Vec::new()
    }

    /// Reads one payload.
    ///
    /// # Errors
    ///
    /// The reason why the record is a dead letter. The decoder stays usable.
    fn decode<'a>(&'a mut self, payload: &'a [u8]) -> Result<Decoded<'a, Self::Value>, DeadReason>;
}

/// The closed list of reasons why a record is a dead letter. the book (outputs.md) lists the codes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DeadReason {
    /// The payload is null or has no bytes.
    Empty,
    /// Not one JSON object in valid UTF-8 with nothing but JSON white space around it, or nested
    /// deeper than 128 levels, or with a lone surrogate in a string.
    NotJson,
    /// The key field is absent or null.
    MissingKey,
    /// The key field is not a string of 1 to [`KEY_BYTES_MAX`] bytes.
    BadKey,
    /// The time field is absent or null.
    MissingTime,
    /// The time field is not an integral number, or before 1970.
    BadTime,
    /// The time is further after the log's timestamp than is accepted, or after the year 9999.
    Future,
    /// A metric field is neither absent, null nor a number.
    BadMetric,
    /// A metric field is a number beyond the range of a 64-bit float.
    NotFinite,
    /// The payload is larger than the source hands over: no decoder has seen it.
    TooLarge,
    /// The time is further before the log's timestamp than is accepted.
    Past,
}

impl DeadReason {
    /// All reasons, in the order of their declaration. Ledgers that are stored count by it: new ones
    /// come last.
    pub const ALL: [DeadReason; 11] = [
        DeadReason::Empty,
        DeadReason::NotJson,
        DeadReason::MissingKey,
        DeadReason::BadKey,
        DeadReason::MissingTime,
        DeadReason::BadTime,
        DeadReason::Future,
        DeadReason::BadMetric,
        DeadReason::NotFinite,
        DeadReason::TooLarge,
        DeadReason::Past,
    ];

    /// The code that outputs and metrics carry.
    pub fn code(self) -> &'static str {
        match self {
            DeadReason::Empty => "empty",
            DeadReason::NotJson => "not_json",
            DeadReason::MissingKey => "missing_key",
            DeadReason::BadKey => "bad_key",
            DeadReason::MissingTime => "missing_time",
            DeadReason::BadTime => "bad_time",
            DeadReason::Future => "future",
            DeadReason::BadMetric => "bad_metric",
            DeadReason::NotFinite => "not_finite",
            DeadReason::TooLarge => "too_large",
            DeadReason::Past => "past",
        }
    }

    /// What it means, in words that fit any decoder: [`Decode::explain`] names the field.
    pub fn words(self) -> &'static str {
        match self {
            DeadReason::Empty => "no bytes",
            DeadReason::NotJson => "not a JSON object",
            DeadReason::MissingKey => "no key",
            DeadReason::BadKey => "the key is not a string of 1 to 256 bytes",
            DeadReason::MissingTime => "no time",
            DeadReason::BadTime => "the time is not an integral number, or before 1970",
            DeadReason::Future => "its time is too far ahead of its Kafka timestamp",
            DeadReason::BadMetric => "a metric is not a number",
            DeadReason::NotFinite => "a metric is too large a number",
            DeadReason::TooLarge => "too large to be read",
            DeadReason::Past => "its time is too far before its Kafka timestamp",
        }
    }
}
