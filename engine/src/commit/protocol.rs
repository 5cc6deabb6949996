//! What the leader tells the committers of all processes, and what they answer.

use serde::{Deserialize, Serialize};

use crate::checkpoint::manifest::ProcessCut;
use crate::checkpoint::places::Restoration;

/// What the leader tells all committers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum LeaderCommand {
    /// What a start has to show, and the number with which this run begins.
    Recover(Restoration, u64),
    /// The manifest of the cut of this epoch is durable.
    Commit(u64),
}

/// That a process has made a cut durable; without its part if the cut was given up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sealed {
    pub(crate) epoch: u64,
    pub(crate) part: Option<ProcessCut>,
}

/// That all files of a process are visible, up to those of the cut of this epoch.
#[derive(Copy, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) process: usize,
    pub(crate) epoch: u64,
}
