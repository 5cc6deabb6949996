//! "A job of your own" of the README, done as it says, in a folder outside of the workspace.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

use strandline::engine::store::Directory;

/// Compiled without optimisation, which is quicker.
const OURS: [&str; 5] = [
    "strandline",
    "strandline-dashboard",
    "strandline-engine",
    "strandline-operators",
    "strandline-sim",
];
/// What the tests of the workspace ask of crates that a job has too.
const FEATURES_OF_TESTS: &str = r#"
[dev-dependencies]
hashbrown = { version = "0.17", default-features = false, features = ["inline-more"] }
num-traits = { version = "0.2", features = ["default"] }
rustix = { version = "1", features = ["fs"] }
tokio = { version = "1", features = ["test-util", "io-util"] }
"#;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(folder: &Path, name: &str) -> String {
    String::from_utf8(Directory::local(folder).read(name).unwrap()).unwrap()
}

/// The profiles of the workspace, all of them: where one differs, every third-party crate is compiled anew for
/// the job, with the libraries in C that some bring.
fn profiles(profile: &str) -> String {
    let manifest = read(&workspace(), "Cargo.toml");
    let (_, profiles) = manifest.split_once("\n[profile.").expect("the profiles");
    let mut profiles = format!("\n[profile.{profiles}");
    for package in OURS {
        let table = format!("[profile.{profile}.package.{package}]\n");
        if !profiles.contains(&table) {
            profiles += &table;
        }
        profiles = profiles.replace(&table, &format!("{table}opt-level = 0\n"));
    }
    profiles
}

/// How often the Kafka library was configured for being compiled.
fn builds_of_the_kafka_library(profile_folder: &Path) -> usize {
    let builds = Directory::local(profile_folder.join("build")).list().unwrap();
    builds.iter().filter(|entry| entry.name.starts_with("rdkafka-sys-")).count()
}

/// The code block of the recipe that is in this language.
fn block(language: &str) -> String {
    let readme = read(&workspace(), "README.md");
    let (_, recipe) = readme.split_once("\n## A job of your own\n").expect("the recipe");
    let (_, block) = recipe.split_once(&format!("\n```{language}\n")).expect("its block");
    block.split_once("\n```\n").expect("its end").0.to_owned()
}

fn run(folder: &Path, command: &mut Command) -> String {
    let output = command.current_dir(folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}\n{wrong}");
    text
}

#[test]
fn a_job_of_ones_own_is_made_as_the_readme_says() {
    // target/PROFILE/deps/TEST
    let test = std::env::current_exe().unwrap();
    let profile_folder = test.ancestors().nth(2).unwrap();
    let profile = match profile_folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        name => name,
    };
    let folder = tempfile::tempdir().unwrap();
    let commands = block("sh");
    let commands: Vec<&str> = commands.lines().collect();
    let [new, enter, add] = commands[..] else { panic!("three commands: {commands:?}") };
    assert_eq!((new, enter), ("cargo new meters", "cd meters"));
    assert_eq!(add, "cargo add strandline --git https://github.com/strandline/strandline");

    let cargo = env!("CARGO");
    run(folder.path(), Command::new(cargo).args(["new", "--quiet", "meters"]));
    let job = folder.path().join("meters");
    let place = Directory::local(&job);
    // The crates of the workspace, and no others: nothing is looked up.
    place.replace("Cargo.lock", read(&workspace(), "Cargo.lock").as_bytes()).unwrap();
    // The package beside this test stands for the one that is fetched.
    let mut add = Command::new(cargo);
    add.args(["add", "--quiet", "--offline", "strandline", "--path"])
        .arg(env!("CARGO_MANIFEST_DIR"));
    let features = [("tls", cfg!(feature = "tls")), ("s3", cfg!(feature = "s3"))];
    for (feature, _) in features.iter().filter(|(_, is_on)| *is_on) {
        add.args(["--features", feature]);
    }
    run(&job, &mut add);
    let manifest = read(&job, "Cargo.toml") + FEATURES_OF_TESTS + &profiles(profile);
    place.replace("Cargo.toml", manifest.as_bytes()).unwrap();
    let main = block("rust,no_run");
    Directory::local(job.join("src")).replace("main.rs", main.as_bytes()).unwrap();

    let builds = builds_of_the_kafka_library(profile_folder);
    // All targets, so that the features that tests ask for are the same.
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--offline", "--all-targets", "--profile", profile]);
    run(&job, build.arg("--target-dir").arg(profile_folder.parent().unwrap()));
    if features.iter().all(|(_, is_on)| *is_on) {
        assert_eq!(builds_of_the_kafka_library(profile_folder), builds, "it is compiled anew");
    }
    let help = run(&job, Command::new(profile_folder.join("meters")).arg("--help"));
    for part in ["The power of each meter, by window.", "--bootstrap", "--watermark"] {
        assert!(help.contains(part), "{part}: {help}");
    }
}
