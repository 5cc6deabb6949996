//! In what condition a job is: one value, which everything that shows the job shows.
//!
//! Several [`JobCondition`]s can hold at once; [`Conditions`] lists them, the most serious first.
//! The first is the headline. The status line, the page, `/metrics`, `/readyz` and the log take
//! their words from here, so that they cannot contradict each other. What a part of the job notices
//! (a broker that does not answer, a full disk) it reports by [`Telemetry`](crate::telemetry); what
//! only shows over time (a partition that holds the others back) is found out by the
//! `observer`.

use std::fmt;

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use strandline_operators::time::EventTime;

/// Whether a job runs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It reads.
    Running,
    /// It has been asked to stop and completes its outputs.
    Stopping,
    /// Everything there was to read has been read, and every window is final.
    Finished,
}

/// What can hold of a job, in the order of how serious it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConditionKind {
    /// It ended before its time.
    Failed,
    /// No epoch is completed any more: a worker or a process is stuck.
    Stalled,
    /// Other processes of the job are not there yet.
    WaitingForProcesses,
    /// The cluster, or a broker of it, cannot be reached.
    WaitingForKafka,
    /// An output does not take rows.
    OutputWaits,
    /// No checkpoint is completed.
    CheckpointingSuspended,
    /// Reading cannot go beyond a transaction that is neither committed nor aborted.
    WaitsBehindTransaction,
    /// All records that come are dead letters.
    NothingCanBeRead,
    /// Event time does not advance because of one partition.
    HeldBack,
    /// It was asked to stop, and has: its outputs are complete.
    Stopped,
    /// It was asked to stop and completes its outputs.
    Stopping,
    /// It has not read anything yet.
    Starting,
    /// It has read everything that there was to read, and every window is final.
    Finished,
    /// It reads a backlog.
    CatchingUp,
    /// It has read everything, and waits for new records.
    AllIdle,
    /// It reads records as they come.
    Running,
}

impl ConditionKind {
    /// All kinds, the most serious first.
    pub const ALL: [ConditionKind; 16] = [
        ConditionKind::Failed,
        ConditionKind::Stalled,
        ConditionKind::WaitingForProcesses,
        ConditionKind::WaitingForKafka,
        ConditionKind::OutputWaits,
        ConditionKind::CheckpointingSuspended,
        ConditionKind::WaitsBehindTransaction,
        ConditionKind::NothingCanBeRead,
        ConditionKind::HeldBack,
        ConditionKind::Stopped,
        ConditionKind::Stopping,
        ConditionKind::Starting,
        ConditionKind::Finished,
        ConditionKind::CatchingUp,
        ConditionKind::AllIdle,
        ConditionKind::Running,
    ];

    /// The name for programs, such as `waiting_for_kafka`.
    pub fn code(self) -> &'static str {
        match self {
            ConditionKind::Failed => "failed",
            ConditionKind::Stalled => "stalled",
            ConditionKind::WaitingForProcesses => "waiting_for_processes",
            ConditionKind::WaitingForKafka => "waiting_for_kafka",
            ConditionKind::OutputWaits => "output_waits",
            ConditionKind::CheckpointingSuspended => "checkpointing_suspended",
            ConditionKind::WaitsBehindTransaction => "waits_behind_transaction",
            ConditionKind::NothingCanBeRead => "nothing_can_be_read",
            ConditionKind::HeldBack => "held_back",
            ConditionKind::Stopped => "stopped",
            ConditionKind::Stopping => "stopping",
            ConditionKind::Starting => "starting",
            ConditionKind::Finished => "finished",
            ConditionKind::CatchingUp => "catching_up",
            ConditionKind::AllIdle => "all_idle",
            ConditionKind::Running => "running",
        }
    }

    /// The name for persons, such as `waiting for Kafka`.
    pub fn title(self) -> &'static str {
        match self {
            ConditionKind::Failed => "failed",
            ConditionKind::Stalled => "stalled",
            ConditionKind::WaitingForProcesses => "waiting for other processes",
            ConditionKind::WaitingForKafka => "waiting for Kafka",
            ConditionKind::OutputWaits => "output waits",
            ConditionKind::CheckpointingSuspended => "checkpointing is suspended",
            ConditionKind::WaitsBehindTransaction => "waits behind an open transaction",
            ConditionKind::NothingCanBeRead => "nothing can be read",
            ConditionKind::HeldBack => "held back",
            ConditionKind::Stopped => "stopped",
            ConditionKind::Stopping => "stopping",
            ConditionKind::Starting => "starting",
            ConditionKind::Finished => "finished",
            ConditionKind::CatchingUp => "catching up",
            ConditionKind::AllIdle => "all partitions are idle",
            ConditionKind::Running => "running",
        }
    }

    /// Whether somebody should look at it: something other than new records is missing.
    pub fn is_trouble(self) -> bool {
        self < ConditionKind::Stopped
    }

    /// Whether it does not hold beside a worse one: running means that nothing is wrong, and a job that
    /// cannot read does not catch up, nor wait for records.
    pub(crate) fn is_hidden_by(self, worse: ConditionKind) -> bool {
        match self {
            ConditionKind::Running => worse.is_trouble(),
            ConditionKind::Stopping => worse == ConditionKind::Stopped,
            ConditionKind::CatchingUp | ConditionKind::AllIdle => {
                worse <= ConditionKind::WaitingForKafka
            }
            _ => false,
        }
    }

    /// Whether a job of which nothing worse holds makes progress, or waits for nothing but new
    /// records.
    pub fn is_ready(self) -> bool {
        ConditionKind::Starting < self
    }
}

/// One thing that holds of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCondition {
    /// What it is.
    pub kind: ConditionKind,
    /// What it is about, where it can hold of several things at once, such as the name of an
    /// output or the number of a partition; otherwise empty.
    pub subject: String,
    /// The process in which it holds, if that is one that does not lead.
    pub process: Option<usize>,
    /// Since when, by the clock on the wall.
    pub since: EventTime,
    /// More about it in words, such as what is waited for; may be empty.
    pub detail: String,
}

impl JobCondition {
    /// A condition about no thing in particular and without details.
    pub fn plain(kind: ConditionKind, since: EventTime) -> JobCondition {
        JobCondition { kind, subject: String::new(), process: None, since, detail: String::new() }
    }

    /// Whether it is the same condition as another one, perhaps with other details.
    pub fn is_same_as(&self, other: &JobCondition) -> bool {
        (self.kind, &self.subject, self.process) == (other.kind, &other.subject, other.process)
    }
}

/// `waiting for Kafka since 2026-01-31 12:00:00 UTC, process 2: Connection refused`.
impl fmt::Display for JobCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.title())?;
        if let Some(since) = DateTime::from_timestamp_millis(self.since.as_millis()) {
            write!(f, " since {}", since.format("%Y-%m-%d %H:%M:%S UTC"))?;
        }
        if let Some(process) = self.process {
            write!(f, ", process {process}")?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

/// Everything that holds of a job: at least one condition, the most serious first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions(Vec<JobCondition>);

impl Conditions {
    /// Puts them in order. Where `all` is empty, the job is starting since the epoch of the clock.
    pub fn of(mut all: Vec<JobCondition>) -> Conditions {
        all.sort_by(|a, b| (a.kind, a.process, &a.subject).cmp(&(b.kind, b.process, &b.subject)));
        if all.is_empty() {
            all.push(JobCondition::plain(ConditionKind::Starting, EventTime::from_millis(0)));
        }
        Conditions(all)
    }

    /// The most serious one.
    pub fn headline(&self) -> &JobCondition {
        self.0.first().expect("there is at least one condition")
    }

    /// All of them, the most serious first.
    pub fn all(&self) -> &[JobCondition] {
        &self.0
    }

    /// Whether the job makes progress, or waits for nothing but new records.
    pub fn is_ready(&self) -> bool {
        self.headline().kind.is_ready()
    }

    /// Whether something of this kind holds.
    pub fn holds(&self, kind: ConditionKind) -> bool {
        self.0.iter().any(|condition| condition.kind == kind)
    }
}

/// Written as a list of objects: `condition`, `subject` where it is about something, `process` where it
/// holds in one that does not lead, `since` in epoch milliseconds, and `text`, the same words that a person is shown.
impl Serialize for Conditions {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            condition: &'static str,
            #[serde(skip_serializing_if = "str::is_empty")]
            subject: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            process: Option<usize>,
            since: i64,
            text: String,
        }
        serializer.collect_seq(self.0.iter().map(|condition| Written {
            condition: condition.kind.code(),
            subject: &condition.subject,
            process: condition.process,
            since: condition.since.as_millis(),
            text: condition.to_string(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(kind: ConditionKind) -> JobCondition {
        JobCondition::plain(kind, EventTime::from_millis(0))
    }

    #[test]
    fn the_kinds_are_listed_in_the_order_of_how_serious_they_are() {
        assert!(ConditionKind::ALL.is_sorted());
        let mut codes = ConditionKind::ALL.map(ConditionKind::code).to_vec();
        codes.dedup();
        assert_eq!(codes.len(), ConditionKind::ALL.len());
    }

    #[test]
    fn the_most_serious_condition_is_the_headline() {
        let all = [ConditionKind::Running, ConditionKind::HeldBack, ConditionKind::WaitingForKafka];
        let conditions = Conditions::of(all.map(at).to_vec());
        assert_eq!(conditions.headline().kind, ConditionKind::WaitingForKafka);
        assert!(!conditions.is_ready());
        assert!(conditions.holds(ConditionKind::HeldBack));
    }

    #[test]
    fn a_job_that_reads_or_waits_for_records_alone_is_ready() {
        let ready = ConditionKind::ALL
            .into_iter()
            .filter(|kind| Conditions::of(vec![at(*kind)]).is_ready());
        let expected = [
            ConditionKind::Finished,
            ConditionKind::CatchingUp,
            ConditionKind::AllIdle,
            ConditionKind::Running,
        ];
        assert_eq!(ready.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_condition_says_since_when_and_why() {
        let condition = JobCondition {
            detail: "Connection refused".to_owned(),
            since: EventTime::from_millis(1_769_860_800_000),
            ..at(ConditionKind::WaitingForKafka)
        };
        let text = "waiting for Kafka since 2026-01-31 12:00:00 UTC: Connection refused";
        assert_eq!(condition.to_string(), text);
        let written = serde_json::to_value(Conditions::of(vec![condition])).unwrap();
        assert_eq!(written[0]["condition"], "waiting_for_kafka");
        assert_eq!(written[0]["text"], text);
    }
}
