//! `doctor`: would a job with these options run, and if not, what is to be done?
//!
//! It looks at what a job needs, in the order in which a job would: the options, the brokers, the
//! topic and some of its newest records, the directories, the ports, what the system allows. Nothing
//! that it looks at is changed: files that it makes are gone when it ends.

mod disk;
mod findings;
mod job;
mod kafka;
mod look;
mod machine;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use strandline_dashboard::PageOptions;
use strandline_engine::clock::Clock;
use strandline_engine::reason_words::ReasonWords;
use strandline_engine::table::{Cells, Table};
use strandline_operators::aggregate::{Aggregate, Count};
use strandline_operators::decode::{DeadReason, Decode, JsonFields};
use strandline_operators::time::EventTime;
use strandline_sim::command_line::one_line;

use self::findings::Findings;
use crate::options::Options;
use crate::program::{Asked, Program, UNUSABLE};

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
        let table = Table::new::<(u64,)>("key", "keys", &["count"]);
        let stand_in = Program {
            name: "strandline",
            about: "",
            decoder: JsonFields::new("key", "time", ["value"]),
            aggregate: (Count,),
            page: PageOptions::for_table(&table),
            table,
        };
        run(&stand_in, self.arguments, false)
    }
}

/// The word that a program's command line begins with.
pub const DOCTOR: &str = "doctor";
/// How long the cluster may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// The exit code where the job would not run.
const WOULD_NOT_RUN: u8 = 1;

type ReadPayload<'a> =
    Box<dyn FnMut(&[u8]) -> Result<(EventTime, BTreeSet<String>), DeadReason> + 'a>;

/// How a job reads its records.
struct Read<'a> {
    /// A payload: its event time and which fields it lacks, or why it is a dead letter.
    payload: ReadPayload<'a>,
    /// What that means.
    words: ReasonWords,
}

/// How a job with this decoder reads a payload.
fn read_by<'a, D: Decode>(decoder: &'a D) -> Read<'a> {
    let (words, names, mut decoder) = (ReasonWords::of(decoder), decoder, decoder.clone());
    let payload = move |payload: &[u8]| match payload {
        // Ingestion does not ask a decoder for these.
        [] => Err(DeadReason::Empty),
        _ => decoder.decode(payload).map(|decoded| {
            let absent = names.absent_fields(&decoded.value);
            (decoded.time, absent.into_iter().map(str::to_owned).collect())
        }),
    };
    Read { payload: Box::new(payload), words }
}

/// Examines what a program would meet with the arguments after the word `doctor`, and says it on the
/// standard output stream. `knows_records`: whether it is the job's own program.
pub(crate) fn run<D, A>(
    program: &Program<D, A>,
    arguments: Vec<OsString>,
    knows_records: bool,
) -> ExitCode
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    let json = arguments.iter().any(|argument| argument == "--json");
    let name = format!("{} {DOCTOR}", program.name);
    let arguments = arguments.into_iter().filter(|argument| argument != "--json");
    let about = "Says whether a job with these options would run, and if not, what to do. \
                 Takes the options of the job, and --json";
    let line = std::iter::once(OsString::from(&name)).chain(arguments);
    let options = match Options::read(&name, about, line) {
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
    examine(program, knows_records, &options, &mut findings);
    findings.conclude();
    if findings.is_fine() { ExitCode::SUCCESS } else { ExitCode::from(WOULD_NOT_RUN) }
}

fn examine<D, A>(
    program: &Program<D, A>,
    knows_records: bool,
    options: &Options,
    findings: &mut Findings,
) where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    let clock = Clock::system();
    for secret in &options.secrets_on_command_line {
        findings.warn(
            "secrets",
            format!("{secret} is on the command line"),
            format!("put it into a file and say --kafka-option-file {secret}=FILE"),
        );
    }
    for line in options.without_effect() {
        findings.warn("options", line, "");
    }
    let asked = match Asked::of(&program.decoder, options, &clock) {
        Ok(asked) => Some(asked),
        Err(trouble) => {
            findings.refuse("options", trouble.line_and_code().0);
            None
        }
    };
    let mut source = None;
    if let Some(asked) = &asked {
        let read = knows_records.then(|| read_by(&asked.decoder));
        source = kafka::examine(options, &asked.kafka_options, read, &clock, findings);
    }
    disk::examine(options, findings);
    if let Some(asked) = asked {
        job::examine(program, knows_records, options, asked, source, findings);
    }
    machine::examine(options, findings);
}
