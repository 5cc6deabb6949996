//! A job of two processes with a directory of outputs each, one of which is killed between the last
//! manifest and its renames: no row stays hidden without a word.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use strandline_engine::checkpoint::manifest::{Manifest, OutputIdentity};
use strandline_engine::checkpoint::object::ObjectBlobs;
use strandline_engine::checkpoint::{Checkpoints, catalog, places};
use strandline_engine::clock::Clock;
use strandline_engine::job::{Job, JobOptions, Stop};
use strandline_engine::outputs::{OpenOutputs, Outputs, Trouble, Visibility};
use strandline_engine::report::Report;
use strandline_engine::sink::{self, Existing, FileOutputs, ParquetCodec, Roll, RunId};
use strandline_engine::source::simulated::SimulatedLog;
use strandline_engine::store::{Directory, FaultyDisk, LocalDisk, Operation};
use strandline_operators::aggregate::{Average, Count, Max, Min};
use strandline_operators::decode::{JsonFields, Metrics};
use strandline_operators::window::Tumbling;

use crate::checkpoints::{PARTITIONS, append, parquet_files, rows_in, table, view};
use crate::own_program::{self, config, hook, told};

const RECORDS: u64 = 3_000;
const THERE: &str = "STRANDLINE_TEST_PLACE_THERE";
const OUT: &str = "STRANDLINE_TEST_PLACE_OUT";
const KILLED: &str = "STRANDLINE_TEST_PLACE_KILLED";
/// Held before it shows anything, until its standard input stream ends.
const HELD: &str = "STRANDLINE_TEST_PLACE_HELD";
/// Not bounded: the first process stops when everything has been read.
const LIVE: &str = "STRANDLINE_TEST_PLACE_LIVE";
const ABANDONED: &str = "STRANDLINE_TEST_PLACE_ABANDONED";
/// Rows of earlier jobs are to be removed.
const REPLACE: &str = "STRANDLINE_TEST_PLACE_REPLACE";
/// No checkpoint is continued.
const FRESH: &str = "STRANDLINE_TEST_PLACE_FRESH";
/// Another window than that of 10 s, in seconds.
const WINDOW: &str = "STRANDLINE_TEST_PLACE_WINDOW";
/// The outputs cannot be made ready.
const UNREADY: &str = "STRANDLINE_TEST_PLACE_UNREADY";

/// Outputs as a program has them that is told to replace rows.
struct Replaceable {
    files: FileOutputs,
    process: usize,
}

impl<O> Outputs<O> for Replaceable
where
    FileOutputs: Outputs<O>,
{
    fn run(&self) -> Option<RunId> {
        Some(self.files.run)
    }

    fn prepare(&self, runs: &[RunId]) -> Result<(), Trouble> {
        if std::env::var(UNREADY).is_ok() {
            return Err(Arc::new(std::io::Error::other("not ready")));
        }
        if std::env::var(REPLACE).is_err() {
            return Ok(());
        }
        let is_fresh = std::env::var(FRESH).is_ok();
        match self.process {
            0 if is_fresh => sink::prepare(&self.files.out, Existing::Replace, None),
            0 => Ok(()),
            _ => sink::remove_earlier(&self.files.out, runs),
        }
        .map_err(|error| Arc::new(error) as Trouble)
    }

    fn open(&self, process: usize, visibility: Visibility) -> OpenOutputs<O> {
        self.files.open(process, visibility)
    }
}

#[test]
#[ignore = "one process of the tests below"]
fn a_process() {
    let (process, config) = config();
    hook();
    let there = PathBuf::from(told(THERE));
    let log = SimulatedLog::new("t", PARTITIONS);
    append(&log, 0..RECORDS);
    let (killed, held) = (std::env::var(KILLED).is_ok(), std::env::var(HELD).is_ok());
    let disk = FaultyDisk::new(LocalDisk, move |operation, path| {
        let shows = path.extension().is_some_and(|extension| extension == "parquet");
        if operation == Operation::Rename && shows {
            if killed {
                std::process::abort();
            }
            if held {
                println!("says: held");
                std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            }
        }
        None
    });
    let (clock, report) = (Clock::system(), Report::new(|line| println!("says: {line}")));
    let out = Directory::on(Arc::new(disk), there.join(told(OUT)));
    let run = RunId::fresh(&clock);
    let place = sink::identify(&out, run).unwrap();
    let window = std::env::var(WINDOW).map_or(10, |seconds| seconds.parse().unwrap());
    let windows = Tumbling::of(Duration::from_secs(window)).unwrap();
    let files = FileOutputs {
        out,
        run,
        roll: Roll::default(),
        codec: ParquetCodec::default(),
        clock: clock.clone(),
        report: report.clone(),
        table: table(),
        topic: "t".into(),
        windows,
    };
    let checkpoints = Checkpoints {
        blobs: Arc::new(ObjectBlobs::local(there.join("checkpoints")).unwrap()),
        // Only the end of the run is one.
        every: Duration::from_secs(3_600),
        keep: 3,
        fresh: std::env::var(FRESH).is_ok(),
        start: run,
        shape: [].into(),
        outputs: Some(place),
    };
    let metric = |message: &Metrics<1>| message.get(0);
    let options = JobOptions {
        watermark: Duration::from_secs(5),
        epoch_every: Duration::from_millis(5),
        ..JobOptions::new(windows)
    };
    let (view, stop) = (view(), Stop::default());
    let live = std::env::var(LIVE).is_ok();
    if live && process == 0 {
        let (view, stop) = (view.clone(), stop.clone());
        std::thread::spawn(move || {
            while view.latest().ledger.read < RECORDS {
                view.newer_than(view.latest().number, Duration::from_millis(50));
            }
            stop.request();
        });
    }
    let result = Job::new(
        if live { log } else { log.bounded() },
        JsonFields::new("id", "ts", ["value"]),
        (Count, Average(metric), Min(metric), Max(metric)),
        Arc::new(table()),
        Replaceable { files, process },
        options,
    )
    .with_checkpoints(Some(checkpoints))
    .with_abandoned_places(std::env::var(ABANDONED).into_iter().collect())
    .with_report(report)
    .run(config, &clock, &view, &stop);
    match result {
        Ok(summary) => println!(
            "ended: {} of {}, {} rows",
            summary.finished, summary.ledger.read, summary.final_rows
        ),
        Err(error) => println!("ended: {error}"),
    }
    // Its workers are kept after a failure.
    std::process::exit(0);
}

/// Starts processes with these outputs.
fn start(there: &Path, outs: &[&str], more: &[(&str, &str)]) -> Vec<Child> {
    own_program::start("places::a_process", outs.len(), |process, command| {
        // Only the last one is killed, or held.
        let is_last = process + 1 == outs.len();
        let all = more.iter().filter(|(name, _)| ![KILLED, HELD].contains(name) || is_last);
        command.env(THERE, there).env(OUT, outs[process]).envs(all.copied());
        command.stdin(Stdio::piped()).stderr(Stdio::null());
    })
}

/// Runs processes with these outputs to their ends: what each said.
fn run(there: &Path, outs: &[&str], more: &[(&str, &str)]) -> Vec<String> {
    let ended = start(there, outs, more).into_iter().map(|mut child| {
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        child.wait().unwrap();
        said
    });
    ended.collect()
}

fn ended(said: &str) -> &str {
    said.lines().find_map(|line| line.strip_prefix("ended: ")).unwrap_or("killed")
}

/// Two processes, the second of which was killed before it showed anything.
fn killed() -> tempfile::TempDir {
    let there = tempfile::tempdir().unwrap();
    let said = run(there.path(), &["a", "b"], &[(KILLED, "1")]);
    assert_eq!(ended(&said[1]), "killed", "{said:?}");
    // The first one does not say that all is done.
    assert!(ended(&said[0]).contains("process 1 is gone"), "{said:?}");
    let outs = [there.path().join("a"), there.path().join("b")];
    assert!(rows_in([&*outs[1]]).is_empty() && !rows_in([&*outs[0]]).is_empty());
    there
}

/// What a run that nothing disturbs says at its end, and its number of rows.
fn undisturbed() -> (String, usize) {
    let there = tempfile::tempdir().unwrap();
    let said = run(there.path(), &["a", "b"], &[]);
    let end = ended(&said[0]).to_owned();
    assert!(end.starts_with("true of 3000, "), "{said:?}");
    (end, rows_in([&*there.path().join("a"), &*there.path().join("b")]).len())
}

#[test]
fn rows_that_a_killed_process_left_hidden_are_shown_by_the_next_start_of_a_finished_run() {
    let (end, rows) = undisturbed();
    let there = killed();
    // Whichever process has which place now.
    let said = run(there.path(), &["b", "a"], &[]);
    assert_eq!(ended(&said[0]), end, "{said:?}");
    assert!(said.iter().all(|said| !said.contains("taken it away")), "{said:?}");
    assert_eq!(rows_in([&*there.path().join("a"), &*there.path().join("b")]).len(), rows);
}

#[test]
fn the_first_process_ends_only_when_all_have_shown_their_files() {
    let there = tempfile::tempdir().unwrap();
    let (a, b) = (there.path().join("a"), there.path().join("b"));
    let mut children = start(there.path(), &["a", "b"], &[(HELD, "1")]);
    let (mut held, mut first) = (children.pop().unwrap(), children.pop().unwrap());
    let mut says = BufReader::new(held.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The last manifest is durable: what is left is to show the files.
    assert!(says.any(|line| line == "says: held"));
    let (tell, hear) = channel();
    let mut stdout = first.stdout.take().unwrap();
    std::thread::spawn(move || {
        let mut said = String::new();
        stdout.read_to_string(&mut said).unwrap();
        tell.send(said).unwrap();
    });
    let clock = Clock::system();
    while rows_in([&*a]).is_empty() {
        assert!(clock.elapsed() < Duration::from_secs(20));
    }
    // Of itself it has nothing to wait for any more.
    let ended_early = hear.recv_timeout(Duration::from_secs(1));
    assert!(ended_early.is_err() && rows_in([&*b]).is_empty(), "{ended_early:?}");
    drop(held.stdin.take());
    let said = hear.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(ended(&said).starts_with("true of 3000, "), "{said}");
    assert!(says.any(|line| line.starts_with("ended: ")));
    assert!(!rows_in([&*b]).is_empty());
    for mut child in [first, held] {
        child.wait().unwrap();
    }
}

#[test]
fn a_start_with_a_place_missing_is_refused_with_both_ways_out() {
    let (end, rows) = undisturbed();
    let there = killed();
    let refused = run(there.path(), &["a"], &[]).remove(0);
    let place = place_of(&there.path().join("b"));
    let (id, path) = (place.id.clone().unwrap(), place.path.clone());
    for part in ["process 1", &*path, &id, "checkpoints recover", "--abandon-place"] {
        assert!(ended(&refused).contains(part), "{part}: {refused}");
    }
    // Another directory at another place does not do.
    let refused = run(there.path(), &["a", "c"], &[]).remove(0);
    assert!(ended(&refused).contains(&id), "{refused}");

    // Shown where it is, and reported, as `strandline checkpoints recover` does.
    let blobs = ObjectBlobs::local(there.path().join("checkpoints")).unwrap();
    let newest: Manifest = catalog::find(&blobs).unwrap().newest.unwrap();
    let recovery = places::recovery_at(&newest, &place);
    let out = Directory::local(there.path().join("b"));
    assert!(sink::show_staged(&out, &recovery).unwrap().is_empty());
    places::report_shown(&blobs, &newest, &place).unwrap();
    assert_eq!(rows_in([&*there.path().join("a"), &*there.path().join("b")]).len(), rows);
    for _ in 0..2 {
        let said = run(there.path(), &["a"], &[]).remove(0);
        assert_eq!(ended(&said), end, "{said}");
    }
}

#[test]
fn a_place_that_is_gone_can_be_given_up_and_its_rows_are_named() {
    let (end, _) = undisturbed();
    let there = killed();
    let id = place_of(&there.path().join("b")).id.unwrap();
    fs::remove_dir_all(there.path().join("b")).unwrap();
    let refused = run(there.path(), &["a"], &[(ABANDONED, "another")]).remove(0);
    assert!(ended(&refused).contains(&id), "{refused}");
    let said = run(there.path(), &["a"], &[(ABANDONED, &id)]).remove(0);
    assert_eq!(ended(&said), end, "{said}");
    assert!(said.contains("are given up: ") && said.contains(".parquet"), "{said}");
    // From then on nobody asks for it any more.
    assert_eq!(ended(&run(there.path(), &["a"], &[]).remove(0)), end);
}

#[test]
fn after_an_orderly_stop_fewer_processes_can_go_on() {
    let there = tempfile::tempdir().unwrap();
    for outs in [&["a", "b"][..], &["a"]] {
        let said = run(there.path(), outs, &[(LIVE, "1")]);
        assert!(ended(&said[0]).starts_with("false of 3000, "), "{said:?}");
    }
    assert!(!rows_in([&*there.path().join("b")]).is_empty());
}

/// What a store holds.
#[expect(clippy::disallowed_methods, reason = "looks at the store behind the job's back")]
fn names(store: &Path) -> Vec<String> {
    let entries = fs::read_dir(store).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a volume goes, as no job does it")]
fn a_new_directory_is_not_taken_for_the_one_whose_rows_are_all_visible() {
    let there = tempfile::tempdir().unwrap();
    let said = run(there.path(), &["a", "b"], &[(LIVE, "1")]);
    assert!(ended(&said[0]).starts_with("false of 3000, "), "{said:?}");
    let (b, aside) = (there.path().join("b"), there.path().join("aside"));
    let id = place_of(&b).id.unwrap();
    fs::rename(&b, &aside).unwrap();
    let store = there.path().join("checkpoints");
    let before = names(&store);
    let refused = run(there.path(), &["a", "b"], &[(LIVE, "1")]).remove(0);
    let new = place_of(&b).id.unwrap();
    for part in ["process 1", &id, &new, "mount", "--abandon-place"] {
        assert!(ended(&refused).contains(part), "{part}: {refused}");
    }
    assert_eq!(names(&store), before, "nothing was written");

    // Given up, it is asked for no more, also where that start gets no further than its claim.
    let said = run(there.path(), &["a", "b"], &[(LIVE, "1"), (ABANDONED, &id)]).remove(0);
    assert!(ended(&said).starts_with("false of 3000, "), "{said}");
    assert!(said.contains(&format!("process 1 leaves place {id} at ")), "{said}");
    let said = run(there.path(), &["a", "b"], &[(LIVE, "1"), (ABANDONED, &id)]).remove(0);
    assert!(said.contains(&format!("--abandon-place {id} has no effect")), "{said}");
}

/// The files of final rows in a directory of outputs.
fn files(out: &Path) -> Vec<PathBuf> {
    parquet_files(&out.join("parquet"))
}

#[test]
fn a_job_that_begins_anew_replaces_the_rows_of_every_process() {
    let (end, rows) = undisturbed();
    // Each its own, and one for both.
    for outs in [["a", "b"], ["a", "a"]] {
        let there = tempfile::tempdir().unwrap();
        let all = ["a", "b"].map(|out| there.path().join(out));
        let all = &all[..if outs[0] == outs[1] { 1 } else { 2 }];
        let found = || all.iter().flat_map(|out| files(out)).collect::<Vec<_>>();
        run(there.path(), &outs, &[]);
        // Where the job continues, rows of another one stay: an earlier start may have added to them.
        let theirs = files(&all[all.len() - 1]).remove(0);
        let name = "strandline-0000000000001-00000001-001-0000000002-000000.parquet";
        let date = Directory::local(theirs.parent().unwrap());
        let bytes = date.read(theirs.file_name().unwrap().to_str().unwrap()).unwrap();
        date.replace(name, &bytes).unwrap();
        let earlier = found();
        assert!(all.iter().all(|out| !files(out).is_empty()), "{earlier:?}");

        // A start that is refused removes nothing: here another window.
        let said = run(there.path(), &outs, &[(REPLACE, "1"), (WINDOW, "20")]);
        assert!(ended(&said[0]).contains("belongs to another job"), "{said:?}");
        assert!(ended(&said[1]).contains("process 0 is gone"), "{said:?}");
        assert_eq!(found(), earlier);
        // Nor does one that continues a checkpoint: its rows count.
        let said = run(there.path(), &outs, &[(REPLACE, "1")]);
        assert_eq!(ended(&said[0]), end, "{said:?}");
        assert_eq!(found(), earlier);

        let said = run(there.path(), &outs, &[(FRESH, "1"), (REPLACE, "1")]);
        assert_eq!(ended(&said[0]), end, "{said:?}");
        let now = found();
        assert!(now.iter().all(|file| !earlier.contains(file)), "{now:?}");
        let paths: Vec<&Path> = all.iter().map(|out| &**out).collect();
        assert_eq!(rows_in(paths).len(), rows, "{outs:?}");
    }
}

#[test]
fn a_start_that_came_no_further_than_its_claim_binds_nobody_to_its_window() {
    let there = tempfile::tempdir().unwrap();
    let said = run(there.path(), &["a"], &[(UNREADY, "1")]).remove(0);
    assert!(ended(&said).contains("not ready"), "{said}");
    let said = run(there.path(), &["a"], &[(WINDOW, "20")]).remove(0);
    assert!(ended(&said).starts_with("true of 3000, "), "{said}");
    let said = run(there.path(), &["a"], &[]).remove(0);
    assert!(ended(&said).contains("belongs to another job"), "{said}");
}

fn place_of(out: &Path) -> OutputIdentity {
    sink::identity(&Directory::local(out)).unwrap()
}
