//! The least and the greatest of a number in each record.

use serde::{Deserialize, Serialize};

use super::Aggregate;

/// The least number that the function finds in the records; `None` where it found nothing.
///
/// Numbers are compared by [`f64::total_cmp`], so `-0.0` is less than `0.0` and there is one
/// answer, to the last bit. A record for which the function gives `None`, or a number that is not
/// finite, does not contribute.
///
/// ```
/// use strandline_operators::aggregate::{Aggregate, Min};
///
/// let min = Min(|reading: &f64| Some(*reading));
/// let mut partial = min.lift(&24.5);
/// min.fold(&mut partial, &-3.0);
/// assert_eq!(min.lower(&partial), Some(-3.0));
/// ```
#[derive(Copy, Clone, Debug)]
pub struct Min<F>(pub F);

/// The greatest number that the function finds in the records; in all else as [`Min`].
///
/// ```
/// use strandline_operators::aggregate::{Aggregate, Max};
///
/// let max = Max(|reading: &f64| Some(*reading));
/// let mut partial = max.lift(&24.5);
/// max.fold(&mut partial, &-3.0);
/// assert_eq!(max.lower(&partial), Some(24.5));
/// ```
#[derive(Copy, Clone, Debug)]
pub struct Max<F>(pub F);

/// A float's rank in the order of [`f64::total_cmp`], or that there is none: 8 bytes.
///
/// The first and the last rank belong to two of the NaNs, which never contribute, so they stand
/// for "none".
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rank(i64);

impl Rank {
    const BEFORE_ALL: Rank = Rank(i64::MIN);
    const AFTER_ALL: Rank = Rank(i64::MAX);

    #[inline]
    fn of(number: f64) -> Rank {
        Rank(swap_order_of_negatives(number.to_bits().cast_signed()))
    }

    fn number(self) -> Option<f64> {
        let number = f64::from_bits(swap_order_of_negatives(self.0).cast_unsigned());
        number.is_finite().then_some(number)
    }
}

/// From a float's bits to its rank, and back. Bits of positive floats are ordered as integers are;
/// those of negative ones the other way round.
#[inline]
fn swap_order_of_negatives(bits: i64) -> i64 {
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

/// The number's rank if it contributes.
#[inline]
fn rank(number: Option<f64>) -> Option<Rank> {
    number.filter(|number| number.is_finite()).map(Rank::of)
}

impl<V, F> Aggregate<V> for Min<F>
where
    F: Fn(&V) -> Option<f64> + Clone + 'static,
{
    type Partial = Rank;
    type Output = Option<f64>;

    fn shape(&self) -> String {
        "min".to_owned()
    }

    #[inline]
    fn lift(&self, value: &V) -> Rank {
        rank(self.0(value)).unwrap_or(Rank::AFTER_ALL)
    }

    #[inline]
    fn combine(&self, into: &mut Rank, other: &Rank) {
        *into = (*into).min(*other);
    }

    #[inline]
    fn lower(&self, partial: &Rank) -> Option<f64> {
        partial.number()
    }
}

impl<V, F> Aggregate<V> for Max<F>
where
    F: Fn(&V) -> Option<f64> + Clone + 'static,
{
    type Partial = Rank;
    type Output = Option<f64>;

    fn shape(&self) -> String {
        "max".to_owned()
    }

    #[inline]
    fn lift(&self, value: &V) -> Rank {
        rank(self.0(value)).unwrap_or(Rank::BEFORE_ALL)
    }

    #[inline]
    fn combine(&self, into: &mut Rank, other: &Rank) {
        *into = (*into).max(*other);
    }

    #[inline]
    fn lower(&self, partial: &Rank) -> Option<f64> {
        partial.number()
    }
}
