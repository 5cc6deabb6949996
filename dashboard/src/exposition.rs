//! The job's state in the formats that Prometheus scrapes: its text format 0.0.4, and `OpenMetrics`
//! 1.0, which differ in how counters are headed and in the last line.
//!
//! Rows of windows are not in it: a key a time series is what Prometheus is bad at, and a window's
//! average has a time of its own. They are in the JSON of `/metrics`.

use std::fmt::{Display, Write};

use strandline_engine::view::{PartitionState, PartitionView, Phase, Snapshot};
use strandline_operators::decode::DeadReason;
use strandline_operators::time::EventTime;

use crate::shown::{known, phase_code, state_code};

/// The text of a snapshot in Prometheus' format, or in that of `OpenMetrics`.
pub(crate) fn exposition(snapshot: &Snapshot, open_metrics: bool) -> String {
    let mut out = Exposition { text: String::new(), open_metrics };
    job(&mut out, snapshot);
    ledger(&mut out, snapshot);
    progress(&mut out, snapshot);
    partitions(&mut out, snapshot);
    if open_metrics {
        out.text.push_str("# EOF\n");
    }
    out.text
}

fn job(out: &mut Exposition, snapshot: &Snapshot) {
    let topic = [("topic", &*snapshot.topic)];
    out.family("strandline_job", Kind::Info, "The job.").sample(&topic, 1);
    let mut phases =
        out.family("strandline_job_phase", Kind::Gauge, "1 for the phase that the job is in.");
    for phase in [Phase::Running, Phase::Stopping, Phase::Finished] {
        let is = u8::from(phase == snapshot.phase);
        phases.sample(&[("phase", phase_code(phase))], is);
    }
    out.family(
        "strandline_snapshot_timestamp_seconds",
        Kind::Seconds,
        "When these numbers were taken.",
    )
    .sample(&[], Seconds(snapshot.at));
}

fn ledger(out: &mut Exposition, snapshot: &Snapshot) {
    let ledger = &snapshot.ledger;
    let counters = [
        ("strandline_records_read", "Records read, up to the last complete epoch.", ledger.read),
        ("strandline_records_windowed", "Records that a window counts.", ledger.windowed),
        ("strandline_records_late", "Records that were late for every window.", ledger.late),
    ];
    for (name, help, value) in counters {
        out.family(name, Kind::Counter, help).sample(&[], value);
    }
    let mut dead = out.family(
        "strandline_dead_letters",
        Kind::Counter,
        "Records that could not be read, by reason.",
    );
    for (reason, count) in DeadReason::ALL.iter().zip(ledger.dead) {
        dead.sample(&[("reason", reason.code())], count);
    }
    out.family(
        "strandline_ledger_balanced",
        Kind::Gauge,
        "1 while read = windowed + late + dead letters; 0 is an alarm.",
    )
    .sample(&[], u8::from(ledger.balances()));
}

fn progress(out: &mut Exposition, snapshot: &Snapshot) {
    let gauges: [(&str, &str, &dyn Display); 5] = [
        (
            "strandline_records_in_flight",
            "Records read after the last complete epoch.",
            &snapshot.in_flight,
        ),
        ("strandline_epoch", "The last complete epoch.", &snapshot.epoch),
        (
            "strandline_records_per_second",
            "Records read a second, over the last seconds.",
            &Float(snapshot.records_per_second),
        ),
        ("strandline_open_windows", "Windows that are not final.", &snapshot.open_windows_count),
        ("strandline_lag_records", "Records between positions and ends.", &snapshot.lag()),
    ];
    for (name, help, value) in gauges {
        out.family(name, Kind::Gauge, help).sample(&[], value);
    }
    out.family("strandline_final_rows", Kind::Counter, "Rows that became final.")
        .sample(&[], snapshot.final_rows);
    if let Some(watermark) = snapshot.watermark.filter(|watermark| known(*watermark).is_some()) {
        out.family(
            "strandline_watermark_timestamp_seconds",
            Kind::Seconds,
            "The watermark: windows that end by then are final.",
        )
        .sample(&[], Seconds(watermark));
        let behind =
            EventTime::from_millis(snapshot.at.as_millis().saturating_sub(watermark.as_millis()));
        out.family(
            "strandline_watermark_delay_seconds",
            Kind::Seconds,
            "How far the watermark was behind civil time when these numbers were taken.",
        )
        .sample(&[], Seconds(behind));
    }
}

fn partitions(out: &mut Exposition, snapshot: &Snapshot) {
    type Value = fn(&PartitionView) -> u64;
    type Moment = fn(&PartitionView) -> Option<EventTime>;
    let families: [(&str, Kind, &str, Value); 7] = [
        ("strandline_partition_position", Kind::Gauge, "The next offset to read.", |view| {
            view.position.0
        }),
        (
            "strandline_partition_lag_records",
            Kind::Gauge,
            "Records between position and end.",
            PartitionView::lag,
        ),
        ("strandline_partition_records_read", Kind::Counter, "Records read.", |view| {
            view.ledger.read
        }),
        (
            "strandline_partition_records_windowed",
            Kind::Counter,
            "Records that a window counts.",
            |view| view.ledger.windowed,
        ),
        (
            "strandline_partition_records_late",
            Kind::Counter,
            "Records that were late for every window.",
            |view| view.ledger.late,
        ),
        (
            "strandline_partition_dead_letters",
            Kind::Counter,
            "Records that could not be read.",
            |view| view.ledger.dead_letters(),
        ),
        (
            "strandline_partition_offsets_skipped",
            Kind::Counter,
            "Offsets passed over that hold no message.",
            |view| view.skipped,
        ),
    ];
    if snapshot.partitions.is_empty() {
        return;
    }
    let numbers: Vec<String> =
        snapshot.partitions.iter().map(|view| view.partition.0.to_string()).collect();
    let labels = |index: usize| [("topic", &*snapshot.topic), ("partition", &*numbers[index])];
    for (name, kind, help, value) in families {
        let mut family = out.family(name, kind, help);
        for (index, view) in snapshot.partitions.iter().enumerate() {
            family.sample(&labels(index), value(view));
        }
    }
    let times: [(&str, &str, Moment); 2] = [
        (
            "strandline_partition_watermark_timestamp_seconds",
            "The partition's watermark.",
            |view| Some(view.watermark),
        ),
        (
            "strandline_partition_max_event_timestamp_seconds",
            "The greatest event time read.",
            |view| view.max_event_time,
        ),
    ];
    for (name, help, value) in times {
        let mut family = out.family(name, Kind::Seconds, help);
        for (index, view) in snapshot.partitions.iter().enumerate() {
            if let Some(time) = value(view).filter(|time| known(*time).is_some()) {
                family.sample(&labels(index), Seconds(time));
            }
        }
    }
    let mut family = out.family(
        "strandline_partition_state",
        Kind::Gauge,
        "1 for the state that the partition is in.",
    );
    for (index, view) in snapshot.partitions.iter().enumerate() {
        let [topic, partition] = labels(index);
        for state in [
            PartitionState::Active,
            PartitionState::Idle,
            PartitionState::Paused,
            PartitionState::Finished,
        ] {
            let is = u8::from(state == view.state);
            family.sample(&[topic, partition, ("state", state_code(state))], is);
        }
    }
}

/// What a family of samples counts.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Kind {
    /// Only grows; its samples end in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A gauge in seconds.
    Seconds,
    /// Always 1: its labels say something; its sample ends in `_info`.
    Info,
}

/// The text so far.
struct Exposition {
    text: String,
    open_metrics: bool,
}

/// A family of samples whose head has been written.
struct Family<'a> {
    out: &'a mut Exposition,
    sample_name: String,
}

impl Exposition {
    fn family(&mut self, name: &str, kind: Kind, help: &str) -> Family<'_> {
        let sample_name = match kind {
            Kind::Counter => format!("{name}_total"),
            Kind::Info => format!("{name}_info"),
            Kind::Gauge | Kind::Seconds => name.to_owned(),
        };
        let (head, word) = match kind {
            Kind::Counter if self.open_metrics => (name, "counter"),
            Kind::Info if self.open_metrics => (name, "info"),
            Kind::Counter => (&*sample_name, "counter"),
            Kind::Info | Kind::Gauge | Kind::Seconds => (&*sample_name, "gauge"),
        };
        let unit = if self.open_metrics && kind == Kind::Seconds {
            format!("# UNIT {head} seconds\n")
        } else {
            String::new()
        };
        self.line(format_args!("# HELP {head} {help}\n# TYPE {head} {word}\n{unit}"));
        Family { out: self, sample_name }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(line);
    }
}

impl Family<'_> {
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let name = &self.sample_name;
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.out.line(format_args!("{name}{labels} {value}\n"));
    }
}

/// A label's value: in both formats exactly these three are escaped.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A time as seconds, to the millisecond and exactly.
struct Seconds(EventTime);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = self.0.as_millis();
        let sign = if millis < 0 { "-" } else { "" };
        let millis = millis.unsigned_abs();
        write!(f, "{sign}{}.{:03}", millis / 1000, millis % 1000)
    }
}

/// A float; these formats have words for those that are no number.
struct Float(f64);

impl Display for Float {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escaped("a\\b\"c\nd{}=,é\0"), "a\\\\b\\\"c\\nd{}=,é\0");
    }

    #[test]
    fn times_are_exact_to_the_millisecond() {
        let written = [1_772_366_410_007, 0, -1, -60_000]
            .map(|millis| Seconds(EventTime::from_millis(millis)).to_string());
        assert_eq!(written, ["1772366410.007", "0.000", "-0.001", "-60.000"]);
    }

    #[test]
    fn floats_that_are_no_number_have_words() {
        let written = [f64::NAN, f64::INFINITY, 12.5].map(|value| Float(value).to_string());
        assert_eq!(written, ["NaN", "+Inf", "12.5"]);
    }
}
