//! Signals that end a program: the first asks the job to stop in order, the second ends it at once.
//!
//! One wish may arrive twice: `timeout` signals its child and then its group, and a Ctrl-C reaches a
//! program once from the terminal and once from whatever passes it on. What comes right after the first
//! signal is the first one still.

use std::io;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use strandline_engine::clock::Clock;
use strandline_engine::job::Stop;

use crate::status::Voice;

/// The exit code of a program that a second signal ended: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;
/// The exit code of a program that could not stop in order.
const FAILED: i32 = 1;
/// How long after the first signal others are the same wish.
const SAME_WISH: Duration = Duration::from_millis(500);
/// How long a stop in order may take.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Watches for SIGINT, SIGTERM, SIGQUIT and SIGHUP on a thread of its own, also where the program
/// was started with SIGINT ignored (as a shell does for a background job). Where SIGHUP is ignored,
/// as under `nohup`, it stays so.
///
/// # Errors
///
/// If the system does not take the handlers.
pub(crate) fn stop_on_signals(stop: &Stop, voice: &Voice) -> io::Result<()> {
    let mut signals = Signals::new(ending())?;
    let (stop, voice) = (stop.clone(), voice.clone());
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let (clock, mut wishes) = (Clock::system(), Wishes::default());
        for _ in signals.forever() {
            match wishes.take(clock.elapsed()) {
                Wish::Again => {}
                Wish::EndAtOnce => {
                    voice.flush();
                    // Nothing is run at the end: another thread may hold what it needs.
                    signal_hook::low_level::exit(INTERRUPTED);
                }
                Wish::Stop => {
                    stop.request();
                    let line = "stopping: completing the outputs (once more ends at once)";
                    if !voice.is_quiet() {
                        voice.tell(line, &clock);
                    }
                    let late = voice.clone();
                    let watch = std::thread::Builder::new().name("end".to_owned());
                    // Without a thread for it, a stop takes as long as what it waits for.
                    let _ = watch.spawn(move || end_within(STOP_MAX, &late));
                }
            }
        }
    })?;
    Ok(())
}

/// What a signal asks for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Wish {
    Stop,
    /// The same as the first.
    Again,
    EndAtOnce,
}

/// Tells signals apart.
#[derive(Debug, Default)]
struct Wishes {
    first_at: Option<Duration>,
}

impl Wishes {
    /// What a signal that comes now asks for.
    fn take(&mut self, now: Duration) -> Wish {
        match self.first_at {
            None => {
                self.first_at = Some(now);
                Wish::Stop
            }
            Some(first_at) if now.saturating_sub(first_at) < SAME_WISH => Wish::Again,
            Some(_) => Wish::EndAtOnce,
        }
    }
}

/// Ends the program if it has not ended by itself: whatever it waits for, such as a store or a disk
/// that never answers, holds up no stop.
fn end_within(limit: Duration, voice: &Voice) {
    let clock = Clock::system();
    while clock.elapsed() < limit {
        std::thread::park_timeout(limit.saturating_sub(clock.elapsed()));
    }
    voice.warn(&format!(
        "error: stopped, but a disk, a store or a broker did not answer within {} s; with \
         checkpoints the next start goes on from the last one",
        limit.as_secs()
    ));
    voice.flush();
    signal_hook::low_level::exit(FAILED);
}

/// The signals that end a program.
pub(crate) fn ending() -> Vec<i32> {
    let hangup = (!ignores(SIGHUP)).then_some(SIGHUP);
    [SIGINT, SIGTERM, SIGQUIT].into_iter().chain(hangup).collect()
}

/// Whether this process was told to ignore a signal. Where the system does not say, it was not.
#[expect(
    clippy::disallowed_methods,
    reason = "no file of a job: the system's word on this process"
)]
fn ignores(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_within_half_a_second_are_one_wish() {
        let mut wishes = Wishes::default();
        let at = Duration::from_millis;
        for (now, wish) in [
            (7_000, Wish::Stop),
            (7_002, Wish::Again),
            (7_499, Wish::Again),
            (7_500, Wish::EndAtOnce),
            (9_000, Wish::EndAtOnce),
        ] {
            assert_eq!(wishes.take(at(now)), wish, "{now}");
        }
    }
}
