//! Whether the cluster can be reached, said once for all readers of a source.
//!
//! The client library reconnects by itself for as long as it lives. What is left to do is to tell
//! a person: once when the cluster cannot be reached, once when it answers again; and to tell a
//! broker that is away from a topic that is gone. Each worker's client complains by itself, and
//! some complaints mean nothing (a connection that was idle), so a complaint only starts an
//! *inquiry*: one thread, which asks the cluster until it has an answer.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use strandline_operators::record::{Offset, Partition};

use crate::clock::Clock;
use crate::condition::ConditionKind;
use crate::source::kafka::budget::Budget;
use crate::source::kafka::cursor::Loss;
use crate::source::kafka::left_out::LeftOut;
use crate::source::kafka::lookup::{At, Lookup, Trouble};
use crate::source::kafka::settings::KafkaSettings;
use crate::source::kafka::watch::Watch;
use crate::source::{START_OVER, SourceError, TopicIdentity, Wake};

/// How long the first question waits for its answer: a person should not wait for longer to hear
/// that nobody answers.
const ANSWER_WITHIN_FIRST: Duration = Duration::from_secs(2);
/// How long a later question waits for its answer, for lines that are slow.
const ANSWER_WITHIN_MAX: Duration = Duration::from_secs(10);
/// Time between questions.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long a broker may have no answer, though it can be reached, before a person is told: longer
/// than the election of a leader takes.
const NO_ANSWER_FOR: Duration = Duration::from_secs(3);
/// How many times in a row a broker has to say that a topic is absent: one that just starts may not
/// know it yet, and one that has just created it names its partitions before it has their logs.
const ABSENT_ANSWERS: u32 = 5;

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
    verdict: OnceLock<Verdict>,
}

#[derive(Default)]
struct State {
    /// Whether it was said that the cluster cannot be reached.
    away: bool,
    /// Whether there is an inquiry.
    inquiring: bool,
    /// How many complaints there were.
    complaints: u64,
    /// How many times an inquiry found that the cluster answers.
    answers: u64,
    /// Brokers of which it was said that fetching from them fails.
    broken: BTreeMap<i32, String>,
    /// How many partitions the topic had when last asked; 0 before.
    partitions: u32,
    /// The topic that is to be read, once that is known.
    topic: Option<TopicIdentity>,
    /// What a bounded run leaves out.
    left_out: Vec<LeftOut>,
}

enum Verdict {
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
                    if NO_ANSWER_FOR < clock.elapsed() {
                        self.say_away(&reason);
                    }
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

    /// A bounded run leaves this out; says so, unless it was said.
    pub(super) fn note_left_out(&self, left_out: Vec<LeftOut>) {
        let before = std::mem::replace(&mut self.state().left_out, left_out.clone());
        for left_out in left_out.iter().filter(|left_out| !before.contains(left_out)) {
            let LeftOut { partition, from, to } = left_out;
            self.settings.report.say(&format!(
                "topic `{}` partition {}: offsets {} to {} are left out, because a transaction is open \
                 there: what is committed among them can only be read when it has ended; run again \
                 then",
                self.settings.topic,
                partition.0,
                from.0,
                to.0.saturating_sub(1),
            ));
        }
    }

    /// What a bounded run leaves out.
    pub(super) fn left_out(&self) -> Vec<LeftOut> {
        self.state().left_out.clone()
    }

    /// The topic is another one, or there is none: it is now, or this process asks another cluster than
    /// the one in which it was found. Asks which that is.
    pub(super) fn conclude_gone(&self, wake: &Wake) {
        self.conclude(Verdict::Gone(self.why_gone()), wake);
    }

    /// Why the topic is not the one that is to be read.
    fn why_gone(&self) -> String {
        let wanted = self.state().topic.as_ref().and_then(|topic| topic.cluster.clone());
        let Some(wanted) = wanted else { return topic_gone() };
        match self.lookup.cluster(ANSWER_WITHIN_FIRST) {
            Some(found) if found != wanted => format!(
                "{} belongs to the cluster {found}, and the topic is in the cluster {wanted}: give all \
                 processes of the job brokers of one cluster",
                self.settings.bootstrap
            ),
            _ => topic_gone(),
        }
    }

    /// A partition waits behind an open transaction.
    pub(super) fn say_behind_transaction(&self, partition: Partition, at: Offset, high: Offset) {
        let detail = format!(
            "partition {} waits at offset {} behind a transaction that is neither committed nor \
             aborted; {} offsets behind it cannot be read until it is, and no window closes that they \
             may belong to",
            partition.0,
            at.0,
            high.0.saturating_sub(at.0)
        );
        let subject = partition.0.to_string();
        let now = Clock::system().wall();
        let kind = ConditionKind::WaitsBehindTransaction;
        self.settings.telemetry.raise(kind, &subject, &detail, now);
        self.settings.report.say(&format!("topic `{}`: {detail}", self.settings.topic));
    }

    /// It does no longer.
    pub(super) fn say_transaction_ended(&self, partition: Partition) {
        let kind = ConditionKind::WaitsBehindTransaction;
        self.settings.telemetry.clear(kind, &partition.0.to_string());
        self.settings.report.say(&format!(
            "topic `{}` partition {}: the transaction has ended, reading goes on",
            self.settings.topic, partition.0
        ));
    }

    /// Why no reader can go on, if that is certain. Costs next to nothing.
    pub(super) fn verdict(&self) -> Option<SourceError> {
        self.verdict.get().map(|verdict| match verdict {
            Verdict::Gone(reason) | Verdict::Failed(reason) => self.failed(reason),
        })
    }

    /// A client complained: finds out whether the cluster can be reached, and says so if not.
    /// Returns at once. `wake` is called if reading has to end.
    pub(super) fn inquire(self: &Arc<Self>, wake: &Wake) {
        {
            let mut state = self.state();
            state.complaints += 1;
            if state.inquiring {
                return;
            }
            state.inquiring = true;
        }
        let (connection, wake) = (Arc::downgrade(self), wake.clone());
        let inquiry = thread::Builder::new().name("kafka-inquiry".into());
        if inquiry.spawn(move || Connection::inquiry(&connection, &wake)).is_err() {
            self.state().inquiring = false; // No thread to be had: the next complaint tries again.
        }
    }

    fn inquiry(connection: &Weak<Connection>, wake: &Wake) {
        let mut clock = Clock::system();
        let mut absent = 0;
        let mut within = ANSWER_WITHIN_FIRST;
        while let Some(connection) = connection.upgrade() {
            let complaints = connection.state().complaints;
            match connection.probe(within) {
                Ok(()) => {
                    if connection.say_back() {
                        wake.wake(); // What was uncertain while it was away no longer is.
                    }
                    let mut state = connection.state();
                    state.answers += 1;
                    if state.complaints == complaints {
                        state.inquiring = false;
                        return;
                    }
                    (clock, absent) = (Clock::system(), 0);
                }
                Err(Trouble::Absent) => {
                    absent += 1;
                    if absent == ABSENT_ANSWERS {
                        return connection.conclude_gone(wake);
                    }
                }
                Err(Trouble::Fatal(reason)) => {
                    return connection.conclude(Verdict::Failed(reason), wake);
                }
                Err(Trouble::Away(reason) | Trouble::Refused(reason)) => {
                    absent = 0;
                    connection.say_away(&reason);
                    within = (within * 2).min(ANSWER_WITHIN_MAX);
                }
                Err(Trouble::NotYet(reason)) => {
                    absent = 0;
                    if NO_ANSWER_FOR < clock.elapsed() {
                        connection.say_away(&reason);
                    }
                    within = (within * 2).min(ANSWER_WITHIN_MAX);
                }
            }
            drop(connection);
            thread::park_timeout(ASK_EVERY);
        }
    }

    /// Asks every broker that leads a partition of the topic for something: a bootstrap broker may
    /// answer though the address that it gives for another, or for itself, is of no use.
    fn probe(&self, within: Duration) -> Result<(), Trouble> {
        let count = self.lookup.partitions(within)?;
        let known = self.partitions().unwrap_or(0);
        if count < known {
            return Err(Trouble::Fatal(format!(
                "it has {count} partitions now, where it had {known}: it was deleted and created \
                 anew; {START_OVER}"
            )));
        }
        self.lookup.offsets(0..count, At::End, within).map(drop)
    }

    /// Asks, in a thread, for the first offset and the end of a partition until there is an
    /// answer; calls `wake` then. The channel closes if there will be none.
    pub(super) fn ask_range(
        self: &Arc<Self>,
        partition: Partition,
        wake: &Wake,
    ) -> Receiver<(Offset, Offset)> {
        let (answer, answers) = channel();
        let (connection, wake) = (Arc::downgrade(self), wake.clone());
        let thread = thread::Builder::new().name("kafka-range".into());
        // Without a thread the channel closes, and the reader asks again.
        drop(thread.spawn(move || {
            while let Some(connection) = connection.upgrade() {
                match connection.lookup.range(partition, ANSWER_WITHIN_MAX) {
                    Ok(range) => {
                        let _ = answer.send(range); // Nobody to tell: the reader is gone.
                        return wake.wake();
                    }
                    // The inquiry says what there is to say.
                    Err(_) => connection.inquire(&wake),
                }
                drop(connection);
                thread::park_timeout(ASK_EVERY);
            }
        }));
        answers
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

    /// Says what is wrong with a partition just now.
    pub(super) fn say_passing(&self, partition: Partition, reason: &str) {
        self.settings.report.say(&format!(
            "topic `{}` partition {}: {reason}; trying again",
            self.settings.topic, partition.0
        ));
    }

    /// Whether the cluster cannot be reached, as far as that is known.
    pub(super) fn is_away(&self) -> bool {
        self.state().away
    }

    /// How many times an inquiry found that the cluster answers.
    pub(super) fn answers(&self) -> u64 {
        self.state().answers
    }

    /// Says that fetching from a broker fails though the cluster answers; once for all readers.
    pub(super) fn say_broken(&self, broker: i32, address: &str, reason: &str) {
        self.settings.telemetry.measure(|measures| measures.kafka.errors += 1);
        if self.state().broken.insert(broker, address.to_owned()).is_none() {
            let line =
                format!("Kafka answers, but fetching from {address} fails: {reason}; trying again");
            self.raise(address, &line);
            self.settings.report.say(&line);
        }
    }

    /// Says that it does no longer, if it was said.
    pub(super) fn say_mended(&self, broker: i32) {
        let mended = self.state().broken.remove(&broker);
        if let Some(address) = mended {
            self.settings.telemetry.clear(ConditionKind::WaitingForKafka, &address);
            self.settings.report.say(&format!("fetching from {address} goes on"));
        }
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

    fn conclude(&self, verdict: Verdict, wake: &Wake) {
        // A second verdict would say the same.
        drop(self.verdict.set(verdict));
        wake.wake();
    }

    fn say_away(&self, reason: &str) {
        self.settings.telemetry.measure(|measures| {
            measures.kafka.errors += 1;
            measures.kafka.is_connected = Some(false);
        });
        if !std::mem::replace(&mut self.state().away, true) {
            let line = format!(
                "cannot reach Kafka at {}: {reason}; trying again",
                self.settings.bootstrap
            );
            self.raise("", &line);
            self.settings.report.say(&line);
        }
    }

    /// The job waits for a broker, or for all of them.
    fn raise(&self, address: &str, line: &str) {
        let at = Clock::system().wall();
        self.settings.telemetry.raise(ConditionKind::WaitingForKafka, address, line, at);
    }

    /// Says that the cluster answers, if it was away; returns whether it was.
    fn say_back(&self) -> bool {
        let was_away = std::mem::take(&mut self.state().away);
        self.settings.telemetry.measure(|measures| measures.kafka.is_connected = Some(true));
        if was_away {
            self.settings.telemetry.clear(ConditionKind::WaitingForKafka, "");
            self.settings.report.say(&format!("Kafka at {} answers", self.settings.bootstrap));
        }
        was_away
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::report::Report;

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
