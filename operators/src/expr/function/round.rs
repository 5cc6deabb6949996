//! floor, ceil, round and trunc of all kinds of numbers.

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::types::{ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type};
use arrow_schema::DataType;

use super::{Call, Computed};
use crate::expr::EvaluateError;
use crate::expr::cast::with_integer_type;
use crate::expr::column::{Column, typed};
use crate::expr::decimal::{divide_rounded, fits, power_of_ten};
use crate::expr::failed::OVERFLOW;
use crate::expr::rows::{primitives, some};

/// Which number is taken of the two that are nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    Down,
    Up,
    /// The nearer one, and of a half the one that is farther from zero.
    Nearest,
    /// The one that is nearer to zero.
    Cut,
}

/// To a whole number, or to the digits behind the point that the second argument says. Negative ones
/// are in front of the point.
pub(super) fn to(call: &mut Call<'_>, rounding: Rounding) -> Computed {
    let argument = &call.arguments[0];
    let places = call.arguments.get(1).map(Column::integers);
    let places = |row| match &places {
        Some(places) => places.get(row),
        None => Some(0),
    };
    let rows = call.rows;
    Ok(match (argument.array().data_type(), call.result) {
        (DataType::Float64, _) => {
            let values = argument.floats();
            Arc::new(primitives::<Float64Type>(rows, call.failed, |row| {
                Ok(Some(float(some!(values.get(row)), some!(places(row)), rounding)))
            }))
        }
        (DataType::Float32, _) => {
            let values = argument.primitive::<Float32Type>();
            Arc::new(primitives::<Float32Type>(rows, call.failed, |row| {
                let value = f64::from(some!(values.get(row)));
                Ok(Some(float(value, some!(places(row)), rounding) as f32))
            }))
        }
        (DataType::Decimal128(_, scale), DataType::Decimal128(digits, _)) => {
            let values = argument.decimals();
            let column = primitives::<Decimal128Type>(rows, call.failed, |row| {
                let (value, places) = (some!(values.get(row)), some!(places(row)));
                let value = integer(value, i64::from(*scale).saturating_sub(places), rounding);
                value.filter(|value| fits(*value, *digits)).map(Some).ok_or(OVERFLOW)
            });
            typed(column, call.result)
        }
        (other, _) => with_integer_type!(
            other,
            |T| {
                let values = argument.primitive::<T>();
                Arc::new(primitives::<T>(rows, call.failed, |row| {
                    let (value, places) = (some!(values.get(row)), some!(places(row)));
                    let value = integer(value.into(), places.saturating_neg(), rounding);
                    let value = value.map(<T as ArrowPrimitiveType>::Native::try_from);
                    value.and_then(Result::ok).map(Some).ok_or(OVERFLOW)
                }))
            },
            else return Err(EvaluateError::Unknown(format!("the rounding of {other}")))
        ),
    })
}

/// With so many zeros at its end; None where that does not fit.
fn integer(value: i128, zeros: i64, rounding: Rounding) -> Option<i128> {
    if zeros <= 0 {
        return Some(value);
    }
    let Some(unit) = u32::try_from(zeros).ok().and_then(power_of_ten) else {
        // All that there is lies between zero and this unit, and far from its half.
        let away = match rounding {
            Rounding::Down => value < 0,
            Rounding::Up => value > 0,
            Rounding::Nearest | Rounding::Cut => false,
        };
        return (!away).then_some(0);
    };
    let quotient = match rounding {
        Rounding::Down => value.div_euclid(unit),
        Rounding::Up => -(value.checked_neg()?.div_euclid(unit)),
        Rounding::Nearest => divide_rounded(value, unit)?,
        Rounding::Cut => value / unit,
    };
    quotient.checked_mul(unit)
}

fn float(value: f64, places: i64, rounding: Rounding) -> f64 {
    let whole = |value: f64| match rounding {
        Rounding::Down => value.floor(),
        Rounding::Up => value.ceil(),
        Rounding::Nearest => value.round(),
        Rounding::Cut => value.trunc(),
    };
    if places == 0 || !value.is_finite() {
        return whole(value);
    }
    // No float has more digits behind its point than 1074, nor more before it than 309.
    let places = i32::try_from(places.clamp(-400, 1100)).unwrap_or(0);
    if places < 0 {
        let unit = 10_f64.powi(-places);
        return if unit.is_finite() { whole(value / unit) * unit } else { value * 0.0 };
    }
    let scaled = value * 10_f64.powi(places);
    // A number that cannot be moved so far is too coarse to have such digits.
    if scaled.is_finite() { whole(scaled) / 10_f64.powi(places) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_rounded_in_front_of_the_point() {
        assert_eq!(integer(1250, 2, Rounding::Nearest), Some(1300));
        assert_eq!(integer(-1250, 2, Rounding::Nearest), Some(-1300));
        assert_eq!(integer(-1299, 2, Rounding::Cut), Some(-1200));
        assert_eq!(integer(-1201, 2, Rounding::Down), Some(-1300));
        assert_eq!(integer(-1299, 2, Rounding::Up), Some(-1200));
        assert_eq!(integer(1201, 2, Rounding::Up), Some(1300));
        for rounding in [Rounding::Up, Rounding::Down, Rounding::Nearest, Rounding::Cut] {
            assert_eq!(integer(-1200, 2, rounding), Some(-1200));
        }
        assert_eq!(integer(7, i64::MAX, Rounding::Nearest), Some(0));
        assert_eq!(integer(7, i64::MAX, Rounding::Up), None);
        assert_eq!(integer(7, i64::MIN, Rounding::Up), Some(7));
    }

    #[test]
    fn floats_keep_what_they_cannot_lose() {
        assert_eq!(float(2.5, 0, Rounding::Nearest), 3.0);
        assert_eq!(float(-2.5, 0, Rounding::Nearest), -3.0);
        assert_eq!(float(1.255, 1, Rounding::Nearest), 1.3);
        assert_eq!(float(1234.0, -2, Rounding::Nearest), 1200.0);
        assert_eq!(float(1e300, 200, Rounding::Nearest), 1e300);
        assert_eq!(float(1e-320, 1100, Rounding::Nearest), 1e-320);
        assert_eq!(float(1e300, -400, Rounding::Nearest), 0.0);
        assert!(float(f64::NAN, 2, Rounding::Cut).is_nan());
        assert_eq!(float(f64::INFINITY, -2, Rounding::Up), f64::INFINITY);
    }
}
