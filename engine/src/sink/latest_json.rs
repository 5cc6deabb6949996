//! `OUT/latest.json`: what a job shows, for whoever reads files.
//!
//! A thread follows the view and replaces the file as a whole, so a reader always finds one
//! complete document. Only the last one waits for the medium: a sync several times a second, for
//! what is replaced at once, makes everything else on that disk wait too, Kafka's log included.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;

use super::{Existing, SinkError};
use crate::clock::Clock;
use crate::report::Report;
use crate::store::{Directory, StoreError};
use crate::view::{Snapshot, View};

/// The file's name.
pub(super) const LATEST_JSON: &str = "latest.json";
/// How often the thread looks whether it is to end while nothing is published.
const CLOSE_POLL: Duration = Duration::from_millis(100);
/// How long after a failure the disk is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Times as long as a document took, the thread rests after it: with very many keys it is written
/// less often rather than taking a core.
const REST_FACTOR: u32 = 9;

/// The bytes of a document.
pub(super) fn document(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("plain data with strings for keys");
    bytes.push(b'\n');
    bytes
}

/// Keeps `latest.json` up to date, on a thread of its own.
///
/// Dropped without [`close`](Self::close) it ends too, without writing what is newest.
#[derive(Debug)]
pub struct LatestJson {
    // Dropped first: that ends the thread's wait.
    close: Mutex<Option<Sender<Close>>>,
    thread: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
    out: Directory,
}

/// Write what is newest and end.
#[derive(Debug)]
struct Close;

impl LatestJson {
    /// Starts: writes what `view` shows at once, and then whatever changes it, at most once in
    /// `publish_every`. A disk that does not take it is reported once and tried again. A file that
    /// is [continued](Existing::Continue) stays until there is a window to show.
    ///
    /// # Errors
    ///
    /// [`SinkError::NoThread`].
    pub fn spawn(
        out: &Directory,
        view: &View,
        publish_every: Duration,
        clock: &Clock,
        report: &Report,
        existing: Existing,
    ) -> Result<LatestJson, SinkError> {
        let (close, closed) = channel();
        let file = LatestFile {
            out: out.clone(),
            report: report.clone(),
            seen: None,
            written: Vec::new(),
            failing: false,
            is_last: false,
            needs_window: existing == Existing::Continue,
        };
        let (view, clock) = (view.clone(), clock.clone());
        let thread = std::thread::Builder::new()
            .name(LATEST_JSON.to_owned())
            .spawn(move || follow(file, &view, publish_every, &clock, &closed))
            .map_err(|error| SinkError::NoThread(Arc::new(error)))?;
        let (close, thread) = (Mutex::new(Some(close)), Mutex::new(Some(thread)));
        Ok(LatestJson { close, thread, out: out.clone() })
    }

    /// Writes what the view shows now, and ends. A second call does nothing.
    ///
    /// # Errors
    ///
    /// [`SinkError::Latest`]: it could not be written. [`SinkError::Ended`].
    pub fn close(&self) -> Result<(), SinkError> {
        if let Some(close) = self.close.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // If the thread is gone, joining it says so.
            let _ = close.send(Close);
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(()) };
        match thread.join() {
            Ok(written) => written.map_err(|cause| SinkError::Latest(Arc::new(cause))),
            Err(_) => Err(SinkError::Ended { path: self.out.path().join(LATEST_JSON) }),
        }
    }
}

impl Drop for LatestJson {
    fn drop(&mut self) {
        *self.close.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(thread) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic there has been printed.
            drop(thread.join());
        }
    }
}

/// What the thread does.
fn follow(
    mut file: LatestFile,
    view: &View,
    publish_every: Duration,
    clock: &Clock,
    closed: &Receiver<Close>,
) -> Result<(), StoreError> {
    let mut snapshot = view.latest();
    loop {
        let before = clock.elapsed();
        let mut rest = match file.show(&snapshot) {
            Ok(()) => publish_every,
            Err(_) => publish_every.max(RETRY_AFTER),
        };
        rest = rest.max(clock.elapsed().saturating_sub(before).saturating_mul(REST_FACTOR));
        loop {
            match closed.recv_timeout(rest) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Close) => {
                    file.is_last = true;
                    return file.show(&view.latest());
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            let newest = match file.seen {
                Some(seen) => view.newer_than(seen, CLOSE_POLL),
                None => view.latest(),
            };
            if file.seen != Some(newest.number) {
                snapshot = newest;
                break;
            }
            rest = Duration::ZERO;
        }
    }
}

/// The file, and what is in it.
struct LatestFile {
    out: Directory,
    report: Report,
    /// The number of the snapshot that it shows.
    seen: Option<u64>,
    written: Vec<u8>,
    failing: bool,
    /// Whether the next document is the last, which has to be on the medium.
    is_last: bool,
    /// Whether what is there is better than a document without a window.
    needs_window: bool,
}

impl LatestFile {
    /// Replaces the file if `snapshot` says something else.
    fn show(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
        if self.seen == Some(snapshot.number) && !self.is_last {
            return Ok(());
        }
        if self.needs_window && snapshot.window.is_none() && self.out.contains(LATEST_JSON) {
            self.seen = Some(snapshot.number);
            return Ok(());
        }
        self.needs_window = false;
        let bytes = document(&snapshot.document());
        if self.seen.is_none() || bytes != self.written || self.is_last {
            // Until it has been replaced, nobody knows what is in it.
            self.seen = None;
            let replaced = match self.is_last {
                true => self.out.replace(LATEST_JSON, &bytes),
                false => self.out.refresh(LATEST_JSON, &bytes),
            };
            if let Err(error) = replaced {
                if !std::mem::replace(&mut self.failing, true) {
                    self.report.say(&error.to_string());
                }
                return Err(error);
            }
            if std::mem::take(&mut self.failing) {
                let path = self.out.path().join(LATEST_JSON);
                self.report.say(&format!("{}: written again", path.display()));
            }
        }
        self.seen = Some(snapshot.number);
        self.written = bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use strandline_operators::time::EventTime;

    use super::*;
    use crate::store::{FaultyDisk, LocalDisk, Operation};
    use crate::table::Table;

    fn file(out: &Directory, is_last: bool) -> LatestFile {
        LatestFile {
            out: out.clone(),
            report: Report::silent(),
            seen: None,
            written: Vec::new(),
            failing: false,
            is_last,
            needs_window: false,
        }
    }

    fn snapshot(number: u64, in_flight: u64) -> Snapshot {
        let table = Arc::new(Table::new::<(u64,)>("key", "rows", &["count"]));
        let empty = Snapshot::empty("topic", table, EventTime::from_millis(0));
        Snapshot { number, in_flight, ..empty }
    }

    /// A directory whose disk counts those operations that `counts` names.
    fn counted(
        counts: impl Fn(Operation) -> bool + Send + Sync + 'static,
    ) -> (tempfile::TempDir, Directory, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let disk = FaultyDisk::new(LocalDisk, move |operation, _| {
            if counts(operation) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            None
        });
        let there = tempfile::tempdir().unwrap();
        let out = Directory::on(Arc::new(disk), there.path());
        (there, out, count)
    }

    #[test]
    fn only_the_last_document_waits_for_the_medium() {
        let (_there, out, syncs) =
            counted(|operation| matches!(operation, Operation::Sync | Operation::SyncDir));
        let mut file = file(&out, false);
        file.show(&snapshot(0, 0)).unwrap();
        let before = syncs.load(Ordering::SeqCst);
        file.show(&snapshot(1, 1)).unwrap();
        assert_eq!(syncs.load(Ordering::SeqCst), before);
        // It has been shown, but is not on the medium.
        file.is_last = true;
        file.show(&snapshot(1, 1)).unwrap();
        assert_eq!(syncs.load(Ordering::SeqCst), before + 2, "the file and the directory");
    }

    #[test]
    fn the_file_is_left_alone_while_nothing_changes() {
        let (_there, out, writes) = counted(|operation| operation == Operation::Write);
        let mut file = file(&out, false);
        file.show(&snapshot(0, 0)).unwrap();
        let before = writes.load(Ordering::SeqCst);
        file.show(&snapshot(1, 0)).unwrap();
        assert_eq!(writes.load(Ordering::SeqCst), before, "it says the same");
        file.show(&snapshot(2, 1)).unwrap();
        assert_eq!(writes.load(Ordering::SeqCst), before + 1);
    }

    /// A replacement whose last sync fails is there all the same.
    #[test]
    fn after_a_failure_nobody_knows_what_is_in_the_file() {
        let failing = Arc::new(AtomicBool::new(false));
        let fails = Arc::clone(&failing);
        let disk = FaultyDisk::new(LocalDisk, move |operation, _| {
            let fails = operation == Operation::SyncDir && fails.load(Ordering::SeqCst);
            fails.then_some(ErrorKind::Other)
        });
        let there = tempfile::tempdir().unwrap();
        let out = Directory::on(Arc::new(disk), there.path());
        let mut file = file(&out, true);
        let shown = || -> u64 {
            let bytes = out.read(LATEST_JSON).unwrap();
            let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            value["in_flight"].as_u64().unwrap()
        };

        file.show(&snapshot(0, 7)).unwrap();
        failing.store(true, Ordering::SeqCst);
        file.show(&snapshot(1, 8)).unwrap_err();
        assert_eq!(shown(), 8);
        failing.store(false, Ordering::SeqCst);
        file.show(&snapshot(2, 7)).unwrap();
        assert_eq!(shown(), 7, "it was taken for what was written before");
    }
}
