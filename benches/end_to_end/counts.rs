//! What a run wrote, held against what its topic holds: windows that were left open, rows and
//! records that are missing or there too often.

use serde::{Deserialize, Serialize};

/// Windows that a watermark of a minute explains: six of ten seconds and the one that the newest
/// message is in. One more, because the newest messages of two partitions may lie on two sides of
/// a window's end.
pub(crate) const LEFT_OPEN_MAX: u64 = 8;

/// What one window holds.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// One for each device.
    pub(crate) rows: u64,
    pub(crate) records: u64,
}

/// What a run wrote or said that it did.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) records: u64,
    /// All of them, also those that are there more than once.
    pub(crate) rows: u64,
    /// The windows that there are rows of, the oldest first, no row counted twice; `None` if only
    /// the sums are known.
    pub(crate) windows: Option<Vec<Window>>,
}

/// How what a run wrote differs from what its topic holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Difference {
    /// Windows of the topic.
    pub(crate) windows: u64,
    /// Of them, the newest ones without all their rows: nothing that follows is about these.
    pub(crate) windows_left_open: u64,
    pub(crate) rows_missing: u64,
    /// Rows beyond one for each device and window.
    pub(crate) rows_too_many: u64,
    /// Below zero: records that were counted more than once.
    pub(crate) records_missing: i64,
}

impl Difference {
    /// `topic` is what the windows of the topic hold, the oldest first.
    pub(crate) fn of(counted: &Counted, topic: &[Window]) -> Difference {
        let sums = Window { rows: counted.rows, records: counted.records };
        let (closed, got, rows_twice) = match &counted.windows {
            Some(seen) => {
                // Of a window that one partition closed and another one did not, some rows are
                // there; an engine that closes the newest window closes all.
                let is_half_open = seen.len() < topic.len()
                    && seen
                        .last()
                        .zip(topic[..seen.len()].last())
                        .is_some_and(|(last, full)| last.rows < full.rows);
                let closed = seen.len() - usize::from(is_half_open);
                let distinct = sum(seen).rows;
                (closed, sum(&seen[..closed]), counted.rows.saturating_sub(distinct))
            }
            // So many rows as the oldest windows have together are taken for theirs.
            None => {
                let closed =
                    (0..=topic.len()).find(|closed| sum(&topic[..*closed]).rows == counted.rows);
                (closed.unwrap_or(topic.len()), sums, 0)
            }
        };
        let expected = sum(&topic[..closed.min(topic.len())]);
        Difference {
            windows: topic.len() as u64,
            windows_left_open: topic.len().saturating_sub(closed) as u64,
            rows_missing: expected.rows.saturating_sub(got.rows),
            rows_too_many: rows_twice + got.rows.saturating_sub(expected.rows),
            records_missing: expected.records.cast_signed() - got.records.cast_signed(),
        }
    }

    /// Whether rows or records are not what they should be: a window left open is no fault.
    pub(crate) fn is_wrong(&self) -> bool {
        self.faults() != (0, 0, 0) || LEFT_OPEN_MAX < self.windows_left_open
    }

    /// The greater, the worse.
    pub(crate) fn badness(&self) -> (bool, u64, u64) {
        let (missing, too_many, records) = self.faults();
        (self.is_wrong(), missing + too_many + records, self.windows_left_open)
    }

    fn faults(&self) -> (u64, u64, u64) {
        (self.rows_missing, self.rows_too_many, self.records_missing.unsigned_abs())
    }

    /// What a table says of a run with so many rows.
    pub(crate) fn text(&self, rows: u64) -> String {
        let mut text = if self.is_wrong() { "**wrong**: " } else { "" }.to_owned();
        text += &rows.to_string();
        if 0 < self.windows_left_open {
            text += &format!("; {} of {} windows left open", self.windows_left_open, self.windows);
        }
        if LEFT_OPEN_MAX < self.windows_left_open {
            text += " or lost";
        }
        let (missing, too_many, records) = self.faults();
        if 0 < missing {
            text += &format!("; {} missing", some(missing, "row"));
        }
        if 0 < too_many {
            text += &format!("; {} too many", some(too_many, "row"));
        }
        if 0 < records {
            let how = if 0 < self.records_missing { "missing" } else { "too many" };
            text += &format!("; {} {how}", some(records, "record"));
        }
        text
    }
}

/// What all of them hold together.
pub(crate) fn sum(windows: &[Window]) -> Window {
    windows.iter().fold(Window::default(), |sum, window| Window {
        rows: sum.rows + window.rows,
        records: sum.records + window.records,
    })
}

fn some(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve windows of ten devices, which sent three messages each.
    fn topic() -> Vec<Window> {
        vec![Window { rows: 10, records: 30 }; 12]
    }

    /// What a run wrote that has these windows, and each row once.
    fn wrote(windows: &[Window]) -> Counted {
        let Window { rows, records } = sum(windows);
        Counted { records, rows, windows: Some(windows.to_vec()) }
    }

    fn said(counted: &Counted) -> String {
        Difference::of(counted, &topic()).text(counted.rows)
    }

    #[test]
    fn what_is_all_there_is_exact() {
        assert_eq!(said(&wrote(&topic())), "120");
    }

    #[test]
    fn windows_left_open_are_no_fault() {
        assert_eq!(said(&wrote(&topic()[..5])), "50; 7 of 12 windows left open");
    }

    #[test]
    fn more_windows_than_a_watermark_explains_are_a_fault() {
        let text = "**wrong**: 30; 9 of 12 windows left open or lost";
        assert_eq!(said(&wrote(&topic()[..3])), text);
        let nothing = Counted { records: 0, rows: 0, windows: Some(Vec::new()) };
        assert_eq!(said(&nothing), "**wrong**: 0; 12 of 12 windows left open or lost");
    }

    #[test]
    fn a_window_that_some_partitions_closed_is_open() {
        let mut windows = topic()[..5].to_vec();
        windows.push(Window { rows: 4, records: 12 });
        assert_eq!(said(&wrote(&windows)), "54; 7 of 12 windows left open");
    }

    #[test]
    fn lost_rows_are_told_from_open_windows() {
        let mut windows = topic()[..5].to_vec();
        windows[2] = Window { rows: 8, records: 24 };
        let text = "**wrong**: 48; 7 of 12 windows left open; 2 rows missing; 6 records missing";
        assert_eq!(said(&wrote(&windows)), text);
        let mut all = topic();
        all[11] = Window { rows: 9, records: 27 };
        assert_eq!(said(&wrote(&all)), "**wrong**: 119; 1 row missing; 3 records missing");
    }

    #[test]
    fn records_can_be_lost_though_all_rows_are_there() {
        let mut windows = topic();
        windows[0].records -= 1;
        assert_eq!(said(&wrote(&windows)), "**wrong**: 120; 1 record missing");
    }

    #[test]
    fn parts_of_rows_are_rows_too_many() {
        let parts = Counted { rows: 3_120, ..wrote(&topic()) };
        assert_eq!(said(&parts), "**wrong**: 3120; 3000 rows too many");
    }

    #[test]
    fn sums_alone_tell_whole_windows() {
        let sums = |rows, records| Counted { records, rows, windows: None };
        assert_eq!(said(&sums(120, 360)), "120");
        assert_eq!(said(&sums(50, 150)), "50; 7 of 12 windows left open");
        let text = "**wrong**: 50; 7 of 12 windows left open; 1 record too many";
        assert_eq!(said(&sums(50, 151)), text);
        let text = "**wrong**: 48; 72 rows missing; 216 records missing";
        assert_eq!(said(&sums(48, 144)), text);
    }
}
