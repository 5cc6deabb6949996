//! Functions of text.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::DataType;
use strandline_plan::expr::{Expr, call, col, lit};

use super::{batch, of, outcomes, read};

fn t(text: &str) -> Expr {
    lit(text)
}

#[test]
fn letters_of_all_alphabets_have_cases() {
    assert_eq!(of("lower", [t("ÄÉ Ω")]), "äé ω");
    assert_eq!(of("upper", [t("straße")]), "STRASSE");
    assert_eq!(of("upper", [t("")]), "");
    assert_eq!(of("initcap", [t("hELLO wörld-é o'neil 3d")]), "Hello Wörld-É O'Neil 3d");
    assert_eq!(of("reverse", [t("añ1")]), "1ña");
    assert_eq!(of("reverse", [t("")]), "");
}

#[test]
fn ends_are_trimmed_of_white_space_or_of_characters() {
    assert_eq!(of("trim", [t(" \u{a0}\tx y\n ")]), "x y");
    assert_eq!(of("trim", [t("xyñaxñ"), t("xñy")]), "a");
    assert_eq!(of("ltrim", [t("  a ")]), "a ");
    assert_eq!(of("rtrim", [t("  a ")]), "  a");
    assert_eq!(of("ltrim", [t("xxa"), t("")]), "xxa");
    assert_eq!(of("rtrim", [t("aéé"), t("é")]), "a");
}

#[test]
fn texts_are_put_together() {
    assert_eq!(of("concat", [t("a"), t(""), t("é")]), "aé");
    assert_eq!(of("concat", [t("a")]), "a");
    assert_eq!(of("replace", [t("banana"), t("an"), t("ö")]), "bööa");
    assert_eq!(of("replace", [t("abc"), t(""), t("x")]), "abc");
    assert_eq!(of("repeat", [t("ab"), lit(3)]), "ababab");
    assert_eq!(of("repeat", [t("ab"), lit(-1)]), "");
    assert_eq!(of("repeat", [t(""), lit(i64::MAX)]), "");
    assert_eq!(
        of("repeat", [t("ab"), lit(i64::MAX)]),
        "failed: the text would have more than 16 MiB"
    );
    assert_eq!(of("lpad", [t("é"), lit(3)]), "  é");
    assert_eq!(of("lpad", [t("7"), lit(4), t("ab")]), "aba7");
    assert_eq!(of("lpad", [t("hello"), lit(2)]), "he");
    assert_eq!(of("lpad", [t("hello"), lit(-2)]), "");
    assert_eq!(of("lpad", [t("a"), lit(5), t("")]), "a");
    assert_eq!(of("rpad", [t("é"), lit(4), t("xy")]), "éxyx");
    assert_eq!(of("rpad", [t("é"), lit(i64::MAX)]), "failed: the text would have more than 16 MiB");
}

/// As in PostgreSQL, where positions before the first count too.
#[test]
fn parts_are_counted_in_characters() {
    assert_eq!(of("substring", [t("größe"), lit(3)]), "öße");
    assert_eq!(of("substring", [t("größe"), lit(2), lit(3)]), "röß");
    assert_eq!(of("substring", [t("abc"), lit(0), lit(2)]), "a");
    assert_eq!(of("substring", [t("abc"), lit(-5)]), "abc");
    assert_eq!(of("substring", [t("abc"), lit(9)]), "");
    assert_eq!(of("substring", [t("abc"), lit(2), lit(i64::MAX)]), "bc");
    assert_eq!(of("substring", [t("abc"), lit(i64::MIN), lit(i64::MAX)]), "");
    assert_eq!(of("substring", [t("abc"), lit(1), lit(-1)]), "failed: a length is not negative");
    assert_eq!(of("left", [t("größe"), lit(3)]), "grö");
    assert_eq!(of("left", [t("größe"), lit(-2)]), "grö");
    assert_eq!(of("left", [t("abc"), lit(-3)]), "");
    assert_eq!(of("left", [t("abc"), lit(i64::MIN)]), "");
    assert_eq!(of("right", [t("größe"), lit(2)]), "ße");
    assert_eq!(of("right", [t("größe"), lit(-3)]), "ße");
    assert_eq!(of("right", [t("abc"), lit(i64::MIN)]), "");
    assert_eq!(of("right", [t("abc"), lit(9)]), "abc");
    assert_eq!(of("right", [t("abc"), lit(i64::MAX)]), "abc");
    assert_eq!(of("length", [t("größe")]), "5");
    assert_eq!(of("length", [t("")]), "0");
    assert_eq!(of("octet_length", [t("größe")]), "7");
    assert_eq!(of("octet_length", [read("é", DataType::Binary)]), "2");
    assert_eq!(of("position", [t("größe"), t("ß")]), "4");
    assert_eq!(of("position", [t("abc"), t("x")]), "0");
    assert_eq!(of("position", [t("abc"), t("")]), "1");
}

#[test]
fn texts_are_taken_apart() {
    assert_eq!(of("split_part", [t("a,b,c"), t(","), lit(2)]), "b");
    assert_eq!(of("split_part", [t("a,b,c"), t(","), lit(-1)]), "c");
    assert_eq!(of("split_part", [t("a,b,c"), t(","), lit(4)]), "");
    assert_eq!(of("split_part", [t("a,b,c"), t(","), lit(i64::MIN)]), "");
    assert_eq!(of("split_part", [t("abc"), t(""), lit(1)]), "abc");
    assert_eq!(of("split_part", [t("abc"), t(""), lit(2)]), "");
    assert_eq!(of("split_part", [t("abc"), t(","), lit(0)]), "failed: positions begin at 1");
    // Found from the beginning: `aaa` is `aa` and then `a`.
    assert_eq!(of("split_part", [t("xaaay"), t("aa"), lit(-1)]), "ay");
    assert_eq!(of("split", [t("a→b→"), t("→")]), "[a, b, ]");
    assert_eq!(of("split", [t("ab"), t("")]), "[ab]");
    assert_eq!(of("split", [t(""), t(",")]), "[]");
}

#[test]
fn characters_have_numbers() {
    assert_eq!(of("chr", [lit(233)]), "é");
    assert_eq!(of("chr", [lit(0xd800)]), "NULL");
    assert_eq!(of("chr", [lit(-1)]), "NULL");
    assert_eq!(of("chr", [lit(i64::MAX)]), "NULL");
    assert_eq!(of("ascii", [t("é")]), "233");
    assert_eq!(of("ascii", [t("")]), "0");
}

#[test]
fn bytes_are_written_as_text() {
    assert_eq!(of("to_hex", [t("aé")]), "61c3a9");
    assert_eq!(of("to_hex", [read("aé", DataType::Binary)]), "61c3a9");
    assert_eq!(of("from_hex", [t("61C3a9")]), "61c3a9");
    assert_eq!(of("from_hex", [t("")]), "");
    for text in ["6", "6g", "é0", " 61"] {
        assert_eq!(of("from_hex", [t(text)]), "NULL", "{text}");
    }
    assert_eq!(of("to_base64", [t("hello")]), "aGVsbG8=");
    assert_eq!(of("to_base64", [read("", DataType::Binary)]), "");
    assert_eq!(of("from_base64", [t("aGVsbG8=")]), "68656c6c6f");
    for text in ["aGVsbG8", "a", "é===", "aGVs bG8="] {
        assert_eq!(of("from_base64", [t(text)]), "NULL", "{text}");
    }
}

#[test]
fn texts_are_held_against_patterns() {
    assert_eq!(of("starts_with", [t("größe"), t("grö")]), "true");
    assert_eq!(of("starts_with", [t("a"), t("ab")]), "false");
    assert_eq!(of("ends_with", [t("größe"), t("ße")]), "true");
    assert_eq!(of("contains", [t("größe"), t("")]), "true");
    assert_eq!(of("contains", [t("größe"), t("x")]), "false");
    for (text, pattern, like) in [
        ("größe", "gr__e", true),
        ("größe", "%ö%", true),
        ("a\nb", "a_b", true),
        ("a\nb", "a%", true),
        ("50%", r"50\%", true),
        ("500", r"50\%", false),
        ("a.c", "a.c", true),
        ("abc", "a.c", false),
        ("", "%", true),
        ("", "_", false),
        ("ABC", "abc", false),
    ] {
        assert_eq!(of("like", [t(text), t(pattern)]), like.to_string(), "{text} {pattern}");
    }
    assert_eq!(of("ilike", [t("ÄBC"), t("ä_c")]), "true");
    assert_eq!(of("ilike", [t("ABC"), t("a%d")]), "false");
}

#[test]
fn regular_expressions_match_anywhere() {
    assert_eq!(of("regexp_like", [t("größe 42"), t(r"\d+$")]), "true");
    assert_eq!(of("regexp_like", [t("größe"), t(r"^\d")]), "false");
    assert_eq!(
        of("regexp_replace", [t("2024-02-29"), t(r"(\d+)-(\d+)"), t("$2/$1")]),
        "02/2024-29"
    );
    assert_eq!(of("regexp_replace", [t("aaa"), t("a"), t("é")]), "ééé");
    assert_eq!(of("regexp_extract", [t("id=42;id=43"), t(r"id=(\d+)"), lit(1)]), "42");
    assert_eq!(of("regexp_extract", [t("id=42"), t(r"id=(\d+)")]), "id=42");
    assert_eq!(of("regexp_extract", [t("none"), t(r"id=(\d+)"), lit(1)]), "NULL");
    assert_eq!(of("regexp_extract", [t("b"), t("(a)?b"), lit(1)]), "NULL");
    assert_eq!(of("regexp_extract", [t("b"), t("b"), lit(1)]), "failed: `b` has no group 1");
    assert_eq!(of("regexp_extract", [t("b"), t("b"), lit(-1)]), "failed: `b` has no group -1");
    let wrong = of("regexp_like", [t("b"), t("(")]);
    assert_eq!(wrong, "failed: `(` is no regular expression: unclosed group");
}

#[test]
fn each_row_may_have_a_pattern_of_its_own() {
    let patterns = [Some("^b"), Some("("), Some("a"), None, Some("^b"), Some("(")];
    let patterns: ArrayRef = Arc::new(StringArray::from(patterns.to_vec()));
    let rows = batch(vec![("pattern", patterns)], 6);
    let wrong = "failed: `(` is no regular expression: unclosed group";
    let like = call("regexp_like", [lit("bc"), col("pattern")]);
    assert_eq!(outcomes(&like, &rows), ["true", wrong, "false", "NULL", "true", wrong]);
    let replaced = call("regexp_replace", [lit("bc"), col("pattern"), lit("é")]);
    assert_eq!(outcomes(&replaced, &rows), ["éc", wrong, "bc", "NULL", "éc", wrong]);
}
