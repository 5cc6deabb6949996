//! What is seen of a running job, and when: final rows pushed, rows committed, live rows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strandline::engine::checkpoint::section::BlobWriter;
use strandline::engine::outputs::{
    Condition, OpenOutputs, Output, OutputCut, OutputError, Outputs, Pending, Recovery, Trouble,
    Visibility,
};
use strandline::engine::sink::FileOutputs;
use strandline::engine::table::Cell;
use strandline::engine::view::{Follower, Heard, View};
use strandline::operators::window::Row;
use strandline_benches::MainRow;

use crate::live_load::device_of;
use crate::now_us;

/// So many rows of a window at a moment.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Sight {
    /// Microseconds since 1970.
    pub(crate) at_us: i64,
    /// The end of the window, milliseconds since 1970.
    pub(crate) end_ms: i64,
    pub(crate) rows: u64,
}

/// What a follower hears of final rows, until the job ends. It has to hear of all of them.
pub(crate) fn follow(mut follower: Follower) -> anyhow::Result<Vec<Sight>> {
    let mut seen = Vec::new();
    loop {
        match follower.next(Duration::from_secs(1)) {
            Heard::Rows(rows) => {
                let at_us = now_us();
                let mut by_window: BTreeMap<i64, u64> = BTreeMap::new();
                for row in rows.iter() {
                    *by_window.entry(row.window.end.as_millis()).or_default() += 1;
                }
                let sights = by_window.into_iter();
                seen.extend(sights.map(|(end_ms, rows)| Sight { at_us, end_ms, rows }));
            }
            Heard::Missed(rows) => anyhow::bail!("the follower missed {rows} rows"),
            Heard::Complete(_) | Heard::Nothing => {}
            Heard::Ended => return Ok(seen),
        }
    }
}

/// The live row of a window and a device, when it was seen with so many records.
#[derive(Copy, Clone, Debug)]
pub(crate) struct LiveSight {
    pub(crate) at_us: i64,
    pub(crate) start_ms: i64,
    pub(crate) device: u64,
    pub(crate) records: u64,
}

/// The live rows of every snapshot, until `over`.
pub(crate) fn watch(view: &View, over: &dyn Fn() -> bool) -> Vec<LiveSight> {
    let mut seen = Vec::new();
    let mut number = view.latest().number;
    while !over() {
        let snapshot = view.newer_than(number, Duration::from_millis(100));
        if snapshot.number == number {
            continue;
        }
        number = snapshot.number;
        let at_us = now_us();
        let Some(window) = &snapshot.window else { continue };
        let start_ms = window.window.start.as_millis();
        for row in window.rows.iter().filter(|_| !window.is_final) {
            let Some(Cell::Int(records)) = row.cells.first() else { continue };
            let records = u64::try_from(*records).unwrap_or(0);
            seen.push(LiveSight { at_us, start_ms, device: device_of(&row.key), records });
        }
    }
    seen
}

/// The files of a job, and when which rows became visible in them.
pub(crate) struct WatchedFiles {
    pub(crate) files: FileOutputs,
    pub(crate) committed: Arc<Mutex<Vec<Sight>>>,
}

impl Outputs<MainRow> for WatchedFiles {
    fn open(&self, process: usize, visibility: Visibility) -> OpenOutputs<MainRow> {
        let OpenOutputs { final_rows, rejected } = self.files.open(process, visibility);
        let final_rows = Box::new(Watched {
            output: final_rows,
            written: BTreeMap::new(),
            listed: BTreeMap::new(),
            committed: Arc::clone(&self.committed),
        });
        OpenOutputs { final_rows, rejected }
    }
}

/// An output of which it is noted when its rows are committed. Its files are complete at each cut.
struct Watched {
    output: Box<dyn Output<Row<MainRow>>>,
    /// Rows by the end of their window, since the last cut.
    written: BTreeMap<i64, u64>,
    /// Those of the cuts that are not committed, by epoch.
    listed: BTreeMap<u64, BTreeMap<i64, u64>>,
    committed: Arc<Mutex<Vec<Sight>>>,
}

impl Output<Row<MainRow>> for Watched {
    fn write(&mut self, rows: &[Row<MainRow>]) -> Result<(), Trouble> {
        for row in rows {
            *self.written.entry(row.window.end.as_millis()).or_default() += 1;
        }
        self.output.write(rows)
    }

    fn tick(&mut self) {
        self.output.tick();
    }

    fn due_in(&self) -> Option<Duration> {
        self.output.due_in()
    }

    fn condition(&self) -> Condition {
        self.output.condition()
    }

    fn enter(&mut self, epoch: u64) {
        self.output.enter(epoch);
    }

    fn seal(&mut self, closing: bool) -> Result<(), Trouble> {
        self.output.seal(closing)
    }

    fn list(&mut self, epoch: u64, blob: &mut BlobWriter) -> OutputCut {
        self.listed.insert(epoch, std::mem::take(&mut self.written));
        self.output.list(epoch, blob)
    }

    fn commit(&mut self, epoch: u64) -> Result<(), OutputError> {
        self.output.commit(epoch)?;
        let at_us = now_us();
        let later = self.listed.split_off(&(epoch + 1));
        let shown = std::mem::replace(&mut self.listed, later).into_values().flatten();
        let mut committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        committed.extend(shown.map(|(end_ms, rows)| Sight { at_us, end_ms, rows }));
        Ok(())
    }

    fn recover(&mut self, recovery: &Recovery) -> Result<(), OutputError> {
        self.output.recover(recovery)
    }

    fn restore(&mut self, pending: &Pending, rows: Vec<&[u8]>) -> Result<(), Trouble> {
        self.output.restore(pending, rows)
    }

    fn finish(&mut self) -> Result<(), Trouble> {
        self.output.finish()
    }
}
