//! A strict JSON reader, for the oracle alone: plain recursive descent over bytes into a tree.
//!
//! It is here because the oracle has to be independent of the decoder that it judges, and because
//! the library that the decoder stands on loses what the rules are about: it turns big integers
//! into floats, refuses numbers beyond a float's range in fields that nobody reads, and allows one
//! level less than the rules do. So numbers stay text here, and repeated fields stay repeated.

/// Deepest nesting that is accepted: the outermost value is level 1.
pub const LEVELS_MAX: usize = 128;

/// A JSON value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number: its text, which follows JSON's grammar.
    Number(String),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object: its fields in their order, repeated ones too.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value of the last field of this name, in an object that has one.
    pub fn last(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(fields) => {
                fields.iter().rev().find(|(field, _)| field == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }
}

/// The bytes are not one JSON text.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {at}")]
pub struct NotJson {
    /// Where it was noticed.
    pub at: usize,
}

/// Reads one JSON text: a value with nothing but JSON white space around it, in valid UTF-8, at
/// most [`LEVELS_MAX`] levels deep, without lone surrogates.
///
/// # Errors
///
/// Where the bytes stop to be that.
pub fn parse(bytes: &[u8]) -> Result<Json, NotJson> {
    let text = std::str::from_utf8(bytes).map_err(|error| NotJson { at: error.valid_up_to() })?;
    let mut reader = Reader { text, at: 0 };
    reader.white_space();
    let value = reader.value(1)?;
    reader.white_space();
    if reader.at == text.len() { Ok(value) } else { reader.fail() }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn fail<T>(&self) -> Result<T, NotJson> {
        Err(NotJson { at: self.at })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes past `byte` if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.take(byte) { Ok(()) } else { self.fail() }
    }

    fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, level: usize) -> Result<Json, NotJson> {
        match self.peek() {
            Some(b'{') => self.object(level),
            Some(b'[') => self.array(level),
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'n') => self.word("null", Json::Null),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            _ => self.fail(),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, NotJson> {
        for byte in word.bytes() {
            self.expect(byte)?;
        }
        Ok(value)
    }

    fn object(&mut self, level: usize) -> Result<Json, NotJson> {
        if LEVELS_MAX < level {
            return self.fail();
        }
        self.expect(b'{')?;
        self.white_space();
        let mut fields = Vec::new();
        if self.take(b'}') {
            return Ok(Json::Object(fields));
        }
        loop {
            self.white_space();
            let name = self.string()?;
            self.white_space();
            self.expect(b':')?;
            self.white_space();
            fields.push((name, self.value(level + 1)?));
            self.white_space();
            if self.take(b'}') {
                return Ok(Json::Object(fields));
            }
            self.expect(b',')?;
        }
    }

    fn array(&mut self, level: usize) -> Result<Json, NotJson> {
        if LEVELS_MAX < level {
            return self.fail();
        }
        self.expect(b'[')?;
        self.white_space();
        let mut values = Vec::new();
        if self.take(b']') {
            return Ok(Json::Array(values));
        }
        loop {
            self.white_space();
            values.push(self.value(level + 1)?);
            self.white_space();
            if self.take(b']') {
                return Ok(Json::Array(values));
            }
            self.expect(b',')?;
        }
    }

    fn number(&mut self) -> Result<Json, NotJson> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(Json::Number(self.text[start..self.at].to_owned()))
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), NotJson> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.fail();
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<String, NotJson> {
        self.expect(b'"')?;
        let mut string = String::new();
        loop {
            let Some(next) = self.text[self.at..].chars().next() else { return self.fail() };
            match next {
                '"' => {
                    self.at += 1;
                    return Ok(string);
                }
                '\\' => {
                    self.at += 1;
                    string.push(self.escape()?);
                }
                '\u{0}'..'\u{20}' => return self.fail(),
                _ => {
                    self.at += next.len_utf8();
                    string.push(next);
                }
            }
        }
    }

    /// The character of an escape, its backslash already read.
    fn escape(&mut self) -> Result<char, NotJson> {
        let Some(escape) = self.peek() else { return self.fail() };
        self.at += 1;
        Ok(match escape {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut units = vec![self.four_digits()?];
                if (0xd800..0xdc00).contains(&units[0]) {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    units.push(self.four_digits()?);
                }
                // One character, or a surrogate without its other half.
                match char::decode_utf16(units).collect::<Result<Vec<char>, _>>().as_deref() {
                    Ok([one]) => *one,
                    _ => return self.fail(),
                }
            }
            _ => return self.fail(),
        })
    }

    fn four_digits(&mut self) -> Result<u16, NotJson> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return self.fail() };
            unit = unit * 16 + digit as u16;
            self.at += 1;
        }
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Json {
        Json::Number(text.to_owned())
    }

    fn string(text: &str) -> Json {
        Json::String(text.to_owned())
    }

    #[test]
    fn values_are_read_as_written() {
        let text =
            " { \"a\" : [1, -0.5e+3, true, null, {}], \"a\": \"\\u00e4\\n\\ud83c\\udf0a\" }\r\n";
        let first = Json::Array(vec![
            number("1"),
            number("-0.5e+3"),
            Json::Bool(true),
            Json::Null,
            Json::Object(vec![]),
        ]);
        let second = string("ä\n🌊");
        let object = Json::Object(vec![("a".to_owned(), first), ("a".to_owned(), second.clone())]);
        assert_eq!(parse(text.as_bytes()), Ok(object.clone()));
        assert_eq!(object.last("a"), Some(&second), "of a repeated field the last counts");
        assert_eq!(object.last("b"), None);
    }

    #[test]
    fn numbers_keep_every_digit() {
        for text in ["1e999", "-0", "123456789012345678901234567890", "0.1000", "5E-3"] {
            assert_eq!(parse(text.as_bytes()), Ok(number(text)));
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let cases: [&[u8]; 40] = [
            b"",
            b"   ",
            b"nul",
            b"True",
            b"01",
            b"-",
            b"+1",
            b"1.",
            b".5",
            b"1e",
            b"1e+",
            b"0x10",
            b"NaN",
            b"Infinity",
            b"{",
            b"{}}",
            b"{} {}",
            b"{\"a\"}",
            b"{\"a\":}",
            b"{\"a\":1,}",
            b"{,}",
            b"{a:1}",
            b"{'a':1}",
            b"[1,]",
            b"[1 2]",
            b"\"",
            b"\"\\\"",
            b"\"\\x\"",
            b"\"\\u12\"",
            b"\"\\u12g4\"",
            b"\"\n\"",
            b"\"\0\"",
            b"\"\x1f\"",
            b"\"\\ud800\"",
            b"\"\\udc00\"",
            b"\"\\ud800\\ud800\"",
            b"\"\\ud800x\"",
            b"\"\xff\"",
            b"\xef\xbb\xbf{}",
            b"{}\0",
        ];
        for case in cases {
            assert!(parse(case).is_err(), "{:?}", String::from_utf8_lossy(case));
        }
    }

    #[test]
    fn exactly_128_levels_are_accepted() {
        let nested = |levels| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(LEVELS_MAX).as_bytes()).is_ok());
        assert!(parse(nested(LEVELS_MAX + 1).as_bytes()).is_err());
        let object = |levels| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert!(parse(object(LEVELS_MAX).as_bytes()).is_ok());
        assert!(parse(object(LEVELS_MAX + 1).as_bytes()).is_err());
    }

    /// The value that serde_json reads, without what the two are known to differ in.
    fn same(ours: &Json, theirs: &serde_json::Value) -> bool {
        use serde_json::Value;
        match (ours, theirs) {
            (Json::Null, Value::Null) => true,
            (Json::Bool(ours), Value::Bool(theirs)) => ours == theirs,
            // As built here, serde_json rounds fast, not always to the nearest.
            (Json::Number(ours), Value::Number(theirs)) => {
                let (ours, theirs): (f64, f64) = (ours.parse().unwrap(), theirs.as_f64().unwrap());
                (ours - theirs).abs() <= ours.abs() * 1e-14
            }
            (Json::String(ours), Value::String(theirs)) => ours == theirs,
            (Json::Array(ours), Value::Array(theirs)) => {
                ours.len() == theirs.len()
                    && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
            }
            (Json::Object(fields), Value::Object(theirs)) => fields.iter().all(|(name, _)| {
                theirs.get(name).is_some_and(|theirs| same(ours.last(name).unwrap(), theirs))
            }),
            _ => false,
        }
    }

    /// Texts that are nearly JSON: a document, spoiled in a few places.
    fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
        let leaf = prop_oneof![
            "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?",
            "\"([a-z äß🌊]|\\\\[\"\\\\/bfnrtu]|\\\\u[0-9a-fA-Fd]{4}){0,6}\"",
            "true|false|null",
        ];
        let document = leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5)
                    .prop_map(|values| format!("[ {}]", values.join(" ,"))),
                prop::collection::vec(("\"[a-c]\"", inner), 0..5).prop_map(|fields| {
                    let fields: Vec<String> = fields
                        .into_iter()
                        .map(|(name, value)| format!("{name}: {value}"))
                        .collect();
                    format!("{{{}}}\n", fields.join(","))
                }),
            ]
        });
        let spoil = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
        (document, spoil).prop_map(|(document, spoil)| {
            let mut bytes = document.into_bytes();
            for (index, byte) in spoil {
                let at = index.index(bytes.len());
                match byte % 4 {
                    0 => bytes[at] = byte,
                    1 => bytes[at] = b"{}[]\",:\\ue0-+."[usize::from(byte / 4) % 14],
                    2 => bytes.insert(at, byte),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn agrees_with_serde_json(bytes in nearly_json()) {
            let ours = parse(&bytes);
            match serde_json::from_slice::<serde_json::Value>(&bytes) {
                Ok(theirs) => prop_assert!(ours.is_ok_and(|ours| same(&ours, &theirs))),
                // Known difference: a number beyond a float's range is JSON all the same.
                Err(error) if error.to_string().contains("out of range") => {}
                Err(_) => prop_assert!(ours.is_err(), "{:?}", ours),
            }
        }
    }
}
