//! What worker 0 says to all workers, outside of the data: inputs that hold no event time back.

use strandline_operators::time::{EventTime, Time};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::ActivateCapability;
use timely::dataflow::operators::core::UnorderedHandle;
use timely::dataflow::operators::core::UnorderedInput;
use timely::dataflow::{Scope, StreamVec};

/// A way into the dataflow for what holds no data back.
pub(crate) struct BroadcastInput<D: Clone + 'static> {
    handle: UnorderedHandle<Time, CapacityContainerBuilder<Vec<D>>>,
    capability: ActivateCapability<Time>,
}

impl<D: Clone + 'static> BroadcastInput<D> {
    /// Opens it in `scope`. The stream ends when every worker has dropped its handle.
    pub(crate) fn open(scope: Scope<'_, Time>) -> (BroadcastInput<D>, StreamVec<'_, Time, D>) {
        let ((handle, capability), stream) = scope.new_unordered_input();
        (BroadcastInput { handle, capability }, stream)
    }

    pub(crate) fn send(&mut self, word: D) {
        self.handle.activate().session(&self.capability).give(word);
    }

    pub(crate) fn send_all(&mut self, words: Vec<D>) {
        self.handle.activate().session(&self.capability).give_iterator(words.into_iter());
    }

    /// Says nothing more about the epochs before this one.
    pub(crate) fn pass(&mut self, epoch: u64) {
        self.capability.downgrade(&Time::new(epoch, EventTime::MAX));
    }
}
