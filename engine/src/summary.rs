//! What a run came to.

use crate::ledger::Ledger;

/// What a run came to.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Where every record went.
    pub ledger: Ledger,
    /// Records that were read before this run, which it continued.
    pub read_before: u64,
    /// Final rows.
    pub final_rows: u64,
    /// Windows that were open when the run was stopped; 0 at the end of a bounded run.
    pub open_windows: u64,
    /// Whether the run read everything it was to read.
    pub finished: bool,
    /// Whether a later start continues this run where it ended.
    pub continues: bool,
}
