//! Every command in a page can be given: its program, package, example and script are there, and the
//! programs take its options.

use std::process::Command;

use clap::error::ErrorKind;
use serde_json::Value;
use strandline::commands::Commands;
use strandline::doctor::DOCTOR;
use strandline::options::Options;
use strandline::sim::arguments::Arguments;

use crate::{pages, root, text};

/// Programs that are not ours: whether these take an argument is theirs to say.
const FOREIGN: [&str; 26] = [
    "cat",
    "cd",
    "chmod",
    "cp",
    "curl",
    "docker",
    "duckdb",
    "export",
    "git",
    "grep",
    "install",
    "journalctl",
    "kill",
    "kubectl",
    "mdbook",
    "mkdir",
    "npm",
    "openssl",
    "promtool",
    "python3",
    "rm",
    "ssh",
    "sudo",
    "systemctl",
    "tar",
    "touch",
];

/// What a workspace has: its packages, and the examples of each.
struct Workspace {
    packages: Vec<String>,
    examples: Vec<String>,
    features: Vec<String>,
}

impl Workspace {
    fn read() -> Workspace {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
            .current_dir(root())
            .output()
            .unwrap();
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut workspace = Workspace { packages: vec![], examples: vec![], features: vec![] };
        let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
        for package in metadata["packages"].as_array().unwrap() {
            workspace.packages.push(name(package));
            let targets = package["targets"].as_array().unwrap().iter();
            let examples = targets.filter(|target| target["kind"][0] == "example");
            workspace.examples.extend(examples.map(name));
            workspace.features.extend(package["features"].as_object().unwrap().keys().cloned());
        }
        workspace
    }

    /// What is wrong with a command.
    fn check(&self, words: &[String]) -> Result<(), String> {
        let is_variable = |word: &&String| {
            word.split_once('=').is_some_and(|(name, _)| {
                name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            })
        };
        let variables = words.iter().take_while(is_variable).count();
        let Some((program, arguments)) = words[variables..].split_first() else {
            return Ok(());
        };
        let name = program.rsplit('/').next().unwrap_or_default();
        match name {
            "cargo" => self.check_cargo(arguments),
            "iot_pipeline" | "meters" => {
                takes(Options::command_line(), name, options_of(arguments))
            }
            "strandline" => self.check_strandline(arguments),
            "strandline-sim" => takes(Arguments::command(), name, arguments),
            _ if program.starts_with("scripts/") => check_script(program, arguments),
            _ if FOREIGN.contains(&name) => Ok(()),
            _ => Err(format!("`{program}` is no command that this test knows")),
        }
    }

    fn check_strandline(&self, arguments: &[String]) -> Result<(), String> {
        takes(Commands::command_line(), "strandline", arguments)?;
        let own = arguments.iter().take_while(|word| *word != "--").count();
        match arguments.get(own + 1..) {
            Some(command) if !command.is_empty() => self.check(command),
            _ => Ok(()),
        }
    }

    fn check_cargo(&self, arguments: &[String]) -> Result<(), String> {
        let own = arguments.iter().take_while(|word| *word != "--").count();
        let (own, rest) = (&arguments[..own], arguments.get(own + 1..).unwrap_or_default());
        if own.first().is_some_and(|word| word == "new" || word == "add" || word == "install") {
            return Ok(()); // in a folder of the reader's own
        }
        let mut program = None;
        let mut words = own.iter();
        while let Some(word) = words.next() {
            let (known, what) = match word.as_str() {
                "--example" => (&self.examples, "example"),
                "-p" | "--package" => (&self.packages, "package"),
                "--features" => (&self.features, "feature"),
                _ => continue,
            };
            let name = words.next().ok_or("a value is missing")?;
            for name in name.split(',') {
                if !known.iter().any(|one| one == name) {
                    return Err(format!("there is no {what} `{name}`"));
                }
            }
            if what != "feature" {
                program = Some(name.as_str());
            }
        }
        match program {
            _ if own.first().is_none_or(|word| word != "run") => Ok(()),
            Some("iot_pipeline") => {
                takes(Options::command_line(), "iot_pipeline", options_of(rest))
            }
            Some("strandline-sim") => takes(Arguments::command(), "strandline-sim", rest),
            Some("strandline") => self.check_strandline(rest),
            None => takes(Options::command_line(), "meters", rest), // a job of the reader's own
            Some(_) if rest.is_empty() => Ok(()),
            Some(example) => Err(format!("`{example}` takes no arguments")),
        }
    }
}

/// The options of a job, before which its program takes the word `doctor`.
fn options_of(arguments: &[String]) -> &[String] {
    match arguments {
        [first, options @ ..] if first == DOCTOR => options,
        options => options,
    }
}

/// Whether a program takes the arguments. What the reader has to fill in is a number as good as any.
fn takes(command: clap::Command, name: &str, arguments: &[String]) -> Result<(), String> {
    let filled = arguments.iter().map(|word| match word.contains(['$', '<']) {
        true => "1".to_owned(),
        false => word.clone(),
    });
    let line = std::iter::once(name.to_owned()).chain(filled);
    match command.try_get_matches_from(line) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn check_script(program: &str, arguments: &[String]) -> Result<(), String> {
    if !root().join(program).exists() {
        return Err(format!("there is no {program}"));
    }
    // The first argument of a script is a word that the script says.
    match arguments.first() {
        Some(word) if !text(program).contains(word.as_str()) => {
            Err(format!("{program} knows no `{word}`"))
        }
        _ => Ok(()),
    }
}

/// The commands of a page, with the numbers of their lines.
fn commands(page: &str) -> Vec<(usize, Vec<String>)> {
    let (mut block, mut commands) = (None, Vec::new());
    let mut line_so_far = String::new();
    for (index, line) in text(page).lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = match block {
                None => Some(language.to_owned()),
                Some(_) => None,
            };
            continue;
        }
        let line = match block.as_deref() {
            Some("sh") => line,
            Some("console") if !line_so_far.is_empty() => line,
            Some("console") => line.strip_prefix("$ ").unwrap_or_default(),
            _ => continue,
        };
        if let Some(line) = line.strip_suffix('\\') {
            line_so_far.push_str(line);
            continue;
        }
        line_so_far.push_str(line);
        let words = words(&std::mem::take(&mut line_so_far));
        let parts = words.split(|word| ["&&", "&", ";", "|", "||"].contains(&word.as_str()));
        commands.extend(parts.filter(|part| !part.is_empty()).map(|p| (index + 1, p.to_vec())));
    }
    commands
}

/// The words of a line as a shell takes them, without its comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for (index, c) in line.char_indices() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, '#') if word.is_empty() && (index == 0 || line[..index].ends_with(' ')) => break,
            (None, c) if c.is_whitespace() => words.push(std::mem::take(&mut word)),
            (_, c) => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_command_can_be_given() {
    let workspace = Workspace::read();
    let mut wrong = Vec::new();
    for page in pages() {
        for (number, words) in commands(&page) {
            if let Err(what) = workspace.check(&words) {
                wrong.push(format!("{page}:{number}: {}: {what}", words.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_command_is_found() {
    let workspace = Workspace::read();
    for (line, hint) in [
        ("cargo run --release --example iot_pipline -- -w 4", "no example `iot_pipline`"),
        ("cargo run -p strandline-simulator -- --devices 8", "no package"),
        ("cargo run --example iot_pipeline -- --windw 5s", "--windw"),
        ("KAFKA_TOPIC=t cargo run -p strandline -- checkpoints lst data", "lst"),
        ("strandline supervise -- target/release/examples/iot_pipeline --nonsense", "--nonsense"),
        ("cargo run --features tsl --example iot_pipeline", "no feature `tsl`"),
        ("scripts/kafka begin", "knows no `begin`"),
        ("scripts/nothing", "there is no scripts/nothing"),
        ("iot-pipeline -w 4", "no command that this test knows"),
    ] {
        let wrong = workspace.check(&words(line)).unwrap_err();
        assert!(wrong.contains(hint), "{line}: {wrong}");
    }
}
