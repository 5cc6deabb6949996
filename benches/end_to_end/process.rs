//! What a command costs: the time on the wall from its start to its exit, the processor time and
//! the memory of the tree of processes that it becomes, and what it costs the broker meanwhile.
//!
//! The same for every contender, whatever it is written in: the kernel counts, by `/proc`. Of one
//! process the greatest memory is the kernel's own figure (`VmHWM`), which does not miss what is
//! there for a moment only. The kernel keeps no such figure for several together, so theirs is the
//! greatest sum that was seen, in which pages that they share count for each of them.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// How often the memory of the tree is looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(25);
/// How often further processes are looked for: that takes longer.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Ticks of the kernel's clock of processor time in a second: on Linux, for every process.
const TICKS_PER_SECOND: u64 = 100;

/// What a command cost.
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// Of the tree of processes: all of them that were waited for.
    pub(crate) cpu: Duration,
    pub(crate) peak: Peak,
    /// Processor time of the broker meanwhile.
    pub(crate) broker_cpu: Option<Duration>,
    /// What it wrote to its standard output.
    pub(crate) stdout: String,
}

/// The greatest memory of a tree of processes.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Peak {
    /// Of one process, what the kernel says; of several, the greatest sum of their resident memory
    /// as sampled, and at least what the kernel says of the greatest one.
    pub(crate) bytes: u64,
    /// So many processes were there at once, at most.
    pub(crate) processes: usize,
}

/// Runs a command to its end.
pub(crate) fn measure(command: &mut Command, broker: Option<u32>) -> anyhow::Result<Cost> {
    let name = format!("{command:?}");
    let (children_before, broker_before) = (children_cpu()?, broker.map(process_cpu).transpose()?);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let started = Instant::now();
    let child = command.spawn().with_context(|| format!("starting {name}"))?;
    let (pid, over) = (child.id(), AtomicBool::new(false));
    let (output, wall, peak) = thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut tree = Tree::of(pid);
            while !over.load(Ordering::Acquire) {
                tree.sample();
                thread::park_timeout(SAMPLE_EVERY);
            }
            tree.peak
        });
        let output = child.wait_with_output();
        // Before anybody waits for the sampler.
        let wall = started.elapsed();
        over.store(true, Ordering::Release);
        sampler.thread().unpark();
        (output, wall, sampler.join().expect("the sampler does not panic"))
    });
    let output = output?;
    if !output.status.success() {
        bail!("{name} ended with {}", output.status);
    }
    Ok(Cost {
        wall,
        cpu: children_cpu()?.saturating_sub(children_before),
        peak,
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
    peak: Peak,
}

impl Tree {
    fn of(root: u32) -> Tree {
        Tree { pids: vec![root], looked: Instant::now(), peak: Peak::default() }
    }

    /// Looks at the memory of all of them; what has just ended counts nothing.
    fn sample(&mut self) {
        if LOOK_EVERY < self.looked.elapsed() {
            self.look();
        }
        let (mut sum, mut processes) = (0, 0);
        for Memory { now_bytes, peak_bytes } in self.pids.iter().filter_map(|pid| Memory::of(*pid))
        {
            sum += now_bytes;
            processes += 1;
            self.peak.bytes = self.peak.bytes.max(peak_bytes);
        }
        self.peak.bytes = self.peak.bytes.max(sum);
        self.peak.processes = self.peak.processes.max(processes);
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

/// The resident memory of a process.
struct Memory {
    now_bytes: u64,
    /// The greatest since it became the program that it is.
    peak_bytes: u64,
}

impl Memory {
    /// `None` if it has ended.
    fn of(pid: u32) -> Option<Memory> {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
        };
        Some(Memory { now_bytes: bytes("VmRSS:")?, peak_bytes: bytes("VmHWM:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_given_back_before_anybody_looks_is_in_the_peak() {
        const BYTES: usize = 256 << 20;
        // Every page is touched, or the kernel gives none.
        let mut memory = vec![0_u8; BYTES];
        memory.iter_mut().step_by(4_096).for_each(|byte| *byte = 1);
        drop(std::hint::black_box(memory));
        let mut tree = Tree::of(std::process::id());
        tree.sample();
        assert!(BYTES as u64 <= tree.peak.bytes, "{:?}", tree.peak);
        assert_eq!(tree.peak.processes, 1);
    }

    #[test]
    fn a_process_that_has_ended_takes_no_memory() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let mut tree = Tree::of(child.id());
        tree.sample();
        assert_eq!((tree.peak.bytes, tree.peak.processes), (0, 0));
    }
}
