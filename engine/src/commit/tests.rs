#![expect(clippy::disallowed_methods, reason = "looks at the files behind the store's back")]

mod bench;
mod lost_files;

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::Ordering;

use strandline_operators::time::EventTime;
use tempfile::TempDir;

use self::bench::{Bench, JOB, late, visible};
use super::*;
use crate::checkpoint::catalog::{ROWS_PREFIX, STATE_PREFIX, rows_name, state_name, verified};
use crate::checkpoint::manifest::{CutRecord, FORMAT, PartitionCut, ProcessCut};
use crate::condition::ConditionKind;
use crate::source::TopicIdentity;

/// More records than a test has.
const RECORDS_MAX: u64 = 1_000_000;

fn manifest(number: u64, epoch: u64, process: ProcessCut) -> Manifest {
    Manifest {
        format: FORMAT,
        number,
        job: JOB.into(),
        start: JOB.into(),
        written_at: EventTime::from_millis(0),
        shape: BTreeMap::new(),
        topic: TopicIdentity::named("t"),
        outputs: None,
        cut: Some(CutRecord {
            epoch,
            finished: false,
            closed_before: EventTime::MIN,
            final_rows: process.final_rows,
            partitions: vec![PartitionCut::of_windowed(RECORDS_MAX)],
            processes: vec![process],
        }),
    }
}

fn there() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_cut_holds_what_belongs_to_its_epoch_and_nothing_of_a_later_one() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    bench.rows(3, 0..2);
    bench.passed(0, 4); // worker 0 goes on, and its rows come before worker 1's
    bench.rows(4, 10..20);
    bench.state(3, true, "a");
    bench.run();
    assert_eq!(bench.sealed(3), None, "worker 1 has not passed");
    bench.rows(3, 2..4);
    bench.state(3, true, "b");
    bench.passed(1, 4);
    bench.run();
    let cut = bench.sealed(3).unwrap();
    assert_eq!((cut.final_rows, cut.state.len(), cut.outputs.pending.len()), (4, 2, 0));
    assert_eq!(cut.outputs.staged.iter().map(|staged| staged.rows).sum::<u64>(), 4);
    assert_eq!(visible(out.path()), (vec![], 1), "durable, and not shown");

    bench.send(MailboxItem::Commit { epoch: 3 });
    bench.run();
    assert_eq!(visible(out.path()), ((0..4).collect(), 0));
}

/// Workers do not wait for it: they may be two epochs on.
#[test]
fn what_comes_before_the_start_has_recovered_belongs_to_its_epoch() {
    let out = there();
    let mut bench = Bench::continuing(out.path(), true, Arc::default(), None);
    bench.rows(0, 0..2);
    bench.state(0, true, "a");
    bench.state(0, true, "b");
    bench.rows(1, 10..15);
    bench.run();
    assert_eq!(bench.committer.final_rows, 0, "nothing is written yet");
    bench.recover(None, Vec::new());
    bench.passed(0, 1);
    bench.passed(1, 1);
    bench.run();
    assert_eq!(bench.sealed(0).unwrap().final_rows, 2);
    bench.send(MailboxItem::Commit { epoch: 0 });
    bench.run();
    assert_eq!(visible(out.path()), ((0..2).collect(), 0));
}

/// Before the first turn, sources and windows are in the epoch that the run continues from.
#[test]
fn what_comes_in_the_epoch_that_a_run_continues_from_belongs_to_its_first_one() {
    let out = there();
    let mut bench = Bench::continuing(out.path(), true, Arc::default(), None);
    bench.rows(4, 0..1);
    bench.recover(Some(4), Vec::new());
    bench.rows(4, 1..3);
    bench.run();
    bench.cut(5, true);
    bench.run();
    assert_eq!(bench.sealed(5).unwrap().final_rows, 3);
    bench.send(MailboxItem::Commit { epoch: 5 });
    bench.run();
    assert_eq!(visible(out.path()), ((0..3).collect(), 0));
}

#[test]
fn rows_that_wait_for_their_file_are_in_the_checkpoint_and_come_back() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    bench.rows(1, 0..3);
    bench.cut(1, false);
    bench.rows(2, 3..5);
    bench.cut(2, false);
    bench.run();
    let (first, second) = (bench.sealed(1).unwrap(), bench.sealed(2).unwrap());
    let saved = |cut: &ProcessCut| {
        let sections = cut.outputs.pending.iter().flat_map(|pending| &pending.rows);
        sections.map(|section| section.records).collect::<Vec<_>>()
    };
    assert_eq!((saved(&first), saved(&second)), (vec![3], vec![3, 2]), "only what is new");
    assert_eq!(visible(out.path()), (vec![], 0));

    // Killed, and continued: the rows are there once, also when they were rolled before the kill.
    bench.rows(3, 5..9);
    bench.cut(3, true);
    bench.run();
    let manifest = manifest(2, 2, second);
    bench.blobs.put_new(&Manifest::name(2), manifest.to_bytes().into()).unwrap();
    let loaded = verified(&*bench.blobs, 2).unwrap();
    let blobs = Arc::clone(&bench.blobs);
    drop(bench);
    assert_eq!(visible(out.path()), (vec![], 1), "what was not committed is left over");
    let mut bench = Bench::continuing(out.path(), true, blobs, Some(&loaded));
    bench.recover_as(2, Some(2), Vec::new());
    bench.hand.advance(Duration::from_secs(1));
    bench.rows(3, 5..6);
    bench.run();
    assert_eq!(visible(out.path()), (vec![], 0), "the leftover is gone");
    bench.cut(3, true);
    bench.run();
    bench.send(MailboxItem::Commit { epoch: 3 });
    bench.run();
    assert_eq!(visible(out.path()), ((0..6).collect(), 0));
}

/// Each checkpoint lists all parts in which the rows of a file are: a long `--roll-every` would make that as
/// many as there are checkpoints in it.
#[test]
fn a_file_whose_rows_are_in_very_many_checkpoints_is_rolled_before_its_time() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    let mut parts = Vec::new();
    for epoch in 1..=300 {
        bench.rows(epoch, epoch..epoch + 1);
        bench.cut(epoch, false);
        bench.run();
        let cut = bench.sealed(epoch).unwrap();
        parts.push(cut.outputs.pending.iter().map(|pending| pending.rows.len()).sum::<usize>());
        bench.send(MailboxItem::Commit { epoch });
        bench.run();
    }
    assert_eq!(parts.iter().max(), Some(&256));
    assert_eq!(parts[299], 300 - 257, "they begin anew");
    assert_eq!(visible(out.path()), ((1..=257).collect(), 0));
}

#[test]
fn waiting_rows_whose_blob_another_program_has_removed_are_written_anew() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    bench.rows(1, 0..3);
    bench.cut(1, false);
    bench.run();
    bench.blobs.delete(&rows_name(1, 1, 0)).unwrap();
    bench.rows(2, 3..5);
    bench.cut(2, false);
    bench.run();
    let cut = bench.sealed(2).unwrap();
    assert_eq!(cut.outputs.pending, [], "nothing is listed that is gone");
    assert_eq!(cut.outputs.staged.iter().map(|staged| staged.rows).sum::<u64>(), 5);
    let said = bench.said.lock().unwrap().clone();
    assert!(said.len() == 1 && said[0].contains("5 rows") && said[0].contains("rows-"), "{said:?}");
    bench.blobs.put_new(&Manifest::name(2), manifest(2, 2, cut).to_bytes().into()).unwrap();
    verified(&*bench.blobs, 2).unwrap();
    bench.send(MailboxItem::Commit { epoch: 2 });
    bench.run();
    assert_eq!(visible(out.path()), ((0..5).collect(), 0));
}

#[test]
fn no_manifest_names_what_is_gone() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    bench.rows(1, 0..3);
    bench.cut(1, false);
    bench.run();
    let cut = bench.sealed(1).unwrap();
    bench.blobs.delete(&state_name(1, 1, 0)).unwrap();
    bench.send(MailboxItem::Put(Box::new(manifest(2, 1, cut))));
    bench.run();
    assert_eq!(bench.mailbox.put(), None);
    let error = bench.failure.take().unwrap().to_string();
    assert!(error.contains("cut-") && error.contains("--fresh"), "{error}");
}

#[test]
fn a_start_reads_waiting_rows_by_section_once_no_old_state_and_keeps_nothing_that_it_read() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    for epoch in 1..=5 {
        bench.rows(epoch, 10 * epoch..10 * epoch + 3);
        bench.cut(epoch, false);
        bench.run();
    }
    let manifest = manifest(2, 5, bench.sealed(5).unwrap());
    let blobs = manifest.blobs();
    let of = |prefix: &str| {
        let of = blobs.iter().filter(|blob| blob.starts_with(prefix));
        of.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of(STATE_PREFIX), [state_name(1, 5, 0)], "of its own cut only");
    assert_eq!((of(ROWS_PREFIX).len(), blobs.len()), (5, 6));

    let blobs = Arc::clone(&bench.blobs);
    blobs.reads.lock().unwrap().clear();
    let mut bench = Bench::continuing(out.path(), true, Arc::clone(&blobs), Some(&manifest));
    bench.recover_as(2, Some(5), Vec::new());
    bench.run();
    let mut reads = std::mem::take(&mut *blobs.reads.lock().unwrap());
    reads.sort_by(|a, b| a.0.cmp(&b.0));
    let pending = &manifest.cut.as_ref().unwrap().processes[0].outputs.pending;
    let sections = pending.iter().flat_map(|pending| &pending.rows);
    // With the header, which lies before the first section.
    let expected = sections.map(|section| (section.blob.to_string(), 0..section.end()));
    assert_eq!(reads, expected.collect::<Vec<_>>());
    let waits = &bench.committer.options.checkpoints.as_ref().unwrap().pending;
    assert!(waits.is_empty(), "what was read is the outputs' now");
    let held = bench.committer.options.outputs.final_rows.measures();
    assert_eq!(held.iter().map(|(_, measures)| measures.rows_waiting).sum::<u64>(), 15);
}

#[test]
fn a_file_that_waits_is_as_old_as_it_was_before_the_restart() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    bench.passed(0, 1);
    bench.passed(1, 1);
    bench.rows(1, 0..3);
    bench.run();
    bench.hand.advance(Duration::from_secs(45));
    bench.cut(1, false);
    bench.run();
    let cut = bench.sealed(1).unwrap();
    assert_eq!(cut.outputs.pending[0].age_ms, 45_000);
    bench.blobs.put_new(&Manifest::name(2), manifest(2, 1, cut).to_bytes().into()).unwrap();
    let loaded = verified(&*bench.blobs, 2).unwrap();
    let blobs = Arc::clone(&bench.blobs);
    let mut bench = Bench::continuing(out.path(), true, blobs, Some(&loaded));
    bench.recover(Some(1), Vec::new());
    bench.run();
    bench.hand.advance(Duration::from_secs(14));
    bench.cut(2, false);
    bench.run();
    assert_eq!(bench.sealed(2).unwrap().outputs.staged.len(), 0);
    bench.hand.advance(Duration::from_secs(1));
    bench.cut(3, false);
    bench.run();
    assert_eq!(bench.sealed(3).unwrap().outputs.staged.len(), 1);
}

#[test]
fn what_was_committed_before_a_crash_is_shown_by_whoever_continues() {
    let out = there();
    let bench = Bench::with_a_hidden_file(out.path());
    let staged = bench.sealed(1).unwrap().outputs.staged;
    let blobs = Arc::clone(&bench.blobs);
    drop(bench); // after the manifest, before the commit
    let mut bench = Bench::continuing(out.path(), true, blobs, None);
    bench.recover(Some(1), staged);
    bench.run();
    assert_eq!(visible(out.path()), (vec![0, 1, 2], 0));
}

#[test]
fn files_after_the_checkpoint_that_is_continued_are_removed() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    for epoch in 1..4 {
        bench.rows(epoch, epoch * 10..epoch * 10 + 2);
        bench.cut(epoch, true);
        bench.run();
        bench.send(MailboxItem::Commit { epoch });
        bench.run();
    }
    assert_eq!(visible(out.path()).0.len(), 6);
    let blobs = Arc::clone(&bench.blobs);
    // The newest checkpoints are damaged; the one of epoch 1 counts.
    let mut bench = Bench::continuing(out.path(), true, blobs, None);
    bench.recover(Some(1), Vec::new());
    bench.run();
    assert_eq!(visible(out.path()), (vec![10, 11], 0));
}

#[test]
fn a_full_disk_holds_a_cut_up_and_loses_nothing() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    bench.disk_fails.store(true, Ordering::SeqCst);
    bench.rows(1, 0..3);
    bench.cut(1, true);
    for _ in 0..3 {
        assert!(matches!(bench.later(), Step::Wait(Some(_))));
    }
    bench.rows(2, 3..5); // workers go on
    bench.run();
    assert_eq!(bench.sealed(1), None);
    assert_eq!(bench.said.lock().unwrap().len(), 1, "{:?}", bench.said);
    assert!(bench.said.lock().unwrap()[0].contains("free some space"));
    bench.disk_fails.store(false, Ordering::SeqCst);
    bench.later();
    assert_eq!(bench.sealed(1).unwrap().outputs.staged[0].rows, 3);
    bench.send(MailboxItem::Commit { epoch: 1 });
    bench.cut(2, true);
    bench.run();
    bench.send(MailboxItem::Commit { epoch: 2 });
    bench.run();
    assert_eq!(visible(out.path()), ((0..5).collect(), 0));
    assert!(!bench.failure.happened());
}

#[test]
fn a_store_that_takes_nothing_is_said_once_and_holds_back_cuts_only() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    bench.blobs.failing.store(true, Ordering::SeqCst);
    bench.rows(1, 0..3);
    bench.cut(1, true);
    for _ in 0..3 {
        bench.later();
    }
    assert_eq!(bench.sealed(1), None);
    assert_eq!(bench.said.lock().unwrap().len(), 1, "{:?}", bench.said);
    assert!(bench.said.lock().unwrap()[0].contains("no space"), "{:?}", bench.said);
    bench.blobs.failing.store(false, Ordering::SeqCst);
    bench.later();
    assert!(bench.sealed(1).is_some());
    assert_eq!(bench.said.lock().unwrap().len(), 2);
}

#[test]
fn a_put_that_succeeded_without_saying_so_is_no_conflict() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    bench.blobs.lying.store(true, Ordering::SeqCst);
    bench.cut(1, false);
    bench.run();
    bench.later();
    let cut = bench.sealed(1).unwrap();
    bench.blobs.lying.store(true, Ordering::SeqCst);
    bench.send(MailboxItem::Put(Box::new(manifest(2, 1, cut))));
    bench.run();
    assert_eq!(bench.mailbox.put(), None);
    bench.later();
    assert_eq!(bench.mailbox.put(), Some((2, 1)));
    assert!(!bench.failure.happened());
}

#[test]
fn whoever_finds_its_number_taken_commits_nothing() {
    let out = there();
    let mut bench = Bench::with_a_hidden_file(out.path());
    let cut = bench.sealed(1).unwrap();
    // Meanwhile another process has begun.
    let claim = manifest(2, 0, ProcessCut::default());
    bench.blobs.put_new(&Manifest::name(2), claim.to_bytes().into()).unwrap();
    bench.send(MailboxItem::Put(Box::new(manifest(2, 1, cut))));
    bench.run();
    let error = bench.failure.take().unwrap().to_string();
    assert!(error.contains("another process has taken over"), "{error}");
    // What was on its way already does not count either, although its number is free.
    bench.send(MailboxItem::Put(Box::new(manifest(3, 2, ProcessCut::default()))));
    bench.later();
    assert_eq!(bench.mailbox.put(), None);
    assert!(bench.blobs.get(&Manifest::name(3)).is_err());
    assert_eq!(visible(out.path()).0, [0; 0]);
}

#[test]
fn only_the_newest_cuts_are_kept_and_what_they_need() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    let retention = Retention::survey(&*bench.blobs, 2, 1).unwrap();
    bench.committer.options.checkpoints.as_mut().unwrap().retention = Some(retention);
    for epoch in 1..6 {
        bench.rows(epoch, epoch..epoch + 1); // waits for its file: all cuts need all blobs
        bench.cut(epoch, epoch == 3);
        bench.run();
        let cut = bench.sealed(epoch).unwrap();
        bench.send(MailboxItem::Put(Box::new(manifest(epoch + 1, epoch, cut))));
        bench.run();
    }
    let names: Vec<String> = bench.blobs.list().unwrap().into_iter().map(|b| b.name).collect();
    let manifests = [Manifest::name(5), Manifest::name(6)];
    let (states, rows) = ([4, 5].map(|e| state_name(1, e, 0)), [4, 5].map(|e| rows_name(1, e, 0)));
    assert_eq!(names, [states, manifests, rows].concat());
}

#[test]
fn an_output_that_waits_is_a_condition_of_the_job_until_it_is_mended() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    let telemetry = bench.committer.options.telemetry.clone();
    bench.disk_fails.store(true, Ordering::SeqCst);
    bench.rows(1, 0..3);
    bench.cut(1, true);
    bench.run();
    bench.later();
    let raised = telemetry.all_raised();
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert_eq!((raised[0].kind, &*raised[0].subject), (ConditionKind::OutputWaits, "final rows"));
    // The words of the log.
    assert!(bench.said.lock().unwrap()[0].starts_with(&raised[0].detail), "{raised:?}");
    let parquet = telemetry.measures().outputs["parquet"].clone();
    assert_eq!((parquet.rows_waiting, parquet.failures, parquet.retries > 0), (3, 1, true));
    assert!(parquet.bytes_waiting > 0 && parquet.oldest_waiting_since.is_some(), "{parquet:?}");
    bench.disk_fails.store(false, Ordering::SeqCst);
    bench.later();
    bench.send(MailboxItem::Commit { epoch: 1 });
    bench.run();
    bench.later();
    assert_eq!(telemetry.all_raised(), []);
    let parquet = telemetry.measures().outputs["parquet"].clone();
    assert_eq!((parquet.rows_waiting, parquet.oldest_waiting_since), (0, None));
}

#[test]
fn a_store_that_takes_nothing_suspends_checkpointing_until_it_does() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    let telemetry = bench.committer.options.telemetry.clone();
    bench.blobs.failing.store(true, Ordering::SeqCst);
    bench.state(1, false, "a");
    bench.state(1, false, "b");
    bench.passed(0, 2);
    bench.passed(1, 2);
    bench.run();
    bench.later();
    let raised = telemetry.all_raised();
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert_eq!(raised[0].kind, ConditionKind::CheckpointingSuspended);
    assert!(raised[0].detail.contains("no space"), "{raised:?}");
    assert_eq!(telemetry.measures().checkpoints.failures, 2);
    bench.blobs.failing.store(false, Ordering::SeqCst);
    bench.later();
    assert_eq!(telemetry.all_raised(), []);
}

#[test]
fn without_checkpoints_closing_waits_for_a_full_disk_to_be_mended() {
    let out = there();
    let mut bench = Bench::new(out.path(), false);
    bench.disk_fails.store(true, Ordering::SeqCst);
    bench.rows(1, 0..5);
    bench.mailbox.end(Ending::Complete);
    for _ in 0..3 {
        assert!(matches!(bench.later(), Step::Wait(Some(_))));
    }
    bench.disk_fails.store(false, Ordering::SeqCst);
    assert_eq!(bench.later(), Step::Done);
    assert_eq!(visible(out.path()), ((0..5).collect(), 0));
}

#[test]
fn without_checkpoints_a_job_stopped_on_a_full_disk_says_what_is_lost() {
    let out = there();
    let mut bench = Bench::new(out.path(), false);
    bench.disk_fails.store(true, Ordering::SeqCst);
    bench.rows(1, 0..5);
    bench.mailbox.end(Ending::Complete);
    bench.run();
    bench.stop.request();
    assert_eq!(bench.later(), Step::Done);
    let lost = bench.committer.lost.lock().unwrap().take().unwrap().to_string();
    assert!(lost.contains("5 rows were not written and are lost"), "{lost}");
}

/// What a worker that waits for room looks at.
#[test]
fn while_a_store_takes_nothing_no_more_is_taken_than_has_room() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    bench.blobs.failing.store(true, Ordering::SeqCst);
    bench.cut(1, false);
    bench.run();
    for offset in 0..20 {
        bench.send(MailboxItem::Rejected { epoch: 2, records: vec![late(offset, 1 << 20)] });
    }
    bench.run();
    assert!(!bench.mailbox.is_empty(), "no more is taken");
    let condition = bench.committer.condition();
    assert!(condition.is_full);
    assert!(condition.trouble.unwrap().to_string().contains("no space"));
    bench.blobs.failing.store(false, Ordering::SeqCst);
    bench.later();
    assert!(bench.mailbox.is_empty() && bench.committer.condition().trouble.is_none());
}

#[test]
fn a_worker_that_waits_for_room_is_let_go_by_a_stop() {
    let stop = Stop::default();
    let background = Background::threads();
    let mailbox: Mailbox = Mailbox::new(Bell::default(), stop.clone(), background, true);
    let command = || MailboxItem::Rejected { epoch: 1, records: vec![late(0, 17 << 20)] };
    mailbox.send(command()).unwrap();
    stop.request();
    let trouble: Trouble = Arc::new(std::io::Error::other("no space"));
    mailbox.show(Condition { trouble: Some(trouble), is_full: true, waiting: 3 });
    let lost = mailbox.send(command()).unwrap_err().to_string();
    let expected = "no space (3 rows were not written; the next start computes them again)";
    assert_eq!(lost, expected);
}

#[test]
fn a_stop_says_that_the_next_start_shows_what_could_not_be_shown() {
    let out = there();
    let mut bench = Bench::with_a_hidden_file(out.path());
    bench.renames_fail.store(true, Ordering::SeqCst);
    bench.send(MailboxItem::Commit { epoch: 1 });
    bench.mailbox.end(Ending::Complete);
    bench.run();
    bench.stop.request();
    assert_eq!(bench.later(), Step::Done);
    let lost = bench.committer.lost.lock().unwrap().take().unwrap().to_string();
    assert!(lost.ends_with("(3 rows were not made visible; the next start does that)"), "{lost}");
    assert_eq!(visible(out.path()), (vec![], 1));
}

#[test]
fn a_cut_without_files_does_not_say_that_files_can_be_shown_again() {
    let out = there();
    let mut bench = Bench::with_a_hidden_file(out.path());
    bench.renames_fail.store(true, Ordering::SeqCst);
    bench.send(MailboxItem::Commit { epoch: 1 });
    bench.run();
    for epoch in 2..5 {
        bench.cut(epoch, false);
        bench.run();
        bench.later();
        assert!(bench.sealed(epoch).is_some(), "it waits for no file");
    }
    let said = |bench: &Bench| bench.said.lock().unwrap().len();
    assert_eq!(said(&bench), 1, "{:?}", bench.said);
    bench.renames_fail.store(false, Ordering::SeqCst);
    bench.later();
    assert_eq!(visible(out.path()), ((0..3).collect(), 0));
    assert!(bench.said.lock().unwrap()[1].contains("written again"), "{:?}", bench.said);
    assert_eq!(said(&bench), 2);
}

#[test]
fn blobs_that_could_not_be_removed_are_removed_later() {
    let out = there();
    let mut bench = Bench::new(out.path(), true);
    let retention = Retention::survey(&*bench.blobs, 1, 1).unwrap();
    bench.committer.options.checkpoints.as_mut().unwrap().retention = Some(retention);
    for epoch in 1..4 {
        bench.blobs.sticky.store(epoch < 3, Ordering::SeqCst);
        bench.cut(epoch, false);
        bench.run();
        let cut = bench.sealed(epoch).unwrap();
        bench.send(MailboxItem::Put(Box::new(manifest(epoch + 1, epoch, cut))));
        bench.run();
    }
    let names: Vec<String> = bench.blobs.list().unwrap().into_iter().map(|b| b.name).collect();
    assert_eq!(names, [state_name(1, 3, 0), Manifest::name(4)]);
}

/// Rows that wait for room hold back no manifest and no commit.
#[test]
fn commands_pass_rows() {
    let out = there();
    let mut bench = Bench::with_a_hidden_file(out.path());
    bench.blobs.failing.store(true, Ordering::SeqCst);
    bench.cut(2, false);
    bench.run();
    for offset in 0..20 {
        bench.send(MailboxItem::Rejected { epoch: 3, records: vec![late(offset, 1 << 20)] });
    }
    bench.run();
    assert!(!bench.mailbox.is_empty(), "no more rows are taken");
    bench.send(MailboxItem::Commit { epoch: 1 });
    bench.later();
    assert!(!bench.mailbox.is_empty());
    assert_eq!(visible(out.path()), (vec![0, 1, 2], 0));
}

#[test]
fn a_command_waits_for_no_room() {
    let background = Background::threads();
    let mailbox: Mailbox = Mailbox::new(Bell::default(), Stop::default(), background, true);
    mailbox.send(MailboxItem::Rejected { epoch: 1, records: vec![late(0, 17 << 20)] }).unwrap();
    mailbox.send(MailboxItem::Commit { epoch: 1 }).unwrap();
    mailbox.send(MailboxItem::Passed { worker: 0, epoch: 2 }).unwrap();
    assert!(matches!(mailbox.take_command(), Some(MailboxItem::Commit { epoch: 1 })));
    assert!(matches!(mailbox.take(), Some(MailboxItem::Rejected { .. })));
    assert!(
        matches!(mailbox.take(), Some(MailboxItem::Passed { worker: 0, epoch: 2 })),
        "in its order"
    );
}

/// A task that waits for a disk that never answers.
struct Hanging;

impl Task for Hanging {
    fn step(&mut self) -> Step {
        loop {
            std::thread::park();
        }
    }
}

#[test]
fn a_disk_or_store_that_hangs_holds_up_no_stop() {
    for forgets in [true, false] {
        let (bell, stop, lost) = (Bell::default(), Stop::default(), Arc::default());
        let mailbox: Mailbox =
            Mailbox::new(bell.clone(), stop.clone(), Background::threads(), true);
        let task = Background::threads().spawn("hanging", bell, Hanging).unwrap();
        let handle = CommitterHandle { mailbox, task, lost };
        stop.request();
        match forgets {
            true => handle.forget(),
            false => {
                let error = handle.complete().unwrap_err().to_string();
                assert!(error.contains("does not answer"), "{error}");
            }
        }
    }
}
