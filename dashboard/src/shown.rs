//! What the page shows of a snapshot: the document of `/api/view`, and what the HTML is made from.
//!
//! Everything here is a function of the snapshot and the query, so that one number names both the
//! document and what `/metrics` said at that moment. Sentences are written here, once, and not
//! again in the browser. Lists are bounded: a browser asks for this every second.

use serde::Serialize;
use strandline_engine::condition::ConditionKind;
use strandline_engine::reason_words::ReasonWords;
use strandline_engine::table::Cell;
use strandline_engine::view::{Ledger, PartitionState, PartitionView, Phase, Snapshot, WaitsFor};
use strandline_operators::decode::DeadReason;
use strandline_operators::record::Partition;
use strandline_operators::time::EventTime;

use crate::options::Layout;
use crate::query::{Query, Selection};
use crate::text;

/// Most partitions that are listed: of more, those that are furthest behind.
pub(crate) const PARTITIONS_SHOWN_MAX: usize = 100;

/// The document of `/api/view`. Times are epoch milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Shown<'a> {
    /// The snapshot's number; `/metrics` has it in its header `Strandline-Snapshot`.
    pub(crate) snapshot: u64,
    pub(crate) at: i64,
    pub(crate) phase: &'static str,
    /// The headline of the conditions: its code, its title and more about it, in words.
    pub(crate) condition: &'static str,
    pub(crate) condition_title: String,
    pub(crate) condition_note: &'a str,
    /// Everything that is wrong, in the words of the status line and of `/readyz`.
    pub(crate) troubles: Vec<String>,
    pub(crate) topic: &'a str,
    pub(crate) window: Option<Span>,
    #[serde(rename = "final")]
    pub(crate) is_final: bool,
    /// Whether its numbers still change, as a sentence; empty where there is no window.
    pub(crate) window_note: &'static str,
    pub(crate) watermark: Option<i64>,
    /// What the watermark waits for, as a sentence.
    pub(crate) watermark_note: String,
    pub(crate) ledger: ShownLedger,
    pub(crate) in_flight: u64,
    pub(crate) epoch: u64,
    pub(crate) final_rows: u64,
    pub(crate) records_per_second: f64,
    /// `None` if it is unknown.
    pub(crate) lag: Option<u64>,
    pub(crate) partitions_count: usize,
    pub(crate) partitions: Vec<ShownPartition>,
    pub(crate) open_windows_count: u64,
    pub(crate) open_windows: Vec<ShownOpenWindow>,
    pub(crate) rows: ShownRows<'a>,
    /// Why there are no rows to show, as a sentence.
    pub(crate) notice: Option<String>,
}

/// A window.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Span {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// The ledger, with dead letters by reason.
#[derive(Debug, Serialize)]
pub(crate) struct ShownLedger {
    pub(crate) read: u64,
    pub(crate) windowed: u64,
    pub(crate) late: u64,
    pub(crate) dead_letters: u64,
    /// The reasons that occurred, with their counts, in the order of [`DeadReason::ALL`].
    pub(crate) reasons: Vec<ShownReason>,
    /// What is wrong, where it does not balance.
    pub(crate) alarm: Option<String>,
    /// Whether it balances and where the records went, as a sentence.
    pub(crate) balance: String,
    /// Whether somebody should look where they went, although it balances.
    pub(crate) doubtful: bool,
}

/// A reason why records are dead letters.
#[derive(Debug, Serialize)]
pub(crate) struct ShownReason {
    pub(crate) code: &'static str,
    /// What it means for this job's records.
    pub(crate) words: String,
    pub(crate) count: u64,
}

/// One partition.
#[derive(Debug, Serialize)]
pub(crate) struct ShownPartition {
    pub(crate) partition: u32,
    pub(crate) worker: usize,
    pub(crate) position: u64,
    /// `None` if it is unknown.
    pub(crate) lag: Option<u64>,
    pub(crate) max_event_time: Option<i64>,
    pub(crate) watermark: Option<i64>,
    pub(crate) state: &'static str,
    /// More about the state, in words.
    pub(crate) state_note: &'static str,
    pub(crate) last_record_at: Option<i64>,
    /// Whether the watermark waits for it.
    pub(crate) holds_back: bool,
    pub(crate) read: u64,
    pub(crate) late: u64,
    pub(crate) dead_letters: u64,
    pub(crate) skipped: u64,
}

/// One open window.
#[derive(Debug, Serialize)]
pub(crate) struct ShownOpenWindow {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) keys: u64,
    /// What holds it open, in words.
    pub(crate) waits_for: String,
}

/// The rows that were asked for.
#[derive(Debug, Serialize)]
pub(crate) struct ShownRows<'a> {
    pub(crate) total: usize,
    pub(crate) matching: usize,
    pub(crate) page: usize,
    pub(crate) pages: usize,
    /// Where the first row stands among those that match, counted from 0.
    pub(crate) first: usize,
    /// How many rows the window has, in words.
    pub(crate) count: String,
    /// Key and cells, the cells in the order of the job's table.
    pub(crate) shown: Vec<(&'a str, &'a [Cell])>,
    /// Which rows these are, in words.
    pub(crate) note: String,
}

impl<'a> Shown<'a> {
    /// What a page with that layout shows of a snapshot when it is asked so.
    pub(crate) fn of(snapshot: &'a Snapshot, layout: &Layout, query: &Query) -> Shown<'a> {
        let culprit = snapshot.holding_back();
        let headline = snapshot.conditions.headline();
        let troubles = snapshot.conditions.all().iter().filter(|one| one.kind.is_trouble());
        let is_away = snapshot.conditions.holds(ConditionKind::WaitingForKafka);
        let is_calm = !headline.kind.is_trouble();
        let rows = snapshot.window.as_ref().map_or(&[][..], |view| &view.rows);
        Shown {
            snapshot: snapshot.number,
            at: snapshot.at.as_millis(),
            phase: phase_code(snapshot.phase),
            condition: headline.kind.code(),
            condition_title: text::sentence(headline.kind.title()),
            condition_note: if is_calm { &headline.detail } else { "" },
            troubles: troubles.map(|trouble| text::sentence(&trouble.to_string())).collect(),
            topic: &snapshot.topic,
            window: snapshot.window.as_ref().map(|view| Span {
                start: view.window.start.as_millis(),
                end: view.window.end.as_millis(),
            }),
            is_final: snapshot.window.as_ref().is_some_and(|view| view.is_final),
            window_note: window_note(snapshot),
            watermark: snapshot.watermark.and_then(known),
            watermark_note: watermark_note(snapshot, culprit),
            ledger: ShownLedger::of(&snapshot.ledger, &snapshot.reason_words),
            in_flight: snapshot.in_flight,
            epoch: snapshot.epoch,
            final_rows: snapshot.final_rows,
            records_per_second: snapshot.records_per_second,
            lag: snapshot.lag(),
            partitions_count: snapshot.partitions.len(),
            partitions: furthest_behind(&snapshot.partitions)
                .into_iter()
                .map(|view| ShownPartition::of(view, culprit, is_away))
                .collect(),
            open_windows_count: snapshot.open_windows_count,
            open_windows: open_windows(snapshot),
            rows: ShownRows::of(query.select(rows), layout),
            notice: notice(snapshot),
        }
    }
}

impl ShownLedger {
    fn of(ledger: &Ledger, words: &ReasonWords) -> ShownLedger {
        let counts = DeadReason::ALL.iter().zip(ledger.dead);
        ShownLedger {
            read: ledger.read,
            windowed: ledger.windowed,
            late: ledger.late,
            dead_letters: ledger.dead_letters(),
            reasons: counts
                .filter(|(_, count)| 0 < *count)
                .map(|(reason, count)| ShownReason {
                    code: reason.code(),
                    words: words.words(*reason).to_owned(),
                    count,
                })
                .collect(),
            balance: imbalance(ledger).unwrap_or_else(|| balance(ledger)),
            doubtful: ledger.read > 0 && ledger.read <= 2 * ledger.dead_letters(),
            alarm: imbalance(ledger),
        }
    }
}

impl ShownPartition {
    /// `is_away`: whether a broker, or all of Kafka, cannot be reached.
    fn of(view: &PartitionView, culprit: Option<Partition>, is_away: bool) -> ShownPartition {
        let is_finished = view.state == PartitionState::Finished;
        let is_unknown = is_away && view.end.is_none() && !is_finished;
        ShownPartition {
            partition: view.partition.0,
            worker: view.worker,
            position: view.position.0,
            lag: view.lag(),
            max_event_time: view.max_event_time.and_then(known),
            watermark: known(view.watermark),
            state: if is_unknown { "unknown" } else { state_code(view.state) },
            state_note: match view.state {
                _ if is_unknown => "Kafka does not answer",
                PartitionState::Idle if view.first_unreadable.is_some() => {
                    "brings nothing that can be read"
                }
                PartitionState::Active if culprit == Some(view.partition) => "holds the watermark",
                PartitionState::Active => "",
                PartitionState::Idle => "holds nothing back",
                PartitionState::Paused => "waits for the others",
                PartitionState::Finished => "read to its end",
            },
            last_record_at: view.last_record_at.and_then(known),
            holds_back: culprit == Some(view.partition),
            read: view.ledger.read,
            late: view.ledger.late,
            dead_letters: view.ledger.dead_letters(),
            skipped: view.skipped,
        }
    }
}

impl<'a> ShownRows<'a> {
    fn of(selection: Selection<'a>, layout: &Layout) -> ShownRows<'a> {
        let (one, many) = (&*layout.options.row_noun, &*layout.options.rows_noun);
        let count = |value: usize| text::count(value as u64);
        let counted = |value: usize| text::counted(value as u64, one, many);
        let shown = selection.rows.len();
        let in_all =
            if selection.total == 0 { format!("no {many} yet") } else { counted(selection.total) };
        let of = if selection.matching == selection.total {
            counted(selection.total)
        } else {
            format!("{} that match, of {}", count(selection.matching), counted(selection.total))
        };
        let note = if selection.total == 0 {
            in_all.clone()
        } else if shown == selection.matching {
            if selection.matching == selection.total { format!("all {of}") } else { of }
        } else {
            let (first, last) = (selection.first + 1, selection.first + shown);
            format!("{}–{} of {of}", count(first), count(last))
        };
        ShownRows {
            total: selection.total,
            matching: selection.matching,
            page: selection.page,
            pages: selection.pages,
            first: selection.first,
            count: in_all,
            shown: selection.rows.iter().map(|row| (&*row.key, &*row.cells)).collect(),
            note,
        }
    }
}

/// A time that is one: the ends of the range stand for "unknown" and "nothing more".
pub(crate) fn known(time: EventTime) -> Option<i64> {
    (time != EventTime::MIN && time != EventTime::MAX).then_some(time.as_millis())
}

/// The code of a phase.
pub(crate) fn phase_code(phase: Phase) -> &'static str {
    match phase {
        Phase::Running => "running",
        Phase::Stopping => "stopping",
        Phase::Finished => "finished",
    }
}

/// The code of a partition's state.
pub(crate) fn state_code(state: PartitionState) -> &'static str {
    match state {
        PartitionState::Active => "active",
        PartitionState::Idle => "idle",
        PartitionState::Paused => "paused",
        PartitionState::Finished => "finished",
    }
}

fn window_note(snapshot: &Snapshot) -> &'static str {
    let kind = snapshot.conditions.headline().kind;
    let moves = matches!(kind, ConditionKind::Running | ConditionKind::CatchingUp)
        || matches!(kind, ConditionKind::HeldBack | ConditionKind::CheckpointingSuspended);
    match &snapshot.window {
        None => "",
        Some(window) if window.is_final => "complete: these numbers stay",
        Some(_) if moves => "still open: these numbers move",
        Some(_) if matches!(kind, ConditionKind::Stopping | ConditionKind::Stopped) => {
            "not complete: the job was stopped"
        }
        Some(_) => "still open: these numbers move when records are read again",
    }
}

fn watermark_note(snapshot: &Snapshot, culprit: Option<Partition>) -> String {
    let all = |state| snapshot.partitions.iter().all(|view: &PartitionView| view.state == state);
    let headline = snapshot.conditions.headline();
    match (headline.kind, culprit) {
        _ if snapshot.phase == Phase::Finished => "everything is final".to_owned(),
        // Whatever the watermark would wait for otherwise.
        (
            ConditionKind::Stalled
            | ConditionKind::WaitingForProcesses
            | ConditionKind::WaitingForKafka
            | ConditionKind::WaitsBehindTransaction
            | ConditionKind::NothingCanBeRead
            | ConditionKind::AllIdle,
            _,
        ) => headline.kind.title().to_owned(),
        (_, Some(Partition(number))) => format!("waits for partition {number}"),
        (_, None) if snapshot.partitions.is_empty() => "no partition is being read yet".to_owned(),
        (_, None) if all(PartitionState::Finished) => "every partition is at its end".to_owned(),
        (_, None) => ConditionKind::AllIdle.title().to_owned(),
    }
}

/// By number; of more than [`PARTITIONS_SHOWN_MAX`], those with the least watermarks.
fn furthest_behind(partitions: &[PartitionView]) -> Vec<&PartitionView> {
    let mut shown: Vec<&PartitionView> = partitions.iter().collect();
    if PARTITIONS_SHOWN_MAX < shown.len() {
        let rank = |view: &PartitionView| {
            let holds_nothing =
                matches!(view.state, PartitionState::Idle | PartitionState::Finished);
            (holds_nothing, view.watermark, view.partition)
        };
        shown.sort_by_key(|view| rank(view));
        shown.truncate(PARTITIONS_SHOWN_MAX);
    }
    shown.sort_by_key(|view| view.partition);
    shown
}

fn open_windows(snapshot: &Snapshot) -> Vec<ShownOpenWindow> {
    let to_go = |end: EventTime, partition: Partition| {
        let found = snapshot.partitions.iter().find(|view| view.partition == partition);
        found.filter(|view| known(view.watermark).is_some()).map(|view| end.since(view.watermark))
    };
    let is_unreadable = snapshot.conditions.holds(ConditionKind::NothingCanBeRead);
    let waits_for = |end, waits_for| match waits_for {
        WaitsFor::Nothing => "nothing: it is closing".to_owned(),
        WaitsFor::Record if is_unreadable => "a record that can be read".to_owned(),
        WaitsFor::Record => "a record: all partitions are idle".to_owned(),
        WaitsFor::Partition(partition) => match to_go(end, partition) {
            None => format!("partition {}", partition.0),
            Some(span) => {
                let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
                format!("partition {}, {} to go", partition.0, text::duration(millis))
            }
        },
    };
    let shown = snapshot.open_windows.iter().map(|open| ShownOpenWindow {
        start: open.window.start.as_millis(),
        end: open.window.end.as_millis(),
        keys: open.keys,
        waits_for: waits_for(open.window.end, open.waits_for),
    });
    shown.collect()
}

/// What is wrong with a ledger that does not balance.
fn imbalance(ledger: &Ledger) -> Option<String> {
    let placed = ledger.windowed + ledger.late + ledger.dead_letters();
    let (off, how) = match ledger.read.checked_sub(placed) {
        Some(0) => return None,
        Some(missing) => (missing, "lost"),
        None => (placed - ledger.read, "too many"),
    };
    Some(format!("Does not balance: {} {how}", text::counted(off, "record", "records")))
}

/// Where the records went.
fn balance(ledger: &Ledger) -> String {
    let dead = ledger.dead_letters();
    match (ledger.late, dead) {
        (0, 0) => "Balances: every record is in its window".to_owned(),
        _ if dead == 0 => "Balances: every record is in its window or late".to_owned(),
        _ => format!(
            "Balances, with {} of {}",
            text::counted(dead, "dead letter", "dead letters"),
            text::counted(ledger.read, "record", "records")
        ),
    }
}

fn notice(snapshot: &Snapshot) -> Option<String> {
    let (ledger, seen) = (&snapshot.ledger, snapshot.ledger.read + snapshot.in_flight);
    if snapshot.window.as_ref().is_some_and(|view| !view.rows.is_empty()) {
        None
    } else if snapshot.conditions.headline().kind.is_trouble() {
        // More about it is among the troubles.
        Some(format!("No rows yet: {}", snapshot.conditions.headline().kind.title()))
    } else if snapshot.phase == Phase::Finished {
        Some("The run is finished, and no window has a row".to_owned())
    } else if seen == 0 {
        Some("Waiting for the first record".to_owned())
    } else if ledger.read == ledger.dead_letters() && 0 < ledger.read {
        let count = text::counted(ledger.read, "record", "records");
        Some(format!("Waiting for a readable record: {count} so far, every one a dead letter"))
    } else {
        Some("Records arrive; the first window is about to show".to_owned())
    }
}
