//! Epochs, cuts and capabilities of an operator that adds up what is before each time it hears of.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Array, Int64Array, RecordBatch};
use arrow_schema::TimeUnit;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::core::UnorderedInput;
use timely::dataflow::operators::{Inspect, Probe};

use super::*;
use crate::batch::Times;

/// Adds up numbers by their second, and gives each sum when its second is over.
#[derive(Default)]
struct Sums(BTreeMap<i64, i64>);

const SECOND: i64 = 1000;

fn batch(rows: &[(i64, i64)]) -> Batch {
    let values: Arc<dyn Array> =
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, n)| *n)));
    let rows_of = RecordBatch::try_from_iter([("n", values)]).unwrap();
    let times: Vec<i64> = rows.iter().map(|(millis, _)| *millis).collect();
    Batch::new(rows_of, Some(Times::new(times, TimeUnit::Millisecond)), None)
}

fn rows(batch: &Batch) -> Vec<(i64, i64)> {
    let numbers = batch.rows().column(0).as_any().downcast_ref::<Int64Array>().unwrap();
    let times = batch.times().unwrap().exact();
    times.iter().copied().zip(numbers.values().iter().copied()).collect()
}

impl Stateful for Sums {
    fn apply(&mut self, _input: usize, batch: Batch, _out: &mut Output) {
        for (millis, n) in rows(&batch) {
            *self.0.entry(millis.div_euclid(SECOND)).or_default() += n;
        }
    }
    fn advance(&mut self, progress: Progress<'_>, out: &mut Output) {
        while let Some(first) = self.0.first_entry()
            && EventTime::from_millis((first.key() + 1) * SECOND) <= progress.least()
        {
            let (second, sum) = first.remove_entry();
            out.give(batch(&[((second + 1) * SECOND - 1, sum)]));
        }
    }
    fn earliest(&self) -> EventTime {
        let first = self.0.first_key_value();
        first
            .map_or(EventTime::MAX, |(second, _)| EventTime::from_millis((second + 1) * SECOND - 1))
    }
    fn snapshot(&self) -> Vec<Part> {
        self.0
            .iter()
            .map(|state| Part { group: 0, bytes: postcard::to_stdvec(&state).unwrap() })
            .collect()
    }
    fn restore(&mut self, part: Part) -> Result<(), String> {
        let (second, sum): (i64, i64) =
            postcard::from_bytes(&part.bytes).map_err(|e| e.to_string())?;
        *self.0.entry(second).or_default() += sum;
        Ok(())
    }
}

fn at(epoch: u64, millis: i64) -> Time {
    Time::new(epoch, EventTime::from_millis(millis))
}

fn arrival(epoch: u64, millis: i64) -> [Arrival; 1] {
    [Arrival { epoch, event: EventTime::from_millis(millis) }]
}

fn given(made: &Made) -> Vec<(Time, Vec<(i64, i64)>)> {
    made.rows.iter().map(|(time, batch)| (*time, rows(batch))).collect()
}

#[test]
fn a_row_leaves_when_event_time_has_passed_it_in_the_epoch_of_that_moment() {
    let mut sums = Running::new(Sums::default());
    sums.receive(0, at(0, 100), batch(&[(100, 1), (1200, 2)]));
    let made = sums.step(&arrival(0, 900)).unwrap();
    assert!(made.rows.is_empty());
    assert_eq!(made.hold, Some(at(0, 900)));
    let made = sums.step(&arrival(0, 1500)).unwrap();
    assert_eq!(given(&made), [(at(0, 999), vec![(999, 1)])]);
    assert_eq!(made.hold, Some(at(0, 1500)));
    // What is kept holds event time, and no epoch.
    let made = sums.step(&arrival(7, 1990)).unwrap();
    assert_eq!(made.hold, Some(at(7, 1990)));
    let made = sums.step(&arrival(7, 5000)).unwrap();
    assert_eq!(given(&made), [(at(7, 1999), vec![(1999, 2)])]);
}

#[test]
fn what_came_for_a_later_epoch_is_in_no_earlier_cut_and_nothing_closes_before_it() {
    let mut sums = Running::new(Sums::default());
    sums.epochs.ask_for_cut(0, false);
    sums.receive(0, at(0, 100), batch(&[(100, 1)]));
    sums.receive(0, at(1, 100), batch(&[(150, 10)]));
    // The frontier has passed the second, but what waits belongs to it.
    let made = sums.step(&arrival(0, 3000)).unwrap();
    assert!(made.rows.is_empty());
    let made = sums.step(&arrival(1, 3000)).unwrap();
    assert_eq!(made.snapshots.len(), 1);
    let mut restored = Sums::default();
    for part in made.snapshots[0].parts.clone() {
        restored.restore(part).unwrap();
    }
    assert_eq!(restored.0, BTreeMap::from([(0, 1)]));
    assert_eq!(given(&made), [(at(1, 999), vec![(999, 11)])]);
    assert_eq!(made.counts[0].counts, Counts { read: 1, ..Counts::default() });
}

#[test]
fn at_the_end_everything_leaves_and_the_last_snapshot_is_empty() {
    let mut sums = Running::new(Sums::default());
    sums.receive(0, at(0, 100), batch(&[(100, 1)]));
    sums.receive(0, at(3, 100), batch(&[(5100, 2)]));
    let made = sums.step(&[Arrival::END]).unwrap();
    assert_eq!(given(&made), [(at(3, 999), vec![(999, 1)]), (at(3, 5999), vec![(5999, 2)])]);
    assert_eq!(made.hold, None);
    let last = made.snapshots.last().unwrap();
    assert_eq!((last.epoch, last.closing, last.parts.len()), (LAST_EPOCH, true, 0));
}

#[test]
fn once_the_job_has_to_stop_nothing_leaves_and_no_epoch_ends() {
    let mut sums = Running::new(Sums::default());
    sums.receive(0, at(0, 100), batch(&[(100, 1)]));
    assert!(sums.step(&arrival(0, 500)).is_some());
    sums.out.stop("the first reason");
    sums.out.stop("another");
    assert!(sums.step(&arrival(1, 5000)).is_none());
    assert_eq!(sums.out.take_stop().as_deref(), Some("the first reason"));
    assert!(sums.step(&[Arrival::END]).is_none());
}

/// Leaves out all rows as late.
struct AllLate;

impl Stateful for AllLate {
    fn apply(&mut self, input: usize, batch: Batch, out: &mut Output) {
        out.leave_out_late(input, batch);
    }
    fn advance(&mut self, _progress: Progress<'_>, _out: &mut Output) {}
    fn earliest(&self) -> EventTime {
        EventTime::MAX
    }
    fn snapshot(&self) -> Vec<Part> {
        Vec::new()
    }
    fn restore(&mut self, _part: Part) -> Result<(), String> {
        Ok(())
    }
}

#[test]
fn late_rows_of_each_input_leave_on_a_stream_of_their_own() {
    let (late_sender, late) = std::sync::mpsc::channel();
    timely::execute_directly(move |worker| {
        let (mut one, mut two) = worker.dataflow::<Time, _, _>(|scope| {
            let (one, first) = unordered::<Batch>(scope);
            let (two, second) = unordered::<Batch>(scope);
            let (_, cuts) = unordered::<Cut>(scope);
            let (_, restored) = unordered::<Part>(scope);
            let control = Control { cuts, restored, stop: Rc::new(|_| {}) };
            let streams = run("AllLate", scope, vec![first, second], control, AllLate);
            for (input, stream) in streams.late.into_iter().enumerate() {
                let sender = late_sender.clone();
                stream.inspect(move |batch| sender.send((input, rows(batch))).unwrap());
            }
            (one, two)
        });
        give(&mut one, batch(&[(100, 1)]));
        give(&mut two, batch(&[(200, 2)]));
        drop((one, two));
        while worker.step() {}
    });
    let mut late: Vec<_> = late.iter().collect();
    late.sort();
    assert_eq!(late, [(0, vec![(100, 1)]), (1, vec![(200, 2)])]);
}

#[test]
#[should_panic(expected = "was the earliest")]
fn an_operator_that_gives_a_row_before_its_earliest_is_a_fault() {
    struct Early;
    impl Stateful for Early {
        fn apply(&mut self, _input: usize, batch: Batch, out: &mut Output) {
            out.give(batch);
        }
        fn advance(&mut self, _progress: Progress<'_>, _out: &mut Output) {}
        fn earliest(&self) -> EventTime {
            EventTime::MAX
        }
        fn snapshot(&self) -> Vec<Part> {
            Vec::new()
        }
        fn restore(&mut self, _part: Part) -> Result<(), String> {
            Ok(())
        }
    }
    let mut early = Running::new(Early);
    early.step(&arrival(0, 500)).unwrap();
    early.receive(0, at(0, 500), batch(&[(400, 1)]));
    early.step(&arrival(0, 500)).unwrap();
}

/// An input of a dataflow whose times are not in one order.
type Unordered<D> = (
    timely::dataflow::operators::core::UnorderedHandle<Time, CapacityContainerBuilder<Vec<D>>>,
    timely::dataflow::operators::ActivateCapability<Time>,
);

fn unordered<'s, D: Clone + 'static>(
    scope: Scope<'s, Time>,
) -> (Unordered<D>, StreamVec<'s, Time, D>) {
    scope.new_unordered_input()
}

fn give<D: Clone + 'static>((input, capability): &mut Unordered<D>, data: D) {
    input.activate().session_with_builder(capability).give(data);
}

#[test]
fn in_a_dataflow_rows_leave_behind_the_frontier_and_cuts_are_copied_out() {
    let (rows_sender, given) = std::sync::mpsc::channel();
    let (cuts_sender, cuts_made) = std::sync::mpsc::channel();
    let (stop_sender, stopped) = std::sync::mpsc::channel();
    let held = timely::execute_directly(move |worker| {
        let (mut input, mut cuts, mut restored, probe) = worker.dataflow::<Time, _, _>(|scope| {
            let (input, batches) = unordered::<Batch>(scope);
            let (cuts, cut_requests) = unordered::<Cut>(scope);
            let (restored, parts) = unordered::<Part>(scope);
            let stop = Rc::new(move |problem: String| stop_sender.send(problem).unwrap());
            let control = Control { cuts: cut_requests, restored: parts, stop };
            let streams = run("Sums", scope, vec![batches], control, Sums::default());
            streams.snapshots.inspect(move |snapshot| cuts_sender.send(snapshot.clone()).unwrap());
            let rows = streams.rows.inspect(move |batch| rows_sender.send(rows(batch)).unwrap());
            (input, cuts, restored, rows.probe().0)
        });
        give(
            &mut restored,
            Part { group: 0, bytes: postcard::to_stdvec(&(0_i64, 100_i64)).unwrap() },
        );
        give(&mut cuts, Cut { epoch: 0, closing: false });
        cuts.1.downgrade(&Time::new(1, EventTime::MIN));
        give(&mut input, batch(&[(100, 1), (1500, 2)]));
        input.1.downgrade(&at(1, 500));
        (0..20).for_each(|_| _ = worker.step());
        // Until all is restored, nothing moves.
        assert!(probe.less_than(&at(0, 0)));
        drop(restored);
        (0..20).for_each(|_| _ = worker.step());
        let held = probe.with_frontier(|frontier| frontier.to_vec());
        drop((input, cuts));
        while worker.step() {}
        held
    });
    assert_eq!(held, [at(1, 500)]);
    assert_eq!(given.iter().collect::<Vec<_>>(), [vec![(999, 101)], vec![(1999, 2)]]);
    let cuts: Vec<Snapshot> = cuts_made.iter().collect();
    assert_eq!(
        cuts.iter().map(|cut| (cut.epoch, cut.parts.len())).collect::<Vec<_>>(),
        [(0, 2), (LAST_EPOCH, 0)]
    );
    assert_eq!(stopped.iter().count(), 0);
}
