//! A made-up fleet: snapshots as a job would publish them, each a function of the tick alone.

use std::sync::Arc;
use std::time::Duration;

use strandline_dashboard::{Chart, Column, PageOptions};
use strandline_engine::condition::{ConditionKind, Conditions, JobCondition};
use strandline_engine::reason_words::ReasonWords;
use strandline_engine::table::{Cell, CellRow, Table};
use strandline_engine::view::{
    Ledger, OPEN_WINDOWS_MAX, OpenWindow, PartitionState, PartitionView, Phase, Snapshot, WaitsFor,
    WindowView,
};
use strandline_operators::decode::JsonFields;
use strandline_operators::record::{Offset, Partition};
use strandline_operators::time::EventTime;
use strandline_operators::window::Window;

/// When tick 0 is: 2026-03-01T12:00:00Z.
pub(crate) const START: EventTime = EventTime::from_millis(1_772_366_400_000);
const TICK: Duration = Duration::from_millis(250);
const WINDOW: Duration = Duration::from_secs(10);
const WATERMARK: Duration = Duration::from_secs(30);

/// Keys that a page must survive: markup, quotes, other directions, invisible and overlong ones.
pub(crate) fn hostile_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "<script>document.title='owned'</script>",
        "<img src=x onerror=alert(1)>",
        "\"'><b>bold</b>&amp;",
        "</title></table></script>",
        "\u{202e}desrever",
        "מכשיר-אחד",
        "nul\0in the middle",
        "line\nbreak\ttab",
        "{{ self.title() }}",
        "${7*7}",
        "__proto__",
        "👩‍🚀 device",
        " ",
    ]
    .map(str::to_owned)
    .to_vec();
    keys.push("x".repeat(256));
    keys.push("W".repeat(256));
    keys.sort();
    keys
}

/// What the fleet is like; fields may be changed between snapshots.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    pub(crate) tick: u32,
    pub(crate) keys: Vec<String>,
    pub(crate) partitions: u32,
    pub(crate) is_final: bool,
    pub(crate) phase: Phase,
    /// Before the first record.
    pub(crate) is_empty: bool,
    /// Records that the ledger has lost.
    pub(crate) lost: u64,
}

impl Fleet {
    pub(crate) fn new(devices: usize) -> Fleet {
        Fleet {
            tick: 400,
            keys: device_keys(devices),
            partitions: 4,
            is_final: false,
            phase: Phase::Running,
            is_empty: false,
            lost: 0,
        }
    }

    pub(crate) fn table() -> Table {
        Table::new::<(u64, Option<f64>, Option<f64>, Option<f64>, Option<f64>)>(
            "device_id",
            "devices",
            &["count", "avg_temperature", "avg_humidity", "min_battery", "max_battery"],
        )
    }

    pub(crate) fn page() -> PageOptions {
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
            title: "Greenhouse fleet".to_owned(),
            charts: vec![
                chart("Average temperature", "avg_temperature", "°C"),
                chart("Average humidity", "avg_humidity", "%"),
            ],
            columns: vec![
                column("count", "Records", ""),
                column("avg_temperature", "Avg temperature", "°C"),
                column("avg_humidity", "Avg humidity", "%"),
                column("min_battery", "Min battery", "%"),
                column("max_battery", "Max battery", "%"),
            ],
            ..PageOptions::for_table(&Fleet::table())
        }
    }

    /// The snapshot with that number.
    pub(crate) fn snapshot(&self, number: u64) -> Snapshot {
        let at = START + TICK * self.tick;
        let empty = Snapshot {
            reason_words: ReasonWords::of(&JsonFields::new("device_id", "ts", [])),
            ..Snapshot::empty("greenhouse-metrics", Arc::new(Fleet::table()), at)
        };
        if self.is_empty {
            return Snapshot {
                number,
                phase: self.phase,
                conditions: self.conditions(at),
                ..empty
            };
        }
        let partitions: Vec<PartitionView> =
            (0..self.partitions).map(|number| self.partition(number, at)).collect();
        let watermark = partitions
            .iter()
            .filter(|view| view.state == PartitionState::Active)
            .map(|view| (view.watermark, view.partition))
            .min();
        let open = self.open_windows(at, watermark);
        let mut ledger = Ledger::default();
        for view in &partitions {
            ledger.read += view.ledger.read;
            ledger.windowed += view.ledger.windowed;
            ledger.late += view.ledger.late;
            for (sum, part) in ledger.dead.iter_mut().zip(view.ledger.dead) {
                *sum += part;
            }
        }
        ledger.windowed -= self.lost;
        let finished = self.phase == Phase::Finished;
        Snapshot {
            number,
            phase: self.phase,
            conditions: self.conditions(at),
            window: Some(Arc::new(self.window(at))),
            watermark: watermark.map(|(time, _)| time).filter(|_| !finished),
            ledger,
            epoch: u64::from(self.tick / 4),
            in_flight: if finished { 0 } else { u64::from(3 + self.tick % 9) },
            final_rows: u64::from(self.tick / 40) * self.keys.len() as u64,
            records_per_second: 31.5 + f64::from(self.tick % 7) / 4.0,
            partitions,
            open_windows_count: open.len() as u64,
            open_rows: open.iter().map(|open| open.keys).sum(),
            open_windows: open.into_iter().take(OPEN_WINDOWS_MAX).collect(),
            ..empty
        }
    }

    fn conditions(&self, at: EventTime) -> Conditions {
        let kind = match self.phase {
            Phase::Running => ConditionKind::Running,
            Phase::Stopping => ConditionKind::Stopping,
            Phase::Finished => ConditionKind::Finished,
        };
        Conditions::of(vec![JobCondition::plain(kind, at)])
    }

    fn window(&self, at: EventTime) -> WindowView {
        let start = (at - TICK).floor_to(WINDOW);
        let into = at.since(start).as_millis() as i64;
        let rows = self.keys.iter().enumerate().map(|(index, key)| {
            let (phase, hours) = (index as f64 * 1.7, f64::from(self.tick) / 90.0);
            let count = if self.is_final { 40 } else { 1 + into / 250 };
            let temperature =
                21.0 + 3.4 * (hours / 3.0 + phase).sin() + 0.21 * (hours + phase).cos();
            let humidity = 52.0 + 11.0 * (hours / 4.0 - phase).cos() + 0.7 * (hours * 1.3).sin();
            let battery = 96.0 - (index % 13) as f64 * 4.3 - hours / 40.0;
            // One device has no humidity sensor.
            let humidity = (index != 5).then_some(humidity);
            CellRow {
                key: key.as_str().into(),
                cells: vec![
                    Cell::Int(count),
                    Cell::Float(Some(temperature)),
                    Cell::Float(humidity),
                    Cell::Float(Some(battery)),
                    Cell::Float(Some(battery + 0.04)),
                ],
            }
        });
        WindowView {
            window: Window { start, end: start + WINDOW },
            is_final: self.is_final,
            rows: rows.collect(),
        }
    }

    /// Partition 2 is silent, the last one is behind.
    fn partition(&self, number: u32, at: EventTime) -> PartitionView {
        let is_silent = number == 2;
        let behind = if is_silent {
            Duration::from_secs(27)
        } else if number + 1 == self.partitions {
            Duration::from_millis(5_800)
        } else {
            Duration::from_millis(180 + u64::from(number) * 140)
        };
        let max_event_time = at - behind;
        let read = u64::from(self.tick * 8 + number * 31) / if is_silent { 3 } else { 1 };
        let (late, not_json, bad_time) = (read / 170, read / 410, read / 930);
        let mut ledger = Ledger { read, late, ..Ledger::default() };
        ledger.dead[1] = not_json;
        ledger.dead[5] = bad_time;
        ledger.windowed = read - late - not_json - bad_time;
        let lag = if number + 1 == self.partitions { 40 + u64::from(self.tick % 11) } else { 0 };
        PartitionView {
            partition: Partition(number),
            worker: number as usize % 2,
            position: Offset(read),
            end: Some(Offset(read + lag)),
            max_event_time: Some(max_event_time),
            // A silent partition stands where its floor was last lifted to.
            watermark: if is_silent {
                (at - Duration::from_secs(6) - WATERMARK).floor_to(Duration::from_secs(1))
            } else {
                max_event_time - WATERMARK
            },
            state: match self.phase {
                Phase::Finished => PartitionState::Finished,
                _ if is_silent => PartitionState::Idle,
                _ => PartitionState::Active,
            },
            bytes_read: 100 * ledger.read,
            last_record_at: Some(if is_silent { at - behind } else { at - TICK }),
            last_readable_at: Some(if is_silent { at - behind } else { at - TICK }),
            first_unreadable: None,
            ledger,
            ledger_before: Ledger::default(),
            skipped: 0,
            skipped_before: 0,
            untimed: 0,
        }
    }

    fn open_windows(
        &self,
        at: EventTime,
        watermark: Option<(EventTime, Partition)>,
    ) -> Vec<OpenWindow> {
        let Some((watermark, partition)) = watermark else { return Vec::new() };
        let mut open = Vec::new();
        let mut start = watermark.floor_to(WINDOW);
        while start < at {
            open.push(OpenWindow {
                window: Window { start, end: start + WINDOW },
                keys: self.keys.len() as u64,
                waits_for: WaitsFor::Partition(partition),
            });
            start = start + WINDOW;
        }
        open
    }
}

/// `devices` keys, sorted, all of one length.
pub(crate) fn device_keys(devices: usize) -> Vec<String> {
    let digits = devices.to_string().len().max(2);
    let places = ["aisle", "bench", "door", "fan", "gate", "lamp", "roof", "tank"];
    let mut keys: Vec<String> = (0..devices)
        .map(|number| format!("{}-{:0digits$}", places[number % places.len()], number + 1))
        .collect();
    keys.sort();
    keys
}
