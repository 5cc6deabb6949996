//! Background tasks under the baton.

use std::io;

use strandline_engine::background::{Bell, Join, Spawn, Task};

use super::choice::Place;
use super::{SEAT, Scheduler, Wanted};
use crate::simulation::outside::ProcessId;

/// Runs the tasks of one process.
pub(super) struct Spawner {
    pub(super) scheduler: Scheduler,
    pub(super) process: ProcessId,
}

impl Spawn for Spawner {
    fn spawn(&self, name: &str, bell: Bell, task: Box<dyn Task>) -> io::Result<Box<dyn Join>> {
        let index = self.scheduler.0.lock().add_task(self.process, name, bell, task);
        let scheduler = self.scheduler.clone();
        Ok(Box::new(Joined { scheduler, process: self.process, index }))
    }

    fn is_parallel(&self) -> bool {
        false
    }
}

struct Joined {
    scheduler: Scheduler,
    process: ProcessId,
    index: usize,
}

impl Join for Joined {
    /// Lets the others go on until the task has ended. Of a dead process, nothing is waited for.
    fn join(self: Box<Self>) -> bool {
        let shared = &self.scheduler.0;
        let seat = SEAT.get();
        if !shared.outside.is_dead(self.process) {
            shared.lock().seats[seat].place = Place::Joining(self.index);
            shared.drive(seat, Wanted::End { task: self.index });
        }
        let mut state = shared.lock();
        state.seats[seat].place = Place::Ready;
        state.tasks[self.index].ended_well()
    }
}
