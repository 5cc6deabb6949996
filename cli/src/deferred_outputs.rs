//! Outputs whose directory is made ready when the job is about to run.
//!
//! Before that, a start may still be refused: the topic is misspelt, another job has the checkpoints.
//! It has removed nothing then.

use std::sync::Arc;

use serde_json::Value;
use strandline_engine::outputs::{OpenOutputs, Outputs, Trouble, Visibility};
use strandline_engine::sink::{self, Existing, FileOutputs, RunId};

/// See the module.
pub(crate) struct DeferredOutputs {
    pub(crate) files: FileOutputs,
    /// What to do about rows of an earlier run, and `latest.json` until there is more to say;
    /// `None` where all is ready.
    pub(crate) prepare: Option<(Existing, Value)>,
}

impl<O> Outputs<O> for DeferredOutputs
where
    FileOutputs: Outputs<O>,
{
    fn prepare(&self, _runs: &[RunId]) -> Result<(), Trouble> {
        let Some((existing, latest)) = &self.prepare else { return Ok(()) };
        sink::prepare(&self.files.out, *existing, Some(latest))
            .map_err(|error| Arc::new(error) as Trouble)
    }

    fn open(&self, process: usize, visibility: Visibility) -> OpenOutputs<O> {
        self.files.open(process, visibility)
    }
}
