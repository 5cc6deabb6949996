//! Why a program could not do its work, and the exit code that says it.

use strandline_dashboard::DashboardError;
use strandline_engine::checkpoint::CheckpointError;
use strandline_engine::checkpoint::lock::LockError;
use strandline_engine::job::JobError;
use strandline_engine::source::SourceError;

/// The exit code where the user has to change something: options, directories, the topic.
pub(crate) const UNUSABLE: u8 = 2;
/// The exit code of what went wrong while the job ran.
const FAILED: u8 = 1;
/// The exit code where something is in the way of a start that may pass: a port or a lock that
/// another process holds, a store that is away. (`EX_TEMPFAIL` of sysexits.)
pub(crate) const NOT_NOW: u8 = 75;
/// The exit code where all records of a bounded run are dead letters. The run is complete: it makes no
/// sense to start it again as it is.
pub(crate) const UNREADABLE: u8 = 3;

/// The exit code of a bounded run that was stopped before its end. Whoever waits for its result must not
/// take what there is for it.
pub(crate) const STOPPED_EARLY: u8 = 4;

/// Why a program could not do its work.
pub(crate) enum Trouble {
    /// The user has to change something.
    Unusable(String),
    /// Before it began: something is in the way that may pass.
    NotNow(String),
    /// While it ran.
    Failed(String),
    /// Never: but no record of a bounded run could be read.
    Unreadable(String),
    /// It was asked to stop before a bounded run was at its end.
    StoppedEarly(String),
}

impl Trouble {
    /// What to say, in a line, and the exit code.
    pub(crate) fn line_and_code(&self) -> (&str, u8) {
        match self {
            Trouble::Unusable(line) => (line, UNUSABLE),
            Trouble::NotNow(line) => (line, NOT_NOW),
            Trouble::Unreadable(line) => (line, UNREADABLE),
            Trouble::StoppedEarly(line) => (line, STOPPED_EARLY),
            Trouble::Failed(line) => (line, FAILED),
        }
    }
}

/// A port that is taken may be free later.
pub(super) fn no_page(error: &DashboardError) -> Trouble {
    match error {
        DashboardError::Taken { .. } => Trouble::NotNow(error.to_string()),
        _ => Trouble::Unusable(error.to_string()),
    }
}

/// Another process has it, or it cannot be made.
pub(super) fn locked(error: &LockError) -> Trouble {
    match error {
        LockError::Held { .. } => Trouble::NotNow(error.to_string()),
        _ => Trouble::Unusable(error.to_string()),
    }
}

/// The store of checkpoints does not answer as it should. One that is away may come back.
pub(super) fn away(error: CheckpointError) -> Trouble {
    match error {
        CheckpointError::Blobs(error) => Trouble::NotNow(error.to_string()),
        error => Trouble::Unusable(error.to_string()),
    }
}

/// Whether it is for the user to change something.
pub(super) fn trouble(error: &JobError) -> Trouble {
    let line = error.to_string();
    match error {
        JobError::Checkpoint(
            CheckpointError::NoneVerifies { .. }
            | CheckpointError::NewerFormat { .. }
            | CheckpointError::OtherJob { .. }
            | CheckpointError::OtherOutputs { .. }
            | CheckpointError::UnknownRows { .. }
            | CheckpointError::OtherMode { .. }
            | CheckpointError::PlaceMissing { .. }
            | CheckpointError::LogCutBack { .. }
            | CheckpointError::Finished { .. },
        )
        | JobError::Source(
            SourceError::TopicAbsent { .. } | SourceError::DataGone { .. } | SourceError::Config(_),
        ) => Trouble::Unusable(line),
        JobError::OtherOptions { .. } | JobError::CannotListen { is_taken: false, .. } => {
            Trouble::Unusable(line)
        }
        JobError::PlaceRefused { may_pass: false, .. } => Trouble::Unusable(line),
        JobError::CannotListen { is_taken: true, .. }
        | JobError::Source(SourceError::NoResources(_))
        | JobError::PlaceRefused { may_pass: true, .. } => Trouble::NotNow(line),
        _ => Trouble::Failed(line),
    }
}
