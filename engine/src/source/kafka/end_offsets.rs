//! Where partitions end, asked of the cluster beside the workers.
//!
//! Whether a partition is idle is decided by an end that was asked for at a certain moment, and the
//! client only tells what the newest fetch said, not when. Readers of all workers ask here; one
//! thread asks the cluster for all of them together, and ends when nothing is asked any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use strandline_operators::record::{Offset, Partition};

use super::connection::{ANSWER_WITHIN_MAX, ASK_EVERY, Connection};
use super::lookup::{At, Lookup, Trouble};
use crate::source::Wake;

/// A question for the end of a partition. Later ones are greater.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question(u64);

/// What was asked for, and what was answered.
#[derive(Debug, Default)]
pub(super) struct EndOffsets(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The number of the last question.
    last: u64,
    /// Whether there is a thread that asks.
    is_asking: bool,
    /// The partitions whose ends are wanted, with the last question and who wants to know.
    wanted: BTreeMap<Partition, (Question, Wake)>,
    /// The newest ends, with the last question that they answer.
    ends: BTreeMap<Partition, (Question, Offset)>,
}

impl EndOffsets {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a question. Says whether somebody has to begin to ask the cluster.
    fn want(&self, partition: Partition, wake: &Wake) -> (Question, bool) {
        let mut state = self.state();
        state.last += 1;
        let question = Question(state.last);
        state.wanted.insert(partition, (question, wake.clone()));
        (question, !std::mem::replace(&mut state.is_asking, true))
    }

    /// Answers what is wanted by what `ask` says of a range of partitions. Says whether nothing is
    /// wanted any more.
    fn answer(
        &self,
        ask: impl FnOnce(std::ops::Range<u32>) -> Result<Vec<Option<Offset>>, Trouble>,
    ) -> Result<bool, Trouble> {
        let (question, wanted) = {
            let mut state = self.state();
            let (Some((first, _)), Some((last, _))) =
                (state.wanted.first_key_value(), state.wanted.last_key_value())
            else {
                state.is_asking = false;
                return Ok(true);
            };
            let range = first.0..last.0 + 1;
            (Question(state.last), range)
        };
        let first = wanted.start;
        let ends = ask(wanted)?;
        let mut state = self.state();
        let mut wakes = Vec::new();
        for (partition, end) in (first..).map(Partition).zip(ends) {
            let Some(end) = end else { continue };
            state.ends.insert(partition, (question, end));
            // A question that came meanwhile is another one.
            if state.wanted.get(&partition).is_some_and(|(wanted, _)| *wanted <= question) {
                wakes.extend(state.wanted.remove(&partition).map(|(_, wake)| wake));
            }
        }
        drop(state);
        wakes.iter().for_each(Wake::wake);
        Ok(false)
    }

    /// Nobody asks the cluster any more.
    fn give_up(&self) {
        self.state().is_asking = false;
    }
}

impl Connection {
    /// Asks for the end of a partition. Returns at once; `wake` is called when there is an answer.
    pub(super) fn ask_end(self: &Arc<Self>, partition: Partition, wake: &Wake) -> Question {
        let (question, begins) = self.end_offsets.want(partition, wake);
        if begins {
            let (connection, wake) = (Arc::downgrade(self), wake.clone());
            let thread = thread::Builder::new().name("kafka-ends".into());
            if thread.spawn(move || ask_for_all(&connection, &wake)).is_err() {
                self.end_offsets.give_up(); // No thread to be had: the next question tries again.
            }
        }
        question
    }

    /// The answer to a question, or to a later one.
    pub(super) fn end_answered(&self, partition: Partition, question: Question) -> Option<Offset> {
        let state = self.end_offsets.state();
        let (answered, end) = state.ends.get(&partition)?;
        (question <= *answered).then_some(*end)
    }
}

/// Until nothing is wanted any more.
fn ask_for_all(connection: &Weak<Connection>, wake: &Wake) {
    while let Some(connection) = connection.upgrade() {
        let ask =
            |lookup: &Lookup, partitions| lookup.offsets(partitions, At::End, ANSWER_WITHIN_MAX);
        match connection.end_offsets.answer(|partitions| ask(&connection.lookup, partitions)) {
            Ok(true) => return,
            Ok(false) => {}
            Err(_) => {
                // The inquiry says what there is to say.
                connection.inquire(wake);
                drop(connection);
                thread::park_timeout(ASK_EVERY);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn an_answer_counts_for_the_questions_before_it_and_for_no_later_one() {
        let ends = EndOffsets::default();
        let woken = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&woken);
        let wake = Wake::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let answered = |partition: u32, question| {
            let (answered, end) = *ends.state().ends.get(&Partition(partition))?;
            (question <= answered).then_some(end)
        };
        let (first, begins) = ends.want(Partition(1), &wake);
        assert!(begins);
        assert_eq!(answered(1, first), None);
        let mut second = None;
        let over = ends.answer(|partitions| {
            assert_eq!(partitions, 1..2);
            // While the cluster is asked.
            second = Some(ends.want(Partition(3), &wake));
            Ok(vec![Some(Offset(7))])
        });
        assert!(!over.unwrap());
        let (second, begins) = second.unwrap();
        assert!(!begins, "there is a thread already");
        assert_eq!((answered(1, first), answered(1, second)), (Some(Offset(7)), None));
        let over = ends.answer(|partitions| {
            assert_eq!(partitions, 3..4);
            Ok(vec![Some(Offset(9))])
        });
        assert!(!over.unwrap());
        assert_eq!((answered(3, second), woken.load(Ordering::SeqCst)), (Some(Offset(9)), 2));
        assert!(ends.answer(|_| panic!("nothing is wanted")).unwrap());
        assert!(ends.want(Partition(0), &wake).1, "the thread has ended");
        assert!(ends.answer(|_| Err(Trouble::NotYet("slow".into()))).is_err());
        assert!(!ends.want(Partition(0), &wake).1, "it asks again");
    }
}
