//! Expressions over batches, as their users meet them.

mod casts;
mod exactness;
mod functions;
mod large;
mod laziness;
mod numbers;
mod operators;
mod program;
mod properties;
mod texts;
mod times;
mod values;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat;
use strandline_plan::expr::function::{Parameter, ScalarFunction};
use strandline_plan::expr::{Expr, call, col, lit};
use strandline_plan::literal::Literal;

use super::{Evaluated, Evaluator, Failed, cast};

/// A value as text: NULL, or what a cast to text gives; lists in brackets, bytes in hexadecimal.
fn shown(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return "NULL".into();
    }
    match array.data_type() {
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let items: Vec<_> = (0..items.len()).map(|item| shown(&items, item)).collect();
            format!("[{}]", items.join(", "))
        }
        DataType::Binary => {
            let bytes = array.as_binary::<i32>().value(row);
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        DataType::Duration(unit) => {
            let words = super::column::retype(array, &DataType::Int64).unwrap();
            format!("{} {unit:?}s", shown(&words, row))
        }
        _ => {
            let mut failed = Failed::default();
            let text = cast::cast(array, &DataType::Utf8, &mut failed).unwrap();
            assert!(failed.is_empty(), "{failed}");
            text.as_string::<i32>().value(row).to_owned()
        }
    }
}

/// A value, or `failed: ` and the reason why there is none.
fn outcome(Evaluated { column, failed }: &Evaluated, row: usize) -> String {
    match failed.iter().find(|failure| failure.row == row) {
        Some(failure) => {
            assert!(column.is_null(row), "a failed row is null");
            format!("failed: {}", failure.reason)
        }
        None => shown(column, row),
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>, rows: usize) -> RecordBatch {
    let fields: Vec<_> = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).unwrap()
}

/// What an expression gives for a batch.
fn over(expr: &Expr, batch: &RecordBatch) -> Evaluated {
    let evaluator = Evaluator::new(&expr.bind(&batch.schema()).unwrap()).unwrap();
    evaluator.evaluate(batch).unwrap()
}

/// What an expression gives for each row of a batch.
fn outcomes(expr: &Expr, batch: &RecordBatch) -> Vec<String> {
    let evaluated = over(expr, batch);
    assert_eq!(evaluated.column.len(), batch.num_rows());
    (0..batch.num_rows()).map(|row| outcome(&evaluated, row)).collect()
}

/// The column of one row that a constant expression is.
fn constant(expr: &Expr) -> ArrayRef {
    let evaluated = over(expr, &batch(vec![], 1));
    assert!(evaluated.failed.is_empty(), "{}", evaluated.failed);
    evaluated.column
}

/// What a function gives for some constants: the same by constants, by columns, and by some of both.
fn of(name: &str, arguments: impl IntoIterator<Item = Expr>) -> String {
    let arguments: Vec<Expr> = arguments.into_iter().collect();
    let function = ScalarFunction::find(name).unwrap();
    let parameter = |index: usize| function.parameters[index.min(function.parameters.len() - 1)];
    let names: Vec<_> = (0..arguments.len()).map(|index| format!("a{index}")).collect();
    let columns: Vec<_> = arguments
        .iter()
        .zip(&names)
        .map(|(argument, name)| {
            let value = constant(argument);
            let null = new_null_array(value.data_type(), 1);
            // A slice, so that an offset that is forgotten shows.
            let column = concat(&[&null, &value, &null, &value, &null]).unwrap();
            (name.as_str(), column.slice(1, 3))
        })
        .collect();
    let rows = batch(columns, 3);
    let given = |as_column: &dyn Fn(usize) -> bool| {
        let arguments = arguments.iter().enumerate().map(|(index, argument)| {
            let unit = matches!(parameter(index), Parameter::Unit | Parameter::Part);
            if as_column(index) && !unit { col(&names[index]) } else { argument.clone() }
        });
        let given = outcomes(&call(name, arguments), &rows);
        assert_eq!(given[0], given[2], "{name}");
        given[0].clone()
    };
    let by_columns = given(&|_| true);
    assert_eq!(given(&|_| false), by_columns, "{name} of constants");
    assert_eq!(given(&|index| index == 0), by_columns, "{name} of a column and constants");
    assert_eq!(given(&|index| index != 0), by_columns, "{name} of a constant and columns");
    by_columns
}

/// A decimal constant: `"1.25"` has three digits, two of them behind the point.
fn decimal(text: &str) -> Expr {
    let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let unscaled = text.replace('.', "").parse().unwrap();
    Expr::Literal(Literal::Decimal { unscaled, scale: scale.try_into().unwrap() })
}

/// A constant of a type, from its text.
fn read(text: &str, data_type: DataType) -> Expr {
    lit(text).cast(data_type)
}

fn null() -> Expr {
    Expr::Literal(Literal::Null)
}
