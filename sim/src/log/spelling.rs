//! Valid messages, spelled in ways that JSON allows and devices seldom use: a decoder that was made
//! fast for the usual spelling has to read these as well.

use strandline_operators::time::EventTime;

/// A way to spell a message. It means what it meant, but for the ways that
/// are about keys and metrics.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Spelling {
    /// Names and strings with escapes: `"device\u005fid"`.
    Escaped,
    /// White space wherever it may stand.
    Spaced,
    /// The fields in the opposite order.
    Reversed,
    /// The time as `1730638574123.0`.
    TimeWithPoint,
    /// The time as `1730638574123e0`.
    TimeWithExponent,
    /// The time as `0.1730638574123e13`, with some zeros more.
    TimeWithLongFraction,
    /// Fields that nobody asked for, with everything in them that JSON has.
    OtherFields,
    /// A field as deep as is read.
    DeepField,
    /// Earlier values of the same fields that would be dead letters if they counted.
    Repeated,
    /// Metrics with many digits, and with exponents.
    PreciseMetrics,
    /// Another key: any characters, U+0000 too.
    OtherKey,
    /// A key of 256 bytes.
    LongestKey,
    /// A device without sensors: metrics absent or null.
    NoMetrics,
    /// Metrics at the edges of a 64-bit float.
    ExtremeMetrics,
}

impl Spelling {
    /// All of them.
    pub(crate) const ALL: [Spelling; 14] = [
        Spelling::Escaped,
        Spelling::Spaced,
        Spelling::Reversed,
        Spelling::TimeWithPoint,
        Spelling::TimeWithExponent,
        Spelling::TimeWithLongFraction,
        Spelling::OtherFields,
        Spelling::DeepField,
        Spelling::Repeated,
        Spelling::PreciseMetrics,
        Spelling::OtherKey,
        Spelling::LongestKey,
        Spelling::NoMetrics,
        Spelling::ExtremeMetrics,
    ];

    /// Spells a well-formed message of a fleet, whose time is `ts`, this way.
    pub(crate) fn spell(self, message: &[u8], ts: EventTime) -> Vec<u8> {
        let text = String::from_utf8_lossy(message).into_owned();
        let ts = ts.as_millis();
        let time_as = |value: String| text.replacen(&format!(r#""ts":{ts}"#), &value, 1);
        let first = |fields: &str| text.replacen('{', &format!("{{{fields},"), 1);
        let last = |fields: &str| format!("{},{fields}}}", &text[..text.len() - 1]);
        let spelled = match self {
            Spelling::Escaped => text
                .replacen("device_id", r"dev\u0069ce\u005fid", 1)
                .replacen(r#""ts""#, r#""\u0074\u0073""#, 1)
                .replacen("device-", r"device\u002d", 1)
                .replacen("temperature", r"tempera\u0074ure", 1)
                .replacen(r#""status":""#, r#""status":"\ud83c\udf0a\"\\\/\b\f\n\r\t"#, 1),
            Spelling::Spaced => {
                let spaced = text.replace(':', " :\t").replace(',', "\n, ").replace('}', " }");
                format!("\r\n {spaced} \t\n")
            }
            Spelling::Reversed => {
                // No string of a fleet's message contains a comma.
                let fields: Vec<&str> = text[1..text.len() - 1].split(',').rev().collect();
                format!("{{{}}}", fields.join(","))
            }
            Spelling::TimeWithPoint => time_as(format!(r#""ts":{ts}.000"#)),
            Spelling::TimeWithExponent => time_as(format!(r#""ts":{ts}0000e-4"#)),
            Spelling::TimeWithLongFraction => {
                let zeros = "0".repeat(40);
                time_as(format!(r#""ts":0.{ts:013}{zeros}E+13"#))
            }
            Spelling::OtherFields => first(
                r#""a":{"ts":"x","b":[1e999,-0.5E-7,true,false,null,{}]},"":"\u0000äß🌊","c":[]"#,
            ),
            // The object is level 1.
            Spelling::DeepField => {
                last(&format!(r#""trace":{}{}"#, "[".repeat(127), "]".repeat(127)))
            }
            Spelling::Repeated => first(concat!(
                r#""device_id":7,"ts":"x","temperature":{},"humidity":1e999,"#,
                r#""battery":[true],"device_id":null,"ts":-1"#
            )),
            Spelling::PreciseMetrics => last(concat!(
                r#""temperature":24.700000000000000177635683940025046467781066894531251,"#,
                r#""humidity":553.0E-1,"battery":-0"#
            )),
            Spelling::OtherKey => last(r#""device_id":"Gerät 7\u0000 \"🌊\" \u00fc""#),
            Spelling::LongestKey => last(&format!(r#""device_id":"{}""#, "ü".repeat(128))),
            Spelling::NoMetrics => {
                format!(r#"{{"device_id":"device-none","ts":{ts},"humidity":null}}"#)
            }
            Spelling::ExtremeMetrics => last(concat!(
                r#""temperature":1.7976931348623157e308,"humidity":-1.7976931348623157e308,"#,
                r#""battery":5e-324"#
            )),
        };
        spelled.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::{OracleOptions, read};

    const TS: EventTime = EventTime::from_millis(1_730_638_574_123);
    const MESSAGE: &[u8] = br#"{"device_id":"device-abc123","ts":1730638574123,"temperature":24.7,"humidity":55.3,"battery":82.5,"status":"ok","location":"lab"}"#;

    /// The comment says what each way keeps; the oracle says what it means.
    #[test]
    fn every_spelling_is_valid_and_unusual() {
        for spelling in Spelling::ALL {
            let spelled = spelling.spell(MESSAGE, TS);
            assert_ne!(spelled, MESSAGE, "{spelling:?}");
            let sample = read(Some(&spelled), None, &OracleOptions::default())
                .unwrap_or_else(|reason| panic!("{spelling:?} {reason}"));
            assert_eq!(sample.event_time_ms, TS.as_millis(), "{spelling:?}");
            let key = match spelling {
                Spelling::OtherKey => "Gerät 7\0 \"🌊\" ü".to_owned(),
                Spelling::LongestKey => "ü".repeat(128),
                Spelling::NoMetrics => "device-none".to_owned(),
                _ => "device-abc123".to_owned(),
            };
            assert_eq!(sample.key, key, "{spelling:?}");
            let metrics = match spelling {
                Spelling::NoMetrics => [None, None, None],
                Spelling::ExtremeMetrics => [Some(f64::MAX), Some(f64::MIN), Some(5e-324)],
                Spelling::PreciseMetrics => [Some(24.7), Some(55.3), Some(-0.0)],
                _ => [Some(24.7), Some(55.3), Some(82.5)],
            };
            assert_eq!(sample.metrics, metrics, "{spelling:?}");
        }
    }
}
