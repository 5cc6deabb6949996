//! Small text files that options name.

use std::io;
use std::path::Path;

use strandline_engine::store::{Directory, StoreError};

/// The text of a file.
///
/// # Errors
///
/// What is wrong, without the path.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or("is not a file's name")?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = Directory::local(parent.unwrap_or(Path::new(".")));
    let bytes = directory.read(name).map_err(|error| match error {
        StoreError::Other { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            "there is no such file".to_owned()
        }
        StoreError::Other { source, .. } => source.to_string(),
        StoreError::Permission { .. } => "this user may not read it".to_owned(),
        error => error.to_string(),
    })?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".into())
}
