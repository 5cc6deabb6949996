//! Whether an option takes a value that is not on the command line: clap would blame that.

use std::ffi::OsStr;

use clap::ArgAction;
use clap::builder::{BoolishValueParser, TypedValueParser as _};
use strandline_sim::command_line::one_line;

/// Whether an option takes a value, and if not, why.
pub(super) fn check_value(plain: &clap::Command, option: &str, value: &str) -> Result<(), String> {
    let argument = plain.get_arguments().find(|argument| argument.get_long() == Some(option));
    let is_switch = argument.is_some_and(|a| matches!(a.get_action(), ArgAction::SetTrue));
    if is_switch {
        let parsed = BoolishValueParser::new().parse_ref(plain, None, OsStr::new(value));
        return parsed
            .map(drop)
            .map_err(|_| format!("{option}: `{value}` is neither true nor false"));
    }
    let line = [plain.get_name().to_owned(), format!("--{option}={value}")];
    match plain.clone().try_get_matches_from(line) {
        Ok(_) => Ok(()),
        Err(error) => Err(one_line(&error)),
    }
}
