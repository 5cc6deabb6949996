//! The course: each example prints, to the letter, the story in `expected/`.
//!
//! `UPDATE=1 cargo test -p strandline-examples --test course` writes what they print there. Read
//! the difference before you keep it: a beginner will.

use std::path::Path;
use std::process::Command;

use strandline::engine::store::Directory;

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
    let expected = Directory::local(Path::new(env!("CARGO_MANIFEST_DIR")).join("expected"));
    for (name, _) in COURSE {
        let (file, printed) = (format!("{name}.txt"), printed(name));
        if std::env::var_os("UPDATE").is_some() {
            expected.replace(&file, printed.as_bytes()).unwrap();
        }
        let story = String::from_utf8(expected.read(&file).unwrap()).unwrap();
        assert_eq!(printed, story, "examples/expected/{file} differs; UPDATE=1 writes it anew");
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
        assert!(readme.contains(&format!("cargo run --example {name}")), "{name}: how to run it");
    }
}
