//! Operators over columns.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int8Array, Int64Array, StringArray, StructArray,
};
use arrow_schema::{DataType, Field, TimeUnit};
use strandline_plan::expr::{Expr, col, lit};
use strandline_plan::types::timestamp;

use super::{batch, decimal, null, outcomes, read};
use crate::expr::{Condition, Evaluator};

const OVERFLOW: &str = "failed: the result does not fit its type";
const BY_ZERO: &str = "failed: division by zero";

fn one(expr: Expr) -> String {
    outcomes(&expr, &batch(vec![], 1)).remove(0)
}

#[test]
fn a_row_that_cannot_be_computed_leaves_the_others_alone() {
    let a: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), Some(i64::MAX), None, Some(-7)]));
    let b: ArrayRef = Arc::new(Int64Array::from(vec![Some(2), Some(1), Some(0), Some(0)]));
    let rows = batch(vec![("a", a), ("b", b)], 4);
    let (a, b) = (|| col("a"), || col("b"));
    assert_eq!(outcomes(&(a() + b()), &rows), ["9", OVERFLOW, "NULL", "-7"]);
    assert_eq!(outcomes(&(a() * b()), &rows), ["14", "9223372036854775807", "NULL", "0"]);
    assert_eq!(outcomes(&(a() / b()), &rows), ["3", "9223372036854775807", "NULL", BY_ZERO]);
    assert_eq!(outcomes(&(a() % b()), &rows), ["1", "0", "NULL", BY_ZERO]);
    // A failure goes through everything that is computed from it.
    assert_eq!(outcomes(&(a() / b()).is_null(), &rows), ["false", "false", "true", BY_ZERO]);
    assert_eq!(outcomes(&((a() + b()) / b()), &rows), ["4", OVERFLOW, "NULL", BY_ZERO]);
}

#[test]
fn integers_are_divided_towards_zero() {
    assert_eq!(one(lit(-7) / lit(2)), "-3");
    assert_eq!(one(lit(-7) % lit(2)), "-1");
    assert_eq!(one(lit(7) % lit(-2)), "1");
    assert_eq!(one(lit(i64::MIN) / lit(-1)), OVERFLOW);
    assert_eq!(one(lit(i64::MIN) % lit(-1)), "0");
    assert_eq!(one(-lit(i64::MIN)), OVERFLOW);
    let tiny: ArrayRef = Arc::new(Int8Array::from(vec![Some(-128), Some(1), None]));
    let rows = batch(vec![("t", tiny)], 3);
    assert_eq!(outcomes(&-col("t"), &rows), [OVERFLOW, "-1", "NULL"]);
    assert_eq!(outcomes(&(col("t") - lit(1)), &rows), [OVERFLOW, "0", "NULL"]);
}

#[test]
fn floats_never_fail() {
    assert_eq!(one(lit(1.0) / lit(0.0)), "inf");
    assert_eq!(one(lit(0.0) / lit(0.0)), "NaN");
    assert_eq!(one(lit(1.0) % lit(0.0)), "NaN");
    assert_eq!(one(lit(-7.5) % lit(2.0)), "-1.5");
    assert_eq!(one(-lit(0.0)), "-0.0");
}

#[test]
fn decimals_are_computed_exactly() {
    assert_eq!(one(decimal("0.1") + decimal("0.02")), "0.12");
    assert_eq!(one(decimal("0.908") * lit(3)), "2.724");
    assert_eq!(one(decimal("1.00") / lit(3)), "0.333333");
    assert_eq!(one(decimal("2.00") / lit(3)), "0.666667");
    assert_eq!(one(decimal("-2.00") / lit(3)), "-0.666667");
    assert_eq!(one(decimal("-7.5") % lit(2)), "-1.5");
    assert_eq!(one(decimal("1.5") / decimal("0.0")), BY_ZERO);
    let nines = "9".repeat(38);
    assert_eq!(one(decimal(&nines) + lit(1)), OVERFLOW);
    assert_eq!(one(decimal(&nines) * lit(10)), OVERFLOW);
    assert_eq!(one(-decimal(&nines)), format!("-{nines}"));
    assert_eq!(one(decimal(&nines) / decimal("0.1")), OVERFLOW);
    assert_eq!(one(decimal("1.5") * null()), "NULL");
}

#[test]
fn times_are_moved_by_lengths_of_time() {
    let at = |text: &str| read(text, timestamp(TimeUnit::Millisecond));
    let minute = || lit(Duration::from_secs(60));
    assert_eq!(one(at("2024-02-28T23:59:30") + minute()), "2024-02-29T00:00:30.000Z");
    assert_eq!(one(minute() + at("1969-12-31T23:59:30")), "1970-01-01T00:00:30.000Z");
    assert_eq!(one(at("2024-03-01") - at("2024-02-29")), "86400000 Milliseconds");
    assert_eq!(one(read("2024-03-01", DataType::Date32) - minute()), "2024-02-29T23:59:00.000Z");
    assert_eq!(one(minute() * lit(5)), "300000 Milliseconds");
    assert_eq!(one(lit(-2) * minute()), "-120000 Milliseconds");
    assert_eq!(one(minute() * lit(i64::MAX)), OVERFLOW);
    assert_eq!(one(-minute()), "-60000 Milliseconds");
    let last = strandline_plan::expr::call("to_timestamp_millis", [lit(i64::MAX)]);
    assert_eq!(one(last + minute()), OVERFLOW);
}

/// As PostgreSQL and DuckDB: one NaN, which is the greatest, and one zero.
#[test]
fn floats_have_an_order() {
    let yes = |expr: Expr| assert_eq!(one(expr.clone()), "true", "{expr}");
    yes(lit(f64::NAN).eq(lit(-f64::NAN)));
    yes(lit(f64::NAN).gt(lit(f64::INFINITY)));
    yes(lit(-f64::NAN).gt(lit(f64::INFINITY)));
    yes(lit(-0.0).eq(lit(0.0)));
    yes(lit(-0.0).ge(lit(0.0)));
    yes(lit(0.0).ne(lit(f64::NAN)));
    yes(lit(f64::NAN).in_list([lit(1.0), lit(f64::NAN)]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![-0.0, f64::NAN, 1.0]));
    let rows = batch(vec![("x", floats)], 3);
    assert_eq!(outcomes(&col("x").eq(lit(0.0)), &rows), ["true", "false", "false"]);
    assert_eq!(outcomes(&col("x").lt(lit(f64::NAN)), &rows), ["true", "false", "true"]);
}

#[test]
fn all_types_with_an_order_are_compared() {
    let yes = |expr: Expr| assert_eq!(one(expr.clone()), "true", "{expr}");
    yes(lit("a").lt(lit("ä")));
    yes(lit(false).lt(lit(true)));
    yes(decimal("1.5").eq(decimal("1.50")));
    yes(decimal("-1.5").lt(lit(0)));
    yes(lit("a").cast(DataType::Binary).ne(lit("b").cast(DataType::Binary)));
    yes(read("2024-02-29", DataType::Date32).le(read("2024-02-29", timestamp(TimeUnit::Second))));
    yes(lit(Duration::from_secs(1)).eq(lit(Duration::from_micros(1_000_000))));
    yes(read("18446744073709551615", DataType::UInt64).gt(lit(-1)));
    assert_eq!(one(null().eq(null())), "NULL");
    assert_eq!(one(lit(1).lt(null())), "NULL");
}

#[test]
fn a_list_has_three_answers() {
    let s: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("c"), None]));
    let rows = batch(vec![("s", s)], 3);
    let within = |list: Vec<Expr>| outcomes(&col("s").in_list(list), &rows);
    assert_eq!(within(vec![lit("a"), lit("b")]), ["true", "false", "NULL"]);
    assert_eq!(within(vec![lit("a"), null()]), ["true", "NULL", "NULL"]);
    assert_eq!(within(vec![]), ["false", "false", "false"]);
    assert_eq!(one(lit(1).in_list([lit(1) / lit(0)])), BY_ZERO);
}

#[test]
fn a_field_is_null_where_its_struct_is() {
    let lat: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(3.0)]));
    let fields = vec![Field::new("lat", DataType::Float64, true)].into();
    let nulls = vec![true, true, false].into();
    let at: ArrayRef = Arc::new(StructArray::new(fields, vec![lat], Some(nulls)));
    let rows = batch(vec![("at", at)], 3);
    assert_eq!(outcomes(&col("at").field("lat"), &rows), ["1.0", "NULL", "NULL"]);
    assert_eq!(outcomes(&col("at").field("lat"), &rows.slice(1, 2)), ["NULL", "NULL"]);
}

#[test]
fn a_row_passes_a_condition_only_if_it_is_true() {
    let b: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(0), None, Some(9)]));
    let x: ArrayRef = Arc::new(BooleanArray::from(vec![true; 4]));
    let rows = batch(vec![("b", b), ("x", x)], 4);
    let condition = (lit(6) / col("b")).gt(lit(3)).bind_condition(&rows.schema()).unwrap();
    let condition = Condition::new(&condition).unwrap();
    let mask = condition.mask(&rows).unwrap();
    assert_eq!(mask.passes, BooleanArray::from(vec![true, false, false, false]));
    assert_eq!(mask.failed.to_string(), "row 1: division by zero");
    let (passed, failed) = condition.filter(&rows.slice(1, 3)).unwrap();
    assert_eq!((passed.num_rows(), failed.len()), (0, 1));
    let number = Condition::new(&col("b").bind(&rows.schema()).unwrap());
    assert_eq!(number.unwrap_err().to_string(), "no way to compute a condition of Int64");
}

#[test]
fn a_batch_of_another_schema_is_an_error() {
    let b: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let rows = batch(vec![("b", b)], 1);
    let evaluator = Evaluator::new(&col("b").bind(&rows.schema()).unwrap()).unwrap();
    let s: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    let error = evaluator.evaluate(&batch(vec![("b", s)], 1)).unwrap_err();
    assert_eq!(error.to_string(), "column 0 is Utf8, and the expression was made for Int64");
    assert!(evaluator.evaluate(&batch(vec![], 1)).unwrap_err().to_string().contains("not there"));
}
