//! SIGINT and SIGTERM: the first asks the job to stop in order, the second ends it at once.

use std::io;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use strandline_engine::job::Stop;

/// The exit code of a program that a second signal ended: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// Watches for signals on a thread of its own, also where the program was started with SIGINT
/// ignored (as a shell does for a background job).
///
/// # Errors
///
/// If the system does not take the handlers.
pub(crate) fn stop_on_signals(stop: &Stop, say: impl Fn(&str) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stop = stop.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in signals.forever() {
            if stop.is_requested() {
                std::process::exit(INTERRUPTED);
            }
            stop.request();
            say("stopping: completing the outputs (once more ends at once)");
        }
    })?;
    Ok(())
}
