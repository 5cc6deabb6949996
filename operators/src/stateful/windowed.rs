//! Something kept for each key and window, of whichever kind the windows are.
//!
//! Unlike window aggregates, what is kept here cannot be combined from panes: a row goes to each of its
//! windows.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use strandline_plan::window::Window;

use super::edges::Edges;
use super::lateness::{Fate, late_by_their_own_time};
use super::sessions::{Closed, Sessions};
use crate::batch::{Batch, Times};
use crate::key::KeyTable;
use crate::time::millis;

/// What is kept for a key and window.
pub(crate) trait Content: Default {
    /// Adds what is kept for another session, which turned out to be the same.
    fn merge(&mut self, other: Self);
}

/// Windows of keys.
pub(crate) enum Windowed<S> {
    /// By their ends.
    Fixed(Edges, BTreeMap<i64, HashMap<u32, S, foldhash::fast::FixedState>>),
    /// By their keys.
    Sessions(Sessions<S>),
}

/// Where a row goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    /// Its time, exactly.
    exact: i64,
    millis: i64,
    /// Windows that end at or before this are not for it.
    after: i64,
}

impl<S: Content> Windowed<S> {
    /// Windows that were checked, over times that are counted so finely.
    pub(crate) fn new(window: &Window, per_millis: i64) -> Self {
        match (window, Edges::of(window)) {
            (Window::Session { gap }, _) => Self::Sessions(Sessions::new(millis(*gap), per_millis)),
            (_, Some(edges)) => Self::Fixed(edges, BTreeMap::new()),
            (_, None) => unreachable!("only sessions have no edges beforehand"),
        }
    }

    /// Where each row goes, by the watermark of its own partition, and how many are late for some of
    /// their windows. Times are counted at least in milliseconds.
    pub(crate) fn fates(&self, batch: &Batch, times: &Times) -> (Vec<Fate<At>>, u64) {
        let Self::Fixed(edges, _) = self else {
            let fates = late_by_their_own_time(batch, times).into_iter().zip(times.iter());
            let fates = fates.map(|(fate, millis)| match fate {
                Fate::Kept(exact) => {
                    Fate::Kept(At { exact, millis: millis.as_millis(), after: i64::MIN })
                }
                Fate::Late => Fate::Late,
                Fate::Outside => Fate::Outside,
            });
            return (fates.collect(), 0);
        };
        let mut fates = Vec::with_capacity(batch.len());
        let mut partly_late = 0;
        let mut add = |row: usize, watermark: i64| {
            let (exact, millis) = (times.exact()[row], times.millis(row).as_millis());
            fates.push(match edges.pane(millis).ends {
                None => Fate::Outside,
                Some(ends) if ends.last <= watermark => Fate::Late,
                Some(ends) => {
                    partly_late += u64::from(ends.first <= watermark);
                    Fate::Kept(At { exact, millis, after: watermark })
                }
            });
        };
        match batch.origin() {
            Some(origin) => {
                for (rows, watermark) in origin.watermarks.iter() {
                    rows.for_each(|row| add(row, watermark.as_millis()));
                }
            }
            None => (0..batch.len()).for_each(|row| add(row, i64::MIN)),
        }
        (fates, partly_late)
    }

    /// Puts a row into each of its windows.
    pub(crate) fn put(
        &mut self,
        keys: &mut KeyTable,
        key: &[u8],
        at: At,
        mut put: impl FnMut(&mut S),
    ) {
        match self {
            Self::Fixed(edges, windows) => {
                let ends = edges.pane(at.millis).ends;
                for end in ends.into_iter().flat_map(|ends| ends.after(at.after)) {
                    let key = keys.hold(key);
                    let window = windows.entry(end).or_default();
                    if window.contains_key(&key) {
                        keys.release(key);
                    }
                    put(window.entry(key).or_default());
                }
            }
            Self::Sessions(_) => {
                put(self.reach(keys, key, (at.exact, at.exact)));
            }
        }
    }

    /// The session of a key that reaches over these times.
    fn reach(&mut self, keys: &mut KeyTable, key: &[u8], reach: (i64, i64)) -> &mut S {
        let Self::Sessions(sessions) = self else { unreachable!("only sessions reach over times") };
        let key = keys.hold(key);
        let (mut is_new, mut merged) = (false, 0);
        let new = || {
            is_new = true;
            S::default()
        };
        let merge = |into: &mut S, from: S| {
            merged += 1;
            into.merge(from);
        };
        let session = sessions.reach(key, reach, new, merge);
        (0..merged + usize::from(!is_new)).for_each(|_| keys.release(key));
        session
    }

    /// Takes out the windows that are over at a time, by their ends. Each still holds its key.
    pub(crate) fn close(&mut self, to_millis: i64) -> Vec<Closed<S>> {
        match self {
            Self::Sessions(sessions) => sessions.close(to_millis),
            Self::Fixed(edges, windows) => {
                let mut closed = Vec::new();
                while let Some(window) = windows.first_entry()
                    && *window.key() <= to_millis
                {
                    let (end, states) = window.remove_entry();
                    let start = edges.start(end);
                    let close = |(key, state)| Closed { key, start, end, state };
                    closed.extend(states.into_iter().map(close));
                }
                closed
            }
        }
    }

    /// A time at or before the end of each.
    pub(crate) fn earliest_end(&self) -> Option<i64> {
        match self {
            Self::Sessions(sessions) => sessions.earliest_end(),
            Self::Fixed(_, windows) => windows.first_key_value().map(|(end, _)| *end),
        }
    }

    /// All of them: key, a pair that says which, and what is kept.
    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = (u32, (i64, i64), &S)> + '_> {
        match self {
            Self::Sessions(sessions) => {
                Box::new(sessions.iter().map(|(key, of)| (key, (of.first, of.last), &of.state)))
            }
            Self::Fixed(_, windows) => Box::new(windows.iter().flat_map(|(end, states)| {
                states.iter().map(|(key, state)| (*key, (*end, *end), state))
            })),
        }
    }

    /// Takes one back that [`iter`](Self::iter) gave, here or elsewhere.
    pub(crate) fn take_back(
        &mut self,
        keys: &mut KeyTable,
        key: &[u8],
        which: (i64, i64),
        state: S,
    ) {
        match self {
            Self::Sessions(_) => self.reach(keys, key, which).merge(state),
            Self::Fixed(_, windows) => {
                let key = keys.hold(key);
                let window = windows.entry(which.1).or_default();
                if window.contains_key(&key) {
                    keys.release(key);
                }
                window.entry(key).or_default().merge(state);
            }
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Sessions(sessions) => sessions.len(),
            Self::Fixed(_, windows) => windows.values().map(HashMap::len).sum(),
        }
    }
}
