//! Finds out what only shows over time: that nothing moves any more, and because of what.
//!
//! The leader lets it look at every snapshot. It is given the clock, so that a test can move it. Time in
//! which it did not look does not count: see [`watched_time`](super::watched_time).

use std::time::Duration;

use strandline_operators::decode::DeadReason;
use strandline_operators::record::{Partition, SmolStr};
use strandline_operators::time::EventTime;

use crate::clock::date_time;
use crate::condition::Phase;
use crate::condition::{ConditionKind, JobCondition};
use crate::ledger::Ledger;
use crate::monitor::watched_time::{Standing, WatchedTime};
use crate::partition::{PartitionState, PartitionView};
use crate::reason_words::ReasonWords;
use crate::report::Report;

/// How long a partition's watermark may stand still, while others wait for it, before it counts as
/// holding them back; at least twice the time after which a silent partition is idle.
const HELD_BACK_AFTER: Duration = Duration::from_secs(10);
/// A partition that holds others back and is so far behind the clock is so because of a wrong clock, or
/// it is read after the others were: a person is told of the first.
const CLOCK_IS_WRONG_BEYOND: Duration = Duration::from_secs(86_400);
/// A holder so far behind the clock comes closer to the others if it gains on them: if it advances by
/// more than this many times what passes by the clock, ...
const GAINS_FROM: i64 = 2;
/// ... and by this much more, in milliseconds, because records come in groups.
const GAINS_BEYOND_MS: i64 = 10_000;
/// How long no epoch may be completed before the job counts as stalled, beside how often they begin.
const STALLED_AFTER: Duration = Duration::from_secs(10);
/// How long no checkpoint may be completed, at least, before checkpointing counts as suspended.
const CHECKPOINT_LATE_AFTER: Duration = Duration::from_secs(30);
/// The same, in intervals between checkpoints.
const CHECKPOINT_LATE_INTERVALS: u32 = 3;
/// A job catches up while the lag is what it reads in this time, or more, ...
const CATCHING_UP_FROM: Duration = Duration::from_secs(5);
/// ... until it is what it reads in this time.
const CAUGHT_UP_BELOW: Duration = Duration::from_secs(2);
/// A lag of fewer records than this is none to catch up with.
const CATCHING_UP_RECORDS_MIN: u64 = 1000;
/// How much counts of the time between two looks, at least, ...
const BETWEEN_LOOKS_MIN: Duration = Duration::from_secs(2);
/// ... and in intervals at which it is to look.
const BETWEEN_LOOKS_INTERVALS: u32 = 2;
/// How long no record may be readable, while dead letters come, before nothing can be read.
const NOTHING_READABLE_AFTER: Duration = Duration::from_secs(10);
/// How many dead letters in a row it takes, at least, where other records could be read before them: in a
/// stream of which few cannot be read, the last one before a pause may be one of these.
const UNREADABLE_IN_A_ROW_MIN: u64 = 10;
/// Over what time it is measured how fast the lag shrinks.
const LAG_MEASURED_OVER: Duration = Duration::from_secs(10);

/// What the leader sees at one moment.
pub(crate) struct Seen<'a> {
    /// By the clock.
    pub(crate) now: Duration,
    pub(crate) wall: EventTime,
    pub(crate) phase: Phase,
    pub(crate) partitions: &'a [PartitionView],
    /// Records between positions and ends, if they are known.
    pub(crate) lag: Option<u64>,
    pub(crate) records_per_second: f64,
    pub(crate) complete_epoch: Option<u64>,
    pub(crate) open_windows: u64,
    /// Whether records cannot be read just now, as a part of the job has reported: then event time
    /// stands for that reason, and no partition is to blame.
    pub(crate) cannot_read: bool,
    /// The most serious of what parts of the job have reported.
    pub(crate) worst_raised: Option<ConditionKind>,
    /// The key of a record that took the partition that holds the others back to where it is.
    pub(crate) newest_key: Option<SmolStr>,
    /// With checkpoints: how many of this run are complete.
    pub(crate) checkpoints: Option<u64>,
    /// What the reasons for dead letters mean.
    pub(crate) reason_words: &'a ReasonWords,
}

/// When the observer takes something for long.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Patience {
    pub(crate) idle_after: Duration,
    pub(crate) epoch_every: Duration,
    pub(crate) checkpoint_every: Duration,
    /// How often it looks.
    pub(crate) look_every: Duration,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Observer {
    patience: Patience,
    report: Report,
    watched: WatchedTime,
    holder: Option<Standing<(Partition, EventTime)>>,
    /// Records read of all partitions when the holder began to stand.
    read_then: u64,
    epoch: Option<Standing<Option<u64>>>,
    checkpoints: Option<Standing<u64>>,
    /// The ledger when a record could be read last.
    readable: Ledger,
    /// Since when dead letters come, and no other records: by the time that was watched, and on the wall.
    unreadable_since: Option<(Duration, EventTime)>,
    catches_up: bool,
    /// The lag, and when, the oldest first.
    lags: std::collections::VecDeque<(Duration, u64)>,
    /// What held when it looked last.
    before: Vec<JobCondition>,
}

impl Observer {
    /// Troubles that come and go are reported to `report`. `before`: the ledger that the run continues.
    pub(crate) fn new(patience: Patience, report: Report, before: Ledger) -> Observer {
        let intervals = patience.look_every.saturating_mul(BETWEEN_LOOKS_INTERVALS);
        Observer {
            patience,
            report,
            watched: WatchedTime::new(BETWEEN_LOOKS_MIN.max(intervals)),
            holder: None,
            read_then: 0,
            epoch: None,
            checkpoints: None,
            readable: before,
            unreadable_since: None,
            catches_up: false,
            lags: std::collections::VecDeque::new(),
            before: Vec::new(),
        }
    }

    /// What holds now: exactly one condition that is no trouble, and the troubles.
    pub(crate) fn observe(&mut self, seen: &Seen<'_>) -> Vec<JobCondition> {
        let watched = self.watched.look(seen.now);
        let unreadable = self.nothing_can_be_read(seen, watched);
        let mut found = vec![self.progress(seen, unreadable.is_some())];
        if seen.phase == Phase::Running {
            let held_back = self.held_back(seen, watched, unreadable.is_some());
            let troubles = [
                self.stalled(seen, watched),
                self.checkpoints_late(seen, watched),
                unreadable,
                held_back,
            ];
            found.extend(troubles.into_iter().flatten());
        }
        let worst = found.iter().map(|one| one.kind).chain(seen.worst_raised).min();
        for condition in &mut found {
            let before = self.before.iter().find(|before| before.is_same_as(condition));
            if let Some(before) = before {
                condition.since = before.since;
                // It has not been the condition of the job meanwhile.
                if worst.is_some_and(|worst| condition.kind.is_hidden_by(worst)) {
                    condition.since = seen.wall;
                }
            } else if condition.kind.is_trouble() {
                self.report.say(&condition.to_string());
            }
        }
        for before in self.before.iter().filter(|before| before.kind.is_trouble()) {
            if !found.iter().any(|condition| condition.is_same_as(before)) {
                self.report.say(&over(before, seen.wall));
            }
        }
        self.before.clone_from(&found);
        found
    }

    fn progress(&mut self, seen: &Seen<'_>, unreadable: bool) -> JobCondition {
        let all = |state| seen.partitions.iter().all(|view: &PartitionView| view.state == state);
        let at_rest = seen
            .partitions
            .iter()
            .all(|view| matches!(view.state, PartitionState::Idle | PartitionState::Finished));
        let (kind, detail) = match seen.phase {
            Phase::Finished => (ConditionKind::Finished, "everything is final".to_owned()),
            Phase::Stopping => (ConditionKind::Stopping, "the outputs are completed".to_owned()),
            Phase::Running if seen.partitions.is_empty() => {
                (ConditionKind::Starting, "no partition is being read yet".to_owned())
            }
            // One that brings what cannot be read rests, but does not wait for records.
            Phase::Running if at_rest && !all(PartitionState::Finished) && !unreadable => {
                let windows = match seen.open_windows {
                    0 => String::new(),
                    1 => "; 1 open window waits for that".to_owned(),
                    count => format!("; {count} open windows wait for that"),
                };
                let detail = format!("event time does not advance until a record comes{windows}");
                (ConditionKind::AllIdle, detail)
            }
            Phase::Running => match self.catching_up(seen) {
                Some(detail) => (ConditionKind::CatchingUp, detail),
                None => (ConditionKind::Running, String::new()),
            },
        };
        JobCondition { detail, ..JobCondition::plain(kind, seen.wall) }
    }

    /// How far it is behind, if it is.
    fn catching_up(&mut self, seen: &Seen<'_>) -> Option<String> {
        let Some(lag) = seen.lag else {
            self.catches_up = false;
            self.lags.clear();
            return None;
        };
        self.lags.push_back((seen.now, lag));
        while let Some((then, _)) = self.lags.front()
            && LAG_MEASURED_OVER < seen.now.saturating_sub(*then)
        {
            self.lags.pop_front();
        }
        let bound = if self.catches_up { CAUGHT_UP_BELOW } else { CATCHING_UP_FROM };
        self.catches_up = CATCHING_UP_RECORDS_MIN <= lag
            && seen.records_per_second * bound.as_secs_f64() <= lag as f64;
        self.catches_up.then(|| {
            let left = match self.time_left(seen.now, lag) {
                Some(left) => format!("about {} left", in_words(left)),
                None => "the lag does not shrink".to_owned(),
            };
            format!("{lag} records behind, {left}")
        })
    }

    /// How long it takes until the lag is gone, if it shrinks. New records count against it.
    fn time_left(&self, now: Duration, lag: u64) -> Option<Duration> {
        let (then, lag_then) = self.lags.front()?;
        let seconds = now.saturating_sub(*then).as_secs_f64();
        let shrunk = lag_then.checked_sub(lag).filter(|shrunk| *shrunk > 0)?;
        Duration::try_from_secs_f64(lag as f64 * seconds / shrunk as f64).ok()
    }

    fn stalled(&mut self, seen: &Seen<'_>, watched: Duration) -> Option<JobCondition> {
        let long = Standing::for_how_long(&mut self.epoch, seen.complete_epoch, watched);
        let epoch = seen.complete_epoch?;
        (self.patience.epoch_every.saturating_add(STALLED_AFTER) <= long).then(|| JobCondition {
            detail: format!(
                "no epoch was completed after epoch {epoch}: a worker waits for an output, or \
                 another process does not answer"
            ),
            ..JobCondition::plain(ConditionKind::Stalled, seen.wall - long)
        })
    }

    fn checkpoints_late(&mut self, seen: &Seen<'_>, watched: Duration) -> Option<JobCondition> {
        let count = seen.checkpoints?;
        let long = Standing::for_how_long(&mut self.checkpoints, count, watched);
        let every = self.patience.checkpoint_every;
        let limit = CHECKPOINT_LATE_AFTER.max(every.saturating_mul(CHECKPOINT_LATE_INTERVALS));
        (limit <= long).then(|| JobCondition {
            detail: format!(
                "none was completed for {}: a process, a disk or the store is slow",
                in_words(limit)
            ),
            ..JobCondition::plain(ConditionKind::CheckpointingSuspended, seen.wall - long)
        })
    }

    /// That all records of the last while are dead letters.
    fn nothing_can_be_read(&mut self, seen: &Seen<'_>, watched: Duration) -> Option<JobCondition> {
        let mut ledger = Ledger::default();
        seen.partitions.iter().for_each(|view| ledger.add(&view.ledger));
        let readable = |ledger: &Ledger| ledger.read.saturating_sub(ledger.dead_letters());
        if readable(&self.readable) < readable(&ledger) {
            (self.readable, self.unreadable_since) = (ledger, None);
            return None;
        }
        let counts = ledger.dead.iter().zip(self.readable.dead);
        let counts = counts.map(|(now, then)| now.saturating_sub(then));
        let mut counts: Vec<(u64, DeadReason)> =
            counts.zip(DeadReason::ALL).filter(|(count, _)| *count > 0).collect();
        let all: u64 = counts.iter().map(|(count, _)| count).sum();
        if all == 0 {
            return None;
        }
        let (since, wall) = *self.unreadable_since.get_or_insert((watched, seen.wall));
        let enough = if readable(&ledger) == 0 { 1 } else { UNREADABLE_IN_A_ROW_MIN };
        if all < enough || watched.saturating_sub(since) < NOTHING_READABLE_AFTER {
            return None;
        }
        counts.sort_by_key(|(count, reason)| (std::cmp::Reverse(*count), *reason));
        let why = match &*counts {
            [(_, reason)] => seen.reason_words.code_and_words(*reason),
            several => {
                let words = several.iter().map(|(count, reason)| {
                    format!("{count} {}", seen.reason_words.code_and_words(*reason))
                });
                words.collect::<Vec<_>>().join(", ")
            }
        };
        let first = seen.partitions.iter().find_map(|view| {
            let first = view.first_unreadable?;
            Some(format!(
                "; the first of partition {} is at offset {}",
                view.partition.0, first.offset.0
            ))
        });
        let came = match all {
            1 => "1 record came, and is a dead letter".to_owned(),
            all => format!("{all} records came, and all are dead letters"),
        };
        Some(JobCondition {
            since: wall,
            detail: format!(
                "{came}: {why}{}; the command `doctor` shows one",
                first.unwrap_or_default()
            ),
            ..JobCondition::plain(ConditionKind::NothingCanBeRead, seen.wall)
        })
    }

    fn held_back(
        &mut self,
        seen: &Seen<'_>,
        watched: Duration,
        unreadable: bool,
    ) -> Option<JobCondition> {
        let is_to_blame = !seen.cannot_read && !unreadable;
        let holder = holding_back(seen.partitions).filter(|_| is_to_blame);
        let Some(holder) = holder else {
            self.holder = None;
            return None;
        };
        let read: u64 = seen.partitions.iter().map(|view| view.ledger.read).sum();
        let is_paused = |view: &&PartitionView| view.state == PartitionState::Paused;
        let paused = seen.partitions.iter().filter(is_paused).count();
        let is_old = holder.max_event_time.is_some_and(|t| t + CLOCK_IS_WRONG_BEYOND < seen.wall);
        let mut standing = (holder.partition, holder.watermark);
        if let Some(then) = &self.holder
            && is_old
            && paused > 0
            && then.value.0 == holder.partition
            && !gains(then, holder.watermark, watched)
        {
            // A clock that was set to 1970 goes on from there, and never comes to where the others are.
            standing = then.value;
        }
        let long = Standing::for_how_long(&mut self.holder, standing, watched);
        if long.is_zero() {
            self.read_then = read;
        }
        let limit = HELD_BACK_AFTER.max(self.patience.idle_after.saturating_mul(2));
        let is_ahead = |view: &&PartitionView| holder.watermark < view.watermark;
        let ahead = seen.partitions.iter().filter(is_ahead).count();
        if long < limit || (read == self.read_then && paused == 0 && ahead == 0) {
            return None;
        }
        let stands = match date_time(holder.watermark) {
            Some(time) => format!("its watermark stands at {time}"),
            None => "it has had no record with a time yet".to_owned(),
        };
        let key = match &seen.newest_key {
            Some(key) => format!(", by key `{}`", key.escape_debug()),
            None => String::new(),
        };
        let hint = match is_old && holder.state == PartitionState::Active && paused > 0 {
            true => "; if that sender's clock is wrong, start again with --max-past 1d",
            false => "",
        };
        let others = match (paused, ahead) {
            (0, 0) => String::new(),
            (0, 1) => "; 1 partition is ahead of it".to_owned(),
            (0, ahead) => format!("; {ahead} partitions are ahead of it"),
            (1, _) => "; 1 partition is not read until it has come closer".to_owned(),
            (paused, _) => format!("; {paused} partitions are not read until it has come closer"),
        };
        Some(JobCondition {
            subject: holder.partition.0.to_string(),
            detail: format!("by partition {}: {stands}{key}{others}{hint}", holder.partition.0),
            ..JobCondition::plain(ConditionKind::HeldBack, seen.wall - long)
        })
    }
}

/// That a trouble is over, and how long it lasted: `no longer held back, after 42 s: by partition 1: …`.
fn over(before: &JobCondition, now: EventTime) -> String {
    let lasted = in_words(now.since(before.since));
    let over = match before.kind {
        ConditionKind::NothingCanBeRead => "records can be read again".to_owned(),
        kind => format!("no longer {}", kind.title()),
    };
    format!("{over}, after {lasted}: {}", before.detail)
}

/// Whether a holder has come closer to those that keep pace with the clock.
fn gains(then: &Standing<(Partition, EventTime)>, watermark: EventTime, watched: Duration) -> bool {
    let passed = i64::try_from(watched.saturating_sub(then.since).as_millis()).unwrap_or(i64::MAX);
    let advanced = watermark.as_millis().saturating_sub(then.value.1.as_millis());
    passed.saturating_mul(GAINS_FROM).saturating_add(GAINS_BEYOND_MS) < advanced
}

/// The partition that the watermark waits for: the one with the least watermark among those that
/// hold it at all, the lowest number among equals.
pub(crate) fn holding_back(partitions: &[PartitionView]) -> Option<&PartitionView> {
    let holds = |state| matches!(state, PartitionState::Active | PartitionState::Paused);
    let holding = partitions.iter().filter(|view| holds(view.state));
    holding.min_by_key(|view| (view.watermark, view.partition))
}

/// `42 s`, `3 min`, `5 h`, `2 d`.
fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{} s", seconds.max(1)),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
