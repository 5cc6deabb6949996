//! Functions of numbers.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Int64Array, UInt64Array};
use arrow_schema::DataType;
use strandline_plan::expr::{Expr, col, lit};

use super::{batch, decimal, of, outcomes, read};

fn int(value: i64) -> Expr {
    lit(value)
}

fn tiny(value: i64) -> Expr {
    lit(value).cast(DataType::Int8)
}

#[test]
fn abs_and_sign_keep_the_type() {
    assert_eq!(of("abs", [int(-5)]), "5");
    assert_eq!(of("abs", [lit(-0.5)]), "0.5");
    assert_eq!(of("abs", [decimal("-1.25")]), "1.25");
    assert_eq!(of("abs", [int(i64::MIN)]), "failed: the result does not fit its type");
    assert_eq!(of("abs", [tiny(-128)]), "failed: the result does not fit its type");
    assert_eq!(of("abs", [lit(f64::NAN)]), "NaN");
    assert_eq!(of("abs", [read("18446744073709551615", DataType::UInt64)]), "18446744073709551615");
    assert_eq!(of("sign", [int(i64::MIN)]), "-1");
    assert_eq!(of("sign", [int(0)]), "0");
    assert_eq!(of("sign", [lit(-2.5)]), "-1.0");
    assert_eq!(of("sign", [lit(0.0)]), "0.0");
    assert_eq!(of("sign", [lit(f64::NAN)]), "NaN");
    assert_eq!(of("sign", [decimal("-0.25")]), "-1.00");
}

#[test]
fn numbers_are_rounded_in_four_ways() {
    assert_eq!(of("floor", [lit(-1.5)]), "-2.0");
    assert_eq!(of("floor", [decimal("-1.01")]), "-2.00");
    assert_eq!(of("floor", [int(7)]), "7");
    assert_eq!(of("ceil", [lit(-1.5)]), "-1.0");
    assert_eq!(of("ceil", [decimal("0.01")]), "1.00");
    assert_eq!(of("ceil", [lit(f64::INFINITY)]), "inf");
    assert_eq!(of("round", [lit(2.5)]), "3.0");
    assert_eq!(of("round", [lit(-2.5)]), "-3.0");
    assert_eq!(of("round", [decimal("99.5")]), "100.0");
    assert_eq!(of("round", [lit(1234.567), int(2)]), "1234.57");
    assert_eq!(of("round", [lit(1234.567), int(-2)]), "1200.0");
    assert_eq!(of("round", [decimal("2.675"), int(2)]), "2.680");
    assert_eq!(of("round", [int(1250), int(-2)]), "1300");
    assert_eq!(of("round", [int(1250), int(5)]), "1250");
    assert_eq!(of("round", [tiny(127), int(-1)]), "failed: the result does not fit its type");
    assert_eq!(of("round", [lit(f64::NAN), int(2)]), "NaN");
    assert_eq!(of("trunc", [lit(-1.9)]), "-1.0");
    assert_eq!(of("trunc", [decimal("-1.29"), int(1)]), "-1.20");
    assert_eq!(of("trunc", [int(i64::MIN), int(-18)]), "-9000000000000000000");
    let float = |text| read(text, DataType::Float32);
    assert_eq!(of("round", [float("0.125"), int(2)]), "0.13");
}

#[test]
fn functions_of_floats_follow_ieee() {
    assert_eq!(of("sqrt", [int(9)]), "3.0");
    assert_eq!(of("sqrt", [lit(-1.0)]), "NaN");
    assert_eq!(of("cbrt", [lit(-27.0)]), "-3.0");
    assert_eq!(of("exp", [int(0)]), "1.0");
    assert_eq!(of("exp", [int(1000)]), "inf");
    assert_eq!(of("ln", [int(1)]), "0.0");
    assert_eq!(of("ln", [int(0)]), "-inf");
    assert_eq!(of("log10", [int(1000)]), "3.0");
    assert_eq!(of("log2", [int(8)]), "3.0");
    assert_eq!(of("log", [int(2), int(1024)]), "10.0");
    assert_eq!(of("log", [int(10), int(1000)]), "3.0");
    assert_eq!(of("log", [int(4), int(16)]), "2.0");
    assert_eq!(of("power", [int(2), int(10)]), "1024.0");
    assert_eq!(of("power", [int(-8), lit(0.5)]), "NaN");
    assert_eq!(of("sin", [int(0)]), "0.0");
    assert_eq!(of("cos", [int(0)]), "1.0");
    assert_eq!(of("tan", [int(0)]), "0.0");
    assert_eq!(of("asin", [int(2)]), "NaN");
    assert_eq!(of("acos", [int(1)]), "0.0");
    assert_eq!(of("atan", [int(0)]), "0.0");
    assert_eq!(of("atan2", [int(0), int(1)]), "0.0");
    assert_eq!(of("atan2", [int(1), int(0)]), format!("{:?}", std::f64::consts::FRAC_PI_2));
    assert_eq!(of("degrees", [lit(std::f64::consts::PI)]), "180.0");
    assert_eq!(of("radians", [int(180)]), format!("{:?}", std::f64::consts::PI));
    assert_eq!(of("is_nan", [lit(f64::NAN)]), "true");
    assert_eq!(of("is_nan", [decimal("1.5")]), "false");
}

#[test]
fn integers_of_which_no_type_holds_both_are_divided_as_all_integers_are() {
    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![7, u64::MAX, u64::MAX, 1, 5]));
    let signed: ArrayRef = Arc::new(Int64Array::from(vec![2, 2, -1, -2, 0]));
    let batch = batch(vec![("u", unsigned), ("s", signed)], 5);
    let quotients = outcomes(&(col("u") / col("s")), &batch);
    let half = (u64::MAX / 2).to_string();
    let negative = format!("-{}", u64::MAX);
    assert_eq!(quotients, ["3", &half, &negative, "0", "failed: division by zero"]);
    let quotients = outcomes(&(col("s") / col("u")), &batch);
    assert_eq!(quotients, ["0", "0", "0", "-2", "0"]);
}

#[test]
fn a_constant_that_does_not_fit_into_a_float_fails_as_a_cast_does_and_widens_what_it_is_beside() {
    let batch = batch(vec![("f", Arc::new(Float32Array::from(vec![0.5])))], 1);
    let cast = lit(1e300).cast(DataType::Float32);
    let outcome = outcomes(&cast, &batch);
    assert!(outcome[0].starts_with("failed: "), "{outcome:?}");
    assert_eq!(outcomes(&lit(1e300).try_cast(DataType::Float32), &batch), ["NULL"]);
    assert_eq!(outcomes(&col("f").lt(lit(1e300)), &batch), ["true"]);
    assert_eq!(outcomes(&(col("f") * lit(1e300)), &batch), ["5e299"]);
    assert_eq!(outcomes(&(col("f") * lit(0.5)), &batch), ["0.25"]);
    assert_eq!(outcomes(&col("f").lt(lit(f64::INFINITY)), &batch), ["true"]);
}
