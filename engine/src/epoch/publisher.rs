//! What the leader shows: it makes the view of what worker 0 knows, and tells the other processes what
//! holds of the job.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use strandline_operators::record::Partition;
use strandline_operators::time::EventTime;

use crate::board::Board;
use crate::clock::Clock;
use crate::condition::{Conditions, JobCondition, Phase};
use crate::epoch::broadcast::BroadcastInput;
use crate::epoch::coordinator::Coordinator;
use crate::monitor::observer::{Observer, Seen, holding_back};
use crate::monitor::others::Raised;
use crate::partition::{PartitionState, PartitionView};
use crate::reason_words::ReasonWords;
use crate::table::Table;
use crate::telemetry::Telemetry;
use crate::view::{OPEN_WINDOWS_MAX, OpenWindow, Snapshot, View, WaitsFor, lag};

/// Over how many epochs the rate of records is averaged.
const RATE_EPOCHS: usize = 3;
/// How long the rate is that of epochs that are over, at least: if none is completed for longer, and for
/// longer than these took, nothing moves.
const RATE_COUNTS_FOR: Duration = Duration::from_secs(5);

/// What does not change of what is shown.
pub(crate) struct Shown {
    pub(crate) topic: String,
    pub(crate) table: Arc<Table>,
    pub(crate) reason_words: ReasonWords,
    /// Workers of this process.
    pub(crate) local_workers: usize,
    pub(crate) final_rows_before: u64,
}

/// What the coordinator and the board do not know.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) phase: Phase,
    /// How many checkpoints there have been, if there are any.
    pub(crate) checkpoints: Option<u64>,
    pub(crate) committed_before: Option<EventTime>,
    /// Records that were read of the partitions of this process before this run.
    pub(crate) read_before: u64,
}

/// Publishes snapshots.
pub(crate) struct Publisher {
    shown: Shown,
    view: View,
    clock: Clock,
    telemetry: Telemetry,
    observer: Observer,
    /// Records read, and when: at the last complete epochs.
    rates: VecDeque<(Duration, u64)>,
    seen_complete: Option<u64>,
    /// What the other processes were told last, and the number of the snapshot that it was in.
    told: (u64, Vec<JobCondition>),
}

impl Publisher {
    pub(crate) fn new(
        shown: Shown,
        view: View,
        clock: Clock,
        telemetry: Telemetry,
        observer: Observer,
    ) -> Publisher {
        Publisher {
            shown,
            view,
            clock,
            telemetry,
            observer,
            rates: VecDeque::new(),
            seen_complete: None,
            told: (0, Vec::new()),
        }
    }

    /// The leader has come round.
    pub(crate) fn note_leader(&self, now: Duration) {
        self.view.telemetry().note_leader(now);
    }

    /// Hears what holds in the other processes, and tells them what holds of the job, as long as there
    /// is anything to be told.
    pub(crate) fn exchange_conditions(
        &mut self,
        coordinator: &Coordinator,
        others: Option<&mut BroadcastInput<Vec<JobCondition>>>,
    ) {
        for Raised { process, conditions } in coordinator.take_raised() {
            self.view.telemetry().hear(process, conditions);
        }
        let Some(others) = others else { return };
        let shown = self.view.latest();
        let (number, told) = &mut self.told;
        if std::mem::replace(number, shown.number) != shown.number
            && told.as_slice() != shown.conditions.all()
        {
            *told = shown.conditions.all().to_vec();
            others.send(told.clone());
        }
    }

    /// Takes note of what has been read when an epoch is complete.
    pub(crate) fn measure(&mut self, coordinator: &Coordinator, now: Duration) {
        let complete = coordinator.complete_epoch();
        if complete != self.seen_complete {
            self.seen_complete = complete;
            self.rates.push_back((now, coordinator.ledger().read));
            while RATE_EPOCHS + 1 < self.rates.len() {
                self.rates.pop_front();
            }
        }
    }

    /// Shows how everything is now.
    pub(crate) fn publish(&mut self, coordinator: &Coordinator, board: &Board, progress: Progress) {
        let Progress { phase, checkpoints, committed_before, read_before } = progress;
        let partitions = coordinator.partitions();
        let watermarks = coordinator.watermarks();
        let passed = Some(board.final_before())
            .filter(|passed| EventTime::MIN < *passed && *passed < EventTime::MAX);
        let watermark = watermarks.minimum().max(passed);
        let open = board.open_windows();
        let holder = holding_back(&partitions).map(|view| view.partition);
        let is_idle = |view: &PartitionView| view.state == PartitionState::Idle;
        let rests = holder.is_none() && partitions.iter().any(is_idle);
        let open_windows = open.iter().take(OPEN_WINDOWS_MAX).map(|open| {
            let is_behind = |holder: &Partition| {
                watermarks.get(*holder).is_some_and(|w| w.value() < open.window.end)
            };
            // Beside others, an idle partition is waited for until the next epoch at most.
            let waits_for = match holder.filter(is_behind) {
                Some(holder) => WaitsFor::Partition(holder),
                None if rests => WaitsFor::Record,
                None => WaitsFor::Nothing,
            };
            OpenWindow { window: open.window, keys: open.keys, waits_for }
        });
        let local_read: u64 = partitions
            .iter()
            .filter(|partition| partition.worker < self.shown.local_workers)
            .map(|partition| partition.ledger.read)
            .sum();
        let records_per_second = rate(&self.rates, self.clock.elapsed());
        let raised = self.view.telemetry().all_raised();
        let conditions = Conditions::of(self.observer.observe(&Seen {
            now: self.clock.elapsed(),
            wall: self.clock.wall(),
            phase,
            partitions: &partitions,
            lag: lag(&partitions),
            records_per_second,
            complete_epoch: coordinator.complete_epoch(),
            open_windows: open.len() as u64,
            cannot_read: self.view.telemetry().cannot_read(),
            worst_raised: raised.iter().map(|raised| raised.kind).min(),
            newest_key: holder.and_then(|holder| coordinator.newest_key(holder)),
            checkpoints,
            reason_words: &self.shown.reason_words,
        }));
        let snapshot = Snapshot {
            // The view counts.
            number: 0,
            at: self.clock.wall(),
            phase,
            conditions,
            topic: self.shown.topic.clone(),
            table: Arc::clone(&self.shown.table),
            reason_words: self.shown.reason_words.clone(),
            window: board.display(),
            watermark,
            ledger: coordinator.ledger(),
            epoch: coordinator.complete_epoch().unwrap_or(0),
            in_flight: (self.telemetry.records_read() + read_before).saturating_sub(local_read),
            final_rows: board.final_rows(),
            final_rows_before: self.shown.final_rows_before,
            committed_before,
            records_per_second,
            open_windows: open_windows.collect(),
            open_windows_count: open.len() as u64,
            open_rows: open.iter().map(|open| open.keys).sum(),
            partitions,
        };
        self.view.publish(snapshot);
    }
}

/// Records read a second at `now`, of how many had been read when.
fn rate(rates: &VecDeque<(Duration, u64)>, now: Duration) -> f64 {
    let (Some((from, before)), Some((to, after))) = (rates.front(), rates.back()) else {
        return 0.0;
    };
    let measured = to.saturating_sub(*from);
    if measured.is_zero() || measured.max(RATE_COUNTS_FOR) < now.saturating_sub(*to) {
        return 0.0;
    }
    (after - before) as f64 / measured.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_epochs_and_none_while_nothing_moves() {
        let second = Duration::from_secs;
        let mut rates = VecDeque::from([(second(10), 1000)]);
        assert_eq!(rate(&rates, second(10)), 0.0, "one epoch took no time");
        rates.push_back((second(12), 1500));
        assert_eq!(rate(&rates, second(12)), 250.0);
        assert_eq!(rate(&rates, second(17)), 250.0);
        assert_eq!(rate(&rates, second(18)), 0.0, "no epoch was completed for longer than 5 s");
        // Epochs that take a minute.
        rates = VecDeque::from([(second(0), 0), (second(60), 600)]);
        assert_eq!(rate(&rates, second(119)), 10.0);
        assert_eq!(rate(&rates, second(121)), 0.0);
    }
}
