//! The tables of bounds and waits in ARCHITECTURE.md against the constants in the sources.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "bounds/constants.rs"]
mod constants;
#[path = "bounds/renderings.rs"]
mod renderings;

use std::path::Path;

use constants::{Constant, constants};
use renderings::is_said;
use strandline::engine::store::Directory;

/// What the tables name and a constant does not define: properties of the client and fields of options, which
/// have tests of their own.
fn is_no_constant(name: &str) -> bool {
    name.contains('.')
        || !name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Constants that are named like bounds and bound nothing that could be full.
const NO_BOUNDS: [(&str, &str); 13] = [
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

/// The rows of the tables under a heading: the names in the first cell, and the text of the others.
fn rows(heading: &str) -> Vec<(Vec<String>, String)> {
    let root = Directory::local(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let text = String::from_utf8(root.read("ARCHITECTURE.md").unwrap()).unwrap();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let (names, text) = row[1..].split_once(" | ").expect("more than one cell");
        let names = names.split('`').skip(1).step_by(2);
        let names = names.map(|name| name.rsplit("::").next().unwrap().to_owned());
        (names.collect(), text.to_owned())
    })
    .collect()
}

#[test]
fn what_the_table_of_bounds_says_is_what_the_constants_are() {
    let constants = constants();
    let mut wrong = Vec::new();
    let rows = rows("Bounds");
    assert!(rows.len() > 60, "{} rows", rows.len());
    for (names, text) in rows {
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
fn every_constant_that_is_named_like_a_bound_is_in_the_table() {
    let listed: Vec<String> = rows("Bounds").into_iter().flat_map(|(names, _)| names).collect();
    let is_listed = |name: &str| listed.iter().any(|one| one == name);
    let is_excused = |name: &str| NO_BOUNDS.iter().any(|(one, _)| *one == name);
    let constants = constants();
    let ends = ["_MAX", "_MAX_MS", "_LIMIT", "_IN_FLIGHT"];
    let like_bounds = constants.iter().filter(|c| ends.iter().any(|end| c.name.ends_with(end)));
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
