//! What is asked of the cluster again and again while a topic is read, beside the workers, by one
//! thread for all readers of a process: whether it is still the same topic, and where partitions end.
//!
//! A topic that was deleted and made anew holds other messages at the same offsets, and the client goes
//! on in them without a word. Its id tells.
//!
//! Where a partition ends is wanted for its lag, while nothing is fetched of it, and to decide whether it
//! is idle: by an end that was asked for after a certain moment. The client only tells what the newest
//! fetch said, not when.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use strandline_operators::record::{Offset, Partition};

use super::lookup::Trouble;
use crate::clock::Clock;
use crate::source::Wake;

/// How often the cluster is asked, where nobody waits for an answer.
pub(super) const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long ends may take at first: what others say is known only when the slowest broker has answered,
/// and has to be new then. Doubled, up to `ANSWER_WITHIN`, while none says anything.
pub(super) const ENDS_WITHIN_FIRST: Duration = Duration::from_secs(1);
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
pub(super) struct State {
    /// The thread that asks, if there is one.
    pub(super) asker: Option<Thread>,
    /// Partitions whose ends are wanted.
    wanted: BTreeMap<Partition, Wanted>,
    /// Ends that were asked for, and when.
    ends: BTreeMap<Partition, HeardEnd>,
}

/// An end that is wanted.
struct Wanted {
    since: Question,
    /// Who waits for it; the next round is soon enough for others.
    waits: Option<Wake>,
}

/// The moment at which an end was asked for: what the cluster says later answers it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question(Duration);

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

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
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
        state.wanted.entry(partition).or_insert(Wanted { since: Question(now), waits: None });
        let asked = state.ends.get(&partition).copied();
        let newest = [heard, asked].into_iter().flatten().max_by_key(|heard| heard.at);
        newest.filter(|heard| age(*heard) <= END_COUNTS_FOR).map(|heard| heard.end)
    }

    /// Asks for the end of a partition, as it is from now on. Returns at once; `wake` is called when
    /// there is an answer.
    pub(super) fn ask_end(&self, partition: Partition, wake: &Wake) -> Question {
        let question = Question(self.now());
        let mut state = self.state();
        let waits = Some(wake.clone());
        state.wanted.insert(partition, Wanted { since: question, waits });
        if let Some(asker) = &state.asker {
            asker.unpark();
        }
        question
    }

    /// The answer to a question, or to a later one.
    pub(super) fn answer(&self, partition: Partition, question: Question) -> Option<Offset> {
        let heard = *self.state().ends.get(&partition)?;
        (question <= Question(heard.at)).then_some(heard.end)
    }

    /// Whether somebody waits for an answer.
    fn is_awaited(&self) -> bool {
        self.state().wanted.values().any(|wanted| wanted.waits.is_some())
    }

    /// Asks for the ends that are wanted; those that are not answered stay wanted, each by itself.
    fn look(
        &self,
        ask: impl FnOnce(Range<u32>) -> Result<Vec<Result<Offset, Trouble>>, Trouble>,
    ) -> Result<Answered, Trouble> {
        let at = self.now();
        let range = {
            let state = self.state();
            let (first, last) = (state.wanted.first_key_value(), state.wanted.last_key_value());
            let (Some((first, _)), Some((last, _))) = (first, last) else {
                return Ok(Answered::All);
            };
            first.0..last.0 + 1
        };
        let first = range.start;
        let ends = ask(range)?;
        let mut state = self.state();
        let mut awaited = Vec::new();
        let (mut any, mut all) = (false, true);
        for (partition, end) in (first..).map(Partition).zip(ends) {
            // The range covers others that nobody asks for.
            let is_wanted = state.wanted.contains_key(&partition);
            let Ok(end) = end else {
                all &= !is_wanted;
                continue;
            };
            any = true;
            state.ends.insert(partition, HeardEnd { end, at });
            // A question that came meanwhile is another one.
            if state.wanted.get(&partition).is_some_and(|wanted| wanted.since <= Question(at)) {
                awaited.extend(state.wanted.remove(&partition).and_then(|wanted| wanted.waits));
            }
        }
        drop(state);
        awaited.iter().for_each(Wake::wake);
        Ok(match (any, all) {
            (_, true) => Answered::All,
            (true, false) => Answered::Some,
            (false, false) => Answered::None,
        })
    }
}

/// Which of the ends that were wanted were answered.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    All,
    Some,
    None,
}

/// What one round of questions came to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) is_another_topic: bool,
    pub(super) is_topic_answered: bool,
    pub(super) ends: Answered,
}

impl Watch {
    /// Asks both questions, if it is time for the first: neither hides the answer to the other.
    pub(super) fn round(
        &self,
        is_due: bool,
        is_same_topic: impl FnOnce() -> Result<bool, Trouble>,
        ends: impl FnOnce(Range<u32>) -> Result<Vec<Result<Offset, Trouble>>, Trouble>,
    ) -> Round {
        let is_same = if is_due { is_same_topic() } else { Ok(true) };
        Round {
            is_another_topic: matches!(is_same, Ok(false)),
            is_topic_answered: is_same.is_ok(),
            ends: match is_due || self.is_awaited() {
                true => self.look(ends).unwrap_or(Answered::None),
                false => Answered::All,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use strandline_operators::time::EventTime;

    use super::*;

    #[test]
    fn an_end_is_known_while_it_is_new_and_asked_for_where_nothing_is_fetched() {
        let (clock, hand) = Clock::set_by_hand(EventTime::from_millis(0));
        let watch = Watch::new(clock);
        let one = Partition(1);
        let heard = Some(HeardEnd { end: Offset(5), at: watch.now() });
        assert_eq!(watch.end(one, heard), Some(Offset(5)));
        watch.look(|_| panic!("what is fetched is not asked for")).unwrap();
        hand.advance(Duration::from_millis(1_500));
        assert_eq!(watch.end(one, heard), Some(Offset(5)));
        watch.look(|_| Err(Trouble::NotYet("slow".into()))).unwrap_err();
        watch
            .look(|partitions| {
                assert_eq!(partitions, 1..2, "it is asked for until there is an answer");
                Ok(vec![Ok(Offset(9))])
            })
            .unwrap();
        hand.advance(Duration::from_millis(2_500));
        assert_eq!(watch.end(one, heard), Some(Offset(9)));
        hand.advance(Duration::from_secs(1));
        assert_eq!(watch.end(one, heard), None, "it may have grown since");
    }

    #[test]
    fn an_answer_counts_for_the_questions_before_it_and_for_no_later_one() {
        let (clock, hand) = Clock::set_by_hand(EventTime::from_millis(0));
        let watch = Watch::new(clock);
        let woken = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&woken);
        let wake = Wake::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let (one, three) = (Partition(1), Partition(3));
        let first = watch.ask_end(one, &wake);
        assert!(watch.is_awaited() && watch.answer(one, first).is_none());
        let mut later = None;
        watch
            .look(|partitions| {
                assert_eq!(partitions, 1..2);
                // While the cluster is asked.
                hand.advance(Duration::from_millis(1));
                later = Some((watch.ask_end(one, &wake), watch.ask_end(three, &wake)));
                Ok(vec![Ok(Offset(7))])
            })
            .unwrap();
        let (second, third) = later.unwrap();
        assert_eq!(watch.answer(one, first), Some(Offset(7)));
        assert_eq!((watch.answer(one, second), watch.answer(three, third)), (None, None));
        assert_eq!(woken.load(Ordering::SeqCst), 0, "another question took the place of the first");
        watch.look(|_| Err(Trouble::NotYet("slow".into()))).unwrap_err();
        watch
            .look(|partitions| {
                assert_eq!(partitions, 1..4);
                Ok([8, 5, 9].map(|end| Ok(Offset(end))).into())
            })
            .unwrap();
        let answers = (watch.answer(one, second), watch.answer(three, third));
        assert_eq!(answers, (Some(Offset(8)), Some(Offset(9))));
        assert!(woken.load(Ordering::SeqCst) == 2 && !watch.is_awaited());
    }
    #[test]
    fn an_end_that_is_not_answered_hides_no_other_and_stays_wanted() {
        let (clock, _hand) = Clock::set_by_hand(EventTime::from_millis(0));
        let watch = Watch::new(clock);
        let no_leader = || Err(Trouble::NotYet("no leader".into()));
        let (zero, two) = (Partition(0), Partition(2));
        assert_eq!((watch.end(zero, None), watch.end(two, None)), (None, None));
        let answered = watch.look(|_| Ok(vec![Ok(Offset(4)), no_leader(), no_leader()])).unwrap();
        assert_eq!(answered, Answered::Some);
        assert_eq!((watch.end(zero, None), watch.end(two, None)), (Some(Offset(4)), None));
        let answered = watch.look(|_| Ok(vec![no_leader(), no_leader(), Ok(Offset(6))])).unwrap();
        assert_eq!(answered, Answered::Some);
        assert_eq!(
            (watch.end(zero, None), watch.end(two, None)),
            (Some(Offset(4)), Some(Offset(6)))
        );
    }

    #[test]
    fn another_topic_is_noticed_while_ends_are_not_answered_and_the_other_way_round() {
        let (clock, hand) = Clock::set_by_hand(EventTime::from_millis(0));
        let watch = Watch::new(clock);
        let not_yet = || Trouble::NotYet("no leader".into());
        assert_eq!(watch.end(Partition(0), None), None);
        let round = watch.round(true, || Ok(false), |_| Err(not_yet()));
        assert!(round.is_another_topic && round.ends == Answered::None);
        let round = watch.round(true, || Err(not_yet()), |_| Ok(vec![Ok(Offset(3))]));
        assert!(!round.is_another_topic && !round.is_topic_answered);
        assert_eq!(watch.end(Partition(0), None), Some(Offset(3)));
        // Between rounds only what somebody waits for is asked for.
        hand.advance(Duration::from_millis(1));
        let no = || panic!("it is not due");
        let round = watch.round(false, no, |_| panic!("nobody waits"));
        assert_eq!(round.ends, Answered::All);
        let question = watch.ask_end(Partition(0), &Wake::new(|| ()));
        watch.round(false, no, |_| Ok(vec![Ok(Offset(5))]));
        assert_eq!(watch.answer(Partition(0), question), Some(Offset(5)));
    }
}
