//! `strandline doctor`: the same as a job's own `doctor`, without knowing what the job reads.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

fn doctor(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
    command.arg("doctor").args(arguments).current_dir(std::env::temp_dir());
    for (name, _) in std::env::vars() {
        if name.starts_with("KAFKA_") || name.starts_with("STRANDLINE_") {
            command.env_remove(name);
        }
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn it_takes_the_options_of_a_job() {
    let there = tempfile::tempdir().unwrap();
    let out = there.path().join("out");
    let out = out.to_str().unwrap();
    let nobody = ["--bootstrap", "127.0.0.1:1", "--listen", "none", "--out", out, "--json"];
    let (code, stdout, stderr) = doctor(&nobody);
    assert_eq!((code, stderr.as_str()), (Some(1), ""), "{stdout}");
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["would_run"], false);
    let (code, stdout, _) = doctor(&["--listen", "none", "--out", out, "--checkpoint", "none"]);
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains("a job would run"), "{stdout}");
}

#[test]
fn it_helps_and_refuses_as_a_job_does() {
    let (code, stdout, _) = doctor(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("--kafka-option-file") && stdout.contains("would run"), "{stdout}");
    let (code, _, stderr) = doctor(&["--window", "10"]);
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("error: ") && stderr.lines().count() == 1, "{stderr}");
}
