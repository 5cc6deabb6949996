//! Every link to a file leads to one, and every anchor to a heading.

use std::path::{Component, Path, PathBuf};

use crate::{pages, root, text};

/// The lines of a page that are no code, with their numbers.
fn prose(page: &str) -> Vec<(usize, String)> {
    let mut in_code = false;
    let text = text(page);
    let lines = text.lines().enumerate().filter(|(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    });
    lines.map(|(index, line)| (index + 1, line.to_owned())).collect()
}

/// The targets of a line's links.
fn targets(line: &str) -> Vec<String> {
    let parts = line.split("](").skip(1);
    parts.filter_map(|part| part.split_once(')').map(|(target, _)| target.to_owned())).collect()
}

/// The anchors of a page's headings, as GitHub and mdbook make them.
fn anchors(page: &str) -> Vec<String> {
    let headings = prose(page).into_iter().filter(|(_, line)| line.starts_with('#'));
    let anchors = headings.map(|(_, line)| {
        let heading = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        heading.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    });
    anchors.collect()
}

/// A path without `..` in it, from the root of the repository.
fn plain(path: &Path) -> String {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => assert!(plain.pop(), "{} is outside", path.display()),
            component => plain.push(component),
        }
    }
    plain.to_str().unwrap().to_owned()
}

#[test]
fn every_link_leads_somewhere() {
    for page in pages() {
        for (number, line) in prose(&page) {
            for target in targets(&line) {
                if target.contains("://") {
                    continue;
                }
                let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
                let folder = Path::new(&page).parent().unwrap();
                let path = match path {
                    "" => page.clone(),
                    path => plain(&folder.join(path)),
                };
                assert!(root().join(&path).exists(), "{page}:{number}: there is no {path}");
                if !anchor.is_empty() {
                    assert!(
                        anchors(&path).contains(&anchor.to_owned()),
                        "{page}:{number}: {path} has no heading #{anchor}"
                    );
                }
            }
        }
    }
}
