//! What a command costs: the time on the wall from its start to its exit, the processor time and
//! the memory of the tree of processes that it becomes, and what it costs the broker meanwhile.
//!
//! The same for every contender, whatever it is written in: the kernel counts, by `/proc`.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// How often the memory of the tree is looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(25);
/// How often further processes are looked for: that takes longer.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Ticks of the kernel's clock of processor time in a second: on Linux, for every process.
const TICKS_PER_SECOND: u64 = 100;
const PAGE_BYTES: u64 = 4096;

/// What a command cost.
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// Of the tree of processes: all of them that were waited for.
    pub(crate) cpu: Duration,
    /// The greatest sum of the resident memory of the tree, as sampled.
    pub(crate) peak_bytes: u64,
    /// Processor time of the broker meanwhile.
    pub(crate) broker_cpu: Option<Duration>,
    /// What it wrote to its standard output.
    pub(crate) stdout: String,
}

/// Runs a command to its end.
pub(crate) fn measure(command: &mut Command, broker: Option<u32>) -> anyhow::Result<Cost> {
    let name = format!("{command:?}");
    let (children_before, broker_before) = (children_cpu()?, broker.map(process_cpu).transpose()?);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let started = Instant::now();
    let child = command.spawn().with_context(|| format!("starting {name}"))?;
    let (pid, peak, over) = (child.id(), AtomicU64::new(0), AtomicBool::new(false));
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            let mut tree = Tree::of(pid);
            while !over.load(Ordering::Acquire) {
                peak.fetch_max(tree.bytes(), Ordering::Relaxed);
                thread::park_timeout(SAMPLE_EVERY);
            }
        });
        let output = child.wait_with_output();
        over.store(true, Ordering::Release);
        output
    })?;
    let wall = started.elapsed();
    if !output.status.success() {
        bail!("{name} ended with {}", output.status);
    }
    Ok(Cost {
        wall,
        cpu: children_cpu()?.saturating_sub(children_before),
        peak_bytes: peak.into_inner(),
        broker_cpu: match (broker, broker_before) {
            (Some(pid), Some(before)) => Some(process_cpu(pid)?.saturating_sub(before)),
            _ => None,
        },
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
    })
}

/// Processor time of all children that were waited for, and of theirs.
fn children_cpu() -> anyhow::Result<Duration> {
    let fields = stat("self")?;
    Ok(ticks(&fields, 15)? + ticks(&fields, 16)?)
}

fn process_cpu(pid: u32) -> anyhow::Result<Duration> {
    let fields = stat(&pid.to_string())?;
    Ok(ticks(&fields, 13)? + ticks(&fields, 14)?)
}

/// The fields of `/proc/PID/stat`, of which the second, the command's name, may hold anything: it
/// is left empty.
fn stat(process: &str) -> anyhow::Result<Vec<String>> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let (_, rest) = text.rsplit_once(')').with_context(|| format!("{path} is not as usual"))?;
    let first = ["".to_owned(), "".to_owned()];
    Ok(first.into_iter().chain(rest.split_whitespace().map(str::to_owned)).collect())
}

fn ticks(fields: &[String], index: usize) -> anyhow::Result<Duration> {
    let ticks: u64 = fields.get(index).context("too few fields")?.parse()?;
    Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// The processes that a command has become.
struct Tree {
    pids: Vec<u32>,
    looked: Instant,
}

impl Tree {
    fn of(root: u32) -> Tree {
        Tree { pids: vec![root], looked: Instant::now() }
    }

    /// The resident memory of all of them; what has just ended counts nothing.
    fn bytes(&mut self) -> u64 {
        if LOOK_EVERY < self.looked.elapsed() {
            self.look();
        }
        let pages = |pid: &u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
            text.split(' ').nth(1)?.parse::<u64>().ok()
        };
        self.pids.iter().filter_map(pages).sum::<u64>() * PAGE_BYTES
    }

    /// Finds the descendants of the first process: those whose parent is known, and so on.
    fn look(&mut self) {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let parents: Vec<(u32, u32)> = processes
            .filter_map(|process| {
                let pid = process.file_name().to_str()?.parse().ok()?;
                let parent = stat(&format!("{pid}")).ok()?.get(3)?.parse().ok()?;
                Some((pid, parent))
            })
            .collect();
        self.pids.truncate(1);
        let mut known = 0;
        while let Some(parent) = self.pids.get(known).copied() {
            known += 1;
            self.pids.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid));
        }
        self.looked = Instant::now();
    }
}
