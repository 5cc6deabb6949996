//! Runs a command and starts it again when it fails: `strandline supervise -- COMMAND`.
//!
//! A job gives up at the first failure that it cannot mend, with a code that is not zero; what it
//! has done until then is safe in its checkpoint. Starting it again is another program's work, and
//! where no other is at hand (systemd, a container's restart policy), this one does it.
//!
//! The command is in a process group of its own: a Ctrl-C on the terminal reaches it once, through
//! here, and not twice, which a job takes for the wish to end at once. (Under systemd,
//! `KillMode=mixed` does the same for its SIGTERM.) On Linux it gets a SIGTERM when its supervisor
//! dies, even by SIGKILL, so that it does not go on unseen and keep its successor out.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use strandline_engine::clock::Clock;
use strandline_engine::report::Log;

use crate::program::{NOT_NOW, STOPPED_EARLY, UNREADABLE, UNUSABLE};
use crate::{duration, signals};

/// A command that has run for so long was well: the next failure is a new one.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// Signals that wait to be looked at; of more than that, one of a kind waits in the system.
const SIGNALS_MAX: usize = 16;
/// How long the end waits for the log to be written.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);
/// What is added to a signal's number for the exit code, as shells do.
const KILLED: i32 = 128;

/// Run a command, and start it again when it fails
#[derive(Clone, Debug, clap::Args)]
pub struct Supervise {
    /// How long to wait before the first restart; doubled for each further one
    #[arg(
        long, value_name = "DURATION", value_parser = duration::parse, default_value = "1s",
        allow_hyphen_values = true
    )]
    pub backoff_min: Duration,
    /// How long to wait at most; a command that has run for a minute begins anew
    #[arg(
        long, value_name = "DURATION", value_parser = duration::parse, default_value = "30s",
        allow_hyphen_values = true
    )]
    pub backoff_max: Duration,
    /// Give up after so many restarts in a row [default: never]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub max_restarts: Option<u32>,
    /// The command and its arguments, after --; it has no standard input
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// The command of a supervisor, in the process that becomes it.
#[derive(Clone, Debug, clap::Args)]
pub struct Supervised {
    /// The process that supervises.
    supervisor: u32,
    /// The command and its arguments.
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

impl Supervise {
    /// Runs the command until it succeeds, needs somebody to change something (code 2), cannot begin
    /// at its first start (code 75), or has failed too often. SIGINT and SIGTERM are passed on, and then it is not started again. Says
    /// on the standard error stream what happens. Call it on the main thread, at the start.
    ///
    /// Returns the command's exit code; of one that was killed by a signal, 128 and its number.
    pub fn run(&self) -> ExitCode {
        let code = self.run_until_done();
        Log::stderr().flush(FLUSH_LIMIT);
        code
    }

    fn run_until_done(&self) -> ExitCode {
        if self.backoff_min.is_zero() || self.backoff_max < self.backoff_min {
            say("--backoff-min has to be more than 0ms, and no more than --backoff-max");
            return ExitCode::from(UNUSABLE);
        }
        self.restart_until_done().unwrap_or_else(|error| {
            say(&format!("cannot run {}: {error}", self.name()));
            ExitCode::FAILURE
        })
    }

    fn restart_until_done(&self) -> io::Result<ExitCode> {
        // Before the first start, so that no signal is lost.
        let (clock, signals) = (Clock::system(), caught()?);
        let mut backoff = Backoff::new(self.backoff_min, self.backoff_max);
        let mut has_run = false;
        loop {
            let started = clock.elapsed();
            let (status, stopped) = watch(&mut self.start()?, &signals)?;
            let code = exit_code(status);
            // What has to be changed by somebody will not be by starting it again. Something that is
            // in the way of a start may pass, if there was one before: a store that is away, a port
            // or a lock that the one before still holds.
            let never_started = code == NOT_NOW && !has_run;
            // A run of which nothing could be read is complete, and one that was stopped was meant to.
            let is_over = [0, UNUSABLE, UNREADABLE, STOPPED_EARLY].contains(&code);
            if stopped || is_over || never_started {
                return Ok(code.into());
            }
            has_run = true;
            let wait = backoff.after(clock.elapsed().saturating_sub(started));
            let ended = match status.signal() {
                Some(signal) => format!("{} was killed by signal {signal}", self.name()),
                None => format!("{} ended with code {code}", self.name()),
            };
            if self.max_restarts.is_some_and(|most| most < backoff.restarts) {
                say(&format!("{ended}; not starting it again (--max-restarts)"));
                return Ok(code.into());
            }
            say(&format!("{ended}; starting it again in {}", duration::text(wait)));
            if let Some(signal) = signal_within(&signals, wait, &clock) {
                return Ok(killed_by(signal).into());
            }
        }
    }

    fn name(&self) -> String {
        self.command.first().map_or_else(String::new, |name| name.display().to_string())
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = if cfg!(target_os = "linux") {
            // This program's own file, even if it has been replaced since.
            let mut command = Command::new("/proc/self/exe");
            command.args([SUPERVISED, &std::process::id().to_string(), "--"]).args(&self.command);
            command
        } else {
            let mut command = Command::new(&self.command[0]);
            command.args(&self.command[1..]);
            command
        };
        command.process_group(0).stdin(Stdio::null()).spawn()
    }
}

/// The name of the hidden subcommand whose arguments are [`Supervised`].
pub const SUPERVISED: &str = "supervised";

impl Supervised {
    /// Turns this process into the command, which gets a SIGTERM when its supervisor dies: the
    /// setting outlives the exec. Returns only if there is no such command.
    pub fn run(&self) -> ExitCode {
        match self.become_it() {
            Err(error) => {
                let name = self.command.first().map(|name| name.display().to_string());
                say(&format!("cannot run {}: {error}", name.unwrap_or_default()));
                Log::stderr().flush(FLUSH_LIMIT);
                ExitCode::from(UNUSABLE)
            }
        }
    }

    fn become_it(&self) -> io::Result<Infallible> {
        #[cfg(target_os = "linux")]
        {
            rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
            // It may have died before that.
            let parent = rustix::process::getppid().map(|parent| parent.as_raw_nonzero().get());
            if parent.and_then(|parent| u32::try_from(parent).ok()) != Some(self.supervisor) {
                return Err(io::Error::other("its supervisor is gone"));
            }
        }
        Err(Command::new(&self.command[0]).args(&self.command[1..]).exec())
    }
}

fn say(line: &str) {
    // What is supervised neither ends nor waits because nobody reads the log any more.
    Log::stderr().line(&format!("supervise: {line}"));
}

/// The signals that this process gets from now on.
fn caught() -> io::Result<Receiver<i32>> {
    let mut signals = Signals::new(signals::ending().into_iter().chain([SIGCHLD]))?;
    let (sender, receiver) = sync_channel(SIGNALS_MAX);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if sender.send(signal).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// Waits until the command ends, passing on signals. Says whether there was one.
fn watch(child: &mut Child, signals: &Receiver<i32>) -> io::Result<(ExitStatus, bool)> {
    let mut stopped = false;
    loop {
        // The end of another child that this process inherited wakes it as well.
        if let Some(status) = child.try_wait()? {
            return Ok((status, stopped));
        }
        let signal = match signals.recv().map_err(io::Error::other)? {
            SIGINT => Signal::INT,
            SIGTERM => Signal::TERM,
            SIGQUIT => Signal::QUIT,
            SIGHUP => Signal::HUP,
            _ => continue,
        };
        stopped = true;
        // Nobody has waited for the child yet, so its number is still its own.
        kill_process(Pid::from_child(child), signal)?;
    }
}

/// The first signal to stop within `limit`.
fn signal_within(signals: &Receiver<i32>, limit: Duration, clock: &Clock) -> Option<i32> {
    let until = clock.elapsed() + limit;
    loop {
        match signals.recv_timeout(until.saturating_sub(clock.elapsed())) {
            Ok(SIGCHLD) => {}
            Ok(signal) => return Some(signal),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        }
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, signal) => killed_by(signal.unwrap_or_default()),
    }
}

fn killed_by(signal: i32) -> u8 {
    u8::try_from(KILLED + signal).unwrap_or(u8::MAX)
}

/// How long to wait before a restart.
#[derive(Debug)]
struct Backoff {
    min: Duration,
    max: Duration,
    /// Restarts since the command was well.
    restarts: u32,
}

impl Backoff {
    fn new(min: Duration, max: Duration) -> Backoff {
        Backoff { min, max, restarts: 0 }
    }

    /// The time before the restart of a command that failed after it `ran` for that long.
    fn after(&mut self, ran: Duration) -> Duration {
        if WELL_AFTER <= ran {
            self.restarts = 0;
        }
        let doubled = 2_u32.checked_pow(self.restarts).and_then(|by| self.min.checked_mul(by));
        self.restarts = self.restarts.saturating_add(1);
        doubled.map_or(self.max, |doubled| doubled.min(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_and_a_command_that_was_well_begins_anew() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::new(seconds(1), seconds(30));
        let waits: Vec<u64> = (0..40).map(|_| backoff.after(seconds(59)).as_secs()).collect();
        assert_eq!(waits[..7], [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(waits[39], 30);
        assert_eq!(backoff.after(seconds(60)), seconds(1));
        assert_eq!(backoff.after(seconds(0)), seconds(2));
        assert_eq!(backoff.restarts, 2);
    }
}
