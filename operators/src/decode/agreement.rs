//! Properties: the fast path and the strict path accept and reject the same, and both read what
//! was written.

use proptest::prelude::*;

use super::Metrics;
use super::*;

fn decoder() -> JsonFields<3> {
    JsonFields::new("device_id", "ts", ["a", "humidity", "pressure_at_sea_level"])
}

fn agree(payloads: &[Vec<u8>]) -> Result<(), TestCaseError> {
    agree_in(TimeUnit::Milliseconds, payloads)
}

/// Reads payloads one after the other with one decoder on its fast path, as a worker does, and
/// each with a new one on the strict path.
fn agree_in(unit: TimeUnit, payloads: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let mut fast = decoder().in_time_unit(unit).unwrap();
    for payload in payloads {
        let mut strict = decoder().strict_only().in_time_unit(unit).unwrap();
        let (fast, strict) = (fast.decode(payload), strict.decode(payload));
        prop_assert_eq!(fast, strict, "{}", payload.escape_ascii());
    }
    Ok(())
}

fn white_space() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just(String::new()), 4 => Just(" ".to_owned()), 1 => "[ \n\r\t]{0,20}"]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("device_id"),
        4 => Just("ts"),
        3 => Just("a"),
        3 => Just("humidity"),
        3 => Just("pressure_at_sea_level"),
        1 => Just("device\\u005fid"),
        1 => Just("\\u0061"),
        1 => Just("t\\u0073"),
        2 => Just("status"),
        1 => Just("humiditY"),
        1 => Just("Küche"),
        1 => Just(""),
    ]
    .prop_map(|name| format!("\"{name}\""))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "-?(0|[1-9][0-9]{0,3})\\.[0-9]{1,3}",
        2 => "-?(0|[1-9][0-9]{0,9})",
        2 => any::<f64>().prop_filter("JSON has none", |x| x.is_finite()).prop_map(|x| format!("{x}")),
        1 => any::<f64>().prop_filter("JSON has none", |x| x.is_finite()).prop_map(|x| format!("{x:e}")),
        1 => "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,4})?",
        1 => "[-+]?[0-9.eE]{1,5}",
    ]
}

fn time() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0_i64..=253_402_300_799_999).prop_map(|x| format!("{x}")),
        1 => (0_i64..=99_999_999_999_999_999).prop_map(|x| format!("{x}")),
        1 => "(0|[1-9][0-9]{0,16})(\\.0{1,3})?([eE]\\+?[0-4])?",
        1 => number(),
    ]
}

/// A time as another unit than milliseconds says it, or nearly.
fn other_time() -> impl Strategy<Value = String> {
    let date =
        "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,12})?";
    prop_oneof![
        2 => "(0|[1-9][0-9]{0,10})(\\.[0-9]{1,12})?",
        2 => "[1-9][0-9]{14,20}(\\.[0-9]{1,3})?",
        1 => "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,2})?",
        4 => (date, "[Zz]|[+-][0-2][0-9]:[0-5][0-9]|[0-9+Z:-]{0,7}").prop_map(|(d, o)| format!("\"{d}{o}\"")),
        1 => Just("\"2024-11-03T12:56:14\\u002e5Z\"".to_owned()),
    ]
}

/// A record whose time is as above.
fn record_of_other_time() -> impl Strategy<Value = Vec<u8>> {
    let spaces = [white_space(), white_space(), white_space(), white_space()];
    let members = (string(), other_time(), prop::collection::vec(member(), 0..3));
    (members, any::<bool>(), spaces).prop_map(|((id, time, mut all), is_last, spaces)| {
        let at = if is_last { all.len() } else { 0 };
        all.insert(at, ("\"ts\"".to_owned(), time));
        all.insert(0, ("\"device_id\"".to_owned(), id));
        render(&all, &spaces)
    })
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z0-9-]{1,20}",
        1 => "[a-z]{0,300}",
        1 => "\\PC{0,12}",
        1 => "([a-zé😀]|\\\\[\"\\\\/bfnrtu]|\\\\u[0-9a-fA-F]{4}|\\\\ud83d\\\\ude0[0-9]){0,8}",
    ]
    .prop_map(|text| format!("\"{text}\""))
}

fn value() -> impl Strategy<Value = String> {
    let flat = prop_oneof![
        4 => number(),
        4 => time(),
        4 => string(),
        1 => Just("null".to_owned()),
        1 => Just("true".to_owned()),
        1 => Just("false".to_owned()),
    ];
    flat.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec((white_space(), inner.clone(), white_space()), 0..4).prop_map(
                |all| {
                    let all: Vec<_> = all.iter().map(|(a, v, b)| format!("{a}{v}{b}")).collect();
                    format!("[{}]", all.join(","))
                }
            ),
            prop::collection::vec((name(), white_space(), inner), 0..4).prop_map(|all| {
                let all: Vec<_> = all.iter().map(|(n, w, v)| format!("{n}{w}:{v}")).collect();
                format!("{{{}}}", all.join(","))
            }),
        ]
    })
}

fn member() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        3 => (Just("\"device_id\"".to_owned()), string()),
        3 => (Just("\"ts\"".to_owned()), time()),
        3 => (Just("\"a\"".to_owned()), number()),
        3 => (Just("\"humidity\"".to_owned()), number()),
        5 => (name(), value()),
    ]
}

fn render(members: &[(String, String)], [a, b, c, d]: &[String; 4]) -> Vec<u8> {
    let all: Vec<_> =
        members.iter().map(|(name, value)| format!("{a}{name}{b}:{c}{value}{d}")).collect();
    format!("{d}{{{}}}{a}", all.join(",")).into_bytes()
}

/// Anything that looks like a record: wanted fields in any order, absent, repeated, of any type.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let spaces = [white_space(), white_space(), white_space(), white_space()];
    (prop::collection::vec(member(), 0..9), spaces).prop_map(|(all, spaces)| render(&all, &spaces))
}

/// A record as a device sends it: an order and white space that rarely change, now and then a field
/// that is not always there.
fn usual_record() -> impl Strategy<Value = Vec<u8>> {
    let fields = (string(), 0_i64..=253_402_300_799_999, number(), number(), any::<bool>());
    (fields, 0_usize..3).prop_map(|((id, ts, a, humidity, has_status), style)| {
        let mut members = vec![
            ("\"device_id\"".to_owned(), id),
            ("\"ts\"".to_owned(), ts.to_string()),
            ("\"a\"".to_owned(), a),
            ("\"humidity\"".to_owned(), humidity),
        ];
        if has_status {
            members.insert(2, ("\"status\"".to_owned(), "\"ok\"".to_owned()));
        }
        let styles = [["", "", "", ""], [" ", "", " ", ""], ["\n    ", "", " ", ""]];
        render(&members, &styles[style].map(ToOwned::to_owned))
    })
}

#[derive(Clone, Debug)]
enum Change {
    Replace(u8),
    Insert(u8),
    Remove,
}

fn change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(&b"\"\\{}[]:,.-+eE0129 \n\x00\x1f\x80\xc3"[..])
    ];
    let change = prop_oneof![
        byte.clone().prop_map(Change::Replace),
        byte.prop_map(Change::Insert),
        Just(Change::Remove),
    ];
    (any::<prop::sample::Index>(), change)
}

fn apply(payload: &mut Vec<u8>, (place, change): &(prop::sample::Index, Change)) {
    if payload.is_empty() {
        return;
    }
    let at = place.index(payload.len());
    match change {
        Change::Replace(byte) => payload[at] = *byte,
        Change::Insert(byte) => payload.insert(at, *byte),
        Change::Remove => {
            payload.remove(at);
        }
    }
}

proptest! {
    #[test]
    fn both_paths_agree_on_records(payloads in prop::collection::vec(record(), 1..6)) {
        agree(&payloads)?;
    }

    #[test]
    fn both_paths_agree_on_usual_records(payloads in prop::collection::vec(usual_record(), 1..12)) {
        agree(&payloads)?;
    }

    #[test]
    fn both_paths_agree_on_damaged_records(
        payloads in prop::collection::vec((prop_oneof![record(), usual_record()], change()), 1..6),
    ) {
        let mut all = Vec::new();
        for (payload, change) in payloads {
            let mut damaged = payload.clone();
            apply(&mut damaged, &change);
            all.extend([payload.clone(), damaged, payload]);
        }
        agree(&all)?;
    }

    #[test]
    fn both_paths_agree_on_any_bytes(payload in prop::collection::vec(any::<u8>(), 0..40)) {
        agree(&[payload])?;
    }

    #[test]
    fn both_paths_agree_in_every_unit(
        payloads in prop::collection::vec(prop_oneof![record_of_other_time(), record()], 1..6),
        unit in prop::sample::select(&TimeUnit::ALL[..]),
    ) {
        agree_in(unit, &payloads)?;
    }

    /// Against what was written: a number of nanoseconds, in each unit of numbers.
    #[test]
    fn a_time_in_another_unit_is_rounded_down(nanos in 0_u64..=u64::MAX, ends in any::<bool>()) {
        let of = |per_unit: u64, places: usize| {
            let (whole, rest) = (nanos / per_unit, nanos % per_unit);
            if places == 0 { format!("{whole}") } else { format!("{whole}.{rest:0places$}") }
        };
        for (unit, text) in [
            (TimeUnit::Seconds, of(1_000_000_000, 9)),
            (TimeUnit::Microseconds, of(1_000, 3)),
            (TimeUnit::Nanoseconds, of(1, 0)),
        ] {
            let tail = if ends { "" } else { ",\"a\":1" };
            let payload = format!("{{\"device_id\":\"x\",\"ts\":{text}{tail}}}");
            for decoder in [decoder(), decoder().strict_only()] {
                let mut decoder = decoder.in_time_unit(unit).unwrap();
                let time = decoder.decode(payload.as_bytes()).map(|decoded| decoded.time);
                let millis = i64::try_from(nanos / 1_000_000).unwrap();
                prop_assert_eq!(time, Ok(EventTime::from_millis(millis)), "{}", payload);
            }
        }
    }

    /// Against what was written, not against the other path.
    #[test]
    fn what_was_written_is_read(
        key in "\\PC{1,40}",
        escaped in any::<bool>(),
        millis in 0_i64..=253_402_300_799_999,
        metrics in prop::array::uniform3(prop::option::of(any::<f64>().prop_filter("JSON has none", |x| x.is_finite()))),
        exponents in any::<bool>(),
        order in Just(vec![0, 1, 2, 3, 4, 5]).prop_shuffle(),
        spaces in [white_space(), white_space(), white_space(), white_space()],
    ) {
        let json_key = if escaped {
            let units: Vec<_> = key.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            format!("\"{}\"", units.concat())
        } else {
            serde_json::to_string(&key).unwrap()
        };
        let number = |value: Option<f64>| match value {
            None => "null".to_owned(),
            Some(value) if exponents => format!("{value:e}"),
            Some(value) => format!("{value}"),
        };
        let fields = [
            ("device_id", json_key),
            ("ts", millis.to_string()),
            ("a", number(metrics[0])),
            ("humidity", number(metrics[1])),
            ("pressure_at_sea_level", number(metrics[2])),
            ("status", "\"ok\"".to_owned()),
        ]
        .map(|(name, value)| (format!("\"{name}\""), value));
        let members: Vec<_> = order.iter().map(|&index: &usize| fields[index].clone()).collect();
        let payload = render(&members, &spaces);

        for mut decoder in [decoder(), decoder().strict_only()] {
            let read = decoder.decode(&payload);
            if key.len() <= KEY_BYTES_MAX {
                let time = EventTime::from_millis(millis);
                prop_assert_eq!(read, Ok(Decoded { key: (&*key).into(), time, value: Metrics::from(metrics) }));
            } else {
                prop_assert_eq!(read, Err(DeadReason::BadKey));
            }
        }
    }
}
