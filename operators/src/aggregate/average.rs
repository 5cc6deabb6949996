//! The average of a number in each record.

use serde::{Deserialize, Serialize};

use super::{Aggregate, ExactSum};

/// The average of what the function finds in each record; `None` where it found nothing.
///
/// A record for which it gives `None`, or a number that is not finite, does not contribute. The
/// result is the exact sum divided by the number of contributions, rounded once, to the nearest
/// float: it depends neither on the order of the records nor on how they were spread over workers.
///
/// ```
/// use strandline_operators::aggregate::{Aggregate, Average};
///
/// let average = Average(|reading: &Option<f64>| *reading);
/// let mut partial = average.lift(&Some(0.1));
/// for reading in [None, Some(0.1), Some(0.1)] {
///     average.fold(&mut partial, &reading);
/// }
/// assert_eq!(average.lower(&partial), Some(0.1)); // not (0.1 + 0.1 + 0.1) / 3.0
/// ```
#[derive(Copy, Clone, Debug)]
pub struct Average<F>(pub F);

/// What is known of an average: 32 bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AveragePartial {
    sum: ExactSum,
    contributions: u64,
}

impl<V, F> Aggregate<V> for Average<F>
where
    F: Fn(&V) -> Option<f64> + Clone + 'static,
{
    type Partial = AveragePartial;
    type Output = Option<f64>;

    fn shape(&self) -> String {
        "average".to_owned()
    }

    #[inline]
    fn lift(&self, value: &V) -> AveragePartial {
        let mut partial = AveragePartial::default();
        self.fold(&mut partial, value);
        partial
    }

    #[inline]
    fn combine(&self, into: &mut AveragePartial, other: &AveragePartial) {
        into.sum.combine(&other.sum);
        into.contributions += other.contributions;
    }

    #[inline]
    fn lower(&self, partial: &AveragePartial) -> Option<f64> {
        partial.sum.divided_by(partial.contributions)
    }

    #[inline]
    fn fold(&self, into: &mut AveragePartial, value: &V) {
        if let Some(number) = self.0(value)
            && number.is_finite()
        {
            into.sum.add(number);
            into.contributions += 1;
        }
    }
}
