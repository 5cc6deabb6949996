//! What runs a [`Stateless`] in a dataflow.
//!
//! Rows leave at the time at which they came. Rows that are left out, and counts, leave at
//! `(epoch, MAX)`: they belong to a cut and to no event time.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, StreamVec};

use super::{Counts, Stateless, Ways};
use crate::batch::Batch;
use crate::time::{EventTime, Time};

/// What leaves an operator that runs.
pub struct Streams<'s> {
    /// Its rows, by way.
    pub ways: Vec<StreamVec<'s, Time, Batch>>,
    /// The rows that it could not compute.
    pub errors: StreamVec<'s, Time, Batch>,
    /// What became of the rows of each batch.
    pub counts: StreamVec<'s, Time, BatchCounts>,
}

/// What became of the rows of a batch. Those of an epoch add up to what became of its rows.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchCounts {
    /// The epoch.
    pub epoch: u64,
    /// What became of the rows.
    pub counts: Counts,
}

/// Runs an operator: `name` is what it is called in timely's own events, `stop` is told why the job
/// cannot go on. After that nothing leaves the operator any more, and its epoch never ends.
pub fn run<'s>(
    name: &str,
    scope: Scope<'s, Time>,
    inputs: Vec<StreamVec<'s, Time, Batch>>,
    operator: impl Stateless,
    stop: Rc<dyn Fn(String)>,
) -> Streams<'s> {
    let mut builder = OperatorBuilder::new(name.to_owned(), scope);
    let mut handles: Vec<_> =
        inputs.into_iter().map(|stream| builder.new_input(stream, Pipeline)).collect();
    let (ways, way_streams): (Vec<_>, Vec<_>) =
        (0..operator.ways()).map(|_| builder.new_output()).unzip();
    let (errors, errors_stream) = builder.new_output();
    let (counts, counts_stream) = builder.new_output();
    let number = operator.ways();
    builder.build(move |_| {
        let mut ways: Vec<_> = ways.into_iter().map(OutputBuilder::from).collect();
        let mut errors = OutputBuilder::from(errors);
        let mut counts = OutputBuilder::from(counts);
        let mut out = Ways::default();
        // At the batch that the job stopped at, for each output: no epoch ends any more.
        let mut held = Vec::new();
        move |_| {
            for (input, handle) in handles.iter_mut().enumerate() {
                handle.for_each(|capability, batches| {
                    let Some(time) = capability.stamp().iter().min().copied() else { return };
                    if !held.is_empty() {
                        return batches.clear();
                    }
                    for batch in batches.drain(..) {
                        out.note_read(batch.len() as u64);
                        operator.apply(input, batch, &mut out);
                        if let Some(reason) = out.take_stop() {
                            let outputs = 0..number + 2;
                            held = outputs.map(|out| capability.delayed(&time, out)).collect();
                            stop(reason);
                            return;
                        }
                    }
                    for (way, batch) in out.take_rows() {
                        let at = capability.delayed(&time, way);
                        ways[way].activate().session(&at).give(batch);
                    }
                    let aside = Time::new(time.epoch, EventTime::MAX);
                    for batch in out.take_errors() {
                        let at = capability.delayed(&aside, number);
                        errors.activate().session(&at).give(batch);
                    }
                    let at = capability.delayed(&aside, number + 1);
                    let batch = BatchCounts { epoch: time.epoch, counts: out.take_counts() };
                    counts.activate().session(&at).give(batch);
                });
            }
        }
    });
    Streams { ways: way_streams, errors: errors_stream, counts: counts_stream }
}
