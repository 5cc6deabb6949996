//! A sample as the message that a device sends.
//!
//! The simulator has to outrun the engine it feeds, so the digits are written straight into a
//! buffer that is reused: no formatter, no allocation.

use strandline_operators::time::EventTime;

use super::room::Reading;
use crate::random::SplitMix64;

/// Appends the message of one sample:
/// `{"device_id":"device-abc123","ts":1730638574123,"temperature":24.7,"humidity":55.3,"battery":82.5,"status":"ok","location":"lab"}`.
#[inline]
pub(super) fn write(
    out: &mut Vec<u8>,
    device_id: &str,
    location: &str,
    ts: EventTime,
    reading: &Reading,
) {
    out.extend_from_slice(br#"{"device_id":""#);
    out.extend_from_slice(device_id.as_bytes());
    out.extend_from_slice(br#"","ts":"#);
    out.extend_from_slice(itoa::Buffer::new().format(ts.as_millis()).as_bytes());
    out.extend_from_slice(br#","temperature":"#);
    write_tenths(out, reading.temperature);
    out.extend_from_slice(br#","humidity":"#);
    write_tenths(out, reading.humidity);
    out.extend_from_slice(br#","battery":"#);
    write_tenths(out, Some(reading.battery));
    out.extend_from_slice(if reading.faulty {
        br#","status":"fault","location":""#
    } else {
        br#","status":"ok","location":""#
    });
    out.extend_from_slice(location.as_bytes());
    out.extend_from_slice(br#""}"#);
}

/// Fields of a message.
const FIELDS: usize = 7;

/// Appends the same message with its fields in an order, and with white space, that are drawn from
/// the bits of `layout`.
pub(super) fn write_varied(
    out: &mut Vec<u8>,
    device_id: &str,
    location: &str,
    ts: EventTime,
    reading: &Reading,
    layout: u64,
) {
    let mut random = SplitMix64::new(layout);
    let mut order: [usize; FIELDS] = std::array::from_fn(|field| field);
    for last in (1..FIELDS).rev() {
        order.swap(last, random.below(last as u64 + 1) as usize);
    }
    let spaces: [&[u8]; 4] = [b"", b" ", b"  ", b"\n  "];
    let mut space = |out: &mut Vec<u8>| out.extend_from_slice(spaces[random.below(4) as usize]);
    let quoted = |out: &mut Vec<u8>, text: &str| {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    };
    for (member, field) in order.into_iter().enumerate() {
        out.push(if member == 0 { b'{' } else { b',' });
        space(out);
        let names = ["device_id", "ts", "temperature", "humidity", "battery", "status", "location"];
        quoted(out, names[field]);
        out.push(b':');
        space(out);
        match field {
            0 => quoted(out, device_id),
            1 => out.extend_from_slice(itoa::Buffer::new().format(ts.as_millis()).as_bytes()),
            2 => write_tenths(out, reading.temperature),
            3 => write_tenths(out, reading.humidity),
            4 => write_tenths(out, Some(reading.battery)),
            5 => quoted(out, if reading.faulty { "fault" } else { "ok" }),
            _ => quoted(out, location),
        }
    }
    space(out);
    out.push(b'}');
}

/// Appends a number of tenths with one decimal, or `null`.
#[inline]
fn write_tenths(out: &mut Vec<u8>, tenths: Option<i32>) {
    let Some(tenths) = tenths else {
        out.extend_from_slice(b"null");
        return;
    };
    if tenths < 0 {
        out.push(b'-');
    }
    let magnitude = tenths.unsigned_abs();
    out.extend_from_slice(itoa::Buffer::new().format(magnitude / 10).as_bytes());
    out.push(b'.');
    out.push(b'0' + (magnitude % 10) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_exactly_the_documented_shape() {
        let mut out = Vec::new();
        let reading =
            Reading { temperature: Some(247), humidity: Some(553), battery: 825, faulty: false };
        let ts = EventTime::from_millis(1_730_638_574_123);
        write(&mut out, "device-abc123", "lab", ts, &reading);
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            r#"{"device_id":"device-abc123","ts":1730638574123,"temperature":24.7,"humidity":55.3,"battery":82.5,"status":"ok","location":"lab"}"#
        );
    }

    #[test]
    fn a_varied_layout_changes_the_spelling_and_not_the_meaning() {
        let reading =
            Reading { temperature: Some(247), humidity: None, battery: 825, faulty: true };
        let ts = EventTime::from_millis(1_730_638_574_123);
        let mut plain = Vec::new();
        write(&mut plain, "device-abc123", "lab", ts, &reading);
        let meaning = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
        let mut spellings = std::collections::HashSet::new();
        for layout in 0..1_000 {
            let mut varied = Vec::new();
            write_varied(&mut varied, "device-abc123", "lab", ts, &reading, layout);
            assert_eq!(meaning(&varied), meaning(&plain));
            spellings.insert(varied);
        }
        assert!(900 < spellings.len(), "{}", spellings.len());
    }

    #[test]
    fn faults_nulls_and_signs_are_written() {
        let mut out = Vec::new();
        let reading = Reading { temperature: Some(-1), humidity: None, battery: 50, faulty: true };
        write(&mut out, "d", "attic", EventTime::from_millis(0), &reading);
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            r#"{"device_id":"d","ts":0,"temperature":-0.1,"humidity":null,"battery":5.0,"status":"fault","location":"attic"}"#
        );
    }
}
