//! Options that the environment gives.

use clap::builder::{BoolishValueParser, Resettable};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction};

use super::value_check::check_value;

/// Every option can be given by the environment: `STRANDLINE_` and its name. A variable that is
/// empty counts as not set.
pub(super) fn with_environment(mut argument: Arg) -> Arg {
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        // The environment says 1 or yes as often as true.
        argument = argument.value_parser(BoolishValueParser::new());
    }
    let variable = match (argument.get_env(), argument.get_long()) {
        (Some(named), _) => named.to_owned(),
        (None, Some(long)) => {
            format!("STRANDLINE_{}", long.to_uppercase().replace('-', "_")).into()
        }
        (None, None) => return argument,
    };
    let is_empty = std::env::var_os(&variable).is_some_and(|value| value.is_empty());
    let variable = (!is_empty).then_some(variable);
    argument.env(Resettable::from(variable.map(clap::builder::OsStr::from))).hide_env_values(true)
}

/// The variable of an option.
pub(super) fn variable_of(command: &clap::Command, option: &str) -> String {
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(option));
    let variable = argument.and_then(Arg::get_env).map(|name| name.display().to_string());
    variable.unwrap_or_default()
}

/// Finds the variable whose value an option does not take: clap would blame the command line.
pub(super) fn check_environment(
    plain: &clap::Command,
    command: &mut clap::Command,
) -> Result<(), clap::Error> {
    let arguments = command.get_arguments().filter_map(|argument| {
        let variable = argument.get_env()?;
        Some((argument.get_long()?.to_owned(), variable.to_owned(), std::env::var(variable).ok()?))
    });
    for (option, variable, value) in arguments.collect::<Vec<_>>() {
        check_value(plain, &option, &value).map_err(|wrong| {
            let wrong = format!("{}: {wrong}", variable.display());
            command.error(ErrorKind::ValueValidation, wrong)
        })?;
    }
    Ok(())
}
