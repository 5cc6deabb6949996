//! Closing windows: their rows.

use super::merging::Merging;
use crate::aggregate::Aggregate;
use crate::time::EventTime;
use crate::window::panes::{Pane, Panes};
use crate::window::prefetch::prefetch;
use crate::window::{Row, Window};

/// How many rows leave in one batch, and at most a page of panes more.
const ROWS_TOGETHER: usize = 512;

/// The last instant in a window: where its rows leave.
pub(super) fn last_instant(window: Window) -> EventTime {
    EventTime::from_millis(window.end.as_millis() - 1)
}

impl<V, A: Aggregate<V>> Merging<V, A> {
    /// Up to where windows may close: nothing that arrives, from this event time on, and nothing kept can still be
    /// for a window that ends at or before it.
    fn limit(&self, arrival: EventTime) -> EventTime {
        self.epochs.earliest_kept().min(arrival)
    }

    /// Removes the oldest window and gives its panes, if it ends at or before the limit.
    pub(super) fn close_next(&mut self, arrival: EventTime) -> Option<(Window, Panes<A::Partial>)> {
        let limit = self.limit(arrival);
        self.closed_before = self.closed_before.max(limit);
        let window = self.windows.window_at(self.open.first()?);
        if limit < window.end {
            return None;
        }
        self.changed = true;
        Some((window, self.open.close_first()?))
    }

    /// Makes the rows of some panes of a window that closes: none only where there are no more.
    pub(super) fn close(
        &mut self,
        window: Window,
        pages: &mut impl Iterator<Item = Vec<Pane<A::Partial>>>,
    ) -> Vec<Row<A::Output>> {
        let (mut together, mut len) = (Vec::new(), 0);
        while len < ROWS_TOGETHER
            && let Some(panes) = pages.next()
        {
            // The panes were not used for as long as the window waited, nor were the names.
            for pane in &panes {
                prefetch(&pane.provenance);
                self.dictionary.prefetch(pane.key);
            }
            len += panes.len();
            together.push(panes);
        }
        let mut rows = Vec::with_capacity(len);
        for pane in together.into_iter().flatten() {
            let key = self.dictionary.name(pane.key);
            self.dictionary.release(pane.key);
            let output = self.aggregate.lower(&pane.partial);
            rows.push(Row { key, window, output, spans: pane.provenance.spans() });
        }
        rows
    }

    /// The earliest event time at which a row may still leave.
    pub(super) fn first_possible_row(&self, arrival: EventTime) -> EventTime {
        let first = self.open.first();
        let first_open =
            first.map_or(EventTime::MAX, |start| last_instant(self.windows.window_at(start)));
        self.limit(arrival).min(first_open)
    }
}
