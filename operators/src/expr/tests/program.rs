//! Functions that a program brings.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use arrow_schema::{ArrowError, DataType};
use strandline_plan::expr::{UserFunction, col, lit};

use super::{batch, outcomes};
use crate::expr::{EvaluateError, Evaluator, function};

fn given(function: &UserFunction) -> Result<super::Evaluated, EvaluateError> {
    let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(-2), None]));
    let rows = batch(vec![("n", n)], 3);
    let call = function.call([col("n")]).bind(&rows.schema()).unwrap();
    Evaluator::new(&call)?.evaluate(&rows)
}

#[test]
fn a_function_that_refuses_a_row_is_asked_for_each_alone() {
    let root = function("root", [DataType::Int64], DataType::Int64, |columns| {
        let values = columns[0].as_primitive::<Int64Type>();
        let roots = values.try_unary::<_, Int64Type, _>(|value| {
            value.checked_isqrt().ok_or(ArrowError::ComputeError("below zero".into()))
        });
        Ok(Arc::new(roots?))
    });
    let evaluated = given(&root).unwrap();
    assert_eq!(
        evaluated.column.as_primitive::<Int64Type>(),
        &Int64Array::from(vec![Some(1), None, None])
    );
    assert_eq!(evaluated.failed.to_string(), "row 1: root: Compute error: below zero");
}

#[test]
fn what_is_no_column_of_the_type_and_length_names_the_function() {
    let text = function("odd", [DataType::Int64], DataType::Int64, |_| {
        Ok(Arc::new(StringArray::from(vec!["a"; 3])))
    });
    let error = given(&text).unwrap_err().to_string();
    assert_eq!(error, "the function `odd` of the program gave a column of Utf8 instead of Int64");
    let short = function("short", [DataType::Int64], DataType::Int64, |_| {
        Ok(Arc::new(Int64Array::from(vec![1])))
    });
    let error = given(&short).unwrap_err().to_string();
    assert_eq!(error, "the function `short` of the program gave 1 values for 3 rows");
}

#[test]
fn a_function_that_was_made_otherwise_cannot_be_called() {
    let other = UserFunction::new("other", [DataType::Int64], DataType::Int64, Arc::new(()));
    let error = given(&other).unwrap_err().to_string();
    assert!(error.contains("`other` of the program was not made by"), "{error}");
}

#[test]
fn constants_are_given_once() {
    let rows = function("rows", [DataType::Int64], DataType::Int64, |columns| {
        assert!(!columns[0].is_empty(), "no rows, no call");
        let count = i64::try_from(columns[0].len()).unwrap();
        Ok(Arc::new(Int64Array::from(vec![count; columns[0].len()])))
    });
    let none: [DataType; 0] = [];
    let answer = function("answer", none, DataType::Int64, |columns| {
        assert!(columns.is_empty());
        Ok(Arc::new(Int64Array::from(vec![42])))
    });
    let n: ArrayRef = Arc::new(Int64Array::from(vec![0; 3]));
    let batch = batch(vec![("n", n)], 3);
    assert_eq!(outcomes(&rows.call([col("n")]), &batch), ["3"; 3]);
    assert_eq!(outcomes(&rows.call([lit(7)]), &batch), ["1"; 3]);
    assert_eq!(outcomes(&answer.call([]), &batch), ["42"; 3]);
    assert!(outcomes(&rows.call([col("n")]), &batch.slice(0, 0)).is_empty());
}
