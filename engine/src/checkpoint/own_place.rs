//! Whether the processes of a start have the directories of outputs that they had.
//!
//! A directory that is new in the place of another one is a volume that is not mounted more often than
//! a decision. A job that went on there would leave its rows in two directories, and the first of them
//! would be refused from then on. So such a start is refused before it writes anything.

use super::CheckpointError;
use super::blobs::Blobs;
use super::manifest::{Manifest, OutputIdentity};
use super::places::is_shown;

/// Looks whether a process may put its rows `here`, before it has met the others of its job: which of
/// them has which of the job's directories is for `check_all`.
///
/// # Errors
///
/// [`CheckpointError::OtherOutputs`], and what the store says.
pub fn check(
    store: &dyn Blobs,
    manifest: &Manifest,
    process: usize,
    here: &OutputIdentity,
    abandoned: &[String],
) -> Result<(), CheckpointError> {
    if manifest.places().any(|(_, place)| here.holds(place)) {
        return Ok(());
    }
    match left_behind(manifest, process, here) {
        Some(then) => allow(store, manifest, process, then, here, abandoned),
        None => Ok(()),
    }
}

/// Looks at all processes of a start, by their numbers: the places of processes that no process has
/// now, and that are given up or need not be heard of.
///
/// # Errors
///
/// As those of [`check`].
pub(crate) fn check_all<'a>(
    store: &dyn Blobs,
    manifest: &'a Manifest,
    here: &[Option<OutputIdentity>],
    abandoned: &[String],
) -> Result<Vec<(usize, &'a OutputIdentity)>, CheckpointError> {
    let is_heard = |place: &OutputIdentity| here.iter().flatten().any(|here| here.holds(place));
    let mut left = Vec::new();
    for (process, here) in here.iter().enumerate() {
        let Some(here) = here else { continue };
        if let Some(then) = left_behind(manifest, process, here)
            && !is_heard(then)
        {
            allow(store, manifest, process, then, here, abandoned)?;
            left.push((process, then));
        }
    }
    Ok(left)
}

/// The place that the process had, if it is not `here` and may hold rows.
fn left_behind<'a>(
    manifest: &'a Manifest,
    process: usize,
    here: &OutputIdentity,
) -> Option<&'a OutputIdentity> {
    let cut = manifest.cut.as_ref()?;
    let then = manifest.places().find_map(|(of, place)| (of == process).then_some(place))?;
    if then.id.is_none() || here.holds(then) {
        return None;
    }
    let ledger = cut.ledger();
    let may_hold_rows = cut.final_rows + ledger.late + ledger.dead_letters() > 0;
    // Where it was, one without a row is as good as another.
    (may_hold_rows || here.id.is_some() || here.path != then.path).then_some(then)
}

fn allow(
    store: &dyn Blobs,
    manifest: &Manifest,
    process: usize,
    then: &OutputIdentity,
    here: &OutputIdentity,
    abandoned: &[String],
) -> Result<(), CheckpointError> {
    if then.id.as_ref().is_some_and(|id| abandoned.contains(id)) {
        return Ok(());
    }
    let names: Vec<String> = store.list()?.into_iter().map(|entry| entry.name).collect();
    if is_shown(&names, manifest, then) {
        return Ok(());
    }
    Err(CheckpointError::OtherOutputs {
        place: store.place(),
        number: manifest.number,
        process,
        then: Box::new(then.clone()),
        now: Box::new(here.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::manifest::{CutRecord, FORMAT, ProcessCut};
    use crate::checkpoint::object::ObjectBlobs;
    use crate::checkpoint::places::report_shown;
    use crate::source::TopicIdentity;
    use strandline_operators::time::EventTime;

    fn identity(id: Option<&str>, path: &str) -> OutputIdentity {
        OutputIdentity { id: id.map(ToOwned::to_owned), path: path.to_owned() }
    }

    /// A cut with so many rows, whose process 0 has its outputs in place 1 at `/a`, and process 1 in
    /// place 2 at `/b`.
    fn manifest(final_rows: u64) -> Manifest {
        let places = [identity(Some("1"), "/a"), identity(Some("2"), "/b")];
        let processes = places.iter().enumerate().map(|(process, place)| ProcessCut {
            process,
            place: Some(place.clone()),
            ..ProcessCut::default()
        });
        Manifest {
            format: FORMAT,
            number: 7,
            job: "0000000000001-00000002".into(),
            start: "0000000000001-00000002".into(),
            written_at: EventTime::from_millis(1),
            shape: [].into(),
            topic: TopicIdentity::named("t"),
            outputs: Some(places[0].clone()),
            cut: Some(CutRecord {
                epoch: 4,
                finished: false,
                closed_before: EventTime::MIN,
                final_rows,
                partitions: vec![],
                processes: processes.collect(),
            }),
        }
    }

    fn store() -> (tempfile::TempDir, ObjectBlobs) {
        let there = tempfile::tempdir().unwrap();
        let store = ObjectBlobs::local(there.path().join("checkpoints")).unwrap();
        (there, store)
    }

    #[test]
    fn a_process_goes_on_where_its_rows_are() {
        let (_there, store) = store();
        for (process, here, with_rows, without) in [
            (0, identity(Some("1"), "/a"), true, true),
            (0, identity(Some("1"), "/moved"), true, true),
            (0, identity(None, "/a"), false, true), // a volume that is not mounted, or was emptied
            (0, identity(None, "/c"), false, false),
            (0, identity(Some("3"), "/c"), false, false),
            (0, identity(Some("3"), "/a"), false, false), // another was put in its place
            (1, identity(None, "/b"), false, true),
            (1, identity(Some("1"), "/a"), true, true), // of another process: who has which is seen later
            (2, identity(None, "/c"), true, true),      // one more process than before
        ] {
            let may = |rows| check(&store, &manifest(rows), process, &here, &[]).is_ok();
            assert_eq!((may(5), may(0)), (with_rows, without), "{process} {here:?}");
            let older = Manifest { outputs: None, cut: None, ..manifest(5) };
            check(&store, &older, process, &here, &[]).expect("an older one does not say");
        }
    }

    #[test]
    fn a_refusal_names_both_directories_and_every_way_out() {
        let (_there, store) = store();
        for (here, is) in [
            (identity(None, "/a"), "/a holds no .strandline-id"),
            (identity(Some("9"), "/c"), "/c is place 9"),
        ] {
            let refused = check(&store, &manifest(5), 0, &here, &[]).unwrap_err().to_string();
            for part in ["place 1 at /a", is, "mount", "recover", "--abandon-place 1", "--fresh"] {
                assert!(refused.contains(part), "{part}: {refused}");
            }
            assert!(!refused.contains('\n'), "{refused}");
        }
    }

    #[test]
    fn a_place_that_is_given_up_or_shown_may_be_left() {
        let (_there, store) = store();
        let (manifest, new) = (manifest(5), identity(None, "/a"));
        let may = |abandoned: &[&str]| {
            let abandoned: Vec<String> = abandoned.iter().map(ToString::to_string).collect();
            check(&store, &manifest, 0, &new, &abandoned).is_ok()
        };
        assert!(!may(&["2"]) && may(&["1"]));
        report_shown(&store, &manifest, &identity(Some("1"), "/a")).unwrap();
        assert!(may(&[]));
    }

    #[test]
    fn processes_may_take_each_others_places_and_leave_none() {
        let (_there, store) = store();
        let manifest = manifest(5);
        let left = |here: &[&str]| {
            let here: Vec<_> = here.iter().map(|id| Some(identity(Some(id), "/x"))).collect();
            check_all(&store, &manifest, &here, &["2".to_owned()])
                .map(|left| left.into_iter().map(|(process, _)| process).collect::<Vec<_>>())
        };
        assert_eq!(left(&["1", "2"]).unwrap(), [0; 0]);
        assert_eq!(left(&["2", "1"]).unwrap(), [0; 0]);
        assert_eq!(left(&["1"]).unwrap(), [0; 0], "there is no process 1");
        assert_eq!(left(&["1", "3"]).unwrap(), [1], "it is given up");
        left(&["2", "3"]).unwrap_err();
    }
}
