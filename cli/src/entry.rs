//! Where a job's program begins: with its arguments, which ask for the job or for `doctor`.

use std::io::{self, Write};
use std::process::ExitCode;

use strandline_engine::clock::Clock;
use strandline_engine::source::kafka::keep_freed_memory;
use strandline_engine::table::Cells;
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;
use strandline_sim::command_line::one_line;

use crate::doctor::{self, DOCTOR};
use crate::options::Options;
use crate::panics;
use crate::program::{Program, UNUSABLE};
use crate::status::Voice;

impl<D, A> Program<D, A>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    /// Runs with the arguments, environment and files of the process, until it is done or stopped.
    /// Everything that goes wrong is one line on the standard error stream; a panic on any thread
    /// ends the process there and then.
    ///
    /// With `doctor` as its first argument it only says whether a job with the other arguments would
    /// run ([`doctor`]).
    pub fn main(self) -> ExitCode {
        let clock = Clock::system();
        let mut arguments = std::env::args_os().skip(1);
        if arguments.next().is_some_and(|first| first == DOCTOR) {
            return doctor::run(&self, arguments.collect(), true);
        }
        let options = match Options::read_job(self.name, self.about, std::env::args_os()) {
            Ok(options) => options,
            Err(error) if error.use_stderr() => {
                let voice = Voice::new(false);
                voice.warn(&format!("error: {}", one_line(&error)));
                voice.flush();
                return ExitCode::from(UNUSABLE);
            }
            Err(help) => {
                // Whoever has read enough closes the stream.
                let _ = write!(io::stdout(), "{help}");
                return ExitCode::SUCCESS;
            }
        };
        let voice = Voice::new(options.quiet);
        panics::end_the_program(&voice);
        keep_freed_memory();
        let code = match self.run(&options, &clock, &voice) {
            Ok(()) => ExitCode::SUCCESS,
            Err(trouble) => {
                let (line, code) = trouble.line_and_code();
                voice.warn(&format!("error: {line}"));
                ExitCode::from(code)
            }
        };
        voice.flush();
        code
    }
}
