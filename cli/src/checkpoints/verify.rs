//! Whether checkpoints are whole.

use serde_json::json;
use strandline_engine::checkpoint::CheckpointError;
use strandline_engine::checkpoint::catalog;
use strandline_engine::checkpoint::manifest::{CutRecord, Manifest};

use super::{Answer, Store, flaw, size};

/// Reads every byte of every checkpoint.
pub(super) fn verify(store: &Store, as_json: bool) -> Result<Answer, CheckpointError> {
    let (mut lines, mut damaged) = (String::new(), false);
    let mut newest: Option<Manifest> = None;
    for number in store.numbers() {
        let (what, bytes) = match catalog::verified(&store.blobs, number) {
            Ok(manifest) => {
                let bytes = store.bytes(&manifest);
                newest = Some(manifest);
                (None, Some(bytes))
            }
            Err(error) => {
                let what = flaw(error)?;
                if store.manifest(number)?.is_none() {
                    // The job has removed it meanwhile: a newer one has taken its place.
                    continue;
                }
                damaged = true;
                (Some(what), None)
            }
        };
        lines.push_str(&match (&what, bytes) {
            _ if as_json => json!({"number": number, "bytes": bytes, "damaged": what}).to_string(),
            (Some(what), _) => format!("checkpoint {number}: {what}"),
            (None, bytes) => format!("checkpoint {number}: {}, whole", size(bytes.unwrap_or(0))),
        });
        lines.push('\n');
    }
    let continues = newest.as_ref().map(|manifest| manifest.number);
    lines.push_str(&match as_json {
        true => json!({ "continues": continues, "then": then(newest.as_ref()) }).to_string(),
        false => format!("a start {}", then(newest.as_ref())),
    });
    lines.push('\n');
    Ok(Answer { lines, damaged })
}

/// What a start does.
fn then(newest: Option<&Manifest>) -> String {
    match newest {
        None => "is refused: no checkpoint can be read".to_owned(),
        Some(Manifest { cut: None, number, .. }) => {
            format!("begins anew: nothing had been read at checkpoint {number}")
        }
        Some(Manifest { cut: Some(CutRecord { finished: true, .. }), number, .. }) => {
            format!("is refused: checkpoint {number} is the end of a bounded run")
        }
        Some(Manifest { number, .. }) => format!("continues checkpoint {number}"),
    }
}
