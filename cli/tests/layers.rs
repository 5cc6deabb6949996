//! One direction of knowing: plan <- operators <- engine <- dashboard; sim knows engine and operators;
//! cli, examples and benches know all.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each package may know of the others.
const MAY_KNOW: [(&str, &[&str]); 9] = [
    ("strandline-plan", &[]),
    ("strandline-operators", &["strandline-plan"]),
    ("strandline-engine", &["strandline-operators"]),
    ("strandline-dashboard", &["strandline-engine", "strandline-operators"]),
    ("strandline-sim", &["strandline-engine", "strandline-operators"]),
    (
        "strandline",
        &["strandline-dashboard", "strandline-engine", "strandline-operators", "strandline-sim"],
    ),
    ("strandline-examples", &["strandline"]),
    ("strandline-course", &["strandline-operators"]),
    ("strandline-benches", &["strandline"]),
];

/// Dependencies that belong to some layers alone.
const ONLY_IN: [(&str, &[&str]); 5] = [
    // What runs the page, and the object store of checkpoints.
    ("tokio", &["strandline-dashboard", "strandline-engine"]),
    ("hyper", &["strandline-dashboard"]),
    // Who writes it, and who counts what was written.
    ("parquet", &["strandline-engine", "strandline-sim", "strandline-benches"]),
    ("object_store", &["strandline-engine"]),
    ("rdkafka-sys", &["strandline-engine"]),
];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter().map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        // What tests alone use tells nothing about the layers.
        let dependencies = dependencies.filter(|dependency| dependency["kind"].is_null());
        let names = dependencies.map(|d| d["name"].as_str().unwrap().to_owned());
        (package["name"].as_str().unwrap().to_owned(), names.collect())
    });
    packages.collect()
}

#[test]
fn layers_know_only_those_below() {
    let dependencies = dependencies();
    let packages: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    let listed: BTreeSet<&str> = MAY_KNOW.iter().map(|(name, _)| *name).collect();
    assert_eq!(packages, listed, "every package has its layer");
    for (name, may_know) in MAY_KNOW {
        for known in dependencies[name].iter().filter(|known| packages.contains(known.as_str())) {
            assert!(may_know.contains(&known.as_str()), "{name} may not know {known}");
        }
    }
}

#[test]
fn what_belongs_to_one_layer_stays_there() {
    for (name, known) in dependencies() {
        for (dependency, layers) in ONLY_IN {
            assert!(
                !known.contains(dependency) || layers.contains(&name.as_str()),
                "{name} may not use {dependency}"
            );
        }
    }
}

/// What is one for the whole process belongs to the program: another library, or the user of this
/// one, may have set it.
#[expect(clippy::disallowed_methods, reason = "a test looks at the sources")]
#[test]
fn libraries_set_nothing_that_is_one_for_the_process() {
    let programs_only = [
        "panic::set_hook(",
        "panic::take_hook(",
        "env::set_var(",
        "env::remove_var(",
        "env::set_current_dir(",
        "keep_freed_memory()",
        "signal_hook",
        "process::exit(",
        "process::abort(",
    ];
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<_> =
        ["plan/src", "operators/src", "engine/src", "dashboard/src", "sim/src"]
            .map(|folder| root.join(folder))
            .into();
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "bin" && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = std::fs::read_to_string(&path).unwrap();
                // The tests beside the code are programs.
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let calls = code.lines().filter(|line| {
                    let line = line.trim();
                    !line.starts_with("//") && !line.starts_with("pub fn")
                });
                for line in calls {
                    let found = programs_only.iter().find(|call| line.contains(*call));
                    assert_eq!(found, None, "{}: {line}", path.display());
                }
                files += 1;
            }
        }
    }
    assert!(files > 100, "{files}");
}

/// `cargo run --example iot_pipeline` at the root compiles with the default features of every member.
#[test]
fn the_main_job_compiles_no_expressions() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--edges", "normal", "--prefix", "none", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    let names: BTreeSet<&str> =
        tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains("parquet"), "this is no tree: {tree}");
    for name in ["arrow-ord", "arrow-arith", "arrow-string", "arrow-row"] {
        assert!(!names.contains(name), "{name} is compiled for the main job");
    }
}
