//! The brokers, the topic, and the newest of its records.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use strandline_engine::clock::Clock;
use strandline_engine::report::Report;
use strandline_engine::source::kafka::{KafkaSettings, KafkaSource, Start};
use strandline_engine::source::{PartitionStart, Plan, Reader, Source, SourceError, Wake};
use strandline_operators::record::Offset;
use strandline_operators::time::EventTime;

use super::findings::Findings;
use super::look::Look;
use super::{ANSWER_WITHIN, Read};
use crate::duration;
use crate::options::Options;
use crate::program::kafka_settings;

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// In the place of a broker of the job itself, which is not started.
const NO_BROKER: &str = "127.0.0.1:1";
/// How long the newest records may take to arrive.
const READ_WITHIN: Duration = Duration::from_secs(15);
/// Records that are looked at of a partition, the newest.
const RECORDS_PER_PARTITION: u64 = 20;
/// Partitions of which records are looked at.
const PARTITIONS_MAX: usize = 64;
/// A topic whose newest record is older than this is worth a word.
const SILENT_FOR: Duration = Duration::from_secs(60 * 60);
/// A record may be this much newer than this computer's clock says.
const AHEAD_MAX: Duration = Duration::from_secs(5);

pub(super) fn examine(
    options: &Options,
    kafka_options: &[(String, String)],
    read: Option<Read<'_>>,
    clock: &Clock,
    findings: &mut Findings,
) -> Option<KafkaSource> {
    // As the job itself does.
    let bootstrap = options.bootstrap.as_deref().unwrap_or(NO_BROKER);
    let settings = kafka_settings(options, kafka_options.to_vec(), bootstrap, Report::silent());
    let own = match KafkaSource::new(settings) {
        Ok(own) => own,
        Err(error) => {
            findings.refuse("options", &error.to_string());
            return None;
        }
    };
    if options.bootstrap.is_none() {
        findings.warn(
            "broker",
            "none is named: the job runs its demonstration",
            "name one by --bootstrap or KAFKA_BOOTSTRAP",
        );
        return None;
    }
    let said = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&said);
    let settings = KafkaSettings {
        options: kafka_options.to_vec(),
        fetch: options.fetch,
        // All of it: where the newest records are is found by its ends.
        start: Start::Earliest,
        bounded: true,
        report: Report::new(move |line| {
            hears.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
        }),
        ..KafkaSettings::new(bootstrap, &options.topic)
    };
    let source = match KafkaSource::new(settings) {
        Ok(source) => source,
        Err(error) => {
            findings.refuse("options", &error.to_string());
            return None;
        }
    };
    for address in bootstrap.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        match reach(address) {
            Ok(()) => findings.ok("broker", format!("{address} can be reached")),
            Err(reason) => findings.warn(
                "broker",
                format!("{address} cannot be reached: {reason}"),
                "check the address, the network and whether the broker runs",
            ),
        }
    }
    let asked = Clock::system();
    let plan = match source.plan(&[], &|| ANSWER_WITHIN < asked.elapsed()) {
        Ok(plan) => plan,
        Err(error) => {
            no_plan(&error, bootstrap, &said, findings);
            return None;
        }
    };
    advertised(&source, findings);
    let look = take_look(&source, options, &plan, read, clock, findings);
    if let Some(look) = look {
        messages(options, &look, clock, findings);
        look.report(findings);
    }
    Some(own)
}

/// Connects to `host:port`.
fn reach(address: &str) -> Result<(), String> {
    let address = address.rsplit_once("://").map_or(address, |(_, address)| address);
    let found: Vec<_> = address.to_socket_addrs().map_err(|error| error.to_string())?.collect();
    let mut reason = "the name has no address".to_owned();
    for address in found {
        match TcpStream::connect_timeout(&address, CONNECT_WITHIN) {
            Ok(_) => return Ok(()),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(reason)
}

fn no_plan(
    error: &SourceError,
    bootstrap: &str,
    said: &Mutex<Vec<String>>,
    findings: &mut Findings,
) {
    match error {
        SourceError::TopicAbsent { .. } => {
            findings.fail("topic", error.to_string(), "strandline-sim creates one for a try");
        }
        SourceError::Stopped => {
            let said = said.lock().unwrap_or_else(PoisonError::into_inner);
            let reason =
                said.last().map_or("no answer", |line| line.trim_end_matches("; trying again"));
            findings.fail(
                "cluster",
                reason,
                format!("a job would wait for {bootstrap} until it answers"),
            );
        }
        error => findings.refuse("cluster", &error.to_string()),
    }
}

/// Whether the addresses that brokers give for themselves are of use from here.
fn advertised(source: &KafkaSource, findings: &mut Findings) {
    let brokers = match source.brokers() {
        Ok(brokers) => brokers,
        Err(error) => return findings.fail("advertised", error.to_string(), "ask again"),
    };
    for (id, address) in brokers {
        match reach(&address) {
            Ok(()) => findings.ok("advertised", format!("broker {id} is at {address}")),
            Err(reason) => findings.fail(
                "advertised",
                format!(
                    "broker {id} says that it is at {address}, which cannot be reached: {reason}"
                ),
                "set the broker's advertised.listeners to an address that works from this computer",
            ),
        }
    }
}

/// Reads the newest records; `None` if they cannot be had.
fn take_look<'a>(
    source: &KafkaSource,
    options: &Options,
    plan: &Plan,
    read: Option<Read<'a>>,
    clock: &Clock,
    findings: &mut Findings,
) -> Option<Look<'a>> {
    let end = |start: &PartitionStart| start.end.unwrap_or(start.next_offset);
    let offsets: u64 =
        plan.partitions.iter().map(|s| end(s).0 - s.next_offset.0.min(end(s).0)).sum();
    let (topic, count) = (&options.topic, plan.partitions.len());
    findings.ok("topic", format!("`{topic}` has {count} partitions and {offsets} offsets"));
    let mut look = Look::new(read, options.max_future);
    let starts = plan.partitions.iter().filter(|start| start.next_offset < end(start));
    let starts: Vec<_> = starts
        .take(PARTITIONS_MAX)
        .map(|start| {
            let newest = Offset(end(start).0.saturating_sub(RECORDS_PER_PARTITION));
            PartitionStart { next_offset: newest.max(start.next_offset), ..*start }
        })
        .collect();
    let started = clock.elapsed();
    match read_newest(source, &starts, &mut look, || READ_WITHIN < clock.elapsed() - started) {
        Ok(true) => {
            findings.ok(
                "reading",
                format!("{} records of {} partitions", look.records(), starts.len()),
            );
            Some(look)
        }
        Ok(false) => {
            findings.fail(
                "reading",
                format!("no record came within {}", duration::text(READ_WITHIN)),
                "check that the leaders of all partitions are up",
            );
            None
        }
        Err(error) => {
            findings.fail("reading", error.to_string(), "mend that, and ask again");
            None
        }
    }
}

/// Whether all that was asked for was read before `stopped`.
fn read_newest(
    source: &KafkaSource,
    starts: &[PartitionStart],
    look: &mut Look<'_>,
    stopped: impl Fn() -> bool,
) -> Result<bool, SourceError> {
    let worker = thread::current();
    let mut reader = source.reader(Wake::new(move || worker.unpark()))?;
    for &start in starts {
        reader.assign(start)?;
    }
    let mut open: Vec<_> = starts.iter().map(|start| start.partition).collect();
    while !open.is_empty() {
        let mut messages = 0;
        let mut finished = Vec::new();
        for &partition in &open {
            let progress = reader.read(partition, RECORDS_PER_PARTITION as usize, |message| {
                look.at(partition, &message);
            })?;
            messages += progress.messages;
            if progress.finished {
                finished.push(partition);
            }
        }
        open.retain(|partition| !finished.contains(partition));
        if stopped() {
            return Ok(open.is_empty());
        }
        if messages == 0 && finished.is_empty() {
            thread::park_timeout(Duration::from_millis(100));
        }
    }
    Ok(true)
}

/// Whether messages arrive, and whether the clocks agree.
fn messages(options: &Options, look: &Look<'_>, clock: &Clock, findings: &mut Findings) {
    let Some(newest) = look.newest() else {
        let what = "the topic holds no records";
        let then = "the job waits for the first; strandline-sim sends some";
        return match look.records() {
            0 => findings.warn("messages", what, then),
            _ => findings.warn(
                "messages",
                "no record has a Kafka timestamp",
                "--max-future does nothing",
            ),
        };
    };
    let now = clock.wall();
    let between = |older: EventTime, newer: EventTime| {
        let millis = newer.as_millis().saturating_sub(older.as_millis());
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    };
    let (age, ahead) = (between(newest, now), between(now, newest));
    if AHEAD_MAX < ahead {
        findings.warn(
            "clock",
            format!("the newest record is {} ahead of this computer's clock", rounded(ahead)),
            "put the clock of this computer, or of the producers and brokers, right",
        );
    } else {
        findings.ok("clock", "no record is ahead of this computer's clock");
    }
    if SILENT_FOR < age && !options.bounded {
        findings.warn(
            "messages",
            format!("the newest record is {} old", rounded(age)),
            "check that the producer runs and sends to this topic",
        );
    } else {
        findings.ok("messages", format!("the newest record is {} old", rounded(age)));
    }
}

/// In whole seconds, minutes, hours or days, which is as exact as a person wants it.
fn rounded(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
