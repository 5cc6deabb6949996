//! Sums, products and quotients of columns.
//!
//! The checked kernels refuse a batch in which one row overflows; only then is it computed row by row.
//! Times are computed as the integers that they are kept as.

use std::sync::Arc;

use arrow_arith::numeric;
use arrow_array::types::{
    ArrowPrimitiveType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowNativeTypeOp, Int64Array, new_null_array};
use arrow_schema::{ArrowError, DataType};
use strandline_plan::expr::BinaryOperator;

use super::column::{Column, retype, typed};
use super::failed::{BY_ZERO, Failed, OVERFLOW};
use super::operands::Operands;
use super::rows::{primitives, some};
use super::{EvaluateError, cast, decimal};

/// `left operator right` in the type that the plan gave the result.
pub(super) fn arithmetic(
    operands: &Operands<'_>,
    operator: BinaryOperator,
    result: &DataType,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError> {
    if let DataType::Decimal128(digits, scale) = result {
        let column = decimal::arithmetic(operands, operator, (*digits, *scale), failed);
        return Ok(typed(column, result));
    }
    if *result == DataType::Null {
        return Ok(new_null_array(result, operands.rows));
    }
    let (left, right) = (as_number(operands.left)?, as_number(operands.right)?);
    let operands = Operands { left: &left, right: &right, rows: operands.rows };
    let column = match by_kernel(&operands, operator) {
        Ok(column) => column,
        Err(ArrowError::ArithmeticOverflow(_) | ArrowError::DivideByZero) => {
            by_row(&operands, operator, failed)?
        }
        Err(other) => return Err(other.into()),
    };
    Ok(if column.data_type() == result { column } else { retype(&column, result)? })
}

/// The values with the other sign.
pub(super) fn negate(array: &ArrayRef, failed: &mut Failed) -> Result<ArrayRef, EvaluateError> {
    match numeric::neg(array) {
        Ok(column) => Ok(column),
        Err(ArrowError::ArithmeticOverflow(_)) => {
            let column = as_number(&Column::Rows(Arc::clone(array)))?;
            let zero: ArrayRef = Arc::new(Int64Array::from(vec![0]));
            let zero = Column::Constant(cast::cast(&zero, column.array().data_type(), failed)?);
            let operands = Operands { left: &zero, right: &column, rows: array.len() };
            let column = by_row(&operands, BinaryOperator::Subtract, failed)?;
            Ok(retype(&column, array.data_type())?)
        }
        Err(other) => Err(other.into()),
    }
}

/// Times and lengths of time as integers; everything else as it is.
fn as_number(column: &Column) -> Result<Column, ArrowError> {
    match column.array().data_type() {
        DataType::Timestamp(..) | DataType::Duration(_) => {
            Ok(column.clone().map(retype(column.array(), &DataType::Int64)?))
        }
        _ => Ok(column.clone()),
    }
}

/// All rows, or an error if one of them cannot be computed.
pub(super) fn by_kernel(
    Operands { left, right, .. }: &Operands<'_>,
    operator: BinaryOperator,
) -> Result<ArrayRef, ArrowError> {
    match operator {
        BinaryOperator::Add => numeric::add(*left, *right),
        BinaryOperator::Subtract => numeric::sub(*left, *right),
        BinaryOperator::Multiply => numeric::mul(*left, *right),
        BinaryOperator::Divide => numeric::div(*left, *right),
        BinaryOperator::Modulo => numeric::rem(*left, *right),
        other => Err(ArrowError::InvalidArgumentError(format!("{other} is no arithmetic"))),
    }
}

/// Each row by itself.
pub(super) fn by_row(
    operands: &Operands<'_>,
    operator: BinaryOperator,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError> {
    let data_type = operands.left.array().data_type();
    Ok(match data_type {
        DataType::Int8 => checked::<Int8Type>(operands, operator, failed),
        DataType::Int16 => checked::<Int16Type>(operands, operator, failed),
        DataType::Int32 => checked::<Int32Type>(operands, operator, failed),
        DataType::Int64 => checked::<Int64Type>(operands, operator, failed),
        DataType::UInt8 => checked::<UInt8Type>(operands, operator, failed),
        DataType::UInt16 => checked::<UInt16Type>(operands, operator, failed),
        DataType::UInt32 => checked::<UInt32Type>(operands, operator, failed),
        DataType::UInt64 => checked::<UInt64Type>(operands, operator, failed),
        other => return Err(EvaluateError::Unknown(format!("{operator} of {other}"))),
    })
}

fn checked<T: ArrowPrimitiveType>(
    operands: &Operands<'_>,
    operator: BinaryOperator,
    failed: &mut Failed,
) -> ArrayRef {
    let (left, right) = (operands.left.primitive::<T>(), operands.right.primitive::<T>());
    Arc::new(primitives::<T>(operands.rows, failed, |row| {
        let (a, b) = (some!(left.get(row)), some!(right.get(row)));
        let value = match operator {
            BinaryOperator::Add => a.add_checked(b),
            BinaryOperator::Subtract => a.sub_checked(b),
            BinaryOperator::Multiply => a.mul_checked(b),
            BinaryOperator::Divide | BinaryOperator::Modulo if b.is_zero() => return Err(BY_ZERO),
            BinaryOperator::Divide => a.div_checked(b),
            // Of the least integer and -1 the quotient does not fit, but the remainder is 0.
            _ => Ok(a.mod_wrapping(b)),
        };
        value.map(Some).map_err(|_| OVERFLOW)
    }))
}
