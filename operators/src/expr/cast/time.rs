//! Times, dates and lengths of time.

use std::sync::Arc;

use arrow_array::types::{Date32Type, Int64Type};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};

use super::unknown;
use crate::expr::EvaluateError;
use crate::expr::calendar::{date, days, parse_date, parse_moment, per_second, write_moment};
use crate::expr::column::{Column, retype};
use crate::expr::failed::{Failed, Reason};
use crate::expr::rows::{Row, primitives, some, texts};

const UNFIT: Reason = Reason::Borrowed("the time does not fit its type");
const SECONDS_OF_DAY: i64 = 86_400;

/// Timestamps and dates as each other.
pub(super) fn to_time(
    array: &ArrayRef,
    to: &DataType,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError> {
    match (array.data_type(), to) {
        (DataType::Timestamp(from, _), DataType::Timestamp(unit, _)) => {
            scaled(array, (per_second(*from), per_second(*unit)), i64::div_euclid, to, failed)
        }
        (DataType::Timestamp(unit, _), DataType::Date32) => {
            let day = per_second(*unit) * SECONDS_OF_DAY;
            let column = Column::Rows(retype(array, &DataType::Int64)?);
            let values = column.integers();
            Ok(Arc::new(primitives::<Date32Type>(array.len(), failed, |row| {
                let days = some!(values.get(row)).div_euclid(day);
                i32::try_from(days).map(Some).map_err(|_| UNFIT)
            })))
        }
        (DataType::Date32, DataType::Timestamp(unit, _)) => {
            let day = per_second(*unit) * SECONDS_OF_DAY;
            let column = Column::Rows(Arc::clone(array));
            let values = column.primitive::<Date32Type>();
            let moments: PrimitiveArray<Int64Type> = primitives(array.len(), failed, |row| {
                i64::from(some!(values.get(row))).checked_mul(day).map(Some).ok_or(UNFIT)
            });
            Ok(retype(&moments, to)?)
        }
        (from, to) => Err(unknown(from, to)),
    }
}

/// Lengths of time in another unit, cut towards zero.
pub(super) fn to_length(
    array: &ArrayRef,
    to: &DataType,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError> {
    match (array.data_type(), to) {
        (DataType::Duration(from), DataType::Duration(unit)) => {
            scaled(array, (per_second(*from), per_second(*unit)), |a, b| a / b, to, failed)
        }
        (from, to) => Err(unknown(from, to)),
    }
}

fn scaled(
    array: &ArrayRef,
    (from, per_second): (i64, i64),
    cut: impl Fn(i64, i64) -> i64,
    to: &DataType,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError> {
    let column = Column::Rows(retype(array, &DataType::Int64)?);
    let values = column.integers();
    let scaled: PrimitiveArray<Int64Type> = primitives(array.len(), failed, |row| {
        let value = some!(values.get(row));
        match from > per_second {
            true => Ok(Some(cut(value, from / per_second))),
            false => value.checked_mul(per_second / from).map(Some).ok_or(UNFIT),
        }
    });
    Ok(retype(&scaled, to)?)
}

/// Timestamps with the digits of their unit; dates.
pub(super) fn to_text(array: &ArrayRef, failed: &mut Failed) -> Result<ArrayRef, EvaluateError> {
    Ok(match array.data_type() {
        DataType::Timestamp(unit, _) => moments_to_text(array, *unit, *unit, failed)?,
        _ => {
            let column = Column::Rows(Arc::clone(array));
            let values = column.primitive::<Date32Type>();
            texts(array.len(), failed, |row| {
                date(some!(values.get(row))).map(|date| Some(date.to_string()))
            })
        }
    })
}

/// Timestamps of one unit as text, with the digits of another.
pub(in crate::expr) fn moments_to_text(
    array: &ArrayRef,
    unit: TimeUnit,
    digits: TimeUnit,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError> {
    let column = Column::Rows(retype(array, &DataType::Int64)?);
    let values = column.integers();
    Ok(texts(array.len(), failed, |row| -> Row<String> {
        let mut text = String::new();
        write_moment(some!(values.get(row)), unit, digits, &mut text)?;
        Ok(Some(text))
    }))
}

/// What a text names.
pub(super) fn of_text(
    array: &ArrayRef,
    to: &DataType,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError> {
    let column = Column::Rows(Arc::clone(array));
    let values = column.texts();
    if let DataType::Timestamp(unit, _) = to {
        let moments: PrimitiveArray<Int64Type> = primitives(array.len(), failed, |row| {
            parse_moment(some!(values.get(row)), *unit).map(Some)
        });
        return Ok(retype(&moments, to)?);
    }
    Ok(Arc::new(primitives::<Date32Type>(array.len(), failed, |row| {
        parse_date(some!(values.get(row))).map(|date| Some(days(date)))
    })))
}
