//! The course: each example prints, to the letter, the story in `expected/`.
//!
//! `UPDATE=1 cargo test -p strandline-course` writes what they print there. Read
//! the difference before you keep it: a beginner will.

#![expect(
    clippy::disallowed_methods,
    reason = "the engine, whose store reads files, is not compiled here"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A lesson is read in one go: fewer lines than this.
const LINES_LIMIT: usize = 80;

const COURSE: [(&str, &str); 3] = [
    ("01_frontier", include_str!("../01_frontier.rs")),
    ("02_capability", include_str!("../02_capability.rs")),
    ("03_watermark_per_partition", include_str!("../03_watermark_per_partition.rs")),
];

/// What the program of an example prints. It is beside the directory of this test's program: cargo
/// builds examples before it runs tests.
fn printed(name: &str) -> String {
    let test = std::env::current_exe().expect("a test is a program");
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let example = profile.join("examples").join(name);
    let output = Command::new(&example).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", example.display()));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed:\n{stderr}");
    String::from_utf8(output.stdout).expect("the story is text")
}

#[test]
fn each_example_prints_its_story() {
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("expected");
    for (name, _) in COURSE {
        let (path, printed) = (expected.join(format!("{name}.txt")), printed(name));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &printed).unwrap();
        }
        let story = fs::read_to_string(&path).unwrap();
        assert_eq!(printed, story, "{} differs; UPDATE=1 writes it anew", path.display());
    }
}

#[test]
fn each_example_is_short_and_the_readme_lists_them_in_order() {
    let readme = include_str!("../README.md");
    let mut listed_at = 0;
    for (name, source) in COURSE {
        let lines = source.lines().count();
        assert!(lines < LINES_LIMIT, "{name} has {lines} lines");
        let row = format!("| [`{name}`]({name}.rs) |");
        let found = readme.find(&row).unwrap_or_else(|| panic!("README.md has no line `{row}`"));
        assert!(listed_at < found, "{name} is listed too early");
        listed_at = found;
        assert!(
            readme.contains(&format!("cargo run --release --example {name}")),
            "{name}: how to run it"
        );
    }
}

/// What the lessons compile: timely, the operators and what these need. With the engine, Kafka or the page it
/// would take minutes.
#[test]
fn the_course_compiles_neither_engine_nor_kafka_nor_page() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-e", "normal,build", "--prefix", "none", "-p"])
        .arg(env!("CARGO_PKG_NAME"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    let packages: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(packages.contains("timely"), "{tree}");
    let ours = [env!("CARGO_PKG_NAME"), "strandline-operators"];
    let heavy =
        ["strandline", "rdkafka", "kafka-protocol", "arrow", "parquet", "hyper", "tokio", "zstd"];
    for package in packages {
        let is_heavy = heavy.iter().any(|name| package.starts_with(name));
        assert!(!is_heavy || ours.contains(&package), "the course compiles {package}");
    }
}
