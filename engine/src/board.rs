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
use std::collections::{BTreeMap, BTreeSet};
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

use self::rows::WindowRows;
use crate::checkpoint::manifest::CutRecord;
use crate::clock::Clock;
use crate::feed::Feed;
use crate::finals::{SharedRows, ToFirstWorker};
use crate::table::{CellRow, Cells};
use crate::view::{FinalRow, WindowView};

mod rows;

/// Most rows of final windows that are kept, a number of rows, if there are more than the shown
/// window and the newest two others.
const ROWS_KEPT_MAX: usize = 100_000;
/// Most final rows that are pushed to followers in one piece, a number of rows.
const ROWS_PUSHED_MAX: usize = 4096;

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
    feed: Feed,
    /// Those that wait for the end of their batch.
    fresh: Vec<FinalRow>,
    /// The ends of the windows of which rows were pushed, but perhaps not all.
    incomplete: BTreeSet<EventTime>,
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
            feed,
            fresh: Vec::new(),
            incomplete: BTreeSet::new(),
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
                        let is_followed = state.feed.is_followed();
                        input.for_each(|_, batches| {
                            for rows in batches.drain(..) {
                                state.take_finals(rows, is_followed);
                            }
                            state.drop_surplus();
                        });
                        state.push_fresh();
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
            self.incomplete.insert(window.end);
            for row in rows.iter() {
                self.fresh.push(FinalRow { window, row: CellRow::from(row) });
                if ROWS_PUSHED_MAX <= self.fresh.len() {
                    self.push_fresh();
                }
            }
        }
        let start = window.start;
        if self.asked.is_none_or(|asked| asked <= start) {
            self.changed |= self.asked == Some(start);
            self.rows.entry(start).or_default().take_finals(rows);
        } else {
            self.dropped = self.dropped.max(Some(start));
        }
    }

    fn push_fresh(&mut self) {
        if !self.fresh.is_empty() {
            self.feed.push_rows(std::mem::take(&mut self.fresh));
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
            // Not each time that the frontier moves: only when followers wait for it.
            let pushed = self.incomplete.len();
            self.incomplete.retain(|end| final_before < *end);
            if self.incomplete.len() < pushed {
                self.feed.push_complete(final_before);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGUN: EventTime = EventTime::MAX;

    fn board() -> Board {
        Board::new(Tumbling::of(Duration::from_secs(10)).unwrap(), None, Feed::default())
    }

    fn start(ms: i64) -> EventTime {
        EventTime::from_millis(ms)
    }

    /// Says how many keys the windows have that are open on worker 0, by where they start.
    fn open(board: &Board, keys: &[(i64, u64)]) {
        let mut state = board.0.borrow_mut();
        let windows = state.windows;
        let keys = keys
            .iter()
            .map(|(ms, keys)| WindowKeys { window: windows.window_at(start(*ms)), keys: *keys });
        state.open.insert(0, keys.collect());
    }

    fn finals(board: &Board, ms: i64, keys: &[&str]) {
        let mut state = board.0.borrow_mut();
        let window = state.windows.window_at(start(ms));
        let rows = keys.iter().map(|key| Row {
            key: (*key).into(),
            window,
            output: (1u64,),
            spans: strandline_operators::window::Spans::new(),
        });
        state.take_finals(rows.collect::<Vec<_>>().into(), false);
    }

    #[test]
    fn a_fast_clock_is_left_though_it_was_seen_first() {
        let board = board();
        assert_eq!(board.choose(BEGUN, false), None);
        open(&board, &[(10_000, 1), (90_000, 1)]);
        assert_eq!(board.choose(BEGUN, false), Some(start(90_000)), "as large as the one before");
        open(&board, &[(10_000, 3), (90_000, 1)]);
        assert_eq!(board.choose(BEGUN, false), Some(start(90_000)), "not yet");
        open(&board, &[(10_000, 4), (90_000, 1)]);
        assert_eq!(board.choose(BEGUN, false), Some(start(10_000)));
        open(&board, &[(10_000, 4), (20_000, 2), (90_000, 1)]);
        assert_eq!(board.choose(BEGUN, false), Some(start(20_000)), "not half of the half");
        open(&board, &[]);
        assert_eq!(board.choose(BEGUN, false), Some(start(20_000)), "nothing else is known");
    }

    #[test]
    fn a_window_is_shown_on_a_computer_whose_clock_is_behind() {
        let board = board();
        let by_its_clock = start(5_000);
        open(&board, &[(10_000, 4), (20_000, 2)]);
        assert_eq!(board.choose(by_its_clock, false), Some(start(20_000)));
        open(&board, &[(20_000, 4), (30_000, 3)]);
        assert_eq!(board.choose(by_its_clock, false), Some(start(30_000)));
        // Where it is right, a window of a clock that is fast is left alone, however many keys it has.
        let board = super::tests::board();
        open(&board, &[(0, 4), (90_000, 4)]);
        assert_eq!(board.choose(by_its_clock, false), Some(start(0)));
    }

    #[test]
    fn two_windows_that_grow_are_not_shown_in_turn() {
        let board = board();
        for (older, newer, shown) in [(10, 4, 0), (10, 5, 10), (11, 5, 10), (15, 5, 10), (16, 5, 0)]
        {
            open(&board, &[(0, older), (10_000, newer)]);
            assert_eq!(board.choose(BEGUN, false), Some(start(1_000 * shown)), "{older} {newer}");
        }
    }

    #[test]
    fn a_window_of_which_final_rows_were_dropped_is_not_shown_again() {
        let board = board();
        open(&board, &[(0, 2), (10_000, 1)]);
        assert_eq!(board.choose(BEGUN, false), Some(start(10_000)));
        // One of its rows comes while it is not shown; then more keys than twice those of the next.
        finals(&board, 0, &["a"]);
        open(&board, &[(0, 5), (10_000, 1)]);
        assert_eq!(board.choose(BEGUN, false), Some(start(10_000)));
    }

    /// One worker had closed it when the cut was made that the run goes on from, and another had not.
    #[test]
    fn a_window_of_which_some_rows_were_final_before_a_restart_is_not_shown() {
        let kept = CutRecord {
            epoch: 7,
            finished: false,
            closed_before: start(20_000),
            final_rows: 1,
            partitions: Vec::new(),
            processes: Vec::new(),
        };
        let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
        let board = Board::new(windows, Some(&kept), Feed::default());
        open(&board, &[(10_000, 5)]);
        finals(&board, 10_000, &["a", "b"]);
        assert_eq!(board.choose(BEGUN, false), None, "the other rows came before");
        open(&board, &[(10_000, 5), (20_000, 1)]);
        assert_eq!(board.choose(BEGUN, false), Some(start(20_000)));
    }

    #[test]
    fn a_window_of_which_surplus_rows_were_dropped_is_not_shown() {
        let board = board();
        open(&board, &[(0, 9)]);
        assert_eq!(board.choose(BEGUN, false), Some(start(0)));
        let keys: Vec<String> = (0..=ROWS_KEPT_MAX).map(|key| key.to_string()).collect();
        finals(&board, 10_000, &keys.iter().map(String::as_str).collect::<Vec<_>>());
        finals(&board, 20_000, &["a"]);
        finals(&board, 30_000, &["a"]);
        board.0.borrow_mut().drop_surplus();
        open(&board, &[(0, 9), (10_000, 9)]);
        assert_eq!(board.choose(BEGUN, false), Some(start(0)), "rows of the second are missing");
        open(&board, &[(0, 9), (10_000, 9), (20_000, 9)]);
        assert_eq!(board.choose(BEGUN, false), Some(start(20_000)));
    }

    #[test]
    fn final_rows_of_an_older_window_are_not_shown_after_those_of_a_newer() {
        let board = board();
        open(&board, &[(0, 2), (10_000, 2)]);
        finals(&board, 0, &["a"]);
        assert_eq!(board.choose(BEGUN, false), Some(start(10_000)));
        open(&board, &[(0, 9), (10_000, 2)]);
        assert_eq!(board.choose(BEGUN, false), Some(start(10_000)), "its first row is gone");
    }
}
