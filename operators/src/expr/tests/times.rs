//! Functions of times.

use arrow_schema::{DataType, TimeUnit};
use strandline_plan::expr::{Expr, lit};
use strandline_plan::types::timestamp;

use super::{of, read};

fn at(text: &str) -> Expr {
    read(text, timestamp(TimeUnit::Millisecond))
}

#[test]
fn a_moment_is_cut_to_a_unit() {
    let trunc = |unit: &str, time: &str| of("date_trunc", [lit(unit), at(time)]);
    let leap = "2024-02-29T23:59:58.987";
    assert_eq!(trunc("millisecond", leap), "2024-02-29T23:59:58.987Z");
    assert_eq!(trunc("Second", leap), "2024-02-29T23:59:58.000Z");
    assert_eq!(trunc("minute", leap), "2024-02-29T23:59:00.000Z");
    assert_eq!(trunc("hour", leap), "2024-02-29T23:00:00.000Z");
    assert_eq!(trunc("day", leap), "2024-02-29T00:00:00.000Z");
    // A Thursday; its week began on Monday.
    assert_eq!(trunc("week", leap), "2024-02-26T00:00:00.000Z");
    assert_eq!(trunc("week", "2024-02-26"), "2024-02-26T00:00:00.000Z");
    assert_eq!(trunc("month", leap), "2024-02-01T00:00:00.000Z");
    assert_eq!(trunc("quarter", leap), "2024-01-01T00:00:00.000Z");
    assert_eq!(trunc("year", leap), "2024-01-01T00:00:00.000Z");
    // Before 1970, and at both ends of what people count.
    assert_eq!(trunc("hour", "1969-12-31T23:30:00"), "1969-12-31T23:00:00.000Z");
    assert_eq!(trunc("week", "1970-01-01"), "1969-12-29T00:00:00.000Z");
    assert_eq!(trunc("year", "0001-06-01"), "0001-01-01T00:00:00.000Z");
    assert_eq!(trunc("quarter", "9999-12-31T23:59:59"), "9999-10-01T00:00:00.000Z");
    let least = lit(i64::MIN);
    let least = strandline_plan::expr::call("to_timestamp_millis", [least]);
    let failed = "failed: the time is outside the calendar";
    assert_eq!(of("date_trunc", [lit("week"), least.clone()]), failed);
    assert_eq!(of("date_trunc", [lit("month"), least.clone()]), failed);
    assert_eq!(of("year", [least]), failed);
}

#[test]
fn a_moment_keeps_its_unit() {
    let nanos = read("2024-02-29T12:00:00.123456789", timestamp(TimeUnit::Nanosecond));
    assert_eq!(
        of("date_trunc", [lit("millisecond"), nanos.clone()]),
        "2024-02-29T12:00:00.123000000Z"
    );
    assert_eq!(of("epoch_millis", [nanos.clone()]), "1709208000123");
    assert_eq!(of("format_timestamp", [nanos]), "2024-02-29T12:00:00.123Z");
    let before = read("1969-12-31T23:59:59.999999999", timestamp(TimeUnit::Nanosecond));
    assert_eq!(of("epoch_millis", [before.clone()]), "-1");
    assert_eq!(of("format_timestamp", [before]), "1969-12-31T23:59:59.999Z");
    let seconds = read("2024-02-29T12:00:00", timestamp(TimeUnit::Second));
    assert_eq!(of("date_trunc", [lit("millisecond"), seconds.clone()]), "2024-02-29T12:00:00Z");
    assert_eq!(of("date_part", [lit("millisecond"), seconds.clone()]), "0");
    assert_eq!(of("epoch_millis", [seconds]), "1709208000000");
    assert_eq!(of("year", [read("2024-02-29", DataType::Date32)]), "2024");
}

#[test]
fn the_parts_of_a_moment() {
    let leap = || at("2024-12-31T23:59:58.987");
    for (part, number) in [
        ("millisecond", "58987"),
        ("second", "58"),
        ("minute", "59"),
        ("hour", "23"),
        ("day", "31"),
        ("week", "1"),
        ("month", "12"),
        ("quarter", "4"),
        ("year", "2024"),
        ("epoch", "1735689598"),
    ] {
        assert_eq!(of("date_part", [lit(part), leap()]), number, "{part}");
        if !matches!(part, "millisecond" | "epoch") {
            assert_eq!(of(part, [leap()]), number, "{part}");
        }
    }
    assert_eq!(of("day_of_year", [leap()]), "366");
    assert_eq!(of("day_of_week", [leap()]), "2");
    assert_eq!(of("day_of_week", [at("2024-12-29")]), "7");
    let before = || at("1969-12-31T23:59:59.999");
    assert_eq!(of("second", [before()]), "59");
    assert_eq!(of("hour", [before()]), "23");
    assert_eq!(of("epoch_millis", [before()]), "-1");
    assert_eq!(of("date_part", [lit("epoch"), before()]), "-1");
    assert_eq!(of("date_part", [lit("millisecond"), before()]), "59999");
    assert_eq!(of("week", [at("0001-01-01")]), "1");
    assert_eq!(of("year", [at("9999-12-31")]), "9999");
    assert_eq!(of("minute", [at("0001-01-01T00:01")]), "1");
}

#[test]
fn moments_become_days_and_texts() {
    assert_eq!(of("to_date", [at("1969-12-31T23:59:59.999")]), "1969-12-31");
    assert_eq!(of("to_date", [at("2024-02-29T00:00")]), "2024-02-29");
    assert_eq!(of("to_timestamp_millis", [lit(-1)]), "1969-12-31T23:59:59.999Z");
    assert_eq!(of("to_timestamp_millis", [lit(0)]), "1970-01-01T00:00:00.000Z");
    assert_eq!(of("format_timestamp", [at("0001-01-01")]), "0001-01-01T00:00:00.000Z");
    assert_eq!(of("format_timestamp", [at("9999-12-31T23:59")]), "9999-12-31T23:59:00.000Z");
    let parsed = |text: &str| of("parse_timestamp", [lit(text)]);
    assert_eq!(parsed("2024-02-29T01:00:00.5+02:00"), "2024-02-28T23:00:00.500Z");
    assert_eq!(parsed("1969-12-31T23:59:59.9999Z"), "1969-12-31T23:59:59.999Z");
    for text in ["2024-02-29", "2023-02-29T00:00:00Z", "2024-02-29T01:00:00", "", "é"] {
        assert_eq!(parsed(text), "NULL", "{text}");
    }
}
