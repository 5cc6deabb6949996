//! Runs the main job as a user does: the program, its output, its page, its signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strandline::engine::clock::Clock;

/// How long anything may take that a test waits for.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// What fits into a pipe on Linux, unless somebody has changed it.
const PIPE_BYTES: usize = 64 << 10;

/// The path of an example's program: beside the directory of this test's program.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let path = profile.join("examples").join(name);
    assert!(path.exists(), "{} is missing: cargo build --examples", path.display());
    path
}

/// The main job with these arguments and none of this process's settings. Its checkpoints are in its
/// output directory, unless the arguments say otherwise.
pub(crate) fn command(arguments: &[&str]) -> Command {
    clean(Command::new(example("iot_pipeline")), arguments)
}

/// The same, started with SIGINT ignored, as a shell starts what runs in its background.
pub(crate) fn command_ignoring_sigint(arguments: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' INT; exec \"$0\" \"$@\""]).arg(example("iot_pipeline"));
    clean(shell, arguments)
}

/// The same, with SIGHUP as a terminal has it, also where this test was started to ignore it (`nohup`).
pub(crate) fn command_minding_sighup(arguments: &[&str]) -> Command {
    let mut env = Command::new("env");
    env.arg("--default-signal=HUP").arg(example("iot_pipeline"));
    clean(env, arguments)
}

/// The same, with its streams as the shell redirects them, such as `2>/dev/full`.
pub(crate) fn command_redirected(redirection: &str, arguments: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec \"$0\" \"$@\" {redirection}")]).arg(example("iot_pipeline"));
    clean(shell, arguments)
}

fn clean(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars() {
        if name.starts_with("KAFKA_") || name.starts_with("STRANDLINE_") {
            command.env_remove(name);
        }
    }
    let out = arguments.iter().position(|argument| *argument == "--out");
    if let Some(out) = out.and_then(|at| arguments.get(at + 1)) {
        command.env("STRANDLINE_CHECKPOINT", checkpoints_of(out));
    }
    command
}

/// Where checkpoints are of a job with such an `--out`: the same for the next start, and not inside it.
fn checkpoints_of(out: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("checkpoints").join(out.replace(['/', '\\'], "-"))
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A program that runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Running {
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, heard) = (child.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut heard = heard.lock().unwrap();
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        Running { child, said }
    }

    /// Starts it with a pipe as its standard error stream that nobody reads any more.
    pub(crate) fn start_unheard(mut command: Command) -> Running {
        let mut child = command.spawn().unwrap();
        drop(child.stderr.take().unwrap());
        Running { child, said: Arc::default() }
    }

    /// Starts it with a pipe as its standard error stream that is full, and that nobody reads.
    pub(crate) fn start_unread(arguments: &[&str]) -> Running {
        let mut shell = Command::new("sh");
        let full = format!("head -c {PIPE_BYTES} /dev/zero >&2; exec \"$0\" \"$@\"");
        shell.args(["-c", &full]).arg(example("iot_pipeline"));
        // The child has the other end of the pipe until it is dropped.
        let child = clean(shell, arguments).spawn().unwrap();
        Running { child, said: Arc::default() }
    }

    /// What it has written to its standard error stream.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said something.
    pub(crate) fn wait_said(&self, what: &str) -> String {
        wait(&format!("it says {what:?}"), || {
            let said = self.said();
            said.contains(what).then_some(said)
        })
    }

    /// The address of its page.
    pub(crate) fn page(&self) -> String {
        let said = self.wait_said("page     http://");
        let line = said.lines().find(|line| line.starts_with("page")).unwrap();
        line.trim_start_matches("page     http://").to_owned()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let arguments = [format!("-{signal}"), self.child.id().to_string()];
        assert!(Command::new("kill").args(arguments).status().unwrap().success());
    }

    /// Whether it has not ended.
    pub(crate) fn runs(&self) -> bool {
        std::path::Path::new(&format!("/proc/{}/fd/0", self.child.id())).exists()
    }

    /// Ends it at once, as a power cut does.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said()
    }

    /// User and system time that it has taken, at the 100 ticks a second that Linux reports.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = format!("/proc/{}/stat", self.child.id());
        let output = Command::new("cat").arg(stat).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<u64>().unwrap();
        Duration::from_millis(10 * (ticks(11) + ticks(12)))
    }

    /// Waits until it ends, and gives its exit status and what it wrote to its standard output.
    pub(crate) fn end(mut self, limit: Duration) -> (ExitStatus, String) {
        let clock = Clock::system();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut out = String::new();
                self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
                return (status, out);
            }
            assert!(clock.elapsed() < limit, "still runs after {limit:?}: {}", self.said());
            pause();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let ended = self.child.wait();
        if std::thread::panicking() {
            eprintln!("a program of this test ended with {ended:?} and had said:\n{}", self.said());
        }
    }
}

/// Waits until there is what `look` looks for, for at most [`LIMIT`].
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::system();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(clock.elapsed() < LIMIT, "waited for {what} in vain");
        pause();
    }
}

fn pause() {
    std::thread::park_timeout(Duration::from_millis(20));
}

/// Status and body of a GET.
pub(crate) fn ask(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    let (head, body) = response.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// The body of a GET, with this Accept header.
pub(crate) fn get(address: &str, path: &str, accept: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    response.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// `/metrics` as JSON.
pub(crate) fn metrics(address: &str) -> Option<serde_json::Value> {
    serde_json::from_str(&get(address, "/metrics", "application/json")?).ok()
}

/// How many dated lines begin like this: the status line may say it too.
pub(crate) fn times_logged(said: &str, begins: &str) -> usize {
    let dated = said.lines().filter_map(|line| line.split_once(" UTC: "));
    dated.filter(|(_, line)| line.starts_with(begins)).count()
}

/// The sum of the samples of a metric, by the beginning of their lines; `None` if there is none.
pub(crate) fn sample(address: &str, begins: &str) -> Option<f64> {
    let (_, shown) = ask(address, "/metrics?format=prometheus")?;
    let lines = shown.lines().filter(|line| line.starts_with(begins));
    let samples: Vec<f64> =
        lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    (!samples.is_empty()).then(|| samples.iter().sum())
}

/// Waits until what one of these counters counts has happened twice more: what fails was tried again.
pub(crate) fn wait_for_two_tries(address: &str, counters: &[&str]) {
    let count = || counters.iter().filter_map(|counter| sample(address, counter)).sum::<f64>();
    let before = count();
    wait("two more tries", || (before + 2.0 <= count()).then_some(()));
}

/// The names in a directory; none if it is absent.
#[expect(clippy::disallowed_methods, reason = "a test looks at files as a user does")]
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
