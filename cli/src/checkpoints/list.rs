//! Which checkpoints there are.

use serde_json::json;
use strandline_engine::checkpoint::CheckpointError;
use strandline_engine::checkpoint::manifest::{CutRecord, Manifest};

use super::{Answer, Store, millis, or_dash, size, table, utc};

/// A line for each checkpoint.
pub(super) fn list(store: &Store, as_json: bool) -> Result<Answer, CheckpointError> {
    let mut rows = vec![heading()];
    let (mut lines, mut damaged) = (String::new(), false);
    let mut before: Option<Manifest> = None;
    for number in store.numbers() {
        let Some(manifest) = store.manifest(number)? else { continue };
        match manifest {
            Ok(manifest) => {
                let repeats = before.as_ref().filter(|before| repeats(before, &manifest));
                let note = note(&manifest, repeats.map(|before| before.number));
                if as_json {
                    lines.push_str(&object(store, &manifest, &note));
                } else {
                    rows.push(row(store, &manifest, note));
                }
                before = Some(manifest);
            }
            Err(what) => {
                damaged = true;
                if as_json {
                    lines
                        .push_str(&(json!({"number": number, "damaged": what}).to_string() + "\n"));
                } else {
                    let unknown = ["-"; 5].map(ToOwned::to_owned);
                    let mut row = vec![number.to_string()];
                    row.extend(unknown);
                    row.push(format!("damaged: {what}"));
                    rows.push(row);
                }
            }
        }
    }
    if !as_json {
        lines = table(&rows);
    }
    Ok(Answer { lines, damaged })
}

fn heading() -> Vec<String> {
    ["number", "epoch", "written", "records", "final rows", "size", "what it is"]
        .map(ToOwned::to_owned)
        .to_vec()
}

fn row(store: &Store, manifest: &Manifest, note: String) -> Vec<String> {
    let cut = manifest.cut.as_ref();
    vec![
        manifest.number.to_string(),
        or_dash(cut.map(|cut| cut.epoch)),
        or_dash(utc(manifest.written_at)),
        or_dash(cut.map(|cut| cut.ledger().read)),
        or_dash(cut.map(|cut| cut.final_rows)),
        size(store.bytes(manifest)),
        note,
    ]
}

fn object(store: &Store, manifest: &Manifest, note: &str) -> String {
    let cut = manifest.cut.as_ref();
    let object = json!({
        "number": manifest.number,
        "epoch": cut.map(|cut| cut.epoch),
        "written_at": utc(manifest.written_at),
        "written_at_ms": millis(manifest.written_at),
        "records": cut.map(|cut| cut.ledger().read),
        "final_rows": cut.map(|cut| cut.final_rows),
        "bytes": store.bytes(manifest),
        "finished": cut.is_some_and(|cut| cut.finished),
        "what": note,
    });
    object.to_string() + "\n"
}

/// Whether a start wrote `manifest` to take over from `before`: it says the same of the data.
fn repeats(before: &Manifest, manifest: &Manifest) -> bool {
    before.number + 1 == manifest.number
        && before.job == manifest.job
        && manifest.cut.is_some()
        && before.cut == manifest.cut
}

fn note(manifest: &Manifest, repeated: Option<u64>) -> String {
    match (&manifest.cut, repeated) {
        (None, _) => "a start, nothing read yet".to_owned(),
        (Some(_), Some(number)) => format!("a start that continues {number}"),
        (Some(CutRecord { finished: true, .. }), None) => "the end of a bounded run".to_owned(),
        (Some(_), None) => "a cut".to_owned(),
    }
}
