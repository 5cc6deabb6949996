//! Whether a run can begin, as far as that can be told before it does: what refuses a start, and what
//! says of a job that it would run, are the same functions.

use std::collections::{BTreeMap, BTreeSet};

use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;

use super::{Job, JobError};
use crate::checkpoint::catalog;
use crate::checkpoint::manifest::{Manifest, OutputIdentity};
use crate::checkpoint::{CheckpointError, Checkpoints, own_place, places};
use crate::outputs::Outputs;
use crate::source::Source;
use crate::table::Cells;

/// What only those can compare who know what is read of records, and computed of them.
const OF_RECORDS: [&str; 3] = ["decoding", "aggregates", "columns"];

/// What a start would do with what an earlier one has kept.
#[derive(Debug)]
pub enum Outlook {
    /// There is nothing that it would continue.
    Anew,
    /// It would continue the checkpoint of this number.
    Continues(u64),
    /// The run of this checkpoint is finished: a start shows what it left hidden and reads nothing. Then
    /// it is refused, if it is not bounded.
    Finished(u64, Option<JobError>),
}

/// The places that a checkpoint names, as a start meets them.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Those whose files no start has to hear of any more.
    pub(super) over: Vec<OutputIdentity>,
    /// What there is to be said of them.
    pub(super) notices: Vec<String>,
}

impl<S, D, A, W> Job<S, D, A, W>
where
    S: Source,
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
    W: Outputs<A::Output>,
{
    /// What a start of so many processes would do, as far as that can be told without the log and the
    /// other processes. Nothing is touched, and nothing is said. Of what a checkpoint needs, nothing is
    /// read ([`catalog::find`] does).
    ///
    /// # Errors
    ///
    /// Why it would be refused.
    pub fn outlook(&self, processes: usize) -> Result<Outlook, JobError> {
        let Some((checkpoints, manifest)) = self.newest()? else { return Ok(Outlook::Anew) };
        self.refuse_other_job(checkpoints, &manifest)?;
        self.refuse_unknown_rows(checkpoints, &manifest)?;
        if processes == 1 {
            self.hear_of_places(checkpoints, &manifest)?;
        }
        if is_finished(&manifest) {
            let then = (!self.source.is_bounded())
                .then(|| CheckpointError::Finished { place: checkpoints.blobs.place() }.into());
            return Ok(Outlook::Finished(manifest.number, then));
        }
        self.refuse_other_mode(checkpoints, &manifest)?;
        Ok(Outlook::Continues(manifest.number))
    }

    /// Looks whether the log has what a start would read. Nothing is touched.
    ///
    /// # Errors
    ///
    /// Why it would be refused; a stop.
    pub fn check_log(&self, stopped: &dyn Fn() -> bool) -> Result<(), JobError> {
        match self.newest()? {
            Some((_, manifest)) if is_finished(&manifest) => {}
            Some((checkpoints, manifest)) => drop(self.plan_of(checkpoints, &manifest, stopped)?),
            None => drop(self.source.plan(&[], stopped)?),
        }
        Ok(())
    }

    /// The newest manifest that can be read, if it is to be continued and holds a cut: a claim alone
    /// has nothing to be continued.
    fn newest(&self) -> Result<Option<(&Checkpoints, Manifest)>, JobError> {
        let Some(checkpoints) = self.checkpoints.as_ref().filter(|kept| !kept.fresh) else {
            return Ok(None);
        };
        let newest = catalog::newest(&*checkpoints.blobs)?;
        let newest = newest.filter(|manifest| manifest.cut.is_some());
        Ok(newest.map(|manifest| (checkpoints, manifest)))
    }

    /// A checkpoint of another topic, or of a job that computes something else.
    pub(super) fn refuse_other_job(
        &self,
        checkpoints: &Checkpoints,
        manifest: &Manifest,
    ) -> Result<(), JobError> {
        let (then, now) = (&manifest.shape, self.shape(checkpoints));
        let is_known = |name: &str| self.knows_records || !OF_RECORDS.contains(&name);
        let mut differences = differences(then, &now, is_known);
        let (then, now) = (&manifest.topic.name, self.source.topic());
        if then != now {
            differences.push(format!("topic {then} (here {now})"));
        }
        if differences.is_empty() {
            return Ok(());
        }
        let (place, differences) = (checkpoints.blobs.place(), differences.join("; "));
        Err(CheckpointError::OtherJob { place, differences }.into())
    }

    /// A checkpoint with rows that no output of this job would take back: they would be lost.
    pub(super) fn refuse_unknown_rows(
        &self,
        checkpoints: &Checkpoints,
        manifest: &Manifest,
    ) -> Result<(), JobError> {
        let processes = manifest.cut.iter().flat_map(|cut| &cut.processes);
        for outputs in processes.map(|process| &process.outputs) {
            let staged = outputs.staged.iter().map(|file| (&file.output, &file.folder, file.rows));
            let pending = outputs.pending.iter().map(|pending| {
                let rows = pending.rows.iter().map(|section| section.records).sum();
                (&pending.output, &pending.folder, rows)
            });
            for (output, folder, rows) in staged.chain(pending) {
                if let Some(why) = self.outputs.refuses(output, folder) {
                    let (place, number) = (checkpoints.blobs.place(), manifest.number);
                    return Err(CheckpointError::UnknownRows { place, number, rows, why }.into());
                }
            }
        }
        Ok(())
    }

    /// A bounded run that is not to be continued as one.
    pub(super) fn refuse_other_mode(
        &self,
        checkpoints: &Checkpoints,
        manifest: &Manifest,
    ) -> Result<(), JobError> {
        match was_bounded(manifest) && !self.source.is_bounded() {
            true => Err(CheckpointError::OtherMode { place: checkpoints.blobs.place() }.into()),
            false => Ok(()),
        }
    }

    /// Refuses a start while files may be hidden in a place that no process of it has, and one in which
    /// a process has another place than it had. Those of places where they have been shown, or that are
    /// given up, are over.
    pub(super) fn hear_of_places(
        &self,
        checkpoints: &Checkpoints,
        continued: &Manifest,
    ) -> Result<Places, JobError> {
        let mut found = Places::default();
        // Where nothing is known of the place of this process, a test or a simulation knows more.
        let Some(here) = checkpoints.outputs.clone() else { return Ok(found) };
        let all: Vec<Option<OutputIdentity>> =
            std::iter::once(Some(here)).chain(self.places.iter().cloned()).collect();
        let heard: Vec<OutputIdentity> = all.iter().flatten().cloned().collect();
        found.notices.extend(places::unknown(continued, all.len()));
        found.notices.extend(self.abandoned_in_vain(continued, &heard));
        let blobs = &*checkpoints.blobs;
        let entries = blobs.list().map_err(CheckpointError::from)?;
        let names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
        for (place, process) in places::unheard(continued, &heard) {
            if !places::is_shown(&names, continued, place) {
                let is_abandoned = |id: &String| self.abandoned.contains(id);
                if !place.id.as_ref().is_some_and(is_abandoned) {
                    return Err(places::missing(blobs, continued.number, place, process).into());
                }
                found.notices.push(places::given_up(place, process));
            }
            found.over.push(place.clone());
        }
        for (process, place) in own_place::check_all(blobs, continued, &all, &self.abandoned)? {
            if !found.over.contains(place) {
                found.notices.push(places::left(place, process));
                found.over.push(place.clone());
            }
        }
        Ok(found)
    }

    /// What is said of places that are to be given up, and are none or are not given up.
    fn abandoned_in_vain(&self, continued: &Manifest, heard: &[OutputIdentity]) -> Vec<String> {
        let mut said = Vec::new();
        for id in &self.abandoned {
            let is = |place: &OutputIdentity| place.id.as_ref() == Some(id);
            let why = if heard.iter().any(is) {
                "a process of this start has that place as its --out".to_owned()
            } else if continued.places().any(|(_, place)| is(place)) {
                continue;
            } else {
                format!("checkpoint {} names no such place", continued.number)
            };
            said.push(format!("--abandon-place {id} has no effect: {why}; leave it out"));
        }
        said
    }
}

/// What differs, in words.
fn differences(
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
    is_known: impl Fn(&str) -> bool,
) -> Vec<String> {
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let names = names.into_iter().filter(|name| is_known(name));
    let value = |of: &BTreeMap<String, String>, name: &String| {
        of.get(name).map_or_else(|| "nothing".to_owned(), String::clone)
    };
    let differing = names.filter(|name| then.get(*name) != now.get(*name));
    differing
        .map(|name| format!("{name} {} (here {})", value(then, name), value(now, name)))
        .collect()
}

pub(super) fn is_finished(manifest: &Manifest) -> bool {
    manifest.cut.as_ref().is_some_and(|cut| cut.finished)
}

/// Whether it is of a run that is to end where the partitions ended at its start.
pub(super) fn was_bounded(manifest: &Manifest) -> bool {
    let cut = manifest.cut.as_ref();
    cut.is_some_and(|cut| cut.partitions.iter().any(|partition| partition.end.is_some()))
}
