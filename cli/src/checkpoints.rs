//! `strandline checkpoints`: what a job would continue, and whether it is whole.
//!
//! No lock is taken: it can be asked while the job runs. Nothing is changed, but by `recover`, which
//! shows what a checkpoint has committed.

mod inspect;
mod list;
mod recover;
mod verify;

use std::collections::HashMap;
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, SecondsFormat};
use strandline_engine::checkpoint::CheckpointError;
use strandline_engine::checkpoint::blobs::{BlobError, Blobs};
use strandline_engine::checkpoint::manifest::Manifest;
use strandline_engine::checkpoint::object::ObjectBlobs;
use strandline_operators::time::EventTime;

use crate::program::UNUSABLE;

/// The exit code where something is damaged.
const DAMAGED: u8 = 1;

/// Look at the checkpoints of a job
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Checkpoints {
    /// Show which there are, a line for each, the oldest first
    List(Place),
    /// Show what one of them holds
    Inspect(Inspect),
    /// Read every byte, and say what is damaged (exit code 1) and what a start continues
    Verify(Place),
    /// Show the files that the newest checkpoint has committed in a directory of outputs, and report
    /// it, so that a start need not have that directory
    Recover(Recover),
}

/// Where checkpoints are.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// A directory, or a URL such as s3://BUCKET/PREFIX
    #[arg(value_name = "DIR")]
    pub place: String,
    /// Say it in JSON: an object for each line
    #[arg(long)]
    pub json: bool,
}

/// Which checkpoint to show.
#[derive(Clone, Debug, clap::Args)]
pub struct Inspect {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// Its number [default: the newest that verifies]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub number: Option<u64>,
    /// Show the state of each key group
    #[arg(long)]
    pub groups: bool,
}

/// Which files to show.
#[derive(Clone, Debug, clap::Args)]
pub struct Recover {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// The --out of a process that is not to be started again, on the machine where it is
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// What is said, and whether anything is damaged.
struct Answer {
    lines: String,
    damaged: bool,
}

impl Checkpoints {
    /// Answers on the standard output stream. The exit code is 0; 1 where something is damaged; 2
    /// where there are no checkpoints or they cannot be reached, which is one line on the standard
    /// error stream.
    pub fn run(&self) -> ExitCode {
        let (Checkpoints::List(place)
        | Checkpoints::Inspect(Inspect { place, .. })
        | Checkpoints::Recover(Recover { place, .. })
        | Checkpoints::Verify(place)) = self;
        let answer = Store::open(&place.place).and_then(|store| match self {
            Checkpoints::List(_) => list::list(&store, place.json),
            Checkpoints::Inspect(inspect) => inspect::inspect(&store, inspect),
            Checkpoints::Verify(_) => verify::verify(&store, place.json),
            Checkpoints::Recover(recover) => recover::recover(&store, recover),
        });
        match answer {
            Ok(Answer { lines, damaged }) => {
                // Whoever has heard enough closes the stream.
                let _ = std::io::stdout().write_all(lines.as_bytes());
                ExitCode::from(if damaged { DAMAGED } else { 0 })
            }
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "{error}");
                let damaged = matches!(error, CheckpointError::NoneVerifies { .. });
                let code = if damaged || flaw(error).is_ok() { DAMAGED } else { UNUSABLE };
                ExitCode::from(code)
            }
        }
    }
}

/// Blobs, and what they are besides.
struct Store {
    blobs: ObjectBlobs,
    sizes: HashMap<String, u64>,
}

impl Store {
    fn open(place: &str) -> Result<Store, CheckpointError> {
        let blobs = ObjectBlobs::open(place)?;
        let sizes: HashMap<String, u64> =
            blobs.list()?.into_iter().map(|entry| (entry.name, entry.bytes)).collect();
        if !sizes.keys().any(|name| Manifest::number_of(name).is_some()) {
            let (place, reason) = (blobs.place(), "there are no checkpoints".to_owned());
            return Err(BlobError::Failed { place, reason }.into());
        }
        Ok(Store { blobs, sizes })
    }

    fn numbers(&self) -> Vec<u64> {
        let numbers = self.sizes.keys().filter_map(|name| Manifest::number_of(name));
        let mut numbers: Vec<u64> = numbers.collect();
        numbers.sort_unstable();
        numbers
    }

    /// What a checkpoint says; `None` if it was removed meanwhile.
    fn manifest(&self, number: u64) -> Result<Option<Result<Manifest, String>>, CheckpointError> {
        let name = Manifest::name(number);
        let read = match self.blobs.get(&name) {
            Err(BlobError::Absent { .. }) => return Ok(None),
            read => read?,
        };
        Ok(Some(match Manifest::from_bytes(number, &read) {
            Ok(manifest) => match self.missing(&manifest) {
                None => Ok(manifest),
                Some(missing) => Err(format!("{name} needs {missing}, which is missing")),
            },
            Err(error) => Err(flaw(error)?),
        }))
    }

    fn missing(&self, manifest: &Manifest) -> Option<std::sync::Arc<str>> {
        manifest.blobs().into_iter().find(|blob| !self.sizes.contains_key(&**blob))
    }

    /// The size of a checkpoint with all that it needs, some of which others may need too.
    fn bytes(&self, manifest: &Manifest) -> u64 {
        let blobs = manifest.blobs();
        let needed = blobs.iter().filter_map(|blob| self.sizes.get(&**blob));
        needed.chain(self.sizes.get(&Manifest::name(manifest.number))).sum()
    }
}

/// What is wrong with a checkpoint, if it is the checkpoint and not the way to it.
fn flaw(error: CheckpointError) -> Result<String, CheckpointError> {
    match error {
        CheckpointError::Damaged { .. } | CheckpointError::Blobs(BlobError::Absent { .. }) => {
            Ok(error.to_string())
        }
        error => Err(error),
    }
}

/// UTC, as in `2026-01-31T12:00:00.000Z`; `None` where there is no such time.
fn utc(time: EventTime) -> Option<String> {
    let time = DateTime::from_timestamp_millis(time.as_millis())?;
    Some(time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Epoch milliseconds; `None` where nothing is known, or nothing more will come.
fn millis(time: EventTime) -> Option<i64> {
    (time != EventTime::MIN && time != EventTime::MAX).then(|| time.as_millis())
}

fn or_dash<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A size for people.
fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| *unit <= bytes) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

/// Lines of columns, each as wide as its widest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_written_for_people() {
        assert_eq!(utc(EventTime::from_millis(1)).unwrap(), "1970-01-01T00:00:00.001Z");
        assert_eq!((utc(EventTime::MIN), utc(EventTime::MAX)), (None, None));
        assert_eq!([size(1_023), size(1_536), size(3 << 30)], ["1023 B", "1.5 KiB", "3.0 GiB"]);
        let rows = [vec!["a".to_owned(), "bb".to_owned()], vec!["cc".to_owned(), "d".to_owned()]];
        assert_eq!(table(&rows), " a  bb\ncc   d\n");
    }
}
