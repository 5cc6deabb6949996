//! Work that is not a worker's: encoding, syncing, waiting for disks.
//!
//! It is cut into steps ([`Task`]), so that who runs it is a choice: a thread for each task
//! ([`Background::threads`]), or a simulation that lets one step at a time run. Between a worker
//! and a task there is a queue; whoever puts something there rings the task's [`Bell`].

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a task wants after a step.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another step: there is more to do.
    Again,
    /// A step when its bell rings, or after this time, if there is one. Sooner does no harm.
    Wait(Option<Duration>),
    /// No other step.
    Done,
}

/// Work in steps. A step may wait for a disk, never for a worker or another task.
pub trait Task: Send + 'static {
    /// Does a piece of work.
    fn step(&mut self) -> Step;
}

/// Wakes a task. Clones ring the same one.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<(Mutex<bool>, Condvar)>);

impl Bell {
    /// There is something to do. Cheap, from any thread.
    pub fn ring(&self) {
        let (rung, changed) = &*self.0;
        *rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_one();
    }

    /// Whether it has been rung since it was last asked or waited for: for whoever runs tasks
    /// without threads.
    pub fn take(&self) -> bool {
        let (rung, _) = &*self.0;
        std::mem::take(&mut *rung.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until it has been rung since the last wait, or until `limit` has passed.
    fn wait(&self, limit: Option<Duration>) {
        let (rung, changed) = &*self.0;
        let mut guard = rung.lock().unwrap_or_else(PoisonError::into_inner);
        guard = match limit {
            None => {
                changed.wait_while(guard, |rung| !*rung).unwrap_or_else(PoisonError::into_inner)
            }
            Some(limit) => {
                changed
                    .wait_timeout_while(guard, limit, |rung| !*rung)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        *guard = false;
    }
}

/// Runs tasks.
pub trait Spawn: Send + Sync + 'static {
    /// Begins to run `task`, which waits for `bell`.
    ///
    /// # Errors
    ///
    /// If there is no thread for it.
    fn spawn(&self, name: &str, bell: Bell, task: Box<dyn Task>) -> io::Result<Box<dyn Join>>;

    /// Lets tasks go on while a worker has to wait until one of them has made room. Called again
    /// and again until there is room.
    fn give_way(&self) -> GiveWay {
        GiveWay::NotNeeded
    }

    /// How many bytes may wait for a task, where that is to be less than usual: a simulation wants to
    /// see what happens at the bound.
    fn queue_bytes_max(&self) -> Option<usize> {
        None
    }
}

/// What came of [`Spawn::give_way`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum GiveWay {
    /// Tasks go on by themselves: the worker may sleep until it is told.
    NotNeeded,
    /// Others have gone on for a while.
    Given,
    /// The process has ended: the worker is to wait for nothing.
    Ended,
}

/// Waits for a task.
pub trait Join: Send {
    /// Whether the task is done. `true` too where [`join`](Self::join) never waits for a thread.
    fn is_done(&self) -> bool {
        true
    }

    /// Returns when the task is done, and whether it ended well (`false`: it panicked).
    fn join(self: Box<Self>) -> bool;
}

/// Who runs the tasks of a job.
#[derive(Clone)]
pub struct Background(Arc<dyn Spawn>);

impl Background {
    /// A thread for each task.
    pub fn threads() -> Background {
        Background::by(Threads)
    }

    /// `spawn` runs them.
    pub fn by(spawn: impl Spawn) -> Background {
        Background(Arc::new(spawn))
    }

    /// Begins to run a task.
    ///
    /// # Errors
    ///
    /// If there is no thread for it.
    pub fn spawn(&self, name: &str, bell: Bell, task: impl Task) -> io::Result<Box<dyn Join>> {
        self.0.spawn(name, bell, Box::new(task))
    }

    pub(crate) fn give_way(&self) -> GiveWay {
        self.0.give_way()
    }

    pub(crate) fn queue_bytes_max(&self) -> Option<usize> {
        self.0.queue_bytes_max()
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Background")
    }
}

struct Threads;

impl Spawn for Threads {
    fn spawn(&self, name: &str, bell: Bell, mut task: Box<dyn Task>) -> io::Result<Box<dyn Join>> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            loop {
                match task.step() {
                    Step::Again => {}
                    Step::Wait(limit) => bell.wait(limit),
                    Step::Done => break,
                }
            }
        })?;
        Ok(Box::new(Joined(thread)))
    }
}

struct Joined(JoinHandle<()>);

impl Join for Joined {
    fn is_done(&self) -> bool {
        self.0.is_finished()
    }

    fn join(self: Box<Self>) -> bool {
        self.0.join().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    struct Adding {
        numbers: Receiver<u32>,
        sum: Arc<Mutex<u32>>,
    }

    impl Task for Adding {
        fn step(&mut self) -> Step {
            match self.numbers.try_recv() {
                Ok(0) => Step::Done,
                Ok(number) => {
                    *self.sum.lock().unwrap() += number;
                    Step::Again
                }
                Err(_) => Step::Wait(None),
            }
        }
    }

    #[test]
    fn a_bell_that_rings_before_the_wait_is_heard() {
        let (sender, numbers) = channel();
        let (bell, sum) = (Bell::default(), Arc::new(Mutex::new(0)));
        let task = Adding { numbers, sum: Arc::clone(&sum) };
        let handle = Background::threads().spawn("adding", bell.clone(), task).unwrap();
        for number in [1, 2, 3, 0] {
            sender.send(number).unwrap();
            bell.ring();
        }
        assert!(handle.join());
        assert_eq!(*sum.lock().unwrap(), 6);
    }
}
