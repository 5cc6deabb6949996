//! Where benches leave what they came to.
#![expect(clippy::disallowed_methods, reason = "a bench writes its results")]

use std::fs;
use std::path::Path;

use serde::Serialize;

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
    let json = serde_json::to_string_pretty(document).expect("plain data") + "\n";
    for (ending, text) in [("json", &*json), ("md", table)] {
        let file = to.with_extension(ending);
        let written = fs::write(&file, text);
        written.unwrap_or_else(|error| panic!("writing {}: {error}", file.display()));
    }
}
