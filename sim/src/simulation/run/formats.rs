//! Manifests as other versions write them.

use strandline_engine::checkpoint::manifest::{FORMAT, Manifest, with_checksum};

/// A manifest of a version to come: what it says, nobody knows yet.
pub(super) fn newer(newest: &Manifest, number: u64) -> (String, Vec<u8>) {
    let stored = newest.to_bytes();
    let text = String::from_utf8_lossy(&stored);
    let json = text.split('\n').next().unwrap_or_default();
    let (now, then) = (format!("\"format\":{FORMAT}"), format!("\"format\":{}", FORMAT + 41));
    (Manifest::name(number), with_checksum(&json.replacen(&now, &then, 1)))
}

/// A manifest as the first version wrote it, which said nothing of places.
pub(super) fn in_first_format(manifest: &Manifest) -> (String, Vec<u8>) {
    let mut manifest = Manifest { format: 1, outputs: None, ..manifest.clone() };
    for process in manifest.cut.iter_mut().flat_map(|cut| &mut cut.processes) {
        process.place = None;
    }
    let json = serde_json::to_string(&manifest).unwrap_or_default();
    (Manifest::name(manifest.number), with_checksum(&json))
}
