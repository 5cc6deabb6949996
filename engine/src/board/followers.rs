//! Final rows for whoever follows them: each as soon as it is there, and when those of a window are all
//! there.

use std::collections::BTreeSet;

use strandline_operators::time::EventTime;
use strandline_operators::window::{Row, Window};

use crate::feed::Feed;
use crate::table::{CellRow, Cells};
use crate::view::FinalRow;

/// Most final rows that are pushed to followers in one piece, a number of rows.
const ROWS_PUSHED_MAX: usize = 4096;

/// Those who follow final rows.
#[derive(Debug)]
pub(super) struct Followers {
    feed: Feed,
    /// Rows that wait for the end of their batch.
    fresh: Vec<FinalRow>,
    /// The ends of the windows of which rows were pushed, but perhaps not all.
    incomplete: BTreeSet<EventTime>,
}

impl Followers {
    pub(super) fn new(feed: Feed) -> Followers {
        Followers { feed, fresh: Vec::new(), incomplete: BTreeSet::new() }
    }

    /// Whether there are any.
    pub(super) fn are_there(&self) -> bool {
        self.feed.is_followed()
    }

    /// Takes final rows of a window. They may wait until they are [flushed](Self::flush).
    pub(super) fn push<O: Cells>(&mut self, window: Window, rows: &[Row<O>]) {
        self.incomplete.insert(window.end);
        for row in rows {
            self.fresh.push(FinalRow { window, row: CellRow::from(row) });
            if ROWS_PUSHED_MAX <= self.fresh.len() {
                self.flush();
            }
        }
    }

    /// Nothing waits any more.
    pub(super) fn flush(&mut self) {
        if !self.fresh.is_empty() {
            self.feed.push_rows(std::mem::take(&mut self.fresh));
        }
    }

    /// Windows that end at or before this are final. That is told only when somebody waits for it, not
    /// each time that the frontier moves.
    pub(super) fn pass(&mut self, final_before: EventTime) {
        let pushed = self.incomplete.len();
        self.incomplete.retain(|end| final_before < *end);
        if self.incomplete.len() < pushed {
            self.feed.push_complete(final_before);
        }
    }
}
