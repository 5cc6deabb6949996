//! A job of several processes, each of which is this test's own program, run again for one of its
//! tests, which is ignored otherwise.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use strandline_engine::peers;

const PROCESS: &str = "STRANDLINE_TEST_PROCESS";
const PORTS: &str = "STRANDLINE_TEST_PORTS";

/// Starts so many processes of the test `name`; `told` says each what else it has to know. What they
/// say on the standard output stream is to be read.
pub(crate) fn start(
    name: &str,
    processes: usize,
    told: impl Fn(usize, &mut Command),
) -> Vec<Child> {
    let listeners: Vec<_> =
        (0..processes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports = listeners.into_iter().map(|free| free.local_addr().unwrap().port().to_string());
    let ports = ports.collect::<Vec<_>>().join(" ");
    let children = (0..processes).map(|process| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            // One thread whatever the machine has: so it is where there is one processor.
            .args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"])
            .envs([(PROCESS, &process.to_string()), (PORTS, &ports)])
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        told(process, &mut command);
        command.spawn().unwrap()
    });
    children.collect()
}

/// Such a process and the lines that it says. Dropped, it is killed, so that nobody waits for it.
pub(crate) struct Said {
    child: Child,
    lines: Receiver<String>,
}

impl Said {
    /// Of a process whose standard output stream nobody reads yet.
    pub(crate) fn by(mut child: Child) -> Said {
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (say, lines) = channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).all(|line| say.send(line).is_ok())
        });
        Said { child, lines }
    }

    /// The lines before this one, for which it waits, each for no longer than the limit.
    pub(crate) fn until(&self, awaited: &str, limit: Duration) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            match self.lines.recv_timeout(limit) {
                Ok(line) if line == awaited => return before,
                Ok(line) => before.push(line),
                Err(why) => panic!("it was to say `{awaited}`: {why}; before, it said {before:?}"),
            }
        }
    }

    /// Ends its standard input stream.
    pub(crate) fn release(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Whether it ended well, after its last line.
    pub(crate) fn ended_well(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In such a process: what it was told under this name.
pub(crate) fn told(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// In such a process: which one it is, and where the others are.
pub(crate) fn config() -> (usize, timely::Config) {
    // With one thread, the harness has begun a line with the test's name: what is said after it would
    // not be found at the beginning of a line.
    println!();
    let process = told(PROCESS).parse().unwrap();
    let addresses: Vec<String> =
        told(PORTS).split(' ').map(|port| format!("127.0.0.1:{port}")).collect();
    if addresses.len() == 1 {
        return (process, timely::Config::process(1));
    }
    let communication = timely::CommunicationConfig::Cluster {
        threads: 1,
        process,
        addresses,
        report: false,
        zerocopy: false,
    };
    (process, timely::Config { communication, worker: timely::WorkerConfig::default() })
}

/// In such a process: sets the panic hook, as a program does.
pub(crate) fn hook() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !peers::explains(panic) {
            usual(panic);
        }
    }));
}
