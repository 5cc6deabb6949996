//! What a manifest of format 2 looks like in a store.
//!
//! Everything is by name: of the sources, the nodes that keep state, and the sinks. A job has one of
//! each today, so what is stored now stays readable when there are more; fields are only added.
//!
//! ```text
//! sources { NAME: identity, shape, partitions [ next_offset, end, max_event_time, floor, … ] }
//! nodes   { NAME: shape, processes [ state [ (key group, section) ], closed … ] }
//! sinks   { NAME: place, processes [ place, staged [ hidden, name, size, checksum … ], pending ] }
//! cut     { epoch, finished, final_rows, components [ sources, closed_before ], totals }
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strandline_operators::time::EventTime;
use strandline_operators::window::KeyGroup;

use super::contradiction::Totals;
use super::{
    CutRecord, FORMAT, Manifest, OutputCut, OutputIdentity, PartitionCut, Pending, ProcessCut,
    Staged,
};
use crate::checkpoint::section::Section;
use crate::source::TopicIdentity;

/// The name of the source.
const SOURCE: &str = "source";
/// The name of the node that keeps windows.
const WINDOWS: &str = "windows";
/// The name of the sink.
const FILES: &str = "files";
/// What of a job's shape is its source's.
const SHAPE_OF_SOURCE: [&str; 3] = ["decoding", "max-future", "watermark"];
/// What of a job's shape is its windows'.
const SHAPE_OF_WINDOWS: [&str; 3] = ["aggregates", "columns", "window"];

type Shape = BTreeMap<String, String>;

/// A manifest as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    format: u32,
    number: u64,
    job: String,
    start: String,
    written_at: EventTime,
    /// What belongs to the whole job.
    shape: Shape,
    sources: BTreeMap<String, StoredSource>,
    nodes: BTreeMap<String, StoredNode>,
    sinks: BTreeMap<String, StoredSink>,
    cut: Option<StoredCut>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredSource {
    identity: TopicIdentity,
    shape: Shape,
    partitions: Vec<PartitionCut>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredNode {
    shape: Shape,
    processes: Vec<StoredState>,
}

/// What the workers of a process keep for a node.
#[derive(Debug, Serialize, Deserialize)]
struct StoredState {
    process: usize,
    workers: usize,
    closed_by_all: EventTime,
    closed_by_some: EventTime,
    final_rows: u64,
    state: Vec<(KeyGroup, Section)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredSink {
    /// Where the process that leads put its rows when this was written.
    place: Option<OutputIdentity>,
    processes: Vec<StoredOutput>,
}

/// What a process has put into a sink.
#[derive(Debug, Serialize, Deserialize)]
struct StoredOutput {
    process: usize,
    place: Option<OutputIdentity>,
    staged: Vec<Staged>,
    pending: Vec<Pending>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredCut {
    epoch: u64,
    finished: bool,
    final_rows: u64,
    components: Vec<StoredComponent>,
    /// What the cut holds. Earlier versions did not count it.
    #[serde(default)]
    totals: Option<Totals>,
}

/// Sources that meet downstream.
#[derive(Debug, Serialize, Deserialize)]
struct StoredComponent {
    sources: Vec<String>,
    /// The greatest event time that any node of it has closed or dropped by.
    closed_before: EventTime,
}

impl From<Manifest> for Stored {
    fn from(manifest: Manifest) -> Stored {
        let Manifest { number, job, start, written_at, mut shape, topic, outputs, cut, .. } =
            manifest;
        let mut part = |names: [&str; 3]| -> Shape {
            names.into_iter().filter_map(|name| shape.remove_entry(name)).collect()
        };
        let (of_source, of_windows) = (part(SHAPE_OF_SOURCE), part(SHAPE_OF_WINDOWS));
        let (mut partitions, mut states, mut sinks) = (Vec::new(), Vec::new(), Vec::new());
        let cut = cut.map(|cut| {
            let totals = Some(Totals::of(&cut));
            partitions = cut.partitions;
            for part in cut.processes {
                let (state, output) = split(part);
                states.push(state);
                sinks.push(output);
            }
            let component = StoredComponent {
                sources: vec![SOURCE.to_owned()],
                closed_before: cut.closed_before,
            };
            StoredCut {
                epoch: cut.epoch,
                finished: cut.finished,
                final_rows: cut.final_rows,
                components: vec![component],
                totals,
            }
        });
        let source = StoredSource { identity: topic, shape: of_source, partitions };
        let node = StoredNode { shape: of_windows, processes: states };
        let sink = StoredSink { place: outputs, processes: sinks };
        Stored {
            format: FORMAT,
            number,
            job,
            start,
            written_at,
            shape,
            sources: [(SOURCE.to_owned(), source)].into(),
            nodes: [(WINDOWS.to_owned(), node)].into(),
            sinks: [(FILES.to_owned(), sink)].into(),
            cut,
        }
    }
}

/// What a process keeps for the windows, and what for the sink.
fn split(part: ProcessCut) -> (StoredState, StoredOutput) {
    let state = StoredState {
        process: part.process,
        workers: part.workers,
        closed_by_all: part.closed_by_all,
        closed_by_some: part.closed_by_some,
        final_rows: part.final_rows,
        state: part.state,
    };
    let OutputCut { staged, pending } = part.outputs;
    let output = StoredOutput { process: part.process, place: part.place, staged, pending };
    (state, output)
}

impl Stored {
    /// What the program works with.
    ///
    /// # Errors
    ///
    /// What is missing, more than a job has, or not what was counted.
    pub(super) fn into_manifest(self) -> Result<Manifest, String> {
        let source = only(self.sources, SOURCE)?;
        let node = only(self.nodes, WINDOWS)?;
        let sink = only(self.sinks, FILES)?;
        let mut shape = self.shape;
        shape.extend(source.shape);
        shape.extend(node.shape);
        let cut = match self.cut {
            None => None,
            Some(cut) => {
                let closed_before =
                    cut.components.iter().map(|component| component.closed_before).max();
                let record = CutRecord {
                    epoch: cut.epoch,
                    finished: cut.finished,
                    closed_before: closed_before.ok_or("its cut has no component")?,
                    final_rows: cut.final_rows,
                    partitions: source.partitions,
                    processes: joined(node.processes, sink.processes)?,
                };
                cut.totals.map_or(Ok(()), |totals| totals.check(&record))?;
                Some(record)
            }
        };
        Ok(Manifest {
            format: self.format,
            number: self.number,
            job: self.job,
            start: self.start,
            written_at: self.written_at,
            shape,
            topic: source.identity,
            outputs: sink.place,
            cut,
        })
    }
}

/// The only entry of a map, which has this name.
fn only<T>(mut map: BTreeMap<String, T>, name: &str) -> Result<T, String> {
    let found = map.remove(name).ok_or_else(|| format!("it has no `{name}`"))?;
    match map.into_keys().next() {
        None => Ok(found),
        Some(other) => Err(format!("it has `{other}` beside `{name}`")),
    }
}

/// What each process keeps.
fn joined(states: Vec<StoredState>, outputs: Vec<StoredOutput>) -> Result<Vec<ProcessCut>, String> {
    let mut outputs: BTreeMap<usize, StoredOutput> =
        outputs.into_iter().map(|output| (output.process, output)).collect();
    let parts = states.into_iter().map(|state| {
        let StoredOutput { place, staged, pending, .. } = outputs
            .remove(&state.process)
            .ok_or_else(|| format!("it does not say what process {} wrote", state.process))?;
        Ok(ProcessCut {
            process: state.process,
            workers: state.workers,
            closed_by_all: state.closed_by_all,
            closed_by_some: state.closed_by_some,
            final_rows: state.final_rows,
            place,
            state: state.state,
            outputs: OutputCut { staged, pending },
        })
    });
    let parts = parts.collect::<Result<_, String>>()?;
    match outputs.into_keys().next() {
        None => Ok(parts),
        Some(process) => Err(format!("it does not say what process {process} keeps of windows")),
    }
}
