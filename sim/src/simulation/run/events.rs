//! What the conductor of a run hears of its processes.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use strandline_engine::table::Cells;
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;

use super::world::World;
use crate::simulation::scheduler::Interrupt;

/// How long the other processes of a job may take to end after one that has, in moves.
const FOLLOW_MOVES: u64 = 10_000;

/// What the conductor has to decide about.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It wanted to be asked.
    Asked,
    /// All processes of a start have ended.
    Over(usize),
    /// A start was refused.
    Refused(usize),
    /// A process has died of an operation.
    Died,
    /// A process is held still before an operation.
    Held,
}

impl<D, A> World<'_, D, A>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    /// Gives the baton away until there is something to decide.
    pub(super) fn next_event(&mut self) -> Result<Event, String> {
        loop {
            let interrupt = self.scheduler.conduct();
            self.check()?;
            let interrupt = interrupt?;
            let of = interrupt.process();
            let index = self.groups.iter().position(|group| of.is_some_and(|id| group.has(id)));
            let (Some(index), Some(id)) = (index, of) else {
                if interrupt == Interrupt::Asked {
                    return Ok(Event::Asked);
                }
                continue;
            };
            let group = &mut self.groups[index];
            match interrupt {
                Interrupt::Asked => return Ok(Event::Asked),
                Interrupt::Held(_) => return Ok(Event::Held),
                Interrupt::Died(_) => {
                    group.kill(id, &self.outside, &self.scheduler);
                    return Ok(Event::Died);
                }
                Interrupt::Left(_) => {
                    let has_failed = group.left(id);
                    if group.is_over() {
                        return Ok(Event::Over(index));
                    }
                    if has_failed {
                        self.trace.line(format_args!("{id} has failed, and the others hear of it"));
                    }
                    // The others end too, unless a worker waits for a disk that takes nothing.
                    let latest = self.scheduler.moves() + FOLLOW_MOVES;
                    if latest < self.ask_at.load(Ordering::SeqCst) {
                        self.ask_after(FOLLOW_MOVES);
                    }
                }
                Interrupt::Started(_) => {
                    if let Some(found) = group.started(id, &self.scheduler)? {
                        self.outside.set_rates(self.faults);
                        let mut all =
                            self.discoveries.lock().unwrap_or_else(PoisonError::into_inner);
                        // Only the leading process hears of new partitions.
                        all.extend(found.into_iter().next());
                    }
                    if group.refused.is_some() {
                        return Ok(Event::Refused(index));
                    }
                }
            }
        }
    }
}
