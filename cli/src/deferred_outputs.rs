//! Outputs whose directory is made ready when the job is about to run.
//!
//! Before that, a start may still be refused: the topic is misspelt, another job has the checkpoints.
//! It has removed nothing then.

use std::sync::Arc;

use serde_json::Value;
use strandline_engine::outputs::{OpenOutputs, Outputs, PlaceRefusal, Trouble, Visibility};
use strandline_engine::sink::{self, Existing, FileOutputs, RunId};

/// What is done in a directory when the job can run.
#[derive(Debug)]
pub(crate) enum Preparation {
    /// By the process that leads: what is to be done about rows of an earlier run, and `latest.json`
    /// until there is more to say.
    Leading(Existing, Value),
    /// By another process, where the job begins anew: what earlier runs left half done is removed, and
    /// where it replaces, their rows too.
    Following {
        /// Whether it does.
        replaces: bool,
    },
}

/// Takes the place of a process that does not lead.
pub(crate) type TakesPlace = Box<dyn Fn(&[RunId]) -> Result<(), PlaceRefusal> + Send + Sync>;

/// See the module.
pub(crate) struct DeferredOutputs {
    pub(crate) files: FileOutputs,
    /// Called when all processes have met, in those that do not lead, with the runs of all.
    pub(crate) takes_place: TakesPlace,
    /// `None` where all is ready.
    pub(crate) preparation: Option<Preparation>,
    /// Called first, when the start can no longer be refused.
    pub(crate) begins: Box<dyn Fn() + Send + Sync>,
}

impl<O> Outputs<O> for DeferredOutputs
where
    FileOutputs: Outputs<O>,
{
    fn run(&self) -> Option<RunId> {
        self.files.run()
    }

    fn take_place(&self, runs: &[RunId]) -> Result<(), PlaceRefusal> {
        (self.takes_place)(runs)
    }

    fn prepare(&self, runs: &[RunId]) -> Result<(), Trouble> {
        (self.begins)();
        let out = &self.files.out;
        match &self.preparation {
            None => Ok(()),
            Some(Preparation::Leading(existing, latest)) => {
                sink::prepare(out, *existing, Some(latest))
            }
            Some(Preparation::Following { replaces: true }) => sink::remove_earlier(out, runs),
            Some(Preparation::Following { replaces: false }) => sink::remove_abandoned(out, runs),
        }
        .map_err(|error| Arc::new(error) as Trouble)
    }

    fn refuses(&self, output: &str, folder: &str) -> Option<String> {
        self.files.refuses(output, folder)
    }

    fn open(&self, process: usize, visibility: Visibility) -> OpenOutputs<O> {
        self.files.open(process, visibility)
    }
}
