//! A thread that owns the files of one writer, and the handle that a worker holds.
//!
//! Encoding, compression and waiting for the disk are off the worker. Between them is a queue of
//! bounded size. When it is full, [`write`](RollingWriter::write) waits: a disk that is slower than
//! the rows, or takes none, holds up the worker, and so the reading, rather than filling the memory.

use std::collections::VecDeque;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::layout::Layout;
use super::rolling::RollingFiles;
use super::{Committed, SinkError, SinkOptions, Stopped};
use crate::store::{Directory, StoreError};

/// Memory of rows between a worker and the thread, bytes. One write may exceed it.
const QUEUE_BYTES_MAX: usize = 16 << 20;
/// How often somebody who waits looks whether the job has been stopped.
const STOPPED_POLL: Duration = Duration::from_millis(50);
/// How long the thread sleeps at most while rows wait to be rolled: a clock that is moved by hand
/// wakes nobody.
const TICK_MAX: Duration = Duration::from_secs(1);

/// Writes rows on a thread of its own. All methods can be called from any thread, so workers may
/// share one.
///
/// Rows that were taken are kept until they are durable, through errors of the disk. Dropped
/// without [`close`](Self::close), which is what a job that fails does, it forgets the rows that
/// are not visible yet.
#[derive(Debug)]
pub struct RollingWriter<L: Layout> {
    mailbox: Arc<Mailbox<L::Record>>,
    thread: Mutex<Option<JoinHandle<Result<Committed, SinkError>>>>,
    directory: Directory,
    stopped: Stopped,
}

impl<L: Layout> RollingWriter<L> {
    /// Starts the thread; `name` is the folder in `OUT`.
    pub(super) fn start(
        options: &SinkOptions,
        name: &'static str,
        layout: L,
    ) -> Result<Self, SinkError> {
        let directory = options.out.subdirectory(name).expect("a plain name");
        let mailbox = Arc::new(Mailbox::default());
        let files = RollingFiles::new(options, directory.clone(), layout);
        let inbox = Inbox(Arc::clone(&mailbox));
        let stopped = options.stopped.clone();
        let thread = std::thread::Builder::new()
            .name(format!("{name} {}", options.worker))
            .spawn(move || run(files, &inbox, &stopped))
            .map_err(|error| SinkError::NoThread(Arc::new(error)))?;
        let (thread, stopped) = (Mutex::new(Some(thread)), options.stopped.clone());
        Ok(RollingWriter { mailbox, thread, directory, stopped })
    }

    /// Hands rows over. Returns at once while the queue has room, and otherwise waits for it.
    ///
    /// # Errors
    ///
    /// [`SinkError::Lost`]: the job has been stopped while the disk takes nothing and the memory
    /// for rows that wait is full. [`SinkError::Ended`]: the writer was closed. A disk that takes
    /// nothing is no error here: it is reported, and the rows wait.
    pub fn write(&self, records: Vec<L::Record>) -> Result<(), SinkError> {
        if records.is_empty() {
            return Ok(());
        }
        let bytes = records.iter().map(L::bytes).sum::<usize>();
        let mut state = self.mailbox.lock();
        while QUEUE_BYTES_MAX <= state.queued_bytes && !state.is_over() {
            if let Some(cause) = &state.failure
                && !state.has_room
                && self.stopped.is_requested()
            {
                let (cause, rows) = (Arc::clone(cause), records.len() as u64);
                return Err(SinkError::Lost { cause, rows });
            }
            state = self.mailbox.wait(state, Some(STOPPED_POLL));
        }
        if state.is_over() {
            return Err(self.ended());
        }
        state.queued_bytes += bytes;
        state.queue.push_back(Letter::Write { records, bytes });
        self.mailbox.changed.notify_all();
        Ok(())
    }

    /// Makes everything that was handed over visible now; returns when it is durable, with all that
    /// was since the start.
    ///
    /// # Errors
    ///
    /// [`SinkError::Waiting`]: the disk does not take it. The rows are kept, and tried again.
    /// [`SinkError::Ended`].
    pub fn roll(&self) -> Result<Committed, SinkError> {
        let (reply, answer) = channel();
        let mut state = self.mailbox.lock();
        if state.is_over() {
            return Err(self.ended());
        }
        state.queue.push_back(Letter::Roll { reply });
        drop(state);
        self.mailbox.changed.notify_all();
        answer.recv().unwrap_or_else(|_| Err(self.ended()))
    }

    /// Makes everything visible and ends the thread. While the disk does not take it, tries again
    /// until it does, or until the job has been stopped. What is written after that is an error.
    /// A second call only says what there is.
    ///
    /// # Errors
    ///
    /// [`SinkError::Lost`]: the disk did not take it, and the job has been stopped.
    /// [`SinkError::Ended`].
    pub fn close(&self) -> Result<Committed, SinkError> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(self.committed()) };
        self.mailbox.end(Ending::Close);
        thread.join().unwrap_or_else(|_| Err(self.ended()))
    }

    /// What is durable and visible by now.
    pub fn committed(&self) -> Committed {
        self.mailbox.lock().committed
    }

    /// Why the disk takes no files just now, if it does not.
    pub fn failure(&self) -> Option<Arc<StoreError>> {
        self.mailbox.lock().failure.clone()
    }

    fn ended(&self) -> SinkError {
        SinkError::Ended { path: self.directory.path().to_owned() }
    }
}

impl<L: Layout> Drop for RollingWriter<L> {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            self.mailbox.end(Ending::Forget);
            // A panic there has been printed.
            drop(thread.join());
        }
    }
}

/// What the thread does.
fn run<L: Layout>(
    mut files: RollingFiles<L>,
    inbox: &Inbox<L::Record>,
    stopped: &Stopped,
) -> Result<Committed, SinkError> {
    loop {
        let wait = files.due_in().map(|due| due.min(TICK_MAX));
        match inbox.next(wait, files.has_room()) {
            Next::Write(records) => files.write(&records),
            Next::Roll(reply) => {
                let result = files.roll();
                inbox.show(&files);
                // Whoever asked may have gone.
                let _ = reply.send(result);
            }
            Next::RollWithoutRoom => {
                files.retry();
                if let (false, Some(cause)) = (files.has_room(), files.failure()) {
                    inbox.refuse_rolls(cause, files.rows());
                }
            }
            Next::Tick => files.tick(),
            Next::End(Ending::Forget) => return Ok(files.committed()),
            Next::End(Ending::Close) => return close(files, inbox, stopped),
        }
        inbox.show(&files);
    }
}

/// Makes all rows visible, or gives up once the job has been stopped.
fn close<L: Layout>(
    mut files: RollingFiles<L>,
    inbox: &Inbox<L::Record>,
    stopped: &Stopped,
) -> Result<Committed, SinkError> {
    // The queue is bounded, and nothing is added to it any more: it fits.
    while let Some(records) = inbox.take_rest() {
        files.write(&records);
    }
    loop {
        let result = files.roll();
        inbox.show(&files);
        match result {
            Err(SinkError::Waiting { cause, rows }) if stopped.is_requested() => {
                return Err(SinkError::Lost { cause, rows });
            }
            Err(SinkError::Waiting { .. }) => inbox.pause(stopped),
            result => return result,
        }
    }
}

/// Between a worker and the thread.
#[derive(Debug)]
struct Mailbox<R> {
    state: Mutex<State<R>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<R> {
    queue: VecDeque<Letter<R>>,
    queued_bytes: usize,
    ending: Option<Ending>,
    thread_gone: bool,
    /// Whether the thread takes rows out of the queue.
    has_room: bool,
    failure: Option<Arc<StoreError>>,
    committed: Committed,
}

impl<R> State<R> {
    /// Whether nothing that is put into the queue now would be taken out.
    fn is_over(&self) -> bool {
        self.thread_gone || self.ending.is_some()
    }
}

#[derive(Debug)]
enum Letter<R> {
    Write { records: Vec<R>, bytes: usize },
    Roll { reply: Sender<Result<Committed, SinkError>> },
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Ending {
    Close,
    Forget,
}

/// What the thread is to do next.
enum Next<R> {
    Write(Vec<R>),
    Roll(Sender<Result<Committed, SinkError>>),
    /// Somebody waits for a roll, behind rows that there is no room for.
    RollWithoutRoom,
    Tick,
    End(Ending),
}

impl<R> Default for Mailbox<R> {
    fn default() -> Mailbox<R> {
        let state = State {
            queue: VecDeque::new(),
            queued_bytes: 0,
            ending: None,
            thread_gone: false,
            has_room: true,
            failure: None,
            committed: Committed::default(),
        };
        Mailbox { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<R> Mailbox<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change; at most for `limit`, if there is one.
    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State<R>>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, State<R>> {
        match limit {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                let woken = self.changed.wait_timeout(state, limit);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    fn end(&self, ending: Ending) {
        self.lock().ending = Some(ending);
        self.changed.notify_all();
    }
}

/// The thread's side. Dropped, also by a panic, it tells the other side that nobody is there.
struct Inbox<R>(Arc<Mailbox<R>>);

impl<R> Inbox<R> {
    /// What to do next; a tick after `wait`. Without room, rows stay in the queue.
    fn next(&self, wait: Option<Duration>, has_room: bool) -> Next<R> {
        let mut state = self.0.lock();
        let mut waited = false;
        loop {
            if let Some(Ending::Forget) = state.ending {
                return Next::End(Ending::Forget);
            }
            if has_room {
                match state.queue.pop_front() {
                    Some(Letter::Write { records, bytes }) => {
                        state.queued_bytes -= bytes;
                        self.0.changed.notify_all();
                        return Next::Write(records);
                    }
                    Some(Letter::Roll { reply }) => return Next::Roll(reply),
                    None => {}
                }
            } else if state.queue.iter().any(|letter| matches!(letter, Letter::Roll { .. })) {
                return Next::RollWithoutRoom;
            }
            if let Some(Ending::Close) = state.ending {
                return Next::End(Ending::Close);
            }
            if waited {
                return Next::Tick;
            }
            state = self.0.wait(state, wait);
            waited = wait.is_some();
        }
    }

    /// Rows that are still in the queue.
    fn take_rest(&self) -> Option<Vec<R>> {
        let mut state = self.0.lock();
        while let Some(letter) = state.queue.pop_front() {
            if let Letter::Write { records, .. } = letter {
                return Some(records);
            }
            // Whoever asked for a roll hears that the thread has ended.
        }
        None
    }

    /// Answers those who wait for a roll that it cannot be.
    fn refuse_rolls(&self, cause: &Arc<StoreError>, rows: u64) {
        self.0.lock().queue.retain(|letter| match letter {
            Letter::Write { .. } => true,
            Letter::Roll { reply } => {
                let _ = reply.send(Err(SinkError::Waiting { cause: Arc::clone(cause), rows }));
                false
            }
        });
    }

    /// Shows the other side how things are.
    fn show<L: Layout<Record = R>>(&self, files: &RollingFiles<L>) {
        let mut state = self.0.lock();
        state.has_room = files.has_room();
        state.committed = files.committed();
        state.failure = files.failure().cloned();
    }

    /// Waits a second, or until the job has been stopped.
    fn pause(&self, stopped: &Stopped) {
        let mut left = TICK_MAX;
        while !left.is_zero() && !stopped.is_requested() {
            drop(self.0.wait(self.0.lock(), Some(STOPPED_POLL)));
            left = left.saturating_sub(STOPPED_POLL);
        }
    }
}

impl<R> Drop for Inbox<R> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.thread_gone = true;
        state.queue.clear();
        drop(state);
        self.0.changed.notify_all();
    }
}
