//! What becomes of a row that is given to an operator with state: whether it is late, by the watermark
//! that it carries.

use crate::batch::{Batch, Times};
use crate::time::EventTime;

/// What becomes of a row that a window is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate<P> {
    /// It goes there.
    Kept(P),
    /// It is late for all of its windows.
    Late,
    /// It is in no window.
    Outside,
}

/// The time of each row that is not before the watermark of its own partition.
pub(crate) fn late_by_their_own_time(batch: &Batch, times: &Times) -> Vec<Fate<i64>> {
    let exact = times.exact().iter();
    let Some(origin) = batch.origin() else {
        return exact.map(|time| Fate::Kept(*time)).collect();
    };
    let watermarks = origin.watermarks.iter().flat_map(|(rows, at)| rows.map(move |_| at));
    let fate = |((exact, time), watermark): ((&i64, EventTime), EventTime)| {
        if time < watermark { Fate::Late } else { Fate::Kept(*exact) }
    };
    exact.zip(times.iter()).zip(watermarks).map(fate).collect()
}
