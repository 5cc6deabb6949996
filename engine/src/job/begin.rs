//! Where a run begins: at a checkpoint, or at the beginning.

use std::collections::BTreeMap;
use std::sync::Arc;

use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;

use super::outlook::{Places, is_finished, was_bounded};
use super::{Job, JobError, Stop};
use crate::checkpoint::catalog::{self, Found, Retention};
use crate::checkpoint::manifest::{CutRecord, FORMAT, Manifest};
use crate::checkpoint::places::{self, Restoration};
use crate::checkpoint::{CheckpointError, Checkpoints};
use crate::clock::Clock;
use crate::clock::date_time;
use crate::epoch::coordinator::Coordinator;
use crate::outputs::Outputs;
use crate::peers::Terms;
use crate::reason_words::ReasonWords;
use crate::source::{PartitionStart, Plan, Source, TopicIdentity};
use crate::table::Cells;
use crate::view::{Snapshot, View};

/// How often a start tries to be the one that continues a job, a number of tries.
const CLAIMS_MAX: usize = 5;

/// What the leading process knows before the workers start.
pub(super) struct Beginning {
    pub(super) plan: Plan,
    pub(super) checkpoint: Option<CheckpointBeginning>,
    /// Whether the run that is continued is finished: what it left hidden is shown.
    pub(super) finished: bool,
    /// Why the run is refused after that.
    pub(super) then: Option<JobError>,
}

/// What it knows of checkpoints.
pub(super) struct CheckpointBeginning {
    /// The manifest that was written for this run.
    pub(super) claim: Manifest,
    /// What is continued.
    pub(super) continued: Option<Arc<Manifest>>,
    pub(super) restoration: Restoration,
    pub(super) retention: Retention,
}

impl<S, D, A, W> Job<S, D, A, W>
where
    S: Source,
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
    W: Outputs<A::Output>,
{
    /// Finds out where the run begins. Everything that can be refused is refused here.
    pub(super) fn begin(
        &self,
        clock: &Clock,
        view: &View,
        stop: &Stop,
    ) -> Result<Beginning, JobError> {
        for _ in 1..CLAIMS_MAX {
            match self.try_to_begin(clock, view, stop) {
                // A request of the run before may arrive late: what it says counts too.
                Err(JobError::Checkpoint(CheckpointError::TakenOver { .. })) => {}
                result => return result,
            }
        }
        self.try_to_begin(clock, view, stop)
    }

    fn try_to_begin(&self, clock: &Clock, view: &View, stop: &Stop) -> Result<Beginning, JobError> {
        let stopped = || stop.is_requested();
        let Some(checkpoints) = &self.checkpoints else {
            let plan = self.source.plan(&[], &stopped)?;
            return Ok(Beginning { plan, checkpoint: None, finished: false, then: None });
        };
        let found = match catalog::find(&*checkpoints.blobs) {
            // Nothing of them is needed.
            Err(CheckpointError::NoneVerifies { .. }) if checkpoints.fresh => {
                let last_number = catalog::last_number(&*checkpoints.blobs)?;
                Found { last_number, ..Found::default() }
            }
            found => found?,
        };
        let continued = self.continued(checkpoints, &found)?;
        if let Some(cut) = continued.as_ref().and_then(|manifest| manifest.cut.as_ref()) {
            self.show_continued(cut, clock, view);
        }
        let finished = continued.as_ref().is_some_and(is_finished);
        let (plan, then) = match &continued {
            // Nothing is read.
            Some(manifest) if finished => {
                let place = checkpoints.blobs.place();
                let then =
                    (!self.source.is_bounded()).then(|| CheckpointError::Finished { place }.into());
                (Plan { topic: manifest.topic.clone(), partitions: Vec::new() }, then)
            }
            Some(manifest) => (self.plan_of(checkpoints, manifest, &stopped)?, None),
            None => (self.source.plan(&[], &stopped)?, None),
        };
        let claim = Manifest {
            format: FORMAT,
            number: found.last_number + 1,
            job: continued
                .as_ref()
                .map_or_else(|| checkpoints.start.to_string(), |manifest| manifest.job.clone()),
            start: checkpoints.start.to_string(),
            written_at: clock.wall(),
            shape: self.shape(checkpoints),
            topic: plan.topic.clone(),
            outputs: checkpoints.outputs.clone(),
            cut: continued.as_ref().and_then(|manifest| manifest.cut.clone()),
        };
        catalog::put_manifest(&*checkpoints.blobs, &claim)?;
        let blobs = &*checkpoints.blobs;
        let mut retention = Retention::survey(blobs, checkpoints.keep, claim.number)?;
        // Also where this run gets no further: one that is started again and again would pile claims up.
        retention.prune(blobs, &self.report);
        let restoration = Restoration::of(&claim);
        let continued = continued.map(Arc::new);
        let checkpoint = CheckpointBeginning { claim, continued, restoration, retention };
        Ok(Beginning { plan, checkpoint: Some(checkpoint), finished, then })
    }

    /// Shows what the job has come to, before the log is asked: it may not answer for a while.
    fn show_continued(&self, cut: &CutRecord, clock: &Clock, view: &View) {
        let coordinator = Coordinator::new(self.options.watermark, 1, Some(cut));
        let latest = view.latest();
        view.publish(Snapshot {
            at: clock.wall(),
            reason_words: ReasonWords::of(&self.decoder),
            watermark: coordinator.watermarks().minimum(),
            ledger: coordinator.ledger(),
            epoch: cut.epoch,
            final_rows: cut.final_rows,
            final_rows_before: cut.final_rows,
            partitions: coordinator.partitions(),
            ..Snapshot::clone(&latest)
        });
    }

    /// What is read by a run that continues `manifest`.
    pub(super) fn plan_of(
        &self,
        checkpoints: &Checkpoints,
        manifest: &Manifest,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Plan, JobError> {
        let place = checkpoints.blobs.place();
        self.refuse_other_mode(checkpoints, manifest)?;
        let kept = manifest.cut.as_ref().map(starts).unwrap_or_default();
        let was_bounded = was_bounded(manifest);
        let mut plan = self.source.plan(&kept, stopped)?;
        if manifest.cut.is_some() {
            same_topic(checkpoints, &manifest.topic, &plan.topic, &kept, &plan.partitions)?;
        }
        let continued = |start: &PartitionStart| {
            let kept = kept.iter().find(|kept| kept.partition == start.partition);
            kept.copied()
        };
        if was_bounded {
            // It reads what there was when it was started first.
            plan.partitions.retain(|start| continued(start).is_some());
        }
        for start in &mut plan.partitions {
            let (Some(kept), Some(end)) = (continued(start), start.end) else { continue };
            let read = ("has read up to", kept.next_offset);
            let is_to_read = ("is to read up to", kept.end.unwrap_or(kept.next_offset));
            if let Some((what, offset)) =
                [read, is_to_read].into_iter().find(|(_, offset)| end < *offset)
            {
                let (topic, partition) = (self.source.topic().to_owned(), start.partition);
                return Err(CheckpointError::LogCutBack {
                    place,
                    topic,
                    partition,
                    end,
                    what,
                    offset,
                }
                .into());
            }
            // A bounded run that is continued ends where it was to end.
            start.end = kept.end.or(start.end);
        }
        Ok(plan)
    }

    /// What the run continues.
    fn continued(
        &self,
        checkpoints: &Checkpoints,
        found: &Found,
    ) -> Result<Option<Manifest>, JobError> {
        let Some(newest) = &found.newest else {
            self.say_without_effect("there is no checkpoint to continue");
            return Ok(None);
        };
        let place = checkpoints.blobs.place();
        if checkpoints.fresh {
            let left = newest.cut.as_ref().map_or_else(String::new, |cut| {
                format!(
                    " (epoch {}, {} records read, {} final rows)",
                    cut.epoch,
                    cut.ledger().read,
                    cut.final_rows
                )
            });
            let number = newest.number;
            self.report.news(&format!(
                "starting over: checkpoint {number} in {place}{left} is left behind, and so are \
                 the rows that were written by it"
            ));
            self.say_without_effect("--fresh continues no checkpoint");
            return Ok(None);
        }
        for damaged in &found.damaged {
            self.report.say(&format!(
                "{place}: {damaged}; going on from checkpoint {} instead",
                newest.number
            ));
        }
        if newest.cut.is_none() {
            // A start that came no further than its claim has read nothing that counts, so nothing of
            // this start can contradict it. The name of its job is kept: by that, what it left
            // hidden is found and removed.
            self.say_without_effect("there is no checkpoint to continue");
            return Ok(Some(newest.clone()));
        }
        self.refuse_other_job(checkpoints, newest)?;
        self.refuse_unknown_rows(checkpoints, newest)?;
        let mut continued = newest.clone();
        let Places { over, notices } = self.hear_of_places(checkpoints, &continued)?;
        notices.iter().for_each(|notice| self.report.say(notice));
        if let Some(cut) = &mut continued.cut {
            places::forget_places(cut, &over);
        }
        self.lower_event_times(&mut continued);
        if is_finished(&continued) && self.source.is_bounded() {
            self.report.news(&format!(
                "{place}: this bounded run is finished; what it came to is said again. To read what \
                 has come since, start over with --fresh"
            ));
        }
        Ok(Some(continued))
    }

    /// Says which options have no effect where no checkpoint is continued.
    fn say_without_effect(&self, why: &str) {
        for (option, is_given) in [
            ("--lower-event-time", !self.lowered.is_empty()),
            ("--abandon-place", !self.abandoned.is_empty()),
        ] {
            if is_given {
                self.report.say(&format!("{option} has no effect: {why}; leave it out"));
            }
        }
    }

    /// Puts the partitions right that a wrong clock has dragged ahead, as far as they hold no window
    /// closed.
    fn lower_event_times(&self, continued: &mut Manifest) {
        let Some(cut) = &mut continued.cut else { return };
        let closed_before = cut.closed_before;
        for (number, &to) in &self.lowered {
            let Some(partition) = cut.partitions.iter_mut().find(|cut| cut.partition == *number)
            else {
                self.report.say(&format!(
                    "--lower-event-time: the checkpoint does not know partition {}",
                    number.0
                ));
                continue;
            };
            let Some(before) = partition.max_event_time.filter(|time| to < *time) else { continue };
            partition.lower(to, closed_before, self.options.watermark);
            let time = |time| date_time(time).unwrap_or_else(|| "nowhere".to_owned());
            self.report.say(&format!(
                "partition {}: its greatest event time was {}, and is {} from here on; its watermark is \
                 {}, because no window that is closed is opened again. Leave --lower-event-time out at \
                 the next start",
                number.0,
                time(before),
                time(to),
                time(partition.watermark),
            ));
        }
    }

    /// What has to be the same in all processes of a job. Each of them has `workers` workers.
    pub(super) fn terms_of_processes(&self, workers: usize) -> Terms {
        let checkpoints = self.checkpoints.as_ref();
        let mut terms = self.terms.clone();
        terms.extend(self.own_shape());
        terms.extend(checkpoints.map(|kept| kept.shape.clone()).unwrap_or_default());
        let others = [
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("topic", self.source.topic().to_owned()),
            ("idle-after", format!("{:?}", self.options.idle_after)),
            // Not of the shape: both are also there to put a job right that goes on.
            ("max-past", format!("{:?}", self.options.max_past)),
            ("max-future-by", format!("{:?}", self.options.future_by_clock)),
            ("workers", workers.to_string()),
            ("checkpoint", checkpoints.map_or("none".to_owned(), |kept| kept.blobs.place())),
        ];
        terms.extend(others.map(|(name, value)| (name.to_owned(), value)));
        terms
    }

    /// What has to be the same for a run that continues another.
    pub(super) fn shape(&self, checkpoints: &Checkpoints) -> BTreeMap<String, String> {
        self.own_shape().chain(checkpoints.shape.clone()).collect()
    }

    fn own_shape(&self) -> impl Iterator<Item = (String, String)> + use<S, D, A, W> {
        let options = &self.options;
        let columns = self.table.columns.iter().map(|(name, column)| format!("{name} {column:?}"));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let own = [
            ("decoding", self.decoder.shape()),
            ("aggregates", self.aggregate.shape()),
            ("columns", format!("{}: {columns}", self.table.key)),
            ("window", format!("{:?}", options.windows.size())),
            ("watermark", format!("{:?}", options.watermark)),
            ("max-future", format!("{:?}", options.max_future)),
        ];
        own.into_iter().map(|(name, value)| (name.to_owned(), value))
    }
}

/// Where the partitions of a cut go on.
fn starts(cut: &CutRecord) -> Vec<PartitionStart> {
    let start = |cut: &crate::checkpoint::manifest::PartitionCut| PartitionStart {
        partition: cut.partition,
        next_offset: cut.next_offset,
        end: cut.end,
    };
    cut.partitions.iter().map(start).collect()
}

/// Whether a checkpoint is of the topic that was found, as far as that can be told.
fn same_topic(
    checkpoints: &Checkpoints,
    then: &TopicIdentity,
    now: &TopicIdentity,
    kept: &[PartitionStart],
    found: &[PartitionStart],
) -> Result<(), CheckpointError> {
    let mut differences = Vec::new();
    let pairs = [("cluster", &then.cluster, &now.cluster), ("id of the topic", &then.id, &now.id)];
    for (what, then, now) in pairs {
        if let (Some(then), Some(now)) = (then, now)
            && then != now
        {
            differences.push(format!("{what} {then} (here {now})"));
        }
    }
    let missing = kept.iter().find(|kept| !found.iter().any(|f| f.partition == kept.partition));
    if let Some(missing) = missing {
        differences.push(format!("partition {} (here there is none)", missing.partition.0));
    }
    if differences.is_empty() {
        return Ok(());
    }
    let place = checkpoints.blobs.place();
    Err(CheckpointError::OtherJob { place, differences: differences.join("; ") })
}
