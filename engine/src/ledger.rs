//! The ledger of records: where every record that was read went.

use serde::{Deserialize, Serialize};
use strandline_operators::decode::DeadReason;

/// Where every record went, up to one consistent cut:
/// `read = windowed + late + dead_letters`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Records read.
    pub read: u64,
    /// Records that a window counts.
    pub windowed: u64,
    /// Records that were late for every window.
    pub late: u64,
    /// Records that could not be read, by the index of [`DeadReason::ALL`].
    #[serde(with = "counts")]
    pub dead: [u64; DeadReason::ALL.len()],
}

/// Counts by reason, as many as there were reasons in the version that stored them.
mod counts {
    use serde::de::{Deserializer, Error};
    use serde::ser::Serializer;
    use serde::{Deserialize, Serialize};
    use strandline_operators::decode::DeadReason;

    const REASONS: usize = DeadReason::ALL.len();

    pub(super) fn serialize<S: Serializer>(
        counts: &[u64; REASONS],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        counts[..].serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<[u64; REASONS], D::Error> {
        let stored = Vec::<u64>::deserialize(from)?;
        let mut counts = [0; REASONS];
        match counts.get_mut(..stored.len()) {
            Some(known) => known.copy_from_slice(&stored),
            None => return Err(D::Error::custom("more reasons for dead letters than are known")),
        }
        Ok(counts)
    }
}

impl Ledger {
    /// Records that could not be read, whatever the reason.
    pub fn dead_letters(&self) -> u64 {
        self.dead.iter().sum()
    }

    /// Adds another ledger, such as that of another partition.
    pub fn add(&mut self, other: &Ledger) {
        self.read += other.read;
        self.windowed += other.windowed;
        self.late += other.late;
        for (dead, other) in self.dead.iter_mut().zip(other.dead) {
            *dead += other;
        }
    }

    /// What has come since an earlier ledger of the same records.
    #[must_use]
    pub fn since(&self, before: &Ledger) -> Ledger {
        let mut dead = self.dead;
        for (now, then) in dead.iter_mut().zip(before.dead) {
            *now = now.saturating_sub(then);
        }
        Ledger {
            read: self.read.saturating_sub(before.read),
            windowed: self.windowed.saturating_sub(before.windowed),
            late: self.late.saturating_sub(before.late),
            dead,
        }
    }

    /// Whether every record that was read is in exactly one place. Not if there are more places than can be
    /// counted, as a checkpoint may say that something else wrote.
    pub fn balances(&self) -> bool {
        let mut places = [self.windowed, self.late].into_iter().chain(self.dead);
        places.try_fold(0, u64::checked_add) == Some(self.read)
    }
}
