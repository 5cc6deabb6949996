//! `doctor`: would a job with these options run, and if not, what is to be done?
//!
//! It looks at what a job needs, in the order in which a job would: the options, the brokers, the
//! topic and some of its newest records, the directories, the ports, what the system allows. Nothing
//! that it looks at is changed: files that it makes are gone when it ends.

mod disk;
mod findings;
mod kafka;
mod look;
mod machine;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use strandline_engine::clock::Clock;
use strandline_operators::decode::{DeadReason, Decode};
use strandline_operators::time::EventTime;
use strandline_sim::command_line::one_line;

use crate::kafka_options;
use crate::options::Options;

use self::findings::Findings;

/// The command `strandline doctor`. It does not know what a job reads of its records: the job's own
/// program does, which takes the same word.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Doctor {
    /// The options of the job, and --json
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    arguments: Vec<OsString>,
}

impl Doctor {
    /// Says it.
    pub fn run(self) -> ExitCode {
        run("strandline", self.arguments, None)
    }
}

/// The word that a program's command line begins with.
pub const DOCTOR: &str = "doctor";
/// The exit code where the job would not run.
const WOULD_NOT_RUN: u8 = 1;
/// The exit code of options that cannot be read.
const UNUSABLE: u8 = 2;

/// How a job reads a payload: its event time, or why it is a dead letter.
pub(crate) type Read<'a> = Box<dyn FnMut(&[u8]) -> Result<EventTime, DeadReason> + 'a>;

/// How a job with this decoder reads a payload.
pub(crate) fn read_by<'a, D: Decode>(decoder: &'a D) -> Read<'a> {
    let mut decoder = decoder.clone();
    Box::new(move |payload| match payload {
        // Ingestion does not ask a decoder for these.
        [] => Err(DeadReason::Empty),
        _ => decoder.decode(payload).map(|decoded| decoded.time),
    })
}

/// Examines what a program named `name` would meet with the arguments after the word `doctor`, and says
/// it on the standard output stream. `read` is how it reads records, if it is known.
pub(crate) fn run(name: &str, arguments: Vec<OsString>, read: Option<Read<'_>>) -> ExitCode {
    let json = arguments.iter().any(|argument| argument == "--json");
    let program = OsString::from(format!("{name} {DOCTOR}"));
    let arguments = arguments.into_iter().filter(|argument| argument != "--json");
    let about = "Says whether a job with these options would run, and if not, what to do. \
                 Takes the options of the job, and --json";
    let line = std::iter::once(program).chain(arguments);
    let options = match Options::read(&format!("{name} {DOCTOR}"), about, line) {
        Ok(options) => options,
        Err(error) if error.use_stderr() => {
            // Nobody to tell: the exit code says it too.
            let _ = writeln!(io::stderr(), "error: {}", one_line(&error));
            return ExitCode::from(UNUSABLE);
        }
        Err(help) => {
            let _ = write!(io::stdout(), "{help}");
            return ExitCode::SUCCESS;
        }
    };
    let mut findings = Findings::new(!json);
    examine(&options, read, &mut findings);
    findings.conclude();
    if findings.is_fine() { ExitCode::SUCCESS } else { ExitCode::from(WOULD_NOT_RUN) }
}

fn examine(options: &Options, read: Option<Read<'_>>, findings: &mut Findings) {
    let clock = Clock::system();
    for secret in &options.secrets_on_command_line {
        findings.warn(
            "secrets",
            format!("{secret} is on the command line"),
            format!("put it into a file and say --kafka-option-file {secret}=FILE"),
        );
    }
    match kafka_options::all(options) {
        Err(error) => findings.fail("options", error, "mend that, and ask again"),
        Ok(kafka_options) => kafka::examine(options, kafka_options, read, &clock, findings),
    }
    disk::examine(options, findings);
    machine::examine(options, findings);
}
