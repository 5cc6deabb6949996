//! A job of two processes, one of which fails or is killed: the other one ends too, and says why.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::time::Duration;

use strandline_engine::clock::Clock;
use strandline_engine::job::{Job, Stop};
use strandline_engine::report::Report;
use strandline_engine::source::simulated::SimulatedLog;
use strandline_engine::table::Table;
use strandline_operators::decode::{DeadReason, Decode, Decoded};
use strandline_operators::time::EventTime;

use crate::live::Broken;
use crate::own_program::{config, hook, start, told};
use crate::toy::{Count, Kept, new_view, options, text};

/// Within this, a process ends after another one has.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);
const FAULT: &str = "STRANDLINE_TEST_FAULT";

/// Says that it reads, and panics at a certain word.
#[derive(Clone)]
struct Announced {
    brittle: bool,
    said: bool,
}

impl Decode for Announced {
    type Value = ();
    fn decode<'a>(&'a mut self, payload: &'a [u8]) -> Result<Decoded<'a, ()>, DeadReason> {
        if !std::mem::replace(&mut self.said, true) {
            println!("\nreads");
        }
        assert!(!self.brittle || payload != b"last-1 50000", "brittle");
        let text = std::str::from_utf8(payload).map_err(|_| DeadReason::NotJson)?;
        let (key, time) = text.split_once(' ').ok_or(DeadReason::MissingTime)?;
        let time = time.parse().map_err(|_| DeadReason::BadTime)?;
        Ok(Decoded { key: key.into(), time: EventTime::from_millis(time), value: () })
    }
}

#[test]
#[ignore = "one process of the tests below"]
fn a_process() {
    let (fault, (process, config)) = (told(FAULT), config());
    hook();
    // Both make the same log; partition 1 is the second one's.
    let log = SimulatedLog::new("toy", 2);
    for partition in [0, 1] {
        // Enough words that each worker has the rows of some.
        for word in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            text(&log, partition, &format!("{word} 1000"));
        }
        text(&log, partition, &format!("last-{partition} 50000"));
    }
    let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
    let decoder = Announced { brittle: fault == "panic", said: false };
    let (clock, view, stop) = (Clock::system(), new_view(), Stop::default());
    let mut options = options();
    if fault == "options" && process == 1 {
        options.idle_after += Duration::from_secs(1);
    }
    let result = match fault.as_str() {
        "output" if process == 1 => {
            Job::new(log, decoder, Count, table, Broken, options).run(config, &clock, &view, &stop)
        }
        _ => Job::new(log, decoder, Count, table, Kept::default(), options)
            .with_report(Report::silent())
            .run(config, &clock, &view, &stop),
    };
    println!("\nended: {}", result.unwrap_err());
}

/// A process of two; killed when dropped.
struct Process {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Process {
    fn two(fault: &str) -> [Process; 2] {
        let children = start("processes::a_process", 2, |_, command| {
            command.env(FAULT, fault).stderr(Stdio::piped());
        });
        let processes = children.into_iter().map(|mut child| {
            let said = BufReader::new(child.stdout.take().unwrap());
            Process { child, said }
        });
        processes.collect::<Vec<_>>().try_into().ok().unwrap()
    }

    /// Waits until it says something that begins like this.
    fn hear(&mut self, beginning: &str) -> String {
        let mut heard = String::new();
        for line in self.said.by_ref().lines().map(Result::unwrap) {
            if line.starts_with(beginning) {
                return line;
            }
            heard.push_str(&line);
        }
        panic!("it never said {beginning:?}: {heard}");
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits until it has ended, and gives what it ended with and its standard error stream.
    fn end(mut self) -> (String, String) {
        let ended = self.hear("ended: ");
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        self.child.wait().unwrap();
        (ended, stderr)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `left` notices that `process` is gone, in time, and says so once.
fn notices(left: Process, process: usize) {
    let clock = Clock::system();
    let (ended, stderr) = left.end();
    assert!(clock.elapsed() < NOTICED_WITHIN, "{:?}", clock.elapsed());
    assert!(ended.starts_with(&format!("ended: process {process} is gone: ")), "{ended}");
    assert_eq!(stderr, "", "what follows from it is not said");
}

#[test]
fn a_process_that_is_killed_ends_the_other_one() {
    for killed in [0, 1] {
        let mut processes = Process::two("none");
        for process in &mut processes {
            process.hear("reads");
        }
        processes[killed].kill();
        let [leader, follower] = processes;
        let (gone, left) = if killed == 0 { (leader, follower) } else { (follower, leader) };
        notices(left, killed);
        drop(gone);
    }
}

#[test]
fn a_process_that_fails_ends_the_other_one() {
    for (fault, cause) in
        [("panic", "ended: worker 1 panicked: brittle"), ("output", "ended: the table is gone")]
    {
        let [leader, follower] = Process::two(fault);
        let (ended, _) = follower.end();
        assert_eq!(ended, cause);
        notices(leader, 1);
    }
}

#[test]
fn processes_with_other_options_all_end_before_anything_is_read() {
    for process in Process::two("options") {
        let mut heard = String::new();
        let mut said = process;
        said.said.read_to_string(&mut heard).unwrap();
        let ended = heard.lines().find(|line| line.starts_with("ended: ")).unwrap();
        assert!(ended.contains("idle-after is 100ms in process 0 and 1.1s in 1"), "{ended}");
        assert!(!heard.lines().any(|line| line == "reads"), "{heard}");
        // The standard output stream is the program's, not timely's.
        assert!(!heard.contains("connect"), "{heard}");
    }
}
