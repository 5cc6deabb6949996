//! The rows of one window, as far as they are known.
//!
//! When a job catches up, final rows come by the million, of windows of which nobody will see one.
//! So they stay as they came, and become cells when their window is displayed. Nor is there a table of
//! them by key: what is displayed is sorted anyway, which brings a key's rows together.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use strandline_operators::record::SmolStr;
use strandline_operators::window::Row;

use crate::finals::SharedRows;
use crate::table::{CellRow, Cells};

/// Live and final rows.
#[derive(Default)]
pub(super) struct WindowRows {
    /// A row a key.
    live: HashMap<SmolStr, CellRow, RandomState>,
    /// A row a key in all of them together.
    finals: Vec<Arc<dyn FinalRows>>,
    finals_len: usize,
}

/// A batch of final rows, whatever they hold.
trait FinalRows {
    fn append_to(&self, rows: &mut Vec<CellRow>);
}

impl<O: Cells> FinalRows for Vec<Row<O>> {
    fn append_to(&self, rows: &mut Vec<CellRow>) {
        rows.extend(self.iter().map(CellRow::from));
    }
}

impl WindowRows {
    /// How many keys there are, at least.
    pub(super) fn len(&self) -> usize {
        self.live.len().max(self.finals_len)
    }

    /// Whether a final row has come.
    pub(super) fn has_finals(&self) -> bool {
        !self.finals.is_empty()
    }

    /// Takes a live row. It may come after the key's final one: the two come by different ways.
    pub(super) fn take_live<O: Cells>(&mut self, row: &Row<O>) {
        self.live.insert(row.key.clone(), CellRow::from(row));
    }

    /// Takes final rows. O(1).
    pub(super) fn take_finals<O: Cells + 'static>(&mut self, rows: SharedRows<O>) {
        self.finals_len += rows.len();
        self.finals.push(rows);
    }

    /// No live row is of use any more: all final ones have come.
    pub(super) fn forget_live(&mut self) {
        self.live = HashMap::default();
    }

    /// A row a key, sorted by key: the final one, if it has come. O(n log n).
    pub(super) fn sorted(&self) -> Vec<CellRow> {
        let mut rows = Vec::with_capacity(self.live.len() + self.finals_len);
        for batch in &self.finals {
            batch.append_to(&mut rows);
        }
        rows.extend(self.live.values().cloned());
        let mut order = sorted_by_key(&rows);
        if !self.live.is_empty() {
            // The final row is the first of a key's, for it was appended first.
            order.dedup_by(|next, first| rows[*next].key == rows[*first].key);
        }
        let mut rows: Vec<Option<CellRow>> = rows.into_iter().map(Some).collect();
        order.into_iter().filter_map(|index| rows[index].take()).collect()
    }
}

/// Where the rows are, in the order of their keys; those with equal keys as they came. Keys often
/// begin alike, and lie anywhere in memory; so what follows their common beginning is compared first,
/// as a number that lies with the index.
fn sorted_by_key(rows: &[CellRow]) -> Vec<usize> {
    let first = rows.first().map_or(&[][..], |row| row.key.as_bytes());
    let shared = rows.iter().fold(first.len(), |shared, row| {
        let key = row.key.as_bytes();
        first[..shared].iter().zip(key).take_while(|(a, b)| a == b).count()
    });
    let next_eight = |row: &CellRow| {
        let mut bytes = [0; 8];
        let next = row.key.as_bytes()[shared..].iter();
        bytes.iter_mut().zip(next).for_each(|(byte, next)| *byte = *next);
        u64::from_be_bytes(bytes)
    };
    let mut order: Vec<(u64, usize)> = rows.iter().map(next_eight).zip(0..).collect();
    order.sort_unstable_by(|(a, index), (b, other)| {
        let keys = || rows[*index].key.cmp(&rows[*other].key).then(index.cmp(other));
        a.cmp(b).then_with(keys)
    });
    order.into_iter().map(|(_, index)| index).collect()
}

impl std::fmt::Debug for WindowRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowRows").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use strandline_operators::time::EventTime;
    use strandline_operators::window::{Spans, Window};

    use super::*;
    use crate::table::Cell;

    fn row(key: &str, count: u64) -> Row<(u64,)> {
        let window = Window { start: EventTime::from_millis(0), end: EventTime::from_millis(1) };
        Row { key: key.into(), window, output: (count,), spans: Spans::new() }
    }

    fn counts(rows: &WindowRows) -> Vec<(String, Cell)> {
        rows.sorted().into_iter().map(|row| (row.key.to_string(), row.cells[0])).collect()
    }

    #[test]
    fn a_final_row_is_never_replaced_by_a_live_one() {
        let mut rows = WindowRows::default();
        rows.take_live(&row("b", 1));
        rows.take_finals(vec![row("b", 3)].into());
        rows.take_live(&row("b", 2));
        rows.take_live(&row("a", 1));
        let expected = [("a".to_owned(), Cell::Int(1)), ("b".to_owned(), Cell::Int(3))];
        assert_eq!(counts(&rows), expected);
        rows.take_live(&row("b", 4));
        assert_eq!(counts(&rows), expected);
        rows.forget_live();
        assert_eq!(counts(&rows), expected[1..]);
    }

    #[test]
    fn rows_are_in_the_order_of_their_keys() {
        let keys = [
            "device-",
            "device-1",
            "device-1\0",
            "device-10",
            "device-12345678",
            "device-123456789",
            "device-2",
            "device-\u{e9}",
            "device-z",
        ];
        for count in 0..=keys.len() {
            let mut rows = WindowRows::default();
            let backwards: Vec<_> = keys[..count].iter().rev().map(|key| row(key, 1)).collect();
            rows.take_finals(backwards.into());
            let sorted: Vec<String> = counts(&rows).into_iter().map(|(key, _)| key).collect();
            let mut expected = keys[..count].to_vec();
            expected.sort_unstable();
            assert_eq!(sorted, expected);
        }
        let mut rows = WindowRows::default();
        rows.take_finals(Vec::from(["b", "", "a"].map(|key| row(key, 1))).into());
        assert_eq!(counts(&rows).len(), 3);
    }

    #[test]
    fn rows_that_were_not_displayed_yet_are_counted() {
        let mut rows = WindowRows::default();
        rows.take_live(&row("a", 1));
        assert_eq!(rows.len(), 1);
        rows.take_finals(vec![row("a", 1), row("b", 1)].into());
        assert_eq!(rows.len(), 2);
        assert_eq!(counts(&rows).len(), 2);
        assert_eq!(rows.len(), 2);
    }
}
