//! Where outputs and checkpoints go: two places, neither in the other.
//!
//! A checkpoint in the directory of outputs would be moved, copied and removed together with them, and the lock of
//! one would be taken for that of the other.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Refuses places of which one is the other or inside it, however they are written: by `..`, by links.
///
/// # Errors
///
/// A line that says which, and what to do.
pub(crate) fn keep_apart(out: &Path, checkpoints: &Path) -> Result<(), String> {
    let (real_out, real_checkpoints) = (resolved(out)?, resolved(checkpoints)?);
    let (out, checkpoints) = (out.display(), checkpoints.display());
    let how = if real_out == real_checkpoints {
        "are the same directory"
    } else if real_checkpoints.starts_with(&real_out) {
        "must not be one in the other: the checkpoints would be inside the outputs"
    } else if real_out.starts_with(&real_checkpoints) {
        "must not be one in the other: the outputs would be inside the checkpoints"
    } else {
        return Ok(());
    };
    Err(format!(
        "--out {out} and --checkpoint {checkpoints} {how}; name two directories side by side, such as {out} and \
         {out}-checkpoints (checkpoints that are there already can be moved while no job runs)"
    ))
}

/// The path without links and `..`, as far as it exists.
fn resolved(path: &Path) -> Result<PathBuf, String> {
    let failed = |error: io::Error| {
        let path = path.display();
        match error.kind() {
            io::ErrorKind::InvalidFilename => {
                format!(
                    "{path}: a name of it is too long for the file system; choose a shorter one"
                )
            }
            _ => format!("{path}: {error}; move away what is there, or name another directory"),
        }
    };
    let mut resolved = PathBuf::new();
    for component in std::path::absolute(path).map_err(failed)?.components() {
        match component {
            Component::ParentDir => drop(resolved.pop()),
            Component::CurDir => {}
            Component::Normal(name) => {
                resolved.push(name);
                match resolved.canonicalize() {
                    Ok(canonical) => resolved = canonical,
                    // It is made later.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(failed(error)),
                }
            }
            other => resolved.push(other),
        }
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "looks at the folder behind the store's back")]
    fn outputs_and_checkpoints_are_two_places_side_by_side() {
        let there = tempfile::tempdir().unwrap();
        let path = |name: &str| there.path().join(name);
        std::fs::create_dir(path("real")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(path("real"), path("link")).unwrap();
        for (out, checkpoints) in [
            ("a", "a"),
            ("a", "a/"),
            ("a", "./a"),
            ("a", "b/../a"),
            ("a", "a/b"),
            ("a/b/c", "a"),
            (".", "a"),
            ("real", "link"),
            ("link/out", "real"),
            ("link/../a", "a/b"),
        ] {
            let error = keep_apart(&path(out), &path(checkpoints)).unwrap_err();
            assert!(error.contains("--out") && error.contains("--checkpoint"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        for (out, checkpoints) in
            [("a", "b"), ("a", "ab"), ("a/b", "a/c"), ("a/../b", "a"), ("link/out", "link/kept")]
        {
            keep_apart(&path(out), &path(checkpoints)).unwrap();
        }
        assert_eq!(std::fs::read_dir(there.path()).unwrap().count(), 1 + usize::from(cfg!(unix)));
    }

    #[test]
    fn a_name_that_is_too_long_is_said_to_be() {
        let long = "x".repeat(300);
        let there = tempfile::tempdir().unwrap();
        let error = keep_apart(&there.path().join(long), Path::new("a")).unwrap_err();
        assert!(error.contains("too long") && !error.contains("move away"), "{error}");
    }

    #[test]
    fn the_defaults_are_side_by_side() {
        keep_apart(Path::new("data/aggregates"), Path::new("data/checkpoints")).unwrap();
    }
}
