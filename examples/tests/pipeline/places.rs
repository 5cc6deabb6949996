//! Where the processes of a job put their rows: whose directory it is, and what is there already.

use std::collections::BTreeSet;
use std::path::Path;

use strandline::sim::log::{LogOptions, simulated_log};

use crate::bootstrap::bootstrap;
use crate::process::{LIMIT, Running, command, finish, metrics, wait};
use crate::real_kafka::{everything_under, hostfile};
use crate::topics::{create_topic, fill};

/// The files of rows in a directory of outputs.
fn files_of_rows(out: &Path) -> BTreeSet<String> {
    let files = everything_under(out.to_str().unwrap()).into_iter();
    files.filter(|file| file.contains("/parquet/") && file.ends_with(".parquet")).collect()
}

#[test]
fn rows_are_replaced_in_the_directory_of_every_process_that_is_told_so() {
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "replaced", 4);
    fill(&bootstrap, &topic, &simulated_log(7, 4, 4_000, &LogOptions::default()).unwrap());
    let there = tempfile::tempdir().unwrap();
    let kept = there.path().join("kept");
    let start = |hostfile: &str, more: [&[&str]; 2]| {
        [0, 1].map(|process| {
            let out = there.path().join(format!("out-{process}"));
            let number = process.to_string();
            let layout = ["-n", "2", "-p", &number, "--hostfile", hostfile, "-w", "1"];
            let topic = ["--bootstrap", &bootstrap, "--topic", &topic, "--bounded"];
            let place = ["--listen", "none", "--out", out.to_str().unwrap()];
            let place = [&place[..], &["--checkpoint", kept.to_str().unwrap()]].concat();
            Running::start(command(&[&layout[..], &topic, &place, more[process]].concat()))
        })
    };
    let run = |more: [&[&str]; 2]| {
        let (_hosts, hostfile) = hostfile();
        for running in start(&hostfile, more) {
            assert!(running.end(LIMIT).0.success());
        }
    };
    let rows = || [0, 1].map(|process| files_of_rows(&there.path().join(format!("out-{process}"))));
    run([&[], &[]]);
    let earlier = rows();
    assert!(earlier.iter().all(|files| !files.is_empty()), "{earlier:?}");
    // They have to be told alike.
    let again = &["--fresh", "--replace"][..];
    let (_hosts, hostfile) = hostfile();
    for running in start(&hostfile, [again, &["--fresh"]]) {
        running.wait_said("replace is true in process 0 and false in 1");
        assert_eq!(running.end(LIMIT).0.code(), Some(2));
    }
    assert_eq!(rows(), earlier);
    run([again, again]);
    for (earlier, now) in earlier.iter().zip(rows()) {
        assert!(!now.is_empty() && now.is_disjoint(earlier), "{now:?}");
    }
}

/// Which directory is refused is known before anything is begun or removed in any of them.
#[test]
fn a_directory_that_another_job_has_or_has_left_rows_in_refuses_the_start_of_every_process() {
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "places", 4);
    fill(&bootstrap, &topic, &simulated_log(8, 4, 4_000, &LogOptions::default()).unwrap());
    let there = tempfile::tempdir().unwrap();
    let outs = ["out-0", "out-1"].map(|name| there.path().join(name));
    let log = ["--bootstrap", &bootstrap, "--topic", &topic, "--checkpoint", "none"];
    let alone = |out: &Path, more: &[&str]| {
        command(&[&log[..], &["--out", out.to_str().unwrap(), "-w", "1"], more].concat())
    };
    let both = |more: &[&str]| {
        let (_hosts, hostfile) = hostfile();
        let running = ["0", "1"].map(|number| {
            let layout = ["-n", "2", "-p", number, "--hostfile", &hostfile];
            let out = if number == "0" { &outs[0] } else { &outs[1] };
            Running::start(alone(out, &[&layout[..], more].concat()))
        });
        (_hosts, running)
    };
    let refused = |more: &[&str], code: i32, words: &str| {
        let (_hosts, running) = both(more);
        for running in running {
            let said = running.wait_said("error: process 1 cannot put its rows where it is to: ");
            assert!(said.contains(words), "{said}");
            assert_eq!(running.end(LIMIT).0.code(), Some(code), "{said}");
        }
    };
    let (bounded, quiet) = (["--bounded", "--listen", "none"], ["--listen", "none"]);

    let (code, _, stderr) = finish(alone(&outs[1], &bounded));
    assert_eq!(code, Some(0), "{stderr}");
    let earlier = files_of_rows(&outs[1]);
    assert!(!earlier.is_empty());
    refused(&bounded, 2, "already holds rows of an earlier run");
    assert_eq!(files_of_rows(&outs[1]), earlier);

    // Now a job runs there.
    let page = ["--listen", "127.0.0.1:0"];
    let other = Running::start(alone(&outs[1], &[&page[..], &["--append"]].concat()));
    let begun = |address: &str| (0 < metrics(address)?["epoch"].as_u64()?).then_some(());
    wait("the other job has begun", || begun(&other.page()));
    for more in ["--replace", "--append"] {
        refused(&[&quiet[..], &[more]].concat(), 75, "is in use");
    }
    assert!(files_of_rows(&outs[1]).is_superset(&earlier) && files_of_rows(&outs[0]).is_empty());
    other.signal("TERM");
    assert_eq!(other.end(LIMIT).0.code(), Some(0));

    // A job keeps the directories of all its processes for as long as it runs.
    let (_hosts, [leader, follower]) = both(&[&page[..], &["--append"]].concat());
    wait("both have begun", || begun(&leader.page()));
    let (code, _, stderr) = finish(alone(&outs[1], &[&bounded[..], &["--replace"]].concat()));
    assert!(code == Some(75) && stderr.contains("is in use"), "{stderr}");
    assert!(files_of_rows(&outs[1]).is_superset(&earlier));
    follower.signal("TERM");
    for process in [leader, follower] {
        assert_eq!(process.end(LIMIT).0.code(), Some(0));
    }
}
