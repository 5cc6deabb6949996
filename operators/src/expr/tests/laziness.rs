//! What is not needed is not computed, and does not fail.

use std::sync::Arc;
use std::sync::Mutex;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::DataType;
use strandline_plan::expr::{Expr, UserFunction, call, coalesce, col, lit, when};

use super::{batch, outcomes};
use crate::expr::function;

const BY_ZERO: &str = "failed: division by zero";

fn rows() -> RecordBatch {
    let a: ArrayRef = Arc::new(Int64Array::from(vec![Some(6), Some(5), None, Some(4)]));
    let b: ArrayRef = Arc::new(Int64Array::from(vec![Some(2), Some(0), Some(0), None]));
    batch(vec![("a", a), ("b", b)], 4)
}

fn quotient() -> Expr {
    col("a") / col("b")
}

/// A function that gives what it gets, and the values that it was asked for.
fn spy() -> (UserFunction, Arc<Mutex<Vec<Option<i64>>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let spy = function("spy", [DataType::Int64], DataType::Int64, move |columns| {
        note.lock().unwrap().extend(columns[0].as_primitive::<Int64Type>().iter());
        Ok(Arc::clone(&columns[0]))
    });
    (spy, seen)
}

#[test]
fn case_computes_a_value_for_rows_that_chose_it() {
    let guarded = when(col("b").ne(lit(0)), quotient()).or_null();
    assert_eq!(outcomes(&guarded, &rows()), ["3", "NULL", "NULL", "NULL"]);
    let otherwise = when(col("b").eq(lit(0)), lit(-1)).otherwise(quotient());
    assert_eq!(outcomes(&otherwise, &rows()), ["3", "-1", "-1", "NULL"]);
    let (spy, seen) = spy();
    let asked = when(col("a").gt(lit(4)), spy.call([col("a")])).otherwise(lit(0));
    assert_eq!(outcomes(&asked, &rows()), ["6", "5", "0", "0"]);
    assert_eq!(*seen.lock().unwrap(), [Some(6), Some(5)]);
}

#[test]
fn a_condition_is_asked_where_those_before_are_not_true() {
    let second = when(col("b").eq(lit(0)), lit("zero")).when(quotient().gt(lit(2)), lit("large"));
    assert_eq!(outcomes(&second.or_null(), &rows()), ["large", "zero", "zero", "NULL"]);
    let failing = when(quotient().gt(lit(2)), lit(1)).otherwise(lit(0));
    assert_eq!(outcomes(&failing, &rows()), ["1", BY_ZERO, "0", "0"]);
}

#[test]
fn what_the_left_side_decides_does_not_fail_on_the_right() {
    let large = || quotient().gt(lit(2));
    let and = col("b").ne(lit(0)).and(large());
    assert_eq!(outcomes(&and, &rows()), ["true", "false", "false", "NULL"]);
    let or = col("b").eq(lit(0)).or(large());
    assert_eq!(outcomes(&or, &rows()), ["true", "true", "true", "NULL"]);
    // The other way round the left side is needed.
    let and = large().and(col("b").ne(lit(0)));
    assert_eq!(outcomes(&and, &rows()), ["true", BY_ZERO, "false", "NULL"]);
    // Null does not decide.
    let unknown = col("b").is_null().or(col("b").gt(lit(0))).or(large());
    assert_eq!(outcomes(&unknown, &rows()), ["true", BY_ZERO, "NULL", "true"]);
    let (spy, seen) = spy();
    let asked = col("a").gt(lit(4)).and(spy.call([col("a")]).gt(lit(5)));
    assert_eq!(outcomes(&asked, &rows()), ["true", "false", "NULL", "false"]);
    assert_eq!(*seen.lock().unwrap(), [Some(6), Some(5), None]);
}

#[test]
fn three_values_are_combined_as_in_sql() {
    let truths = || [lit(true), lit(false), super::null()];
    let table = |combine: fn(Expr, Expr) -> Expr| -> String {
        let pairs = truths().into_iter().flat_map(|a| truths().map(|b| (a.clone(), b)));
        let shown = pairs.map(|(a, b)| outcomes(&combine(a, b), &batch(vec![], 1)).remove(0));
        shown.map(|value| value.chars().next().unwrap()).collect()
    };
    assert_eq!(table(Expr::and), "tfNfffNfN");
    assert_eq!(table(Expr::or), "ttttfNtNN");
    assert_eq!(outcomes(&super::null().not(), &batch(vec![], 1)), ["NULL"]);
}

#[test]
fn coalesce_computes_what_is_missing() {
    let filled = coalesce([col("b"), quotient(), lit(9)]);
    assert_eq!(outcomes(&filled, &rows()), ["2", "0", "0", "9"]);
    assert_eq!(outcomes(&coalesce([lit(1), quotient()]), &rows()), ["1"; 4]);
    let (spy, seen) = spy();
    let asked = coalesce([col("b"), spy.call([col("a")])]);
    assert_eq!(outcomes(&asked, &rows()), ["2", "0", "0", "4"]);
    assert_eq!(*seen.lock().unwrap(), [Some(4)]);
    assert_eq!(outcomes(&coalesce([quotient(), lit(9)]), &rows()), ["3", BY_ZERO, "9", "9"]);
}

/// A failing constant is no reason to fail where nobody asks for it.
#[test]
fn a_constant_fails_only_where_it_is_asked_for() {
    let failing = || lit(1) / lit(0);
    let asked = when(col("a").gt(lit(5)), failing()).otherwise(lit(0));
    assert_eq!(outcomes(&asked, &rows()), [BY_ZERO, "0", "0", "0"]);
    let never = when(lit(false), failing()).otherwise(call("length", [lit("é")]));
    assert_eq!(outcomes(&never, &rows()), ["1"; 4]);
}
