//! The tables of bounds and waits in ARCHITECTURE.md against the constants in the sources.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "bounds/constants.rs"]
mod constants;
#[path = "bounds/renderings.rs"]
mod renderings;

use std::collections::BTreeMap;
use std::path::Path;

use clap::Command;
use constants::{Constant, constants};
use renderings::{is_said, says, says_millis};
use strandline::engine::source::kafka::is_property;
use strandline::engine::store::Directory;
use strandline::options::Options;
use strandline::sim::arguments::Arguments;
use strandline::{byte_size, duration};

/// What the tables name and a constant does not define: properties of the client and fields of options, which
/// have tests of their own.
fn is_no_constant(name: &str) -> bool {
    name.contains('.')
        || !name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Constants that are named like bounds and bound nothing that could be full.
const NO_BOUNDS: [(&str, &str); 15] = [
    ("JOB_WITHIN", "of a test"),
    ("SILENT_FOR", "from where the doctor warns of an old record"),
    ("VARINT_BYTES_MAX", "how Kafka writes a number"),
    ("LENGTH_BYTES_MAX", "the same"),
    ("BYTES_MAX", "how many bytes four of these are"),
    ("GROWTH_MAX", "how much snappy can compress"),
    ("AHEAD_MAX", "from where the doctor warns of a clock"),
    ("FUTURE_MAX", "from where the simulator warns"),
    ("PAYLOAD_BYTES_MAX", "what the simulated fleet sends"),
    ("OVERHEAD_BYTES_MAX", "what Kafka adds to that"),
    ("MESSAGE_BYTES_MAX", "both together"),
    ("CLOCK_ERROR_MAX", "how wrong a simulated clock is"),
    ("TYPOS_MAX", "which names are like another"),
    ("MILLIS_MAX", "which durations are a slip of the pen"),
    ("FROM_MILLIS_MAX", "which times are none"),
];

/// A row of the table of bounds, or of that of waits, which has no options.
struct Row {
    names: Vec<String>,
    /// The cell of the options that change the bound; waits have none.
    option: Option<String>,
    /// The bound, and what happens there.
    text: String,
}

fn rows() -> Vec<Row> {
    let root = Directory::local(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let text = String::from_utf8(root.read("ARCHITECTURE.md").unwrap()).unwrap();
    let (_, section) = text.split_once("\n## Bounds\n").expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let (names, option, text) = match cells[..] {
            [names, option, bound, there] => (names, Some(option), [bound, there]),
            [names, long, what] => (names, None, [long, what]),
            _ => panic!("{line}"),
        };
        let names = quoted(names).map(|name| name.rsplit("::").next().unwrap().to_owned());
        let option = option.map(str::to_owned);
        Row { names: names.collect(), option, text: text.join(" | ") }
    });
    rows.collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn what_the_table_of_bounds_says_is_what_the_constants_are() {
    let constants = constants();
    let mut wrong = Vec::new();
    let rows = rows();
    assert!(rows.len() > 60, "{} rows", rows.len());
    for Row { names, text, .. } in rows {
        for name in names.iter().filter(|name| !is_no_constant(name)) {
            let all: Vec<&Constant> = constants.iter().filter(|c| c.name == *name).collect();
            if all.is_empty() {
                wrong.push(format!("{name}: there is no such constant"));
            } else if !all.iter().any(|constant| is_said(constant, &text)) {
                let values = all.iter().map(|constant| constant.definition.as_str());
                let values = values.collect::<Vec<_>>().join(" or ");
                wrong.push(format!("{name} is {values}; the table says: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "ARCHITECTURE.md, Bounds:\n{}", wrong.join("\n"));
}

#[test]
fn a_bound_is_listed_once() {
    let constants = constants();
    let mut listed = BTreeMap::new();
    let bounds = rows().into_iter().filter(|row| row.option.is_some());
    for name in bounds.flat_map(|row| row.names) {
        *listed.entry(name).or_insert(0) += 1;
    }
    for (name, times) in listed.into_iter().filter(|(name, _)| !is_no_constant(name)) {
        let defined = constants.iter().filter(|constant| constant.name == name).count();
        assert!(times <= defined, "{name} is listed {times} times and defined {defined} times");
    }
}

/// The options of a job and of the simulator, with their defaults.
fn options() -> Vec<(String, Option<String>)> {
    let commands = [Options::command_line(), Arguments::command()];
    let arguments = commands.iter().flat_map(Command::get_arguments);
    let options = arguments.filter_map(|argument| {
        let default = argument.get_default_values().first();
        let default = default.map(|value| value.display().to_string());
        Some((argument.get_long()?.to_owned(), default))
    });
    options.collect()
}

#[test]
fn the_options_in_the_table_of_bounds_are_those_of_the_programs() {
    let options = options();
    let rows = rows();
    let is_option = |name: &str| options.iter().any(|(option, _)| option == name);
    let mut changed = 0;
    for Row { names, option, text } in &rows {
        for given in option.iter().flat_map(|option| quoted(option)) {
            changed += 1;
            let (name, property) = given.split_once(' ').unwrap_or((given, ""));
            let name = name.strip_prefix("--").unwrap_or_else(|| panic!("{names:?}: {given}"));
            assert!(is_option(name), "{names:?}: there is no option --{name}");
            assert_eq!(name == "kafka-option", !property.is_empty(), "{names:?}: {given}");
            // `--fetch direct` takes some that the client does not know.
            let is_known = is_property(property) || property == "max.partition.fetch.bytes";
            assert!(property.is_empty() || is_known, "{names:?}: there is no property {property}");
        }
        for named in quoted(text).filter_map(|quoted| quoted.strip_prefix("--")) {
            let name = named.split(' ').next().unwrap();
            assert!(is_option(name), "{names:?}: there is no option --{name}");
        }
    }
    assert!(10 < changed, "{changed} options");
}

#[test]
fn where_a_default_is_the_bound_the_table_says_that() {
    let (rows, options) = (rows(), options());
    for option in ["memory-in-flight", "roll-every"] {
        let changes = |cell: &String| quoted(cell).any(|one| one == format!("--{option}"));
        let row = rows.iter().find(|row| row.option.as_ref().is_some_and(changes));
        let text = &row.unwrap_or_else(|| panic!("no row of --{option}")).text;
        let default =
            options.iter().find_map(|(name, default)| (name == option).then_some(default));
        let default = default.unwrap().as_deref().unwrap();
        let is_said = match duration::parse(default) {
            Ok(duration) => says_millis(text, duration.as_millis() as u64),
            Err(_) => says(text, byte_size::parse(default).unwrap()),
        };
        assert!(is_said, "--{option} is {default} by default; the table says: {text}");
    }
}

#[test]
fn every_constant_that_is_a_time_or_named_like_a_bound_is_in_the_tables() {
    let listed: Vec<String> = rows().into_iter().flat_map(|row| row.names).collect();
    let is_listed = |name: &str| listed.iter().any(|one| one == name);
    let is_excused = |name: &str| NO_BOUNDS.iter().any(|(one, _)| *one == name);
    let constants = constants();
    let ends = ["_MAX", "_MAX_MS", "_LIMIT", "_IN_FLIGHT"];
    let is_like_a_bound = |c: &&Constant| ends.iter().any(|end| c.name.ends_with(end));
    let like_bounds = constants.iter().filter(|c| c.of == "Duration" || is_like_a_bound(c));
    let missing: Vec<String> = like_bounds
        .filter(|constant| !is_listed(&constant.name) && !is_excused(&constant.name))
        .map(|c| format!("{} ({}): {}", c.name, c.file, c.definition))
        .collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md, Bounds, lacks:\n{}", missing.join("\n"));
    for (name, _) in NO_BOUNDS {
        assert!(constants.iter().any(|c| c.name == name), "{name} is excused and not there");
        assert!(!is_listed(name), "{name} is excused and listed");
    }
}
