//! What records look like: how many a job can read, and the first that it cannot.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use strandline_operators::decode::DeadReason;
use strandline_operators::record::{Message, Offset, Partition};
use strandline_operators::time::EventTime;

use super::Read;
use super::findings::Findings;

/// How much of a payload is shown, characters.
const SHOWN_CHARS_MAX: usize = 100;
/// Event times before this are suspected to be seconds: in milliseconds it is in April 1970, in
/// seconds beyond the year 2200.
const MILLIS_MIN: i64 = 10_000_000_000;

/// Looks at records.
pub(super) struct Look<'a> {
    read: Option<Read<'a>>,
    max_future: Duration,
    records: u64,
    readable: u64,
    /// Records whose time is far in the past of 1970, as seconds are.
    ancient: u64,
    newest: Option<EventTime>,
    first_dead: Option<Dead>,
    /// The fields that none of the readable records has; `None` while there is none.
    absent: Option<BTreeSet<String>>,
}

#[derive(Debug)]
struct Dead {
    place: (Partition, Offset),
    reason: DeadReason,
    payload: Vec<u8>,
}

impl<'a> Look<'a> {
    pub(super) fn new(read: Option<Read<'a>>, max_future: Duration) -> Look<'a> {
        Look {
            read,
            max_future,
            records: 0,
            readable: 0,
            ancient: 0,
            newest: None,
            first_dead: None,
            absent: None,
        }
    }

    pub(super) fn at(&mut self, partition: Partition, message: &Message<'_>) {
        self.records += 1;
        self.newest = self.newest.max(message.timestamp);
        let payload = message.payload.unwrap_or_default();
        let time = match &mut self.read {
            Some(read) => (read.payload)(payload).map(|(time, absent)| {
                self.absent = Some(match self.absent.take() {
                    Some(of_all) => of_all.intersection(&absent).cloned().collect(),
                    None => absent,
                });
                Some(time)
            }),
            None => generic(payload).map(|()| None),
        };
        let time = time.and_then(|time| match (time, message.timestamp) {
            (Some(time), Some(timestamp)) if timestamp + self.max_future < time => {
                Err(DeadReason::Future)
            }
            (time, _) => Ok(time),
        });
        match time {
            Ok(time) => {
                self.readable += 1;
                self.ancient += u64::from(time.is_some_and(|time| time.as_millis() < MILLIS_MIN));
            }
            Err(reason) => {
                let place = (partition, message.offset);
                let shown = payload.iter().take(16 * SHOWN_CHARS_MAX).copied().collect();
                self.first_dead.get_or_insert(Dead { place, reason, payload: shown });
            }
        }
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// The newest of the log's timestamps.
    pub(super) fn newest(&self) -> Option<EventTime> {
        self.newest
    }

    /// Says how many records can be read, and what the first looks like that cannot.
    pub(super) fn report(&self, findings: &mut Findings) {
        let (records, readable) = (self.records, self.readable);
        if records == 0 {
            return;
        }
        if let Some(absent) = self.absent.as_ref().filter(|absent| !absent.is_empty()) {
            let names: Vec<_> = absent.iter().map(|name| format!("`{name}`")).collect();
            findings.warn(
                "fields",
                format!("none of {readable} records has {}", names.join(", ")),
                "what is computed of it is null: compare the name with the records' fields",
            );
        }
        let what = match self.read {
            Some(_) => "can be read by this job",
            None => "are JSON objects (what a job reads of them, `THE-JOB doctor` says)",
        };
        if 0 < self.ancient && self.ancient == readable {
            return findings.fail(
                "records",
                format!("event times of all {readable} readable records are in 1970"),
                "they look like seconds, and this job reads milliseconds: start it with \
                 --time-unit s, or send milliseconds",
            );
        }
        let Some(dead) = &self.first_dead else {
            return findings.ok("records", format!("all {records} {what}"));
        };
        let (partition, offset) = dead.place;
        let words = self.read.as_ref().map(|read| read.words.clone()).unwrap_or_default();
        let found = format!(
            "{readable} of {records} {what}; the first other is partition {} offset {}, {}: {}",
            partition.0,
            offset.0,
            words.code_and_words(dead.reason),
            shown(&dead.payload)
        );
        let advice = looks_like(&dead.payload, dead.reason.code());
        match readable {
            0 => findings.fail("records", found, advice),
            _ => findings.warn("records", found, advice),
        }
    }
}

/// What can be asked of a payload where nobody knows what a job reads of it.
fn generic(payload: &[u8]) -> Result<(), DeadReason> {
    match serde_json::from_slice::<Value>(payload) {
        _ if payload.is_empty() => Err(DeadReason::Empty),
        Ok(Value::Object(_)) => Ok(()),
        _ => Err(DeadReason::NotJson),
    }
}

/// The beginning of a payload, in one line.
fn shown(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload);
    let mut line: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(escaped).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        line.push('…');
    }
    line
}

/// A character of a payload; one that a terminal would act upon, or not show, by its code.
fn escaped(c: char) -> impl Iterator<Item = char> {
    let plain = matches!(c, '"' | '\'' | '\\').then_some(c);
    let escape = plain.is_none().then(|| c.escape_debug());
    plain.into_iter().chain(escape.into_iter().flatten())
}

/// What a payload that cannot be read may be, and what to do.
fn looks_like(payload: &[u8], code: &str) -> String {
    let plain = "it becomes a dead letter, with its bytes, in dead_letters/";
    match payload {
        [] => return "it has no bytes, as a tombstone: it becomes a dead letter".to_owned(),
        [0, _, _, _, _, ..] => {
            return "it begins with the byte 0, as Avro, Protobuf or JSON Schema of a schema registry \
                    do: have the producer send plain JSON, or give the job a decoder for it"
                .to_owned();
        }
        _ => {}
    }
    let value = serde_json::from_slice::<Value>(payload);
    match value {
        Ok(Value::Array(_)) => {
            "it looks like an array: send each of its objects as a record of its own".to_owned()
        }
        Ok(Value::String(text)) if text.trim_start().starts_with('{') => {
            "it looks like JSON that was encoded twice: send the object itself".to_owned()
        }
        Ok(Value::Object(object)) => {
            let nested = object.iter().find(|(_, value)| value.is_object());
            match (code, nested) {
                ("future", _) => {
                    "its time is far ahead: it looks like microseconds or nanoseconds \
                                  instead of milliseconds (--time-unit us, ns), or a clock is wrong"
                        .to_owned()
                }
                ("bad_time", _) => "its time looks like text, and this job reads integral \
                                    milliseconds since 1970 (for RFC 3339: --time-unit rfc3339)"
                    .to_owned(),
                ("missing_key" | "missing_time", Some((name, _))) => format!(
                    "it looks nested: the fields may be inside of `{name}`, and this job reads the \
                     outermost object"
                ),
                ("missing_key" | "missing_time", None) => {
                    let names: Vec<_> = object.keys().map(String::as_str).take(8).collect();
                    format!("it has the fields {}: compare them with the job's", names.join(", "))
                }
                _ => plain.to_owned(),
            }
        }
        Ok(_) => "it is JSON, and no object: send an object".to_owned(),
        Err(_)
            if payload.contains(&b';') || payload.contains(&b',') && !payload.contains(&b'{') =>
        {
            "it looks like CSV: send JSON, or give the job a decoder for it".to_owned()
        }
        Err(_) => plain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use strandline_operators::decode::JsonFields;
    use strandline_operators::record::TimestampType;

    use super::super::read_by;
    use super::*;

    #[test]
    fn a_field_that_no_record_has_is_named() {
        let decoder = JsonFields::new("id", "ts", ["warm", "wet"]);
        let mut look = Look::new(Some(read_by(&decoder)), Duration::from_secs(3600));
        let mut findings = Findings::new(false);
        for payload in
            [&br#"{"id":"a","ts":1730638574123}"#[..], br#"{"id":"a","ts":1730638574123,"wet":1}"#]
        {
            let message = Message {
                offset: Offset(0),
                timestamp: None,
                timestamp_type: TimestampType::CreateTime,
                payload: Some(payload),
                cut_from: None,
            };
            look.at(Partition(0), &message);
        }
        look.report(&mut findings);
        let json = findings.json();
        assert_eq!(json["checks"][0]["found"], "none of 2 records has `warm`");
        assert_eq!(json["checks"][1]["found"], "all 2 can be read by this job");
    }

    #[test]
    fn the_first_record_that_cannot_be_read_is_shown_with_what_it_looks_like() {
        for (payload, code, hint) in [
            (&b"[{\"device_id\":\"a\"}]"[..], "not_json", "array"),
            (b"\0\0\0\0\x01abc", "not_json", "schema registry"),
            (b"{\"data\":{\"device_id\":\"a\"}}", "missing_key", "inside of `data`"),
            (b"{\"id\":\"a\",\"when\":1}", "missing_key", "fields id, when"),
            (b"{\"ts\":\"2026\"}", "bad_time", "looks like text"),
            (b"{\"ts\":1730638574123000}", "future", "microseconds"),
            (b"a;b;c", "not_json", "CSV"),
            (b"\"{\\\"a\\\":1}\"", "not_json", "encoded twice"),
            (b"", "empty", "no bytes"),
        ] {
            let said = looks_like(payload, code);
            assert!(said.contains(hint), "{said}");
        }
        assert_eq!(shown(b"a\nb\xff"), "a\\nb\u{fffd}");
        assert!(shown(&[b'x'; 200]).ends_with("x…"));
    }
}
