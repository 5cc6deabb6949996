//! Options that a TOML file gives, by their long names.

use std::collections::BTreeSet;
use std::path::Path;

use clap::error::ErrorKind;
use strandline_engine::text_file;

use super::value_check::check_value;

/// Makes what a TOML file says the defaults of `command`. Also gives the long names of the options that
/// it names.
pub(super) fn with_file(
    plain: &clap::Command,
    mut command: clap::Command,
    path: &Path,
) -> Result<(clap::Command, BTreeSet<String>), clap::Error> {
    let wrong = |command: &mut clap::Command, what: String| {
        let what = format!("--config {}: {what}", path.display());
        command.error(ErrorKind::InvalidValue, what)
    };
    let text = match text_file::read(path) {
        Ok(text) => text,
        Err(error) => return Err(wrong(&mut command, error.to_string())),
    };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let what = error.message().lines().next().unwrap_or("not TOML");
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            return Err(wrong(&mut command, format!("line {line}: {what}")));
        }
    };
    let named = table.keys().cloned().collect();
    for (key, value) in table {
        let id = key.replace('-', "_");
        let known = command.get_arguments().any(|a| a.get_long() == Some(&key) && key != "config");
        if !known {
            return Err(wrong(&mut command, format!("there is no option `{key}`")));
        }
        let values = match value {
            toml::Value::Array(values) => values.into_iter().map(text_of).collect(),
            value => vec![text_of(value)],
        };
        let Some(values) = values.into_iter().collect::<Option<Vec<String>>>() else {
            return Err(wrong(&mut command, format!("`{key}` takes a plain value")));
        };
        for value in &values {
            check_value(plain, &key, value).map_err(|what| wrong(&mut command, what))?;
        }
        command = command.mut_arg(id, |argument| argument.default_values(values));
    }
    Ok((command, named))
}

/// A plain value as it would be on the command line.
fn text_of(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(is) => Some(is.to_string()),
        toml::Value::Datetime(time) => Some(time.to_string()),
        toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}
