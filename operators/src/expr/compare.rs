//! How values stand to each other.

use std::sync::Arc;

use arrow_arith::boolean::or_kleene;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray};
use arrow_ord::cmp;
use arrow_schema::{ArrowError, DataType};
use strandline_plan::expr::BinaryOperator;

use super::column::Column;
use super::failed::Failed;

/// `left operator right`; null where one of them is.
pub(super) fn compare(
    left: &Column,
    operator: BinaryOperator,
    right: &Column,
) -> Result<BooleanArray, ArrowError> {
    let data_type = left.array().data_type();
    if *data_type == DataType::Null {
        let rows = if let Column::Rows(array) = left { array.len() } else { right.array().len() };
        return Ok(BooleanArray::new_null(rows));
    }
    if data_type.is_floating() {
        return by_kernel(&ordered(left), operator, &ordered(right));
    }
    by_kernel(left, operator, right)
}

fn by_kernel(
    left: &Column,
    operator: BinaryOperator,
    right: &Column,
) -> Result<BooleanArray, ArrowError> {
    match operator {
        BinaryOperator::Equal => cmp::eq(left, right),
        BinaryOperator::NotEqual => cmp::neq(left, right),
        BinaryOperator::Less => cmp::lt(left, right),
        BinaryOperator::LessOrEqual => cmp::lt_eq(left, right),
        BinaryOperator::Greater => cmp::gt(left, right),
        BinaryOperator::GreaterOrEqual => cmp::gt_eq(left, right),
        other => Err(ArrowError::InvalidArgumentError(format!("{other} is no comparison"))),
    }
}

/// Floats of which the total order, by which the kernels compare, is that of SQL: one NaN, which is
/// the greatest, and one zero.
fn ordered(column: &Column) -> Column {
    let array: ArrayRef = match column.array().data_type() {
        DataType::Float32 => {
            let values: PrimitiveArray<Float32Type> = column
                .array()
                .as_primitive::<Float32Type>()
                .unary(|x| if x.is_nan() { f32::NAN } else { x + 0.0 });
            Arc::new(values)
        }
        _ => {
            let values: PrimitiveArray<Float64Type> = column
                .array()
                .as_primitive::<Float64Type>()
                .unary(|x| if x.is_nan() { f64::NAN } else { x + 0.0 });
            Arc::new(values)
        }
    };
    column.clone().map(array)
}

/// Whether `value` is one of `list`: null where it is none of them, but one of them is null.
pub(super) fn in_list(
    value: &Column,
    list: &[Column],
    rows: usize,
) -> Result<BooleanArray, ArrowError> {
    let mut found = BooleanArray::from(vec![false; rows]);
    for item in list {
        let same: ArrayRef = Arc::new(compare(value, BinaryOperator::Equal, item)?);
        // Of two constants there is one answer.
        let same = if same.len() == rows {
            same
        } else {
            Column::Constant(same).into_rows(rows, &mut Failed::default())?
        };
        found = or_kleene(&found, same.as_boolean())?;
    }
    Ok(found)
}
