//! How many records there are.

use super::Aggregate;

/// The number of records of a window, whatever they hold.
///
/// ```
/// use strandline_operators::aggregate::{Aggregate, Count};
///
/// let mut count = Aggregate::<f64>::lift(&Count, &24.5);
/// Count.fold(&mut count, &25.0);
/// assert_eq!(Aggregate::<f64>::lower(&Count, &count), 2);
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct Count;

impl<V> Aggregate<V> for Count {
    type Partial = u64;
    type Output = u64;

    fn shape(&self) -> String {
        "count".to_owned()
    }

    #[inline]
    fn lift(&self, _: &V) -> u64 {
        1
    }

    #[inline]
    fn combine(&self, into: &mut u64, other: &u64) {
        *into += other;
    }

    #[inline]
    fn lower(&self, partial: &u64) -> u64 {
        *partial
    }

    #[inline]
    fn fold(&self, into: &mut u64, _: &V) {
        *into += 1;
    }
}
