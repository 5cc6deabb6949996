//! What a checkpoint is: a manifest that says where everything is.
//!
//! A manifest is written last, when all that it names is durable, under the next number and only
//! if that number is not taken. The one with the highest number that verifies is the state of the
//! job. Each start writes one as well (a *claim*: the same cut under the next number), so whoever
//! ran before finds its number taken and cannot commit any more.
//!
//! It is a line of JSON, for people too, and a line with its checksum. What is stored is described
//! in `stored`; [`Manifest`] is what the program works with. Manifests of format 1 are read, and
//! are written as format 2. A newer format is refused: it is no damage, and nothing that it names
//! may be removed.

mod contradiction;
mod stored;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strandline_operators::record::{Offset, Partition};
use strandline_operators::time::EventTime;
use strandline_operators::window::KeyGroup;
use xxhash_rust::xxh3::xxh3_64;

use self::stored::Stored;
use super::CheckpointError;
use super::section::Section;
use crate::ledger::Ledger;
use crate::source::{PartitionStart, TopicIdentity};

/// The version of the format of manifests.
pub const FORMAT: u32 = 2;
/// The first format, which is still read.
const FORMAT_1: u32 = 1;
/// The greatest number of a manifest: each start and each checkpoint takes one more.
const NUMBER_MAX: u64 = 1 << 62;
pub(super) const PREFIX: &str = "manifest-";

/// What one cut of a job holds, or that there is none yet.
///
/// Serialised as it is, it is a manifest of format 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format in which it was stored, or is to be: [`FORMAT`].
    pub format: u32,
    /// Its number; each is written once.
    pub number: u64,
    /// Which job this is: the files of its outputs carry it in their names.
    pub job: String,
    /// Which start of a process wrote it: no two write the same.
    pub start: String,
    /// When it was written, civil time.
    pub written_at: EventTime,
    /// What the job computes, by name: what has to be the same for a run that continues it.
    pub shape: BTreeMap<String, String>,
    /// What is read.
    pub topic: TopicIdentity,
    /// Where the process that led put its rows, if that was known. Older versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<OutputIdentity>,
    /// The cut; none before the first.
    pub cut: Option<CutRecord>,
}

/// A directory of outputs, as far as it can be told from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputIdentity {
    /// What a file in it says, which goes with it wherever it is moved to. None if there is no such
    /// file yet.
    pub id: Option<String>,
    /// Where it was.
    pub path: String,
}

impl OutputIdentity {
    /// Whether the rows of `then` are here. One that has lost what it says is another one, also at the
    /// same path: the volume that was there may not be mounted.
    pub fn holds(&self, then: &OutputIdentity) -> bool {
        self.id == then.id && (self.id.is_some() || self.path == then.path)
    }
}

/// A consistent cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutRecord {
    /// Its epoch.
    pub epoch: u64,
    /// Whether it is the end of a bounded run.
    pub finished: bool,
    /// No window that ends at or before this is open anywhere, or may be opened again.
    pub closed_before: EventTime,
    /// Final rows since the first start.
    pub final_rows: u64,
    /// Where each partition is.
    pub partitions: Vec<PartitionCut>,
    /// What each process stored.
    pub processes: Vec<ProcessCut>,
}

/// Where a partition is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionCut {
    /// Which.
    pub partition: Partition,
    /// The next offset to read.
    pub next_offset: Offset,
    /// In a bounded run: where it ends.
    pub end: Option<Offset>,
    /// The greatest event time read.
    pub max_event_time: Option<EventTime>,
    /// What its watermark is never below.
    pub floor: EventTime,
    /// Its watermark.
    pub watermark: EventTime,
    /// Its part of the ledger since the first start.
    pub ledger: Ledger,
    /// Offsets that hold no message.
    pub skipped: u64,
    /// Records whose message had no timestamp.
    pub untimed: u64,
}

impl PartitionCut {
    /// Takes the greatest event time back to `to`. What was closed stays closed: the watermark, `delay`
    /// behind it, is never before that.
    pub(crate) fn lower(&mut self, to: EventTime, closed_before: EventTime, delay: Duration) {
        self.max_event_time = self.max_event_time.map(|time| time.min(to));
        self.floor = self.floor.max(closed_before);
        let of_records = self.max_event_time.map_or(EventTime::MIN, |time| time - delay);
        self.watermark = self.floor.max(of_records);
    }

    /// Of a partition of which so many records were read, all into windows.
    #[cfg(test)]
    pub(crate) fn of_windowed(records: u64) -> PartitionCut {
        let (partition, next_offset) = (Partition(0), Offset(records));
        let start = PartitionStart { partition, next_offset, end: None };
        let ledger = Ledger { read: records, windowed: records, ..Ledger::default() };
        PartitionCut { ledger, ..PartitionCut::begin(start, EventTime::MIN) }
    }

    /// Of a partition that nothing was read of.
    pub(crate) fn begin(start: PartitionStart, floor: EventTime) -> PartitionCut {
        PartitionCut {
            partition: start.partition,
            next_offset: start.next_offset,
            end: start.end,
            max_event_time: None,
            floor,
            watermark: floor,
            ledger: Ledger::default(),
            skipped: 0,
            untimed: 0,
        }
    }
}

/// What one process stored of a cut.
///
/// It crosses from each process to the one that leads, in a format without names: no field may be left
/// out when it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessCut {
    /// Which.
    pub process: usize,
    /// Its workers.
    pub workers: usize,
    /// Windows that end at or before this are closed on all its workers.
    pub closed_by_all: EventTime,
    /// No window that ends after this is closed on any of its workers.
    pub closed_by_some: EventTime,
    /// Final rows since this process started.
    pub final_rows: u64,
    /// Where its outputs are, if that can be told. Format 1 did not say.
    #[serde(default)]
    pub place: Option<OutputIdentity>,
    /// The open windows, by key group; groups without any are left out.
    pub state: Vec<(KeyGroup, Section)>,
    /// What its outputs hold.
    pub outputs: OutputCut,
}

/// What outputs hold of a cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputCut {
    /// Complete files that become visible with the cut.
    pub staged: Vec<Staged>,
    /// Rows that wait for their file to be full or old enough.
    pub pending: Vec<Pending>,
}

impl OutputCut {
    /// Adds what another output holds.
    pub fn append(&mut self, mut other: OutputCut) {
        self.staged.append(&mut other.staged);
        self.pending.append(&mut other.pending);
    }
}

/// A file that is durable and hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// Of which output.
    pub output: Arc<str>,
    /// In which of its folders.
    pub folder: String,
    /// Its hidden name.
    pub hidden: String,
    /// The name that it gets.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Its length, bytes. Format 1 did not say.
    #[serde(default)]
    pub size: Option<u64>,
    /// XXH3 of its bytes. Format 1 did not say.
    #[serde(default)]
    pub checksum: Option<u64>,
}

/// Rows that wait for a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Of which output.
    pub output: Arc<str>,
    /// For which of its folders.
    pub folder: String,
    /// How long the first of them has waited.
    pub age_ms: u64,
    /// The rows.
    pub rows: Vec<Section>,
}

/// The bytes of a manifest that says `json`: that, and a line with its checksum.
pub fn with_checksum(json: &str) -> Vec<u8> {
    let checksum = xxh3_64(json.as_bytes());
    format!("{json}\nxxh3 {checksum:016x}\n").into_bytes()
}

impl Manifest {
    /// The name of the manifest of a number.
    pub fn name(number: u64) -> String {
        format!("{PREFIX}{number:012}")
    }

    /// The number of a manifest, by its name.
    pub fn number_of(name: &str) -> Option<u64> {
        let number = name.strip_prefix(PREFIX)?.parse().ok()?;
        (number <= NUMBER_MAX && Manifest::name(number) == name).then_some(number)
    }

    /// As it is stored, in [`FORMAT`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let stored = Stored::from(self.clone());
        with_checksum(&serde_json::to_string(&stored).expect("plain data can be encoded"))
    }

    /// Reads what was stored as number `number`.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Damaged`], also for one that contradicts itself, and
    /// [`CheckpointError::NewerFormat`] for one that a newer version wrote.
    pub fn from_bytes(number: u64, bytes: &[u8]) -> Result<Manifest, CheckpointError> {
        let damaged =
            |what: String| CheckpointError::Damaged { name: Manifest::name(number), what };
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is no text".into()))?;
        let (json, checksum) = text
            .strip_suffix('\n')
            .and_then(|text| text.split_once("\nxxh3 "))
            .ok_or_else(|| damaged("it is cut short".into()))?;
        if checksum != format!("{:016x}", xxh3_64(json.as_bytes())) {
            return Err(damaged("its checksum does not match".into()));
        }
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let unreadable = |error: serde_json::Error| damaged(format!("it cannot be read: {error}"));
        let Version { format } = serde_json::from_str(json).map_err(unreadable)?;
        let manifest: Manifest = match format {
            FORMAT_1 => serde_json::from_str(json).map_err(unreadable)?,
            FORMAT => {
                let stored: Stored = serde_json::from_str(json).map_err(unreadable)?;
                stored.into_manifest().map_err(damaged)?
            }
            0 => return Err(damaged("it says format 0, and the first is 1".into())),
            _ => return Err(CheckpointError::NewerFormat { name: Manifest::name(number), format }),
        };
        if manifest.number != number {
            return Err(damaged(format!("it says that it is number {}", manifest.number)));
        }
        manifest.cut.as_ref().map_or(Ok(()), contradiction::check).map_err(damaged)?;
        Ok(manifest)
    }

    /// Where the processes put their rows, as far as that is said: each by its number.
    pub fn places(&self) -> impl Iterator<Item = (usize, &OutputIdentity)> {
        let led = self.outputs.iter().map(|place| (0, place));
        let processes = self.cut.iter().flat_map(|cut| &cut.processes);
        led.chain(processes.filter_map(|part| Some((part.process, part.place.as_ref()?))))
    }

    /// The names of the blobs that it needs, each once.
    pub fn blobs(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> =
            self.sections().map(|section| Arc::clone(&section.blob)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// All sections that it needs.
    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        self.cut.iter().flat_map(|cut| &cut.processes).flat_map(|process| {
            let state = process.state.iter().map(|(_, section)| section);
            state.chain(process.outputs.pending.iter().flat_map(|pending| &pending.rows))
        })
    }
}

impl CutRecord {
    /// The ledger of all partitions.
    pub fn ledger(&self) -> Ledger {
        let mut total = Ledger::default();
        for partition in &self.partitions {
            total.add(&partition.ledger);
        }
        total
    }
}

#[cfg(test)]
mod tests;
