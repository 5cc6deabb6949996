//! The status line: one line that is kept up to date on a terminal, and a line now and then where
//! there is none.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use strandline_engine::clock::Clock;
use strandline_engine::report::Log;
use strandline_engine::view::{Snapshot, View, date_time};

/// How often the line changes on a terminal.
const TERMINAL_EVERY: Duration = Duration::from_secs(1);
/// How often a line is written elsewhere.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// How long the end of the program waits for the log to be written.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// What a program says while it runs. Clones share the line. Nothing waits for who reads it.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    quiet: bool,
    log: Log,
}

impl Voice {
    pub(crate) fn new(quiet: bool) -> Voice {
        Voice { quiet, log: Log::stderr().clone() }
    }

    /// Whether only what has to be said is said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says something that a quiet program does not say.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            self.log.line(line);
        }
    }

    /// Says something that has to be said.
    pub(crate) fn warn(&self, line: &str) {
        self.log.line(line);
    }

    /// Says what has just happened to a job, with the time: who reads a log wants to know when.
    pub(crate) fn tell(&self, line: &str, clock: &Clock) {
        let time = date_time(clock.wall()).unwrap_or_default();
        self.log.line(&format!("{time}: {line}"));
    }

    /// Gives what was said a moment to be written, before the process ends. Whether it was.
    pub(crate) fn flush(&self) -> bool {
        self.log.flush(FLUSH_LIMIT)
    }

    /// Keeps a status line about `view` until the returned guard is dropped. A process that does not
    /// lead knows the job's condition, and none of its numbers.
    pub(crate) fn follow(&self, view: &View, clock: &Clock, leads: bool) -> Following {
        let over = Arc::new(AtomicBool::new(self.quiet));
        let (voice, view, clock, ends) =
            (self.clone(), view.clone(), clock.clone(), Arc::clone(&over));
        let follow = move || {
            let terminal = std::io::stderr().is_terminal();
            let every = if terminal { TERMINAL_EVERY } else { LOG_EVERY };
            let (mut seen, mut next) = (view.latest().number, clock.elapsed() + every);
            let mut said_untimed = false;
            while !ends.load(Ordering::SeqCst) {
                let snapshot = view.newer_than(seen, TERMINAL_EVERY / 4);
                seen = snapshot.number;
                let untimed = snapshot.partitions.iter().find(|partition| 0 < partition.untimed);
                if let Some(partition) = untimed
                    && !said_untimed
                {
                    said_untimed = true;
                    let line = format!(
                        "partition {} has messages without a Kafka timestamp: --max-future cannot \
                         be applied to such messages",
                        partition.partition.0
                    );
                    voice.tell(&line, &clock);
                }
                if next <= clock.elapsed() {
                    next += every;
                    let line = match leads {
                        true => line(&snapshot, &clock),
                        false => condition(&snapshot),
                    };
                    if terminal { voice.log.status(&line) } else { voice.tell(&line, &clock) }
                }
            }
        };
        // Without a thread for it there is no status line; the job is the same.
        let thread = std::thread::Builder::new().name("status".to_owned()).spawn(follow).ok();
        Following { over, thread }
    }
}

/// Ends the status line when dropped.
pub(crate) struct Following {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; the job goes on without the line.
            drop(thread.join());
        }
    }
}

/// The condition of the job, with everything that is wrong.
fn condition(snapshot: &Snapshot) -> String {
    let conditions = snapshot.conditions.all();
    let troubles = conditions.iter().filter(|condition| condition.kind.is_trouble());
    let mut shown: Vec<String> = troubles.map(ToString::to_string).collect();
    if shown.is_empty() {
        let headline = snapshot.conditions.headline();
        // Since when it runs is no news.
        shown.push(match headline.detail.as_str() {
            "" => headline.kind.title().to_owned(),
            detail => format!("{}: {detail}", headline.kind.title()),
        });
    }
    shown.join(" · ")
}

/// The condition of the job, and the numbers.
fn line(snapshot: &Snapshot, clock: &Clock) -> String {
    let watermark = match snapshot.watermark.and_then(|time| Some((time, date_time(time)?))) {
        None => "none yet".to_owned(),
        Some((watermark, time)) => {
            format!("{time} ({} behind)", behind(clock.wall().since(watermark)))
        }
    };
    format!(
        "{} · {:.0} records/s · watermark {watermark} · lag {} · late {} · dead letters {} · final rows {}",
        condition(snapshot),
        snapshot.records_per_second,
        snapshot.lag().map_or_else(|| "unknown".to_owned(), |lag| lag.to_string()),
        snapshot.ledger.late,
        snapshot.ledger.dead_letters(),
        snapshot.final_rows,
    )
}

/// `61 s`; from two days on, `5 d 6 h`.
fn behind(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..172_800 => format!("{seconds} s"),
        seconds => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use strandline_engine::condition::ConditionKind;
    use strandline_engine::table::Table;
    use strandline_operators::time::EventTime;

    use super::*;

    #[test]
    fn the_status_line_says_what_the_job_waits_for_and_dates_its_watermark() {
        let table = Table::new::<(u64,)>("key", "rows", &["count"]);
        let (at, clock) = (EventTime::from_millis(1_769_860_800_000), Clock::set_by_hand);
        let (clock, _hand) = clock(at);
        let view = View::new(Snapshot::empty("topic", table.into(), at));
        assert!(line(&view.latest(), &clock).starts_with("starting · 0 records/s"));
        let kafka = ConditionKind::WaitingForKafka;
        view.telemetry().raise(kafka, "", "Connection refused", at);
        let watermark = Some(EventTime::from_millis(17_000));
        view.publish(Snapshot { watermark, ..Snapshot::clone(&view.latest()) });
        let said = line(&view.latest(), &clock);
        let headline = view.latest().conditions.headline().to_string();
        assert!(said.starts_with(&format!("{headline} · 0 records/s · ")), "{said}");
        assert!(said.contains("watermark 1970-01-01 00:00:17 UTC (20484 d 11 h behind)"), "{said}");
    }
}
