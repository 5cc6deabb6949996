//! Where benches leave what they came to.
#![expect(clippy::disallowed_methods, reason = "a bench writes its results")]

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Serialize;
use serde_json::Value;

use crate::workload::is_measured;

/// Prints a table, and writes it and its document to `NAME.md` and `NAME.json` in the folder that
/// `STRANDLINE_RESULTS` names: not without a name, and not if the bench is only tried.
///
/// # Panics
///
/// If the files cannot be written: a bench whose results are lost has failed.
pub fn write(name: &str, document: &impl Serialize, table: &str) {
    print!("{table}");
    let Some(folder) = std::env::var_os("STRANDLINE_RESULTS").filter(|_| is_measured()) else {
        return;
    };
    let to = Path::new(&folder).join(name);
    let written = write_to(&to, document, table);
    written.unwrap_or_else(|error| panic!("writing {}: {error}", to.display()));
}

/// Writes a document to `TO.json` and its table to `TO.md`, in a folder that is made if need be.
///
/// # Errors
///
/// If that cannot be done.
pub fn write_to(to: &Path, document: &impl Serialize, table: &str) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let json = serde_json::to_string_pretty(document)? + "\n";
    fs::write(to.with_extension("json"), json)?;
    fs::write(to.with_extension("md"), table)
}

/// What is on record with this source: the path of each document, the document, and its table.
///
/// # Errors
///
/// If it cannot be read.
pub fn recorded() -> io::Result<Vec<(PathBuf, Value, String)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("results"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let document = serde_json::from_slice(&fs::read(&path)?)?;
            let table = fs::read_to_string(path.with_extension("md"))?;
            all.push((path, document, table));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    #[test]
    fn the_book_shows_every_table() {
        let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
        let chapter = benches.join("../book/src/performance.md");
        let text = fs::read_to_string(&chapter).unwrap();
        let shown: BTreeSet<PathBuf> = text
            .lines()
            .filter_map(|line| line.strip_prefix("{{#include ")?.strip_suffix("}}"))
            .map(|path| chapter.with_file_name(path).canonicalize().expect(path))
            .collect();
        let recorded: BTreeSet<PathBuf> = fs::read_dir(benches.join("results"))
            .unwrap()
            .map(|entry| entry.unwrap().path().canonicalize().unwrap())
            .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
            .collect();
        assert_eq!(shown, recorded);
    }
}
