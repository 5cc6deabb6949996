//! Functions of numbers. Those of floats are IEEE 754's: the root of -1 is NaN, no failure.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array};
use arrow_schema::DataType;

use super::Compute::Plain;
use super::round::{self, Rounding};
use super::{Call, Computed, Entry};
use crate::expr::EvaluateError;
use crate::expr::cast::with_integer_type;
use crate::expr::column::typed;
use crate::expr::decimal::{fits, power_of_ten};
use crate::expr::failed::OVERFLOW;
use crate::expr::rows::{primitives, some};

pub(super) const FUNCTIONS: &[Entry] = &[
    ("abs", Plain(abs)),
    ("sign", Plain(sign)),
    ("floor", Plain(|call| round::to(call, Rounding::Down))),
    ("ceil", Plain(|call| round::to(call, Rounding::Up))),
    ("round", Plain(|call| round::to(call, Rounding::Nearest))),
    ("trunc", Plain(|call| round::to(call, Rounding::Cut))),
    ("sqrt", Plain(|call| of_float(call, f64::sqrt))),
    ("cbrt", Plain(|call| of_float(call, f64::cbrt))),
    ("exp", Plain(|call| of_float(call, f64::exp))),
    ("ln", Plain(|call| of_float(call, f64::ln))),
    ("log10", Plain(|call| of_float(call, f64::log10))),
    ("log2", Plain(|call| of_float(call, f64::log2))),
    ("sin", Plain(|call| of_float(call, f64::sin))),
    ("cos", Plain(|call| of_float(call, f64::cos))),
    ("tan", Plain(|call| of_float(call, f64::tan))),
    ("asin", Plain(|call| of_float(call, f64::asin))),
    ("acos", Plain(|call| of_float(call, f64::acos))),
    ("atan", Plain(|call| of_float(call, f64::atan))),
    ("degrees", Plain(|call| of_float(call, f64::to_degrees))),
    ("radians", Plain(|call| of_float(call, f64::to_radians))),
    ("atan2", Plain(|call| of_floats(call, f64::atan2))),
    ("power", Plain(|call| of_floats(call, f64::powf))),
    ("log", Plain(|call| of_floats(call, log))),
    ("is_nan", Plain(is_nan)),
];

fn of_float(call: &Call<'_>, of: impl Fn(f64) -> f64) -> Computed {
    let values = call.arguments[0].array().as_primitive::<Float64Type>();
    let result: Float64Array = values.unary(of);
    Ok(Arc::new(result))
}

fn of_floats(call: &mut Call<'_>, of: impl Fn(f64, f64) -> f64) -> Computed {
    let (a, b) = (call.arguments[0].floats(), call.arguments[1].floats());
    Ok(Arc::new(primitives::<Float64Type>(call.rows, call.failed, |row| {
        Ok(Some(of(some!(a.get(row)), some!(b.get(row)))))
    })))
}

/// Exact where the usual bases have a function of their own.
fn log(base: f64, value: f64) -> f64 {
    if base == 2.0 {
        value.log2()
    } else if base == 10.0 {
        value.log10()
    } else {
        value.log(base)
    }
}

fn is_nan(call: &mut Call<'_>) -> Computed {
    let values = call.arguments[0].array().as_primitive::<Float64Type>();
    Ok(Arc::new(BooleanArray::from_unary(values, f64::is_nan)))
}

fn abs(call: &mut Call<'_>) -> Computed {
    each(
        call,
        |value| value.checked_abs().ok_or(OVERFLOW),
        f64::abs,
        |value, _| value.checked_abs().ok_or(OVERFLOW),
    )
}

fn sign(call: &mut Call<'_>) -> Computed {
    each(
        call,
        |value| Ok(value.signum()),
        |value| if value == 0.0 || value.is_nan() { value } else { value.signum() },
        |value, scale| {
            let one = power_of_ten(u32::from(scale.unsigned_abs()));
            one.map(|one| one * value.signum()).ok_or(OVERFLOW)
        },
    )
}

type Fallible = Result<i128, crate::expr::failed::Reason>;

/// A number for each number, of its type.
pub(super) fn each(
    call: &mut Call<'_>,
    integer: impl Fn(i128) -> Fallible,
    float: impl Fn(f64) -> f64,
    decimal: impl Fn(i128, i8) -> Fallible,
) -> Computed {
    let argument = &call.arguments[0];
    let array = argument.array();
    Ok(match (array.data_type(), call.result) {
        (DataType::Float64, _) => {
            Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(float)) as ArrayRef
        }
        (DataType::Float32, _) => {
            let narrow = |value: f32| float(value.into()) as f32;
            Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(narrow))
        }
        (DataType::Decimal128(_, scale), DataType::Decimal128(digits, _)) => {
            let values = argument.decimals();
            let column = primitives::<Decimal128Type>(call.rows, call.failed, |row| {
                let value = decimal(some!(values.get(row)), *scale)?;
                fits(value, *digits).then_some(Some(value)).ok_or(OVERFLOW)
            });
            typed(column, call.result)
        }
        (other, _) => with_integer_type!(
            other,
            |T| {
                let values = argument.primitive::<T>();
                Arc::new(primitives::<T>(call.rows, call.failed, |row| {
                    let value = integer(some!(values.get(row)).into())?;
                    <T as ArrowPrimitiveType>::Native::try_from(value).map(Some).map_err(|_| OVERFLOW)
                }))
            },
            else return Err(EvaluateError::Unknown(format!("a function of {other}")))
        ),
    })
}
