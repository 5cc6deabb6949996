//! Text to values and back, but for times.

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_schema::DataType;

use super::number::UNFIT;
use super::{unknown, with_integer_type};
use crate::expr::EvaluateError;
use crate::expr::column::{Column, typed};
use crate::expr::decimal;
use crate::expr::failed::{Failed, Reason};
use crate::expr::rows::{Row, booleans, bytes, primitives, some, texts};

const NO_NUMBER: Reason = Reason::Borrowed("the text is no number");

pub(super) fn of_booleans(array: &ArrayRef, failed: &mut Failed) -> ArrayRef {
    let column = Column::Rows(Arc::clone(array));
    let values = column.booleans();
    texts(array.len(), failed, |row| {
        Ok(values.get(row).map(|value| if value { "true" } else { "false" }))
    })
}

pub(super) fn to_booleans(array: &ArrayRef, failed: &mut Failed) -> ArrayRef {
    let column = Column::Rows(Arc::clone(array));
    let values = column.texts();
    Arc::new(booleans(array.len(), failed, |row| {
        let text = some!(values.get(row)).trim();
        let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        if is(&["true", "t", "yes", "y", "on", "1"]) {
            Ok(Some(true))
        } else if is(&["false", "f", "no", "n", "off", "0"]) {
            Ok(Some(false))
        } else {
            Err("the text is neither true nor false".into())
        }
    }))
}

pub(super) fn to_bytes(array: &ArrayRef, failed: &mut Failed) -> ArrayRef {
    let column = Column::Rows(Arc::clone(array));
    let values = column.texts();
    bytes(array.len(), failed, |row| Ok(values.get(row)))
}

pub(super) fn of_bytes(array: &ArrayRef, failed: &mut Failed) -> ArrayRef {
    let column = Column::Rows(Arc::clone(array));
    let values = column.bytes();
    texts(array.len(), failed, |row| {
        std::str::from_utf8(some!(values.get(row)))
            .map(Some)
            .map_err(|_| "the bytes are no text in UTF-8".into())
    })
}

pub(super) fn to_numbers(
    array: &ArrayRef,
    to: &DataType,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError> {
    Ok(match to {
        DataType::Float64 => Arc::new(parsed::<Float64Type>(array, failed, |text| {
            let value = text.parse::<f64>().map_err(|_| NO_NUMBER)?;
            if value.is_infinite() && names_no_infinity(text) { Err(UNFIT) } else { Ok(value) }
        })),
        DataType::Float32 => Arc::new(parsed::<Float32Type>(array, failed, |text| {
            let value = text.parse::<f32>().map_err(|_| NO_NUMBER)?;
            if value.is_infinite() && names_no_infinity(text) { Err(UNFIT) } else { Ok(value) }
        })),
        DataType::Decimal128(digits, scale) => typed(
            parsed::<Decimal128Type>(array, failed, |text| {
                decimal::parse(text, *digits, *scale)
                    .ok_or("the text is no number, or does not fit".into())
            }),
            to,
        ),
        _ => with_integer_type!(
            to,
            |T| Arc::new(parsed::<T>(array, failed, |text| {
                use std::num::IntErrorKind::{NegOverflow, PosOverflow};
                let value = text.parse::<<T as ArrowPrimitiveType>::Native>();
                value.map_err(|error| match error.kind() {
                    PosOverflow | NegOverflow => UNFIT,
                    _ => NO_NUMBER,
                })
            })),
            else return Err(unknown(array.data_type(), to))
        ),
    })
}

/// Whether a text has digits, so that what was read as infinity was only too large.
fn names_no_infinity(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

fn parsed<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    failed: &mut Failed,
    read: impl Fn(&str) -> Result<T::Native, Reason>,
) -> PrimitiveArray<T> {
    let column = Column::Rows(Arc::clone(array));
    let values = column.texts();
    primitives(array.len(), failed, |row| read(some!(values.get(row)).trim()).map(Some))
}

pub(super) fn of_numbers(array: &ArrayRef, failed: &mut Failed) -> Result<ArrayRef, EvaluateError> {
    let from = array.data_type();
    Ok(match from {
        DataType::Float32 => written(array.as_primitive::<Float32Type>(), failed, |value, text| {
            let _ = write!(text, "{value:?}");
        }),
        DataType::Float64 => written(array.as_primitive::<Float64Type>(), failed, |value, text| {
            let _ = write!(text, "{value:?}");
        }),
        DataType::Decimal128(_, scale) => {
            written(array.as_primitive::<Decimal128Type>(), failed, |value, text| {
                decimal::write(value, *scale, text);
            })
        }
        _ => with_integer_type!(
            from,
            |F| written(array.as_primitive::<F>(), failed, |value, text| {
                let _ = write!(text, "{value}");
            }),
            else return Err(unknown(from, &DataType::Utf8))
        ),
    })
}

/// A text for each value. Writing to a text cannot fail.
fn written<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    failed: &mut Failed,
    write: impl Fn(T::Native, &mut String),
) -> ArrayRef {
    texts(values.len(), failed, |row| -> Row<String> {
        let value = some!(values.is_valid(row).then(|| values.value(row)));
        let mut text = String::new();
        write(value, &mut text);
        Ok(Some(text))
    })
}
