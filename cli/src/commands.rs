//! The command line of the program `strandline`: what is to be done around jobs.

use clap::{Command, CommandFactory as _, Parser};
use strandline_sim::command_line::one_line;

use crate::checkpoints::Checkpoints;
use crate::doctor::Doctor;
use crate::supervise::{SUPERVISED, Supervise, Supervised};

/// What is to be done around Strandline jobs
#[derive(Debug, Parser)]
#[command(name = "strandline", version, disable_help_subcommand = true)]
pub enum Commands {
    /// Run a command, and start it again when it fails
    Supervise(Supervise),
    /// Look at the checkpoints of a job
    #[command(subcommand)]
    Checkpoints(Checkpoints),
    /// Say whether a job with these options would run, and if not, what to do
    Doctor(Doctor),
    /// What `supervise` starts first, in the process that becomes the command
    #[command(name = SUPERVISED, hide = true)]
    Supervised(Supervised),
}

impl Commands {
    /// All commands, with their options.
    pub fn command_line() -> Command {
        Commands::command()
    }

    /// What is wrong with the arguments, in a line with what to do.
    pub fn wrong(error: &clap::Error) -> String {
        format!("error: {}", one_line(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_command_is_refused_in_one_line_with_what_to_do() {
        for (line, hint) in [
            ("supervise --backoff-min -5s -- true", "a duration cannot be negative"),
            ("supervise --backoff-mx 5s -- true", "a similar argument exists: '--backoff-max'"),
            ("checkpoint list data", "'checkpoints'"),
            ("checkpoints inspect data --number -1", "--number"),
        ] {
            let words = std::iter::once("strandline").chain(line.split(' '));
            let line = Commands::wrong(&Commands::try_parse_from(words).unwrap_err());
            assert!(line.contains(hint) && !line.contains('\n'), "{line}");
        }
    }
}
