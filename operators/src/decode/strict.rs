//! The path of the decoder that defines what is accepted, and why not.
//!
//! serde_json finds the fields and checks the grammar. For what it is told to ignore it checks no
//! more than that: neither the UTF-8 of strings, nor their surrogates, nor how deep it goes (its
//! own limit is for what it builds). Two passes of ours do, over the whole payload, so that
//! whether a record is JSON does not depend on which fields are asked for.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::decode::field::{Field, FieldNames};
use crate::decode::metrics::Metrics;
use crate::decode::scan::Fields;
use crate::decode::{DeadReason, Decoded, KEY_BYTES_MAX, LEVELS_MAX, TimeUnit, number, rfc3339};
use crate::time::EventTime;

/// Reads one payload; `unescaped_key` is where a key is put that cannot be borrowed.
pub(super) fn decode<'a, const N: usize>(
    names: &FieldNames<N>,
    unit: TimeUnit,
    unescaped_key: &'a mut String,
    payload: &'a [u8],
) -> Result<Decoded<'a, Metrics<N>>, DeadReason> {
    let mut found = Found { key: None, time: None, metrics: [None; N] };
    members(names, payload, |field, raw| match field {
        Field::Key => found.key = raw,
        Field::Time => found.time = raw,
        Field::Metric(index) => found.metrics[index] = raw,
        Field::Ignored => {}
    })?;

    let key = key(found.key, unescaped_key)?;
    let time = time(found.time, unit)?;
    let mut value = Metrics::ABSENT;
    for (index, raw) in found.metrics.into_iter().enumerate() {
        value.set(index, metric(raw)?);
    }
    Ok(Decoded { key: key.into(), time, value })
}

fn key<'a>(raw: Option<&'a str>, unescaped: &'a mut String) -> Result<&'a str, DeadReason> {
    let raw = raw.ok_or(DeadReason::MissingKey)?;
    let quoted = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let content = quoted.ok_or(DeadReason::BadKey)?;
    let key = if content.contains('\\') {
        *unescaped = serde_json::from_str(raw).map_err(|_| DeadReason::NotJson)?;
        unescaped
    } else {
        content
    };
    if (1..=KEY_BYTES_MAX).contains(&key.len()) { Ok(key) } else { Err(DeadReason::BadKey) }
}

fn time(raw: Option<&str>, unit: TimeUnit) -> Result<EventTime, DeadReason> {
    let raw = raw.ok_or(DeadReason::MissingTime)?;
    match unit.exponent() {
        Some(_) if !is_number(raw) => Err(DeadReason::BadTime),
        Some(0) => number::time(raw),
        Some(exponent) => number::time_in(raw, exponent),
        None if raw.starts_with('"') => {
            let text: String = serde_json::from_str(raw).map_err(|_| DeadReason::NotJson)?;
            rfc3339::time(text.as_bytes())
        }
        None => Err(DeadReason::BadTime),
    }
}

fn metric(raw: Option<&str>) -> Result<Option<f64>, DeadReason> {
    match raw {
        None => Ok(None),
        Some(raw) if is_number(raw) => number::metric(raw).map(Some),
        Some(_) => Err(DeadReason::BadMetric),
    }
}

pub(super) fn is_number(raw: &str) -> bool {
    raw.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// The JSON text of the fields that are asked for; `None` if absent or null.
struct Found<'a, const N: usize> {
    key: Option<&'a str>,
    time: Option<&'a str>,
    metrics: [Option<&'a str>; N],
}

/// Reads a payload, which has to be one object of JSON: gives each member's field and JSON text, in
/// their order, with `None` for null. The last of a field counts.
pub(super) fn members<'a, F: Fields>(
    fields: &F,
    payload: &'a [u8],
    mut put: impl FnMut(F::Field, Option<&'a str>),
) -> Result<(), DeadReason> {
    if payload.is_empty() {
        return Err(DeadReason::Empty);
    }
    let text = std::str::from_utf8(payload).map_err(|_| DeadReason::NotJson)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_map(Members { fields, put: &mut put });
    read.and_then(|()| deserializer.end()).map_err(|_| DeadReason::NotJson)?;
    if is_shallow_and_paired(text) { Ok(()) } else { Err(DeadReason::NotJson) }
}

struct Members<'n, F, P> {
    fields: &'n F,
    put: P,
}

impl<'de, F: Fields, P: FnMut(F::Field, Option<&'de str>)> Visitor<'de> for Members<'_, F, P> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some(field) = members.next_key_seed(FieldOf(self.fields))? {
            let raw = members.next_value::<&RawValue>()?.get();
            (self.put)(field, (raw != "null").then_some(raw));
        }
        Ok(())
    }
}

struct FieldOf<'n, F>(&'n F);

impl<'de, F: Fields> DeserializeSeed<'de> for FieldOf<'_, F> {
    type Value = F::Field;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<F::Field, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<F: Fields> Visitor<'_> for FieldOf<'_, F> {
    type Value = F::Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<F::Field, E> {
        Ok(self.0.field(name.as_bytes()))
    }
}

/// Whether a JSON text is at most [`LEVELS_MAX`] deep and each surrogate in it has its other half.
/// The grammar was checked before.
fn is_shallow_and_paired(json: &str) -> bool {
    let mut depth = 0;
    let mut rest = json.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if LEVELS_MAX < depth {
                    return false;
                }
            }
            b'}' | b']' => depth -= 1,
            b'"' => match after_string(rest) {
                Some(after) => rest = after,
                None => return false,
            },
            _ => {}
        }
    }
    true
}

/// What follows a string that goes on with `rest`; `None` if it has a lone surrogate.
fn after_string(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'u', after @ ..] => {
                rest = match utf16(after)? {
                    (0xD800..=0xDBFF, [b'\\', b'u', low @ ..]) => match utf16(low)? {
                        (0xDC00..=0xDFFF, after) => after,
                        _ => return None,
                    },
                    (0xD800..=0xDFFF, _) => return None,
                    (_, after) => after,
                }
            }
            [b'\\', _, after @ ..] | [_, after @ ..] => rest = after,
            [] => return None,
        }
    }
}

/// The four hexadecimal digits of an escape, and what follows them.
fn utf16(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, after) = text.split_at_checked(4)?;
    let unit = digits
        .iter()
        .try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))?;
    Some((unit, after))
}
