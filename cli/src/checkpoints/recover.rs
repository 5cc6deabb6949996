//! Shows what was committed in a place that no process of the job has any more.

use serde_json::json;
use strandline_engine::checkpoint::blobs::{BlobError, Blobs};
use strandline_engine::checkpoint::manifest::{Manifest, OutputIdentity};
use strandline_engine::checkpoint::{CheckpointError, catalog, places};
use strandline_engine::sink;
use strandline_engine::store::{Directory, StoreError};

use super::{Answer, Recover, Store};

/// Shows the files that the newest checkpoint lists for the directory, and reports that. What is
/// missing or damaged is damage: then nothing is reported.
pub(super) fn recover(store: &Store, asked: &Recover) -> Result<Answer, CheckpointError> {
    let place = store.blobs.place();
    let failed = |reason: String| -> CheckpointError {
        BlobError::Failed { place: place.clone(), reason }.into()
    };
    let unreadable = |error: StoreError| failed(error.to_string());
    let newest = catalog::find(&store.blobs)?.newest;
    let Some(manifest @ Manifest { cut: Some(_), .. }) = newest else {
        return Err(failed("no checkpoint has committed any rows".to_owned()));
    };
    let out = Directory::local(&asked.out);
    let here = sink::identity(&out).map_err(unreadable)?;
    let shown_at = asked.out.display();
    let Some(id) = here.id.as_ref().filter(|_| manifest.places().any(|(_, its)| here.holds(its)))
    else {
        return Err(failed(none_of_its_places(&manifest, &here)));
    };
    let recovery = places::recovery_at(&manifest, &here);
    let gone = sink::show_staged(&out, &recovery).map_err(unreadable)?;
    let rows: u64 = recovery.staged.iter().map(|file| file.rows).sum();
    let (number, files) = (manifest.number, recovery.staged.len());
    let names: Vec<String> =
        gone.iter().map(|file| format!("{}/{}/{}", file.output, file.folder, file.name)).collect();
    if gone.is_empty() {
        places::report_shown(&store.blobs, &manifest, &here)?;
    }
    let lines = match asked.place.json {
        true => json!({"number": number, "id": id, "files": files, "rows": rows, "missing": names})
            .to_string(),
        false if gone.is_empty() => format!(
            "{shown_at}, place {id}: the {files} files of checkpoint {number} ({rows} rows) are \
             visible; a start need not have this place any more"
        ),
        false => {
            let missing: u64 = gone.iter().map(|file| file.rows).sum();
            format!(
                "{shown_at}, place {id}: {} files of checkpoint {number} ({missing} rows) are \
                 missing or damaged: {}; bring them back from a copy, or start with \
                 --abandon-place {id}",
                gone.len(),
                names.join(", ")
            )
        }
    };
    Ok(Answer { lines: lines + "\n", damaged: !gone.is_empty() })
}

/// What is said of a directory that has no files of a checkpoint, such as a new one in the place of a
/// volume that is not mounted.
fn none_of_its_places(manifest: &Manifest, here: &OutputIdentity) -> String {
    let is = match &here.id {
        Some(id) => format!("is place {id}"),
        None => "holds no .strandline-id (it is absent, new or was emptied)".to_owned(),
    };
    let mut places: Vec<String> = Vec::new();
    for (process, place) in manifest.places() {
        let id = place.id.as_deref().unwrap_or_default();
        let line = format!("place {id} at {} (process {process})", place.path);
        if !places.contains(&line) {
            places.push(line);
        }
    }
    let (path, number) = (&here.path, manifest.number);
    match places.is_empty() {
        true => format!("checkpoint {number} does not say where its outputs are"),
        false => format!(
            "{path} {is}, and the outputs of checkpoint {number} are in {}: mount its volume, or give \
             --out as it is here",
            places.join(", ")
        ),
    }
}
