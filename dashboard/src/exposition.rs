//! The job's state in the formats that Prometheus scrapes: its text format 0.0.4, and `OpenMetrics`
//! 1.0, which differ in how counters are headed and in the last line.
//!
//! Rows of windows are not in it: a key a time series is what Prometheus is bad at, and a window's
//! average has a time of its own. They are in the JSON of `/metrics`. Every family is listed in
//! `book/src/metrics.md`; a test holds the two together.

mod partitions;
mod parts;
mod writer;

use std::fmt::Display;

use strandline_engine::condition::ConditionKind;
use strandline_engine::telemetry::Measures;
use strandline_engine::view::{Phase, Snapshot};
use strandline_operators::decode::DeadReason;
use strandline_operators::time::EventTime;

use self::writer::{Exposition, Float, Kind, Seconds};
use crate::process::Process;
use crate::shown::{known, phase_code};

/// What is written about.
pub(crate) struct Told<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) measures: &'a Measures,
    pub(crate) process: &'a Process,
    /// Lines of the log that nobody read in time.
    pub(crate) log_lines_dropped: u64,
    /// Whether this process knows the whole job. Another one tells of itself alone.
    pub(crate) leads: bool,
}

/// The text in Prometheus' format, or in that of `OpenMetrics`.
pub(crate) fn exposition(told: &Told<'_>, open_metrics: bool) -> String {
    let mut out = Exposition::new(open_metrics);
    let snapshot = told.snapshot;
    job(&mut out, snapshot);
    if told.leads {
        ledger(&mut out, snapshot);
        progress(&mut out, snapshot);
        partitions::partitions(&mut out, snapshot);
    }
    parts::parts(&mut out, told.measures);
    parts::process(&mut out, told);
    out.finish()
}

fn job(out: &mut Exposition, snapshot: &Snapshot) {
    let topic = [("topic", &*snapshot.topic)];
    out.family("strandline_job", Kind::Info, "The job.").sample(&topic, 1);
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    out.family("strandline_build", Kind::Info, "The program.").sample(&version, 1);
    let conditions = &snapshot.conditions;
    let mut holds = out.family(
        "strandline_job_condition",
        Kind::Gauge,
        "1 for each condition that the job is in; several can hold at once.",
    );
    for kind in ConditionKind::ALL {
        holds.sample(&[("condition", kind.code())], u8::from(conditions.holds(kind)));
    }
    let mut since = out.family(
        "strandline_job_condition_since_timestamp_seconds",
        Kind::Seconds,
        "Since when the condition holds, where one does.",
    );
    for kind in ConditionKind::ALL {
        let of_kind = conditions.all().iter().filter(|condition| condition.kind == kind);
        if let Some(time) = of_kind.map(|condition| condition.since).min() {
            since.sample(&[("condition", kind.code())], Seconds(time));
        }
    }
    out.family(
        "strandline_job_ready",
        Kind::Gauge,
        "1 while the job makes progress or waits for nothing but new records, as /readyz says.",
    )
    .sample(&[], u8::from(conditions.is_ready()));
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
    // Counters are those of this run, as everything else that Prometheus counts in a process: a resumed job
    // goes back to its checkpoint, and a counter that goes back by a little is taken for a new one.
    let run = snapshot.ledger_of_run();
    let counters = [
        (
            "strandline_records_read",
            "Records read in this run, up to the last complete epoch.",
            run.read,
        ),
        ("strandline_records_windowed", "Records of this run that a window counts.", run.windowed),
        (
            "strandline_records_late",
            "Records of this run that were late for every window.",
            run.late,
        ),
    ];
    for (name, help, value) in counters {
        out.family(name, Kind::Counter, help).sample(&[], value);
    }
    let mut dead = out.family(
        "strandline_dead_letters",
        Kind::Counter,
        "Records of this run that could not be read, by reason.",
    );
    for (reason, count) in DeadReason::ALL.iter().zip(run.dead) {
        dead.sample(&[("reason", reason.code())], count);
    }
    let ledger = &snapshot.ledger;
    let totals = [
        (
            "strandline_job_records_read",
            "Records that the job has read, with earlier runs that this one continues.",
            ledger.read,
        ),
        ("strandline_job_records_windowed", "Those that a window counts.", ledger.windowed),
        ("strandline_job_records_late", "Those that were late for every window.", ledger.late),
        ("strandline_job_dead_letters", "Those that could not be read.", ledger.dead_letters()),
        (
            "strandline_job_final_rows",
            "Rows that became final, with those of earlier runs.",
            snapshot.final_rows,
        ),
    ];
    for (name, help, value) in totals {
        out.family(name, Kind::Gauge, help).sample(&[], value);
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
        ("strandline_state_rows", "Rows of windows that are not final.", &snapshot.open_rows),
    ];
    for (name, help, value) in gauges {
        out.family(name, Kind::Gauge, help).sample(&[], value);
    }
    // A lag that is unknown is no number.
    let mut lag = out.family(
        "strandline_lag_records",
        Kind::Gauge,
        "Records between positions and ends; absent while these are unknown.",
    );
    if let Some(records) = snapshot.lag() {
        lag.sample(&[], records);
    }
    out.family("strandline_final_rows", Kind::Counter, "Rows that became final in this run.")
        .sample(&[], snapshot.final_rows.saturating_sub(snapshot.final_rows_before));
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
