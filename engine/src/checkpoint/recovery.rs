//! What a start tells every place of outputs: which cut counts, and what of it is where.

use serde::{Deserialize, Serialize};

use super::manifest::Staged;
use crate::run_id::RunId;

/// Which cut counts after a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// The job: what carries its name and a later epoch was not committed.
    pub job: RunId,
    /// The number of the manifest with which this start began: hidden files of smaller ones are not
    /// needed any more, unless the cut lists them.
    pub claim: u64,
    /// The epoch of the cut; `None` if there is none yet.
    pub epoch: Option<u64>,
    /// What the cut lists as being here.
    pub staged: Vec<Staged>,
    /// What it lists as being somewhere: shown if it is here, and nobody's loss if not.
    pub elsewhere: Vec<Staged>,
}
