//! How the programs of this project take command lines: which values may begin with a minus sign, and
//! what is said of a wrong line.
//!
//! It is here because this is the lowest layer that has a command line: the programs on top know this
//! layer, and the layers below are to stay without clap.

use std::any::TypeId;
use std::time::Duration;

use clap::Arg;
use strandline_engine::source::kafka::Start;

/// A value may begin with a minus sign where it is a number, a duration or a time, so that its own
/// error says what is wrong with it. Elsewhere it is the next option.
pub fn with_negative_values(argument: Arg) -> Arg {
    if !argument.get_action().takes_values() {
        return argument;
    }
    let value = argument.get_value_parser().type_id();
    let is_parsed = value == TypeId::of::<Duration>() || value == TypeId::of::<Start>();
    argument.allow_negative_numbers(true).allow_hyphen_values(is_parsed)
}

/// What clap says of a wrong command line, in one line without its usage. A hint, such as the option that
/// was probably meant, stays.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let said = text.split("\n\nUsage:").next().unwrap_or_default();
    let said = said.split("\n\nFor more information").next().unwrap_or_default();
    let parts = said.split("\n\n").map(|part| {
        let words: Vec<&str> = part.split_whitespace().collect();
        words.join(" ")
    });
    // These programs take no values without an option's name that something could be passed as.
    let parts = parts.filter(|part| !part.starts_with("tip: to pass"));
    let line = parts.collect::<Vec<_>>().join("; ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    // The library's words for a number that is none say nothing of what to write.
    let line =
        NUMBERS.iter().fold(line.to_owned(), |line, (said, better)| line.replace(said, better));
    RANGES_WITHOUT_END.iter().fold(line, |line, end| match line.split_once(" is not in ") {
        Some((before, range)) => match range.strip_suffix(&format!("..={end}")) {
            Some(least) => format!("{before} is too small; give {least} or a greater number"),
            None => line,
        },
        None => line,
    })
}

/// How ranges end that have no greatest number but the one that fits.
const RANGES_WITHOUT_END: [&str; 2] = ["4294967295", "18446744073709551615"];

/// What Rust says of texts that are no numbers, and what is said instead.
const NUMBERS: [(&str, &str); 6] = [
    (": invalid digit found in string", ": give a whole number, such as 4"),
    (": cannot parse integer from empty string", ": give a whole number, such as 4"),
    (": number too large to fit in target type", ": the number is too large; give a smaller one"),
    (": number too small to fit in target type", ": the number is too small; give a greater one"),
    (": invalid float literal", ": give a number, such as 0.5"),
    (": cannot parse float from empty string", ": give a number, such as 0.5"),
];

#[cfg(test)]
mod tests {
    use clap::builder::TypedValueParser as _;
    use clap::{ArgAction, Command};

    use super::*;

    fn job() -> Command {
        let option = |name: &'static str| Arg::new(name).long(name);
        let nothing = |_: String| Duration::ZERO;
        Command::new("job")
            .arg(
                option("window").value_parser(clap::builder::StringValueParser::new().map(nothing)),
            )
            .arg(option("keep").value_parser(clap::value_parser!(u32)))
            .arg(option("topic").value_name("TOPIC"))
            .arg(option("bounded").action(ArgAction::SetTrue))
            .mut_args(with_negative_values)
    }

    fn wrong(arguments: &[&str]) -> String {
        let line = std::iter::once(&"job").chain(arguments);
        one_line(&job().try_get_matches_from(line).unwrap_err())
    }

    #[test]
    fn a_hint_is_not_cut_off() {
        for (argument, line) in [
            (
                "--windo",
                "unexpected argument '--windo' found; tip: a similar argument exists: '--window'",
            ),
            ("--bogus-option", "unexpected argument '--bogus-option' found"),
            ("extra\nline", "unexpected argument 'extra line' found"),
            ("--topic", "a value is required for '--topic <TOPIC>' but none was supplied"),
        ] {
            assert_eq!(wrong(&[argument]), line);
        }
    }

    #[test]
    fn a_number_that_is_none_is_refused_with_what_to_write() {
        let option = |name: &'static str| Arg::new(name).long(name);
        let command = Command::new("job")
            .arg(option("workers").value_parser(clap::value_parser!(usize)))
            .arg(option("rate").value_parser(clap::value_parser!(f64)));
        for (argument, hint) in [
            ("--workers=abc", "'abc' for '--workers <workers>': give a whole number, such as 4"),
            ("--workers=", "give a whole number, such as 4"),
            ("--workers=99999999999999999999", "the number is too large"),
            ("--rate=much", "give a number, such as 0.5"),
        ] {
            let error = command.clone().try_get_matches_from(["job", argument]).unwrap_err();
            assert!(one_line(&error).contains(hint), "{}", one_line(&error));
        }
    }

    #[test]
    fn a_minus_sign_begins_a_number_or_a_duration_and_elsewhere_the_next_option() {
        assert!(job().try_get_matches_from(["job", "--window", "-5s"]).is_ok());
        assert!(wrong(&["--keep", "-5"]).contains("-5 is too small; give 0 or a greater number"));
        assert!(wrong(&["--topic", "--bounded"]).contains("a value is required"));
    }
}
