//! The other processes of a job: how they meet, and that they may end without a goodbye.
//!
//! Timely has one way to say that a connection broke: the thread that serves it panics, with a text
//! that it keeps for those who look for it, and the workers that share its queues panic after it.
//! One death comes out as half a dozen panics. A panic hook hears of the first of them before any
//! worker does, and [`explains`] it as the failure of the job; what follows from it is not worth a
//! line. The hook is the program's to set: it is one for the whole process.

mod framed;
mod go_ahead;
mod meeting;

use std::any::Any;
use std::io;
use std::net::TcpStream;
use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};
use std::thread::Thread;

use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::communication::{Hooks, WorkerGuards};

pub(crate) use self::go_ahead::GoAhead;
pub use self::meeting::listen;
pub(crate) use self::meeting::{Meeting, Met, Terms};
use crate::error::JobError;
use crate::failure::Failure;

/// What the names of timely's threads begin with, such as `timely:work-0`.
const THREADS: &str = "timely:";
/// The threads that serve the connection with the process whose number follows.
const CONNECTIONS: [&str; 2] = ["timely:recv-", "timely:send-"];
/// How timely's text begins when a connection breaks.
const BROKEN: &str = "timely communication error: ";

/// The failure of the job that has peers, of which there is one in a process.
static WATCHED: Mutex<Option<Failure>> = Mutex::new(None);

/// From now on, another process that is gone is a failure of the job.
pub(crate) fn watch(failure: &Failure) {
    *WATCHED.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure.clone());
}

/// For the panic hook of a program that runs a job of several processes: whether a panic of the
/// current thread is how another process that is gone is noticed, or follows from a failure of the
/// job. The job ends with an error that says so; the panic is not worth a line, and no bug.
pub fn explains(panic: &PanicHookInfo<'_>) -> bool {
    let Ok(watched) = WATCHED.try_lock() else { return false };
    let Some(failure) = watched.clone() else { return false };
    drop(watched);
    let thread = std::thread::current();
    match gone(&thread, panic) {
        Some(error) => {
            failure.report(error);
            true
        }
        None => is_timelys(&thread) && failure.happened(),
    }
}

/// What workers of this process are made of that talk to others over these connections.
pub(crate) fn allocators(
    sockets: Vec<Option<TcpStream>>,
    process: usize,
    threads: usize,
) -> io::Result<(Vec<AllocatorBuilder>, Box<dyn Any + Send>)> {
    let hooks = Hooks::default();
    let local =
        ProcessBuilder::new_typed_vector(threads, hooks.refill.clone(), hooks.spill.clone());
    let (workers, guard) =
        initialize_networking_from_sockets(local, sockets, process, threads, hooks)?;
    Ok((workers.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
}

fn is_timelys(thread: &Thread) -> bool {
    thread.name().is_some_and(|name| name.starts_with(THREADS))
}

fn gone(thread: &Thread, panic: &PanicHookInfo<'_>) -> Option<JobError> {
    let name = thread.name()?;
    let process = CONNECTIONS.iter().find_map(|prefix| name.strip_prefix(prefix))?;
    let reason = panic.payload().downcast_ref::<String>()?.strip_prefix(BROKEN)?;
    Some(JobError::PeerGone { process: process.parse().ok()?, reason: reason.to_owned() })
}

/// Keeps a worker from returning for as long as the process lives. When it returns, timely says
/// goodbye to the other processes: they take that for an orderly end, and wait for ever for what
/// this worker still owes them. When the process ends instead, they find the connection broken.
pub(crate) fn stay() -> ! {
    loop {
        std::thread::park();
    }
}

/// Waits for timely's threads, and says what the first one panicked with that did. Where a
/// connection broke, whoever waits panics too: that is a thread that counts as timely's.
pub(crate) fn join(guards: WorkerGuards<()>) -> Result<(), String> {
    let wait = move || guards.join().into_iter().collect();
    let waits = std::thread::Builder::new().name(format!("{THREADS}join")).spawn(wait);
    let ended = waits.map_err(|error| error.to_string())?.join();
    ended.unwrap_or_else(|_| Err("a connection with another process broke".to_owned()))
}
