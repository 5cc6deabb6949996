//! A place in a payload, and the tokens of JSON that are read there, eight bytes at a time.
//!
//! Every method answers `None` where the text is not what it looks for, or is but in a form that
//! the fast path leaves to the strict one.
//!
//! What is rare is in functions of their own, which take the text and give back what is left of it: a
//! reference to the cursor would keep it in memory, also where nothing rare comes.

use crate::decode::word::{
    Block, Decimal, HIGH, WORD_BYTES, count_digits, decimal, first_byte, short_decimal,
    string_stops, thirteen_digits,
};
use crate::decode::{KEY_BYTES_MAX, LEVELS_MAX, TimeUnit, number, rfc3339};
use crate::record::Key;
use crate::time::EventTime;

/// Powers of ten that are exact as floats, as many as a [`Decimal`] has places.
const TEN_TO: [f64; Block::BYTES] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

#[derive(Copy, Clone)]
pub(super) struct Cursor<'a> {
    payload: &'a [u8],
    /// What has not been read yet: the end of the payload.
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    #[inline(always)]
    pub(super) fn new(payload: &'a [u8]) -> Cursor<'a> {
        Cursor { payload, rest: payload }
    }

    /// What has not been read yet.
    #[inline(always)]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The text from here to a later place in the same payload.
    pub(super) fn until(&self, later: &Cursor<'a>) -> &'a [u8] {
        let bytes = self.rest.len().saturating_sub(later.rest.len());
        self.rest.get(..bytes).unwrap_or_default()
    }

    /// Moves on, if there are so many bytes.
    #[inline(always)]
    pub(super) fn advance(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }

    /// Whether nothing is left but one closing brace.
    #[inline(always)]
    pub(super) fn is_last_brace(&self) -> bool {
        matches!(self.rest, [b'}'])
    }

    /// Whether nothing is left but a closing brace and white space.
    pub(super) fn is_end_of_object(mut self) -> bool {
        self.skip_white_space();
        let brace = self.next_byte();
        self.skip_white_space();
        brace == Some(b'}') && self.rest.is_empty()
    }

    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    #[inline(always)]
    pub(super) fn next_byte(&mut self) -> Option<u8> {
        let byte;
        (byte, self.rest) = self.rest.split_first()?;
        Some(*byte)
    }

    #[inline(always)]
    pub(super) fn expect(&mut self, text: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    #[inline(always)]
    pub(super) fn skip_white_space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// The eight bytes from here on, the first one lowest; zeros after the end of the payload.
    #[inline(always)]
    fn word(&self) -> u64 {
        match self.rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => self.last_word(),
        }
    }

    /// [`word`](Self::word) where fewer than eight bytes are left.
    #[inline(always)]
    fn last_word(&self) -> u64 {
        match self.payload.last_chunk() {
            Some(word) if !self.rest.is_empty() => {
                u64::from_le_bytes(*word) >> (8 * (WORD_BYTES - self.rest.len()))
            }
            _ => {
                let mut word = [0; WORD_BYTES];
                word[..self.rest.len()].copy_from_slice(self.rest);
                u64::from_le_bytes(word)
            }
        }
    }

    /// The sixteen bytes from here on, as in [`Block`].
    #[inline(always)]
    pub(super) fn block(&self) -> u128 {
        match self.rest.first_chunk() {
            Some(block) => u128::from_le_bytes(*block),
            None => Block::padded(self.rest),
        }
    }

    /// A string without escapes: its content, which is UTF-8.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let [b'"', text @ ..] = self.rest else { return None };
        self.rest = text;
        let mut beyond_ascii = 0;
        loop {
            let word = self.word();
            let stops = string_stops(word);
            if stops == 0 {
                beyond_ascii |= word & HIGH;
                self.advance(WORD_BYTES)?;
                continue;
            }
            // The bits below the first stop belong to the bytes before it.
            beyond_ascii |= word & HIGH & ((stops ^ (stops - 1)) >> 1);
            let bytes = text.len() - self.rest.len() + first_byte(stops);
            // What stops it may also be an escape, a control character, or the end of the payload.
            let (content, [b'"', rest @ ..]) = text.split_at_checked(bytes)? else { return None };
            if beyond_ascii != 0 && std::str::from_utf8(content).is_err() {
                return None;
            }
            self.rest = rest;
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

    /// A time. The usual one is a whole number of 13 digits; one of at most 15 digits is every
    /// other from 1970 to 9999.
    #[inline(always)]
    pub(super) fn time(&mut self) -> Option<EventTime> {
        const { assert!(9_999_999_999_999 <= number::TIME_MS_MAX) };
        if let Some(millis) = thirteen_digits(self.block()) {
            self.advance(13)?;
            return Some(EventTime::from_millis(millis.cast_signed()));
        }
        let time;
        (time, self.rest) = Cursor::longer_or_shorter_time(self.payload, self.rest)?;
        Some(time)
    }

    #[inline(never)]
    fn longer_or_shorter_time(payload: &'a [u8], rest: &'a [u8]) -> Option<(EventTime, &'a [u8])> {
        let mut cursor = Cursor { payload, rest };
        let time = match decimal(cursor.block()) {
            Some(Decimal { digits, places: 0, bytes }) if digits <= number::TIME_MS_MAX => {
                cursor.advance(bytes)?;
                EventTime::from_millis(digits.cast_signed())
            }
            _ => number::time(cursor.number()?).ok()?,
        };
        Some((time, cursor.rest))
    }

    /// A time in another unit than milliseconds.
    pub(super) fn time_in(&mut self, unit: TimeUnit) -> Option<EventTime> {
        let Some(exponent) = unit.exponent() else { return rfc3339::time(self.string()?).ok() };
        match decimal(self.block()) {
            // At most 15 digits: nothing overflows.
            Some(Decimal { digits, places, bytes }) => {
                let (up, down) = (10_u128.pow(exponent.max(0).unsigned_abs()), exponent.min(0));
                let places = u32::try_from(places).ok()? + down.unsigned_abs();
                let millis = u128::from(digits) * up / 10_u128.pow(places);
                self.advance(bytes)?;
                let millis = u64::try_from(millis).ok().filter(|ms| *ms <= number::TIME_MS_MAX)?;
                Some(EventTime::from_millis(millis.cast_signed()))
            }
            None => number::time_in(self.number()?, exponent).ok(),
        }
    }

    /// A number, or null.
    #[inline(always)]
    pub(super) fn metric(&mut self) -> Option<Option<f64>> {
        let start = self.rest;
        let negative = self.skip_minus();
        match short_decimal(self.word()) {
            Some(decimal) => Some(Some(self.skip_decimal(negative, &decimal)?)),
            None => {
                let value;
                (value, self.rest) = Cursor::longer_metric(self.payload, start)?;
                Some(value)
            }
        }
    }

    #[inline(never)]
    fn longer_metric(payload: &'a [u8], start: &'a [u8]) -> Option<(Option<f64>, &'a [u8])> {
        let mut cursor = Cursor { payload, rest: start };
        let negative = cursor.skip_minus();
        let value = if let Some(decimal) = decimal(cursor.block()) {
            Some(cursor.skip_decimal(negative, &decimal)?)
        } else {
            cursor.rest = start;
            match cursor.peek()? {
                b'n' => cursor.expect(b"null").map(|()| None)?,
                _ => Some(number::metric(cursor.number()?).ok()?),
            }
        };
        Some((value, cursor.rest))
    }

    #[inline(always)]
    pub(super) fn skip_minus(&mut self) -> bool {
        // Without a branch: what follows would be compiled twice, with and without a sign, and the loop
        // over the members grows by a tenth.
        let is_negative = self.peek() == Some(b'-');
        self.rest = self.rest.get(usize::from(is_negative)..).unwrap_or_default();
        is_negative
    }

    /// The value of a decimal. It is the quotient of two numbers that are exact as floats (its
    /// digits are fewer than 16), so it is rounded once (W. Clinger, "How to Read Floating Point
    /// Numbers Accurately", 1990).
    #[inline(always)]
    fn skip_decimal(&mut self, negative: bool, decimal: &Decimal) -> Option<f64> {
        self.advance(decimal.bytes)?;
        let magnitude = decimal.digits as f64 / TEN_TO[decimal.places];
        Some(if negative { -magnitude } else { magnitude })
    }

    /// A number by JSON's grammar: its text.
    pub(super) fn number(&mut self) -> Option<&'a str> {
        let start = *self;
        if self.peek()? == b'-' {
            self.advance(1)?;
        }
        if self.peek()? == b'0' {
            self.advance(1)?;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.advance(1)?;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.advance(1)?;
            if let Some(b'+' | b'-') = self.peek() {
                self.advance(1)?;
            }
            self.digits()?;
        }
        std::str::from_utf8(start.until(self)).ok()
    }

    /// At least one digit.
    #[inline]
    fn digits(&mut self) -> Option<()> {
        let start = self.rest;
        loop {
            let digits = count_digits(self.word());
            self.advance(digits)?;
            if digits < WORD_BYTES {
                return (self.rest.len() < start.len()).then_some(());
            }
        }
    }

    /// Any value.
    #[inline(always)]
    pub(super) fn skip_value(&mut self) -> Option<()> {
        if self.peek()? == b'"' {
            self.string()?;
        } else {
            self.rest = Cursor::after_other_value(self.payload, self.rest)?;
        }
        Some(())
    }

    #[inline(never)]
    fn after_other_value(payload: &'a [u8], rest: &'a [u8]) -> Option<&'a [u8]> {
        let mut cursor = Cursor { payload, rest };
        match cursor.peek()? {
            b'"' => cursor.string().map(|_| ()),
            b'{' | b'[' => cursor.skip_nested(),
            b't' => cursor.expect(b"true"),
            b'f' => cursor.expect(b"false"),
            b'n' => cursor.expect(b"null"),
            _ => cursor.number().map(|_| ()),
        }?;
        Some(cursor.rest)
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
                self.advance(1)?;
                self.skip_white_space();
                // `{` and `}`, like `[` and `]`, differ by two.
                complete = self.peek()? == first + 2;
                if complete {
                    self.advance(1)?;
                    is_object >>= 1;
                    depth -= 1;
                } else if first == b'{' {
                    self.string()?;
                    self.colon()?;
                }
            } else {
                self.rest = Cursor::after_other_value(self.payload, self.rest)?;
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
