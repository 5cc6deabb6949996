//! Values that are the same for many rows in a row.

use arrow_buffer::BooleanBuffer;
use serde::{Deserialize, Serialize};

/// A value for each row, where neighbours mostly have the same: each is stored once for a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs<T> {
    /// Of each run, the number of rows up to its end, and the value.
    runs: Vec<(u32, T)>,
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self { runs: Vec::new() }
    }
}

impl<T: Copy + PartialEq> Runs<T> {
    /// One value for all rows.
    pub fn of(value: T, rows: usize) -> Self {
        let mut runs = Self::default();
        runs.push(value, rows);
        runs
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.runs.last().map_or(0, |(end, _)| *end as usize)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Adds rows with a value.
    ///
    /// # Panics
    ///
    /// If a batch would have more than 2^32 rows.
    pub fn push(&mut self, value: T, rows: usize) {
        if rows == 0 {
            return;
        }
        let end = u32::try_from(self.len() + rows).expect("a batch has fewer than 2^32 rows");
        match self.runs.last_mut() {
            Some((last, same)) if *same == value => *last = end,
            _ => self.runs.push((end, value)),
        }
    }

    /// The value of a row. O(log runs).
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn get(&self, row: usize) -> T {
        self.runs[self.runs.partition_point(|(end, _)| *end as usize <= row)].1
    }

    /// The runs: the rows of each, and their value.
    pub fn iter(&self) -> impl Iterator<Item = (std::ops::Range<usize>, T)> {
        let begins = std::iter::once(0).chain(self.runs.iter().map(|(end, _)| *end as usize));
        begins.zip(&self.runs).map(|(begin, (end, value))| (begin..*end as usize, *value))
    }

    /// Those of the rows that a mask keeps.
    pub fn filter(&self, mask: &BooleanBuffer) -> Self {
        let mut kept = Self::default();
        for (rows, value) in self.iter() {
            kept.push(value, mask.slice(rows.start, rows.len()).count_set_bits());
        }
        kept
    }

    /// Those of the rows at these indices, in their order.
    pub fn take(&self, rows: &[u32]) -> Self {
        let mut taken = Self::default();
        let mut run = 0..0;
        let mut value = None;
        for row in rows {
            let row = *row as usize;
            if !run.contains(&row) {
                let at = self.runs.partition_point(|(end, _)| *end as usize <= row);
                let begin = at.checked_sub(1).map_or(0, |before| self.runs[before].0 as usize);
                (run, value) = (begin..self.runs[at].0 as usize, Some(self.runs[at].1));
            }
            if let Some(value) = value {
                taken.push(value, 1);
            }
        }
        taken
    }

    /// Adds the rows of another after these.
    pub fn extend(&mut self, more: &Self) {
        more.iter().for_each(|(rows, value)| self.push(value, rows.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abb() -> Runs<char> {
        let mut runs = Runs::of('a', 2);
        runs.push('b', 1);
        runs.push('b', 2);
        runs.push('c', 0);
        runs
    }

    #[test]
    fn neighbours_of_one_value_are_one_run() {
        assert_eq!(abb().iter().collect::<Vec<_>>(), [(0..2, 'a'), (2..5, 'b')]);
        assert_eq!((0..5).map(|row| abb().get(row)).collect::<String>(), "aabbb");
    }

    #[test]
    fn what_is_filtered_and_taken_is_as_if_each_row_had_its_value() {
        let mask = BooleanBuffer::from(vec![false, true, false, true, true]);
        assert_eq!(abb().filter(&mask).iter().collect::<Vec<_>>(), [(0..1, 'a'), (1..3, 'b')]);
        let taken = abb().take(&[4, 0, 1, 3]);
        assert_eq!((0..4).map(|row| taken.get(row)).collect::<String>(), "baab");
        assert!(abb().filter(&BooleanBuffer::new_unset(5)).is_empty());
    }
}
