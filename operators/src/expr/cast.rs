//! Values in another type. A value that has none there fails, and nothing is lost silently but what
//! rounding loses.
//!
//! * **Text to numbers, as in PostgreSQL**: the whole text, with white space around it ignored; `1.5` is
//!   no integer. A float may be `NaN`, `inf` or `-inf`; one too large to be told from infinity fails.
//! * **Text to BOOLEAN**: `true t yes y on 1` and `false f no n off 0`, in any case.
//! * **Numbers to numbers**: rounded to the nearest, halves away from zero, from floats too (as DuckDB
//!   and PostgreSQL round, not cut as in Java). What is out of range fails, NaN has no integer. A float
//!   becomes the decimal that it is written as: `0.1` is exactly `0.1`.
//! * **Numbers to text**: the shortest text that is read back as the same float (`5.0`, `1e300`);
//!   of a decimal all digits of its scale.
//! * **Times and text**: `2026-01-31T12:00:00.000Z`, with the digits of the type; read with a space
//!   instead of the `T`, without seconds, without a time, with another offset; without one it is UTC.
//! * **Times to coarser times**: to the unit or day that the moment lies in, before 1970 too. Lengths of
//!   time are cut towards zero.
//! * **BOOLEAN to integers** is 0 and 1. **BYTES to text** have to be UTF-8.
//! * **Lists** item by item; if one fails, the list does.

mod number;
mod text;
mod time;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, new_null_array};
use arrow_schema::DataType;
use arrow_select::nullif::nullif;

pub(super) use self::time::moments_to_text;
use super::EvaluateError;
use super::failed::{Failed, Failure};

/// The values in the type `to`.
pub(super) fn cast(
    array: &ArrayRef,
    to: &DataType,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError> {
    use DataType::{Binary, Boolean, Date32, Duration, List, Null, Timestamp, Utf8};
    let from = array.data_type();
    match (from, to) {
        _ if from == to => Ok(Arc::clone(array)),
        (Null, _) => Ok(new_null_array(to, array.len())),
        (Boolean, Utf8) => Ok(text::of_booleans(array, failed)),
        (Utf8, Boolean) => Ok(text::to_booleans(array, failed)),
        (Utf8, Binary) => Ok(text::to_bytes(array, failed)),
        (Binary, Utf8) => Ok(text::of_bytes(array, failed)),
        (Timestamp(..) | Date32, Timestamp(..) | Date32) => time::to_time(array, to, failed),
        (Timestamp(..) | Date32, Utf8) => time::to_text(array, failed),
        (Utf8, Timestamp(..) | Date32) => time::of_text(array, to, failed),
        (Duration(_), Duration(_)) => time::to_length(array, to, failed),
        (List(_), List(_)) => list(array, to, failed),
        (Utf8, _) if to.is_numeric() => text::to_numbers(array, to, failed),
        (_, Utf8) if from.is_numeric() => text::of_numbers(array, failed),
        (Boolean, _) if to.is_numeric() => number::of_booleans(array, to, failed),
        _ if from.is_numeric() && to.is_numeric() => number::to_number(array, to, failed),
        _ => Err(unknown(from, to)),
    }
}

fn unknown(from: &DataType, to: &DataType) -> EvaluateError {
    EvaluateError::Unknown(format!("a cast from {from} to {to}"))
}

fn list(array: &ArrayRef, to: &DataType, failed: &mut Failed) -> Result<ArrayRef, EvaluateError> {
    let DataType::List(item) = to else { return Err(unknown(array.data_type(), to)) };
    let lists: &ListArray = array.as_list();
    let mut unfit = Failed::default();
    let items = cast(lists.values(), item.data_type(), &mut unfit)?;
    let cast = ListArray::try_new(
        Arc::clone(item),
        lists.offsets().clone(),
        items,
        lists.nulls().cloned(),
    )?;
    if unfit.is_empty() {
        return Ok(Arc::new(cast));
    }
    let unfit: Vec<Failure> = unfit.in_order().iter().cloned().collect();
    let mut lists_unfit = Failed::default();
    for (row, bounds) in lists.offsets().windows(2).enumerate() {
        let [start, end] = [0, 1].map(|i: usize| usize::try_from(bounds[i]).unwrap_or(0));
        // Items of a list that is null, or outside the rows that this array shows, concern nobody.
        let first = unfit.get(unfit.partition_point(|failure| failure.row < start));
        if let Some(failure) = first.filter(|failure| failure.row < end)
            && lists.is_valid(row)
        {
            lists_unfit.add(row, failure.reason.clone());
        }
    }
    let cast = nullif(&cast, &lists_unfit.mask(cast.len()))?;
    failed.add_all(lists_unfit, |row| row);
    Ok(cast)
}

/// Does something with the type that keeps integers of a data type.
macro_rules! with_integer_type {
    ($data_type:expr, |$T:ident| $body:expr, else $other:expr) => {
        match $data_type {
            arrow_schema::DataType::Int8 => {
                type $T = arrow_array::types::Int8Type;
                $body
            }
            arrow_schema::DataType::Int16 => {
                type $T = arrow_array::types::Int16Type;
                $body
            }
            arrow_schema::DataType::Int32 => {
                type $T = arrow_array::types::Int32Type;
                $body
            }
            arrow_schema::DataType::Int64 => {
                type $T = arrow_array::types::Int64Type;
                $body
            }
            arrow_schema::DataType::UInt8 => {
                type $T = arrow_array::types::UInt8Type;
                $body
            }
            arrow_schema::DataType::UInt16 => {
                type $T = arrow_array::types::UInt16Type;
                $body
            }
            arrow_schema::DataType::UInt32 => {
                type $T = arrow_array::types::UInt32Type;
                $body
            }
            arrow_schema::DataType::UInt64 => {
                type $T = arrow_array::types::UInt64Type;
                $body
            }
            _ => $other,
        }
    };
}
pub(super) use with_integer_type;
