//! Which window is shown, and its rows: what worker 0 has collected for the view.
//!
//! Live rows are asked for one window at a time, because a page shows one: publishing costs what
//! the shown window holds, not what the state holds. Final rows come by themselves.
//!
//! The newest window is not always the one to show. A device whose clock is fast opens windows
//! that hold nothing but itself; so a newer window is shown once it holds at least half as many
//! keys as the older ones, or once the frontier has passed it, when nothing more can come. That is
//! decided anew each time, because the first records to come may be those of the fast clock. The shown
//! window is left for an older one only if that has more than thrice as many keys: so that two that
//! grow are not shown in turn.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use strandline_operators::time::{EventTime, Time};
use strandline_operators::window::{Live, Row, Tumbling, Window, WindowKeys};
use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{DistributorPact, Exchange};
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::core::Map;

use self::followers::Followers;
use self::rows::WindowRows;
use crate::checkpoint::manifest::CutRecord;
use crate::clock::Clock;
use crate::feed::Feed;
use crate::finals::{SharedRows, ToFirstWorker};
use crate::table::Cells;
use crate::view::WindowView;

mod followers;
mod rows;

/// Most rows of final windows that are kept, a number of rows, if there are more than the shown
/// window and the newest two others.
const ROWS_KEPT_MAX: usize = 100_000;

/// What worker 0 has collected; empty on the others.
#[derive(Clone, Debug)]
pub(crate) struct Board(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    windows: Tumbling,
    /// The open windows, by worker.
    open: BTreeMap<usize, Vec<WindowKeys>>,
    /// The rows known, by the start of their window.
    rows: BTreeMap<EventTime, WindowRows>,
    /// Rows of windows that end at or before this are final.
    final_before: EventTime,
    final_rows: u64,
    /// The start of the newest window of which final rows were dropped: neither it nor an older one
    /// can be shown any more, because rows would be missing.
    dropped: Option<EventTime>,
    asked: Option<EventTime>,
    displayed: Option<Arc<WindowView>>,
    /// Whether the rows of the window asked for changed since it was displayed.
    changed: bool,
    /// How long live rows took since the last display.
    live_cost: Duration,
    /// Where final rows go at once.
    followers: Followers,
}

impl Board {
    /// Shows nothing yet; counts on from what an earlier run kept, if that is continued.
    pub(crate) fn new(windows: Tumbling, kept: Option<&CutRecord>, feed: Feed) -> Board {
        // Of a window that one worker had closed, and another had not, some rows come now, and others
        // came before.
        let closed_before = kept.map(|kept| kept.closed_before);
        let closed = closed_before.filter(|closed| EventTime::MIN < *closed);
        let dropped = closed.map(|closed| windows.window_at(closed - windows.size()).start);
        Board(Rc::new(RefCell::new(State {
            windows,
            open: BTreeMap::new(),
            rows: BTreeMap::new(),
            final_before: EventTime::MIN,
            final_rows: kept.map_or(0, |kept| kept.final_rows),
            dropped,
            asked: None,
            displayed: None,
            changed: false,
            live_cost: Duration::ZERO,
            followers: Followers::new(feed),
        })))
    }

    /// Brings live rows and final rows of all workers here, on worker 0.
    pub(crate) fn listen<'s, O: Cells + ExchangeData + Clone>(
        &self,
        live: StreamVec<'s, Time, Live<O>>,
        finals: StreamVec<'s, Time, SharedRows<O>>,
        clock: &Clock,
    ) {
        let worker = live.scope().index();
        let (state, clock) = (Rc::clone(&self.0), clock.clone());
        let to_first_worker = Exchange::new(|_: &(usize, Live<O>)| 0);
        let _: StreamVec<'s, Time, ()> = live
            .map(move |live| (worker, live))
            .unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(
            to_first_worker,
            "BoardLive",
            move |_, _| {
                move |input, _| {
                    let mut state = state.borrow_mut();
                    let before = clock.elapsed();
                    input.for_each(|_, lives| {
                        for (worker, live) in lives.drain(..) {
                            match live {
                                Live::Open(open) => {
                                    state.open.insert(worker, open);
                                }
                                Live::Row(row) => state.take_live(&row),
                            }
                        }
                    });
                    state.live_cost += clock.elapsed().saturating_sub(before);
                }
            },
        );
        let state = Rc::clone(&self.0);
        let _: StreamVec<'s, Time, ()> = finals
            .unary_frontier::<CapacityContainerBuilder<Vec<()>>, _, _, _>(
                DistributorPact(|_| ToFirstWorker),
                "BoardFinal",
                move |_, _| {
                    move |(input, frontier), _| {
                        let mut state = state.borrow_mut();
                        let is_followed = state.followers.are_there();
                        input.for_each(|_, batches| {
                            for rows in batches.drain(..) {
                                state.take_finals(rows, is_followed);
                            }
                            state.drop_surplus();
                        });
                        state.followers.flush();
                        let least = frontier.frontier().iter().map(|time| time.event).min();
                        state.pass(least.unwrap_or(EventTime::MAX));
                    }
                },
            );
    }

    /// How many final rows there have been.
    pub(crate) fn final_rows(&self) -> u64 {
        self.0.borrow().final_rows
    }

    /// Windows that end at or before this are final.
    pub(crate) fn final_before(&self) -> EventTime {
        self.0.borrow().final_before
    }

    /// The open windows with their keys on all workers, the oldest first.
    pub(crate) fn open_windows(&self) -> Vec<WindowKeys> {
        let state = self.0.borrow();
        let keys = state.open_keys();
        keys.into_iter()
            .map(|(start, keys)| WindowKeys { window: state.windows.window_at(start), keys })
            .collect()
    }

    /// Decides which window to ask for, among those that began by `begun_by`, by this computer's clock.
    /// Where none of the open ones did, that clock is behind, and counts for nothing. `ended`: every
    /// window is closing because the run ends, so being final says nothing about being complete.
    pub(crate) fn choose(&self, begun_by: EventTime, ended: bool) -> Option<EventTime> {
        let mut state = self.0.borrow_mut();
        let mut keys = state.open_keys();
        let is_behind = !keys.is_empty() && keys.keys().all(|start| begun_by < *start);
        let begun_by = if is_behind { EventTime::MAX } else { begun_by };
        for (start, rows) in &state.rows {
            let known = keys.entry(*start).or_default();
            *known = (*known).max(rows.len() as u64);
        }
        let (asked, dropped) = (state.asked, state.dropped);
        let can_be_shown =
            |start| asked == Some(start) || (dropped < Some(start) && start <= begun_by);
        let (mut chosen, mut most_keys) = (asked, 0);
        let there = keys.into_iter().filter(|(start, keys)| 0 < *keys && can_be_shown(*start));
        for (start, keys) in there {
            let is_final = state.is_final(state.windows.window_at(start)) && !ended;
            let enough = if asked == Some(start) { 3 * keys } else { 2 * keys };
            if is_final || most_keys <= enough {
                chosen = Some(start);
            }
            most_keys = if is_final { keys } else { most_keys.max(keys) };
        }
        if chosen != state.asked {
            state.asked = chosen;
            state.changed = true;
        }
        if let Some(start) = chosen {
            // What is known of older windows is live rows, which come again when they are asked for, or
            // final ones, without which the window cannot be shown.
            let newer = state.rows.split_off(&start);
            let older = std::mem::replace(&mut state.rows, newer);
            for (start, rows) in older {
                state.note_dropped(start, &rows);
            }
        }
        chosen
    }

    /// How long live rows took since the last call, here.
    pub(crate) fn take_live_cost(&self) -> Duration {
        std::mem::take(&mut self.0.borrow_mut().live_cost)
    }

    /// The window to show with its rows as far as they are known, sorted by key.
    pub(crate) fn display(&self) -> Option<Arc<WindowView>> {
        let mut guard = self.0.borrow_mut();
        let state = &mut *guard;
        if state.changed
            && let Some(start) = state.asked
            && let Some(rows) = state.rows.get_mut(&start)
        {
            let window = state.windows.window_at(start);
            let is_final = window.end <= state.final_before;
            if is_final {
                rows.forget_live();
            }
            let rows = rows.sorted();
            state.displayed = Some(Arc::new(WindowView { window, is_final, rows }));
            state.changed = false;
        }
        state.displayed.clone()
    }
}

impl State {
    fn is_final(&self, window: Window) -> bool {
        window.end <= self.final_before
    }

    fn open_keys(&self) -> BTreeMap<EventTime, u64> {
        let mut all = BTreeMap::new();
        for WindowKeys { window, keys } in self.open.values().flatten() {
            if !self.is_final(*window) {
                *all.entry(window.start).or_default() += keys;
            }
        }
        all
    }

    fn take_live<O: Cells>(&mut self, row: &Row<O>) {
        let start = row.window.start;
        if self.asked != Some(start) {
            return;
        }
        self.changed = true;
        self.rows.entry(start).or_default().take_live(row);
    }

    /// Takes a batch of final rows. They left at the last instant of their window, and a batch is
    /// of one time, so all are of one window.
    fn take_finals<O: Cells + 'static>(&mut self, rows: SharedRows<O>, is_followed: bool) {
        let Some(window) = rows.first().map(|row| row.window) else { return };
        assert!(rows.iter().all(|row| row.window == window), "{window:?} and another");
        self.final_rows += rows.len() as u64;
        if is_followed {
            self.followers.push(window, &rows);
        }
        let start = window.start;
        if self.asked.is_none_or(|asked| asked <= start) {
            self.changed |= self.asked == Some(start);
            self.rows.entry(start).or_default().take_finals(rows);
        } else {
            self.dropped = self.dropped.max(Some(start));
        }
    }

    /// Drops the rows of the oldest windows beyond the shown one, keeping the newest two.
    fn drop_surplus(&mut self) {
        let total: usize = self.rows.values().map(WindowRows::len).sum();
        if total <= ROWS_KEPT_MAX {
            return;
        }
        let beyond = self.rows.keys().filter(|start| self.asked != Some(**start));
        let surplus: Vec<EventTime> = beyond.rev().skip(2).copied().collect();
        for start in surplus {
            if let Some(rows) = self.rows.remove(&start) {
                self.note_dropped(start, &rows);
            }
        }
    }

    fn note_dropped(&mut self, start: EventTime, rows: &WindowRows) {
        if rows.has_finals() {
            self.dropped = self.dropped.max(Some(start));
        }
    }

    fn pass(&mut self, final_before: EventTime) {
        if self.final_before < final_before {
            self.final_before = final_before;
            self.changed = true;
            self.followers.pass(final_before);
        }
    }
}

#[cfg(test)]
mod tests;
