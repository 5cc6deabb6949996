//! Decides which epochs are cut, and turns cuts into manifests.
//!
//! This is the part of worker 0 that knows of checkpoints. It looks at no disk: it hands manifests
//! to the committer of its process, and hears when they are durable.

use std::time::Duration;

use strandline_operators::record::{Offset, Partition};
use strandline_operators::time::EventTime;
use strandline_operators::window::LAST_EPOCH;

use crate::checkpoint::manifest::{CutRecord, Manifest};
use crate::checkpoint::places;
use crate::commit::protocol::LeaderCommand;
use crate::commit::{Mailbox, MailboxItem};
use crate::epoch::broadcast::BroadcastInput;
use crate::epoch::control::Order;
use crate::epoch::coordinator::Coordinator;
use crate::telemetry::Telemetry;

/// Cuts that may be on their way at once.
const CUTS_IN_FLIGHT_MAX: usize = 1;

/// Hears up to where results are durable.
pub(crate) type Committed = Box<dyn Fn(&[(Partition, Offset)])>;

/// See the module.
pub(crate) struct Checkpointer {
    every: Duration,
    next_cut_at: Duration,
    mailbox: Mailbox,
    words: BroadcastInput<LeaderCommand>,
    /// What the next manifest says besides its cut; its number is the last one that is ours.
    last: Manifest,
    /// The epochs of cuts that were asked for and are not over.
    in_flight: Vec<u64>,
    /// When the last cut was asked for, by the clock.
    asked_at: Duration,
    /// How many cuts of this run have become checkpoints.
    completed: u64,
    telemetry: Telemetry,
    /// Manifests on their way to the disk.
    putting: Vec<Manifest>,
    committed: Committed,
    committed_before: EventTime,
    /// The last epoch of this run whose cut has become a checkpoint.
    committed_epoch: Option<u64>,
    /// The number of the manifest that names no file of another place any more.
    settling: Option<u64>,
}

impl Checkpointer {
    /// `claim` is the manifest with which this run began, and `recover` what all processes do first.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that it keeps by")]
    pub(crate) fn new(
        every: Duration,
        now: Duration,
        mailbox: Mailbox,
        mut words: BroadcastInput<LeaderCommand>,
        claim: Manifest,
        recover: LeaderCommand,
        committed: Committed,
        telemetry: Telemetry,
    ) -> Checkpointer {
        words.send(recover);
        let committed_before = claim.cut.as_ref().map_or(EventTime::MIN, closed_by_all);
        Checkpointer {
            every,
            next_cut_at: now.saturating_add(every),
            mailbox,
            words,
            last: claim,
            in_flight: Vec::new(),
            asked_at: now,
            completed: 0,
            telemetry,
            putting: Vec::new(),
            committed,
            committed_before,
            committed_epoch: None,
            settling: None,
        }
    }

    /// Whether the epoch that is being left is to be cut. An orderly stop always is.
    pub(crate) fn asks_for_cut(
        &mut self,
        coordinator: &Coordinator,
        epoch: u64,
        order: Order,
        now: Duration,
    ) -> bool {
        let asks = match order {
            Order::Read => {
                self.next_cut_at <= now
                    && self.in_flight.len() + self.putting.len() < CUTS_IN_FLIGHT_MAX
            }
            Order::Rest => true,
            Order::Leave => false,
        };
        if asks {
            self.next_cut_at = now.saturating_add(self.every);
            self.asked_at = now;
            self.in_flight.push(epoch);
            coordinator.expect_cut(epoch);
        }
        asks
    }

    /// Takes the cuts that are durable a step further. Whether that was the end of the run.
    pub(crate) fn keep(&mut self, coordinator: &Coordinator, at: EventTime, now: Duration) -> bool {
        while let Some(cut) = coordinator.next_durable_cut() {
            let number = self.last.number + 1;
            let manifest = Manifest { number, written_at: at, cut: Some(cut), ..self.last.clone() };
            self.last = manifest.clone();
            self.putting.push(manifest.clone());
            // A committer that is gone has said why.
            let _ = self.mailbox.send(MailboxItem::Put(Box::new(manifest)));
        }
        self.in_flight.retain(|epoch| !coordinator.cut_is_over(*epoch));
        let mut finished = false;
        let put = self.mailbox.put().map_or(0, |(number, _)| number);
        while let Some(first) = self.putting.first()
            && first.number <= put
        {
            let manifest = self.putting.remove(0);
            let Some(cut) = &manifest.cut else { continue };
            let epoch = if cut.finished { LAST_EPOCH } else { cut.epoch };
            self.words.send(LeaderCommand::Commit(epoch));
            self.committed_before = self.committed_before.max(closed_by_all(cut));
            self.committed_epoch = Some(epoch);
            self.completed += 1;
            self.measure(cut, at, now);
            let positions = cut.partitions.iter().map(|cut| (cut.partition, cut.next_offset));
            (self.committed)(&positions.collect::<Vec<_>>());
            finished |= cut.finished;
        }
        finished
    }

    fn measure(&self, cut: &CutRecord, at: EventTime, now: Duration) {
        let sections = cut.processes.iter().flat_map(|process| &process.state);
        let state_bytes = sections.map(|(_, section)| section.bytes).sum();
        self.telemetry.measure(|measures| {
            let checkpoints = &mut measures.checkpoints;
            checkpoints.completed = self.completed;
            checkpoints.last_completed_at = Some(at);
            checkpoints.last_duration = Some(now.saturating_sub(self.asked_at));
            checkpoints.last_state_bytes = state_bytes;
        });
    }

    /// How often a checkpoint is made.
    pub(crate) fn every(&self) -> Duration {
        self.every
    }

    /// How many cuts of this run have become checkpoints.
    pub(crate) fn completed(&self) -> u64 {
        self.completed
    }

    /// All processes have shown their files, and the run ends: the same cut is put again without those
    /// of other places, so that a start with fewer processes need not hear of them. Whether that is
    /// durable.
    pub(crate) fn settle(&mut self) -> bool {
        if let Some(number) = self.settling {
            return self.mailbox.put().is_some_and(|(put, _)| number <= put);
        }
        let mut manifest = self.last.clone();
        let here = manifest.outputs.clone();
        if let Some(cut) = &mut manifest.cut {
            places::forget_files(cut, |place| here.as_ref() != Some(place));
        }
        if manifest == self.last {
            return true;
        }
        manifest.number += 1;
        self.settling = Some(manifest.number);
        self.last = manifest.clone();
        let _ = self.mailbox.send(MailboxItem::Put(Box::new(manifest)));
        false
    }

    /// The last epoch of this run whose cut has become a checkpoint.
    pub(crate) fn committed_epoch(&self) -> Option<u64> {
        self.committed_epoch
    }

    /// Whether a checkpoint holds everything up to the end of `epoch`.
    pub(crate) fn is_settled(&self, epoch: u64) -> bool {
        self.committed_epoch.is_some_and(|committed| epoch <= committed)
    }

    /// The rows of windows that end at or before this are in a checkpoint.
    pub(crate) fn committed_before(&self) -> EventTime {
        self.committed_before
    }
}

/// Windows that end at or before this are closed everywhere.
fn closed_by_all(cut: &CutRecord) -> EventTime {
    cut.processes.iter().map(|process| process.closed_by_all).min().unwrap_or(EventTime::MIN)
}
