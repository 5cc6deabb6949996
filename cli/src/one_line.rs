//! What clap says about a wrong command line, in one line.

/// The error without its usage lines. A hint, such as the option that was probably meant, stays.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.split("\n\nUsage:").next().unwrap_or_default();
    let said = said.split("\n\nFor more information").next().unwrap_or_default();
    let parts = said.split("\n\n").map(|part| {
        let words: Vec<&str> = part.split_whitespace().collect();
        words.join(" ")
    });
    // These programs take no values without an option's name that something could be passed as.
    let parts = parts.filter(|part| !part.starts_with("tip: to pass"));
    let line = parts.collect::<Vec<_>>().join("; ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::options::Options;

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
            let error = Options::command().try_get_matches_from(["job", argument]).unwrap_err();
            assert_eq!(one_line(&error), line);
        }
    }
}
