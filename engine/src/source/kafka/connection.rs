//! What all readers of a source share: the connection for questions, and what is known of the cluster.
//!
//! The client library reconnects by itself for as long as it lives. What is left to do is to tell
//! a person ([`said`](super::said)): once when the cluster cannot be reached, once when it answers
//! again; and to tell a broker that is away from a topic that is gone
//! ([`inquiry`](super::inquiry)).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use strandline_operators::record::Partition;

use crate::clock::Clock;
use crate::source::kafka::budget::Budget;
use crate::source::kafka::cursor::Loss;
use crate::source::kafka::left_out::LeftOut;
use crate::source::kafka::lookup::{Lookup, Trouble};
use crate::source::kafka::settings::KafkaSettings;
use crate::source::kafka::watch::Watch;
use crate::source::{START_OVER, SourceError, TopicIdentity};

/// How long the first question waits for its answer: a person should not wait for longer to hear
/// that nobody answers.
pub(super) const ANSWER_WITHIN_FIRST: Duration = Duration::from_secs(2);
/// How long a later question waits for its answer, for lines that are slow.
pub(super) const ANSWER_WITHIN_MAX: Duration = Duration::from_secs(10);
/// Time between questions.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long a broker may have no answer, though it can be reached, before a person is told: longer
/// than the election of a leader takes.
pub(super) const NO_ANSWER_FOR: Duration = Duration::from_secs(3);
/// How many times in a row a broker has to say that a topic is absent: one that just starts may not
/// know it yet, and one that has just created it names its partitions before it has their logs.
pub(super) const ABSENT_ANSWERS: u32 = 5;

/// What is said of a topic that is no longer the one that was read.
pub(super) fn topic_gone() -> String {
    format!(
        "the topic is gone: it was deleted while it was being read; if it was created anew, {START_OVER}"
    )
}

/// What all readers of a source share.
pub(super) struct Connection {
    pub(super) settings: KafkaSettings,
    pub(super) lookup: Lookup,
    pub(super) budget: Arc<Budget>,
    pub(super) watch: Watch,
    state: Mutex<State>,
    /// Why no reader can go on, once that is certain.
    pub(super) verdict: OnceLock<Verdict>,
}

#[derive(Default)]
pub(super) struct State {
    /// Whether it was said that the cluster cannot be reached.
    pub(super) away: bool,
    /// Whether there is an inquiry.
    pub(super) inquiring: bool,
    /// How many complaints there were.
    pub(super) complaints: u64,
    /// How many times an inquiry found that the cluster answers.
    pub(super) answers: u64,
    /// Brokers of which it was said that fetching from them fails.
    pub(super) broken: BTreeMap<i32, String>,
    /// How many partitions the topic had when last asked; 0 before.
    partitions: u32,
    /// The topic that is to be read, once that is known.
    pub(super) topic: Option<TopicIdentity>,
    /// What a bounded run leaves out.
    pub(super) left_out: Vec<LeftOut>,
}

/// Why no reader can go on.
pub(super) enum Verdict {
    Gone(String),
    Failed(String),
}

/// Waits are cut short when the other end of this is dropped.
pub(super) type Cancelled = Receiver<Infallible>;

impl Connection {
    /// # Errors
    ///
    /// Settings that the client does not take.
    pub(super) fn new(settings: KafkaSettings) -> Result<Arc<Connection>, SourceError> {
        settings.check()?;
        let lookup = Lookup::new(&settings)?;
        let budget = Budget::new(settings.memory_in_flight);
        let (state, verdict) = (Mutex::default(), OnceLock::new());
        let watch = Watch::new(Clock::system());
        Ok(Arc::new(Connection { settings, lookup, budget, watch, state, verdict }))
    }

    /// Repeats a question until it is answered.
    ///
    /// # Errors
    ///
    /// What no repetition mends; [`SourceError::Stopped`] if it is cancelled.
    pub(super) fn until_answered<T>(
        &self,
        cancelled: &Cancelled,
        ask: impl Fn(&Lookup, Duration) -> Result<T, Trouble>,
    ) -> Result<T, SourceError> {
        let clock = Clock::system();
        let mut absent = 0;
        let mut within = ANSWER_WITHIN_FIRST;
        loop {
            match ask(&self.lookup, within) {
                Ok(answer) => {
                    self.say_back();
                    return Ok(answer);
                }
                Err(Trouble::Absent) => {
                    absent += 1;
                    if absent == ABSENT_ANSWERS {
                        return Err(self.error(Trouble::Absent));
                    }
                }
                Err(Trouble::Away(reason)) => {
                    absent = 0;
                    self.say_away(&reason);
                }
                Err(Trouble::NotYet(reason)) => {
                    absent = 0;
                    self.say_not_yet(&reason, clock.elapsed());
                }
                Err(trouble) => return Err(self.error(trouble)),
            }
            if cancelled.recv_timeout(ASK_EVERY) != Err(RecvTimeoutError::Timeout) {
                return Err(SourceError::Stopped);
            }
            within = (within * 2).min(ANSWER_WITHIN_MAX);
        }
    }

    /// Asks once.
    ///
    /// # Errors
    ///
    /// Whatever stands in the way just now.
    pub(super) fn ask<T>(
        &self,
        ask: impl Fn(&Lookup, Duration) -> Result<T, Trouble>,
    ) -> Result<T, SourceError> {
        ask(&self.lookup, ANSWER_WITHIN_MAX).map_err(|trouble| self.error(trouble))
    }

    /// How many partitions the topic has, as far as this process was told.
    pub(super) fn partitions(&self) -> Option<u32> {
        Some(self.state().partitions).filter(|&count| 0 < count)
    }

    /// The topic has this many partitions.
    pub(super) fn note_partitions(&self, count: u32) {
        self.state().partitions = count;
    }

    /// The id of the topic that is to be read, where it is known and topics have ids.
    pub(super) fn topic_id(&self) -> Option<String> {
        self.state().topic.as_ref()?.id.clone()
    }

    /// The topic that is to be read is this one.
    pub(super) fn note_topic(&self, topic: TopicIdentity) {
        self.state().topic = Some(topic);
    }

    /// What a bounded run leaves out.
    pub(super) fn left_out(&self) -> Vec<LeftOut> {
        self.state().left_out.clone()
    }

    /// Why no reader can go on, if that is certain. Costs next to nothing.
    pub(super) fn verdict(&self) -> Option<SourceError> {
        self.verdict.get().map(|verdict| match verdict {
            Verdict::Gone(reason) | Verdict::Failed(reason) => self.failed(reason),
        })
    }

    /// The error for the job that something is wrong with the topic.
    pub(super) fn failed(&self, reason: impl Into<String>) -> SourceError {
        SourceError::Failed { topic: self.settings.topic.clone(), reason: reason.into() }
    }

    /// The error for the job that messages are missing.
    pub(super) fn lost(&self, partition: Partition, loss: Loss) -> SourceError {
        let (topic, Loss { expected, low }) = (self.settings.topic.clone(), loss);
        SourceError::DataGone { topic, partition, expected, low }
    }

    /// The error for the job that a log holds other messages than before.
    pub(super) fn cut_back(&self, partition: Partition, reason: &str) -> SourceError {
        self.failed(format!(
            "partition {}: the log was cut back below what was read ({reason}); {START_OVER}",
            partition.0
        ))
    }

    /// Whether the cluster cannot be reached, as far as that is known.
    pub(super) fn is_away(&self) -> bool {
        self.state().away
    }

    /// How many times an inquiry found that the cluster answers.
    pub(super) fn answers(&self) -> u64 {
        self.state().answers
    }

    fn error(&self, trouble: Trouble) -> SourceError {
        let bootstrap = self.settings.bootstrap.clone();
        match trouble {
            Trouble::Absent => {
                SourceError::TopicAbsent { topic: self.settings.topic.clone(), bootstrap }
            }
            Trouble::Fatal(reason) => self.failed(reason),
            Trouble::Away(reason) | Trouble::NotYet(reason) => {
                self.failed(format!("cannot reach {bootstrap}: {reason}"))
            }
            Trouble::Refused(reason) => {
                self.failed(format!("{bootstrap} refuses the connection: {reason}"))
            }
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::report::Report;
    use crate::source::Wake;

    #[test]
    fn an_outage_is_said_once_and_so_is_its_end() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        let mut settings = KafkaSettings::new("127.0.0.1:1", "t");
        settings.report = Report::new(move |line| heard.lock().unwrap().push(line.to_owned()));
        let connection = Connection::new(settings).unwrap();
        for _ in 0..2 {
            connection.say_back(); // Nobody said that it was away.
            connection.say_away("no answer");
            connection.say_away("still no answer");
            connection.say_back();
        }
        let away = "cannot reach Kafka at 127.0.0.1:1: no answer; trying again";
        let back = "Kafka at 127.0.0.1:1 answers";
        assert_eq!(*lines.lock().unwrap(), [away, back, away, back]);
    }

    #[test]
    fn a_process_that_asks_another_cluster_hears_of_that_and_of_no_topic_made_anew() {
        let cluster = MockCluster::new(1).unwrap();
        let settings = KafkaSettings::new(cluster.bootstrap_servers(), "t");
        let here = Connection::new(settings.clone()).unwrap().lookup.cluster(ANSWER_WITHIN_MAX);
        for (wanted, said) in [
            (Some("another".into()), "the topic is in the cluster another"),
            (here, "it was deleted while it was being read"),
            (None, "it was deleted while it was being read"),
        ] {
            let connection = Connection::new(settings.clone()).unwrap();
            let id = Some("id".into());
            connection.note_topic(TopicIdentity { name: "t".into(), cluster: wanted, id });
            connection.conclude_gone(&Wake::new(|| ()));
            let error = connection.verdict().unwrap().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_topic_is_absent_when_that_was_said_often_enough() {
        let connection = Connection::new(KafkaSettings::new("127.0.0.1:1", "t")).unwrap();
        let (_cancel, cancelled) = std::sync::mpsc::channel();
        let asked = Cell::new(0);
        let known_after = |answers| {
            asked.set(0);
            let answer = connection.until_answered(&cancelled, |_, _| {
                asked.set(asked.get() + 1);
                if asked.get() <= answers { Err(Trouble::Absent) } else { Ok(()) }
            });
            (answer.is_ok(), asked.get())
        };
        assert_eq!(known_after(ABSENT_ANSWERS - 1), (true, ABSENT_ANSWERS));
        assert_eq!(known_after(u32::MAX), (false, ABSENT_ANSWERS));
    }
}
