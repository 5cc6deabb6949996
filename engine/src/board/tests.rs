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
    for (older, newer, shown) in [(10, 4, 0), (10, 5, 10), (11, 5, 10), (15, 5, 10), (16, 5, 0)] {
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
