//! Background tasks under the baton.

use std::io;

use strandline_engine::background::{Bell, GiveWay, Join, Spawn, Task};

use super::choice::{Kind, Place};
use super::{SEAT, Scheduler, Wanted};
use crate::simulation::outside::ProcessId;

/// Runs the tasks of one process.
pub(super) struct Spawner {
    pub(super) scheduler: Scheduler,
    pub(super) process: ProcessId,
    pub(super) queue_bytes_max: Option<usize>,
}

impl Spawn for Spawner {
    fn spawn(&self, name: &str, bell: Bell, task: Box<dyn Task>) -> io::Result<Box<dyn Join>> {
        let kind = Kind::Task(name.to_owned(), bell);
        let seat = self.scheduler.0.lock().add_seat(self.process, kind);
        self.scheduler.spawn(self.process, seat, move |shared| shared.run_task(seat, task))?;
        Ok(Box::new(Joined { scheduler: self.scheduler.clone(), seat }))
    }

    fn give_way(&self) -> GiveWay {
        match self.scheduler.0.drive(SEAT.get(), Wanted::Turn) {
            true => GiveWay::Given,
            false => GiveWay::Ended,
        }
    }

    fn queue_bytes_max(&self) -> Option<usize> {
        self.queue_bytes_max
    }
}

struct Joined {
    scheduler: Scheduler,
    /// Of the task.
    seat: usize,
}

impl Join for Joined {
    /// Lets the others go on until the task has ended. Of a dead process, nothing is waited for.
    fn join(self: Box<Self>) -> bool {
        let shared = &self.scheduler.0;
        let me = SEAT.get();
        if !shared.lock().has_ended(self.seat, &shared.outside) {
            shared.lock().seats[me].place = Place::Joining(self.seat);
            shared.drive(me, Wanted::End { task: self.seat });
        }
        let mut state = shared.lock();
        state.seats[me].place = Place::Ready;
        state.seats[self.seat].ended_well
    }
}
