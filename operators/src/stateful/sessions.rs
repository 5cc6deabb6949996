//! Sessions of keys: stretches of time that grow and merge as rows come, with something kept for each.

use std::collections::BTreeSet;

use hashbrown::HashMap;

/// Sessions with a state each, whatever that is. Times are exact, as the flow counts them.
///
/// Two rows of a key are of one session if they lie less than the gap apart, or are so through others.
#[derive(Debug)]
pub(crate) struct Sessions<S> {
    /// The silence that ends a session.
    gap: i64,
    per_millis: i64,
    of_key: HashMap<u32, OfKey<S>, foldhash::fast::FixedState>,
    /// For each key, a time in milliseconds at or before which none of its sessions ends. It is put
    /// right when event time comes there, so a session may grow without a look at it.
    due: BTreeSet<(i64, u32)>,
}

#[derive(Debug)]
struct OfKey<S> {
    /// In order; they lie at least the gap apart.
    sessions: Vec<Session<S>>,
    due: i64,
}

/// A session.
#[derive(Clone, Debug)]
pub(crate) struct Session<S> {
    /// The time of the first row.
    pub(crate) first: i64,
    /// The time of the last row.
    pub(crate) last: i64,
    /// What is kept for it.
    pub(crate) state: S,
}

/// A session that is over.
#[derive(Debug)]
pub(crate) struct Closed<S> {
    pub(crate) key: u32,
    /// Where it begins, and the first millisecond after it.
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) state: S,
}

impl<S> Sessions<S> {
    /// None yet. The gap is in milliseconds; `per_millis` is how finely time is counted.
    pub(crate) fn new(gap_millis: i64, per_millis: i64) -> Self {
        let gap = gap_millis.saturating_mul(per_millis);
        Self { gap, per_millis, of_key: HashMap::default(), due: BTreeSet::new() }
    }

    /// Lets a session reach from `first` to `last`, together with those that it touches: the state of
    /// the one that it is then. `new` makes the state of a session that touches no other; the states of
    /// all but the first of several are merged into that, by `merge`.
    pub(crate) fn reach(
        &mut self,
        key: u32,
        (first, last): (i64, i64),
        new: impl FnOnce() -> S,
        mut merge: impl FnMut(&mut S, S),
    ) -> &mut S {
        let (gap, per_millis) = (self.gap, self.per_millis);
        let of_key =
            self.of_key.entry(key).or_insert_with(|| OfKey { sessions: Vec::new(), due: i64::MAX });
        let sessions = &mut of_key.sessions;
        let begin = sessions.partition_point(|before| before.last.saturating_add(gap) <= first);
        let touched =
            sessions[begin..].partition_point(|session| session.first < last.saturating_add(gap));
        if touched == 0 {
            let end = end_millis(last, gap, per_millis);
            if end < of_key.due || sessions.is_empty() {
                self.due.remove(&(of_key.due, key));
                of_key.due = end;
                self.due.insert((end, key));
            }
            sessions.insert(begin, Session { first, last, state: new() });
            return &mut sessions[begin].state;
        }
        let others: Vec<_> = sessions.drain(begin + 1..begin + touched).collect();
        let session = &mut sessions[begin];
        session.first = session.first.min(first);
        session.last = session.last.max(last);
        for other in others {
            session.last = session.last.max(other.last);
            merge(&mut session.state, other.state);
        }
        &mut sessions[begin].state
    }

    /// Takes out the sessions that are over at a time, by their ends.
    pub(crate) fn close(&mut self, to_millis: i64) -> Vec<Closed<S>> {
        let mut closed = Vec::new();
        while let Some((due, key)) = self.due.first().copied()
            && due <= to_millis
        {
            self.due.pop_first();
            let Some(of_key) = self.of_key.get_mut(&key) else { continue };
            // Sessions of a key are in order, so those that are over are the first ones.
            let end = |session: &Session<S>| end_millis(session.last, self.gap, self.per_millis);
            let over = of_key.sessions.partition_point(|session| end(session) <= to_millis);
            for session in of_key.sessions.drain(..over) {
                let (start, end) = (session.first.div_euclid(self.per_millis), end(&session));
                closed.push(Closed { key, start, end, state: session.state });
            }
            match of_key.sessions.first() {
                Some(next) => {
                    of_key.due = end(next);
                    self.due.insert((of_key.due, key));
                }
                None => _ = self.of_key.remove(&key),
            }
        }
        closed.sort_by_key(|session| session.end);
        closed
    }

    /// A time at or before the end of each.
    pub(crate) fn earliest_end(&self) -> Option<i64> {
        self.due.first().map(|(due, _)| *due)
    }

    /// All of them, with their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Session<S>)> {
        self.of_key
            .iter()
            .flat_map(|(key, of_key)| of_key.sessions.iter().map(|session| (*key, session)))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.of_key.values().map(|of_key| of_key.sessions.len()).sum()
    }
}

/// The first millisecond at which a session whose last row is at `last` is over.
pub(crate) fn end_millis(last: i64, gap: i64, per_millis: i64) -> i64 {
    let end = last.saturating_add(gap);
    end.div_euclid(per_millis).saturating_add(i64::from(end.rem_euclid(per_millis) > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(sessions: &mut Sessions<Vec<i64>>, time: i64) {
        sessions
            .reach(7, (time, time), Vec::new, |into, from: Vec<i64>| into.extend(from))
            .push(time);
    }

    fn closed(sessions: &mut Sessions<Vec<i64>>, to: i64) -> Vec<(i64, i64, Vec<i64>)> {
        sessions.close(to).into_iter().map(|s| (s.start, s.end, s.state)).collect()
    }

    #[test]
    fn a_row_between_two_sessions_makes_them_one() {
        let mut sessions = Sessions::new(10, 1);
        [0, 12, 24].into_iter().for_each(|time| reach(&mut sessions, time));
        assert_eq!(sessions.len(), 3);
        reach(&mut sessions, 6);
        assert_eq!(sessions.len(), 2);
        // A gap is not less than itself.
        assert_eq!(closed(&mut sessions, 21), []);
        assert_eq!(closed(&mut sessions, 22), [(0, 22, vec![0, 12, 6])]);
        assert_eq!(sessions.earliest_end(), Some(34));
        reach(&mut sessions, 34);
        assert_eq!(closed(&mut sessions, 100), [(24, 34, vec![24]), (34, 44, vec![34])]);
        assert_eq!((sessions.earliest_end(), sessions.len()), (None, 0));
    }

    #[test]
    fn times_finer_than_a_millisecond_are_compared_in_full() {
        let mut sessions = Sessions::new(2, 1000);
        [1500, 3499, 5499].into_iter().for_each(|time| reach(&mut sessions, time));
        assert_eq!(closed(&mut sessions, 5), []);
        assert_eq!(closed(&mut sessions, 6), [(1, 6, vec![1500, 3499])]);
        assert_eq!(closed(&mut sessions, 8), [(5, 8, vec![5499])]);
    }

    #[test]
    fn an_earlier_session_of_a_key_is_over_earlier() {
        let mut sessions = Sessions::new(10, 1);
        reach(&mut sessions, 100);
        reach(&mut sessions, 50);
        assert_eq!(sessions.earliest_end(), Some(60));
        assert_eq!(closed(&mut sessions, 60), [(50, 60, vec![50])]);
        assert_eq!(sessions.earliest_end(), Some(110));
    }
}
