//! How the processes of a start are ended, and what may be held against them.

use std::sync::atomic::Ordering;

use strandline_engine::store::Directory;
use strandline_engine::table::Cells;
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;

use super::world::World;
use crate::simulation::group::summary;
use crate::simulation::outside::{FaultRates, ProcessId};
use crate::simulation::plan::{Mode, Places};
use crate::simulation::process::OUT;
use crate::simulation::process::{self, Ended};

impl<D, A> World<'_, D, A>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    /// Ends the processes that were started last as they are.
    pub(super) fn end_last(&mut self, power_lost: bool, rivals: bool) -> Result<(), String> {
        let is_over = self.has_finished();
        self.outside.crash_at_operation(None);
        self.outside.hold_at_operation(None);
        let Some(group) = self.groups.last_mut() else { return Ok(()) };
        let ids = group.ids();
        for id in ids.iter().filter(|id| !self.outside.is_dead(**id)) {
            // It is waited for.
            self.scheduler.suspend(*id, false);
        }
        let ended = group.ended();
        let (mode, refused) = (group.start.mode, group.refused.clone());
        let has_dead = ids.iter().any(|id| self.outside.is_dead(*id));
        let is_excused = rivals
            || has_dead
            || ids.iter().any(|id| 0 < self.outside.faults(*id))
            || self.has_lost.swap(false, Ordering::SeqCst);
        let mut verdict = Ok(());
        let mut recovers = Vec::new();
        if let Some(error) = refused {
            self.trace.line(format_args!("it does not start: {error}"));
            self.report.errors += 1;
            let is_to_be = matches!(mode, Mode::Misspelt | Mode::NewerFormat);
            let misses = self.missed_places(mode, ids.len());
            if !(is_excused || is_over || is_to_be || !misses.is_empty()) {
                verdict = Err(format!("{} does not start: {error}", ids[0]));
            } else if self.random.happens(0.5) {
                recovers = misses;
            }
        } else if group.running && matches!(mode, Mode::Misspelt | Mode::NewerFormat) {
            verdict = Err(format!("{} started, and should have been refused: {mode:?}", ids[0]));
        }
        let is_followed = |ended: &Ended| matches!(ended, Ended::Late | Ended::Badly(_));
        let is_cause = has_dead || ended.iter().any(|(_, ended)| is_followed(ended));
        for (id, ended) in &ended {
            match ended {
                Ended::Not => self.report.crashes += 1,
                Ended::Well(summary) => self.trace.line(format_args!("{id} ended: {summary:?}")),
                Ended::Late => self.report.errors += 1,
                Ended::Followed(error) => {
                    self.report.errors += 1;
                    self.trace.line(format_args!("{id} ended: {error}"));
                    if !is_cause {
                        verdict = Err(format!("{id} ended, and no other is gone: {error}"));
                    }
                }
                Ended::Badly(error) => {
                    self.report.errors += 1;
                    self.trace.line(format_args!("{id} ended: {error}"));
                    if !is_excused && verdict.is_ok() {
                        verdict = Err(format!("{id} ended without a reason: {error}"));
                    }
                }
            }
        }
        self.take_down_last()?;
        verdict?;
        self.check()?;
        self.topic.bring_back();
        if mode == Mode::NewerFormat {
            self.blobs.remove_planted()?;
        }
        self.laws.end_start();
        for place in recovers {
            self.recover_place(place)?;
        }
        if summary(&ended).is_some_and(|summary| summary.finished) {
            self.trace.line(format_args!("it has finished: everything has to be there"));
            let found = self.found()?;
            self.judge_found(&found, None)?;
        }
        if power_lost {
            self.report.power_losses += 1;
            self.trace.line(format_args!("the power goes"));
            for disk in &self.disks {
                disk.power_lost(&mut self.random);
            }
            self.laws.power_lost(self.disks.len());
            self.blobs.power_lost(&mut self.random);
        }
        self.check()
    }

    /// The places whose files the newest checkpoint lists, and that a start of so many processes does
    /// not have.
    fn missed_places(&self, mode: Mode, processes: usize) -> Vec<usize> {
        let continues = matches!(mode, Mode::Continue | Mode::OlderFormat);
        let newest = self.laws.newest().filter(|_| continues);
        if self.plan.places == Places::Shared {
            return Vec::new();
        }
        let all = newest.iter().flat_map(|newest| &newest.cut).flat_map(|cut| &cut.processes);
        let missed = all
            .filter(|process| processes <= process.process && !process.outputs.staged.is_empty());
        missed.map(|process| process.process).collect()
    }

    /// Shows the files of a place that no process has any more, as the user does who hears of it.
    fn recover_place(&mut self, place: usize) -> Result<(), String> {
        self.trace.line(format_args!("the files of place {place} are shown"));
        self.outside.set_rates(FaultRates::default());
        self.outside.set_spell(None);
        self.next_process += 1;
        let id = ProcessId(self.next_process);
        let out = Directory::on(self.disks[place].seen_by(id), OUT);
        process::recover_place(&out, &*self.blobs.seen_by(id))?;
        self.process_died(id);
        self.check()
    }
}
