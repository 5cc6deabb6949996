//! `book/src/options.md` is made from the programs' own options.
//!
//! `UPDATE=1 cargo test -p strandline --test options_reference` writes it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command};
use strandline::commands::Commands;
use strandline::engine::store::Directory;
use strandline::options::Options;
use strandline::sim::arguments::Arguments;

const INTRODUCTION: &str = "\
# Options

<!-- made by `UPDATE=1 cargo test -p strandline --test options_reference`: change the programs' options instead -->

[Configuration](configuration.md) says how options are given and which one counts.
";

/// An option as it is written: `-w`, `--workers N`.
fn written(argument: &Arg) -> String {
    let value = argument.get_action().takes_values().then(|| {
        let names = argument.get_value_names().unwrap_or_default();
        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    });
    let value = value.map(|name| format!(" {name}")).unwrap_or_default();
    match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("`-{short}`, `--{long}{value}`"),
        (None, Some(long)) => format!("`--{long}{value}`"),
        (Some(short), None) => format!("`-{short}{value}`"),
        (None, None) => format!("`{}`", value.trim()),
    }
}

/// The help of an option, and its default: of those that are computed, the help says it.
fn help_and_default(argument: &Arg) -> (String, String) {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let help = help.map(|help| help.to_string().replace('\n', " ")).unwrap_or_default();
    for (open, close) in [(" [default: ", "]"), (" (default: ", ")")] {
        if let Some((what, default)) = help.split_once(open) {
            let default = default.strip_suffix(close).expect("a default is the end of a help");
            return (what.to_owned(), default.to_owned());
        }
    }
    let values = argument.get_default_values();
    let values: Vec<String> = values.iter().map(|value| format!("`{}`", value.display())).collect();
    let default = match (argument.get_action().takes_values(), values.is_empty()) {
        (false, _) => "off".to_owned(),
        (true, true) if argument.is_required_set() => "required".to_owned(),
        (true, true) => "none".to_owned(),
        (true, false) => values.join(", "),
    };
    (help, default)
}

fn table(text: &mut String, command: &Command) {
    let is_own = |argument: &&Arg| !argument.is_hide_set() && argument.get_id() != "help";
    let arguments: Vec<&Arg> = command.get_arguments().filter(is_own).collect();
    let arguments = arguments.into_iter().filter(|argument| argument.get_id() != "version");
    let arguments: Vec<&Arg> = arguments.collect();
    let has_variables = arguments.iter().any(|argument| argument.get_env().is_some());
    let (head, line) = match has_variables {
        true => ("| option | environment | default | what it is |", "|---|---|---|---|"),
        false => ("| option | default | what it is |", "|---|---|---|"),
    };
    writeln!(text, "\n{head}\n{line}").unwrap();
    for argument in arguments {
        let (help, default) = help_and_default(argument);
        let variable = argument.get_env().map(|name| format!("`{}`", name.display()));
        let variable = match has_variables {
            true => format!("{} | ", variable.unwrap_or_default()),
            false => String::new(),
        };
        let cells = [written(argument), format!("{variable}{default}"), help];
        let cells = [cells[0].replace('|', "\\|"), cells[1].clone(), cells[2].replace('|', "\\|")];
        writeln!(text, "| {} |", cells.join(" | ")).unwrap();
    }
}

/// A command and its subcommands.
fn commands(text: &mut String, command: &Command, name: &str) {
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("{name} {}", command.get_name());
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        if command.has_subcommands() {
            commands(text, command, &name);
        } else {
            write!(text, "\n### {name}\n\n{about}.\n").unwrap();
            table(text, command);
        }
    }
}

fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("\n## A job\n\n`iot_pipeline`, and every program that is a job.\n");
    table(&mut text, &Options::command_line());
    text.push_str("\n## strandline\n\nWhat is to be done around jobs.\n");
    commands(&mut text, &Commands::command_line(), "strandline");
    text.push_str("\n## strandline-sim\n\nA simulated fleet that sends messages to Kafka.\n");
    table(&mut text, &Arguments::command());
    text
}

#[test]
fn the_tables_of_options_are_those_of_the_programs() {
    let book = Directory::local(Path::new(env!("CARGO_MANIFEST_DIR")).join("../book/src"));
    let reference = reference();
    if std::env::var_os("UPDATE").is_some() {
        book.replace("options.md", reference.as_bytes()).unwrap();
    }
    let written = String::from_utf8(book.read("options.md").unwrap()).unwrap();
    assert!(
        written == reference,
        "book/src/options.md is not what the programs say; this writes it anew:\n\
         UPDATE=1 cargo test -p strandline --test options_reference"
    );
}

#[test]
fn every_option_says_what_it_is() {
    let mut commands = vec![Options::command_line(), Arguments::command()];
    let mut rest = vec![Commands::command_line()];
    while let Some(command) = rest.pop() {
        rest.extend(command.get_subcommands().filter(|c| !c.is_hide_set()).cloned());
        commands.push(command);
    }
    for command in commands {
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty(), "{}: {}", command.get_name(), argument.get_id());
        }
    }
}
