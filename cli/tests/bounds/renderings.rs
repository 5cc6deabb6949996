//! How a constant is written in a text: `256 << 20` is 256 MiB.

use crate::constants::Constant;

const WORDS: [(u64, &str); 10] = [
    (1, "one"),
    (2, "two"),
    (3, "three"),
    (4, "four"),
    (5, "five"),
    (8, "an eighth"),
    (9, "nine"),
    (1_000_000, "a million"),
    (60_000, "a minute"),
    (253_402_300_799_999, "the end of the year 9999"),
];

/// Whether a text says every number of a constant's definition.
pub(crate) fn is_said(constant: &Constant, text: &str) -> bool {
    let definition = &constant.definition;
    let durations = [("from_millis(", 1), ("from_secs(", 1_000), ("from_mins(", 60_000)];
    for (function, unit_ms) in durations {
        if let Some((_, rest)) = definition.split_once(function) {
            let number = rest.split(')').next().and_then(value);
            return number.is_some_and(|number| says_millis(text, number * unit_ms));
        }
    }
    if let Some((_, fields)) = definition.split_once('{') {
        let fields = fields.trim_end_matches(['}', ' ']).split(',');
        let values = fields.filter_map(|field| field.split_once(':').map(|(_, value)| value));
        return values.into_iter().all(|field| value(field).is_some_and(|v| says(text, v)));
    }
    let Some(value) = value(definition) else { return false };
    let is_millis = constant.name.split('_').any(|part| part == "MS");
    let is_kib = constant.name.split('_').any(|part| part == "KIB");
    says(text, value) || is_millis && says_millis(text, value) || is_kib && says(text, value << 10)
}

/// The value of a sum of products of shifted numbers.
fn value(expression: &str) -> Option<u64> {
    let expression = expression.trim().replace('_', "");
    let expression = expression.split(" as ").next().unwrap_or_default();
    if let Some((left, right)) = expression.split_once('+') {
        return Some(value(left)? + value(right)?);
    }
    if let Some((left, right)) = expression.split_once("<<") {
        return Some(value(left)? << value(right)?);
    }
    if let Some((left, right)) = expression.split_once('*') {
        return Some(value(left)? * value(right)?);
    }
    let digits = expression.trim().trim_end_matches(".0");
    digits.parse().ok()
}

/// Whether a text says a duration.
pub(crate) fn says_millis(text: &str, millis: u64) -> bool {
    let units = [(1, "ms"), (1_000, "s"), (60_000, "min"), (3_600_000, "h")];
    let mut units = units.into_iter().filter(|(unit, _)| millis.is_multiple_of(*unit));
    units.any(|(unit, name)| has(text, &format!("{} {name}", millis / unit)))
        || says_word(text, millis)
}

/// Whether a text says a number, or an amount of bytes.
pub(crate) fn says(text: &str, value: u64) -> bool {
    let powers = [(1 << 10, "KiB"), (1 << 20, "MiB"), (1 << 30, "GiB"), (1_000_000, "MB")];
    let mut powers = powers.into_iter().filter(|(unit, _)| value.is_multiple_of(*unit));
    let tens = value.checked_ilog10().filter(|tens| 10_u64.pow(*tens) == value);
    powers.any(|(unit, name)| has(text, &format!("{} {name}", value / unit)))
        || has(text, &value.to_string())
        || has(text, &grouped(value))
        || value.is_power_of_two() && has(text, &format!("2^{}", value.ilog2()))
        || tens.is_some_and(|tens| has(text, &format!("10^{tens}")))
        || says_word(text, value)
}

fn says_word(text: &str, value: u64) -> bool {
    WORDS.iter().any(|(number, word)| *number == value && has(text, word))
}

/// Digits in groups of three: `50 000`.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Whether a text has these words, and not as a part of longer ones.
fn has(text: &str, words: &str) -> bool {
    let is_inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(words).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + words.len()..].chars().next();
        !is_inside(before) && before != Some('^') && !is_inside(after) && after != Some('^')
    })
}

#[test]
fn a_number_is_found_as_it_is_written_and_not_in_another() {
    for (definition, text, is_there) in [
        ("256 << 20", "256 MiB fetched ahead", true),
        ("256 << 20", "1256 MiB", false),
        ("64 * 1024", "64 KiB", true),
        ("50_000", "50 000 messages", true),
        ("1 << 17", "2^17 records", true),
        ("1 << 17", "2^1", false),
        ("1_000_000.0", "10^6 messages", true),
        ("Duration::from_secs(2)", "2 s, then up to 10 s", true),
        ("Duration::from_secs(2)", "12 s", false),
        ("Duration::from_millis(500)", "500 ms", true),
        ("Duration::from_secs(60)", "1 min", true),
        ("Amount { messages: 10_000, bytes: 2 << 20 }", "10 000 messages, 2 MiB", true),
        ("Amount { messages: 10_000, bytes: 2 << 20 }", "10 000 messages, 3 MiB", false),
        ("something()", "1", false),
    ] {
        let constant = Constant {
            name: "X".to_owned(),
            file: String::new(),
            of: String::new(),
            definition: definition.to_owned(),
        };
        assert_eq!(is_said(&constant, text), is_there, "{definition}: {text}");
    }
}
