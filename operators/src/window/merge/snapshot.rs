//! The state as it leaves for a checkpoint and comes back.

use super::merging::Merging;
use crate::aggregate::Aggregate;
use crate::window::provenance::Provenance;
use crate::window::state::{PaneState, Snapshot};

impl<V, A: Aggregate<V>> Merging<V, A> {
    /// Takes back a pane of an earlier run: its records have been counted then.
    pub(super) fn restore(&mut self, state: PaneState<A::Partial>) {
        let PaneState { key, start, partial, spans } = state;
        let key = self.dictionary.acquire(&key);
        self.changed = true;
        let panes = self.open.get_mut(start);
        if let Some(pane) = panes.and_then(|panes| Some(panes.at(panes.place(key)?))) {
            self.aggregate.combine(&mut pane.partial, &partial);
            spans.into_iter().for_each(|span| pane.provenance.add(span));
            self.dictionary.release(key);
        } else {
            self.open.insert(start, key, partial, Provenance::from(spans));
        }
    }

    /// A copy of all panes. O(panes).
    pub(super) fn copy(&self, epoch: u64, closing: bool) -> Snapshot<A::Partial> {
        let mut panes = Vec::with_capacity(self.open.iter().map(|(_, panes)| panes.len()).sum());
        for (start, open) in self.open.iter() {
            panes.extend(open.iter().map(|pane| PaneState {
                key: self.dictionary.name(pane.key),
                start,
                partial: pane.partial.clone(),
                spans: pane.provenance.spans(),
            }));
        }
        Snapshot { epoch, closing, closed_before: self.closed_before, panes }
    }
}
