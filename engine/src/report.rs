//! What is said to the user besides results: one line, what is wrong and what to do.
//!
//! Nothing that works waits for who reads the lines: a [`Log`] takes them into a queue, and a thread
//! of its own writes them. If that cannot write, because a pipe is full that nobody reads, lines are
//! dropped and counted.

use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Says something to the user.
#[derive(Clone)]
pub struct Report {
    say: Arc<dyn Fn(&str) + Send + Sync>,
    is_without_news: bool,
}

impl Report {
    /// Says it by calling `say`, from any thread. It must not block.
    pub fn new(say: impl Fn(&str) + Send + Sync + 'static) -> Report {
        Report { say: Arc::new(say), is_without_news: false }
    }

    /// The same, which says only what is wrong, or no longer is.
    pub fn without_news(self) -> Report {
        Report { is_without_news: true, ..self }
    }

    /// Says it to nobody.
    pub fn silent() -> Report {
        Report::new(|_| {})
    }

    /// Says it on the standard error stream; if that is closed or full, to nobody.
    pub fn to_stderr() -> Report {
        let log = Log::stderr().clone();
        Report::new(move |line| log.line(line))
    }

    pub(crate) fn say(&self, line: &str) {
        (self.say)(line);
    }

    /// Says something of a job with which nothing is wrong.
    pub(crate) fn news(&self, line: &str) {
        if !self.is_without_news {
            self.say(line);
        }
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Report")
    }
}

/// Lines that wait to be written, a number of lines. Further ones are dropped and counted.
const LOG_LINES_MAX: usize = 1024;
/// The longest line, in bytes: of a longer one, the rest is cut off.
const LOG_LINE_BYTES_MAX: usize = 16 << 10;

/// Wipes a status line from a terminal.
const WIPE: &str = "\r\x1b[2K";

/// Lines on their way to a stream. Cheap to clone; clones share the queue.
///
/// ```
/// use std::time::Duration;
/// use strandline_engine::report::Log;
///
/// let log = Log::stderr();
/// log.line("Kafka at localhost:9092 answers");
/// assert!(log.flush(Duration::from_secs(1)));
/// ```
#[derive(Clone, Debug)]
pub struct Log(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    /// The newest status line, if it is not written yet.
    status: Option<String>,
    /// Lines that were dropped and of which nothing was said yet.
    unsaid: u64,
    /// All lines that were dropped so far.
    dropped: u64,
    /// Something is being written.
    writes: bool,
}

impl Log {
    /// Lines on their way to the standard error stream of this process.
    pub fn stderr() -> &'static Log {
        static STDERR: OnceLock<Log> = OnceLock::new();
        STDERR.get_or_init(|| Log::to(stderr()))
    }

    /// Lines on their way to `stream`, which a thread of its own writes to for as long as the
    /// process lives. Where there is no thread to be had, they are dropped.
    pub fn to(stream: impl Write + Send + 'static) -> Log {
        let queue =
            Arc::new(Queue { state: Mutex::new(State::default()), changed: Condvar::new() });
        let log = Log(Arc::clone(&queue));
        // Nobody could be told.
        let _ = std::thread::Builder::new().name("log".into()).spawn(move || queue.write(stream));
        log
    }

    /// Writes a line, soon. Never waits for the stream.
    pub fn line(&self, line: &str) {
        let mut state = self.0.lock();
        if state.lines.len() < LOG_LINES_MAX {
            state.lines.push_back(cut(line).to_owned());
        } else {
            state.unsaid += 1;
            state.dropped += 1;
        }
        drop(state);
        self.0.changed.notify_all();
    }

    /// Keeps `line` as the last one on a terminal: the next line takes its place.
    pub fn status(&self, line: &str) {
        self.0.lock().status = Some(line.to_owned());
        self.0.changed.notify_all();
    }

    /// How many lines were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }

    /// Waits until everything has been written, but no longer than `limit`: whether it has.
    pub fn flush(&self, limit: Duration) -> bool {
        let state = self.0.lock();
        let waits = |state: &mut State| !state.is_empty() || state.writes;
        let waited = self.0.changed.wait_timeout_while(state, limit, waits);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut stream: impl Write) {
        // Whether a status line stands on the terminal, to be wiped before anything else.
        let mut status_stands = false;
        loop {
            let mut state = self.lock();
            while state.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let wipe = if status_stands { WIPE } else { "" };
            let text = if let Some(line) = state.lines.pop_front() {
                status_stands = false;
                format!("{wipe}{line}\n")
            } else if state.unsaid > 0 {
                let dropped = std::mem::take(&mut state.unsaid);
                status_stands = false;
                let lines = if dropped == 1 { "line was" } else { "lines were" };
                format!("{wipe}{dropped} {lines} dropped: nobody read them in time\n")
            } else if let Some(status) = state.status.take() {
                status_stands = true;
                format!("{WIPE}{status}")
            } else {
                continue;
            };
            state.writes = true;
            drop(state);
            // If the stream is gone, nobody misses the line.
            let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
            self.lock().writes = false;
            self.changed.notify_all();
        }
    }
}

fn cut(line: &str) -> &str {
    let ends = (0..=LOG_LINE_BYTES_MAX.min(line.len())).rev();
    ends.into_iter().find_map(|end| line.get(..end)).unwrap_or_default()
}

impl State {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.unsaid == 0 && self.status.is_none()
    }
}

/// The standard error stream, without the lock that everybody else in the process takes for it.
fn stderr() -> Box<dyn Write + Send> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        if let Ok(copy) = std::io::stderr().as_fd().try_clone_to_owned() {
            return Box::new(std::fs::File::from(copy));
        }
    }
    Box::new(std::io::stderr())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that takes nothing until it is opened.
    #[derive(Clone, Default)]
    struct Gate(Arc<(Mutex<Stream>, Condvar)>);

    #[derive(Default)]
    struct Stream {
        is_open: bool,
        bytes: Vec<u8>,
    }

    impl Gate {
        fn open(&self) {
            self.0.0.lock().unwrap().is_open = true;
            self.0.1.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.0.lock().unwrap().bytes.clone()).unwrap()
        }
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let state = self.0.0.lock().unwrap();
            let mut state = self.0.1.wait_while(state, |state| !state.is_open).unwrap();
            state.bytes.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn a_log_that_nobody_reads_holds_up_nobody_and_counts_what_it_drops() {
        let gate = Gate::default();
        let log = Log::to(gate.clone());
        log.line("first");
        // The first one is being written, from some moment on.
        assert!(!log.flush(Duration::from_millis(50)));
        for line in 0..LOG_LINES_MAX + 7 {
            log.line(&line.to_string());
        }
        assert!(!log.flush(Duration::from_millis(1)));
        gate.open();
        assert!(log.flush(LIMIT));
        assert_eq!(log.dropped(), 7);
        let text = gate.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["first", "0", "1"]);
        assert_eq!(*lines.last().unwrap(), "7 lines were dropped: nobody read them in time");
        assert_eq!(lines.len(), LOG_LINES_MAX + 2);
    }

    #[test]
    fn a_line_takes_the_place_of_the_status_line() {
        let gate = Gate::default();
        gate.open();
        let log = Log::to(gate.clone());
        log.status("10 records/s");
        assert!(log.flush(LIMIT));
        log.line("Kafka answers");
        assert!(log.flush(LIMIT));
        assert_eq!(gate.text(), format!("{WIPE}10 records/s{WIPE}Kafka answers\n"));
    }

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        let gate = Gate::default();
        gate.open();
        let log = Log::to(gate.clone());
        log.line(&"é".repeat(LOG_LINE_BYTES_MAX));
        assert!(log.flush(LIMIT));
        assert_eq!(gate.text().len(), LOG_LINE_BYTES_MAX + 1);
    }
}
