//! Aggregates of values, whatever the order of rows.

use std::collections::{BTreeSet, HashSet};

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{
    Decimal128Array, DurationMillisecondArray, Float32Array, Float64Array, Int8Array, Int64Array,
    StringArray, TimestampMillisecondArray, UInt64Array,
};
use num_bigint::BigInt;
use strandline_plan::aggregate::{
    approximate_distinct, approximate_quantile, avg, bool_and, bool_or, count, count_distinct,
    count_of, max, min, stddev_pop, stddev_samp, sum, top, var_pop, var_samp,
};

use super::*;

fn x() -> strandline_plan::expr::Expr {
    col("x")
}

fn integers() -> impl Strategy<Value = Vec<Option<i64>>> {
    let number = prop_oneof![-20_i64..20, any::<i64>()];
    prop::collection::vec(prop::option::weighted(0.9, number), 0..64)
}

fn floats() -> impl Strategy<Value = Vec<Option<f64>>> {
    let number = prop_oneof![
        4 => (-1000_i32..1000).prop_map(|n| f64::from(n) / 8.0),
        3 => prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
        1 => Just(f64::NAN), 1 => Just(-f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(-0.0),
    ];
    prop::collection::vec(prop::option::weighted(0.9, number), 0..64)
}

fn masks() -> impl Strategy<Value = Vec<Option<bool>>> {
    prop::collection::vec(prop::option::weighted(0.9, prop::bool::weighted(0.8)), 64)
}

fn int(of: &ArrayRef) -> Option<i64> {
    let of = of.as_primitive::<Int64Type>();
    of.is_valid(0).then(|| of.value(0))
}

fn float(of: &ArrayRef) -> Option<f64> {
    let of = of.as_primitive::<Float64Type>();
    of.is_valid(0).then(|| of.value(0))
}

proptest! {
    #[test]
    fn integers_are_added_up_exactly(values in integers(), mask in masks(), course in courses()) {
        let x: ArrayRef = Arc::new(Int64Array::from(values.clone()));
        let p = BooleanArray::from(mask[..values.len()].to_vec());
        let given = contributing(&x, &p);
        let given = given.as_primitive::<Int64Type>().values();
        let run = |of: Aggregate| course.run(&of.filter(col("p")), &x, Some(&p));
        let total: i128 = given.iter().map(|value| i128::from(*value)).sum();
        let (sums, unfit) = run(sum(self::x()));
        prop_assert_eq!(unfit, i64::try_from(total).is_err());
        let wanted = i64::try_from(total).ok().filter(|_| !given.is_empty());
        prop_assert_eq!(int(&sums), wanted);
        prop_assert_eq!(int(&run(count_of(self::x())).0), Some(given.len() as i64));
        let passing = p.iter().flatten().filter(|p| *p).count();
        prop_assert_eq!(int(&run(count()).0), Some(passing as i64));
        prop_assert_eq!(int(&run(min(self::x())).0), given.iter().min().copied());
        prop_assert_eq!(int(&run(max(self::x())).0), given.iter().max().copied());
        let distinct = given.iter().collect::<HashSet<_>>().len() as i64;
        prop_assert_eq!(int(&run(count_distinct(self::x())).0), Some(distinct));
        // Of a few values, two may share a register.
        let about = int(&run(approximate_distinct(self::x())).0).unwrap();
        prop_assert!((about - distinct).abs() <= 2);
        let mut greatest = given.to_vec();
        greatest.sort_unstable_by(|a, b| b.cmp(a));
        greatest.truncate(5);
        let tops = run(top(5, self::x())).0;
        let tops = tops.as_list::<i32>();
        prop_assert_eq!(tops.is_null(0), greatest.is_empty());
        let tops = tops.value(0);
        prop_assert_eq!(tops.as_primitive::<Int64Type>().values(), &greatest[..]);
        // The average of what fits in a float is the nearest float.
        if total.unsigned_abs() < 1 << 53 && !given.is_empty() {
            let mean = total as f64 / given.len() as f64;
            prop_assert_eq!(float(&run(avg(self::x())).0), Some(mean));
        }
    }

    /// Whole numbers below 2^10: both parts of the fraction are floats, so one division rounds it.
    #[test]
    fn a_variance_is_the_nearest_float(
        values in prop::collection::vec(-1000_i64..1000, 0..64),
        shift in prop_oneof![Just(0_i64), Just(1 << 40), -1_000_000_i64..1_000_000],
        course in courses(),
    ) {
        let n = values.len() as i128;
        let total: i128 = values.iter().map(|v| i128::from(*v)).sum();
        let squares: i128 = values.iter().map(|v| i128::from(*v) * i128::from(*v)).sum();
        let above = (n * squares - total * total) as f64;
        let wanted = |below: i128| (below > 0).then(|| above / below as f64);
        // A variance does not change when all values are moved.
        let moved = values.iter().map(|value| value + shift);
        let as_integers: ArrayRef = Arc::new(Int64Array::from_iter_values(moved.clone()));
        let as_floats: ArrayRef = Arc::new(Float64Array::from_iter_values(moved.clone().map(|v| v as f64)));
        let decimals = Decimal128Array::from_iter_values(moved.map(|v| i128::from(v) * 100));
        let as_decimals: ArrayRef = Arc::new(decimals.with_precision_and_scale(38, 2).unwrap());
        for column in [as_integers, as_floats, as_decimals] {
            let of = |aggregate: Aggregate| float(&course.run(&aggregate, &column, None).0);
            prop_assert_eq!(of(var_pop(x())), wanted(n * n));
            prop_assert_eq!(of(var_samp(x())), wanted(n * (n - 1)));
            let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() <= b * 1e-15,
                (a, b) => a == b,
            };
            prop_assert!(close(of(stddev_pop(x())), wanted(n * n).map(f64::sqrt)));
            prop_assert!(close(of(stddev_samp(x())), wanted(n * (n - 1)).map(f64::sqrt)));
        }
    }

    #[test]
    fn floats_do_not_depend_on_the_course(values in floats(), course in courses()) {
        let column: ArrayRef = Arc::new(Float64Array::from(values.clone()));
        let all = [
            sum(x()), avg(x()), min(x()), max(x()), var_pop(x()), stddev_samp(x()),
            approximate_quantile(0.5, x()), top(3, x()), count_distinct(x()),
        ];
        for aggregate in all {
            let (one, unfit) = course.run(&aggregate, &column, None);
            let (other, other_unfit) = Course::straight().run(&aggregate, &column, None);
            prop_assert_eq!(unfit, other_unfit);
            prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
        }
        let given: Vec<f64> = values.into_iter().flatten().collect();
        let rank = |value: &f64| if value.is_nan() { f64::NAN } else { *value };
        let least = given.iter().map(rank).min_by(f64::total_cmp);
        let found = float(&course.run(&min(x()), &column, None).0);
        prop_assert_eq!(found.map(f64::to_bits), least.map(f64::to_bits));
        if given.iter().all(|value| value.is_finite()) {
            // In units of the least float, as integers.
            let big = |value: f64| {
                let bits = value.abs().to_bits();
                let (fraction, exponent) = (bits & ((1 << 52) - 1), bits >> 52);
                let whole = match exponent {
                    0 => BigInt::from(fraction),
                    exponent => BigInt::from(fraction | 1 << 52) << (exponent - 1),
                };
                if value < 0.0 { -whole } else { whole }
            };
            let total: BigInt = given.iter().map(|value| big(*value)).sum();
            if let Some(found) = float(&course.run(&sum(x()), &column, None).0) {
                let off = (big(found) - &total).magnitude().clone();
                for near in [found.next_up(), found.next_down()].into_iter().filter(|n| n.is_finite()) {
                    prop_assert!(off <= *(big(near) - &total).magnitude());
                }
            } else {
                prop_assert!(given.is_empty() || *total.magnitude() > *big(f64::MAX).magnitude());
            }
        }
    }

    #[test]
    fn texts_are_compared_by_their_bytes(
        values in prop::collection::vec(prop::option::of("[abö]{0,9}"), 0..64),
        course in courses(),
    ) {
        let column: ArrayRef = Arc::new(StringArray::from(values.clone()));
        let given: BTreeSet<&str> = values.iter().flatten().map(String::as_str).collect();
        let of = |aggregate: Aggregate| course.run(&aggregate, &column, None).0;
        let text = |of: &ArrayRef| of.as_string::<i32>().iter().next().flatten().map(str::to_owned);
        prop_assert_eq!(text(&of(min(x()))), given.first().map(ToString::to_string));
        prop_assert_eq!(text(&of(max(x()))), given.last().map(ToString::to_string));
        prop_assert_eq!(int(&of(count_distinct(x()))), Some(given.len() as i64));
    }

    #[test]
    fn truth_is_all_or_any(values in prop::collection::vec(prop::option::of(any::<bool>()), 0..20), course in courses()) {
        let column: ArrayRef = Arc::new(BooleanArray::from(values.clone()));
        let of = |aggregate: Aggregate| course.run(&aggregate, &column, None).0.as_boolean().iter().next().flatten();
        let given: Vec<bool> = values.into_iter().flatten().collect();
        prop_assert_eq!(of(bool_and(x())), given.iter().copied().reduce(|a, b| a && b));
        prop_assert_eq!(of(bool_or(x())), given.iter().copied().reduce(|a, b| a || b));
    }

    #[test]
    fn a_quantile_is_within_a_percent(
        values in prop::collection::vec(-1e6..1e6_f64, 1..64),
        part in 0.0..=1.0_f64,
        course in courses(),
    ) {
        let column: ArrayRef = Arc::new(Float64Array::from(values.clone()));
        let found = float(&course.run(&approximate_quantile(part, x()), &column, None).0).unwrap();
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        let rank = ((part * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len());
        let exact = sorted[rank - 1];
        prop_assert!((found - exact).abs() <= exact.abs() * 0.01, "{found} for {exact}");
    }

    #[test]
    fn decimals_are_added_up_exactly(
        values in prop::collection::vec(prop_oneof![-1000_i128..1000, -(10_i128.pow(38) - 1)..10_i128.pow(38)], 0..40),
        course in courses(),
    ) {
        let decimals = Decimal128Array::from_iter_values(values.iter().copied());
        let column: ArrayRef = Arc::new(decimals.with_precision_and_scale(38, 2).unwrap());
        let total: BigInt = values.iter().map(|value| BigInt::from(*value)).sum();
        let bound = BigInt::from(10).pow(38);
        let value = |of: &ArrayRef| {
            let of = of.as_primitive::<Decimal128Type>();
            of.is_valid(0).then(|| BigInt::from(of.value(0)))
        };
        let fits = |value: &BigInt| *value.magnitude() < *bound.magnitude();
        let (sums, unfit) = course.run(&sum(x()), &column, None);
        prop_assert_eq!(unfit, !fits(&total));
        prop_assert_eq!(value(&sums), Some(total.clone()).filter(|t| fits(t) && !values.is_empty()));
        let (averages, _) = course.run(&avg(x()), &column, None);
        if let Some(average) = value(&averages) {
            // Twice the error is at most the divisor: it is the nearest.
            let n = BigInt::from(values.len());
            let error: BigInt = (average * &n - total * 10_000) * 2;
            prop_assert!(*error.magnitude() <= *n.magnitude());
        }
    }
}

#[test]
fn halves_of_the_last_digit_of_a_decimal_are_rounded_away_from_zero() {
    let average = |values: [i128; 2]| {
        let decimals = Decimal128Array::from_iter_values(values);
        let column: ArrayRef = Arc::new(decimals.with_precision_and_scale(10, 6).unwrap());
        result(&avg(x()), &column).as_primitive::<Decimal128Type>().value(0)
    };
    assert_eq!([[1, 2], [-1, -2], [1, 3], [0, 1]].map(average), [2, -2, 2, 1]);
}

#[test]
fn variances_keep_the_digits_that_floats_lose() {
    let column: ArrayRef =
        Arc::new(Float64Array::from_iter_values([4.0, 7.0, 13.0, 16.0].map(|n| n + 1e9)));
    assert_eq!(float(&result(&var_pop(x()), &column)), Some(22.5));
    assert_eq!(float(&result(&var_samp(x()), &column)), Some(30.0));
    let tiny: ArrayRef = Arc::new(Float64Array::from(vec![1e-200, 3e-200]));
    assert_eq!(float(&result(&var_pop(x()), &tiny)), Some(0.0));
    assert_eq!(float(&result(&stddev_pop(x()), &tiny)), Some(1e-200));
    let huge: ArrayRef = Arc::new(Float64Array::from(vec![1e200, 3e200]));
    let (variance, unfit) = Course::straight().run(&var_pop(x()), &huge, None);
    assert!(variance.is_null(0) && unfit);
    assert_eq!(float(&result(&stddev_pop(x()), &huge)), Some(1e200));
    let mixed: ArrayRef = Arc::new(Float64Array::from(vec![1e200, 3e200, 0.5, 1e-300]));
    assert!(float(&result(&stddev_pop(x()), &mixed)).is_some());
    let one: ArrayRef = Arc::new(Float64Array::from(vec![5.0]));
    assert_eq!(float(&result(&var_samp(x()), &one)), None);
    assert_eq!(float(&result(&var_pop(x()), &one)), Some(0.0));
    let endless: ArrayRef = Arc::new(Float64Array::from(vec![5.0, f64::INFINITY]));
    assert!(float(&result(&var_pop(x()), &endless)).unwrap().is_nan());
}

#[test]
fn sums_of_what_is_no_number_are_those_of_ieee_754() {
    let of = |values: Vec<f64>| {
        let column: ArrayRef = Arc::new(Float64Array::from(values));
        float(&result(&sum(x()), &column)).unwrap()
    };
    assert_eq!(of(vec![1.0, f64::INFINITY]), f64::INFINITY);
    assert_eq!(of(vec![f64::NEG_INFINITY, 1.0]), f64::NEG_INFINITY);
    assert!(of(vec![f64::NEG_INFINITY, f64::INFINITY]).is_nan());
    assert!(of(vec![f64::NAN, 1.0]).is_nan());
    let beyond: ArrayRef = Arc::new(Float64Array::from(vec![f64::MAX, f64::MAX]));
    let (sums, unfit) = Course::straight().run(&sum(x()), &beyond, None);
    assert!(sums.is_null(0) && unfit);
    assert_eq!(float(&result(&avg(x()), &beyond)), Some(f64::MAX));
}

#[test]
fn other_types_are_added_up_and_compared_too() {
    let small: ArrayRef = Arc::new(Int8Array::from(vec![100, 100, -1]));
    assert_eq!(int(&result(&sum(x()), &small)), Some(199));
    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 1]));
    let (sums, unfit) = Course::straight().run(&sum(x()), &unsigned, None);
    assert!(sums.is_null(0) && unfit);
    assert_eq!(result(&max(x()), &unsigned).as_ref(), &UInt64Array::from(vec![u64::MAX]));
    let single: ArrayRef = Arc::new(Float32Array::from(vec![0.1_f32, 0.2]));
    let wanted = f64::from(0.1_f32) + f64::from(0.2_f32);
    assert_eq!(float(&result(&sum(x()), &single)), Some(wanted));
    assert_eq!(result(&min(x()), &single).as_ref(), &Float32Array::from(vec![0.1_f32]));
    let lengths: ArrayRef = Arc::new(DurationMillisecondArray::from(vec![3, 4, -8]));
    assert_eq!(result(&sum(x()), &lengths).as_ref(), &DurationMillisecondArray::from(vec![-1]));
    assert_eq!(result(&avg(x()), &lengths).as_ref(), &DurationMillisecondArray::from(vec![0]));
    let halves: ArrayRef = Arc::new(DurationMillisecondArray::from(vec![-3, -2]));
    assert_eq!(result(&avg(x()), &halves).as_ref(), &DurationMillisecondArray::from(vec![-3]));
    let times: ArrayRef =
        Arc::new(TimestampMillisecondArray::from(vec![5, 9]).with_timezone("UTC"));
    let last = TimestampMillisecondArray::from(vec![9]).with_timezone("UTC");
    assert_eq!(result(&max(x()), &times).as_ref(), &last);
    let nulls: ArrayRef = Arc::new(arrow_array::NullArray::new(3));
    assert!(result(&max(x()), &nulls).is_null(0) || result(&max(x()), &nulls).len() == 1);
    assert_eq!(int(&result(&count_of(x()), &nulls)), Some(0));
}
