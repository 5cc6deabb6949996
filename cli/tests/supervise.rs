//! `strandline supervise`: what is started again, when, and how it ends.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use strandline::engine::clock::Clock;

/// How long anything may take that a test waits for.
const LIMIT: Duration = Duration::from_secs(20);

fn supervise(options: &[&str], command: &[&str]) -> Command {
    let mut supervise = Command::new(env!("CARGO_BIN_EXE_strandline"));
    supervise.arg("supervise").args(options).arg("--").args(command);
    supervise
}

/// Supervises a script with short waits, to its end.
fn finish(options: &[&str], script: &str) -> Output {
    let short = ["--backoff-min", "1ms", "--backoff-max", "4ms"];
    supervise(&[&short[..], options].concat(), &["sh", "-c", script]).output().unwrap()
}

fn lines(bytes: &[u8]) -> Vec<String> {
    std::str::from_utf8(bytes).unwrap().lines().map(ToOwned::to_owned).collect()
}

/// A script that fails in the way of `fail` until it runs for the nth time. `$1` counts.
fn fails_until(run: u32, fail: &str, count: &Path) -> String {
    let count = count.display();
    format!("echo x >>{count}; echo ran; [ $(wc -l <{count}) -ge {run} ] || {fail}")
}

#[test]
fn what_fails_or_is_killed_is_started_again_until_it_succeeds() {
    for (fail, ended) in [("exit 1", "ended with code 1"), ("kill -9 $$", "was killed by signal 9")]
    {
        let there = tempfile::tempdir().unwrap();
        let output = finish(&[], &fails_until(4, fail, &there.path().join("count")));
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(lines(&output.stdout), ["ran"; 4]);
        let waits = ["1ms", "2ms", "4ms"];
        let said = waits.map(|wait| format!("supervise: sh {ended}; starting it again in {wait}"));
        assert_eq!(lines(&output.stderr), said);
    }
}

#[test]
fn success_and_unusable_options_are_passed_on_without_a_word() {
    for code in [0, 2, 4] {
        // One that is repeated is so often enough to be seen, and not for ever.
        let output = finish(&["--max-restarts", "3"], &format!("echo ran; exit {code}"));
        assert_eq!(output.status.code(), Some(code));
        assert_eq!((lines(&output.stdout).len(), lines(&output.stderr).len()), (1, 0));
    }
}

#[test]
fn what_can_never_succeed_is_not_repeated_also_if_it_has_run_before() {
    let there = tempfile::tempdir().unwrap();
    let count = there.path().join("count");
    // It runs, fails, and then somebody has to change something.
    let script = fails_until(2, "exit 1", &count).replace("exit 0", "exit 2");
    let output = finish(&[], &format!("{script}; exit 2"));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(lines(&output.stdout).len(), 2);
}

#[test]
fn what_is_in_the_way_of_a_start_is_waited_for_if_there_was_one_before() {
    let output = finish(&[], "echo ran; exit 75");
    assert_eq!((output.status.code(), lines(&output.stdout).len()), (Some(75), 1));
    let there = tempfile::tempdir().unwrap();
    let count = there.path().join("count");
    let first = there.path().join("first");
    let first = first.display();
    let fails = format!("{{ [ ! -e {first} ] || exit 75; touch {first}; exit 1; }}");
    let output = finish(&[], &fails_until(4, &fails, &count));
    assert_eq!((output.status.code(), lines(&output.stdout).len()), (Some(0), 4));
}

#[test]
fn it_gives_up_after_as_many_restarts_as_it_was_told_with_the_last_code() {
    for (most, script, code, ended) in [
        ("0", "echo ran; exit 7", 7, "ended with code 7"),
        ("2", "echo ran; kill -9 $$", 137, "was killed by signal 9"),
    ] {
        let output = finish(&["--max-restarts", most], script);
        assert_eq!(output.status.code(), Some(code));
        let restarts: usize = most.parse().unwrap();
        assert_eq!(lines(&output.stdout), vec!["ran"; restarts + 1]);
        let said = format!("supervise: sh {ended}; not starting it again (--max-restarts)");
        assert_eq!(lines(&output.stderr).last(), Some(&said));
    }
}

#[test]
fn what_cannot_be_run_is_not_tried_again() {
    let output = supervise(&[], &["/no/such/command"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = lines(&output.stderr);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("supervise: cannot run /no/such/command: No such file"),
        "{said:?}"
    );
}

#[test]
fn wrong_options_are_refused_in_one_line() {
    for options in [
        &["--backoff-min", "0ms"][..],
        &["--backoff-min", "2s", "--backoff-max", "1s"],
        &["--backoff-min", "2"],
        &["--max-restarts", "-1"],
    ] {
        let output = supervise(options, &["true"]).output().unwrap();
        assert_eq!((output.status.code(), lines(&output.stderr).len()), (Some(2), 1), "{output:?}");
    }
    for (arguments, what) in [
        (&["supervise"][..], "<COMMAND>"),
        (&["supervise", "--"], "<COMMAND>"),
        (&["nonsense"], "nonsense"),
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_strandline")).args(arguments).output().unwrap();
        let said = lines(&output.stderr);
        assert_eq!((output.status.code(), said.len()), (Some(2), 1), "{output:?}");
        assert!(said[0].contains(what), "{said:?}");
    }
}

#[test]
fn it_goes_on_where_nobody_takes_what_it_says() {
    let there = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_strandline");
    let script = fails_until(3, "exit 1", &there.path().join("count"));
    let line = "\"$0\" supervise --backoff-min 1ms -- sh -c \"$1\" 2>/dev/full";
    let output = Command::new("sh").args(["-c", line, program, &script]).output().unwrap();
    assert_eq!((output.status.code(), lines(&output.stdout).len()), (Some(0), 3));
}

#[test]
fn it_says_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_strandline")).arg("--version").output().unwrap();
    assert_eq!(lines(&output.stdout), [concat!("strandline ", env!("CARGO_PKG_VERSION"))]);
    assert_eq!(output.status.code(), Some(0));
}

/// A supervisor that runs, and what its command says; killed when dropped, and its command with it.
struct Running {
    child: Child,
    said: Receiver<String>,
}

impl Running {
    fn start(options: &[&str], script: &str) -> Running {
        let mut command = supervise(options, &["sh", "-c", script]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, said) = (BufReader::new(child.stdout.take().unwrap()).lines(), channel());
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|l| said.0.send(l)));
        Running { child, said: said.1 }
    }

    /// The next line of the command; none at its end.
    fn line(&self) -> Option<String> {
        match self.said.recv_timeout(LIMIT) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it says nothing, and has not ended"),
        }
    }

    fn signal(&self, signal: &str) {
        let arguments = [format!("-{signal}"), self.child.id().to_string()];
        assert!(Command::new("kill").args(arguments).status().unwrap().success());
    }

    /// Its exit code, and what it said itself.
    fn end(mut self) -> (Option<i32>, String) {
        let clock = Clock::system();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(clock.elapsed() < LIMIT, "it still runs");
            std::thread::park_timeout(Duration::from_millis(5));
        };
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status.code(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says the signal that it gets, and ends with code 5; without one, with 6 after a minute.
const SAYS_SIGNALS: &str = "trap 'echo INT; exit 5' INT; trap 'echo TERM; exit 5' TERM; echo ready; \
                            for i in $(seq 3000); do sleep 0.02; done; exit 6";

#[test]
fn a_signal_is_passed_on_once_and_ends_it_with_the_code_of_the_command() {
    for signal in ["INT", "TERM"] {
        let running = Running::start(&[], SAYS_SIGNALS);
        assert_eq!(running.line().unwrap(), "ready");
        running.signal(signal);
        assert_eq!(running.line().unwrap(), signal);
        assert_eq!(running.line(), None, "not again, and not started again");
        assert_eq!(running.end(), (Some(5), String::new()));
    }
}

/// As Ctrl-C does on a terminal.
#[test]
fn a_signal_to_the_process_group_reaches_the_command_through_its_supervisor_alone() {
    let running = Running::start(&[], "echo $$; ps -o pgid= -p $$; read x; echo read: $?");
    let (own, group) = (running.line().unwrap(), running.line().unwrap());
    assert_eq!(own.trim(), group.trim(), "a group of its own");
    // So it cannot read from the terminal, and need not try.
    assert_eq!(running.line().unwrap(), "read: 1");
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn a_signal_while_it_waits_ends_it_at_once() {
    let mut running = Running::start(&["--backoff-min", "1h", "--backoff-max", "1h"], "exit 1");
    let mut line = String::new();
    BufReader::new(running.child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "supervise: sh ended with code 1; starting it again in 1h\n");
    running.signal("TERM");
    assert_eq!(running.end().0, Some(143));
}

#[cfg(target_os = "linux")]
#[test]
fn a_supervisor_that_is_killed_leaves_no_orphan() {
    let running = Running::start(&[], SAYS_SIGNALS);
    assert_eq!(running.line().unwrap(), "ready");
    running.signal("KILL");
    assert_eq!(running.line().unwrap(), "TERM");
    assert_eq!(running.line(), None, "it has ended, or it would still hold the pipe");
}
