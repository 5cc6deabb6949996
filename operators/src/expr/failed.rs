//! Rows that could not be computed, and why.

use std::borrow::Cow;
use std::fmt;

use arrow_array::BooleanArray;

/// Why a row could not be computed, in a few words: `division by zero`.
pub type Reason = Cow<'static, str>;

/// Of a result that is too large, or too small.
pub(super) const OVERFLOW: Reason = Reason::Borrowed("the result does not fit its type");
/// Of a quotient.
pub(super) const BY_ZERO: Reason = Reason::Borrowed("division by zero");

/// A row that could not be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its number in the batch, from 0.
    pub row: usize,
    /// Why.
    pub reason: Reason,
}

/// The rows of a batch that could not be computed: in order, each once, with the first reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed(Vec<Failure>);

impl Failed {
    /// Whether all rows were computed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many rows failed.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Failure> {
        self.0.iter()
    }

    pub(crate) fn add(&mut self, row: usize, reason: impl Into<Reason>) {
        self.0.push(Failure { row, reason: reason.into() });
    }

    /// Takes failures of rows that are called otherwise here.
    pub(crate) fn add_all(&mut self, others: Failed, row_here: impl Fn(usize) -> usize) {
        self.0.extend(
            others.0.into_iter().map(|failure| Failure { row: row_here(failure.row), ..failure }),
        );
    }

    /// In the order of rows; of several reasons the first stays.
    pub(crate) fn in_order(mut self) -> Self {
        self.0.sort_by_key(|failure| failure.row);
        self.0.dedup_by_key(|failure| failure.row);
        self
    }

    /// True where a row failed.
    pub(crate) fn mask(&self, rows: usize) -> BooleanArray {
        let mut mask = vec![false; rows];
        for failure in &self.0 {
            mask[failure.row] = true;
        }
        mask.into()
    }
}

impl fmt::Display for Failed {
    /// `row 3: division by zero; row 7: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Failure { row, reason }) in self.0.iter().enumerate() {
            write!(f, "{}row {row}: {reason}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_fails_once_for_its_first_reason() {
        let mut failed = Failed::default();
        failed.add(3, "first");
        failed.add(1, "other");
        failed.add(3, "second");
        assert_eq!(failed.in_order().to_string(), "row 1: other; row 3: first");
    }
}
