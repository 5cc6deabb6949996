//! Brings rows to the worker that has their key.

use std::rc::Rc;

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::operator::Operator;

use crate::batch::Batch;
use crate::key::Key;
use crate::time::Time;

/// Splits batches so that each row goes to the worker that has the group of its key, of so many
/// workers. `stop` is told why the job cannot go on, if keys cannot be computed at all; the rows of
/// that batch then go nowhere, and its epoch never ends.
pub fn by_key<'s>(
    batches: StreamVec<'s, Time, Batch>,
    key: Key,
    workers: usize,
    stop: Rc<dyn Fn(String)>,
) -> StreamVec<'s, Time, Batch> {
    let split = batches.unary(Pipeline, "SplitByKey", move |_, _| {
        let mut held = None;
        move |input, output| {
            input.for_each_stamp(|capability, data| {
                for batch in data.flat_map(|batches| batches.drain(..)) {
                    if held.is_some() {
                        continue;
                    }
                    match key.split(&batch, workers) {
                        Ok(parts) => output.session(&capability).give_iterator(parts.into_iter()),
                        Err(error) => {
                            held =
                                capability.stamp().iter().min().map(|t| capability.delayed(t, 0));
                            stop(error.to_string());
                        }
                    }
                }
            });
        }
    });
    let to_worker = Exchange::new(|(worker, _): &(u64, Batch)| *worker);
    split.unary(to_worker, "TakeByKey", move |_, _| {
        move |input, output| {
            input.for_each_stamp(|capability, data| {
                let mut session = output.session(&capability);
                for parts in data {
                    session.give_iterator(parts.drain(..).map(|(_, batch)| batch));
                }
            });
        }
    })
}
