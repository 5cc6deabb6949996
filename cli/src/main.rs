//! The program `strandline`: what is to be done around jobs. A job is a program of its own (see
//! `strandline::program`).

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use strandline::commands::Commands;

fn main() -> ExitCode {
    match Commands::try_parse() {
        Ok(Commands::Supervise(supervise)) => supervise.run(),
        Ok(Commands::Checkpoints(checkpoints)) => checkpoints.run(),
        Ok(Commands::Doctor(doctor)) => doctor.run(),
        Ok(Commands::Supervised(supervised)) => supervised.run(),
        Err(error) => wrong_arguments(&error),
    }
}

/// One line about what is wrong, or the help.
fn wrong_arguments(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Whoever has read enough closes the stream.
            let _ = write!(io::stdout(), "{error}");
            return ExitCode::SUCCESS;
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = write!(io::stderr(), "{error}");
        }
        _ => {
            let _ = writeln!(io::stderr(), "{}", Commands::wrong(error));
        }
    }
    ExitCode::from(2)
}
