//! Functions of values of any type, and of lists.

use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, ListArray};
use arrow_schema::DataType;
use strandline_plan::expr::{Expr, call, col, lit};

use super::{batch, decimal, null, of, outcomes, read};

fn list(text: &str) -> Expr {
    call("split", [lit(text), lit(",")])
}

fn numbers(text: &str) -> Expr {
    list(text).cast(DataType::new_list(DataType::Int64, true))
}

#[test]
fn the_first_value_that_is_not_null() {
    assert_eq!(of("coalesce", [null(), lit(2), lit(3)]), "2");
    assert_eq!(of("coalesce", [null().cast(DataType::Utf8), lit("é")]), "é");
    assert_eq!(of("coalesce", [null().cast(DataType::Int64)]), "NULL");
    assert_eq!(of("coalesce", [null(), list("a,b")]), "[a, b]");
    assert_eq!(of("nullif", [lit(1), lit(1)]), "NULL");
    assert_eq!(of("nullif", [lit(1), lit(2)]), "1");
    assert_eq!(of("nullif", [lit("a"), lit("b")]), "a");
    assert_eq!(of("nullif", [lit(f64::NAN), lit(f64::NAN)]), "NULL");
    assert_eq!(of("nullif", [lit(-0.0), lit(0.0)]), "NULL");
    assert_eq!(of("nullif", [lit(1), null()]), "1");
}

#[test]
fn the_greatest_and_the_least() {
    assert_eq!(of("greatest", [lit(1), lit(i64::MAX), lit(i64::MIN)]), i64::MAX.to_string());
    assert_eq!(of("least", [lit(1), lit(i64::MAX), lit(i64::MIN)]), i64::MIN.to_string());
    assert_eq!(of("greatest", [lit("a"), lit("é"), lit("z")]), "é");
    assert_eq!(of("greatest", [lit(1.0), lit(f64::NAN), lit(f64::INFINITY)]), "NaN");
    assert_eq!(of("least", [lit(1.0), lit(-f64::NAN)]), "1.0");
    assert_eq!(of("least", [decimal("0.5"), decimal("0.50"), decimal("12")]), "0.50");
    assert_eq!(of("greatest", [lit(true), lit(false)]), "true");
    assert_eq!(of("greatest", [lit(1), null().cast(DataType::Int64)]), "NULL");
    assert_eq!(of("least", [null(), null()]), "NULL");
    assert_eq!(of("xor", [lit(true), lit(false)]), "true");
    assert_eq!(of("xor", [lit(true), lit(true)]), "false");
}

/// The values are those of XXH3's own test vectors: `hash` is the same in every process and version.
#[test]
fn a_hash_is_xxh3() {
    assert_eq!(of("hash", [lit("")]), 0x2d06_8005_38d3_94c2_i64.to_string());
    assert_eq!(of("hash", [lit("é")]), of("hash", [read("é", DataType::Binary)]));
}

#[test]
fn items_of_lists() {
    assert_eq!(of("array_length", [list("a,b,c")]), "3");
    assert_eq!(of("element_at", [list("a,b,c"), lit(1)]), "a");
    assert_eq!(of("element_at", [list("a,b,c"), lit(-1)]), "c");
    for position in [0, 4, -4, i64::MAX, i64::MIN] {
        assert_eq!(of("element_at", [list("a,b,c"), lit(position)]), "NULL", "{position}");
    }
    assert_eq!(of("array_contains", [numbers("1,2"), lit(2)]), "true");
    assert_eq!(of("array_contains", [numbers("1,2"), lit(3)]), "false");
    assert_eq!(of("array_contains", [list(""), lit("é")]), "false");
    let floats = list("NaN,-0.0").cast(DataType::new_list(DataType::Float64, true));
    assert_eq!(of("array_contains", [floats.clone(), lit(f64::NAN)]), "true");
    assert_eq!(of("array_contains", [floats, lit(0.0)]), "true");
    assert_eq!(of("array_join", [list("a,é"), lit("→")]), "a→é");
    assert_eq!(of("array_join", [numbers("1,-2"), lit("")]), "1-2");
}

#[test]
fn an_item_that_is_null_is_no_value() {
    let lists = [Some(vec![Some(1), None]), None, Some(vec![])];
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
    let sought: ArrayRef = Arc::new(Int64Array::from(vec![Some(2), Some(2), None]));
    let rows = batch(vec![("lists", lists), ("sought", sought)], 3);
    let asked = |value: Expr| outcomes(&call("array_contains", [col("lists"), value]), &rows);
    assert_eq!(asked(lit(2)), ["false", "NULL", "false"]);
    assert_eq!(asked(lit(1)), ["true", "NULL", "false"]);
    assert_eq!(asked(col("sought")), ["false", "NULL", "NULL"]);
    let joined = call("array_join", [col("lists"), lit("-")]);
    assert_eq!(outcomes(&joined, &rows), ["1", "NULL", ""]);
    let second = call("element_at", [col("lists"), lit(2)]);
    assert_eq!(outcomes(&second, &rows), ["NULL"; 3]);
    assert_eq!(outcomes(&call("array_length", [col("lists")]), &rows), ["2", "NULL", "0"]);
}
