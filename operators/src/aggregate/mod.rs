//! What is computed in a window: `lift` a value to a partial result, `combine` partial results,
//! `lower` one to what a row holds.
//!
//! `combine` is associative and commutative *exactly*, floating point included: the same records
//! give the same bits in whatever order and on however many workers they were combined. One trait
//! therefore serves partial aggregation before the exchange, merging after it, panes shared by
//! sliding windows, sessions that grow together, and state that is restored on another number of
//! workers.

mod average;
#[cfg(feature = "batch")]
pub mod columns;
mod count;
mod min_max;
mod sum;
#[cfg(test)]
mod tests;
mod tuple;
mod wide_sum;

use timely::ExchangeData;

pub use average::{Average, AveragePartial};
pub use count::Count;
pub use min_max::{Max, Min, Rank};
pub use sum::ExactSum;

/// An aggregate over values of type `V`.
pub trait Aggregate<V>: Clone + 'static {
    /// A partial result: what crosses workers and what is stored.
    type Partial: ExchangeData + Clone;
    /// What a row holds.
    type Output: ExchangeData + Clone;

    /// What it computes, in a few words for people: a checkpoint of another shape is refused. By
    /// default the name of the partial result's type. What functions inside it do is not told
    /// apart: give the column of another meaning another name.
    fn shape(&self) -> String {
        std::any::type_name::<Self::Partial>().to_owned()
    }

    /// The partial result of one value.
    fn lift(&self, value: &V) -> Self::Partial;

    /// Adds `other` to `into`. Exact, associative, commutative.
    fn combine(&self, into: &mut Self::Partial, other: &Self::Partial);

    /// The result.
    fn lower(&self, partial: &Self::Partial) -> Self::Output;

    /// Adds one value: the hot path, where it can be cheaper than `lift` and `combine`.
    fn fold(&self, into: &mut Self::Partial, value: &V) {
        let lifted = self.lift(value);
        self.combine(into, &lifted);
    }
}
