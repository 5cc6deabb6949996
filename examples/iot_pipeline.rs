//! The main job: a fleet's metrics from Kafka to exact windows and a live page.
//!
//! ```text
//! cargo run --release --example iot_pipeline -- -w 4
//! ```
//!
//! For every device and window it computes how many messages came, the average temperature and
//! humidity, and the range of the battery. Everything that is about devices and rooms is in this
//! file (and in the simulated fleet); the rest is Strandline.

use std::process::ExitCode;

use strandline::dashboard::{Chart, Column, PageOptions};
use strandline::engine::table::Table;
use strandline::operators::aggregate::{Average, Count, Max, Min};
use strandline::operators::decode::{JsonFields, Metrics};
use strandline::program::Program;

/// Records are allocated on one core and freed on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Message = Metrics<3>;

fn temperature(message: &Message) -> Option<f64> {
    message.get(0)
}
fn humidity(message: &Message) -> Option<f64> {
    message.get(1)
}
fn battery(message: &Message) -> Option<f64> {
    message.get(2)
}

/// A row: count, average temperature, average humidity, least and greatest battery.
type Row = (u64, Option<f64>, Option<f64>, Option<f64>, Option<f64>);

fn main() -> ExitCode {
    let columns = ["count", "avg_temperature", "avg_humidity", "min_battery", "max_battery"];
    Program {
        name: "iot_pipeline",
        about: "A fleet's metrics from Kafka to exact windows and a live page.",
        decoder: JsonFields::new("device_id", "ts", ["temperature", "humidity", "battery"]),
        aggregate: (Count, Average(temperature), Average(humidity), Min(battery), Max(battery)),
        table: Table::new::<Row>("device_id", "devices", &columns),
        page: page(),
    }
    .main()
}

fn page() -> PageOptions {
    let chart = |title: &str, column: &str, unit: &str| Chart {
        title: title.to_owned(),
        column: column.to_owned(),
        unit: unit.to_owned(),
    };
    let column = |column: &str, title: &str, unit: &str| Column {
        column: column.to_owned(),
        title: title.to_owned(),
        unit: unit.to_owned(),
    };
    PageOptions {
        title: "IoT fleet".to_owned(),
        row_noun: "device".to_owned(),
        rows_noun: "devices".to_owned(),
        charts: vec![
            chart("Average temperature", "avg_temperature", "°C"),
            chart("Average humidity", "avg_humidity", "%"),
        ],
        columns: vec![
            column("count", "Messages", ""),
            column("avg_temperature", "Avg temperature", "°C"),
            column("avg_humidity", "Avg humidity", "%"),
            column("min_battery", "Min battery", "%"),
            column("max_battery", "Max battery", "%"),
        ],
    }
}
