//! Finding out whether the cluster can be reached, and whether the topic is still there.
//!
//! Each worker's client complains by itself, and some complaints mean nothing (a connection that was
//! idle), so a complaint only starts an *inquiry*: one thread, which asks the cluster until it has an
//! answer, or until it is certain that there will be none.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use strandline_operators::record::{Offset, Partition};

use crate::clock::Clock;
use crate::source::kafka::connection::{
    ABSENT_ANSWERS, ANSWER_WITHIN_FIRST, ANSWER_WITHIN_MAX, ASK_EVERY, Connection, Verdict,
    topic_gone,
};
use crate::source::kafka::lookup::{At, Trouble};
use crate::source::{START_OVER, Wake};

impl Connection {
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
                    connection.say_not_yet(&reason, clock.elapsed());
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

    fn conclude(&self, verdict: Verdict, wake: &Wake) {
        // A second verdict would say the same.
        drop(self.verdict.set(verdict));
        wake.wake();
    }
}
