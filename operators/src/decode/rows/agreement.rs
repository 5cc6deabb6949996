//! Properties: the fast path and the strict path accept and reject the same, and both read what was
//! written.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Float32Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit as Unit};
use proptest::prelude::*;
use strandline_plan::types::timestamp;

use super::*;
use crate::decode::TimeUnit;

const NAMES: [&str; 13] = [
    "device_id",
    "ts",
    "ok",
    "tiny",
    "big",
    "unsigned",
    "single",
    "double",
    "money",
    "a_text_with_a_long_name",
    "raw",
    "day",
    "at",
];

fn format(unit: TimeUnit, at: (TimeUnit, Unit)) -> JsonFormat {
    let types = [
        DataType::Utf8,
        timestamp(Unit::Millisecond),
        DataType::Boolean,
        DataType::Int8,
        DataType::Int64,
        DataType::UInt64,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(9, 3),
        DataType::Utf8,
        DataType::Binary,
        DataType::Date32,
        timestamp(at.1),
    ];
    let fields = NAMES.into_iter().zip(types).map(|(name, of)| Field::new(name, of, name != "ok"));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let format = JsonFormat::new(schema, "ts").unwrap().key("device_id").unwrap();
    format.time_unit("ts", unit).unwrap().time_unit("at", at.0).unwrap()
}

/// Reads payloads one after the other with one decoder on its fast path, as a worker does, and with
/// another on the strict path: the same reasons, and the same columns to the last bit.
fn agree(format: &JsonFormat, payloads: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let mut fast = JsonRows::new(format.clone());
    let mut strict = JsonRows::new(format.clone()).strict_only();
    for payload in payloads {
        let read = |rows: &mut JsonRows| {
            let row = rows.decode(payload)?;
            let time = row.time();
            row.keep(0, Partition(0), Offset(0), time);
            Ok::<EventTime, RowReason>(time)
        };
        prop_assert_eq!(read(&mut fast), read(&mut strict), "{}", payload.escape_ascii());
    }
    let (fast, strict) = (fast.take(), strict.take());
    prop_assert_eq!(&fast, &strict);
    if let (Some(fast), Some(strict)) = (fast, strict) {
        for (fast, strict) in fast.rows().columns().iter().zip(strict.rows().columns()) {
            let (fast, strict) = (fast.to_data(), strict.to_data());
            prop_assert_eq!(fast.buffers(), strict.buffers());
            prop_assert_eq!(fast.nulls(), strict.nulls());
        }
    }
    Ok(())
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,4})?",
        2 => "-?(0|[1-9][0-9]{0,20})",
        2 => "-?(0|[1-9][0-9]{0,8})\\.[0-9]{1,9}",
        1 => any::<f64>().prop_filter("JSON has none", |x| x.is_finite()).prop_map(|x| format!("{x:e}")),
        1 => any::<f32>().prop_filter("JSON has none", |x| x.is_finite()).prop_map(|x| format!("{x}")),
        1 => "-?(0|[1-9][0-9]{0,45})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?",
        1 => "[-+]?[0-9.eE]{1,5}",
    ]
}

fn string() -> impl Strategy<Value = String> {
    let date = "[0-9]{4}-[01][0-9]-[0-3][0-9]";
    let moment = "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,12})?([Zz]|[+-]0[0-9]:[0-5][0-9])";
    prop_oneof![
        4 => "[a-z0-9-]{1,20}",
        1 => "[a-z]{0,300}",
        1 => "\\PC{0,12}",
        1 => "([a-zé😀]|\\\\[\"\\\\/bfnrtu]|\\\\u[0-9a-fA-F]{4}|\\\\ud83d\\\\ude0[0-9]){0,8}",
        2 => "([A-Za-z0-9+/]{4}){0,4}([AQgw]==|[A-Za-z0-9+/][AEIM]=)?",
        1 => "[A-Za-z0-9+/=_-]{0,9}",
        3 => date,
        3 => moment,
    ]
    .prop_map(|text| format!("\"{text}\""))
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => number(),
        2 => (0_u64..=300_000_000_000_000).prop_map(|ms| ms.to_string()),
        6 => string(),
        2 => prop::sample::select(&["null", "true", "false", "[1,{}]", "{\"ts\":1}", "nul", "tru"][..])
            .prop_map(ToOwned::to_owned),
    ]
}

/// A time in a unit that every column can hold.
fn time(unit: TimeUnit, is_event: bool) -> BoxedStrategy<String> {
    let first = if is_event { 0 } else { -1_000_000_000_i64 };
    match unit {
        TimeUnit::Rfc3339 => {
            let parts =
                (1971_i32..2262, 1..=12, 1..=28, 0..24, "[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,12})?");
            let end = prop_oneof![Just("Z"), Just("z"), Just("+01:00"), Just("-23:59")];
            let text =
                |((y, m, d, h, rest), end)| format!("\"{y}-{m:02}-{d:02}T{h:02}:{rest}{end}\"");
            (parts, end).prop_map(text).boxed()
        }
        TimeUnit::Milliseconds => (first..=2_000_000_000_000).prop_map(|t| t.to_string()).boxed(),
        _ => prop_oneof![
            (first..=9_000_000_000).prop_map(|t| t.to_string()),
            (first..=9_000_000_000, "[0-9]{1,12}").prop_map(|(t, rest)| format!("{t}.{rest}")),
        ]
        .boxed(),
    }
}

/// A value as the column of this number has it, mostly.
fn value_of(column: usize, unit: TimeUnit, at: TimeUnit) -> BoxedStrategy<String> {
    let text = |of: &'static str| of.prop_map(|text| format!("\"{text}\"")).boxed();
    let usual = match column {
        0 => text("[a-z0-9-]{1,20}"),
        1 => time(unit, true),
        2 => prop::sample::select(&["true", "false"][..]).prop_map(ToOwned::to_owned).boxed(),
        3 => any::<i8>().prop_map(|n| n.to_string()).boxed(),
        4 => any::<i64>().prop_map(|n| n.to_string()).boxed(),
        5 => any::<u64>().prop_map(|n| n.to_string()).boxed(),
        6 | 7 => "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,12})?([eE][+-]?[0-9])?".boxed(),
        8 => "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,3}0?)?".boxed(),
        10 => text("([A-Za-z0-9+/]{4}){0,4}([A-Za-z0-9+/][AQgw]==)?"),
        11 => text("[0-9]{4}-0[1-9]-(0[1-9]|1[0-9])"),
        12 => time(at, false),
        _ => text("([a-zé😀 ]|\\\\[nt\"]){0,20}|[a-z ]{0,30}"),
    };
    prop_oneof![60 => usual, 1 => Just("null".to_owned()), 1 => number(), 1 => string(), 1 => value()]
        .boxed()
}

fn white_space() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just(String::new()), 4 => Just(" ".to_owned()), 1 => "[ \n\r\t]{0,20}"]
}

/// Members in the order of the schema or in another one, some absent, some repeated.
fn record(unit: TimeUnit, at: TimeUnit) -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<_> = (0..NAMES.len())
        .map(|n| (Just(n), value_of(n, unit, at), prop::bool::weighted(0.98)))
        .collect();
    let name =
        prop::sample::select(&["device\\u005fid", "t\\u0073", "", "Küche", "moneY", "ok"][..]);
    let more = prop::collection::vec((name, value()), 0..3);
    (all, more, any::<bool>(), any::<u64>(), white_space(), white_space()).prop_map(
        |(all, more, is_mixed, seed, a, b)| {
            let of_schema = all.into_iter().filter(|(.., is_there)| *is_there);
            let mut members: Vec<(String, String)> =
                of_schema.map(|(n, value, _)| (NAMES[n].to_owned(), value)).collect();
            members.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
            if is_mixed && !members.is_empty() {
                let by = usize::try_from(seed % 1000).unwrap() % members.len();
                members.rotate_left(by);
                members.push(members[by / 2].clone());
            }
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{a}\"{name}\"{b}:{a}{value}{b}"))
                .collect();
            format!("{a}{{{}}}{b}", members.join(",")).into_bytes()
        },
    )
}

fn unit() -> impl Strategy<Value = TimeUnit> {
    prop::sample::select(&TimeUnit::ALL[..])
}

fn counted() -> impl Strategy<Value = Unit> {
    prop::sample::select(
        &[Unit::Second, Unit::Millisecond, Unit::Microsecond, Unit::Nanosecond][..],
    )
}

proptest! {
    #[test]
    fn both_paths_agree_on_rows(
        (payloads, unit, at) in (unit(), unit()).prop_flat_map(|(unit, at)| {
            (prop::collection::vec(record(unit, at), 1..8), Just(unit), Just(at))
        }),
        counted in counted(),
    ) {
        agree(&format(unit, (at, counted)), &payloads)?;
    }

    #[test]
    fn both_paths_agree_on_one_column(
        (values, at) in unit().prop_flat_map(|at| {
            let value = move |n| (Just(n), prop_oneof![value_of(n, at, at), number(), string(), value()]);
            (prop::collection::vec((2..NAMES.len()).prop_flat_map(value), 1..20), Just(at))
        }),
        counted in counted(),
    ) {
        let payload = |(n, value): (usize, String)| {
            format!("{{\"device_id\":\"x\",\"ts\":5,\"ok\":true,\"{}\":{value}}}", NAMES[n]).into_bytes()
        };
        let payloads: Vec<_> = values.into_iter().map(payload).collect();
        agree(&format(TimeUnit::Milliseconds, (at, counted)), &payloads)?;
    }

    #[test]
    fn both_paths_agree_on_damaged_rows(
        payload in record(TimeUnit::Milliseconds, TimeUnit::Seconds),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut all = vec![payload.clone()];
        for (place, byte) in places {
            let mut damaged = payload.clone();
            let at = place.index(damaged.len());
            damaged[at] = byte;
            all.extend([damaged, payload.clone()]);
        }
        agree(&format(TimeUnit::Milliseconds, (TimeUnit::Seconds, Unit::Millisecond)), &all)?;
    }

    /// Against what was written, not against the other path.
    #[test]
    fn what_was_written_is_read(
        key in "[a-z]{1,40}",
        ms in 0_i64..=253_402_300_799_999,
        big in prop::option::of(any::<i64>()),
        floats in (any::<f32>(), any::<f64>())
            .prop_filter("JSON has none", |(a, b)| a.is_finite() && b.is_finite()),
        money in -999_999_999_i64..=999_999_999,
        text in prop::option::of("\\PC{0,20}"),
        micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000,
        is_strict in any::<bool>(),
    ) {
        let text_json = serde_json::to_string(&text).unwrap();
        let big_json = big.map_or("null".to_owned(), |big| big.to_string());
        let sign = if money < 0 { "-" } else { "" };
        let (whole, rest) = (money.abs() / 1000, money.abs() % 1000);
        let (single, double) = floats;
        let payload = format!(
            "{{\"device_id\":\"{key}\",\"ts\":{ms},\"ok\":true,\"big\":{big_json},\"single\":{single:e},\
             \"double\":{double:e},\"money\":{sign}{whole}.{rest:03},\
             \"a_text_with_a_long_name\":{text_json},\"at\":{micros}}}"
        );
        let format = format(TimeUnit::Milliseconds, (TimeUnit::Microseconds, Unit::Microsecond));
        let mut rows = JsonRows::new(format);
        if is_strict {
            rows = rows.strict_only();
        }
        let row = rows.decode(payload.as_bytes()).unwrap();
        prop_assert_eq!(row.time(), EventTime::from_millis(ms));
        row.keep(0, Partition(0), Offset(0), EventTime::from_millis(0));
        let batch = rows.take().unwrap();
        let column = |name: &str| batch.rows().column_by_name(name).unwrap();
        prop_assert_eq!(column("device_id").as_string::<i32>().value(0), key);
        prop_assert_eq!(column("big").as_primitive::<Int64Type>().iter().next().unwrap(), big);
        let read = column("single").as_primitive::<Float32Type>().value(0);
        prop_assert_eq!(read.to_bits(), single.to_bits());
        let read = column("double").as_primitive::<Float64Type>().value(0);
        prop_assert_eq!(read.to_bits(), double.to_bits());
        prop_assert_eq!(column("money").as_primitive::<Decimal128Type>().value(0), i128::from(money));
        let read = column("a_text_with_a_long_name").as_string::<i32>().iter().next().unwrap();
        prop_assert_eq!(read, text.as_deref());
        let read = column("at").as_primitive::<TimestampMicrosecondType>().value(0);
        prop_assert_eq!(read, micros);
        prop_assert_eq!(column("tiny").null_count(), 1);
    }
}
