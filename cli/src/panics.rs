//! A panic is a bug, on whatever thread: the program says so in one line and ends at once.
//!
//! Nobody can tell what a thread that panicked leaves undone, or who waits for it. To end as if
//! killed is what checkpoints are made for; whoever supervises the program starts it again.

use std::panic::PanicHookInfo;
use std::thread::Thread;

use strandline_engine::peers;

use crate::status::Voice;

/// The exit code of a program in which a thread panicked: Rust's own.
const PANICKED: i32 = 101;

/// From now on, a panic of any thread ends the program. With RUST_BACKTRACE set, Rust says what it
/// usually says, too.
///
/// That another process of the job is gone is noticed by a panic too; that one is no bug, and ends
/// the job with an error.
pub(crate) fn end_the_program(voice: &Voice) {
    let (voice, details) = (voice.clone(), std::panic::take_hook());
    let wants_details = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    std::panic::set_hook(Box::new(move |panic| {
        if peers::explains(panic) {
            return;
        }
        voice.warn(&format!("error: {}", line(&std::thread::current(), panic)));
        // Where nobody reads, the details would wait for that.
        if voice.flush() && wants_details {
            details(panic);
        }
        // Nothing is run at the end: another thread may hold what it needs.
        signal_hook::low_level::exit(PANICKED);
    }));
}

fn line(thread: &Thread, panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("without a message").split_whitespace().collect::<Vec<_>>().join(" ");
    let thread = thread.name().unwrap_or("without a name");
    let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
    format!("a bug: thread {thread} panicked{place}: {text}")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    #[ignore = "the program of the test below"]
    fn panicking() {
        end_the_program(&Voice::new(true));
        let thread = std::thread::Builder::new().name("source".to_owned());
        thread.spawn(|| panic!("two\n  lines")).unwrap();
        loop {
            // Nobody waits for that thread.
            std::thread::park();
        }
    }

    #[test]
    fn a_panic_on_any_thread_ends_the_program_with_one_line() {
        let this = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "panics::tests::panicking", "--ignored", "--nocapture"])
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap();
        assert_eq!(this.status.code(), Some(PANICKED));
        let said = String::from_utf8(this.stderr).unwrap();
        assert!(
            said.starts_with("error: a bug: thread source panicked at cli/src/panics.rs:"),
            "{said}"
        );
        assert!(said.ends_with(": two lines\n") && said.lines().count() == 1, "{said}");
    }
}
