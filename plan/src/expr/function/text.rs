//! Functions of text. Positions and lengths are in characters, beginning at 1.

use super::Parameter::{Integer, Text, TextOrBytes};
use super::{Nulls, Returns, ScalarFunction};

const fn text(
    name: &'static str,
    parameters: &'static [super::Parameter],
    about: &'static str,
) -> ScalarFunction {
    ScalarFunction::new(name, parameters, Returns::Text, about)
}

const fn asks(name: &'static str, about: &'static str) -> ScalarFunction {
    ScalarFunction::new(name, &[Text, Text], Returns::Boolean, about)
}

pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    text("lower", &[Text], "The text in lower case."),
    text("upper", &[Text], "The text in upper case."),
    text(
        "initcap",
        &[Text],
        "Each word with its first letter in upper case and the others in lower case.",
    ),
    text("trim", &[Text, Text], "Without white space, or the characters given, at both ends.")
        .optional(1),
    text("ltrim", &[Text, Text], "Without white space, or the characters given, at its beginning.")
        .optional(1),
    text("rtrim", &[Text, Text], "Without white space, or the characters given, at its end.")
        .optional(1),
    text("concat", &[Text], "All texts, one after the other.").variadic(),
    text(
        "replace",
        &[Text, Text, Text],
        "With every occurrence of the second replaced by the third.",
    ),
    text(
        "substring",
        &[Text, Integer, Integer],
        "From a position on, of the length given or to its end.",
    )
    .optional(1),
    text("left", &[Text, Integer], "The first characters; all but the last ones if negative."),
    text("right", &[Text, Integer], "The last characters; all but the first ones if negative."),
    text(
        "lpad",
        &[Text, Integer, Text],
        "Filled at its beginning, with spaces or the text given, or cut, to a length.",
    )
    .optional(1),
    text(
        "rpad",
        &[Text, Integer, Text],
        "Filled at its end, with spaces or the text given, or cut, to a length.",
    )
    .optional(1),
    text("repeat", &[Text, Integer], "The text so many times."),
    text("reverse", &[Text], "Its characters from the last to the first."),
    text(
        "split_part",
        &[Text, Text, Integer],
        "The part at a position between separators; counted from the end if negative; empty if there is none.",
    ),
    text("chr", &[Integer], "The character of this code point.").nulls(Nulls::Own),
    text(
        "regexp_replace",
        &[Text, Text, Text],
        "With every match of a regular expression replaced; `$1` is what the first group matched.",
    ),
    text(
        "regexp_extract",
        &[Text, Text, Integer],
        "What a regular expression, or a group of it, matched first; null without a match.",
    )
    .optional(1)
    .nulls(Nulls::Own),
    text("to_hex", &[TextOrBytes], "The bytes in hexadecimal digits, in lower case."),
    text("to_base64", &[TextOrBytes], "The bytes in base 64."),
    ScalarFunction::new(
        "from_hex",
        &[Text],
        Returns::Bytes,
        "The bytes of hexadecimal digits; null if it is none.",
    )
    .nulls(Nulls::Own),
    ScalarFunction::new(
        "from_base64",
        &[Text],
        Returns::Bytes,
        "The bytes of a text in base 64; null if it is none.",
    )
    .nulls(Nulls::Own),
    ScalarFunction::new("length", &[Text], Returns::Integer, "The number of characters."),
    ScalarFunction::new("octet_length", &[TextOrBytes], Returns::Integer, "The number of bytes."),
    ScalarFunction::new(
        "position",
        &[Text, Text],
        Returns::Integer,
        "Where the second text begins in the first; 0 if nowhere.",
    ),
    ScalarFunction::new(
        "ascii",
        &[Text],
        Returns::Integer,
        "The code point of the first character; 0 of an empty text.",
    ),
    ScalarFunction::new("split", &[Text, Text], Returns::Texts, "The parts between separators."),
    asks("starts_with", "Whether the text begins with the second."),
    asks("ends_with", "Whether the text ends with the second."),
    asks("contains", "Whether the second is somewhere in the text."),
    asks(
        "like",
        "Whether the text is as a pattern: `%` is any text, `_` any character, `\\` takes the next as it is.",
    ),
    asks("ilike", "As `like`, without regard to case."),
    asks("regexp_like", "Whether a regular expression matches somewhere in the text."),
];
