//! What is asked of the cluster again and again while a topic is read, beside the workers, by one
//! thread: whether it is still the same topic, and where partitions end that are not fetched just now.
//!
//! A topic that was deleted and made anew holds other messages at the same offsets, and the client goes
//! on in them without a word. Its id tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use strandline_operators::record::{Offset, Partition};

use super::connection::{ASK_EVERY, Connection};
use super::lookup::Trouble;
use crate::clock::Clock;
use crate::source::Wake;

/// How often the cluster is asked.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long it counts where a partition ended: after that, its end is unknown.
const END_COUNTS_FOR: Duration = Duration::from_secs(3);
/// How old what was heard with messages may be before the end is asked for.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Watch {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether there is a thread that asks.
    begun: bool,
    /// Partitions whose ends are wanted.
    wanted: BTreeSet<Partition>,
    /// Ends that were asked for, and when.
    ends: BTreeMap<Partition, HeardEnd>,
}

/// Where a partition ended when that was heard.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct HeardEnd {
    pub(super) end: Offset,
    pub(super) at: Duration,
}

impl Watch {
    pub(super) fn new(clock: Clock) -> Watch {
        Watch { clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time that [`HeardEnd::at`] is of.
    pub(super) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Where a partition ends, given what was heard with its messages; `None` if that and what was
    /// asked for is too old. If the former is old, the end is asked for.
    pub(super) fn end(&self, partition: Partition, heard: Option<HeardEnd>) -> Option<Offset> {
        let now = self.now();
        let age = |heard: HeardEnd| now.saturating_sub(heard.at);
        if let Some(heard) = heard.filter(|heard| age(*heard) <= HEARD_WITHIN) {
            return Some(heard.end);
        }
        let mut state = self.state();
        state.wanted.insert(partition);
        let asked = state.ends.get(&partition).copied();
        let newest = [heard, asked].into_iter().flatten().max_by_key(|heard| heard.at);
        newest.filter(|heard| age(*heard) <= END_COUNTS_FOR).map(|heard| heard.end)
    }

    /// Asks for the ends that are wanted.
    fn ask(
        &self,
        ask: impl FnOnce(std::ops::Range<u32>) -> Result<Vec<Offset>, Trouble>,
    ) -> Result<(), Trouble> {
        let at = self.now();
        let wanted = std::mem::take(&mut self.state().wanted);
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(()) };
        let ends = ask(first.0..last.0 + 1)?;
        let mut state = self.state();
        for (partition, end) in (first.0..).map(Partition).zip(ends) {
            state.ends.insert(partition, HeardEnd { end, at });
        }
        Ok(())
    }
}

impl Connection {
    /// Begins to watch the topic, if nobody does. `wake` is called when reading has to end.
    pub(super) fn watch(self: &Arc<Self>, wake: &Wake) {
        if std::mem::replace(&mut self.watch.state().begun, true) {
            return;
        }
        let (connection, wake) = (Arc::downgrade(self), wake.clone());
        let thread = thread::Builder::new().name("kafka-watch".into());
        if thread.spawn(move || watch(&connection, &wake)).is_err() {
            self.watch.state().begun = false; // No thread to be had: the next reader tries again.
        }
    }
}

/// Until there is no reader any more.
fn watch(connection: &Weak<Connection>, wake: &Wake) {
    while let Some(connection) = connection.upgrade() {
        if !connection.is_away() {
            let lookup = &connection.lookup;
            let asked = connection
                .watch
                .ask(|partitions| lookup.high_watermarks(partitions, ANSWER_WITHIN))
                .and_then(|()| lookup.topic_id(ANSWER_WITHIN));
            match asked {
                Ok(id) => {
                    let planned = connection.topic_id();
                    if planned.is_some() && id.is_some() && planned != id {
                        return connection.conclude_gone(wake);
                    }
                }
                // The inquiry says what there is to say.
                Err(_) => connection.inquire(wake),
            }
        }
        drop(connection);
        // In steps, so that the thread ends soon after the last reader.
        let steps = WATCH_EVERY.as_millis() / ASK_EVERY.as_millis();
        (0..steps).for_each(|_| thread::park_timeout(ASK_EVERY));
    }
}

#[cfg(test)]
mod tests {
    use strandline_operators::time::EventTime;

    use super::*;

    #[test]
    fn an_end_is_known_while_it_is_new_and_asked_for_where_nothing_is_fetched() {
        let (clock, hand) = Clock::set_by_hand(EventTime::from_millis(0));
        let watch = Watch::new(clock);
        let one = Partition(1);
        let heard = Some(HeardEnd { end: Offset(5), at: watch.now() });
        assert_eq!(watch.end(one, None), None, "nobody has said so yet");
        watch.ask(|_| Err(Trouble::NotYet("slow".into()))).unwrap_err();
        assert_eq!(watch.end(one, heard), Some(Offset(5)));
        watch.ask(|_| panic!("what is fetched is not asked for")).unwrap();
        hand.advance(Duration::from_millis(1_500));
        assert_eq!(watch.end(one, heard), Some(Offset(5)));
        watch
            .ask(|partitions| {
                assert_eq!(partitions, 1..2);
                Ok(vec![Offset(9)])
            })
            .unwrap();
        hand.advance(Duration::from_millis(2_500));
        assert_eq!(watch.end(one, heard), Some(Offset(9)));
        hand.advance(Duration::from_secs(1));
        assert_eq!(watch.end(one, heard), None, "it may have grown since");
    }
}
