//! Where the files of a cut are: which process put them into which place.
//!
//! A place is a directory of outputs, and each process of a job may have one of its own, on another
//! machine. A process shows the files of its own place only. So a start has to hear of every place
//! whose files may still be hidden, or be told that they have been shown or are given up.

use serde::{Deserialize, Serialize};
use strandline_operators::window::LAST_EPOCH;

use super::CheckpointError;
use super::blobs::{self, Blobs};
use super::manifest::Staged;
use super::manifest::{CutRecord, Manifest, OutputIdentity, ProcessCut};
use super::recovery::Recovery;
use crate::run_id::RunId;

/// What the names of reports begin with.
pub(super) const SHOWN_PREFIX: &str = "shown-";

/// Files that are named in a line, a number of files.
const NAMED_MAX: usize = 20;

/// The files of a cut that a process put into its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlacedFiles {
    process: usize,
    /// `None` where that is not known: format 1 did not say.
    place: Option<OutputIdentity>,
    staged: Vec<Staged>,
}

/// What a start has to show, wherever it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Restoration {
    job: RunId,
    /// The number of the manifest: of a start, its claim.
    number: u64,
    epoch: Option<u64>,
    files: Vec<PlacedFiles>,
}

impl Restoration {
    /// What a start from `manifest` has to show.
    pub(crate) fn of(manifest: &Manifest) -> Restoration {
        let cut = manifest.cut.as_ref();
        let files = cut.iter().flat_map(|cut| &cut.processes).map(|process| PlacedFiles {
            process: process.process,
            place: process.place.clone(),
            staged: process.outputs.staged.clone(),
        });
        Restoration {
            job: manifest.job.parse().unwrap_or_default(),
            number: manifest.number,
            epoch: cut.map(|cut| if cut.finished { LAST_EPOCH } else { cut.epoch }),
            files: files.collect(),
        }
    }

    /// The last epoch of which rows are to be shown.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// What the process of this number has to do at its place. Files of which the place is not known
    /// are those of the process with the same number; the others may have them, where processes share
    /// a place.
    pub(crate) fn at(&self, process: usize, here: Option<&OutputIdentity>) -> Recovery {
        let (mut staged, mut elsewhere) = (Vec::new(), Vec::new());
        for files in &self.files {
            let is_here = match (here, &files.place) {
                (Some(here), Some(place)) => here.holds(place),
                _ => files.process == process,
            };
            let unknown = here.is_none() || files.place.is_none();
            if is_here {
                staged.extend(files.staged.iter().cloned());
            } else if unknown {
                elsewhere.extend(files.staged.iter().cloned());
            }
        }
        Recovery { job: self.job, claim: self.number, epoch: self.epoch, staged, elsewhere }
    }
}

/// What a process put into a place that none of `heard` is.
pub(crate) fn unheard<'a>(
    manifest: &'a Manifest,
    heard: &'a [OutputIdentity],
) -> impl Iterator<Item = (&'a OutputIdentity, &'a ProcessCut)> {
    let processes = manifest.cut.iter().flat_map(|cut| &cut.processes);
    let with_files = processes.filter(|process| !process.outputs.staged.is_empty());
    with_files.filter_map(|process| {
        let place = process.place.as_ref()?;
        let is_heard = heard.iter().any(|here| here.holds(place));
        (!is_heard).then_some((place, process))
    })
}

/// What is said of files in a place that is not known, of processes that do not take part in a start
/// of so many: an older version did not say where its outputs are.
pub(crate) fn unknown(manifest: &Manifest, processes: usize) -> Option<String> {
    let all = manifest.cut.iter().flat_map(|cut| &cut.processes);
    let missing = all.filter(|part| part.place.is_none() && processes <= part.process);
    let rows = missing.flat_map(|part| &part.outputs.staged).map(|file| file.rows).sum::<u64>();
    (rows != 0).then(|| {
        format!(
            "checkpoint {} of an older version does not say where {rows} rows of processes that are \
             not started are: they are shown if they are in an --out of this start; otherwise start \
             as many processes as before",
            manifest.number
        )
    })
}

/// The refusal of a start that does not hear of a place.
pub(crate) fn missing(
    store: &dyn Blobs,
    number: u64,
    place: &OutputIdentity,
    process: &ProcessCut,
) -> CheckpointError {
    let staged = &process.outputs.staged;
    CheckpointError::PlaceMissing {
        place: store.place(),
        number,
        process: process.process,
        path: place.path.clone(),
        id: place.id.clone().unwrap_or_default(),
        files: staged.len(),
        rows: staged.iter().map(|file| file.rows).sum(),
    }
}

/// What is said of a place that is given up, and has files that are hidden.
pub(crate) fn given_up(place: &OutputIdentity, process: &ProcessCut) -> String {
    let staged = &process.outputs.staged;
    let rows: u64 = staged.iter().map(|file| file.rows).sum();
    let mut names: Vec<String> = staged
        .iter()
        .take(NAMED_MAX)
        .map(|file| format!("{}/{}/{} ({} rows)", file.output, file.folder, file.name, file.rows))
        .collect();
    if NAMED_MAX < staged.len() {
        names.push(format!("and {} more", staged.len() - NAMED_MAX));
    }
    format!(
        "{rows} rows of process {} in {}, place {}, are given up: {}",
        process.process,
        place.path,
        place.id.as_deref().unwrap_or_default(),
        names.join(", ")
    )
}

/// What is said of a place that a process leaves for another, of which nothing is hidden.
pub(crate) fn left(place: &OutputIdentity, process: usize) -> String {
    format!(
        "process {process} leaves place {} at {}: what is visible there stays there",
        place.id.as_deref().unwrap_or_default(),
        place.path
    )
}

/// Takes from a cut the files of the places of which `gone` says so.
pub(crate) fn forget_files(cut: &mut CutRecord, gone: impl Fn(&OutputIdentity) -> bool) {
    for process in &mut cut.processes {
        if process.place.as_ref().is_some_and(&gone) {
            process.outputs.staged.clear();
        }
    }
}

/// Takes these places, with their files, from a cut: no start hears of them any more.
pub(crate) fn forget_places(cut: &mut CutRecord, gone: &[OutputIdentity]) {
    forget_files(cut, |place| gone.contains(place));
    for process in &mut cut.processes {
        process.place = process.place.take().filter(|place| !gone.contains(place));
    }
}

/// What a start from `manifest` at this place would show: for whoever shows it without a start.
pub fn recovery_at(manifest: &Manifest, here: &OutputIdentity) -> Recovery {
    let mut restoration = Restoration::of(manifest);
    restoration.files.retain(|files| files.place.is_some());
    restoration.at(0, Some(here))
}

/// Reports that all files of the cut of `manifest` are visible at this place, so that a start need
/// not hear of it.
///
/// # Errors
///
/// What the store says.
pub fn report_shown(
    store: &dyn Blobs,
    manifest: &Manifest,
    here: &OutputIdentity,
) -> Result<(), CheckpointError> {
    let id = here.id.clone().unwrap_or_default();
    let name = shown_name(manifest, &id);
    Ok(blobs::put(store, &name, &id.into_bytes().into())?)
}

/// Whether it has been reported that all files of the cut of `manifest` are visible at this place.
pub(crate) fn is_shown(names: &[String], manifest: &Manifest, place: &OutputIdentity) -> bool {
    let Some(id) = &place.id else { return false };
    names.contains(&shown_name(manifest, id))
}

/// The name of a report. It is of a cut, not of a manifest: starts repeat cuts.
fn shown_name(manifest: &Manifest, id: &str) -> String {
    format!("{}{id}", shown_prefix(manifest))
}

fn shown_prefix(manifest: &Manifest) -> String {
    let epoch = manifest.cut.as_ref().map_or(0, |cut| cut.epoch);
    report_prefix(&manifest.job, epoch)
}

fn report_prefix(job: &str, epoch: u64) -> String {
    format!("{SHOWN_PREFIX}{job}-{epoch:020}-")
}

/// Whether a blob is a report that is of none of these cuts, each of a job and an epoch.
pub(crate) fn is_stale_report<'a>(
    name: &str,
    mut cuts: impl Iterator<Item = &'a (String, u64)>,
) -> bool {
    name.starts_with(SHOWN_PREFIX)
        && !cuts.any(|(job, epoch)| name.starts_with(&report_prefix(job, *epoch)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::manifest::{FORMAT, OutputCut};
    use crate::source::TopicIdentity;
    use strandline_operators::time::EventTime;

    fn place(id: &str) -> OutputIdentity {
        OutputIdentity { id: Some(id.into()), path: "/data/out".into() }
    }

    fn staged(name: &str) -> Staged {
        Staged {
            output: "parquet".into(),
            folder: "date=2024-11-03".into(),
            hidden: format!(".{name}"),
            name: name.into(),
            rows: 3,
            size: Some(9),
            checksum: Some(1),
        }
    }

    /// A cut to which each process put a file that is named after it into its place.
    fn manifest(places: &[Option<OutputIdentity>]) -> Manifest {
        let process = |(process, place): (usize, &Option<OutputIdentity>)| ProcessCut {
            process,
            place: place.clone(),
            outputs: OutputCut { staged: vec![staged(&process.to_string())], pending: vec![] },
            ..ProcessCut::default()
        };
        Manifest {
            format: FORMAT,
            number: 7,
            job: "0000000000001-00000002".into(),
            start: "0000000000001-00000002".into(),
            written_at: EventTime::from_millis(1),
            shape: [].into(),
            topic: TopicIdentity::named("t"),
            outputs: places.first().cloned().flatten(),
            cut: Some(CutRecord {
                epoch: 4,
                finished: false,
                closed_before: EventTime::MIN,
                final_rows: 0,
                partitions: vec![],
                processes: places.iter().enumerate().map(process).collect(),
            }),
        }
    }

    fn names(staged: &[Staged]) -> Vec<&str> {
        staged.iter().map(|file| file.name.as_str()).collect()
    }

    #[test]
    fn a_process_shows_the_files_of_its_own_place_only() {
        let manifest = manifest(&[Some(place("a")), Some(place("b")), Some(place("a"))]);
        let restoration = Restoration::of(&manifest);
        // Which process it is now does not matter, and paths are alike on many machines.
        for (here, expected) in [("a", vec!["0", "2"]), ("b", vec!["1"]), ("c", vec![])] {
            let recovery = restoration.at(1, Some(&place(here)));
            assert_eq!(names(&recovery.staged), expected);
            assert_eq!(recovery.elsewhere, []);
        }
    }

    #[test]
    fn files_whose_place_is_not_known_are_missed_by_one_process_at_most() {
        let restoration = Restoration::of(&manifest(&[Some(place("a")), None, None]));
        let first = restoration.at(0, Some(&place("a")));
        assert_eq!((names(&first.staged), names(&first.elsewhere)), (vec!["0"], vec!["1", "2"]));
        let second = restoration.at(1, Some(&place("b")));
        assert_eq!((names(&second.staged), names(&second.elsewhere)), (vec!["1"], vec!["2"]));
    }

    #[test]
    fn a_place_of_which_nobody_is_heard_is_named() {
        let manifest = manifest(&[Some(place("a")), Some(place("b"))]);
        let missing = |heard: &[OutputIdentity]| {
            let unheard = unheard(&manifest, heard);
            unheard.filter_map(|(place, _)| place.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(missing(&[place("a"), place("b")]), [""; 0]);
        assert_eq!(missing(&[place("b"), place("a")]), [""; 0]);
        assert_eq!(missing(&[place("a")]), ["b"]);
        assert_eq!(missing(&[place("a"), place("c")]), ["b"]);
        // A new one in the place of one that is not mounted is at the same path.
        assert_eq!(missing(&[place("new")]), ["a", "b"]);
    }

    #[test]
    fn a_report_is_of_a_cut_and_goes_with_it() {
        let mut manifest = manifest(&[Some(place("a")), Some(place("b"))]);
        let names = [shown_name(&manifest, "b")];
        assert!(is_shown(&names, &manifest, &place("b")));
        assert!(!is_shown(&names, &manifest, &place("a")));
        manifest.number += 1; // a start repeats it
        assert!(is_shown(&names, &manifest, &place("b")));
        let cuts = [(manifest.job.clone(), 4)];
        assert!(!is_stale_report(&names[0], cuts.iter()));
        manifest.cut.as_mut().unwrap().epoch += 1;
        assert!(!is_shown(&names, &manifest, &place("b")));
        let cuts = [(manifest.job.clone(), 5)];
        assert!(is_stale_report(&names[0], cuts.iter()));
        assert!(!is_stale_report("cut-1", cuts.iter()));
    }
}
