//! The job of a program, from its own parts and what the options ask for.

use std::sync::Arc;

use strandline_engine::checkpoint::Checkpoints;
use strandline_engine::clock::Clock;
use strandline_engine::job::Job;
use strandline_engine::report::Report;
use strandline_engine::sink::{FileOutputs, RunId};
use strandline_engine::source::kafka::KafkaSource;
use strandline_engine::store::Directory;
use strandline_engine::table::{Cells, Table};
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;
use strandline_operators::window::Tumbling;

use super::Program;
use super::following_place::FollowingPlace;
use super::settings::{job_options, lowered_event_times, roll, terms};
use crate::deferred_outputs::{DeferredOutputs, Preparation};
use crate::options::Options;

/// What a job needs besides the program and its options.
pub(crate) struct Parts<D> {
    pub(crate) windows: Tumbling,
    /// With the unit of time that records have.
    pub(crate) decoder: D,
    pub(crate) source: KafkaSource,
    pub(crate) out: Directory,
    pub(crate) run: RunId,
    /// What is done in `out` when the job can run.
    pub(crate) later: Option<Preparation>,
    /// The place of a process that does not lead.
    pub(crate) following: Option<FollowingPlace>,
    /// Called when the start can no longer be refused.
    pub(crate) begins: Box<dyn Fn() + Send + Sync>,
    pub(crate) checkpoints: Option<Checkpoints>,
    pub(crate) clock: Clock,
    pub(crate) report: Report,
}

impl<D, A> Program<D, A>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    /// The job, ready to run or to be asked for its outlook.
    pub(crate) fn job(
        &self,
        options: &Options,
        parts: Parts<D>,
    ) -> Job<KafkaSource, D, A, DeferredOutputs> {
        let files = FileOutputs {
            out: parts.out,
            run: parts.run,
            roll: roll(options),
            codec: options.parquet_codec,
            clock: parts.clock,
            report: parts.report.clone(),
            table: Table::clone(&self.table),
            topic: options.topic.clone(),
            windows: parts.windows,
        };
        Job::new(
            parts.source,
            parts.decoder,
            self.aggregate.clone(),
            Arc::new(self.table.clone()),
            DeferredOutputs {
                files,
                takes_place: Box::new(move |runs: &[RunId]| {
                    parts.following.as_ref().map_or(Ok(()), |place| place.take(runs))
                }),
                preparation: parts.later,
                begins: parts.begins,
            },
            job_options(options, parts.windows),
        )
        .with_checkpoints(parts.checkpoints)
        .with_terms(terms(options))
        .with_abandoned_places(options.abandon_place.clone())
        .with_lowered_event_times(lowered_event_times(options))
        .with_report(parts.report)
    }
}
