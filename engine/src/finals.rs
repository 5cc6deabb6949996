//! Final rows on their way from the windows to all who read them: outputs, the board, followers.
//!
//! A stream with several readers is copied for each of them, and rows are the largest thing that
//! leaves a window. Nobody changes them any more, so the batches in which they leave are shared, by
//! workers and by the scribe's thread: a row is made once, and goes when its last reader has gone.

use std::sync::Arc;

use strandline_operators::time::Time;
use strandline_operators::window::Row;
use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;

/// Final rows of one time, so of one window.
pub(crate) type SharedRows<O> = Arc<Vec<Row<O>>>;

/// Final rows as batches that cost nothing to copy. O(1) a batch.
pub(crate) fn share<'s, O: ExchangeData + Clone + Sync>(
    finals: StreamVec<'s, Time, Row<O>>,
) -> StreamVec<'s, Time, SharedRows<O>> {
    finals.unary::<CapacityContainerBuilder<Vec<_>>, _, _, _>(Pipeline, "ShareRows", |_, _| {
        move |input, output| {
            input.for_each(|capability, rows| {
                output.session(&capability).give(Arc::new(std::mem::take(rows)));
            });
        }
    })
}
