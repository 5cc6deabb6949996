//! The families about the parts of the job in this process: the log that is read, the checkpoints,
//! the outputs; and about the process itself.

use std::fmt::Display;

use strandline_engine::telemetry::{Measures, OutputMeasures};

use super::Told;
use super::writer::{Exposition, Float, Kind, Seconds};

/// What the parts of the job measure.
pub(super) fn parts(out: &mut Exposition, measures: &Measures) {
    let read = [
        (
            "strandline_process_records_read",
            "Records read by this process in this run.",
            measures.records_read,
        ),
        ("strandline_process_read_bytes", "Bytes of the payloads of these.", measures.bytes_read),
    ];
    for (name, help, value) in read {
        out.family(name, Kind::Counter, help).sample(&[], value);
    }
    kafka(out, measures);
    checkpoints(out, measures);
    outputs(out, measures);
}

fn kafka(out: &mut Exposition, measures: &Measures) {
    let kafka = &measures.kafka;
    if let Some(is_connected) = kafka.is_connected {
        out.family("strandline_kafka_connected", Kind::Gauge, "1 while the cluster answers.")
            .sample(&[], u8::from(is_connected));
    }
    out.family(
        "strandline_kafka_errors",
        Kind::Counter,
        "Tries to reach the cluster or a broker that failed, whether or not a later one succeeded.",
    )
    .sample(&[], kafka.errors);
    out.family(
        "strandline_kafka_throttled_seconds",
        Kind::Counter,
        "How long brokers have asked this process to wait.",
    )
    .sample(&[], Float(kafka.throttled.as_secs_f64()));
    out.family(
        "strandline_kafka_in_flight_bytes",
        Kind::Gauge,
        "Bytes of messages that wait between Kafka and the workers of this process.",
    )
    .sample(&[], kafka.bytes_in_flight);
}

fn checkpoints(out: &mut Exposition, measures: &Measures) {
    let checkpoints = &measures.checkpoints;
    out.family("strandline_checkpoints_completed", Kind::Counter, "Checkpoints of this run.")
        .sample(&[], checkpoints.completed);
    out.family(
        "strandline_checkpoint_failures",
        Kind::Counter,
        "Tries of this process to write to the store of checkpoints that failed.",
    )
    .sample(&[], checkpoints.failures);
    out.family(
        "strandline_checkpoint_removal_failures",
        Kind::Counter,
        "Tries of this process to remove a part of an old checkpoint that failed.",
    )
    .sample(&[], checkpoints.removal_failures);
    if let Some(time) = checkpoints.last_completed_at {
        out.family(
            "strandline_checkpoint_last_completed_timestamp_seconds",
            Kind::Seconds,
            "When the last checkpoint was completed.",
        )
        .sample(&[], Seconds(time));
    }
    if let Some(duration) = checkpoints.last_duration {
        out.family(
            "strandline_checkpoint_last_duration_seconds",
            Kind::Seconds,
            "From the request of the last checkpoint until it was durable.",
        )
        .sample(&[], Float(duration.as_secs_f64()));
        out.family(
            "strandline_checkpoint_last_state_bytes",
            Kind::Gauge,
            "The state in the last checkpoint.",
        )
        .sample(&[], checkpoints.last_state_bytes);
    }
}

fn outputs(out: &mut Exposition, measures: &Measures) {
    type Value = fn(&OutputMeasures) -> u64;
    if measures.outputs.is_empty() {
        return;
    }
    let families: [(&str, Kind, &str, Value); 4] = [
        (
            "strandline_output_waiting_rows",
            Kind::Gauge,
            "Rows that the output has and does not show yet.",
            |output| output.rows_waiting,
        ),
        (
            "strandline_output_waiting_bytes",
            Kind::Gauge,
            "Memory that these rows take, roughly.",
            |output| output.bytes_waiting,
        ),
        (
            "strandline_output_failures",
            Kind::Counter,
            "How often the output began to fail.",
            |output| output.failures,
        ),
        (
            "strandline_output_retries",
            Kind::Counter,
            "Tries of an output that fails to go on.",
            |output| output.retries,
        ),
    ];
    for (name, kind, help, value) in families {
        let mut family = out.family(name, kind, help);
        for (output, measures) in &measures.outputs {
            family.sample(&[("output", output)], value(measures));
        }
    }
    let mut family = out.family(
        "strandline_output_oldest_waiting_timestamp_seconds",
        Kind::Seconds,
        "When the oldest row came that the output does not show yet, where there is one.",
    );
    for (output, measures) in &measures.outputs {
        if let Some(time) = measures.oldest_waiting_since {
            family.sample(&[("output", output)], Seconds(time));
        }
    }
}

/// What the process uses, by the names that Prometheus' clients have for it.
pub(super) fn process(out: &mut Exposition, told: &Told<'_>) {
    out.family(
        "strandline_log_lines_dropped",
        Kind::Counter,
        "Lines on the standard error stream that nobody read in time.",
    )
    .sample(&[], told.log_lines_dropped);
    let process = told.process;
    let seconds = process.cpu_seconds.map(Float);
    let start = process.start_seconds.map(Float);
    let families: [(&str, Kind, &str, Option<&dyn Display>); 6] = [
        (
            "process_cpu_seconds",
            Kind::Counter,
            "Processor time of the process, user and system.",
            seconds.as_ref().map(|value| value as &dyn Display),
        ),
        (
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Memory of the process that is in use.",
            process.resident_bytes.as_ref().map(|value| value as &dyn Display),
        ),
        (
            "process_virtual_memory_bytes",
            Kind::Gauge,
            "Address space of the process.",
            process.virtual_bytes.as_ref().map(|value| value as &dyn Display),
        ),
        (
            "process_open_fds",
            Kind::Gauge,
            "Descriptors that the process has open.",
            process.open_descriptors.as_ref().map(|value| value as &dyn Display),
        ),
        (
            "process_max_fds",
            Kind::Gauge,
            "Descriptors that the process may have open.",
            process.descriptors_max.as_ref().map(|value| value as &dyn Display),
        ),
        (
            "process_start_time_seconds",
            Kind::Seconds,
            "When the process started, since the epoch.",
            start.as_ref().map(|value| value as &dyn Display),
        ),
    ];
    for (name, kind, help, value) in families {
        if let Some(value) = value {
            out.family(name, kind, help).sample(&[], value);
        }
    }
}
