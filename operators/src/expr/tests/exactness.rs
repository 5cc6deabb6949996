//! Random values: decimals against integers without bounds, text against characters one by one, casts
//! there and back.

use std::sync::Arc;

use arrow_array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use num_bigint::{BigInt, Sign};
use proptest::prelude::*;
use strandline_plan::expr::{BinaryOperator, Expr, call, col, lit};
use strandline_plan::types::timestamp;

use super::{batch, outcomes, over};

fn ten(exponent: i32) -> BigInt {
    BigInt::from(10).pow(exponent.unsigned_abs())
}

/// Rounded to the nearest, halves away from zero.
fn rounded(value: &BigInt, divisor: &BigInt) -> BigInt {
    let negative = (value.sign() == Sign::Minus) != (divisor.sign() == Sign::Minus);
    let (value, divisor) = (value.magnitude().clone(), divisor.magnitude().clone());
    let quotient: BigInt = ((value * 2_u8 + &divisor) / (divisor * 2_u8)).into();
    if negative { -quotient } else { quotient }
}

/// The unscaled value of `a operator b` at a scale.
fn exact(
    (a, a_scale): (i128, i32),
    operator: BinaryOperator,
    (b, b_scale): (i128, i32),
    scale: i32,
) -> Option<BigInt> {
    let (a, b) = (BigInt::from(a), BigInt::from(b));
    // Both at the finer scale.
    let finer = a_scale.max(b_scale);
    let (fine_a, fine_b) = (&a * ten(finer - a_scale), &b * ten(finer - b_scale));
    let (value, value_scale) = match operator {
        BinaryOperator::Add => (fine_a + fine_b, finer),
        BinaryOperator::Subtract => (fine_a - fine_b, finer),
        BinaryOperator::Multiply => (a * b, a_scale + b_scale),
        _ if b == BigInt::ZERO => return None,
        BinaryOperator::Divide => return Some(rounded(&(fine_a * ten(scale)), &fine_b)),
        _ => (fine_a % fine_b, finer),
    };
    assert!(scale >= value_scale, "nothing but a quotient is rounded");
    Some(value * ten(scale - value_scale))
}

fn decimal_column(values: &[i128], (digits, scale): (u8, i8)) -> ArrayRef {
    let values = Decimal128Array::from(values.to_vec());
    Arc::new(values.with_precision_and_scale(digits, scale).unwrap())
}

/// A type of decimals, and some of its values: of all lengths, not just long ones.
fn decimals() -> impl Strategy<Value = ((u8, i8), Vec<i128>)> {
    let of = |(digits, scale): (u8, u8)| {
        let values = proptest::collection::vec((any::<i128>(), 0..=digits), 8);
        let cut = move |(value, digits): (i128, u8)| value % 10_i128.pow(u32::from(digits));
        let values = values.prop_map(move |values| values.into_iter().map(cut).collect());
        (Just((digits, i8::try_from(scale.min(digits)).unwrap())), values)
    };
    (1..=38_u8, 0..=38_u8).prop_flat_map(of)
}

fn is_long(value: &BigInt, digits: u8) -> bool {
    value.magnitude() >= ten(i32::from(digits)).magnitude()
}

fn one(expr: &Expr, rows: &RecordBatch) -> String {
    outcomes(expr, rows).remove(0)
}

proptest! {
    #[test]
    fn decimals_are_what_integers_without_bounds_say((a_type, a) in decimals(), (b_type, b) in decimals()) {
        use BinaryOperator::{Add, Divide, Modulo, Multiply, Subtract};
        let columns = vec![("a", decimal_column(&a, a_type)), ("b", decimal_column(&b, b_type))];
        let rows = batch(columns, a.len());
        for operator in [Add, Subtract, Multiply, Divide, Modulo] {
            let expr = Expr::Binary(Box::new(col("a")), operator, Box::new(col("b")));
            // Some products have more digits behind the point than there can be.
            let Ok(bound) = expr.bind(&rows.schema()) else { continue };
            let DataType::Decimal128(digits, scale) = bound.data_type else { unreachable!() };
            let found = outcomes(&expr, &rows);
            for (row, (a, b)) in a.iter().zip(&b).enumerate() {
                let scaled = |value: i128, of: (u8, i8)| (value, i32::from(of.1));
                let exact =
                    exact(scaled(*a, a_type), operator, scaled(*b, b_type), i32::from(scale));
                let expected = match exact {
                    None => "failed: division by zero".to_owned(),
                    Some(value) if is_long(&value, digits) => {
                        "failed: the result does not fit its type".into()
                    }
                    Some(value) => {
                        let mut text = String::new();
                        crate::expr::decimal::write(value.try_into().unwrap(), scale, &mut text);
                        text
                    }
                };
                prop_assert_eq!(&found[row], &expected, "{} {} {}", a, operator, b);
            }
        }
    }

    #[test]
    fn a_decimal_is_cast_as_its_text_is_read(
        (of, values) in decimals(), (digits, scale) in (1..=38_u8, 0..=38_u8),
    ) {
        let to = DataType::Decimal128(digits, i8::try_from(scale.min(digits)).unwrap());
        let rows = batch(vec![("a", decimal_column(&values, of))], values.len());
        let by_text = col("a").cast(DataType::Utf8).try_cast(to.clone());
        prop_assert_eq!(outcomes(&col("a").try_cast(to), &rows), outcomes(&by_text, &rows));
        let float = col("a").cast(DataType::Float64);
        let by_text = col("a").cast(DataType::Utf8).cast(DataType::Float64);
        prop_assert_eq!(outcomes(&float, &rows), outcomes(&by_text, &rows));
    }

    #[test]
    fn what_is_written_is_read_back(float in any::<f64>(), integer in any::<i64>()) {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![float]));
        let integers: ArrayRef = Arc::new(Int64Array::from(vec![integer]));
        let rows = batch(vec![("float", floats), ("integer", integers)], 1);
        let there_and_back = |value: Expr, of: DataType| value.cast(DataType::Utf8).cast(of);
        let back = over(&there_and_back(col("float"), DataType::Float64), &rows);
        prop_assert_eq!(back.column.as_ref(), rows.column(0).as_ref());
        let back = over(&there_and_back(col("integer"), DataType::Int64), &rows);
        prop_assert_eq!(back.column.as_ref(), rows.column(1).as_ref());
    }

    /// The years from 1 to 9999, which have four digits.
    #[test]
    fn times_are_read_back(millis in -62_135_596_800_000..253_402_300_800_000_i64) {
        let millis: ArrayRef = Arc::new(Int64Array::from(vec![millis]));
        let rows = batch(vec![("millis", millis)], 1);
        let time = call("to_timestamp_millis", [col("millis")]);
        let of_text = time.clone().cast(DataType::Utf8).cast(timestamp(TimeUnit::Millisecond));
        prop_assert_eq!(one(&of_text.eq(time.clone()), &rows), "true");
        let parsed = call("parse_timestamp", [call("format_timestamp", [time.clone()])]);
        prop_assert_eq!(one(&parsed.eq(time.clone()), &rows), "true");
        prop_assert_eq!(one(&call("epoch_millis", [time.clone()]).eq(col("millis")), &rows), "true");
        // What is cut to a unit is not later, and nothing is left to cut.
        for unit in strandline_plan::expr::function::UNITS {
            let cut = |time: Expr| call("date_trunc", [lit(unit), time]);
            let not_later = cut(time.clone()).le(time.clone());
            let same = cut(cut(time.clone())).eq(cut(time.clone()));
            prop_assert_eq!(one(&not_later.and(same), &rows), "true", "{}", unit);
        }
    }

    #[test]
    fn texts_are_cut_by_characters(text in "[aéß→🙂 ]{0,6}", n in -8..9_i64, m in 0..9_i64) {
        let characters: Vec<char> = text.chars().collect();
        let count = i64::try_from(characters.len()).unwrap();
        let between = |from: i64, to: i64| -> String {
            let at = |position: &i64| usize::try_from(*position).unwrap();
            (from.max(0)..to.min(count)).map(|position| characters[at(&position)]).collect()
        };
        let of = |name: &str, more: Vec<Expr>| {
            let arguments = std::iter::once(lit(text.as_str())).chain(more);
            one(&call(name, arguments), &batch(vec![], 1))
        };
        prop_assert_eq!(of("substring", vec![lit(n), lit(m)]), between(n - 1, n - 1 + m));
        prop_assert_eq!(of("substring", vec![lit(n)]), between(n - 1, count));
        prop_assert_eq!(of("left", vec![lit(n)]), between(0, if n < 0 { count + n } else { n }));
        prop_assert_eq!(of("right", vec![lit(n)]), between(if n < 0 { -n } else { count - n }, count));
        let filled = "·".repeat(usize::try_from((n - count).max(0)).unwrap());
        prop_assert_eq!(of("lpad", vec![lit(n), lit("·")]), filled.clone() + &between(0, n));
        prop_assert_eq!(of("rpad", vec![lit(n), lit("·")]), between(0, n) + &filled);
        let parts: Vec<&str> = text.split('é').collect();
        let index = if n > 0 { n - 1 } else { i64::try_from(parts.len()).unwrap() + n };
        let part = usize::try_from(index).ok().and_then(|index| parts.get(index)).copied();
        if n != 0 {
            prop_assert_eq!(of("split_part", vec![lit("é"), lit(n)]), part.unwrap_or_default());
        }
    }
}
