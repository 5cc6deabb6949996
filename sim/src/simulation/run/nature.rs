//! What happens from outside while processes run: records come, partitions are found, disks refuse.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use strandline_engine::table::Cells;
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;

use super::world::World;
use crate::random::SplitMix64;
use crate::simulation::outside::Spell;
use crate::simulation::process::Discovery;
use crate::simulation::scheduler::Act;

impl<D, A> World<'_, D, A>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    /// What happens from outside while a process is disturbed.
    pub(super) fn set_nature(&mut self) {
        let (topic, outside, scheduler) =
            (self.topic.clone(), self.outside.clone(), self.scheduler.clone());
        let ask_at = Arc::clone(&self.ask_at);
        let mut random = SplitMix64::new(self.random.next_u64());
        let (live, spells) = (self.plan.live, self.plan.spells.clone());
        let blob_spells = self.plan.blob_spells;
        let (retention, has_lost) = (self.plan.retention, Arc::clone(&self.has_lost));
        let discoveries = Arc::clone(&self.discoveries);
        self.scheduler.set_nature(Some(Box::new(move || {
            if ask_at.load(Ordering::SeqCst) <= scheduler.moves() {
                ask_at.store(u64::MAX, Ordering::SeqCst);
                return Act::Interrupt;
            }
            if live && random.happens(0.7) {
                topic.write_some();
            }
            if live && random.happens(0.3) {
                let mut discoveries = discoveries.lock().unwrap_or_else(PoisonError::into_inner);
                discoveries.retain_mut(Discovery::look);
            }
            if retention && random.happens(0.02) {
                has_lost.store(true, Ordering::SeqCst);
                topic.lose_some(&mut random);
            }
            if random.happens(0.05) {
                let kinds = spells.len() as u64 + u64::from(blob_spells);
                let drawn = random.below(2 * kinds.max(1)) as usize;
                outside.set_spell(match spells.get(drawn) {
                    Some(kind) => Some(Spell::Disk(*kind)),
                    None if drawn == spells.len() && blob_spells => Some(Spell::Blobs),
                    None => None,
                });
            }
            Act::GoOn
        })));
    }
}
