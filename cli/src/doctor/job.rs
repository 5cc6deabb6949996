//! Whether the job would begin: the job's own checks of its checkpoints, its directories and its log.

use std::sync::{Arc, Mutex, PoisonError};

use strandline_engine::checkpoint::object::ObjectBlobs;
use strandline_engine::checkpoint::{CheckpointError, Checkpoints, catalog};
use strandline_engine::clock::Clock;
use strandline_engine::job::Outlook;
use strandline_engine::report::Report;
use strandline_engine::sink::RunId;
use strandline_engine::source::kafka::KafkaSource;
use strandline_engine::store::Directory;
use strandline_engine::table::Cells;
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;

use super::ANSWER_WITHIN;
use super::findings::Findings;
use crate::options::{Checkpoint, Options};
use crate::program::{Asked, Parts, Program, Trouble, keeping, place};

/// Says whether the directories may be used, and whether what an earlier start kept would be continued.
/// `source` is the job's, where its brokers have answered.
pub(super) fn examine<D, A>(
    program: &Program<D, A>,
    knows_records: bool,
    options: &Options,
    asked: Asked<D>,
    source: Option<KafkaSource>,
    findings: &mut Findings,
) where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    let (clock, out) = (Clock::system(), Directory::local(&options.out));
    let checkpoints = match checkpoints(options, &out, &clock) {
        Ok(checkpoints) => checkpoints,
        Err(trouble) => return findings.refuse("checkpoints", trouble.line_and_code().0),
    };
    let continues = checkpoints.as_ref().is_some_and(|(_, continues)| *continues);
    let existing = place::existing(options, continues);
    if continues {
        let lines = options.without_effect_on_a_checkpoint();
        lines.into_iter().for_each(|line| findings.warn("options", line, ""));
    }
    if let Err(trouble) = place::refuse_rows(options, &out, existing) {
        findings.refuse("outputs", trouble.line_and_code().0);
    }
    let Some(source) = source else { return };
    let said = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&said);
    let parts = Parts {
        windows: asked.windows,
        decoder: asked.decoder,
        source,
        out,
        run: RunId::fresh(&clock),
        later: None,
        following: None,
        // It does not.
        begins: Box::new(|| ()),
        checkpoints: checkpoints.map(|(checkpoints, _)| checkpoints),
        clock: clock.clone(),
        report: Report::new(move |line| {
            hears.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
        }),
    };
    let mut job = program.job(options, parts);
    if !knows_records {
        job = job.with_unknown_records();
    }
    match job.outlook(options.processes) {
        Err(error) | Ok(Outlook::Finished(_, Some(error))) => {
            return findings.refuse("checkpoints", &error.to_string());
        }
        Ok(Outlook::Anew) => findings.ok("checkpoints", "there is none: the job begins anew"),
        Ok(Outlook::Continues(number)) => {
            findings.ok("checkpoints", format!("the job goes on from checkpoint {number}"));
        }
        Ok(Outlook::Finished(number, None)) => findings.ok(
            "checkpoints",
            format!("by checkpoint {number} this run is finished: its summary is said again"),
        ),
    }
    let asked = clock.elapsed();
    match job.check_log(&|| ANSWER_WITHIN < clock.elapsed().saturating_sub(asked)) {
        Ok(()) => findings.ok("log", "it has what the job would read"),
        Err(error) => findings.refuse("log", &error.to_string()),
    }
    for line in said.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        findings.warn("log", line, "");
    }
}

/// How the job would keep its checkpoints, if it would, and whether it would continue one. Every byte of
/// what it would continue is read.
fn checkpoints(
    options: &Options,
    out: &Directory,
    clock: &Clock,
) -> Result<Option<(Checkpoints, bool)>, Trouble> {
    let unusable = |error: &dyn std::fmt::Display| Trouble::Unusable(error.to_string());
    let (Checkpoint::At(place), Some(_)) = (&options.checkpoint, &options.bootstrap) else {
        return Ok(None);
    };
    let blobs = ObjectBlobs::open(place).map_err(|error| unusable(&error))?;
    match catalog::find(&blobs) {
        Err(CheckpointError::NoneVerifies { .. }) if options.fresh => {}
        Err(error) => return Err(unusable(&error)),
        Ok(_) => {}
    }
    let continues = keeping::continues(options, &blobs, out)?;
    let checkpoints = keeping::checkpoints(options, blobs, out, clock);
    let checkpoints = checkpoints.map_err(|error| unusable(&error))?;
    Ok(Some((checkpoints, continues.is_some())))
}
