//! What the README and the book say is there: their links, their commands, their chapters.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "documentation/commands.rs"]
mod commands;
#[path = "documentation/links.rs"]
mod links;

use std::path::{Path, PathBuf};

use strandline::engine::store::Directory;

/// A newcomer reads the README in one go.
const README_LINES_MAX: usize = 200;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of a file, by its path from the root of the repository.
fn text(path: &str) -> String {
    let path = root().join(path);
    let name = path.file_name().unwrap().to_str().unwrap();
    let bytes = Directory::local(path.parent().unwrap()).read(name);
    String::from_utf8(bytes.unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

/// The README and all chapters of the book, by their paths.
fn pages() -> Vec<String> {
    let entries = Directory::local(root().join("book/src")).list().unwrap();
    let chapters = entries.into_iter().filter(|entry| entry.name.ends_with(".md"));
    let mut pages: Vec<String> = chapters.map(|one| format!("book/src/{}", one.name)).collect();
    pages.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(str::to_owned));
    pages.extend(["examples/README.md", "examples/course/README.md"].map(str::to_owned));
    pages
}

#[test]
fn the_readme_is_short() {
    let lines = text("README.md").lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines; the book has room");
}

#[test]
fn every_chapter_is_in_the_summary() {
    let summary = text("book/src/SUMMARY.md");
    for page in pages() {
        if let Some(chapter) = page.strip_prefix("book/src/")
            && chapter != "SUMMARY.md"
        {
            assert!(
                summary.contains(&format!("({chapter})")),
                "SUMMARY.md does not list {chapter}"
            );
        }
    }
}
