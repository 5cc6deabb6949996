//! What runs a [`Stateful`] in a dataflow.
//!
//! Rows of the current epoch are applied as they come; those of later epochs are kept. Event time
//! advances to the frontier of each input, but not beyond what is kept. When the frontiers say that
//! the epoch is complete, the state is its cut: it is copied out if that was asked for, and the next
//! epoch begins. The capability stays at the earliest event time at which a row may still leave.
//!
//! Rows that are left out (late, failed) leave at `(epoch, MAX)`: they belong to a cut and to no
//! event time.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, StreamVec};
use timely::progress::Antichain;

use super::{Counts, Output, Part, Progress, Stateful};
use crate::batch::Batch;
use crate::epochs::{Arrival, Epochs};
use crate::time::{EventTime, Time};
use crate::window::{Cut, LAST_EPOCH};

/// What an operator takes in besides rows.
pub struct Control<'s> {
    /// Asks for cuts, on every worker. An epoch is left when this stream has passed it too.
    pub cuts: StreamVec<'s, Time, Cut>,
    /// What an earlier run kept, on any worker. Nothing is given before this stream has ended.
    pub restored: StreamVec<'s, Time, Part>,
    /// Told why the job cannot go on: a part that cannot be taken back, a result that does not fit
    /// where the plan says that the job stops then. After that nothing leaves the operator any more,
    /// and its epoch never ends.
    pub stop: Rc<dyn Fn(String)>,
}

/// What leaves an operator that runs.
pub struct Streams<'s> {
    /// Its rows, at their event times or before.
    pub rows: StreamVec<'s, Time, Batch>,
    /// The rows that it left out because they were late, by input.
    pub late: Vec<StreamVec<'s, Time, Batch>>,
    /// The rows that it could not compute.
    pub errors: StreamVec<'s, Time, Batch>,
    /// What became of the rows of each epoch.
    pub counts: StreamVec<'s, Time, EpochCounts>,
    /// What it keeps, at each cut and at the end.
    pub snapshots: StreamVec<'s, Time, Snapshot>,
}

/// What became of the rows of an epoch, on one worker.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochCounts {
    /// The epoch.
    pub epoch: u64,
    /// What became of its rows.
    pub counts: Counts,
}

/// What an operator keeps at a cut, on one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The epoch whose end this is; [`LAST_EPOCH`] at the end of the stream.
    pub epoch: u64,
    /// Whether nothing follows in this run.
    pub closing: bool,
    /// Rows before this event time are closed or dropped, here.
    pub closed_before: EventTime,
    /// What is kept.
    pub parts: Vec<Part>,
}

/// Runs an operator: `name` is what it is called in timely's own events.
///
/// Each input carries rows that belong to this worker: who needs them by key exchanges them before.
pub fn run<'s>(
    name: &str,
    scope: Scope<'s, Time>,
    inputs: Vec<StreamVec<'s, Time, Batch>>,
    control: Control<'s>,
    operator: impl Stateful,
) -> Streams<'s> {
    let mut builder = OperatorBuilder::new(name.to_owned(), scope);
    let mut handles: Vec<_> =
        inputs.into_iter().map(|stream| builder.new_input(stream, Pipeline)).collect();
    // What is asked for and what comes back has no path to the outputs.
    let nowhere: [(usize, Antichain<()>); 0] = [];
    let mut cuts = builder.new_input_connection(control.cuts, Pipeline, nowhere.clone());
    let to_group = Exchange::new(|part: &Part| u64::from(part.group));
    let mut restored = builder.new_input_connection(control.restored, to_group, nowhere);
    let inputs = handles.len();
    let all = || (0..inputs).map(|input| (input, Antichain::from_elem(()))).collect::<Vec<_>>();
    let (rows, rows_stream) = builder.new_output_connection(all());
    let (late, late_streams): (Vec<_>, Vec<_>) =
        (0..inputs).map(|_| builder.new_output_connection(all())).unzip();
    let (errors, errors_stream) = builder.new_output_connection(all());
    let (counts, counts_stream) = builder.new_output_connection(all());
    let (snapshots, snapshots_stream) = builder.new_output_connection(all());

    builder.build(move |capabilities| {
        let mut running = Running::new(operator);
        let mut held = Some(Capabilities::of(capabilities));
        let mut rows = OutputBuilder::from(rows);
        let mut late: Vec<_> = late.into_iter().map(OutputBuilder::from).collect();
        let mut errors = OutputBuilder::from(errors);
        let mut counts = OutputBuilder::from(counts);
        let mut snapshots = OutputBuilder::from(snapshots);
        move |frontiers| {
            let Some(capabilities) = &mut held else {
                cuts.for_each(|_, cuts| cuts.clear());
                return;
            };
            restored.for_each(|_, parts| {
                for part in parts.drain(..) {
                    if let Err(problem) = running.operator.restore(part) {
                        running.out.stop(problem);
                    }
                }
            });
            cuts.for_each(|_, cuts| {
                cuts.drain(..).for_each(|cut| running.epochs.ask_for_cut(cut.epoch, cut.closing));
            });
            for (input, handle) in handles.iter_mut().enumerate() {
                handle.for_each(|capability, batches| {
                    // A sender sends under one capability, so a stamp is one time.
                    let Some(time) = capability.stamp().iter().min().copied() else { return };
                    batches.drain(..).for_each(|batch| running.receive(input, time, batch));
                });
            }
            let (cuts, restored) =
                (Arrival::of(&frontiers[inputs]), Arrival::of(&frontiers[inputs + 1]));
            let arrivals = frontiers[..inputs]
                .iter()
                .map(|frontier| Arrival::of(frontier).with(cuts, restored));
            let Some(made) = running.step(&arrivals.collect::<Vec<_>>()) else {
                if let Some(reason) = running.out.take_stop() {
                    (control.stop)(reason);
                }
                return;
            };

            let (mut rows, mut errors) = (rows.activate(), errors.activate());
            for (time, batch) in made.rows {
                rows.session(&capabilities.rows.delayed(&time)).give(batch);
            }
            let aside = |capability: &Capability<Time>, epoch| {
                capability.delayed(&Time::new(epoch, EventTime::MAX))
            };
            for (epoch, input, batch) in made.late {
                let capability = aside(&capabilities.late[input], epoch);
                late[input].activate().session(&capability).give(batch);
            }
            for (epoch, batch) in made.errors {
                errors.session(&aside(&capabilities.errors, epoch)).give(batch);
            }
            let (mut counts, mut snapshots) = (counts.activate(), snapshots.activate());
            for count in made.counts {
                counts.session(&aside(&capabilities.counts, count.epoch)).give(count);
            }
            for snapshot in made.snapshots {
                let capability = aside(&capabilities.snapshots, snapshot.epoch);
                snapshots.session(&capability).give(snapshot);
            }
            match made.hold {
                Some(time) => capabilities.downgrade(time),
                None => held = None,
            }
        }
    });
    Streams {
        rows: rows_stream,
        late: late_streams,
        errors: errors_stream,
        counts: counts_stream,
        snapshots: snapshots_stream,
    }
}

/// What the operator may still send at.
struct Capabilities {
    rows: Capability<Time>,
    late: Vec<Capability<Time>>,
    errors: Capability<Time>,
    counts: Capability<Time>,
    snapshots: Capability<Time>,
}

impl Capabilities {
    fn of(mut capabilities: Vec<Capability<Time>>) -> Capabilities {
        let last = capabilities.split_off(capabilities.len() - 3);
        let [errors, counts, snapshots] = <[_; 3]>::try_from(last).expect("one for each output");
        let late = capabilities.split_off(1);
        let rows = capabilities.pop().expect("one for each output");
        Capabilities { rows, late, errors, counts, snapshots }
    }

    fn downgrade(&mut self, time: Time) {
        if *self.rows.time() != time {
            self.rows.downgrade(&time);
        }
        // What leaves on the other ports belongs to an epoch and to no event time.
        let aside = Time::new(time.epoch, EventTime::MAX);
        if *self.counts.time() != aside {
            let others = [&mut self.errors, &mut self.counts, &mut self.snapshots];
            for capability in others.into_iter().chain(&mut self.late) {
                capability.downgrade(&aside);
            }
        }
    }
}

/// An operator and where it stands. Knows no stream.
struct Running<S> {
    operator: S,
    epochs: Epochs<(usize, Batch)>,
    out: Output,
    /// How far each input was when the operator last heard of it.
    progress: Vec<EventTime>,
    /// The earliest event time at which rows may leave, as it was said last.
    held: EventTime,
    stopped: bool,
}

/// What came of a step.
#[derive(Default)]
struct Made {
    rows: Vec<(Time, Batch)>,
    /// Of which input.
    late: Vec<(u64, usize, Batch)>,
    errors: Vec<(u64, Batch)>,
    counts: Vec<EpochCounts>,
    snapshots: Vec<Snapshot>,
    /// The time from which on more may leave; none at the end.
    hold: Option<Time>,
}

impl<S: Stateful> Running<S> {
    fn new(operator: S) -> Self {
        let (epochs, out) = (Epochs::default(), Output::default());
        let (progress, held, stopped) = (Vec::new(), EventTime::MIN, false);
        Self { operator, epochs, out, progress, held, stopped }
    }

    /// Applies what belongs to the current epoch, and keeps what belongs to a later one.
    fn receive(&mut self, input: usize, time: Time, batch: Batch) {
        if self.epochs.is_later(time) {
            self.epochs.keep(time, (input, batch));
        } else {
            self.apply(input, batch);
        }
    }

    fn apply(&mut self, input: usize, batch: Batch) {
        self.out.note_read(batch.len() as u64);
        self.operator.apply(input, batch, &mut self.out);
    }

    /// Goes as far as what can still arrive lets it; nowhere once the job has to stop.
    fn step(&mut self, arrivals: &[Arrival]) -> Option<Made> {
        let made = (!self.stopped).then(|| self.go(arrivals));
        self.stopped |= self.out.has_to_stop();
        made.filter(|_| !self.stopped)
    }

    fn go(&mut self, arrivals: &[Arrival]) -> Made {
        let arrival = arrivals.iter().copied().fold(Arrival::END, Arrival::and);
        let mut made = Made::default();
        loop {
            // What is kept may belong to what the frontier has passed.
            let kept = self.epochs.earliest_kept();
            let progress: Vec<_> = arrivals.iter().map(|arrival| arrival.event.min(kept)).collect();
            if progress != self.progress {
                self.operator.advance(Progress::of(&progress), &mut self.out);
                self.progress = progress;
            }
            self.collect(&mut made);
            let epoch = self.epochs.current();
            if arrival.epoch <= epoch {
                break;
            }
            made.counts.push(EpochCounts { epoch, counts: self.out.take_counts() });
            if let Some(closing) = self.epochs.take_cut() {
                made.snapshots.push(self.snapshot(epoch, closing));
            }
            let Some(next) = self.epochs.next(arrival.epoch) else {
                // Nothing will arrive and nothing is kept: everything has left.
                made.snapshots.push(self.snapshot(LAST_EPOCH, true));
                return made;
            };
            for (input, batch) in self.epochs.enter(next) {
                self.apply(input, batch);
            }
        }
        let least = self.progress.iter().copied().min().unwrap_or(EventTime::MAX);
        self.held = least.min(self.operator.earliest()).max(self.held);
        made.hold = Some(Time::new(self.epochs.current(), self.held));
        made
    }

    /// Takes what the operator has given, as of the current epoch.
    fn collect(&mut self, made: &mut Made) {
        let epoch = self.epochs.current();
        for batch in self.out.take_rows() {
            let least = batch.times().and_then(crate::batch::Times::least);
            let event = least.expect("rows that leave an operator with state have event time");
            assert!(
                self.held <= event,
                "a row left at {event:?}, and {:?} was the earliest",
                self.held
            );
            made.rows.push((Time::new(epoch, event), batch));
        }
        let late = self.out.take_late().into_iter();
        made.late.extend(late.map(|(input, batch)| (epoch, input, batch)));
        made.errors.extend(self.out.take_errors().into_iter().map(|batch| (epoch, batch)));
    }

    fn snapshot(&self, epoch: u64, closing: bool) -> Snapshot {
        let closed_before = self.progress.iter().copied().min().unwrap_or(EventTime::MIN);
        Snapshot { epoch, closing, closed_before, parts: self.operator.snapshot() }
    }
}

#[cfg(test)]
mod tests;
