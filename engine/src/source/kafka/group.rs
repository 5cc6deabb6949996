//! Tells Kafka up to where results are durable, so that the usual tools show the lag.
//!
//! Recovery never relies on it. The consumer here belongs to a group only by name: it subscribes
//! to nothing and reads nothing. A thread of its own commits and waits for the answer: that Kafka
//! does not take the offsets is said, once for each reason, and once when it takes them again.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset as ListedOffset, TopicPartitionList};
use strandline_operators::record::{Offset, Partition};

use crate::report::Report;
use crate::source::SourceError;
use crate::source::kafka::config_error::config_error;
use crate::source::kafka::ears::Ears;
use crate::source::kafka::native::{Client, raw};
use crate::source::kafka::settings::KafkaSettings;

/// How long the end of a source waits for the answer to its last commit.
const LAST_ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long it takes until offsets are not committed that a person is told, where Kafka can be expected
/// to take them later: a coordinator is being found, or a broker is away, of which others tell.
const PASSING_COMMITS_MAX: u32 = 3;

type Positions = Vec<(Partition, Offset)>;

/// See the module.
pub(super) struct Group {
    positions: Mutex<Option<Sender<Positions>>>,
    /// Closes when the thread has ended.
    ended: Mutex<Receiver<()>>,
}

impl Group {
    /// # Errors
    ///
    /// Options that do not fit together; no thread to be had.
    pub(super) fn new(settings: &KafkaSettings, group: &str) -> Result<Group, SourceError> {
        let mut config = settings.config(None);
        config.set("group.id", group);
        let consumer = config.create_with_context(Ears::new(settings)).map_err(config_error)?;
        let mut committer = Committer {
            consumer: Client::new(consumer),
            topic: settings.topic.clone(),
            answers: Answers {
                group: group.to_owned(),
                report: settings.report.clone(),
                said: None,
                passing: 0,
            },
        };
        let (positions, to_commit) = channel::<Positions>();
        let (end, ended) = channel();
        thread::Builder::new()
            .name("kafka-group".into())
            .spawn(move || {
                while let Ok(mut positions) = to_commit.recv() {
                    // What came meanwhile says more.
                    while let Ok(newer) = to_commit.try_recv() {
                        positions = newer;
                    }
                    committer.commit(&positions);
                }
                drop(end);
            })
            .map_err(|error| SourceError::NoResources(format!("no thread for --group: {error}")))?;
        Ok(Group { positions: Mutex::new(Some(positions)), ended: Mutex::new(ended) })
    }

    /// Has positions committed. Returns at once.
    pub(super) fn commit(&self, positions: &[(Partition, Offset)]) {
        let sender = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*sender {
            // The thread ends after this value only.
            let _ = sender.send(positions.to_vec());
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(self.positions.lock().unwrap_or_else(PoisonError::into_inner).take());
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody relies on it: a broker that is away does not hold up the end.
        let _: Result<(), RecvTimeoutError> = ended.recv_timeout(LAST_ANSWER_WITHIN);
    }
}

struct Committer {
    consumer: Client<Ears>,
    topic: String,
    answers: Answers,
}

impl Committer {
    fn commit(&mut self, positions: &[(Partition, Offset)]) {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (partition, Offset(next)) in positions {
            let next = ListedOffset::Offset(i64::try_from(*next).unwrap_or(i64::MAX));
            if list.add_partition_offset(&self.topic, raw(*partition), next).is_err() {
                return;
            }
        }
        self.consumer.serve();
        let answer = self.consumer.commit(&list, CommitMode::Sync);
        // What the client says beside it.
        self.consumer.serve();
        self.answers.heard(answer.err());
    }
}

/// What Kafka answers to commits, and what was said of it.
struct Answers {
    group: String,
    report: Report,
    /// The error that was said last, until a commit succeeds.
    said: Option<Code>,
    /// How many commits in a row failed for what may pass.
    passing: u32,
}

impl Answers {
    fn heard(&mut self, error: Option<KafkaError>) {
        let group = &self.group;
        let Some(error) = error else {
            self.passing = 0;
            if self.said.take().is_some() {
                self.report.say(&format!("offsets are committed under the group `{group}` again"));
            }
            return;
        };
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        let why = match code {
            Code::UnknownMemberId
            | Code::IllegalGeneration
            | Code::RebalanceInProgress
            | Code::FencedInstanceId => {
                "another consumer is a member of it: give --group a name that nothing else uses"
                    .into()
            }
            Code::GroupAuthorizationFailed | Code::TopicAuthorizationFailed => {
                "the broker does not allow this user to: check the ACLs of the group and the topic \
                 (Read on both)"
                    .into()
            }
            Code::InvalidGroupId => "the broker does not take this name".into(),
            _ => {
                self.passing += 1;
                if self.passing < PASSING_COMMITS_MAX {
                    return;
                }
                code.to_string()
            }
        };
        if self.said.replace(code) != Some(code) {
            self.report.say(&format!(
                "offsets are not committed under the group `{group}` (--group), so what watches the lag \
                 by it is wrong; results are not concerned: {why}"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn that_offsets_are_not_committed_is_said_once_for_each_reason() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        let report = Report::new(move |line| heard.lock().unwrap().push(line.to_owned()));
        let mut answers = Answers { group: "g".into(), report, said: None, passing: 0 };
        let fails = |code| Some(KafkaError::ConsumerCommit(code));
        answers.heard(None);
        answers.heard(fails(Code::CoordinatorNotAvailable));
        answers.heard(fails(Code::UnknownMemberId));
        answers.heard(fails(Code::UnknownMemberId));
        answers.heard(fails(Code::GroupAuthorizationFailed));
        answers.heard(None);
        for _ in 0..5 {
            answers.heard(fails(Code::CoordinatorNotAvailable));
        }
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines[0].contains("`g`") && lines[0].contains("another consumer"), "{lines:?}");
        assert!(lines[1].contains("ACLs"), "{lines:?}");
        assert!(lines[2].contains("again"), "{lines:?}");
    }
}
