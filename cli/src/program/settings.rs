//! What options mean for the parts of a job.

use std::collections::BTreeMap;
use std::time::Duration;

use strandline_engine::clock::Clock;
use strandline_engine::job::JobOptions;
use strandline_engine::report::Report;
use strandline_engine::sink::Roll;
use strandline_engine::source::kafka::KafkaSettings;
use strandline_operators::record::Partition;
use strandline_operators::time::EventTime;
use strandline_operators::window::Tumbling;

use crate::introduction::Introduction;
use crate::options::{FutureBy, Options};
use crate::status::Voice;

/// How often an epoch begins, at least: idle partitions stop holding the others back at such a
/// moment.
const EPOCH_EVERY: Duration = Duration::from_secs(1);

/// How a job treats time.
pub(super) fn job_options(options: &Options, windows: Tumbling) -> JobOptions {
    JobOptions {
        watermark: options.watermark,
        max_future: options.max_future,
        max_past: options.max_past,
        future_by_clock: options.max_future_by == FutureBy::Clock,
        idle_after: options.idle_after,
        publish_every: options.publish_every,
        epoch_every: EPOCH_EVERY.min(options.checkpoint_every),
        ..JobOptions::new(windows)
    }
}

/// Which partitions are taken back to which times.
pub(super) fn lowered_event_times(options: &Options) -> BTreeMap<Partition, EventTime> {
    let lowered = options.lower_event_time.iter();
    lowered.map(|(partition, time)| (Partition(*partition), *time)).collect()
}

/// When files are complete.
pub(super) fn roll(options: &Options) -> Roll {
    Roll { every: options.roll_every, ..Roll::default() }
}

/// How Kafka is read.
pub(crate) fn kafka_settings(
    options: &Options,
    kafka_options: Vec<(String, String)>,
    bootstrap: &str,
    report: Report,
) -> KafkaSettings {
    KafkaSettings {
        options: kafka_options,
        fetch: options.fetch,
        start: options.from,
        bounded: options.bounded,
        embedded: options.bootstrap.is_none(),
        group: options.group.clone(),
        memory_in_flight: options.memory_in_flight,
        report,
        ..KafkaSettings::new(bootstrap, &options.topic)
    }
}

/// What all processes of a job have to be told alike, besides what the job itself looks at.
pub(super) fn terms(options: &Options) -> BTreeMap<String, String> {
    let terms = [
        ("bootstrap", options.bootstrap.clone().unwrap_or_default()),
        ("bounded", options.bounded.to_string()),
        ("from", format!("{:?}", options.from)),
        ("memory-in-flight", options.memory_in_flight.to_string()),
        ("replace", options.replace.to_string()),
    ];
    terms.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Where notices go: behind what the program says of itself.
pub(super) fn report(voice: &Voice, introduction: &Introduction, clock: &Clock) -> Report {
    let (is_quiet, introduction) = (voice.is_quiet(), introduction.clone());
    let (said_by, clock) = (voice.clone(), clock.clone());
    let report = Report::new(move |line| {
        introduction.say();
        said_by.tell(line, &clock);
    });
    if is_quiet { report.without_news() } else { report }
}
