//! What is JSON and what is not, and that all of the payload must be, whichever fields are asked
//! for.

use super::*;

#[test]
fn a_number_that_is_ignored_may_have_any_size() {
    for number in ["1e999", "-1e-999", "1e99999999999999999999", &"9".repeat(500)] {
        assert_eq!(read(USUAL.replace('}', &format!(r#","x":{number}}}"#))), usual());
    }
}

#[test]
fn white_space_may_stand_around_every_token() {
    for space in [" ", "\n", "\r", "\t", " \r\n\t  ", "                    "] {
        let tokens = ["{", "\"id\"", ":", "\"device-1\"", ",", "\"ts\"", ":", "1730638574123"];
        let more = [",", "\"a\"", ":", "24.7", ",", "\"x\"", ":", "[", "]", ",", "\"y\"", ":"];
        let rest = ["{", "\"z\"", ":", "1", ",", "\"t\"", ":", "2", "}", ",", "\"b\"", ":", "-3"];
        let tokens = [&tokens[..], &more[..], &rest[..], &["}"]].concat();
        assert_eq!(read(format!("{space}{}{space}", tokens.join(space))), usual());
    }
}

#[test]
fn only_four_characters_are_white_space() {
    for space in ["\u{c}", "\u{b}", "\u{a0}", "\u{2028}", "\0", "\u{85}", "/**/"] {
        assert_not_json(format!("{space}{USUAL}"));
        assert_not_json(format!("{USUAL}{space}"));
        assert_not_json(USUAL.replace(':', &format!(":{space}")));
        assert_not_json(USUAL.replace(',', &format!("{space},")));
    }
}

#[test]
fn nothing_else_may_stand_around_the_object() {
    for more in ["}", "{}", ",", "x", "0", "\"\"", "]", "null", USUAL] {
        assert_not_json(format!("{USUAL}{more}"));
        assert_not_json(format!("{USUAL} {more}"));
        assert_not_json(format!("{more}{USUAL}"));
    }
}

#[test]
fn a_byte_order_mark_is_not_json() {
    assert_not_json(format!("\u{feff}{USUAL}"));
}

#[test]
fn a_value_that_is_no_object_is_not_json() {
    for value in ["[]", "null", "true", "5", "\"x\"", r#"["x",5,1,2]"#, "  ", "\n"] {
        assert_not_json(value);
    }
}

#[test]
fn a_broken_object_is_not_json() {
    for payload in [
        "{",
        "}",
        "{,}",
        r#"{"id"}"#,
        r#"{"id":}"#,
        r#"{"id":"x","ts":5,}"#,
        r#"{,"id":"x","ts":5}"#,
        r#"{"id":"x",,"ts":5}"#,
        r#"{"id":"x";"ts":5}"#,
        r#"{"id":"x" "ts":5}"#,
        r#"{"id""x","ts":5}"#,
        r#"{"id"::"x","ts":5}"#,
        r#"{"id"="x","ts":5}"#,
        r#"{id:"x","ts":5}"#,
        r#"{'id':"x","ts":5}"#,
        r#"{"id":"x","ts":5]"#,
        r#"["id":"x","ts":5}"#,
        r#"{"id":"x","ts":5,"o":[1,]}"#,
        r#"{"id":"x","ts":5,"o":[,1]}"#,
        r#"{"id":"x","ts":5,"o":[1 2]}"#,
        r#"{"id":"x","ts":5,"o":[1}}"#,
        r#"{"id":"x","ts":5,"o":[}}"#,
        r#"{"id":"x","ts":5,"o":{]}"#,
        r#"{"id":"x","ts":5,"o":{"p":1]}"#,
        r#"{"id":"x","ts":5,"o":{"p"}}"#,
        r#"{"id":"x","ts":5,"o":{1:2}}"#,
        r#"{"id":"x","ts":5,"o":{"p":1,}}"#,
        r#"{"id":"x","ts":5,"o":["p":1]}"#,
        r#"{"id":"x","ts":5,"o":}"#,
        r#"{"id":"x","ts":5,5:"o"}"#,
        r#"{"id":"x","ts":5,null:1}"#,
    ] {
        assert_not_json(payload);
    }
}

#[test]
fn a_record_that_is_cut_off_anywhere_is_not_json() {
    for end in 1..USUAL.len() {
        assert_not_json(&USUAL[..end]);
    }
}

#[test]
fn invalid_utf8_anywhere_is_not_json() {
    let invalid: [&[u8]; 8] = [
        b"\xff",
        b"\x80",
        b"\xc3",             // cut off
        b"\xc0\xaf",         // longer than it need be
        b"\xe0\x80\xaf",     // likewise
        b"\xed\xa0\x80",     // a surrogate
        b"\xf4\x90\x80\x80", // beyond U+10FFFF
        b"\xf8\x88\x80\x80\x80",
    ];
    for bytes in invalid {
        for place in [&b"\""[..], b"\"some text before it ", b"\"8 bytes_"] {
            for payload in with_value(&[place, bytes, b" and after it\""].concat()) {
                assert_not_json(payload);
            }
        }
        let name = [br#"{"id":"x","ts":5,"n"#, bytes, br#"":1}"#].concat();
        assert_not_json(name);
        let nested_name = [br#"{"id":"x","ts":5,"o":{"n"#, bytes, br#"":1}}"#].concat();
        assert_not_json(nested_name);
        assert_not_json([bytes, USUAL.as_bytes()].concat());
        assert_not_json([USUAL.as_bytes(), bytes].concat());
    }
}

#[test]
fn a_lone_surrogate_anywhere_is_not_json() {
    for lone in [
        r"\ud800",
        r"\udc00",
        r"\ud800x",
        r"\ud800\n",
        r"\ud800\ud800",
        r"\udc00\ud800",
        r"\ud83d\u0041",
        r"\ud83d\ude00\ude00",
        r"\uDBFF",
        r"\\\ud800",
    ] {
        for payload in with_value(format!(r#""{lone}""#).as_bytes()) {
            assert_not_json(payload);
        }
        assert_not_json(format!(r#"{{"id":"x","ts":5,"{lone}":1}}"#));
        assert_not_json(format!(r#"{{"id":"x","ts":5,"o":{{"{lone}":1}}}}"#));
    }
}

#[test]
fn a_pair_of_surrogates_is_a_character() {
    assert_eq!(key(r#""\ud83d\uDE00""#).unwrap(), "😀");
    // Backslashes that are escaped themselves begin no escape.
    assert_eq!(key(r#""\\ud800""#).unwrap(), r"\ud800");
    assert!(
        read(r#"{"id":"x","ts":5,"o":"\ud83d\ude00","\ud83d\ude00":["\ud83d\ude00"]}"#).is_ok()
    );
}

#[test]
fn a_payload_is_at_most_128_levels_deep() {
    let nested = |open: &str, close: &str, levels: usize| {
        let (open, close) = (open.repeat(levels), close.repeat(levels));
        read(format!(r#"{{"id":"x","ts":5,"o":{open}1{close},"a":1}}"#))
    };
    for (open, close) in [("[", "]"), (r#"{"o":"#, "}")] {
        assert!(nested(open, close, 127).is_ok());
        assert_eq!(nested(open, close, 128), Err(DeadReason::NotJson));
        assert_eq!(nested(open, close, 100_000), Err(DeadReason::NotJson));
    }
    assert!(nested(r#"[{"o":"#, "}]", 63).is_ok());
    assert_eq!(nested(r#"[{"o":"#, "}]", 64), Err(DeadReason::NotJson));
    // It is depth that counts, not how many levels there are beside each other.
    assert!(read(format!(r#"{{"id":"x","ts":5,"o":[{}1]}}"#, "[{}],".repeat(200))).is_ok());
    // Too deep where a number was asked for: it is not JSON before it is a bad metric.
    assert_eq!(
        metric(&format!("{}{}", "[".repeat(128), "]".repeat(128))),
        Err(DeadReason::NotJson)
    );
}

#[test]
fn brackets_in_strings_are_no_levels() {
    let brackets = "[{".repeat(200);
    assert!(read(format!(r#"{{"id":"x","ts":5,"o":"{brackets}\"{brackets}"}}"#)).is_ok());
    assert_eq!(key(&format!(r#""{}""#, "[".repeat(200))).unwrap().len(), 200);
}

#[test]
fn a_control_character_in_a_string_is_not_json() {
    for byte in 0..0x20_u8 {
        for payload in with_value(&[b"\"some text", &[byte][..], b"\""].concat()) {
            assert_not_json(payload);
        }
        assert_not_json([&br#"{"id":"x","ts":5,"n"#[..], &[byte], br#"":1}"#].concat());
    }
}

#[test]
fn an_unknown_escape_is_not_json() {
    for escape in [r"\x", r"\0", r"\'", r"\u", r"\u12", r"\u12g4", r"\U0041", r"\u+123", r"\ "] {
        for payload in with_value(format!(r#""{escape}""#).as_bytes()) {
            assert_not_json(payload);
        }
    }
}

#[test]
fn a_number_is_written_by_json_s_grammar() {
    for number in [
        "01",
        "00",
        "-01",
        "+1",
        ".5",
        "-.5",
        "5.",
        "5.e1",
        "1e",
        "1e+",
        "1e-",
        "1E",
        "-",
        "--1",
        "0x1",
        "1_0",
        "1,5",
        "NaN",
        "nan",
        "Infinity",
        "-Infinity",
        "inf",
        "1.2.3",
        "1e5.5",
        "1e5e5",
        "1 2",
        "1a",
        "12345678a",
        "1234567890123x",
        "1-",
        "0.",
        "٣",
        "1e٣",
        "0123456789",
        "00000000000001",
        "1730638574123.",
        "1730638574123e",
        "24.7e",
        "24.7.",
        "2a.7",
        "24.a",
    ] {
        for payload in with_value(number.as_bytes()) {
            // `1,5` is two elements of an array, which is how it is nested.
            if number != "1,5" || !payload.contains(&b'[') {
                assert_not_json(payload);
            }
        }
    }
}

#[test]
fn a_literal_is_written_whole() {
    for literal in ["nul", "nulll", "Null", "tru", "truee", "True", "fals", "falsey", "undefined"] {
        for payload in with_value(literal.as_bytes()) {
            assert_not_json(payload);
        }
    }
}
