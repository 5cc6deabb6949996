//! The rows of one window, as far as they are known.
//!
//! When a job catches up, final rows come by the million, of windows of which nobody will see one.
//! So they stay as they came, and become cells when their window is displayed.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use strandline_operators::window::Row;

use crate::table::{CellRow, Cells};

/// Live and final rows, a row a key.
#[derive(Default)]
pub(super) struct WindowRows {
    known: HashMap<Arc<str>, KnownRow, RandomState>,
    /// Final rows that are not among those yet.
    waiting: Vec<Box<dyn FinalRows>>,
    /// Final rows that came, whether they wait or not.
    finals: usize,
}

#[derive(Debug)]
struct KnownRow {
    row: CellRow,
    is_final: bool,
}

/// A batch of final rows, whatever they hold.
trait FinalRows {
    fn cells(&self) -> Box<dyn Iterator<Item = CellRow> + '_>;
}

impl<O: Cells> FinalRows for Vec<Row<O>> {
    fn cells(&self) -> Box<dyn Iterator<Item = CellRow> + '_> {
        Box::new(self.iter().map(CellRow::from))
    }
}

impl WindowRows {
    /// How many keys there are, at least.
    pub(super) fn len(&self) -> usize {
        self.known.len().max(self.finals)
    }

    /// Takes a live row, unless the key's final one is known: the two come by different ways.
    pub(super) fn take_live<O: Cells>(&mut self, row: &Row<O>) {
        if self.known.get(&row.key).is_none_or(|known| !known.is_final) {
            let known = KnownRow { row: CellRow::from(row), is_final: false };
            self.known.insert(Arc::clone(&row.key), known);
        }
    }

    /// Takes final rows. O(1).
    pub(super) fn take_finals<O: Cells + 'static>(&mut self, rows: Vec<Row<O>>) {
        self.finals += rows.len();
        self.waiting.push(Box::new(rows));
    }

    /// All rows, sorted by key.
    pub(super) fn sorted(&mut self) -> Vec<CellRow> {
        self.known.reserve(self.len() - self.known.len());
        for row in std::mem::take(&mut self.waiting).iter().flat_map(|rows| rows.cells()) {
            let key = Arc::clone(&row.key);
            self.known.insert(key, KnownRow { row, is_final: true });
        }
        sorted_by_key(self.known.values().map(|known| &known.row))
    }
}

/// The rows in the order of their keys. Keys often begin alike, and lie anywhere in memory; so what
/// follows their common beginning is compared first, as a number that lies with the reference.
fn sorted_by_key<'r>(rows: impl Iterator<Item = &'r CellRow> + Clone) -> Vec<CellRow> {
    let mut keys = rows.clone().map(|row| row.key.as_bytes());
    let first = keys.next().unwrap_or_default();
    let shared = keys.fold(first.len(), |shared, key| {
        first[..shared].iter().zip(key).take_while(|(a, b)| a == b).count()
    });
    let next_eight = |row: &CellRow| {
        let mut bytes = [0; 8];
        let next = row.key.as_bytes()[shared..].iter();
        bytes.iter_mut().zip(next).for_each(|(byte, next)| *byte = *next);
        u64::from_be_bytes(bytes)
    };
    let mut order: Vec<(u64, &CellRow)> = rows.map(|row| (next_eight(row), row)).collect();
    order.sort_unstable_by(|(a, row), (b, other)| a.cmp(b).then_with(|| row.key.cmp(&other.key)));
    order.into_iter().map(|(_, row)| row.clone()).collect()
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

    fn counts(rows: &mut WindowRows) -> Vec<(String, Cell)> {
        rows.sorted().into_iter().map(|row| (row.key.to_string(), row.cells[0])).collect()
    }

    #[test]
    fn a_final_row_is_never_replaced_by_a_live_one() {
        let mut rows = WindowRows::default();
        rows.take_live(&row("b", 1));
        rows.take_finals(vec![row("b", 3)]);
        rows.take_live(&row("b", 2));
        rows.take_live(&row("a", 1));
        let expected = [("a".to_owned(), Cell::Int(1)), ("b".to_owned(), Cell::Int(3))];
        assert_eq!(counts(&mut rows), expected);
        rows.take_live(&row("b", 4));
        assert_eq!(counts(&mut rows), expected);
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
            rows.take_finals(keys[..count].iter().rev().map(|key| row(key, 1)).collect());
            let sorted: Vec<String> = counts(&mut rows).into_iter().map(|(key, _)| key).collect();
            let mut expected = keys[..count].to_vec();
            expected.sort_unstable();
            assert_eq!(sorted, expected);
        }
        let mut rows = WindowRows::default();
        rows.take_finals(["b", "", "a"].map(|key| row(key, 1)).into());
        assert_eq!(counts(&mut rows).len(), 3);
    }

    #[test]
    fn rows_that_were_not_displayed_yet_are_counted() {
        let mut rows = WindowRows::default();
        rows.take_live(&row("a", 1));
        assert_eq!(rows.len(), 1);
        rows.take_finals(vec![row("a", 1), row("b", 1)]);
        assert_eq!(rows.len(), 2);
        assert_eq!(counts(&mut rows).len(), 2);
        assert_eq!(rows.len(), 2);
    }
}
