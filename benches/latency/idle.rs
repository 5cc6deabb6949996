//! What the whole program costs while next to nothing comes: a process of its own, with its page
//! and outputs, a fleet of 32 messages a second, and somebody who looks at the page.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use strandline::dashboard::PageOptions;
use strandline::program::Program;
use strandline_benches::{decoder, main_aggregate, main_table};

use crate::figures::Idle;
use crate::live_load::{Topic, produce, producer};
use crate::now_us;
use crate::schedule::Schedule;

/// Set in the environment of a process of this bench that is to be the job.
pub(crate) const JOB_VARIABLE: &str = "STRANDLINE_LATENCY_JOB";
/// Records a second.
const RATE_HZ: u64 = 32;
/// Before the measurement.
const WARM_UP: Duration = Duration::from_secs(5);
/// How often the page asks for news, as `poll.js` does.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A kernel's tick, as `/proc` counts: fixed at 100 a second for programs.
const TICK: Duration = Duration::from_millis(10);

/// The main job as a program.
pub(crate) fn job() -> ExitCode {
    let table = main_table();
    Program {
        name: "latency-job",
        about: "The main job.",
        decoder: decoder(),
        aggregate: main_aggregate(),
        page: PageOptions::for_table(&table),
        table,
    }
    .main()
}

/// A process that is ended with this.
struct Job(Child);

impl Drop for Job {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Job {
    /// Processor time of all its threads.
    fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // After the name, which is in parentheses and may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("a name")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
        Ok(TICK * ticks)
    }
}

/// Runs the job for `seconds` and looks at what it costs.
pub(crate) fn measure(
    topic: &Topic,
    workers: usize,
    fetch: &str,
    seconds: u64,
) -> anyhow::Result<Idle> {
    let out = tempfile::tempdir()?;
    // Free now; nobody else here asks for one.
    let page = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let child = Command::new(std::env::current_exe()?)
        .env(JOB_VARIABLE, "1")
        .args(["--bootstrap", &topic.bootstrap, "--topic", &topic.name, "--quiet"])
        .args(["--workers", &workers.to_string(), "--listen", &page.to_string()])
        .args(["--fetch", fetch])
        .arg("--out")
        .arg(out.path().join("out"))
        .arg("--checkpoint")
        .arg(out.path().join("checkpoints"))
        .spawn()?;
    let job = Job(child);
    let client = producer(topic, Duration::from_millis(5))?;
    let schedule = Schedule {
        begin_us: now_us(),
        rate_hz: RATE_HZ,
        records: RATE_HZ * (seconds + WARM_UP.as_secs() + 2),
        devices: 8,
        partitions: 4,
    };
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| produce(&client, topic, &schedule));
        look_for(page, WARM_UP);
        let (begun, before) = (Instant::now(), job.cpu()?);
        look_for(page, Duration::from_secs(seconds));
        let (took, after) = (begun.elapsed().as_secs_f64(), job.cpu()?);
        anyhow::ensure!(look(page).is_ok(), "the job or its page is gone");
        sending.join().expect("nobody panicked")?;
        let share_of_a_core = (after - before).as_secs_f64() / took;
        Ok(Idle { fetch: fetch.to_owned(), rate_hz: RATE_HZ, seconds: took, share_of_a_core })
    })
}

/// Looks at the page for so long.
fn look_for(page: SocketAddr, time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        // Not there yet, perhaps.
        let _ = look(page);
        std::thread::park_timeout(LOOK_EVERY.min(time.saturating_sub(begun.elapsed())));
    }
}

/// Asks for what the page shows.
fn look(page: SocketAddr) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(page)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET /api/view HTTP/1.1\r\nHost: {page}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)
}
