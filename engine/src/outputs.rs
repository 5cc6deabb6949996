//! Where the rows of a job go: the boundary between the dataflow and durable outputs.

use std::error::Error;

use strandline_operators::record::Rejected;
use strandline_operators::time::Time;
use strandline_operators::window::Row;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;

use crate::failure::Failure;

/// Takes what one worker brings. Encoding and syncing belong on another thread: a worker that
/// waits here holds up its part of the dataflow.
pub trait Sink<R>: 'static {
    /// Takes over some records.
    ///
    /// # Errors
    ///
    /// What ends the job: the records of this and earlier calls may not become durable.
    fn write(&mut self, records: Vec<R>) -> Result<(), Box<dyn Error + Send + Sync>>;
}

impl<R, F> Sink<R> for F
where
    F: FnMut(Vec<R>) -> Result<(), Box<dyn Error + Send + Sync>> + 'static,
{
    fn write(&mut self, records: Vec<R>) -> Result<(), Box<dyn Error + Send + Sync>> {
        self(records)
    }
}

/// Opens the sinks of a job, for each worker of this process.
pub trait Outputs<O>: Send + Sync + 'static {
    /// For final rows.
    fn final_rows(&self, worker: usize) -> Box<dyn Sink<Row<O>>>;
    /// For late records and dead letters.
    fn rejected(&self, worker: usize) -> Box<dyn Sink<Rejected>>;
}

/// Hands the records of a stream to a sink of this worker. Nothing comes out but progress: once
/// the frontier of the output has passed a time, the sink has everything of it.
pub(crate) fn write_to<'s, R: Clone + 'static>(
    records: StreamVec<'s, Time, R>,
    name: &str,
    mut sink: Box<dyn Sink<R>>,
    failure: Failure,
) -> StreamVec<'s, Time, ()> {
    records.unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(Pipeline, name, move |_, _| {
        move |input, _| {
            input.for_each(|_, records| {
                if let Err(error) = sink.write(std::mem::take(records)) {
                    failure.report(crate::job::JobError::Output(error));
                }
            });
        }
    })
}
