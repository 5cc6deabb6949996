//! What worker 0 knows of all partitions: the ledger, epoch by epoch.
//!
//! Sources acknowledge an epoch and windows count it, each with a capability of that epoch. When
//! the frontier here has passed an epoch, every word about it has arrived: the numbers belong to
//! one consistent cut, and `read = windowed + late + dead letters` has to hold. The sides are
//! counted in different places, so a record that gets lost between them shows.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use strandline_operators::record::Partition;
use strandline_operators::time::{EventTime, Time};
use strandline_operators::watermark::{Activity, PartitionWatermark, Watermarks};
use strandline_operators::window::EpochCount;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::core::{Concat, Map};

use crate::control::{Ack, Report};
use crate::view::{Ledger, PartitionState, PartitionView};

/// What worker 0 knows; empty on the others.
#[derive(Clone, Debug)]
pub(crate) struct Coordinator(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    delay: Duration,
    reports: BTreeMap<u64, Vec<Report>>,
    partitions: BTreeMap<Partition, Ack>,
    windowed: BTreeMap<Partition, u64>,
    /// Epochs before this one are complete.
    complete_before: u64,
    /// Nothing more will be reported.
    ended: bool,
    /// Some process has been asked to stop.
    stop_asked: bool,
}

impl Coordinator {
    /// Knows nothing yet; partitions' watermarks are `delay` behind their greatest event times.
    pub(crate) fn new(delay: Duration) -> Coordinator {
        Coordinator(Rc::new(RefCell::new(State {
            delay,
            reports: BTreeMap::new(),
            partitions: BTreeMap::new(),
            windowed: BTreeMap::new(),
            complete_before: 0,
            ended: false,
            stop_asked: false,
        })))
    }

    /// Brings the reports of all workers here, on worker 0.
    pub(crate) fn listen<'s>(
        &self,
        reports: StreamVec<'s, Time, Report>,
        counts: StreamVec<'s, Time, EpochCount>,
    ) {
        let state = Rc::clone(&self.0);
        let to_first_worker = Exchange::new(|_: &Report| 0);
        let _: StreamVec<'s, Time, ()> = reports
            .concat(counts.map(Report::Counted))
            .unary_frontier::<CapacityContainerBuilder<Vec<()>>, _, _, _>(
            to_first_worker,
            "Coordinator",
            move |_, _| {
                move |(input, frontier), _| {
                    let mut state = state.borrow_mut();
                    input.for_each(|_, reports| {
                        for report in reports.drain(..) {
                            let epoch = match &report {
                                Report::Read(ack) => ack.epoch,
                                Report::Counted(count) => count.epoch,
                                Report::StopAsked => {
                                    state.stop_asked = true;
                                    continue;
                                }
                            };
                            state.reports.entry(epoch).or_default().push(report);
                        }
                    });
                    let least = frontier.frontier().iter().map(|time| time.epoch).min();
                    state.complete(least);
                }
            },
        );
    }

    /// The last complete epoch, once there is one.
    pub(crate) fn complete_epoch(&self) -> Option<u64> {
        self.0.borrow().complete_before.checked_sub(1)
    }

    /// Whether every source has finished and every window has been counted.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.borrow().ended
    }

    /// Whether a process has been asked to stop, not only this one.
    pub(crate) fn stop_asked(&self) -> bool {
        self.0.borrow().stop_asked
    }

    /// Whether every partition has been read to the end of a bounded run.
    pub(crate) fn all_finished(&self) -> bool {
        let state = self.0.borrow();
        state.partitions.values().all(|ack| ack.state == PartitionState::Finished)
    }

    /// The ledger of the last complete epoch.
    pub(crate) fn ledger(&self) -> Ledger {
        let state = self.0.borrow();
        let mut total = Ledger::default();
        for partition in state.partitions.keys() {
            total.add(&state.ledger(*partition));
        }
        total
    }

    /// The partitions as they were in the last complete epoch.
    pub(crate) fn partitions(&self) -> Vec<PartitionView> {
        let state = self.0.borrow();
        let view = |(partition, ack): (&Partition, &Ack)| PartitionView {
            partition: *partition,
            worker: ack.worker,
            position: ack.next_offset,
            end: ack.end,
            max_event_time: ack.max_event_time,
            watermark: ack.watermark,
            state: ack.state,
            last_record_at: ack.last_record_at,
            ledger: state.ledger(*partition),
            skipped: ack.skipped,
            untimed: ack.untimed,
        };
        state.partitions.iter().map(view).collect()
    }

    /// The watermarks as they were in the last complete epoch.
    pub(crate) fn watermarks(&self) -> Watermarks {
        let state = self.0.borrow();
        let mut watermarks = Watermarks::default();
        for (partition, ack) in &state.partitions {
            let activity = match ack.state {
                PartitionState::Active | PartitionState::Paused => Activity::Active,
                PartitionState::Idle => Activity::Idle,
                PartitionState::Finished => Activity::Finished,
            };
            let watermark =
                PartitionWatermark::restored(state.delay, ack.floor, ack.max_event_time);
            watermarks.set(*partition, watermark, activity);
        }
        watermarks
    }

    /// What idle partitions may be lifted to.
    pub(crate) fn floor(&self) -> Option<EventTime> {
        self.watermarks().floor()
    }
}

impl State {
    /// Takes over what was reported of the epochs before `least`; of all, where nothing more can
    /// come.
    fn complete(&mut self, least: Option<u64>) {
        let later = least.map_or_else(BTreeMap::new, |least| self.reports.split_off(&least));
        for report in std::mem::replace(&mut self.reports, later).into_values().flatten() {
            match report {
                Report::Read(ack) => {
                    self.partitions.insert(ack.partition, ack);
                }
                Report::Counted(EpochCount { partition, records, .. }) => {
                    *self.windowed.entry(partition).or_default() += records;
                }
                Report::StopAsked => self.stop_asked = true,
            }
        }
        match least {
            Some(least) => self.complete_before = self.complete_before.max(least),
            None => {
                self.complete_before += u64::from(!self.ended);
                self.ended = true;
            }
        }
    }

    fn ledger(&self, partition: Partition) -> Ledger {
        let mut ledger = self.partitions.get(&partition).map(|ack| ack.ledger).unwrap_or_default();
        ledger.windowed = self.windowed.get(&partition).copied().unwrap_or_default();
        ledger
    }
}
