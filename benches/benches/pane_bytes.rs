//! How much memory a pane takes: key, window, partial aggregate, provenance, and everything that is
//! kept so that they are found. Bytes asked of the allocator, so free room at the ends of lists and
//! tables counts, and what the allocator rounds up does not.
//!
//! One worker, one record a key and window, keys of 13 bytes, all of one partition, by the number of
//! keys and of windows that are open. What a key costs once (its name here and at the sender, the
//! sender's slot) is spread over its panes.
//!
//! Where `STRANDLINE_RESULTS` names a folder, and the bench is not only tried, `memory.json` there holds
//! the figures, and `memory.md` a table of them.

use std::alloc::System;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use strandline::operators::decode::Metrics;
use strandline::operators::record::{Events, Offset, Partition};
use strandline::operators::time::EventTime;
use strandline_benches::MainPartial;
use strandline_benches::machine::Machine;
use strandline_benches::results;
use strandline_benches::state::{Held, MainPane};
use strandline_benches::workload::{BATCH_RECORDS, WINDOW, scaled};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BEGIN: EventTime = EventTime::from_millis(1_730_638_570_000);

/// What the bench came to.
#[derive(Serialize)]
struct Document {
    bench: &'static str,
    machine: Machine,
    partial_bytes: usize,
    stored_pane_bytes: usize,
    figures: Vec<Figures>,
}

#[derive(Serialize)]
struct Figures {
    keys: u64,
    open_windows: u64,
    /// A pane's: of all of them together, divided by their number.
    pane_bytes: f64,
}

fn main() {
    let mut figures = Vec::new();
    for keys in [1_000, 100_000, 1_000_000, 1_100_000].map(scaled) {
        for open_windows in [1, 2, 7] {
            let bytes = timely::execute_directly(move |worker| bytes(worker, keys, open_windows));
            let pane_bytes = bytes as f64 / (keys * open_windows) as f64;
            figures.push(Figures { keys, open_windows, pane_bytes });
        }
    }
    let document = Document {
        bench: "memory",
        machine: Machine::this(),
        partial_bytes: size_of::<MainPartial>(),
        stored_pane_bytes: size_of::<MainPane>(),
        figures,
    };
    results::write("memory", &document, &document.table());
}

impl Document {
    fn table(&self) -> String {
        let mut text = format!(
            "Bytes of memory for a pane: its key, window, partial result, provenance, and all that \
             finds them. A partial result alone has {} bytes; a pane as it is stored, {} and its key. \
             Counted by the allocator, so the same in every run. {}\n\n\
             | keys | open windows | bytes a pane |\n|---|---|---|\n",
            self.partial_bytes,
            self.stored_pane_bytes,
            self.machine.text("")
        );
        for Figures { keys, open_windows, pane_bytes } in &self.figures {
            let _ = writeln!(text, "| {keys} | {open_windows} | {pane_bytes:.0} |");
        }
        text
    }
}

/// The bytes that the panes of so many keys and windows take.
fn bytes(worker: &mut timely::worker::Worker, keys: u64, windows: u64) -> usize {
    let mut held = Held::empty(worker);
    let region = Region::new(ALLOCATOR);
    let mut offset = 0;
    for window in 0..windows {
        let time = BEGIN + WINDOW * u32::try_from(window).unwrap_or(0) + Duration::from_secs(1);
        let mut key = 0;
        while key < keys {
            let mut batch = Events::default();
            for key in key..keys.min(key + BATCH_RECORDS as u64) {
                let value = Metrics::from([Some(21.5), Some(50.1), Some(80.0)]);
                let name = format!("device-{key:06x}");
                batch.push(&name, time, Partition(0), Offset(offset), value);
                offset += 1;
            }
            key += BATCH_RECORDS as u64;
            held.take(worker, batch);
        }
    }
    let change = region.change();
    change.bytes_allocated - change.bytes_deallocated
}
