//! No time, duration or amount that a user can give, and no time of a record, makes a job panic: it is
//! refused in one line, or the job ends.
//!
//! The jobs run in a process of their own, which ends at a panic on any thread, as the program does. What
//! an overflow would wrap to in a release is a panic here: tests are built with overflow checks.

use std::any::TypeId;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use strandline_engine::checkpoint::Checkpoints;
use strandline_engine::checkpoint::object::ObjectBlobs;
use strandline_engine::clock::Clock;
use strandline_engine::job::{Job, Stop, Summary};
use strandline_engine::report::Report;
use strandline_engine::sink::{FileOutputs, RunId};
use strandline_engine::source::Source;
use strandline_engine::source::kafka::{KafkaSettings, KafkaSource, Start};
use strandline_engine::source::simulated::SimulatedLog;
use strandline_engine::store::Directory;
use strandline_engine::table::Table;
use strandline_engine::view::{Snapshot, View};
use strandline_operators::aggregate::{Average, Count, Max};
use strandline_operators::decode::{Decode as _, JsonFields, Metrics, TimeUnit};
use strandline_operators::record::Partition;
use strandline_operators::time::EventTime;
use strandline_operators::window::Tumbling;
use strandline_sim::command_line::one_line;
use strandline_sim::embedded::EmbeddedBroker;
use strandline_sim::fleet::{Fleet, FleetOptions};
use strandline_sim::producer::{FleetProducer, Pace, ProducerOptions};
use strandline_sim::random::SplitMix64;

use super::settings::{job_options, kafka_settings, lowered_event_times, roll};
use crate::options::Options;
use crate::panics;
use crate::status::Voice;

/// Jobs with extreme values of all options at once.
const MIXTURES: u64 = 12;
/// Messages on the broker.
const MESSAGES: u64 = 100;
/// Options that only a source from Kafka sees.
const OF_THE_SOURCE: [&str; 2] = ["memory-in-flight", "from"];
/// The option that does nothing without a run before.
const OF_A_CONTINUATION: &str = "lower-event-time";
/// A job that takes longer hangs.
const JOB_WITHIN: Duration = Duration::from_secs(60);

const DURATIONS: [&str; 16] = [
    "0ms",
    "1ms",
    "2932896d", // to the year 9999
    "104249992d",
    "9007199254740992ms",
    "9007199254740993ms",
    "9223372036854775807ms",
    "9223372036854775808ms",
    "18446744073709551615ms",
    "18446744073709551615d",
    "18446744073709551616ms",
    "584542046y",
    "1ns",
    "-1ms",
    "-9223372036854775808ms",
    "",
];

const TIMES: [&str; 19] = [
    "0",
    "1970-01-01T00:00:00Z",
    "1970-01-01T00:00:00.000000001Z",
    "1969-12-31T23:59:59.999Z",
    "0000-01-01T00:00:00+23:59",
    "-0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "9999-12-31T23:59:60-23:59",
    "+262142-12-31T23:59:59Z",
    "262143-12-31T23:59:59Z",
    "253402300799999",
    "253402300800000",
    "8210266876799999",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "-1",
    "-9223372036854775808",
    "",
];

const AMOUNTS: [&str; 10] = [
    "0B",
    "1B",
    "16777215B",
    "16MiB",
    "9223372036854775807B",
    "18446744073709551615B",
    "18446744073709551616B",
    "17179869183GiB",
    "17179869184GiB",
    "-1B",
];

/// What records say, in whatever unit.
const EVENT_TIMES: [&str; 24] = [
    "-9223372036854775809",
    "-9223372036854775808",
    "-9223372036854775807",
    "-62167219200001", // before the year 0
    "-1",
    "-0.0000001",
    "0",
    "1",
    "1730638570000",
    "253402300799999", // the end of the year 9999
    "253402300800000",
    "8210266876799999", // the year 262143
    "8210266876800000",
    "9223372036854775806",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "-1e308",
    "1e-308",
    "\"0000-01-01T00:00:00+23:59\"",
    "\"9999-12-31T23:59:59.999999999-23:59\"",
    "\"262143-12-31T23:59:59Z\"",
];

const LOG_TIMES: [Option<EventTime>; 5] = [
    None,
    Some(EventTime::MIN),
    Some(EventTime::from_millis(0)),
    Some(EventTime::from_millis(1_730_638_570_000)),
    Some(EventTime::MAX),
];

/// Every option that takes a duration, a time or an amount, and what it may be given.
fn extremes() -> Vec<(String, Vec<String>)> {
    let command = Options::command_line();
    let options = command.get_arguments().filter_map(|argument| {
        let kind = argument.get_value_parser().type_id();
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let values: Vec<String> = if kind == TypeId::of::<Duration>() {
            texts(&DURATIONS)
        } else if kind == TypeId::of::<Start>() {
            texts(&TIMES)
        } else if kind == TypeId::of::<u64>() {
            texts(&AMOUNTS)
        } else if kind == TypeId::of::<(u32, EventTime)>() {
            let of = |partition: &'static str| TIMES.map(|time| format!("{partition}={time}"));
            ["0", "4294967295", "4294967296"].into_iter().flat_map(of).collect()
        } else {
            return None;
        };
        Some((argument.get_long()?.to_owned(), values))
    });
    options.collect()
}

/// The options of a job with these, or why there is none, in one line.
fn read(given: &[String]) -> Result<Options, String> {
    let line = std::iter::once("job".to_owned()).chain(given.iter().cloned());
    Options::read("job", "", line.map(OsString::from)).map_err(|error| one_line(&error))
}

#[test]
fn every_option_with_a_time_or_an_amount_is_tried() {
    let names: Vec<String> = extremes().into_iter().map(|(name, _)| name).collect();
    let expected = [
        "memory-in-flight",
        "from",
        "window",
        "watermark",
        "max-future",
        "max-past",
        "lower-event-time",
        "idle-after",
        "publish-every",
        "roll-every",
        "checkpoint-every",
    ];
    assert_eq!(names, expected);
}

#[test]
fn an_extreme_that_is_refused_is_refused_in_one_line_that_names_the_option() {
    let mut refused = 0;
    for (name, values) in extremes() {
        for value in values {
            let Err(line) = read(&[format!("--{name}={value}")]) else { continue };
            assert!(line.contains(&name) && !line.contains('\n'), "--{name}={value}: {line}");
            refused += 1;
        }
    }
    assert!(100 < refused, "{refused}");
}

/// A log with records of all these times, in this unit.
fn log(unit: TimeUnit) -> SimulatedLog {
    let log = SimulatedLog::new("t", 2);
    let records = EVENT_TIMES.iter().flat_map(|time| LOG_TIMES.map(|stamp| (time, stamp)));
    for (number, (time, stamp)) in records.enumerate() {
        let time = match unit {
            TimeUnit::Rfc3339 if !time.starts_with('"') => format!("\"{time}\""),
            _ => (*time).to_owned(),
        };
        let payload = format!(r#"{{"id":"k{}","ts":{time},"value":1}}"#, number % 3);
        let partition = Partition(u32::from(number % 2 == 1));
        log.append(partition, stamp, Some(payload.into_bytes()));
    }
    log.bounded()
}

/// What the job computes of each window.
type Row = (u64, Option<f64>, Option<f64>);

/// Runs a job as these options say, with its files `there`.
fn run(source: impl Source, options: &Options, there: &Path) -> Summary {
    let clock = Clock::system();
    let windows = Tumbling::of(options.window).expect("the options were checked");
    let table = Arc::new(Table::new::<Row>("key", "records", &["count", "average", "greatest"]));
    let view = View::new(Snapshot::empty("t", Arc::clone(&table), clock.wall()));
    let run = RunId::fresh(&clock);
    let outputs = FileOutputs {
        out: Directory::local(there.join("out")),
        run,
        roll: roll(options),
        codec: options.parquet_codec,
        clock: clock.clone(),
        report: Report::silent(),
        table: Table::clone(&table),
        topic: "t".to_owned(),
        windows,
    };
    let checkpoints = Checkpoints {
        blobs: Arc::new(ObjectBlobs::local(there.join("checkpoints")).unwrap()),
        every: options.checkpoint_every,
        keep: options.keep as usize,
        fresh: false,
        start: run,
        shape: [].into(),
        outputs: None,
    };
    let metric = |message: &Metrics<1>| message.get(0);
    let decoder = JsonFields::new("id", "ts", ["value"]).in_time_unit(options.time_unit).unwrap();
    let aggregate = (Count, Average(metric), Max(metric));
    let summary =
        Job::new(source, decoder, aggregate, table, outputs, job_options(options, windows))
            .with_checkpoints(Some(checkpoints))
            .with_lowered_event_times(lowered_event_times(options))
            .with_report(Report::silent())
            .run(timely::Config::process(2), &clock, &view, &Stop::default())
            .unwrap_or_else(|error| panic!("{error}"));
    assert!(summary.finished && summary.ledger.balances(), "{summary:?}");
    summary
}

/// Runs a job over the extremes of event time, `starts` times where the one before has ended.
fn check(given: &[String], starts: usize) {
    if read(given).is_err() {
        return;
    }
    println!("\njob {}", given.join(" "));
    // Otherwise a job takes a second, until its first epoch ends.
    let usual = ["--checkpoint-every=20ms", "--publish-every=20ms"].map(str::to_owned);
    let is_given =
        |one: &String| given.iter().any(|g| g.split('=').next() == one.split('=').next());
    let usual = usual.into_iter().filter(|one| !is_given(one));
    let options = read(&usual.chain(given.iter().cloned()).collect::<Vec<_>>()).unwrap();
    let there = tempfile::tempdir().unwrap();
    for _ in 0..starts {
        run(log(options.time_unit), &options, there.path());
    }
}

/// Runs a job over what is on a broker in this process.
fn check_on_kafka(broker: &EmbeddedBroker, given: &[String]) {
    let more = [format!("--bootstrap={}", broker.bootstrap()), "--topic=t".to_owned()];
    let Ok(options) = read(&[given, &more, &["--bounded".to_owned()]].concat()) else { return };
    println!("\njob on Kafka {}", given.join(" "));
    let settings = kafka_settings(&options, Vec::new(), broker.bootstrap(), Report::silent());
    match KafkaSource::new(KafkaSettings { embedded: true, ..settings }) {
        Ok(source) => {
            let summary = run(source, &options, tempfile::tempdir().unwrap().path());
            assert_eq!(summary.ledger.read, MESSAGES);
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
}

/// A broker with some messages.
fn broker() -> EmbeddedBroker {
    let broker = EmbeddedBroker::start("t", 2).unwrap();
    let producer =
        FleetProducer::new(&ProducerOptions::new(broker.bootstrap(), "t"), None).unwrap();
    let mut fleet = Fleet::new(FleetOptions::default(), EventTime::from_millis(0)).unwrap();
    let (pace, clock) = (Pace::FullSpeed { messages: MESSAGES }, Clock::system());
    producer.run(&mut fleet, pace, &clock, &|| false, &mut |_| {}).unwrap();
    broker
}

#[test]
#[ignore = "the process of the test below"]
fn jobs() {
    panics::end_the_program(&Voice::new(false));
    let all = extremes();
    for (name, values) in all.iter().filter(|(name, _)| !OF_THE_SOURCE.contains(&&**name)) {
        if name != OF_A_CONTINUATION {
            values.iter().for_each(|value| check(&[format!("--{name}={value}")], 1));
        }
    }
    for unit in TimeUnit::ALL {
        for by in ["log", "clock"] {
            check(&[format!("--time-unit={unit}"), format!("--max-future-by={by}")], 1);
        }
    }
    for seed in 0..MIXTURES {
        let mut random = SplitMix64::new(seed);
        let unit = TimeUnit::ALL[random.below(5) as usize];
        let mut given = vec![format!("--time-unit={unit}")];
        for (name, values) in &all {
            let options = values.iter().map(|value| format!("--{name}={value}"));
            let accepted: Vec<_> =
                options.filter(|o| read(std::slice::from_ref(o)).is_ok()).collect();
            given.push(accepted[random.below(accepted.len() as u64) as usize].clone());
        }
        check(&given, 2);
    }
    let broker = broker();
    for (name, values) in all.iter().filter(|(name, _)| OF_THE_SOURCE.contains(&&**name)) {
        for fetch in ["client", "direct"] {
            let fetch = format!("--fetch={fetch}");
            for value in values {
                check_on_kafka(&broker, &[format!("--{name}={value}"), fetch.clone()]);
            }
        }
    }
    println!("\nall ended");
}

#[test]
fn no_time_and_no_amount_makes_a_job_panic_or_hang() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "program::extremes::jobs", "--ignored", "--nocapture"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (say, said) = channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let reading = std::thread::spawn(move || {
        stdout.lines().map_while(Result::ok).try_for_each(|line| say.send(line))
    });
    let (mut last, mut jobs) = (String::new(), 0);
    let ended = loop {
        match said.recv_timeout(JOB_WITHIN) {
            Ok(line) if line.starts_with("job ") => (last, jobs) = (line, jobs + 1),
            Ok(line) if line == "all ended" => last = line,
            Ok(_) => {}
            Err(RecvTimeoutError::Disconnected) => break true,
            Err(RecvTimeoutError::Timeout) => break false,
        }
    };
    if !ended {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    drop(said);
    let _ = reading.join().unwrap();
    assert!(ended, "it hangs: {last}");
    assert!(status.success() && last == "all ended", "{status}: {last}");
    assert!(60 < jobs, "{jobs} jobs");
}
