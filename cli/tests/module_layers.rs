//! The modules of a package form layers too: none knows one that knows it, whether directly or through
//! others. A parent and its own children may know each other.
//!
//! This reads text, as a person would: `crate::…`, `super::…` and `self::…` outside of comments and
//! tests.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "reads the sources of the project")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The packages whose modules form layers.
const LAYERED: [&str; 6] = ["plan", "operators", "engine", "dashboard", "sim", "cli"];

/// The paths of modules, such as `sink::rolling`, and their text without comments and tests.
fn modules(src: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.extend((name != "tests" && name != "bin").then_some(path));
            } else if name.ends_with(".rs") && !["tests.rs", "lib.rs"].contains(&&*name) {
                let inside = path.strip_prefix(src).unwrap().with_extension("");
                let parts: Vec<_> = inside.iter().map(|part| part.to_str().unwrap()).collect();
                let module = parts.join("::").trim_end_matches("::mod").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                let program = without_tests(&text);
                let lines = program.lines().filter(|line| !line.trim_start().starts_with("//"));
                found.insert(module, lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    found
}

/// What stands before the module of tests in a file, which is at its end. Tests in a file of their own
/// are only named.
fn without_tests(text: &str) -> &str {
    let begins = |(at, _): (usize, &str)| {
        let line = text[at..].lines().nth(1)?;
        (line.starts_with("mod ") && line.ends_with('{')).then_some(&text[..at])
    };
    text.match_indices("#[cfg(test)]\n").find_map(begins).unwrap_or(text)
}

/// The path of names at the beginning of a text, and what follows it.
fn path_of(text: &str) -> (Vec<&str>, &str) {
    let (mut names, mut rest) = (Vec::new(), text);
    loop {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end > 0 {
            names.push(&rest[..end]);
        }
        match rest[end..].strip_prefix("::") {
            Some(more) if end > 0 => rest = more,
            _ => return (names, &rest[end..]),
        }
    }
}

/// What a module names, as paths from the root of its package.
fn named(module: &str, text: &str) -> Vec<Vec<String>> {
    let own: Vec<&str> = module.split("::").collect();
    let mut all = Vec::new();
    for (at, _) in text.match_indices("::") {
        let before = &text[..at];
        let begins = before.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1);
        let base: &[&str] = match &before[begins..] {
            "crate" => &[],
            "self" => &own,
            "super" if !before[..begins].ends_with("super::") => &own[..own.len() - 1],
            _ => continue,
        };
        let (names, rest) = path_of(&text[at + 2..]);
        let above = names.iter().take_while(|name| **name == "super").count();
        let base = &base[..base.len().saturating_sub(above)];
        let path: Vec<_> = base.iter().chain(&names[above..]).map(ToString::to_string).collect();
        match rest.strip_prefix('{') {
            // Of a list, each member; what is nested deeper begins with the same names.
            Some(list) => {
                let list = list.split(';').next().unwrap_or_default();
                for member in list.split([',', '{', '}']) {
                    let more = path_of(member.trim()).0;
                    all.push(
                        path.iter().cloned().chain(more.iter().map(ToString::to_string)).collect(),
                    );
                }
            }
            None => all.push(path),
        }
    }
    all
}

/// Which modules each module knows.
fn knows(modules: &BTreeMap<String, String>) -> BTreeMap<&str, BTreeSet<&str>> {
    let known_by = |(module, text): (&'_ String, &String)| {
        let paths = named(module, text);
        let known = paths.iter().filter_map(|path| {
            let longest = (1..=path.len()).rev().map(|length| path[..length].join("::"));
            let (other, _) = longest.into_iter().find_map(|name| modules.get_key_value(&name))?;
            let inside = |one: &str, other: &str| one.starts_with(&format!("{other}::"));
            let is_other = other != module && !inside(other, module) && !inside(module, other);
            is_other.then_some(other.as_str())
        });
        known.collect()
    };
    modules.iter().map(|module| (module.0.as_str(), known_by(module))).collect()
}

/// Those that are in a circle, or between two: what is left when all are taken away that know none of
/// the rest, or that none of the rest knows.
fn circles<'a>(knows: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut left: BTreeSet<&str> = knows.keys().copied().collect();
    loop {
        let is_in = |module: &&str| {
            let known_by = |other: &&str| knows[other].contains(module);
            knows[module].iter().any(|other| left.contains(other)) && left.iter().any(known_by)
        };
        let next: BTreeSet<&str> = left.iter().copied().filter(is_in).collect();
        if next.len() == left.len() {
            return left;
        }
        left = next;
    }
}

/// The same between the modules that the package itself names.
fn between_first_levels<'a>(
    knows: &BTreeMap<&'a str, BTreeSet<&'a str>>,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let first = |module: &'a str| module.split("::").next().unwrap_or(module);
    let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (module, known) in knows {
        let others = known.iter().map(|other| first(other));
        all.entry(first(module))
            .or_default()
            .extend(others.filter(|other| *other != first(module)));
    }
    for known in all.clone().into_values().flatten() {
        all.entry(known).or_default();
    }
    all
}

#[test]
fn no_module_knows_one_that_knows_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for package in LAYERED {
        let modules = modules(&root.join(package).join("src"));
        let knows = knows(&modules);
        let edges: usize = knows.values().map(BTreeSet::len).sum();
        assert!(modules.len() > 5 && edges > 5, "{package}: {} modules", modules.len());
        assert!(circles(&knows).is_empty(), "{package}, files: {:?}", circles(&knows));
        let rooms = between_first_levels(&knows);
        assert!(circles(&rooms).is_empty(), "{package}, modules: {:?}", circles(&rooms));
    }
}

#[test]
fn a_file_is_read_up_to_its_tests() {
    let own_file = "#[cfg(test)]\nmod tests;\nuse crate::b;\n";
    let inside = "#[cfg(test)]\nmod tests {\n    use crate::c;\n}\n";
    assert_eq!(without_tests(&format!("{own_file}{inside}")), own_file);
}

#[test]
fn a_circle_is_found() {
    let text = [
        ("a", "use crate::b::Thing;"),
        ("b", "use super::{c::{self, Other}, d};"),
        ("c", "fn f() { crate::a::g() }"),
        ("d", "fn g() {}"),
        ("d::e", "use super::super::d; use self::f::G;"),
    ];
    let modules = text.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let modules: BTreeMap<String, String> = modules;
    assert_eq!(circles(&knows(&modules)), BTreeSet::from(["a", "b", "c"]));
}
