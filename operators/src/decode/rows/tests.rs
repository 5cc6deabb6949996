//! What is accepted and what is not, rule by rule. Each payload is read on both paths.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Int8Type, TimestampNanosecondType, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit as Unit};
use strandline_plan::types::timestamp;

use super::*;
use crate::decode::TimeUnit;

/// A key, a time, and one column of a type, which may be null.
fn schema(data_type: &DataType) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8, false),
        Field::new("ts", timestamp(Unit::Millisecond), false),
        Field::new("v", data_type.clone(), true),
    ]))
}

fn format(data_type: &DataType) -> JsonFormat {
    JsonFormat::new(schema(data_type), "ts").unwrap().key("k").unwrap()
}

/// Reads one payload on both paths: its row.
fn read(format: &JsonFormat, payload: &str) -> Result<RecordBatch, RowReason> {
    let of = |mut rows: JsonRows| {
        let row = rows.decode(payload.as_bytes())?;
        let time = row.time();
        row.keep(0, Partition(0), Offset(0), time);
        Ok(rows.take().unwrap().rows().clone())
    };
    let strict = of(JsonRows::new(format.clone()).strict_only());
    assert_eq!(of(JsonRows::new(format.clone())), strict, "the fast path: {payload}");
    strict
}

/// The column of a type whose field holds this JSON.
fn value(format: &JsonFormat, json: &str) -> Result<ArrayRef, RowReason> {
    let last = read(format, &format!(r#"{{"k":"x","ts":5,"v":{json}}}"#));
    let first = read(format, &format!(r#"{{"v":{json},"k":"x","ts":5,"other":"some more text"}}"#));
    assert_eq!(first, last);
    first.map(|batch| Arc::clone(batch.column(2)))
}

const BAD: Option<RowReason> = Some(RowReason::BadValue(2));
const OUTSIDE: Option<RowReason> = Some(RowReason::OutOfRange(2));

/// Values that are not taken, with the reason.
fn refused(format: &JsonFormat, reason: Option<RowReason>, values: &[&str]) {
    for json in values {
        assert_eq!(value(format, json).err(), reason, "{json}");
    }
}

#[test]
fn integers_are_read_exactly_in_whatever_notation_within_their_range() {
    let of = format(&DataType::Int8);
    for (json, expected) in [("127", 127), ("-128", -128), ("-0", 0), ("5.0", 5), ("1.2e1", 12)] {
        assert_eq!(value(&of, json).unwrap().as_primitive::<Int8Type>().value(0), expected);
    }
    refused(&of, OUTSIDE, &["128", "-129", "1e40", "-1e40", "1280000000000000000000"]);
    refused(&of, BAD, &["1.5", "1e-1", "\"1\"", "true", "[1]", "{}"]);
    let of = format(&DataType::UInt64);
    let greatest = value(&of, "18446744073709551615").unwrap();
    assert_eq!(greatest.as_primitive::<UInt64Type>().value(0), u64::MAX);
    refused(&of, OUTSIDE, &["18446744073709551616", "-1"]);
}

#[test]
fn a_decimal_whose_digits_would_be_lost_does_not_fit() {
    let of = format(&DataType::Decimal128(5, 2));
    for (json, expected) in [("1", 100), ("-1.5", -150), ("999.99", 99_999), ("1.5000", 150)] {
        assert_eq!(value(&of, json).unwrap().as_primitive::<Decimal128Type>().value(0), expected);
    }
    refused(&of, OUTSIDE, &["1000", "-1000", "0.005", "1e-3", "1e99999999999999999999"]);
    refused(&of, BAD, &["\"1.50\"", "false"]);
    let widest = format(&DataType::Decimal128(38, 38));
    let json = "0.99999999999999999999999999999999999999";
    let read = value(&widest, json).unwrap();
    assert_eq!(read.as_primitive::<Decimal128Type>().value(0), 10_i128.pow(38) - 1);
    refused(&widest, OUTSIDE, &["1", "0.999999999999999999999999999999999999999"]);
}

#[test]
fn a_float_of_32_bits_is_rounded_once() {
    let of = format(&DataType::Float32);
    // Rounded to 64 bits first, it would be halfway, and then rounded down.
    for json in ["1.00000005960464477539062500001", "16777217", "0.1", "-0.0", "1e-50", "3.4e38"] {
        let read = value(&of, json).unwrap();
        let expected: f32 = json.parse().unwrap();
        assert_eq!(read.as_primitive::<Float32Type>().value(0).to_bits(), expected.to_bits());
    }
    refused(&of, OUTSIDE, &["1e39", "-1e39"]);
    refused(&format(&DataType::Float64), OUTSIDE, &["1e999"]);
    refused(&of, BAD, &["\"NaN\"", "\"1\""]);
}

#[test]
fn texts_are_unescaped_and_bytes_are_base64() {
    let of = format(&DataType::Utf8);
    for (json, expected) in [(r#""""#, ""), (r#""é\u00e9\n""#, "éé\n"), (r#""\ud83d\ude00""#, "😀")]
    {
        assert_eq!(value(&of, json).unwrap().as_string::<i32>().value(0), expected);
    }
    refused(&of, BAD, &["1", "true", "[]"]);
    let of = format(&DataType::Binary);
    for (json, expected) in
        [(r#""aGVsbG8=""#, &b"hello"[..]), (r#""""#, b""), (r#""\u0061Q==""#, b"i")]
    {
        assert_eq!(value(&of, json).unwrap().as_binary::<i32>().value(0), expected);
    }
    refused(&of, BAD, &[r#""aGVsbG8""#, r#""aGVsbG9=""#, r#""a-_=""#, r#"" aQ==""#, "1"]);
}

#[test]
fn truth_values_and_dates_have_one_notation() {
    let of = format(&DataType::Boolean);
    assert!(value(&of, "true").unwrap().as_boolean().value(0));
    assert!(!value(&of, "false").unwrap().as_boolean().value(0));
    refused(&of, BAD, &["1", "\"true\""]);
    let of = format(&DataType::Date32);
    for (json, expected) in
        [("\"1970-01-02\"", 1), ("\"1969-12-31\"", -1), ("\"0000-01-01\"", -719_528)]
    {
        assert_eq!(value(&of, json).unwrap().as_primitive::<Date32Type>().value(0), expected);
    }
    refused(&of, BAD, &["1", "\"2026-02-29\"", "\"2026-11-30T09:00:00Z\"", "\"2026-1-1\"", "\"\""]);
}

#[test]
fn a_timestamp_is_read_in_its_unit_and_rounded_down_to_its_column() {
    let nanos = |unit, json: &str| {
        let of = format(&timestamp(Unit::Nanosecond)).time_unit("v", unit).unwrap();
        value(&of, json).map(|read| read.as_primitive::<TimestampNanosecondType>().value(0))
    };
    assert_eq!(nanos(TimeUnit::Seconds, "-1.5"), Ok(-1_500_000_000));
    assert_eq!(nanos(TimeUnit::Milliseconds, "5.0"), Ok(5_000_000));
    assert_eq!(nanos(TimeUnit::Milliseconds, "5.5").err(), BAD);
    assert_eq!(nanos(TimeUnit::Microseconds, "0.0019"), Ok(1));
    assert_eq!(nanos(TimeUnit::Nanoseconds, "-0.5"), Ok(-1));
    let text = "\"1969-12-31T23:59:59.9999999999Z\"";
    assert_eq!(nanos(TimeUnit::Rfc3339, text), Ok(-1));
    assert_eq!(
        nanos(TimeUnit::Rfc3339, "\"2024-11-03 13:56:14.123456789+01:00\""),
        Ok(1_730_638_574_123_456_789)
    );
    assert_eq!(nanos(TimeUnit::Rfc3339, "\"2024-11-03\"").err(), BAD);
    assert_eq!(nanos(TimeUnit::Rfc3339, "5").err(), BAD);
    assert_eq!(nanos(TimeUnit::Seconds, "\"5\"").err(), BAD);
    // What 64 bits hold in nanoseconds ends in the year 2262.
    assert_eq!(nanos(TimeUnit::Nanoseconds, "9223372036854775807"), Ok(i64::MAX));
    assert_eq!(nanos(TimeUnit::Nanoseconds, "9223372036854775808").err(), OUTSIDE);
    assert_eq!(nanos(TimeUnit::Rfc3339, "\"2300-01-01T00:00:00Z\"").err(), OUTSIDE);
    assert_eq!(nanos(TimeUnit::Rfc3339, "\"1600-01-01T00:00:00Z\"").err(), OUTSIDE);
    let seconds = format(&timestamp(Unit::Second)).time_unit("v", TimeUnit::Seconds).unwrap();
    refused(&seconds, None, &["253402300799.9", "-62167219200"]);
    refused(&seconds, OUTSIDE, &["253402300800", "-62167219200.1", "1e30", "-1e30"]);
}

#[test]
fn the_event_time_is_within_1970_and_9999_and_carries_its_own_reasons() {
    let of = |unit, counted: Unit, json: &str| {
        let schema = Schema::new(vec![Field::new("ts", timestamp(counted), true)]);
        let format =
            JsonFormat::new(Arc::new(schema), "ts").unwrap().time_unit("ts", unit).unwrap();
        let payload = format!(r#"{{"ts":{json}}}"#);
        read(&format, &payload)?;
        let mut rows = JsonRows::new(format);
        Ok(rows.decode(payload.as_bytes())?.time().as_millis())
    };
    let (ms, s) = (TimeUnit::Milliseconds, TimeUnit::Seconds);
    assert_eq!(of(ms, Unit::Millisecond, "253402300799999"), Ok(253_402_300_799_999));
    assert_eq!(of(ms, Unit::Second, "1999"), Ok(1000));
    assert_eq!(of(s, Unit::Microsecond, "1.9999999"), Ok(1999));
    for (unit, counted, json, reason) in [
        (ms, Unit::Millisecond, "253402300800000", RowReason::Future),
        (ms, Unit::Millisecond, "1e99", RowReason::Future),
        (ms, Unit::Millisecond, "-1e99", RowReason::BadTime),
        (ms, Unit::Millisecond, "-1", RowReason::BadTime),
        (ms, Unit::Millisecond, "1.5", RowReason::BadTime),
        (ms, Unit::Millisecond, "\"5\"", RowReason::BadTime),
        (ms, Unit::Millisecond, "null", RowReason::MissingTime),
        (s, Unit::Millisecond, "-0.0001", RowReason::BadTime),
        (s, Unit::Nanosecond, "9300000000", RowReason::Future),
        (TimeUnit::Rfc3339, Unit::Second, "\"0000-01-01T00:00:00+00:01\"", RowReason::BadTime),
    ] {
        assert_eq!(of(unit, counted, json), Err(reason), "{json}");
    }
}

#[test]
fn absent_and_null_are_the_same_and_need_a_column_that_may_be_null() {
    let of = format(&DataType::Int64);
    for payload in [r#"{"k":"x","ts":5}"#, r#"{"k":"x","ts":5,"v":null}"#] {
        assert!(read(&of, payload).unwrap().column(2).is_null(0));
    }
    let required = Schema::new(vec![
        Field::new("ts", timestamp(Unit::Millisecond), true),
        Field::new("n", DataType::Int64, true),
        Field::new("r", DataType::Int64, false),
    ]);
    let required = JsonFormat::new(Arc::new(required), "ts").unwrap().key("n").unwrap();
    let reason = |payload: &str| read(&required, payload).unwrap_err();
    assert_eq!(reason(r#"{"ts":5,"n":1}"#), RowReason::MissingValue(2));
    assert_eq!(reason(r#"{"ts":5,"n":1,"r":null}"#), RowReason::MissingValue(2));
    assert_eq!(reason(r#"{"ts":5,"n":null,"r":1}"#), RowReason::MissingKey(1));
    assert_eq!(reason(r#"{"n":1,"r":1}"#), RowReason::MissingTime);
    assert_eq!(reason(r#"{"ts":5,"n":1.5,"r":1}"#), RowReason::BadKey(1));
}

#[test]
fn the_first_reason_is_the_payloads_the_keys_the_times_then_the_columns() {
    let of = format(&DataType::Int8);
    let reason = |payload: &str| read(&of, payload).unwrap_err();
    assert_eq!(reason(""), RowReason::Payload(DeadReason::Empty));
    assert_eq!(reason(r#"{"v":1.5,"ts":-1,"k":1"#), RowReason::Payload(DeadReason::NotJson));
    assert_eq!(reason(r#"{"v":1.5,"ts":-1,"k":1}"#), RowReason::BadKey(0));
    assert_eq!(reason(r#"{"v":1.5,"ts":-1,"k":""}"#), RowReason::BadKey(0));
    assert_eq!(reason(&format!(r#"{{"k":"{}","ts":5}}"#, "x".repeat(257))), RowReason::BadKey(0));
    assert_eq!(reason(r#"{"v":1.5,"ts":-1}"#), RowReason::MissingKey(0));
    assert_eq!(reason(r#"{"v":1.5,"ts":-1,"k":"x"}"#), RowReason::BadTime);
    assert_eq!(reason(r#"{"v":1.5,"ts":1,"k":"x"}"#), RowReason::BadValue(2));
    assert_eq!(reason(r#"{"v":500,"ts":1,"k":"x"}"#), RowReason::OutOfRange(2));
    let codes = [reason(r#"{"v":500,"ts":1,"k":"x"}"#), reason(r#"{"ts":1}"#)].map(RowReason::code);
    assert_eq!(codes, ["out_of_range", "missing_key"]);
}

#[test]
fn of_a_repeated_field_the_last_counts() {
    let of = format(&DataType::Utf8);
    let text = |payload: &str| {
        let batch = read(&of, payload).unwrap();
        let texts = batch.column(2).as_string::<i32>();
        texts.is_valid(0).then(|| texts.value(0).to_owned())
    };
    assert_eq!(text(r#"{"v":"a","k":"x","v":"bc","ts":1}"#).as_deref(), Some("bc"));
    assert_eq!(text(r#"{"v":1,"k":"x","v":"bc","ts":1}"#).as_deref(), Some("bc"));
    assert_eq!(text(r#"{"v":null,"k":"x","v":"bc","ts":1}"#).as_deref(), Some("bc"));
    assert_eq!(text(r#"{"v":"a","k":"x","v":null,"ts":1}"#), None);
    assert_eq!(read(&of, r#"{"v":"a","k":"x","v":1,"ts":1}"#).err(), BAD);
}

#[test]
fn dead_letters_and_rows_that_are_not_kept_leave_nothing_behind() {
    let mut rows = JsonRows::new(format(&DataType::Utf8));
    let mut expected = Vec::new();
    for n in 0..100_u64 {
        let payload = format!(r#"{{"k":"k{n}","v":"v{n}","ts":{n}}}"#);
        let row = rows.decode(payload.as_bytes()).unwrap();
        if n % 3 == 0 {
            let time = row.time();
            row.keep(1, Partition(2), Offset(n), time);
            expected.push(format!("v{n}"));
        }
        let damaged = format!(r#"{{"v":"lost","k":"k{n}","ts":{n}"#);
        assert!(rows.decode(damaged.as_bytes()).is_err());
    }
    rows.decode(br#"{"k":"k","ts":1}"#).unwrap();
    let batch = rows.take().unwrap();
    let texts: Vec<_> = batch.rows().column(2).as_string::<i32>().iter().flatten().collect();
    assert_eq!(texts, expected);
    assert_eq!(batch.rows().column(2).null_count(), 0);
    let origin = batch.origin().unwrap();
    assert_eq!(origin.offsets, (0..100).step_by(3).map(Offset).collect::<Vec<_>>());
    assert_eq!(batch.times().unwrap().exact(), (0..100).step_by(3).collect::<Vec<i64>>());
    assert!(rows.take().is_none() && rows.is_empty());
}

#[test]
fn a_batch_is_full_by_its_rows_or_by_the_bytes_of_its_payloads() {
    let mut rows = JsonRows::new(format(&DataType::Utf8));
    let mut fill = |payload: &str| {
        while !rows.is_full() {
            let row = rows.decode(payload.as_bytes()).unwrap();
            row.keep(0, Partition(0), Offset(0), EventTime::from_millis(0));
        }
        rows.take().unwrap().len()
    };
    assert_eq!(fill(r#"{"k":"x","ts":1}"#), ROWS_MAX);
    let large = format!(r#"{{"k":"x","ts":1,"v":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(fill(&large), 4);
    assert_eq!(fill(r#"{"k":"x","ts":1}"#), ROWS_MAX);
}

#[test]
fn usual_rows_do_not_need_the_strict_path() {
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("ts", timestamp(Unit::Millisecond), false),
        Field::new("ok", DataType::Boolean, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("price", DataType::Decimal128(10, 2), true),
        Field::new("x", DataType::Float32, true),
        Field::new("y", DataType::Float64, true),
        Field::new("day", DataType::Date32, true),
        Field::new("raw", DataType::Binary, true),
        Field::new("at", timestamp(Unit::Nanosecond), true),
    ]);
    let format = JsonFormat::new(Arc::new(schema), "ts").unwrap().key("id").unwrap();
    let mut rows = JsonRows::new(format.time_unit("at", TimeUnit::Rfc3339).unwrap());
    for n in 0..20 {
        let payload = format!(
            r#"{{"id":-{n},"ts":17306385741{n:02},"ok":true,"name":null,"price":12.5,"x":0.5,"y":-3,"day":"2026-11-30","raw":"aQ==","at":"2026-11-30T09:00:00.5Z","more":[1]}}"#
        );
        rows.columns.begin(0);
        assert!(rows.decode_fast(payload.as_bytes()).is_some(), "{payload}");
    }
}

#[test]
fn a_format_that_cannot_be_read_says_what_would_be_right() {
    let of = |fields: Vec<Field>, time: &str| JsonFormat::new(Arc::new(Schema::new(fields)), time);
    let ts = || Field::new("ts", timestamp(Unit::Millisecond), false);
    let list = DataType::new_list(DataType::Int8, true);
    let texts = [
        of(vec![ts(), ts()], "ts").unwrap_err().text,
        of(vec![ts(), Field::new("l", list, true)], "ts").unwrap_err().text,
        of(vec![ts(), Field::new("n", DataType::Int8, true)], "n").unwrap_err().text,
        of(vec![ts()], "at").unwrap_err().text,
        of(vec![ts()], "ts").unwrap().key("k").unwrap_err().text,
    ];
    let expected = [
        "two columns have this name: rename one",
        "LIST<TINYINT> is not read from JSON: use a boolean, a number, TEXT, BYTES, DATE or TIMESTAMP",
        "it is TINYINT: make it a TIMESTAMP column",
        "there is no such column: there are ts",
        "there is no such column: there are ts",
    ];
    assert_eq!(texts, expected);
}
