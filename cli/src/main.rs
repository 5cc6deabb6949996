//! The program `strandline`: what is to be done around jobs. A job is a program of its own (see
//! `strandline::program`).

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use strandline::checkpoints::Checkpoints;
use strandline::supervise::{SUPERVISED, Supervise, Supervised};

/// What is to be done around Strandline jobs
#[derive(Debug, Parser)]
#[command(name = "strandline", version, disable_help_subcommand = true)]
enum Strandline {
    Supervise(Supervise),
    #[command(subcommand)]
    Checkpoints(Checkpoints),
    #[command(name = SUPERVISED, hide = true)]
    Supervised(Supervised),
}

fn main() -> ExitCode {
    match Strandline::try_parse() {
        Ok(Strandline::Supervise(supervise)) => supervise.run(),
        Ok(Strandline::Checkpoints(checkpoints)) => checkpoints.run(),
        Ok(Strandline::Supervised(supervised)) => supervised.run(),
        Err(error) => wrong_arguments(&error),
    }
}

/// One line about what is wrong, or the help.
fn wrong_arguments(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Whoever has read enough closes the stream.
            let _ = write!(io::stdout(), "{text}");
            return ExitCode::SUCCESS;
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = write!(io::stderr(), "{text}");
        }
        _ => {
            let what = text.lines().take_while(|line| !line.is_empty());
            let line = what.map(str::trim).collect::<Vec<_>>().join(" ");
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
    ExitCode::from(2)
}
