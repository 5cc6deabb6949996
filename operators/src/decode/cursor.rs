//! A place in a payload, and the tokens of JSON that are read there, eight bytes at a time.
//!
//! Every method answers `None` where the text is not what it looks for, or is but in a form that
//! the fast path leaves to the strict one.

use crate::decode::word::{
    Block, Decimal, HIGH, WORD_BYTES, count_digits, decimal, first_byte, short_decimal,
    string_stops,
};
use crate::decode::{KEY_BYTES_MAX, LEVELS_MAX, number};
use crate::record::Key;
use crate::time::EventTime;

/// Powers of ten that are exact as floats, as many as a [`Decimal`] has places.
const TEN_TO: [f64; Block::BYTES] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

#[derive(Copy, Clone)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    /// What has not been read yet.
    #[inline(always)]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The text from here to a later place in the same payload.
    pub(super) fn until(&self, later: &Cursor<'a>) -> &'a [u8] {
        self.bytes.get(self.at..later.at).unwrap_or_default()
    }

    #[inline(always)]
    pub(super) fn advance(&mut self, bytes: usize) {
        self.at += bytes;
    }

    #[inline(always)]
    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Whether nothing is left but one closing brace.
    #[inline(always)]
    pub(super) fn is_last_brace(&self) -> bool {
        self.at + 1 == self.bytes.len() && self.bytes[self.at] == b'}'
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline(always)]
    pub(super) fn next_byte(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline(always)]
    fn expect(&mut self, text: &[u8]) -> Option<()> {
        self.rest().starts_with(text).then(|| self.advance(text.len()))
    }

    #[inline(always)]
    pub(super) fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// The eight bytes from here on, the first one lowest; zeros after the end of the payload.
    #[inline(always)]
    fn word(&self) -> u64 {
        match self.rest().first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => self.last_word(),
        }
    }

    /// [`word`](Self::word) where fewer than eight bytes are left.
    #[inline(always)]
    fn last_word(&self) -> u64 {
        let rest = self.rest();
        match self.bytes.last_chunk() {
            Some(word) if !rest.is_empty() => {
                u64::from_le_bytes(*word) >> (8 * (WORD_BYTES - rest.len()))
            }
            _ => {
                let mut word = [0; WORD_BYTES];
                word[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(word)
            }
        }
    }

    /// The sixteen bytes from here on, as in [`Block`].
    #[inline(always)]
    pub(super) fn block(&self) -> u128 {
        match self.rest().first_chunk() {
            Some(block) => u128::from_le_bytes(*block),
            None => Block::padded(self.rest()),
        }
    }

    /// A string without escapes: its content, which is UTF-8.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        if self.next_byte()? != b'"' {
            return None;
        }
        let start = self.at;
        let mut beyond_ascii = 0;
        loop {
            let word = self.word();
            let stops = string_stops(word);
            if stops == 0 {
                beyond_ascii |= word & HIGH;
                self.at += WORD_BYTES;
                continue;
            }
            // The bits below the first stop belong to the bytes before it.
            beyond_ascii |= word & HIGH & ((stops ^ (stops - 1)) >> 1);
            self.at += first_byte(stops);
            let content = self.bytes.get(start..self.at)?;
            if self.next_byte()? != b'"' {
                return None; // An escape, a control character, or the end of the payload.
            }
            if beyond_ascii != 0 && std::str::from_utf8(content).is_err() {
                return None;
            }
            return Some(content);
        }
    }

    /// What stands between the name of a member and its value.
    #[inline(always)]
    pub(super) fn colon(&mut self) -> Option<()> {
        self.skip_white_space();
        if self.next_byte()? != b':' {
            return None;
        }
        self.skip_white_space();
        Some(())
    }

    #[inline(always)]
    pub(super) fn key(&mut self) -> Option<Key<'a>> {
        let content = self.string()?;
        (1..=KEY_BYTES_MAX).contains(&content.len()).then(|| Key::of_utf8(content))
    }

    /// A time. The usual one is a whole number of at most 15 digits, which is what times from 1970
    /// to 9999 have.
    #[inline(always)]
    pub(super) fn time(&mut self) -> Option<EventTime> {
        match decimal(self.block()) {
            Some(Decimal { digits, places: 0, bytes }) if digits <= number::TIME_MS_MAX => {
                self.at += bytes;
                Some(EventTime::from_millis(digits.cast_signed()))
            }
            _ => (*self).unusual_time(self),
        }
    }

    #[inline(never)]
    fn unusual_time(mut self, end: &mut Cursor<'a>) -> Option<EventTime> {
        let text = self.number()?;
        *end = self;
        number::time(text).ok()
    }

    /// A number, or null.
    #[inline(always)]
    pub(super) fn metric(&mut self) -> Option<Option<f64>> {
        let start = *self;
        let negative = self.skip_minus();
        match short_decimal(self.word()) {
            Some(decimal) => Some(Some(self.skip_decimal(negative, &decimal))),
            None => start.longer_metric(self),
        }
    }

    #[inline(never)]
    fn longer_metric(mut self, end: &mut Cursor<'a>) -> Option<Option<f64>> {
        let start = self;
        let negative = self.skip_minus();
        let value = if let Some(decimal) = decimal(self.block()) {
            Some(self.skip_decimal(negative, &decimal))
        } else {
            self = start;
            match self.peek()? {
                b'n' => self.expect(b"null").map(|()| None)?,
                _ => Some(number::metric(self.number()?).ok()?),
            }
        };
        *end = self;
        Some(value)
    }

    #[inline(always)]
    fn skip_minus(&mut self) -> bool {
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        negative
    }

    /// The value of a decimal. It is the quotient of two numbers that are exact as floats (its
    /// digits are fewer than 16), so it is rounded once (W. Clinger, "How to Read Floating Point
    /// Numbers Accurately", 1990).
    #[inline(always)]
    fn skip_decimal(&mut self, negative: bool, decimal: &Decimal) -> f64 {
        self.at += decimal.bytes;
        let magnitude = decimal.digits as f64 / TEN_TO[decimal.places];
        if negative { -magnitude } else { magnitude }
    }

    /// A number by JSON's grammar: its text.
    fn number(&mut self) -> Option<&'a str> {
        let start = *self;
        if self.peek()? == b'-' {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        std::str::from_utf8(start.until(self)).ok()
    }

    /// At least one digit.
    #[inline]
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        loop {
            let digits = count_digits(self.word());
            self.at += digits;
            if digits < WORD_BYTES {
                return (start < self.at).then_some(());
            }
        }
    }

    /// Any value.
    #[inline(always)]
    pub(super) fn skip_value(&mut self) -> Option<()> {
        if self.peek()? == b'"' { self.string().map(|_| ()) } else { self.skip_other_value() }
    }

    #[inline(never)]
    fn skip_other_value(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'{' | b'[' => self.skip_nested(),
            b't' => self.expect(b"true"),
            b'f' => self.expect(b"false"),
            b'n' => self.expect(b"null"),
            _ => self.number().map(|_| ()),
        }
    }

    /// An array or object within the payload's object. Without recursion: a payload must not be
    /// able to exhaust the stack.
    fn skip_nested(&mut self) -> Option<()> {
        const { assert!(LEVELS_MAX <= 128, "the kinds of all levels fit into a u128") };
        let mut depth = 1; // the payload's object
        let mut is_object: u128 = 0; // the innermost level lowest
        loop {
            // Here stands a value.
            let first = self.peek()?;
            let mut complete = true;
            if first == b'{' || first == b'[' {
                depth += 1;
                if LEVELS_MAX < depth {
                    return None;
                }
                is_object = is_object << 1 | u128::from(first == b'{');
                self.at += 1;
                self.skip_white_space();
                // `{` and `}`, like `[` and `]`, differ by two.
                complete = self.peek()? == first + 2;
                if complete {
                    self.at += 1;
                    is_object >>= 1;
                    depth -= 1;
                } else if first == b'{' {
                    self.string()?;
                    self.colon()?;
                }
            } else {
                self.skip_other_value()?;
            }
            // Then come the ends of what ends with it, and a comma.
            while complete {
                if depth == 1 {
                    return Some(());
                }
                self.skip_white_space();
                match (self.next_byte()?, is_object & 1) {
                    (b'}', 1) | (b']', 0) => {
                        is_object >>= 1;
                        depth -= 1;
                    }
                    (b',', in_object) => {
                        self.skip_white_space();
                        if in_object == 1 {
                            self.string()?;
                            self.colon()?;
                        }
                        complete = false;
                    }
                    _ => return None,
                }
            }
        }
    }
}
