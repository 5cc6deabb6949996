//! Reads the sections of a checkpoint, a piece at a time.
//!
//! No blob is ever held as a whole: what lies together is read together, up to a bound, handed
//! over, and let go of.

use std::sync::Arc;

use super::CheckpointError;
use super::blobs::Blobs;
use super::section::{HEADER_BYTES, Section, check_header};

/// Sections that lie together are read together, up to this, bytes. One section may exceed it.
const READ_BYTES_MAX: u64 = 8 << 20;
/// What may lie between two sections that are read together, bytes.
const GAP_BYTES_MAX: u64 = 64 << 10;

/// Hands every section to `visit` with its bytes, which are what the manifest says.
///
/// # Errors
///
/// [`CheckpointError::Damaged`], what the store says, and what `visit` says.
pub fn read_sections<'a>(
    store: &dyn Blobs,
    sections: impl IntoIterator<Item = &'a Section>,
    mut visit: impl FnMut(&'a Section, &[u8]) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    let mut sections: Vec<&Section> = sections.into_iter().collect();
    sections.sort_by(|a, b| (&a.blob, a.start).cmp(&(&b.blob, b.start)));
    let mut headed: Option<&Arc<str>> = None;
    let mut rest = &sections[..];
    while let Some(first) = rest.first() {
        let together = together(rest);
        let (now, later) = rest.split_at(together);
        rest = later;
        let end = now.iter().map(|section| section.end()).max().unwrap_or(first.end());
        let mut start = first.start;
        if headed != Some(&first.blob) {
            if start <= GAP_BYTES_MAX {
                start = 0;
            } else {
                check_header(&first.blob, &store.get_range(&first.blob, 0..HEADER_BYTES)?)?;
            }
        }
        // No store takes an empty range.
        let bytes = if start < end { store.get_range(&first.blob, start..end)? } else { vec![] };
        if headed != Some(&first.blob) && start == 0 {
            check_header(&first.blob, &bytes)?;
        }
        headed = Some(&first.blob);
        for section in now {
            visit(section, section.within(start, &bytes)?)?;
        }
    }
    Ok(())
}

/// How many of the first sections are read together.
fn together(sections: &[&Section]) -> usize {
    let Some(first) = sections.first() else { return 0 };
    let mut end = first.end();
    let more = sections[1..].iter().take_while(|section| {
        let near = section.blob == first.blob
            && section.start <= end.saturating_add(GAP_BYTES_MAX)
            && section.end().saturating_sub(first.start) <= READ_BYTES_MAX;
        end = end.max(section.end());
        near
    });
    1 + more.count()
}

#[cfg(test)]
mod tests;
