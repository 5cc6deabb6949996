//! `OUT/latest.json`: what a job shows, for whoever reads files.
//!
//! A task follows the view and replaces the file as a whole, so a reader always finds one
//! complete document. Only the last one waits for the medium: a sync several times a second, for
//! what is replaced at once, makes everything else on that disk wait too, Kafka's log included.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::{Existing, SinkError};
use crate::background::{Background, Bell, Join, Step, Task};
use crate::clock::Clock;
use crate::report::Report;
use crate::store::{Directory, StoreError};
use crate::view::{Snapshot, View};

/// The file's name.
pub(super) const LATEST_JSON: &str = "latest.json";
/// How long after a failure the disk is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Times as long as a document took, the task rests after it: with very many keys it is written
/// less often rather than taking a core.
const REST_FACTOR: u32 = 9;

/// How often it is looked whether the last document is written, where that is not waited for at any price.
const END_POLL: Duration = Duration::from_millis(10);

/// The bytes of a document.
pub(super) fn document(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("plain data with strings for keys");
    bytes.push(b'\n');
    bytes
}

/// Keeps `latest.json` up to date, off the thread that made it.
///
/// Dropped without [`close`](Self::close) it ends too, without writing what is newest.
pub struct LatestJson {
    shared: Arc<Shared>,
    bell: Bell,
    task: Mutex<Option<Box<dyn Join>>>,
    out: Directory,
}

impl std::fmt::Debug for LatestJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LatestJson").field("out", &self.out).finish_non_exhaustive()
    }
}

/// What the task hears and says.
#[derive(Default)]
struct Shared {
    ending: Mutex<Option<Ending>>,
    /// Whether the last document was written, once it has been tried.
    closed: Mutex<Option<Result<(), StoreError>>>,
}

impl Shared {
    fn ending(&self) -> MutexGuard<'_, Option<Ending>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn closed(&self) -> MutexGuard<'_, Option<Result<(), StoreError>>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the task ends.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Ending {
    /// It writes what is newest before.
    Write,
    /// At once.
    Drop,
}

impl LatestJson {
    /// Starts, on a thread: writes what `view` shows at once, and then whatever changes it, at most
    /// once in `publish_every`. A disk that does not take it is reported once and tried again. A file
    /// that is [continued](Existing::Continue) stays until there is a window to show.
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
        let background = Background::threads();
        LatestJson::spawn_by(&background, out, view, publish_every, clock, report, existing)
    }

    /// The same, run by `background`.
    ///
    /// # Errors
    ///
    /// [`SinkError::NoThread`].
    pub fn spawn_by(
        background: &Background,
        out: &Directory,
        view: &View,
        publish_every: Duration,
        clock: &Clock,
        report: &Report,
        existing: Existing,
    ) -> Result<LatestJson, SinkError> {
        let file = LatestFile {
            out: out.clone(),
            report: report.clone(),
            seen: None,
            written: Vec::new(),
            failing: false,
            is_last: false,
            needs_window: existing == Existing::Continue,
        };
        let (shared, bell) = (Arc::new(Shared::default()), Bell::default());
        let following = Following {
            file,
            view: view.clone(),
            publish_every,
            clock: clock.clone(),
            rest_until: Duration::ZERO,
            shared: Arc::clone(&shared),
        };
        view.ring_when_published(&bell);
        let task = background
            .spawn(LATEST_JSON, bell.clone(), following)
            .map_err(|error| SinkError::NoThread(Arc::new(error)))?;
        Ok(LatestJson { shared, bell, task: Mutex::new(Some(task)), out: out.clone() })
    }

    /// Writes what the view shows now, and ends. A second call does nothing.
    ///
    /// # Errors
    ///
    /// [`SinkError::Latest`]: it could not be written. [`SinkError::Ended`].
    pub fn close(&self) -> Result<(), SinkError> {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(task) = task else { return Ok(()) };
        self.end(Ending::Write);
        let ended_well = task.join();
        match self.shared.closed().take() {
            Some(written) if ended_well => {
                written.map_err(|cause| SinkError::Latest(Arc::new(cause)))
            }
            _ => Err(SinkError::Ended { path: self.out.path().join(LATEST_JSON) }),
        }
    }

    /// Ends after something else has failed: writes what the view shows now, and waits for that no
    /// longer than `limit`. A disk that does not answer holds up no end.
    pub fn abandon(&self, limit: Duration) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(task) = task else { return };
        self.end(Ending::Write);
        let clock = Clock::system();
        while !task.is_done() && clock.elapsed() < limit {
            std::thread::park_timeout(END_POLL);
        }
    }

    fn end(&self, ending: Ending) {
        self.shared.ending().get_or_insert(ending);
        self.bell.ring();
    }
}

impl Drop for LatestJson {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            self.end(Ending::Drop);
            // A panic there has been printed.
            task.join();
        }
    }
}

/// What the task does.
struct Following {
    file: LatestFile,
    view: View,
    publish_every: Duration,
    clock: Clock,
    /// By the clock.
    rest_until: Duration,
    shared: Arc<Shared>,
}

impl Task for Following {
    fn step(&mut self) -> Step {
        let ending = *self.shared.ending();
        if let Some(ending) = ending {
            if ending == Ending::Write {
                self.file.is_last = true;
                let written = self.file.show(&self.view.latest());
                *self.shared.closed() = Some(written);
            }
            return Step::Done;
        }
        let before = self.clock.elapsed();
        if before < self.rest_until {
            return Step::Wait(Some(self.rest_until - before));
        }
        let newest = self.view.latest();
        if self.file.seen == Some(newest.number) {
            return Step::Wait(None);
        }
        let rest = match self.file.show(&newest) {
            Ok(()) => self.publish_every,
            Err(_) => self.publish_every.max(RETRY_AFTER),
        };
        let now = self.clock.elapsed();
        let rest = rest.max(now.saturating_sub(before).saturating_mul(REST_FACTOR));
        self.rest_until = now.saturating_add(rest);
        Step::Wait(Some(rest))
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
        if self.needs_window && snapshot.window.is_none() && self.out.contains(LATEST_JSON)? {
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
