//! What a bounded run does not read, because it is not committed.

use strandline_operators::record::{Offset, Partition};

/// Offsets that a bounded run leaves out, because a transaction was open when it was planned: what is
/// behind the beginning of that cannot be read yet, committed or not.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The partition.
    pub partition: Partition,
    /// The first of them: the run ends before it.
    pub from: Offset,
    /// The end of the partition, which is after the last of them.
    pub to: Offset,
}

impl LeftOut {
    /// How many they are. Not each holds a message.
    pub fn offsets(&self) -> u64 {
        self.to.0.saturating_sub(self.from.0)
    }
}
