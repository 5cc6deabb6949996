//! Final rows on their way from the windows to those who read them: the outputs, and the board, which
//! makes cells of them for the view and for followers.
//!
//! A stream with several readers is copied for each of them, and rows are the largest thing that
//! leaves a window. Nobody changes them any more, so in a process the batches in which they leave are
//! shared, by workers and by the committer's thread: a row is made once, and goes when its last reader has
//! gone. Another process gets a copy.

use std::sync::Arc;

use strandline_operators::time::Time;
use strandline_operators::window::Row;
use timely::ExchangeData;
use timely::communication::Push;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::operators::Operator;
use timely::progress::Stamp;

/// Final rows of one time, so of one window.
pub(crate) type SharedRows<O> = Arc<Vec<Row<O>>>;

/// Final rows as batches that cost nothing to copy. O(1) a batch.
pub(crate) fn share<'s, O: ExchangeData + Clone + Sync>(
    finals: StreamVec<'s, Time, Row<O>>,
) -> StreamVec<'s, Time, SharedRows<O>> {
    finals.unary::<CapacityContainerBuilder<Vec<_>>, _, _, _>(Pipeline, "ShareRows", |_, _| {
        move |input, output| {
            input.for_each(|capability, rows| {
                // A container as small as what is in it, which goes on by itself.
                let mut batch = vec![Arc::new(std::mem::take(rows))];
                output.session(&capability).give_container(&mut batch);
            });
        }
    })
}

/// Sends containers to worker 0 as they come. An exchange by key would gather elements until a
/// container is full of them, and these are batches: hundreds of thousands of rows would cross to
/// another process as one message.
pub(crate) struct ToFirstWorker;

impl<C: Default> Distributor<C> for ToFirstWorker {
    fn partition<T: Clone, P: Push<Message<T, C>>>(
        &mut self,
        container: &mut C,
        stamp: &Stamp<T>,
        pushers: &mut [P],
    ) {
        Message::push_at(container, stamp.clone(), &mut pushers[0]);
    }

    fn flush<T: Clone, P: Push<Message<T, C>>>(&mut self, _: &Stamp<T>, _: &mut [P]) {}
}
