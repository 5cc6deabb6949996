//! Values in other types.

use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray, StringArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, TimeUnit};
use strandline_plan::expr::{Expr, call, col, lit};
use strandline_plan::types::timestamp;

use super::{batch, decimal, outcomes};

fn cast(value: Expr, to: DataType) -> String {
    let by_force = outcomes(&value.clone().cast(to.clone()), &batch(vec![], 1)).remove(0);
    let or_null = outcomes(&value.try_cast(to), &batch(vec![], 1)).remove(0);
    assert_eq!(or_null, if by_force.starts_with("failed") { "NULL" } else { &by_force });
    by_force
}

const UNFIT: &str = "failed: the number does not fit its type";
const NO_NUMBER: &str = "failed: the text is no number";

#[test]
fn text_becomes_a_number_if_all_of_it_is_one() {
    let int = |text: &str| cast(lit(text), DataType::Int64);
    assert_eq!(int("-9223372036854775808"), i64::MIN.to_string());
    assert_eq!(int(" +42\t"), "42");
    assert_eq!(int("9223372036854775808"), UNFIT);
    for text in ["", " ", "1.5", "1e3", "4 2", "0x10", "1_000", "٣", "--1"] {
        assert_eq!(int(text), NO_NUMBER, "{text}");
    }
    assert_eq!(cast(lit("256"), DataType::UInt8), UNFIT);
    assert_eq!(cast(lit("-1"), DataType::UInt8), NO_NUMBER);
    let float = |text: &str| cast(lit(text), DataType::Float64);
    assert_eq!(float("1e3"), "1000.0");
    assert_eq!(float(" -.5"), "-0.5");
    assert_eq!(float("NaN"), "NaN");
    assert_eq!(float("-Infinity"), "-inf");
    assert_eq!(float("1e400"), UNFIT);
    assert_eq!(float("1,5"), NO_NUMBER);
    assert_eq!(cast(lit("1e39"), DataType::Float32), UNFIT);
    let money = |text: &str| cast(lit(text), DataType::Decimal128(5, 2));
    assert_eq!(money("-1.005"), "-1.01");
    assert_eq!(money("1e2"), "100.00");
    assert_eq!(money("1000"), "failed: the text is no number, or does not fit");
}

#[test]
fn text_is_true_or_false_in_several_words() {
    let boolean = |text: &str| cast(lit(text), DataType::Boolean);
    for (yes, no) in [("true", "false"), ("T", "f"), ("Yes", "no"), ("on", "OFF"), ("1", " 0 ")] {
        assert_eq!((&*boolean(yes), &*boolean(no)), ("true", "false"));
    }
    assert_eq!(boolean("maybe"), "failed: the text is neither true nor false");
    assert_eq!(cast(lit(true), DataType::Utf8), "true");
    assert_eq!(cast(lit(true), DataType::Int8), "1");
    assert_eq!(cast(lit("é").cast(DataType::Binary), DataType::Utf8), "é");
    let bytes = call("from_hex", [lit("ff")]);
    assert_eq!(cast(bytes, DataType::Utf8), "failed: the bytes are no text in UTF-8");
}

#[test]
fn numbers_are_rounded_and_never_wrap() {
    assert_eq!(cast(lit(300), DataType::Int8), UNFIT);
    assert_eq!(cast(lit(-1), DataType::UInt64), UNFIT);
    assert_eq!(cast(lit(2.5), DataType::Int64), "3");
    assert_eq!(cast(lit(-2.5), DataType::Int64), "-3");
    assert_eq!(cast(lit(127.49), DataType::Int8), "127");
    assert_eq!(cast(lit(127.5), DataType::Int8), UNFIT);
    assert_eq!(cast(lit(-0.4), DataType::UInt8), "0");
    for float in [f64::NAN, f64::INFINITY, 9_223_372_036_854_775_808.0, 1e300] {
        assert_eq!(cast(lit(float), DataType::Int64), UNFIT, "{float}");
    }
    assert_eq!(cast(lit(-9_223_372_036_854_775_808.0), DataType::Int64), i64::MIN.to_string());
    assert_eq!(cast(lit(1e300).cast(DataType::Float64), DataType::Float32), UNFIT);
    assert_eq!(cast(lit(f64::NAN), DataType::Float32), "NaN");
    assert_eq!(cast(lit(i64::MAX), DataType::Float64), "9.223372036854776e18");
    assert_eq!(cast(lit(16_777_217), DataType::Float32), "16777216.0");
}

#[test]
fn decimals_are_exact_or_rounded_half_away_from_zero() {
    assert_eq!(cast(decimal("2.5"), DataType::Int64), "3");
    assert_eq!(cast(decimal("-2.5"), DataType::Int64), "-3");
    assert_eq!(cast(decimal("-0.5"), DataType::UInt8), UNFIT);
    assert_eq!(cast(decimal("1.25"), DataType::Decimal128(3, 1)), "1.3");
    assert_eq!(cast(decimal("99.95"), DataType::Decimal128(3, 1)), UNFIT);
    assert_eq!(cast(lit(0.1), DataType::Decimal128(20, 18)), "0.100000000000000000");
    assert_eq!(cast(lit(1.005), DataType::Decimal128(3, 2)), "1.01");
    assert_eq!(cast(lit(1e-300), DataType::Decimal128(3, 2)), "0.00");
    for float in [f64::NAN, f64::NEG_INFINITY, 1e300, 10.0] {
        assert_eq!(cast(lit(float), DataType::Decimal128(3, 2)), UNFIT, "{float}");
    }
    assert_eq!(cast(lit(1000), DataType::Decimal128(5, 2)), UNFIT);
    assert_eq!(cast(decimal("0.3"), DataType::Float64), "0.3");
    let long = "1234567890123456789012345678.9012345678";
    assert_eq!(
        cast(decimal(long), DataType::Float64),
        format!("{:?}", long.parse::<f64>().unwrap())
    );
    assert_eq!(cast(decimal("-0.05"), DataType::Utf8), "-0.05");
}

#[test]
fn numbers_become_text_that_is_read_back() {
    assert_eq!(cast(lit(5.0), DataType::Utf8), "5.0");
    assert_eq!(cast(lit(1e300), DataType::Utf8), "1e300");
    assert_eq!(cast(lit(f64::NEG_INFINITY), DataType::Utf8), "-inf");
    assert_eq!(cast(lit(i64::MIN), DataType::Utf8), i64::MIN.to_string());
    assert_eq!(cast(lit("0.1").cast(DataType::Float32), DataType::Utf8), "0.1");
}

#[test]
fn times_are_cut_towards_the_past() {
    let nanos = |text: &str| lit(text).cast(timestamp(TimeUnit::Nanosecond));
    let ms = timestamp(TimeUnit::Millisecond);
    let before = "1969-12-31T23:59:59.999999999";
    assert_eq!(cast(nanos(before), ms.clone()), "1969-12-31T23:59:59.999Z");
    assert_eq!(cast(nanos(before), timestamp(TimeUnit::Second)), "1969-12-31T23:59:59Z");
    assert_eq!(cast(nanos(before), DataType::Date32), "1969-12-31");
    assert_eq!(
        cast(lit("2024-02-29").cast(DataType::Date32), ms.clone()),
        "2024-02-29T00:00:00.000Z"
    );
    let far = || lit("9999-12-31").cast(DataType::Date32);
    let unfit = "failed: the time does not fit its type";
    assert_eq!(cast(far(), timestamp(TimeUnit::Nanosecond)), unfit);
    assert_eq!(cast(far().cast(ms), timestamp(TimeUnit::Nanosecond)), unfit);
    assert_eq!(cast(far(), DataType::Utf8), "9999-12-31");
    assert_eq!(cast(lit("2023-02-29"), DataType::Date32), "failed: the text is no date");
    let length = std::time::Duration::from_millis(1999);
    assert_eq!(cast(lit(length), DataType::Duration(TimeUnit::Second)), "1 Seconds");
    assert_eq!(cast(-lit(length), DataType::Duration(TimeUnit::Second)), "-1 Seconds");
}

#[test]
fn a_list_fails_with_its_items() {
    let list = |text: &str| call("split", [lit(text), lit(",")]);
    let ints = DataType::new_list(DataType::Int64, true);
    assert_eq!(cast(list("1,2"), ints.clone()), "[1, 2]");
    assert_eq!(cast(list("1,x"), ints.clone()), NO_NUMBER);
    assert_eq!(cast(Expr::Literal(strandline_plan::literal::Literal::Null), ints), "NULL");
}

/// Neither the items of other rows nor those that lie under a null.
#[test]
fn items_that_nobody_sees_do_not_fail() {
    let items =
        StringArray::from(vec![Some("x"), Some("1"), Some("z"), Some("2"), None, Some("y")]);
    let texts: ArrayRef = Arc::new(ListArray::new(
        Arc::new(Field::new_list_field(DataType::Utf8, true)),
        OffsetBuffer::from_lengths([1, 1, 1, 2, 0, 1]),
        Arc::new(items),
        Some(vec![true, true, false, true, true, true].into()),
    ));
    let rows = batch(vec![("texts", texts)], 6);
    let ints = col("texts").cast(DataType::new_list(DataType::Int64, true));
    let seen = ["[1]", "NULL", "[2, NULL]", "[]"];
    assert_eq!(outcomes(&ints, &rows.slice(1, 4)), seen);
    let all = [&[NO_NUMBER], &seen[..], &[NO_NUMBER]].concat();
    assert_eq!(outcomes(&ints, &rows), all);
}
