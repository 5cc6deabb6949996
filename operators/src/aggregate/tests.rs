//! Aggregates against an oracle of unlimited precision, and against their own promise: the same
//! values give the same bits in whatever order and grouping.

use num_bigint::{BigInt, Sign};
use proptest::prelude::*;

use super::*;

/// A float in units of 2^-1074, which are what all floats are whole numbers of.
fn units(number: f64) -> BigInt {
    let bits = number.to_bits();
    let (field, fraction) = (bits >> 52 & 0x7FF, bits & ((1 << 52) - 1));
    let magnitude = match field {
        0 => BigInt::from(fraction),
        _ => BigInt::from(fraction | 1 << 52) << (field - 1),
    };
    if number.is_sign_negative() { -magnitude } else { magnitude }
}

fn total(numbers: &[f64]) -> BigInt {
    numbers.iter().map(|number| units(*number)).sum()
}

/// Whether no float is nearer to `total / count` than `result`, and of two that are equally near,
/// it is the even one. `result` is not the greatest or least float.
fn assert_nearest(result: f64, total: &BigInt, count: u64) {
    let distance = |float: f64| BigInt::from((units(float) * count - total).magnitude().clone());
    let own = distance(result);
    for neighbour in [result.next_up(), result.next_down()] {
        let its = distance(neighbour);
        assert!(own <= its, "{neighbour:e} is nearer than {result:e}");
        assert!(own < its || result.to_bits() & 1 == 0, "{result:e} is not even");
    }
    let sign = if result.is_sign_negative() { Sign::Minus } else { Sign::Plus };
    assert_eq!(sign == Sign::Minus, total.sign() == Sign::Minus, "the sign of {result:e}");
}

fn value(value: &f64) -> Option<f64> {
    Some(*value)
}

fn average_of(numbers: &[f64]) -> Option<f64> {
    let average = Average(value);
    let mut partial = AveragePartial::default();
    for number in numbers {
        average.fold(&mut partial, number);
    }
    average.lower(&partial)
}

fn bits(number: Option<f64>) -> Option<u64> {
    number.map(f64::to_bits)
}

fn sum_of(numbers: &[f64]) -> ExactSum {
    let mut sum = ExactSum::default();
    for number in numbers {
        sum.add(*number);
    }
    sum
}

/// Floats of every kind, so that both representations of a sum and the ways between are used.
fn number() -> impl Strategy<Value = f64> {
    let finite = any::<f64>().prop_filter("only finite ones contribute", |x| x.is_finite());
    prop_oneof![
        4 => (-1_000_000..1_000_000_i32).prop_map(|x| f64::from(x) / 1000.0),
        2 => finite,
        1 => -1e-3..1e-3_f64,
        1 => -1e19..1e19_f64,
        1 => (0..1_u64 << 53, any::<bool>()).prop_map(|(bits, negative)| {
            let tiny = f64::from_bits(bits);
            if negative { -tiny } else { tiny }
        }),
        1 => (-1074..1024_i32, -1.0..1.0_f64).prop_map(|(exponent, x)| x.signum() * 2_f64.powi(exponent)),
        1 => prop::sample::select(vec![
            0.0,
            -0.0,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            5e-324,
            -5e-324,
            9_223_372_036_854_775_807.0,
            -9_223_372_036_854_775_808.0,
            9_223_372_036_854_774_784.0,
            1.0 / 18_446_744_073_709_551_616.0,
        ]),
    ]
}

fn numbers() -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![
        3 => prop::collection::vec(number(), 1..40),
        // Sums that cancel, in part or in full.
        1 => (prop::collection::vec(number(), 1..20), prop::collection::vec(number(), 0..3)).prop_map(
            |(numbers, more)| {
                let opposite: Vec<_> = numbers.iter().map(|x| -x).collect();
                [more, numbers, opposite].concat()
            }
        ),
        // Sums that overflow the fixed-point part.
        1 => prop::collection::vec(4e18..9.2e18_f64, 1..20),
        1 => prop::collection::vec(-9.2e18..-4e18_f64, 1..20),
    ]
}

proptest! {
    #[test]
    fn an_average_is_the_nearest_float(numbers in numbers()) {
        let count = numbers.len() as u64;
        let result = average_of(&numbers).unwrap();
        if result.abs() < f64::MAX {
            assert_nearest(result, &total(&numbers), count);
        } else {
            let edge = units(f64::MAX) * count - (BigInt::from(count) << 970);
            prop_assert!(edge <= BigInt::from(total(&numbers).magnitude().clone()));
        }
    }

    #[test]
    fn an_average_depends_on_neither_order_nor_grouping(
        (numbers, shuffled) in numbers()
            .prop_flat_map(|numbers| (Just(numbers.clone()), Just(numbers).prop_shuffle())),
        groups in prop::collection::vec(0..4_usize, 80),
    ) {
        let average = Average(value);
        let mut partials = vec![AveragePartial::default(); 4];
        for (number, group) in shuffled.iter().zip(&groups) {
            average.fold(&mut partials[*group], number);
        }
        // ((0 + 1) + (2 + 3)), where 3 goes over a wire.
        let stored = serde_json::to_string(&partials[3]).unwrap();
        let [mut first, second, mut third, _] = <[AveragePartial; 4]>::try_from(partials).unwrap();
        average.combine(&mut first, &second);
        average.combine(&mut third, &serde_json::from_str(&stored).unwrap());
        average.combine(&mut first, &third);
        prop_assert_eq!(bits(average.lower(&first)), bits(average_of(&numbers)));
    }

    #[test]
    fn a_partial_is_lifted_as_it_is_folded(numbers in numbers()) {
        let aggregates = (Count, Average(value), Min(value), Max(value));
        let (first, rest) = numbers.split_first().unwrap();
        let mut folded = aggregates.lift(first);
        let mut combined = aggregates.lift(first);
        for number in rest {
            aggregates.fold(&mut folded, number);
            aggregates.combine(&mut combined, &aggregates.lift(number));
        }
        let (folded, combined) = (aggregates.lower(&folded), aggregates.lower(&combined));
        prop_assert_eq!(folded.0, combined.0);
        prop_assert_eq!(bits(folded.1), bits(combined.1));
        prop_assert_eq!(bits(folded.2), bits(combined.2));
        prop_assert_eq!(bits(folded.3), bits(combined.3));
    }

    #[test]
    fn an_ordinary_average_is_what_floats_give(numbers in prop::collection::vec(1.0..1000.0_f64, 1..100)) {
        let naive = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let exact = average_of(&numbers).unwrap();
        prop_assert!((exact - naive).abs() <= 1e-9 * naive);
    }

    #[test]
    fn min_and_max_are_by_the_total_order(numbers in numbers()) {
        let aggregates = (Min(value), Max(value));
        let mut partial = aggregates.lift(&numbers[0]);
        for number in &numbers {
            aggregates.fold(&mut partial, number);
        }
        let (least, greatest) = aggregates.lower(&partial);
        prop_assert_eq!(bits(least), bits(numbers.iter().copied().min_by(f64::total_cmp)));
        prop_assert_eq!(bits(greatest), bits(numbers.iter().copied().max_by(f64::total_cmp)));
    }
}

#[test]
fn an_average_of_nothing_is_none() {
    assert_eq!(average_of(&[]), None);
}

#[test]
fn an_average_that_is_exactly_zero_has_no_sign() {
    for numbers in [&[-0.0][..], &[1.5, -1.5], &[1e300, -1e300], &[-5e-324, 5e-324]] {
        assert_eq!(bits(average_of(numbers)), Some(0), "{numbers:?}");
    }
}

#[test]
fn an_average_is_rounded_once() {
    // Added as floats, these give 0.3000000000000001 / 3 or 0.30000000000000004 / 3.
    assert_eq!(average_of(&[0.1, 0.1, 0.1]), Some(0.1));
    assert_eq!(average_of(&[1e16, 1.0, -1e16]), Some(1.0 / 3.0));
    // Half way between two floats: to the even one, either way.
    assert_eq!(average_of(&[1.0, 1.0 + f64::EPSILON]), Some(1.0));
    assert_eq!(
        average_of(&[1.0 + f64::EPSILON, 1.0 + 2.0 * f64::EPSILON]),
        Some(1.0 + 2.0 * f64::EPSILON)
    );
    assert_eq!(average_of(&[5e-324, 0.0]), Some(0.0));
    assert_eq!(average_of(&[15e-324, 0.0]), Some(1e-323));
    // A little more than half way.
    assert_eq!(average_of(&[5e-324, 5e-324, 0.0]), Some(5e-324));
    assert_eq!(
        average_of(&[1.0, 1.0 + f64::EPSILON, 1.0 + f64::EPSILON]),
        Some(1.0 + f64::EPSILON)
    );
}

#[test]
fn a_trace_beyond_half_way_decides() {
    // A count of 64 digits leaves no room for the trace in the quotient.
    let count: u64 = (1 << 63) + 1;
    let up = 0.125 * (1.0 + f64::EPSILON);
    // `count * (1 + 2^-53) / 8`, which is half way between 0.125 and the float after it.
    let half_way =
        [1.0, 2_f64.powi(-53)].map(|part| [part * 2_f64.powi(60), part * 0.125]).concat();
    let trace = 2_f64.powi(-64);
    for (more, expected) in [(0.0, 0.125), (trace, up), (-trace, 0.125)] {
        let fixed = [&half_way[..], &[more]].concat();
        let wide = [&fixed[..], &[1e300, -1e300]].concat();
        for numbers in [fixed, wide] {
            assert_eq!(sum_of(&numbers).divided_by(count), Some(expected), "{numbers:?}");
        }
    }
    // Far below the digits that are looked at.
    let half_way = [1.0, 2_f64.powi(-53)];
    for (more, expected) in [(0.0, 1.0), (5e-324, 1.0 + f64::EPSILON), (-5e-324, 1.0)] {
        let sum = sum_of(&[half_way[0], half_way[1], more]);
        assert_eq!(sum.divided_by(1), Some(expected), "{more:e}");
    }
    // Beyond half of the least float, by less than the limb below it shows.
    let half_way = 2_f64.powi(62 - 1074);
    assert_eq!(sum_of(&[half_way, 5e-324]).divided_by(count), Some(5e-324));
    assert_eq!(sum_of(&[half_way]).divided_by(count), Some(0.0));
}

#[test]
fn an_average_of_the_greatest_floats_is_the_greatest() {
    assert_eq!(average_of(&[f64::MAX; 1000]), Some(f64::MAX));
    assert_eq!(average_of(&[f64::MIN; 1000]), Some(f64::MIN));
    assert_eq!(average_of(&[f64::MAX, f64::MIN]), Some(0.0));
}

#[test]
fn a_quotient_beyond_the_floats_is_the_greatest_or_the_least() {
    for limit in [f64::MAX, f64::MIN] {
        let sum = sum_of(&[limit; 5]);
        for count in [1, 4, 5] {
            assert_eq!(sum.divided_by(count), Some(limit));
        }
    }
}

#[test]
fn a_quotient_below_the_floats_is_zero() {
    let sum = sum_of(&[5e-324]);
    assert_eq!(sum.divided_by(3), Some(0.0));
    assert_eq!(sum.divided_by(u64::MAX), Some(0.0));
}

#[test]
fn a_count_of_any_size_divides() {
    for number in [1.0, 24.7, 1e-300, 1e300, 5e-324 * 1e9] {
        for count in [1, 2, 3, 7, 1 << 53, (1 << 53) + 1, u64::MAX - 1, u64::MAX] {
            let result = sum_of(&[number]).divided_by(count).unwrap();
            assert_nearest(result, &units(number), count);
        }
    }
}

#[test]
fn numbers_that_are_not_finite_do_not_contribute() {
    let numbers = [f64::NAN, 1.0, f64::INFINITY, 3.0, f64::NEG_INFINITY, -f64::NAN];
    assert_eq!(average_of(&numbers), Some(2.0));
    let aggregates = (Count, Min(value), Max(value));
    let mut partial = aggregates.lift(&f64::NAN);
    assert_eq!(aggregates.lower(&partial), (1, None, None));
    for number in &numbers {
        aggregates.fold(&mut partial, number);
    }
    assert_eq!(aggregates.lower(&partial), (7, Some(1.0), Some(3.0)));
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -f64::NAN] {
        assert_eq!(sum_of(&[4.0, number]).divided_by(1), Some(4.0));
    }
}

#[test]
fn minus_zero_is_less_than_zero() {
    let aggregates = (Min(value), Max(value));
    for numbers in [[0.0, -0.0], [-0.0, 0.0]] {
        let mut partial = aggregates.lift(&numbers[0]);
        aggregates.fold(&mut partial, &numbers[1]);
        let (least, greatest) = aggregates.lower(&partial);
        assert_eq!((bits(least), bits(greatest)), (bits(Some(-0.0)), bits(Some(0.0))));
    }
}

#[test]
fn eight_aggregates_are_one() {
    let aggregates = (
        Count,
        Average(value),
        Min(value),
        Max(value),
        Count,
        Average(value),
        Min(value),
        Max(value),
    );
    let mut partial = aggregates.lift(&1.0);
    aggregates.combine(&mut partial, &aggregates.lift(&3.0));
    aggregates.fold(&mut partial, &5.0);
    let (three, least, greatest) = (Some(3.0), Some(1.0), Some(5.0));
    assert_eq!(aggregates.lower(&partial), (3, three, least, greatest, 3, three, least, greatest));
}

#[test]
fn partials_are_small() {
    fn bytes<V, A: Aggregate<V>>(_: &A) -> usize {
        size_of::<A::Partial>()
    }
    assert_eq!(bytes(&Average(value)), 32);
    let fleet = (Count, Average(value), Average(value), Min(value), Max(value));
    assert!(bytes(&fleet) <= 96, "{}", bytes(&fleet));
}

#[test]
fn ordinary_numbers_need_no_wide_sum() {
    let power = 0.5_f64.powi(64);
    let mut sum = sum_of(&[24.7, -55.3, 0.0, -0.0, 1e15, 0.001, power, 1013.25, 1e18]);
    assert!(!format!("{sum:?}").contains("WideSum"), "{sum:?}");
    sum.add(1e-9);
    assert!(format!("{sum:?}").contains("WideSum"), "{sum:?}");
}

#[test]
fn a_stored_sum_of_another_width_is_refused() {
    let sum = sum_of(&[1e300]);
    let stored = serde_json::to_string(&sum).unwrap();
    assert!(serde_json::from_str::<ExactSum>(&stored).is_ok());
    let narrower = stored.replacen("\"wide\":[0,", "\"wide\":[", 1);
    let error = serde_json::from_str::<ExactSum>(&narrower).unwrap_err();
    assert!(error.to_string().contains("34 limbs, but 33"), "{error}");
}

#[test]
fn a_tuple_has_the_shapes_of_its_parts() {
    let aggregate = (Count, Average(|value: &f64| Some(*value)), Max(|value: &f64| Some(*value)));
    assert_eq!(Aggregate::<f64>::shape(&aggregate), "count, average, max");
}
