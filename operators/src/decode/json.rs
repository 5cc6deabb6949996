//! The JSON decoder: a flat object's key, time and metrics, by the names of their fields.
//!
//! There are two ways to read a payload. The strict path ([`super::strict`]) defines what is
//! accepted and why not; it stands on serde_json. The fast path ([`super::scan`]) reads what
//! devices usually send, in one pass and without an allocation, and says "I do not know" to
//! everything else. It never rejects: whatever it does not know is decided by the strict path, so
//! that a reason has one place where it is found. That both agree is a property test.

use std::time::Duration;

use crate::decode::field::{Field, FieldNames};
use crate::decode::fixed::{self, InMilliseconds};
use crate::decode::layout::Layout;
use crate::decode::metrics::Metrics;
use crate::decode::name::Name;
use crate::decode::{DeadReason, Decode, Decoded, KEY_BYTES_MAX, TimeUnit, strict};
use crate::time::EventTime;

/// How far a time in another unit may be from the one expected to be taken for what is meant.
const UNIT_IS_MEANT_WITHIN: Duration = Duration::from_secs(86_400);

/// Reads JSON objects: one field is the key, one the event time, `N` are metrics.
///
/// A payload is one JSON object in UTF-8 with nothing but JSON white space around it, at most 128
/// levels deep (the object itself is the first), without a lone surrogate anywhere, in ignored
/// fields too.
///
/// * The key is a string of 1 to [`KEY_BYTES_MAX`](super::KEY_BYTES_MAX) bytes.
/// * The time is an integral number of milliseconds since 1970, in whatever notation (`5`, `5.0`,
///   `5e3`, `-0`), read exactly, not before 1970 and not after the year 9999; or in another
///   [unit](TimeUnit), then rounded down to milliseconds.
/// * A metric is a number, correctly rounded to 64 bits; where it is absent or null, it does not
///   contribute.
/// * Other fields are ignored. Names and strings are compared after unescaping. Of a repeated
///   field, the last counts.
///
/// Where there are several reasons against a record, it carries the first of: empty, not JSON, the
/// key's, the time's, the metrics' in the order in which they were asked for.
///
/// A payload costs one pass over its bytes. Where it is laid out as the one before it (the same
/// fields in the same order with the same white space), field names are recognised by comparing
/// whole words, which saves two fifths of the time; nothing else depends on the order.
///
/// ```
/// use strandline_operators::decode::{DeadReason, Decode, JsonFields};
///
/// let mut decoder = JsonFields::new("device_id", "ts", ["temperature", "humidity"]);
/// let decoded = decoder
///     .decode(br#"{"device_id":"device-1","ts":1730638574123,"temperature":24.7,"status":"ok"}"#)
///     .unwrap();
/// assert_eq!((decoded.key.as_str(), decoded.time.as_millis()), ("device-1", 1730638574123));
/// assert_eq!((decoded.value.get(0), decoded.value.get(1)), (Some(24.7), None));
///
/// let value = decoded.value;
/// assert_eq!(decoder.absent_fields(&value), ["humidity"]);
///
/// assert_eq!(decoder.decode(br#"{"ts":1730638574123}"#), Err(DeadReason::MissingKey));
/// ```
#[derive(Clone, Debug)]
pub struct JsonFields<const N: usize> {
    names: FieldNames<N>,
    layout: Layout<Field>,
    path: Path,
    unit: TimeUnit,
    unescaped_key: String,
}

/// Which way payloads take.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Path {
    /// The fast one, where it is sure. The unit is a constant there: it is not looked at for each
    /// record.
    FastMilliseconds,
    /// The same, with times in another unit.
    FastOther,
    Strict,
}

impl<const N: usize> JsonFields<N> {
    /// A decoder that takes the key, the time and the metrics from the fields of these names.
    ///
    /// # Panics
    ///
    /// If two of the names are equal.
    pub fn new(key: &str, time: &str, metrics: [&str; N]) -> JsonFields<N> {
        let mut all: Vec<&str> = [key, time].into_iter().chain(metrics).collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "one name a field: {all:?}");
        JsonFields {
            names: FieldNames::new(key, time, metrics),
            layout: Layout::default(),
            path: Path::FastMilliseconds,
            unit: TimeUnit::Milliseconds,
            unescaped_key: String::new(),
        }
    }

    /// The same decoder without its fast path: several times slower, and equal in what it
    /// accepts and rejects. For measuring and for checking.
    #[must_use]
    pub fn strict_only(mut self) -> JsonFields<N> {
        self.path = Path::Strict;
        self
    }
}

impl<const N: usize> Decode for JsonFields<N> {
    type Value = Metrics<N>;

    fn shape(&self) -> String {
        let names = [&self.names.key, &self.names.time].into_iter().chain(&self.names.metrics);
        let names: Vec<&str> = names.map(Name::text).collect();
        let unit = match self.unit {
            TimeUnit::Milliseconds => String::new(),
            unit => format!(", {} in {unit}", self.names.time.text()),
        };
        format!("JSON with {}{unit}", names.join(", "))
    }

    fn in_time_unit(mut self, unit: TimeUnit) -> Option<JsonFields<N>> {
        self.unit = unit;
        self.path = match (self.path, unit) {
            (Path::Strict, _) => Path::Strict,
            (_, TimeUnit::Milliseconds) => Path::FastMilliseconds,
            _ => Path::FastOther,
        };
        Some(self)
    }

    fn guess_time_unit(&self, payload: &[u8], expected: EventTime) -> Option<TimeUnit> {
        let is_meant = |unit: TimeUnit| {
            let mut unescaped_key = String::new();
            let decoded = strict::decode(&self.names, unit, &mut unescaped_key, payload);
            let time = decoded.ok().map(|decoded| decoded.time);
            time.is_some_and(|time| {
                time.since(expected).max(expected.since(time)) <= UNIT_IS_MEANT_WITHIN
            })
        };
        TimeUnit::ALL.into_iter().filter(|unit| *unit != self.unit).find(|unit| is_meant(*unit))
    }

    fn explain(&self, reason: DeadReason) -> String {
        let (key, time) = (self.names.key.text(), self.names.time.text());
        let metrics = || {
            let names = self.names.metrics.iter().map(|name| format!("`{}`", name.text()));
            names.collect::<Vec<_>>().join(" or ")
        };
        match reason {
            DeadReason::MissingKey => format!("no field `{key}`"),
            DeadReason::BadKey => format!("`{key}` is not a string of 1 to {KEY_BYTES_MAX} bytes"),
            DeadReason::MissingTime => format!("no field `{time}`"),
            DeadReason::BadTime => match self.unit {
                TimeUnit::Rfc3339 => format!("`{time}` is not an RFC 3339 time after 1970"),
                unit => format!("`{time}` is not a whole number of {}", unit.words()),
            },
            DeadReason::Future => format!("`{time}` is too far ahead of the Kafka timestamp"),
            DeadReason::Past => format!("`{time}` is too far before the Kafka timestamp"),
            DeadReason::BadMetric if N > 0 => format!("{} is not a number", metrics()),
            DeadReason::NotFinite if N > 0 => format!("{} is too large a number", metrics()),
            _ => reason.words().to_owned(),
        }
    }

    fn absent_fields(&self, value: &Metrics<N>) -> Vec<&str> {
        let metrics = self.names.metrics.iter().enumerate();
        metrics
            .filter(|(index, _)| value.get(*index).is_none())
            .map(|(_, name)| name.text())
            .collect()
    }

    #[inline]
    fn decode<'a>(&'a mut self, payload: &'a [u8]) -> Result<Decoded<'a, Metrics<N>>, DeadReason> {
        // One way out for what is usual, or what was read goes through memory where the ways meet.
        if self.path == Path::FastMilliseconds
            && let Some(decoded) =
                fixed::decode(&self.names, &mut self.layout, InMilliseconds, payload)
        {
            return Ok(decoded);
        }
        self.decode_otherwise(payload)
    }
}

impl<const N: usize> JsonFields<N> {
    /// What is not usual. A function of its own, so that it takes no registers from what is.
    #[inline(never)]
    fn decode_otherwise<'a>(
        &'a mut self,
        payload: &'a [u8],
    ) -> Result<Decoded<'a, Metrics<N>>, DeadReason> {
        if self.path == Path::FastOther
            && let Some(decoded) = fixed::decode(&self.names, &mut self.layout, self.unit, payload)
        {
            return Ok(decoded);
        }
        strict::decode(&self.names, self.unit, &mut self.unescaped_key, payload)
    }
}
