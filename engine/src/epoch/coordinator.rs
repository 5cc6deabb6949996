//! What worker 0 knows of all partitions: the ledger, epoch by epoch, and the cuts.
//!
//! Sources acknowledge an epoch and windows count it, each with a capability of that epoch. When
//! the frontier here has passed an epoch, every word about it has arrived: the numbers belong to
//! one consistent cut, and `read = windowed + late + dead letters` has to hold. The sides are
//! counted in different places, so a record that gets lost between them shows.
//!
//! What processes make durable is heard on an input of its own, whose frontier follows the disks:
//! the ledger does not wait for them. What becomes of a cut by it is known by [`cuts`](super::cuts).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use strandline_operators::record::{Partition, SmolStr};
use strandline_operators::time::{EventTime, Time};
use strandline_operators::watermark::{Activity, PartitionWatermark, Watermarks};
use strandline_operators::window::EpochCount;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::core::{Concat, Exchange as _, Inspect, Map};
use timely::progress::frontier::MutableAntichain;

use crate::checkpoint::manifest::{CutRecord, PartitionCut};
use crate::commit::protocol::{Sealed, Shown};
use crate::epoch::control::{Ack, Report};
use crate::epoch::cuts::{Cuts, Imbalance};
use crate::ledger::Ledger;
use crate::monitor::others::Raised;
use crate::notice::Notice;
use crate::partition::PartitionState;
use crate::partition::PartitionView;

/// The first turn says how far the partitions are, the second lifts the idle ones to there.
const TURNS_TO_LIFT: u32 = 2;

/// Notices of wrong times that are said, a number of them: a person who has not acted on these will not
/// act on more.
const NOTICES_MAX: usize = 32;

/// What worker 0 knows; empty on the others.
#[derive(Clone, Debug)]
pub(crate) struct Coordinator(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    delay: Duration,
    reports: BTreeMap<u64, Vec<Report>>,
    partitions: BTreeMap<Partition, Ack>,
    windowed: BTreeMap<Partition, u64>,
    /// What each partition had come to when this run began: its ledger and the offsets passed over.
    before: BTreeMap<Partition, (Ledger, u64)>,
    /// Epochs before this one are complete.
    complete_before: u64,
    /// Nothing more will be reported.
    ended: bool,
    /// Some process has been asked to stop.
    stop_asked: bool,
    /// How many turns it takes to lift the idle partitions that some partition waits for.
    turns_wanted: u32,
    /// Whether some source waits, or will wait soon, until epochs are complete.
    is_laden: bool,
    /// What other processes have told of their conditions and nobody has taken.
    raised: Vec<Raised>,
    /// What sources have noticed in this run, and how many of it has been said.
    notices: Vec<Notice>,
    notices_said: usize,
    /// Of each process, the epoch up to which its files are visible.
    shown: BTreeMap<usize, u64>,
    cuts: Cuts,
}

impl Coordinator {
    /// Knows what an earlier run kept, if that is continued; partitions' watermarks are `delay`
    /// behind their greatest event times.
    pub(crate) fn new(delay: Duration, workers: usize, kept: Option<&CutRecord>) -> Coordinator {
        let mut state = State {
            delay,
            reports: BTreeMap::new(),
            partitions: BTreeMap::new(),
            windowed: BTreeMap::new(),
            before: BTreeMap::new(),
            complete_before: 0,
            ended: false,
            stop_asked: false,
            turns_wanted: 0,
            is_laden: false,
            raised: Vec::new(),
            notices: Vec::new(),
            notices_said: 0,
            shown: BTreeMap::new(),
            cuts: Cuts::new(workers, kept),
        };
        if let Some(kept) = kept {
            state.complete_before = kept.epoch + 1;
            for cut in &kept.partitions {
                state.windowed.insert(cut.partition, cut.ledger.windowed);
                state.before.insert(cut.partition, (cut.ledger, cut.skipped));
                let (end, last_record_at) = (None, None);
                let state_then = PartitionState::Active;
                let ack = Ack {
                    epoch: kept.epoch,
                    worker: 0,
                    cut: cut.clone(),
                    end,
                    state: state_then,
                    last_record_at,
                    last_readable_at: None,
                    first_unreadable: None,
                    bytes_read: 0,
                    newest_key: None,
                };
                state.partitions.insert(cut.partition, ack);
            }
        }
        Coordinator(Rc::new(RefCell::new(state)))
    }

    /// Brings the reports of all workers here, on worker 0.
    pub(crate) fn listen<'s>(
        &self,
        reports: StreamVec<'s, Time, Report>,
        counts: StreamVec<'s, Time, EpochCount>,
        sealed: StreamVec<'s, Time, Sealed>,
        shown: StreamVec<'s, Time, Shown>,
    ) {
        let state = Rc::clone(&self.0);
        shown.exchange(|_| 0).inspect(move |Shown { process, epoch }| {
            let mut state = state.borrow_mut();
            let last = state.shown.entry(*process).or_default();
            *last = (*last).max(*epoch);
        });
        let state = Rc::clone(&self.0);
        let reports_to_first = Exchange::new(|_: &Report| 0);
        let sealed_to_first = Exchange::new(|_: &Sealed| 0);
        let _: StreamVec<'s, Time, ()> = reports
            .concat(counts.map(Report::Counted))
            .binary_frontier::<_, CapacityContainerBuilder<Vec<()>>, _, _, _, _>(
            sealed,
            reports_to_first,
            sealed_to_first,
            "Coordinator",
            move |_, _| {
                move |(reports, reported), (sealed, durable), _| {
                    let mut state = state.borrow_mut();
                    reports.for_each(|_, reports| {
                        reports.drain(..).for_each(|report| state.hear(report));
                    });
                    state.complete(least_epoch(reported));
                    sealed.for_each(|_, sealed| {
                        sealed.drain(..).for_each(|part| state.cuts.seal(part));
                    });
                    state.complete_cuts(least_epoch(durable));
                }
            },
        );
    }

    /// The cut at the end of this epoch is asked for. The end of the events is one without being
    /// asked for.
    pub(crate) fn expect_cut(&self, epoch: u64) {
        self.0.borrow_mut().cuts.expect(epoch);
    }

    /// The next cut that is durable.
    pub(crate) fn next_durable_cut(&self) -> Option<CutRecord> {
        self.0.borrow_mut().cuts.next_durable()
    }

    /// Whether the cut of this epoch has either become durable or been given up.
    pub(crate) fn cut_is_over(&self, epoch: u64) -> bool {
        self.0.borrow().cuts.is_over(epoch)
    }

    /// Whether the files of these processes are visible, up to those of the cut of `epoch`.
    pub(crate) fn have_shown(&self, mut processes: std::ops::Range<usize>, epoch: u64) -> bool {
        let state = self.0.borrow();
        processes.all(|process| state.shown.get(&process).is_some_and(|shown| epoch <= *shown))
    }

    /// A cut whose ledger does not balance. It does not become a checkpoint, and none after it.
    pub(crate) fn imbalance(&self) -> Option<Imbalance> {
        self.0.borrow().cuts.imbalance()
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

    /// Whether idle partitions, which only a turn can lift, hold back one that has run ahead.
    pub(crate) fn wants_turn(&self) -> bool {
        let state = self.0.borrow();
        let is_idle = |ack: &Ack| ack.state == PartitionState::Idle;
        0 < state.turns_wanted && state.partitions.values().any(is_idle)
    }

    /// Whether some source waits, or will wait soon, until the epoch that it is in is complete, and
    /// leaving `epoch` brings that about: it does not while the one before is incomplete.
    pub(crate) fn is_laden(&self, epoch: u64) -> bool {
        self.0.borrow().is_laden && self.may_lift(epoch)
    }

    /// An epoch is left. Whether that was the last of the turns that a lift takes.
    pub(crate) fn turned(&self) -> bool {
        let mut state = self.0.borrow_mut();
        let wanted = state.turns_wanted;
        state.turns_wanted = wanted.saturating_sub(1);
        // Whoever still is in the next epoch says so again.
        state.is_laden = false;
        wanted == 1
    }

    /// What other processes have told of their conditions, in order.
    pub(crate) fn take_raised(&self) -> Vec<Raised> {
        std::mem::take(&mut self.0.borrow_mut().raised)
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
        let before =
            |partition: &Partition| state.before.get(partition).copied().unwrap_or_default();
        let view = |(partition, ack): (&Partition, &Ack)| PartitionView {
            partition: *partition,
            worker: ack.worker,
            position: ack.cut.next_offset,
            end: ack.end,
            max_event_time: ack.cut.max_event_time,
            watermark: ack.cut.watermark,
            state: ack.state,
            last_record_at: ack.last_record_at,
            last_readable_at: ack.last_readable_at,
            first_unreadable: ack.first_unreadable,
            bytes_read: ack.bytes_read,
            ledger: state.ledger(*partition),
            ledger_before: before(partition).0,
            skipped: ack.cut.skipped,
            skipped_before: before(partition).1,
            untimed: ack.cut.untimed,
        };
        state.partitions.iter().map(view).collect()
    }

    /// What sources have noticed since this was asked last.
    pub(crate) fn take_notices(&self) -> Vec<Notice> {
        let mut state = self.0.borrow_mut();
        let count = state.notices.len();
        let said = std::mem::replace(&mut state.notices_said, count);
        state.notices[said..].to_vec()
    }

    /// The key of a record that took a partition to its greatest event time, if one was noted.
    pub(crate) fn newest_key(&self, partition: Partition) -> Option<SmolStr> {
        self.0.borrow().partitions.get(&partition).and_then(|ack| ack.newest_key.clone())
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
                PartitionWatermark::restored(state.delay, ack.cut.floor, ack.cut.max_event_time);
            watermarks.set(*partition, watermark, activity);
        }
        watermarks
    }

    /// What idle partitions may be lifted to when `epoch` is left. A lift is part of the cut of that
    /// epoch, and of no earlier one; but a window may close by it in every epoch that some worker is
    /// still in. So nothing is lifted while the epoch before that is incomplete.
    pub(crate) fn floor(&self, epoch: u64) -> Option<EventTime> {
        self.may_lift(epoch).then(|| self.watermarks().floor()).flatten()
    }

    /// Whether idle partitions may be lifted when `epoch` is left.
    pub(crate) fn may_lift(&self, epoch: u64) -> bool {
        epoch <= self.complete_epoch().map_or(0, |complete| complete + 1)
    }
}

fn least_epoch(frontier: &MutableAntichain<Time>) -> Option<u64> {
    frontier.frontier().iter().map(|time| time.epoch).min()
}

impl State {
    fn hear(&mut self, report: Report) {
        let epoch = match &report {
            Report::Read(ack) => ack.epoch,
            Report::Counted(count) => count.epoch,
            Report::StopAsked => {
                self.stop_asked = true;
                return;
            }
            Report::Noticed(notice) => {
                let is_news = !self.notices.iter().any(|other| other.is_like(notice));
                let of_senders =
                    self.notices.iter().filter(|notice| notice.is_about_senders()).count();
                if is_news && (!notice.is_about_senders() || of_senders < NOTICES_MAX) {
                    self.notices.push(notice.clone());
                }
                return;
            }
            Report::Raised(raised) => {
                self.raised.push(raised.clone());
                return;
            }
            Report::Laden => {
                self.is_laden = true;
                return;
            }
            Report::Waits => {
                // Whoever still waits after them says so again.
                if self.turns_wanted == 0 {
                    self.turns_wanted = TURNS_TO_LIFT;
                }
                return;
            }
        };
        self.reports.entry(epoch).or_default().push(report);
    }

    /// Takes over what was reported of the epochs before `least`; of all, where nothing more can
    /// come.
    fn complete(&mut self, least: Option<u64>) {
        let later = least.map_or_else(BTreeMap::new, |least| self.reports.split_off(&least));
        let reports = std::mem::replace(&mut self.reports, later);
        let epochs = reports.keys().copied().collect::<Vec<_>>().into_iter();
        for (epoch, reports) in reports {
            self.note_cuts_before(epoch);
            for report in reports {
                match report {
                    Report::Read(ack) => {
                        self.partitions.insert(ack.cut.partition, ack);
                    }
                    Report::Counted(EpochCount { partition, records, .. }) => {
                        *self.windowed.entry(partition).or_default() += records;
                    }
                    Report::StopAsked
                    | Report::Waits
                    | Report::Laden
                    | Report::Raised(_)
                    | Report::Noticed(_) => {}
                }
            }
        }
        self.note_cuts_before(least.unwrap_or(u64::MAX));
        match least {
            Some(least) => self.complete_before = self.complete_before.max(least),
            None if !self.ended => {
                let heard = epochs.chain(self.cuts.last_expected()).max();
                self.complete_before = (self.complete_before + 1).max(heard.map_or(0, |e| e + 1));
                self.ended = true;
            }
            None => {}
        }
    }

    /// Takes note of where the partitions are, for the cuts before `epoch`: nothing of that epoch
    /// has been taken over yet.
    fn note_cuts_before(&mut self, epoch: u64) {
        if self.cuts.is_unknown_before(epoch) {
            let now = self.partition_cuts();
            self.cuts.note_before(epoch, &now);
        }
    }

    /// Completes the cuts of the epochs before `least`; of all, where nothing more can come.
    fn complete_cuts(&mut self, least: Option<u64>) {
        // The frontiers are heard of one after the other: first what a cut is made of.
        let end = if self.ended { u64::MAX } else { self.complete_before };
        self.cuts.complete(least.unwrap_or(u64::MAX).min(end));
        // A process that has not sealed the last epoch yet holds that, and so the frontier.
        if self.ended && least.is_none() {
            let partitions = self.partition_cuts();
            self.cuts.complete_last(self.complete_before - 1, partitions);
        }
    }

    fn partition_cuts(&self) -> Vec<PartitionCut> {
        let cut = |(partition, ack): (&Partition, &Ack)| PartitionCut {
            ledger: self.ledger(*partition),
            ..ack.cut.clone()
        };
        self.partitions.iter().map(cut).collect()
    }

    fn ledger(&self, partition: Partition) -> Ledger {
        let mut ledger =
            self.partitions.get(&partition).map(|ack| ack.cut.ledger).unwrap_or_default();
        ledger.windowed = self.windowed.get(&partition).copied().unwrap_or_default();
        ledger
    }
}

#[cfg(test)]
mod tests;
