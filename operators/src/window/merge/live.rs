//! What the open windows hold, for the view.

use super::merging::Merging;
use crate::aggregate::Aggregate;
use crate::time::EventTime;
use crate::window::{Live, Row, WindowKeys};

impl<V, A: Aggregate<V>> Merging<V, A> {
    /// Turns to the window that a pulse asks for.
    pub(super) fn show(&mut self, show: Option<EventTime>) {
        self.is_other |= self.shown != show;
        self.shown = show;
    }

    /// What is asked for, if anything changed: which windows are open, and the rows of the shown one
    /// that changed since the last look. O(open windows + keys of the shown window).
    pub(super) fn look(&mut self) -> Vec<Live<A::Output>> {
        let all = std::mem::take(&mut self.is_other);
        if !all && !self.changed {
            return Vec::new();
        }
        self.changed = false;
        let open = self.open.iter().map(|(start, panes)| WindowKeys {
            window: self.windows.window_at(start),
            keys: panes.len() as u64,
        });
        let mut looks = vec![Live::Open(open.collect())];
        if let Some((start, panes)) =
            self.shown.and_then(|start| Some((start, self.open.get_mut(start)?)))
        {
            let window = self.windows.window_at(start);
            for pane in panes.iter_mut() {
                if std::mem::take(&mut pane.changed) || all {
                    looks.push(Live::Row(Row {
                        key: self.dictionary.name(pane.key),
                        window,
                        output: self.aggregate.lower(&pane.partial),
                        spans: pane.provenance.spans(),
                    }));
                }
            }
        }
        looks
    }
}
