//! The fields of a record that are asked for by name when a decoder is made: a key, a time and metrics.

use crate::decode::name::Name;
use crate::decode::scan::Fields;

/// The names of the fields that are asked for.
#[derive(Clone, Debug)]
pub(super) struct FieldNames<const N: usize> {
    pub(super) key: Name,
    pub(super) time: Name,
    pub(super) metrics: [Name; N],
}

/// What a field of a payload is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Key,
    Time,
    Metric(usize),
    Ignored,
}

impl<const N: usize> FieldNames<N> {
    pub(super) fn new(key: &str, time: &str, metrics: [&str; N]) -> FieldNames<N> {
        FieldNames { key: key.into(), time: time.into(), metrics: metrics.map(Name::from) }
    }
}

impl<const N: usize> Fields for FieldNames<N> {
    type Field = Field;

    /// Linear in `N`.
    fn field(&self, name: &[u8]) -> Field {
        let is = |wanted: &Name| wanted.is(name);
        if is(&self.key) {
            Field::Key
        } else if is(&self.time) {
            Field::Time
        } else {
            self.metrics.iter().position(is).map_or(Field::Ignored, Field::Metric)
        }
    }

    /// There is no branch on which one it is: in records whose order varies, it would be guessed
    /// wrongly.
    #[inline(always)]
    fn recognise(&self, block: u128) -> Option<(Field, usize)> {
        let mut found = None;
        for (index, name) in self.metrics.iter().enumerate() {
            if let Some(bytes) = name.begins(block) {
                found = Some((Field::Metric(index), bytes));
            }
        }
        if let Some(bytes) = self.time.begins(block) {
            found = Some((Field::Time, bytes));
        }
        if let Some(bytes) = self.key.begins(block) {
            found = Some((Field::Key, bytes));
        }
        found
    }
}
