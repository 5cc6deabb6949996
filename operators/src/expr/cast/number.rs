//! Numbers in other types of numbers.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_schema::DataType;

use super::{unknown, with_integer_type};
use crate::expr::EvaluateError;
use crate::expr::column::typed;
use crate::expr::decimal::{fits, parse, power_of_ten, rescale, write};
use crate::expr::failed::{Failed, Reason};
use crate::expr::rows::{primitives, some};

pub(super) const UNFIT: Reason = Reason::Borrowed("the number does not fit its type");

/// 0 and 1.
pub(super) fn of_booleans(
    array: &ArrayRef,
    to: &DataType,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError> {
    let values = array.as_boolean();
    let bits: PrimitiveArray<Int64Type> = values.iter().map(|bit| bit.map(i64::from)).collect();
    super::cast(&(Arc::new(bits) as ArrayRef), to, failed)
}

/// Numbers of one type in another.
pub(super) fn to_number(
    array: &ArrayRef,
    to: &DataType,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError> {
    let from = array.data_type();
    match from {
        DataType::Float32 => of_floats(array.as_primitive::<Float32Type>(), to, failed),
        DataType::Float64 => of_floats(array.as_primitive::<Float64Type>(), to, failed),
        DataType::Decimal128(_, scale) => {
            of_decimals(array.as_primitive::<Decimal128Type>(), *scale, to, failed)
        }
        _ => with_integer_type!(
            from,
            |F| of_integers(array.as_primitive::<F>(), to, failed, |value| value as f64),
            else Err(unknown(from, to))
        ),
    }
}

fn of_integers<F: ArrowPrimitiveType>(
    values: &PrimitiveArray<F>,
    to: &DataType,
    failed: &mut Failed,
    as_float: impl Fn(F::Native) -> f64,
) -> Result<ArrayRef, EvaluateError>
where
    F::Native: Into<i128>,
{
    Ok(match to {
        DataType::Float64 => Arc::new(values.unary::<_, Float64Type>(as_float)),
        // An integer of 64 bits would be rounded twice by way of the wider float.
        DataType::Float32 => Arc::new(values.unary::<_, Float32Type>(|value| {
            let exact: i128 = value.into();
            exact as f32
        })),
        DataType::Decimal128(digits, scale) => typed(
            each::<F, Decimal128Type>(values, failed, |value| {
                rescale(value.into(), 0, *scale).filter(|value| fits(*value, *digits))
            }),
            to,
        ),
        _ => with_integer_type!(
            to,
            |T| Arc::new(each::<F, T>(values, failed, |value| value.into().try_into().ok())),
            else return Err(unknown(&F::DATA_TYPE, to))
        ),
    })
}

/// A float of either width.
trait Float: Copy {
    fn wide(self) -> f64;
    /// The shortest decimal number that is read back as this float, such as `1e-7`.
    fn shortest(self) -> String;
}

impl Float for f32 {
    fn wide(self) -> f64 {
        self.into()
    }
    fn shortest(self) -> String {
        format!("{self:e}")
    }
}

impl Float for f64 {
    fn wide(self) -> f64 {
        self
    }
    fn shortest(self) -> String {
        format!("{self:e}")
    }
}

fn of_floats<F: ArrowPrimitiveType>(
    values: &PrimitiveArray<F>,
    to: &DataType,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError>
where
    F::Native: Float,
{
    Ok(match to {
        DataType::Float64 => Arc::new(values.unary::<_, Float64Type>(Float::wide)),
        DataType::Float32 => Arc::new(each::<F, Float32Type>(values, failed, |value| {
            let narrow = value.wide() as f32;
            (narrow.is_finite() || !value.wide().is_finite()).then_some(narrow)
        })),
        DataType::Decimal128(digits, scale) => typed(
            each::<F, Decimal128Type>(values, failed, |value| {
                parse(&value.shortest(), *digits, *scale)
            }),
            to,
        ),
        _ => with_integer_type!(
            to,
            |T| Arc::new(each::<F, T>(values, failed, |value| {
                let rounded = value.wide().round();
                // Beyond its range the cast to i128 saturates, and does not fit either.
                rounded.is_finite().then_some(rounded as i128)?.try_into().ok()
            })),
            else return Err(unknown(&F::DATA_TYPE, to))
        ),
    })
}

fn of_decimals(
    values: &PrimitiveArray<Decimal128Type>,
    from_scale: i8,
    to: &DataType,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError> {
    Ok(match to {
        DataType::Float64 => {
            Arc::new(values.unary::<_, Float64Type>(|value| as_float(value, from_scale)))
        }
        DataType::Float32 => Arc::new(values.unary::<_, Float32Type>(|value| {
            written(value, from_scale).parse().unwrap_or(f32::NAN)
        })),
        DataType::Decimal128(digits, scale) => typed(
            each::<_, Decimal128Type>(values, failed, |value| {
                rescale(value, from_scale, *scale).filter(|value| fits(*value, *digits))
            }),
            to,
        ),
        _ => with_integer_type!(
            to,
            |T| Arc::new(each::<_, T>(values, failed, |value| {
                rescale(value, from_scale, 0)?.try_into().ok()
            })),
            else return Err(unknown(values.data_type(), to))
        ),
    })
}

/// The float that is nearest to a decimal.
fn as_float(value: i128, scale: i8) -> f64 {
    // Both are exact up to here, and so the quotient is rounded once.
    const EXACT: u128 = 1 << f64::MANTISSA_DIGITS;
    match power_of_ten(u32::from(scale.unsigned_abs())) {
        Some(power) if value.unsigned_abs() <= EXACT && scale <= 22 => value as f64 / power as f64,
        _ => written(value, scale).parse().unwrap_or(f64::NAN),
    }
}

fn written(value: i128, scale: i8) -> String {
    let mut text = String::new();
    write(value, scale, &mut text);
    text
}

/// Each value by itself: at once if all of them fit, and otherwise again with a look at each.
fn each<F: ArrowPrimitiveType, T: ArrowPrimitiveType>(
    values: &PrimitiveArray<F>,
    failed: &mut Failed,
    to: impl Fn(F::Native) -> Option<T::Native>,
) -> PrimitiveArray<T> {
    values.try_unary(|value| to(value).ok_or(())).unwrap_or_else(|()| {
        primitives(values.len(), failed, |row| {
            let value = some!(values.is_valid(row).then(|| values.value(row)));
            to(value).map(Some).ok_or(UNFIT)
        })
    })
}
