//! Random expressions over random batches: against a reading of them that looks at one row at a time,
//! and over parts of a batch.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Int8Array, Int64Array, RecordBatch};
use proptest::prelude::*;
use strandline_plan::expr::{BinaryOperator, Expr, UnaryOperator, col, lit, when};
use strandline_plan::expr::{call, coalesce};
use strandline_plan::literal::Literal;

use super::{batch, outcomes};
use crate::expr::Failed;
use crate::expr::arithmetic::{by_kernel, by_row};
use crate::expr::column::Column;
use crate::expr::operands::Operands;

/// A value of a row, or why it has none.
type Value = Result<Option<i64>, &'static str>;

const OVERFLOW: &str = "the result does not fit its type";

/// The row of the columns `a`, `b` (integers) and `p` (true or false).
#[derive(Clone, Debug)]
struct Row {
    a: Option<i64>,
    b: Option<i64>,
    p: Option<bool>,
}

/// What an expression means for one row, as simply as it can be said. True is 1.
fn meaning(expr: &Expr, row: &Row) -> Value {
    let of = |expr: &Expr| meaning(expr, row);
    Ok(match expr {
        Expr::Column(name) => match name.as_str() {
            "a" => row.a,
            "b" => row.b,
            _ => row.p.map(i64::from),
        },
        Expr::Literal(Literal::Integer(value)) => Some(*value),
        Expr::Literal(Literal::Boolean(value)) => Some(i64::from(*value)),
        Expr::Literal(_) => None,
        Expr::Unary(UnaryOperator::IsNull, value) => Some(i64::from(of(value)?.is_none())),
        Expr::Unary(UnaryOperator::IsNotNull, value) => Some(i64::from(of(value)?.is_some())),
        Expr::Unary(UnaryOperator::Not, value) => of(value)?.map(|value| 1 - value),
        Expr::Unary(UnaryOperator::Negate, value) => match of(value)? {
            Some(value) => Some(value.checked_neg().ok_or(OVERFLOW)?),
            None => None,
        },
        Expr::Binary(left, operator @ (BinaryOperator::And | BinaryOperator::Or), right) => {
            let deciding = i64::from(*operator == BinaryOperator::Or);
            match of(left)? {
                Some(value) if value == deciding => Some(value),
                left => match (left, of(right)?) {
                    (_, Some(value)) if value == deciding => Some(value),
                    (Some(_), right) => right,
                    (None, _) => None,
                },
            }
        }
        Expr::Binary(left, operator, right) => {
            let (left, right) = (of(left), of(right));
            let (Some(left), Some(right)) = (left?, right?) else { return Ok(None) };
            return binary(left, *operator, right).map(Some);
        }
        Expr::Case { branches, otherwise } => {
            for (condition, value) in branches {
                if of(condition)? == Some(1) {
                    return of(value);
                }
            }
            return otherwise.as_ref().map_or(Ok(None), |value| of(value));
        }
        Expr::Call(_, values) => {
            for value in values {
                if let Some(value) = of(value)? {
                    return Ok(Some(value));
                }
            }
            None
        }
        Expr::InList(value, list) => {
            let value = of(value)?;
            let list = list.iter().map(of).collect::<Result<Vec<_>, _>>()?;
            match value {
                Some(_) if list.contains(&value) => Some(1),
                Some(_) if !list.contains(&None) => Some(0),
                _ => None,
            }
        }
        other => unreachable!("not generated: {other}"),
    })
}

fn binary(left: i64, operator: BinaryOperator, right: i64) -> Result<i64, &'static str> {
    use BinaryOperator::{Add, Divide, Equal, Less, LessOrEqual, Modulo, Multiply, Subtract};
    match operator {
        Add => left.checked_add(right).ok_or(OVERFLOW),
        Subtract => left.checked_sub(right).ok_or(OVERFLOW),
        Multiply => left.checked_mul(right).ok_or(OVERFLOW),
        Divide | Modulo if right == 0 => Err("division by zero"),
        Divide => left.checked_div(right).ok_or(OVERFLOW),
        Modulo => Ok(left.wrapping_rem(right)),
        Equal => Ok(i64::from(left == right)),
        Less => Ok(i64::from(left < right)),
        LessOrEqual => Ok(i64::from(left <= right)),
        other => unreachable!("not generated: {other}"),
    }
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -3..4_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let maybe = || prop_oneof![4 => number().prop_map(Some), 1 => Just(None)];
    let row = (maybe(), maybe(), any::<Option<bool>>());
    proptest::collection::vec(row.prop_map(|(a, b, p)| Row { a, b, p }), 0..12)
}

fn column_batch(rows: &[Row]) -> RecordBatch {
    let a: Int64Array = rows.iter().map(|row| row.a).collect();
    let b: Int64Array = rows.iter().map(|row| row.b).collect();
    let p: BooleanArray = rows.iter().map(|row| row.p).collect();
    let columns: Vec<(&str, ArrayRef)> =
        vec![("a", Arc::new(a)), ("b", Arc::new(b)), ("p", Arc::new(p))];
    batch(columns, rows.len())
}

/// An integer and a condition, each made of smaller ones.
fn exprs() -> impl Strategy<Value = (Expr, Expr)> {
    let number = prop_oneof![
        3 => Just(col("a")),
        3 => Just(col("b")),
        2 => number().prop_map(lit),
        1 => Just(coalesce([Expr::Literal(Literal::Null), col("a")])),
    ];
    let condition = prop_oneof![Just(col("p")), any::<bool>().prop_map(lit)];
    (number, condition).prop_recursive(4, 24, 3, |inner| {
        let pair = (inner.clone(), inner.clone(), inner, 0..14_u8);
        pair.prop_map(|((x, p), (y, q), (z, _), choice)| {
            let number = match choice % 7 {
                0 => x.clone() + y.clone(),
                1 => x.clone() - y.clone(),
                2 => x.clone() * y.clone(),
                3 => x.clone() / y.clone(),
                4 => x.clone() % y.clone(),
                5 => when(p.clone(), x.clone()).when(q.clone(), y.clone()).otherwise(z.clone()),
                _ => call("coalesce", [x.clone(), y.clone()]),
            };
            let condition = match choice {
                0 => p.and(q),
                1 => p.or(q),
                2 => p.not(),
                3 => x.is_null(),
                4 => x.eq(y),
                5 => x.lt(y),
                6 => x.in_list([y, z]),
                7 => q.or(x.le(y)),
                8 => q.and(x.lt(z)),
                9 => (-x).is_not_null(),
                10 => when(p, q).or_null(),
                11 => (x / y).eq(z).and(p),
                12 => p.or((x % y).lt(z)),
                _ => q,
            };
            (number, condition)
        })
    })
}

fn said(value: Value, is_condition: bool) -> String {
    match value {
        Err(reason) => format!("failed: {reason}"),
        Ok(None) => "NULL".into(),
        Ok(Some(value)) if is_condition => (value == 1).to_string(),
        Ok(Some(value)) => value.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn columns_are_computed_as_rows_are_read((number, condition) in exprs(), rows in rows()) {
        let all = column_batch(&rows);
        for (expr, is_condition) in [(number, false), (condition, true)] {
            let expected: Vec<_> =
                rows.iter().map(|row| said(meaning(&expr, row), is_condition)).collect();
            prop_assert_eq!(outcomes(&expr, &all), expected, "{}", expr);
        }
    }

    #[test]
    fn a_part_of_a_batch_is_computed_as_in_the_whole(
        (number, condition) in exprs(), rows in rows(), cut in any::<prop::sample::Index>(),
    ) {
        let all = column_batch(&rows);
        let cut = cut.index(rows.len() + 1);
        for expr in [number, condition] {
            let whole = outcomes(&expr, &all);
            prop_assert_eq!(&outcomes(&expr, &all.slice(cut, rows.len() - cut)), &whole[cut..]);
            prop_assert_eq!(&outcomes(&expr, &all.slice(0, cut)), &whole[..cut]);
        }
    }

    #[test]
    fn kernels_and_single_rows_agree(
        pairs in proptest::collection::vec(any::<(Option<i8>, Option<i8>)>(), 0..20),
    ) {
        use BinaryOperator::{Add, Divide, Modulo, Multiply, Subtract};
        for operator in [Add, Subtract, Multiply, Divide, Modulo] {
            // Only what can be computed, or the kernel gives nothing to compare with.
            let able = |a: i8, b: i8| binary(a.into(), operator, b.into())
                .is_ok_and(|value| i8::try_from(value).is_ok());
            let pairs: Vec<_> = pairs.iter().copied()
                .filter(|(a, b)| a.zip(*b).is_none_or(|(a, b)| able(a, b))).collect();
            let column = |values: Int8Array| Column::Rows(Arc::new(values));
            let left = column(pairs.iter().map(|(a, _)| *a).collect());
            let right = column(pairs.iter().map(|(_, b)| *b).collect());
            let operands = Operands { left: &left, right: &right, rows: pairs.len() };
            let mut failed = Failed::default();
            let single = by_row(&operands, operator, &mut failed).unwrap();
            prop_assert!(failed.is_empty());
            let at_once = by_kernel(&operands, operator).unwrap();
            prop_assert_eq!(&at_once, &single);
            prop_assert_eq!(at_once.len(), pairs.len());
        }
    }
}
