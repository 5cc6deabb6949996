//! The thread that asks, for all readers of a process, while there are any.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::connection::{ASK_EVERY, Connection};
use super::lookup::Trouble;
use super::watch::{ANSWER_WITHIN, Answered, ENDS_WITHIN_FIRST, WATCH_EVERY};
use crate::source::Wake;

impl Connection {
    /// Begins to watch the topic, if nobody does. `wake` is called when reading has to end.
    pub(super) fn watch(self: &Arc<Self>, wake: &Wake) {
        let mut state = self.watch.state();
        if state.asker.is_some() {
            return;
        }
        let (connection, wake) = (Arc::downgrade(self), wake.clone());
        let thread = thread::Builder::new().name("kafka-watch".into());
        // If there is no thread to be had, the next reader tries again.
        let thread = thread.spawn(move || watch(&connection, &wake));
        state.asker = thread.ok().map(|thread| thread.thread().clone());
    }

    /// Whether the topic still is the one that is to be read.
    fn is_same_topic(&self) -> Result<bool, Trouble> {
        let id = self.lookup.topic_id(ANSWER_WITHIN)?;
        let wanted = self.topic_id();
        Ok(id.is_none() || wanted.is_none() || id == wanted)
    }
}

/// Until there is no reader any more.
fn watch(connection: &Weak<Connection>, wake: &Wake) {
    let (mut due, mut ends_within) = (Duration::ZERO, ENDS_WITHIN_FIRST);
    while let Some(connection) = connection.upgrade() {
        let now = connection.watch.now();
        let is_due = due <= now;
        // Also while the cluster is said to be away: one partition without a leader is enough for that.
        let round = connection.watch.round(
            is_due,
            || connection.is_same_topic(),
            |partitions| connection.lookup.high_watermarks(partitions, ends_within),
        );
        if round.is_another_topic {
            return connection.conclude_gone(wake);
        }
        if !round.is_topic_answered || round.ends != Answered::All {
            connection.inquire(wake); // That says what there is to say.
        }
        ends_within = match round.ends {
            Answered::All => ends_within,
            Answered::Some => ENDS_WITHIN_FIRST,
            Answered::None => (ends_within * 2).min(ANSWER_WITHIN),
        };
        if is_due {
            due = now + WATCH_EVERY;
        }
        drop(connection);
        // In steps, so that the thread ends soon after the last reader.
        thread::park_timeout(due.saturating_sub(now).min(ASK_EVERY));
    }
}
