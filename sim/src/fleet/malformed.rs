//! Messages that cannot be read as asked, each a named case with the reason that it must get.
//!
//! They are made from a good message of the same device, and every case is one that devices,
//! gateways or hurried programmers do produce. The set of devices has to survive them:
//! [`Malformed::OF_KNOWN_DEVICES`] are the cases in which whatever `device_id` a lenient reader
//! may still find is the device's own, so a fleet of eight is never seen as nine.

use strandline_operators::time::EventTime;

/// A way to spoil a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// The connection broke: the message ends in the middle.
    Truncated,
    /// A byte that is not UTF-8.
    NotUtf8,
    /// A byte order mark before the object.
    ByteOrderMark,
    /// A metric that is `NaN`, which JSON does not have.
    NotANumber,
    /// A null payload (a tombstone).
    NullPayload,
    /// A payload without a byte.
    EmptyPayload,
    /// White space alone.
    Blank,
    /// A line break inside a string, not escaped.
    ControlCharacter,
    /// Half of a surrogate pair, in a field that nobody reads.
    LoneSurrogate,
    /// Single quotes instead of double ones.
    SingleQuotes,
    /// A comma before the closing brace.
    TrailingComma,
    /// A number with a leading zero.
    LeadingZero,
    /// Two objects in one message.
    TwoObjects,
    /// The object wrapped in an array.
    InArray,
    /// A field nested one level deeper than is read.
    TooDeep,
    /// Brackets that do not match.
    NestedGarbage,
    /// No `ts`.
    MissingTime,
    /// `"ts":null`.
    NullTime,
    /// `ts` as a string.
    TextTime,
    /// `ts` with half a millisecond.
    FractionalTime,
    /// `ts` before 1970.
    NegativeTime,
    /// `ts` in microseconds: a date beyond the year 9999.
    FarFuture,
    /// A metric as a string.
    TextMetric,
    /// A metric as an object.
    NestedMetric,
    /// A metric as a truth value, after a good value of the same name: the last counts.
    RepeatedMetric,
    /// A metric beyond the range of a 64-bit float.
    HugeMetric,
    /// No `device_id`.
    MissingKey,
    /// `"device_id":null`.
    NullKey,
    /// `device_id` as a number.
    NumberKey,
    /// `"device_id":""`.
    EmptyKey,
    /// A `device_id` of 257 bytes.
    LongKey,
}

impl Malformed {
    /// All cases.
    pub const ALL: [Malformed; 31] = [
        Malformed::Truncated,
        Malformed::NotUtf8,
        Malformed::ByteOrderMark,
        Malformed::NotANumber,
        Malformed::NullPayload,
        Malformed::EmptyPayload,
        Malformed::Blank,
        Malformed::ControlCharacter,
        Malformed::LoneSurrogate,
        Malformed::SingleQuotes,
        Malformed::TrailingComma,
        Malformed::LeadingZero,
        Malformed::TwoObjects,
        Malformed::InArray,
        Malformed::TooDeep,
        Malformed::NestedGarbage,
        Malformed::MissingTime,
        Malformed::NullTime,
        Malformed::TextTime,
        Malformed::FractionalTime,
        Malformed::NegativeTime,
        Malformed::FarFuture,
        Malformed::TextMetric,
        Malformed::NestedMetric,
        Malformed::RepeatedMetric,
        Malformed::HugeMetric,
        Malformed::MissingKey,
        Malformed::NullKey,
        Malformed::NumberKey,
        Malformed::EmptyKey,
        Malformed::LongKey,
    ];

    /// The cases in which no other `device_id` than the device's own can be found, however
    /// leniently the payload is read: all but those about the key.
    pub const OF_KNOWN_DEVICES: &'static [Malformed] = Self::ALL.split_at(26).0;

    /// The code of the dead letter that such a message must become.
    pub fn reason_code(self) -> &'static str {
        match self {
            Malformed::NullPayload | Malformed::EmptyPayload => "empty",
            Malformed::Truncated
            | Malformed::NotUtf8
            | Malformed::ByteOrderMark
            | Malformed::NotANumber
            | Malformed::Blank
            | Malformed::ControlCharacter
            | Malformed::LoneSurrogate
            | Malformed::SingleQuotes
            | Malformed::TrailingComma
            | Malformed::LeadingZero
            | Malformed::TwoObjects
            | Malformed::InArray
            | Malformed::TooDeep
            | Malformed::NestedGarbage => "not_json",
            Malformed::MissingKey | Malformed::NullKey => "missing_key",
            Malformed::NumberKey | Malformed::EmptyKey | Malformed::LongKey => "bad_key",
            Malformed::MissingTime | Malformed::NullTime => "missing_time",
            Malformed::TextTime | Malformed::FractionalTime | Malformed::NegativeTime => "bad_time",
            Malformed::FarFuture => "future",
            Malformed::TextMetric | Malformed::NestedMetric | Malformed::RepeatedMetric => {
                "bad_metric"
            }
            Malformed::HugeMetric => "not_finite",
        }
    }

    /// Spoils `message`, a good message of this device with this time; `None` for a null payload.
    /// Slow: few messages are malformed.
    pub(super) fn spoil(self, message: &[u8], device_id: &str, ts: EventTime) -> Option<Vec<u8>> {
        let text = String::from_utf8_lossy(message).into_owned();
        let ts = ts.as_millis();
        let key_field = format!(r#""device_id":"{device_id}","#);
        let key_as = |value: &str| text.replacen(&key_field, value, 1);
        let time_as = |value: &str| text.replacen(&format!(r#""ts":{ts},"#), value, 1);
        let first = |pattern: &str, value: &str| text.replacen(pattern, value, 1);
        let with_field = |field: &str| format!("{},{field}}}", &text[..text.len() - 1]);
        let spoiled = match self {
            // After the device's name: half a name would be another device's.
            Malformed::Truncated => text[..text.len() * 3 / 5].to_owned(),
            Malformed::NotUtf8 => {
                let mut bytes = text.into_bytes();
                let end = bytes.len() - 2; // inside the last string
                bytes.insert(end, 0xff);
                return Some(bytes);
            }
            Malformed::ByteOrderMark => format!("\u{feff}{text}"),
            Malformed::NotANumber => with_field(r#""temperature":NaN"#),
            Malformed::NullPayload => return None,
            Malformed::EmptyPayload => String::new(),
            Malformed::Blank => " \r\n\t".to_owned(),
            Malformed::ControlCharacter => first(r#""location":""#, "\"location\":\"\n"),
            Malformed::LoneSurrogate => first(r#""location":""#, r#""location":"\ud83c"#),
            Malformed::SingleQuotes => text.replace('"', "'"),
            Malformed::TrailingComma => first("\"}", "\",}"),
            Malformed::LeadingZero => first(r#""battery":"#, r#""battery":0"#),
            Malformed::TwoObjects => format!("{text}\n{text}"),
            Malformed::InArray => format!("[{text}]"),
            // The object is level 1, so this makes 129.
            Malformed::TooDeep => {
                with_field(&format!(r#""trace":{}{}"#, "[".repeat(128), "]".repeat(128)))
            }
            Malformed::NestedGarbage => with_field(r#""trace":{"frames":[[{"at":[}]]]}"#),
            Malformed::MissingTime => time_as(""),
            Malformed::NullTime => time_as(r#""ts":null,"#),
            Malformed::TextTime => time_as(&format!(r#""ts":"{ts}","#)),
            Malformed::FractionalTime => time_as(&format!(r#""ts":{ts}.5,"#)),
            Malformed::NegativeTime => time_as(&format!(r#""ts":-{},"#, ts.max(1))),
            Malformed::FarFuture => {
                let micros = ts.saturating_mul(1000).max(253_402_300_800_000);
                time_as(&format!(r#""ts":{micros},"#))
            }
            Malformed::TextMetric => with_field(r#""temperature":"24.7""#),
            Malformed::NestedMetric => with_field(r#""humidity":{"value":55.3,"unit":"%"}"#),
            Malformed::RepeatedMetric => with_field(r#""battery":true"#),
            Malformed::HugeMetric => with_field(r#""humidity":1e999"#),
            Malformed::MissingKey => key_as(""),
            Malformed::NullKey => key_as(r#""device_id":null,"#),
            Malformed::NumberKey => key_as(r#""device_id":123,"#),
            Malformed::EmptyKey => key_as(r#""device_id":"","#),
            Malformed::LongKey => key_as(&format!(r#""device_id":"{}","#, "d".repeat(257))),
        };
        Some(spoiled.into_bytes())
    }
}
