//! The status line: one line that is kept up to date on a terminal, and a line now and then where
//! there is none.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use strandline_engine::clock::Clock;
use strandline_engine::view::{Snapshot, View};

/// How often the line changes on a terminal.
const TERMINAL_EVERY: Duration = Duration::from_secs(1);
/// How often a line is written elsewhere.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// What a program says while it runs. Clones share the line.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    quiet: bool,
    /// Whether a status line stands on the terminal and has to be wiped before anything else.
    line_stands: Arc<Mutex<bool>>,
}

impl Voice {
    pub(crate) fn new(quiet: bool) -> Voice {
        Voice { quiet, line_stands: Arc::new(Mutex::new(false)) }
    }

    /// Says something that a quiet program does not say.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            self.write(line);
        }
    }

    /// Says something that has to be said.
    pub(crate) fn warn(&self, line: &str) {
        self.write(line);
    }

    /// Says something although this thread may be in the middle of saying something else.
    pub(crate) fn last_word(&self, line: &str) {
        let stands = self.line_stands.try_lock().is_ok_and(|line_stands| *line_stands);
        let wipe = if stands { "\r\x1b[2K" } else { "" };
        // If nobody listens, it is not said.
        let _ = writeln!(std::io::stderr(), "{wipe}{line}");
    }

    fn write(&self, line: &str) {
        let mut line_stands = self.line_stands.lock().unwrap_or_else(PoisonError::into_inner);
        let wipe = if std::mem::take(&mut *line_stands) { "\r\x1b[2K" } else { "" };
        // A job does not end because nobody reads its log any more.
        let _ = writeln!(std::io::stderr(), "{wipe}{line}");
    }

    fn keep(&self, line: &str) {
        let mut line_stands = self.line_stands.lock().unwrap_or_else(PoisonError::into_inner);
        *line_stands = true;
        let mut stderr = std::io::stderr().lock();
        // If the terminal is gone, nobody misses the line.
        let _ = write!(stderr, "\r\x1b[2K{line}").and_then(|()| stderr.flush());
    }

    /// Keeps a status line about `view` until the returned guard is dropped.
    pub(crate) fn follow(&self, view: &View, clock: &Clock) -> Following {
        let over = Arc::new(AtomicBool::new(self.quiet));
        let (voice, view, clock, ends) =
            (self.clone(), view.clone(), clock.clone(), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
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
                    voice.write(&format!(
                        "partition {} has messages without a Kafka timestamp: --max-future cannot \
                         be applied to such messages",
                        partition.partition.0
                    ));
                }
                if next <= clock.elapsed() {
                    next += every;
                    let line = line(&snapshot, &clock);
                    if terminal { voice.keep(&line) } else { voice.write(&line) }
                }
            }
        });
        Following { over, thread: Some(thread) }
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

fn line(snapshot: &Snapshot, clock: &Clock) -> String {
    let watermark = match snapshot.watermark {
        None => "none yet".to_owned(),
        Some(watermark) => {
            let behind = clock.wall().since(watermark).as_secs();
            let time = chrono::DateTime::from_timestamp_millis(watermark.as_millis());
            let time =
                time.map_or_else(String::new, |time| format!("{} ", time.format("%H:%M:%S")));
            format!("{time}({behind} s behind)")
        }
    };
    format!(
        "{:.0} records/s · watermark {watermark} · lag {} · late {} · dead letters {} · final rows {}",
        snapshot.records_per_second,
        snapshot.lag(),
        snapshot.ledger.late,
        snapshot.ledger.dead_letters(),
        snapshot.final_rows,
    )
}
