//! The JSON decoder: a flat object's key, time and metrics, by the names of their fields.
//!
//! There are two ways to read a payload. The strict path ([`super::strict`]) defines what is
//! accepted and why not; it stands on serde_json. The fast path ([`super::scan`]) reads what
//! devices usually send, in one pass and without an allocation, and says "I do not know" to
//! everything else. It never rejects: whatever it does not know is decided by the strict path, so
//! that a reason has one place where it is found. That both agree is a property test.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decode::fixed::{self, InMilliseconds};
use crate::decode::layout::Layout;
use crate::decode::name::Name;
use crate::decode::scan::Fields;
use crate::decode::{DeadReason, Decode, Decoded, TimeUnit, strict};
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
/// assert_eq!(decoder.decode(br#"{"ts":1730638574123}"#), Err(DeadReason::MissingKey));
/// ```
#[derive(Clone, Debug)]
pub struct JsonFields<const N: usize> {
    names: Names<N>,
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
            names: Names::new(key, time, metrics),
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

/// The names of the fields that are asked for.
#[derive(Clone, Debug)]
pub(super) struct Names<const N: usize> {
    key: Name,
    time: Name,
    metrics: [Name; N],
}

/// What a field of a payload is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Key,
    Time,
    Metric(usize),
    Ignored,
}

impl<const N: usize> Names<N> {
    pub(super) fn new(key: &str, time: &str, metrics: [&str; N]) -> Names<N> {
        Names { key: key.into(), time: time.into(), metrics: metrics.map(Name::from) }
    }
}

impl<const N: usize> Fields for Names<N> {
    type Field = Field;

    /// Linear in `N`.
    fn field(&self, name: &[u8]) -> Field {
        let is = |wanted: &Name| wanted.is(name);
        if is(&self.key) {
            Field::Key
        } else if is(&self.time) {
            Field::Time
        } else {
            self.metrics.iter().position(is).map_or(Field::Ignored, Field::Metric)
        }
    }

    /// There is no branch on which one it is: in records whose order varies, it would be guessed
    /// wrongly.
    #[inline(always)]
    fn recognise(&self, block: u128) -> Option<(Field, usize)> {
        let mut found = None;
        for (index, name) in self.metrics.iter().enumerate() {
            if let Some(bytes) = name.begins(block) {
                found = Some((Field::Metric(index), bytes));
            }
        }
        if let Some(bytes) = self.time.begins(block) {
            found = Some((Field::Time, bytes));
        }
        if let Some(bytes) = self.key.begins(block) {
            found = Some((Field::Key, bytes));
        }
        found
    }
}

/// The metrics of one record: `N` numbers, each of which may be absent.
///
/// It takes 8 bytes a metric. Two are equal if they are equal to the last bit (`0.0` is not
/// `-0.0`).
///
/// ```
/// use strandline_operators::decode::Metrics;
///
/// let metrics = Metrics::from([Some(24.7), None]);
/// assert_eq!((metrics.get(0), metrics.get(1)), (Some(24.7), None));
/// ```
#[derive(Copy, Clone, Serialize, Deserialize)]
#[serde(into = "Vec<f64>", try_from = "Vec<f64>")]
pub struct Metrics<const N: usize> {
    // NaN stands for absent: JSON has no NaN.
    values: [f64; N],
}

impl<const N: usize> Metrics<N> {
    /// The metric of the field that was named at `index`; `None` if it is absent.
    ///
    /// # Panics
    ///
    /// If `index` is not below `N`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<f64> {
        let value = self.values[index];
        (!value.is_nan()).then_some(value)
    }

    pub(super) const ABSENT: Metrics<N> = Metrics { values: [f64::NAN; N] };

    #[inline]
    pub(super) fn set(&mut self, index: usize, value: Option<f64>) {
        self.values[index] = value.unwrap_or(f64::NAN);
    }
}

impl<const N: usize> From<[Option<f64>; N]> for Metrics<N> {
    /// NaN counts as absent.
    fn from(values: [Option<f64>; N]) -> Metrics<N> {
        Metrics { values: values.map(|value| value.unwrap_or(f64::NAN)) }
    }
}

impl<const N: usize> From<Metrics<N>> for Vec<f64> {
    /// NaN stands for an absent metric.
    fn from(metrics: Metrics<N>) -> Vec<f64> {
        metrics.values.to_vec()
    }
}

impl<const N: usize> TryFrom<Vec<f64>> for Metrics<N> {
    type Error = String;

    fn try_from(values: Vec<f64>) -> Result<Metrics<N>, String> {
        let found = values.len();
        let values =
            values.try_into().map_err(|_| format!("{N} metrics, and {found} were sent"))?;
        Ok(Metrics { values })
    }
}

impl<const N: usize> PartialEq for Metrics<N> {
    fn eq(&self, other: &Self) -> bool {
        let bits = |metrics: &Self, index| metrics.get(index).map(f64::to_bits);
        (0..N).all(|index| bits(self, index) == bits(other, index))
    }
}

impl<const N: usize> Eq for Metrics<N> {}

impl<const N: usize> fmt::Debug for Metrics<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..N).map(|index| self.get(index))).finish()
    }
}
