//! How processes are started.

use std::sync::{Arc, PoisonError};

use strandline_engine::job::Stop;
use strandline_engine::table::Cells;
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;

use super::formats::{in_first_format, newer};
use super::world::World;
use crate::simulation::group::{Group, Member, Outcome};
use crate::simulation::outside::ProcessId;
use crate::simulation::plan::{Mode, Places, Start};
use crate::simulation::process::{self, Meeting, Setup};

/// A blob that only a checkpoint of a version to come knows.
const NEWER_BLOB: &str = "cut-999999999999-00000000000000000001-000";

impl<D, A> World<'_, D, A>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    /// Begins to start the processes of a job.
    pub(super) fn launch(&mut self, start: &Start, bounded: bool) -> Result<(), String> {
        self.trace.line(format_args!("{start:?}"));
        if self.plan.places == Places::Own {
            self.places = self.places.max(start.processes);
        }
        let planted = (start.mode == Mode::NewerFormat)
            .then(|| self.laws.newest().map(|newest| newer(newest, newest.number + 1)))
            .flatten();
        if let Some((name, bytes)) = planted {
            self.trace.line(format_args!("{name} is of a version to come"));
            self.blobs.plant(&name, bytes);
            self.blobs.plant(NEWER_BLOB, vec![1]);
        }
        if start.mode == Mode::OlderFormat {
            self.rewrite_in_first_format();
        }
        self.laws.begin_start(start.mode);
        let mut group =
            Group { start: start.clone(), members: Vec::new(), running: false, refused: None };
        let meeting = Meeting::of(start.processes);
        for process in 0..start.processes {
            self.next_process += 1;
            self.report.starts += 1;
            let id = ProcessId(self.next_process);
            self.running.push(id);
            let (stop, outcome) = (Stop::default(), Outcome::default());
            let disk = self.disks[process % self.disks.len()].seen_by(id);
            let setup = Setup {
                id,
                process,
                workers: start.workers,
                mode: start.mode,
                bounded,
                wall_ms: self.random.below(3_600_000),
                stop: stop.clone(),
                meeting: meeting.clone(),
                plan: self.plan.clone(),
                disk,
                blobs: self.blobs.clone(),
                scheduler: self.scheduler.clone(),
                topic: self.topic.clone(),
                outside: self.outside.clone(),
                decoder: self.simulation.decoder.clone(),
                aggregate: self.simulation.aggregate.clone(),
                table: self.simulation.table.clone(),
                options: self.simulation.options,
                topic_name: self.simulation.topic.clone(),
            };
            let into = Arc::clone(&outcome);
            self.scheduler.begin(id, move || {
                let started = process::start(setup);
                *into.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
            })?;
            group.members.push(Member {
                id,
                stop,
                outcome,
                process: None,
                begun: false,
                dead: false,
                left: false,
            });
        }
        self.groups.push(group);
        Ok(())
    }

    /// Puts the newest checkpoint there as the first version would have written it. What is hidden had
    /// other names then, so there must be nothing.
    fn rewrite_in_first_format(&mut self) {
        let Some(newest) = self.laws.newest() else { return };
        let processes = newest.cut.iter().flat_map(|cut| &cut.processes);
        let hides = processes.into_iter().any(|process| !process.outputs.staged.is_empty());
        if newest.cut.is_none() || hides {
            return;
        }
        let (name, bytes) = in_first_format(newest);
        self.trace.line(format_args!("{name} is of the first format"));
        self.blobs.replace(&name, bytes);
        self.laws.forget_places();
    }
}
