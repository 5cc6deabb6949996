//! The constants of the layers, read from their sources.

use std::path::Path;

use strandline::engine::store::{Directory, EntryKind};

/// A constant of a source file.
#[derive(Debug)]
pub(crate) struct Constant {
    pub(crate) name: String,
    pub(crate) file: String,
    /// Its type.
    pub(crate) of: String,
    /// The right side of its definition.
    pub(crate) definition: String,
}

/// The constants of all layers, but those of tests and of the simulated world.
pub(crate) fn constants() -> Vec<Constant> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut constants = Vec::new();
    for layer in ["operators", "engine", "dashboard", "sim", "cli"] {
        read_folder(&root.join(layer).join("src"), &format!("{layer}/src"), &mut constants);
    }
    constants
}

fn read_folder(folder: &Path, name: &str, constants: &mut Vec<Constant>) {
    let directory = Directory::local(folder);
    for entry in directory.list().unwrap() {
        let path = format!("{name}/{}", entry.name);
        match entry.kind {
            EntryKind::Directory
                if ["tests", "simulation", "oracle"].contains(&entry.name.as_str()) => {}
            EntryKind::Directory => read_folder(&folder.join(&entry.name), &path, constants),
            _ if entry.name.ends_with(".rs") && entry.name != "tests.rs" => {
                let text = String::from_utf8(directory.read(&entry.name).unwrap()).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                read_text(text, &path, constants);
            }
            _ => {}
        }
    }
}

fn read_text(text: &str, file: &str, constants: &mut Vec<Constant>) {
    for part in text.split("const ").skip(1) {
        let Some((name, rest)) = part.split_once(": ") else { continue };
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        let Some((of, definition)) = rest.split_once(" = ").filter(|_| is_name && !name.is_empty())
        else {
            continue;
        };
        let definition = definition.split(";\n").next().unwrap_or_default();
        constants.push(Constant {
            name: name.to_owned(),
            file: file.to_owned(),
            of: of.to_owned(),
            definition: definition.split_whitespace().collect::<Vec<_>>().join(" "),
        });
    }
}
