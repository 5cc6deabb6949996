//! Bytes of a payload as the bytes of one number, so that eight or sixteen are looked at by the
//! instructions that look at one. The first byte is the lowest.

/// Each byte of a word is 1.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte.
pub(super) const HIGH: u64 = ONES * 0x80;
/// Bytes of a word.
pub(super) const WORD_BYTES: usize = 8;

/// A short text, to be found at the beginning of sixteen bytes by one comparison.
#[derive(Copy, Clone, Debug)]
pub(super) struct Block {
    text: u128,
    mask: u128,
}

impl Block {
    /// The longest text that fits.
    pub(super) const BYTES: usize = 16;

    /// The text, or its beginning where it is longer.
    pub(super) fn new(text: &[u8]) -> Block {
        let text = text.get(..Block::BYTES).unwrap_or(text);
        let mask = [u8::MAX; Block::BYTES];
        Block { text: Block::padded(text), mask: Block::padded(&mask[..text.len()]) }
    }

    /// What no text begins with.
    pub(super) const NEVER: Block = Block { text: 1, mask: 0 };

    /// Whether `bytes`, of which the first is lowest, begin with it.
    #[inline(always)]
    pub(super) fn begins(&self, bytes: u128) -> bool {
        bytes & self.mask == self.text
    }

    /// Fewer than sixteen bytes as a number, the first one lowest, zeros after the last.
    #[inline(never)]
    pub(super) fn padded(bytes: &[u8]) -> u128 {
        let mut block = [0; Block::BYTES];
        block[..bytes.len()].copy_from_slice(bytes);
        u128::from_le_bytes(block)
    }
}

/// The index of the first byte of a word whose high bit is set in `marks`.
#[inline(always)]
pub(super) fn first_byte(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

/// Marks the first quotation mark, backslash or control character of a word by the high bit of its
/// byte. Bytes after the first may be marked wrongly: the subtractions borrow.
#[inline(always)]
pub(super) fn string_stops(word: u64) -> u64 {
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let quotation_mark = below(word ^ (ONES * u64::from(b'"')), 1);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    (below(word, b' ') | quotation_mark | backslash) & HIGH
}

/// How many digits a word begins with.
#[inline(always)]
pub(super) fn count_digits(word: u64) -> usize {
    word.to_le_bytes().iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The number that is written by eight digits, the first one in the lowest byte: neighbours are
/// joined to pairs, those to fours, those to the number (D. Lemire, "Quickly parsing eight
/// digits", 2018).
#[inline(always)]
fn eight_digits(digits: u64) -> u64 {
    const PAIRS: u64 = 0x00FF_00FF_00FF_00FF;
    const FOURS: u64 = 0x0000_FFFF_0000_FFFF;
    let pairs = (digits * 10 + (digits >> 8)) & PAIRS;
    let fours = (pairs * 100 + (pairs >> 16)) & FOURS;
    (fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF
}

/// The same for sixteen digits.
#[inline(always)]
fn sixteen_digits(digits: u128) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
    let (first, last) = (digits as u64, (digits >> 64) as u64);
    eight_digits(first) * 100_000_000 + eight_digits(last)
}

/// The whole number of thirteen digits that a block begins with, if it begins with one and a
/// comma, a brace or white space follows. Milliseconds since 1970 have thirteen digits from 2001 to
/// 2286: since the length is known before the digits are read, what comes after them need not wait
/// for them.
#[inline(always)]
pub(super) fn thirteen_digits(block: u128) -> Option<u64> {
    const ONES: u128 = u128::MAX / 0xFF;
    const HIGH: u128 = ONES * 0x80;
    #[expect(clippy::cast_possible_truncation, reason = "a byte of it is wanted each time")]
    let (first, after) = (block as u8, (block >> (8 * 13)) as u8);
    // Digits become their values, and sixteen of them, of which the first three are zeros.
    let digits = (block ^ (ONES * u128::from(b'0'))) << (8 * 3);
    let beyond_nine = (((digits & !HIGH) + ONES * (0x80 - 10)) | digits) & HIGH;
    let ends = matches!(after, b',' | b'}') || after <= b' ';
    (beyond_nine == 0 && first != b'0' && ends).then(|| sixteen_digits(digits))
}

/// A decimal without sign and exponent, such as `12` or `12.5`.
pub(super) struct Decimal {
    /// All its digits, the point left out.
    pub(super) digits: u64,
    /// How many of them stand after the point.
    pub(super) places: usize,
    /// How long it is.
    pub(super) bytes: usize,
}

macro_rules! decimal {
    ($(#[$attribute:meta])* $name:ident($word:ty), $join:ident) => {
        $(#[$attribute])*
        #[inline(always)]
        pub(super) fn $name(text: $word) -> Option<Decimal> {
            // Digits become their values, all other bytes more than 9, which `stops` marks by
            // their high bits.
            const ZERO: u8 = b'0';
            const POINT: $word = (b'.' ^ ZERO) as $word;
            const LETTER_E: $word = (b'E' ^ ZERO) as $word;
            const EITHER_CASE: $word = 0xDF;
            const ONES: $word = <$word>::MAX / 0xFF;
            const HIGH: $word = ONES * 0x80;
            let word = text ^ (ONES * ZERO as $word);
            let stops = (((word & !HIGH) + ONES * (0x80 - 10)) | word) & HIGH;
            if stops == 0 {
                return None; // It goes on after the word.
            }
            let whole = stops.trailing_zeros() as usize / 8;
            if whole == 0 || (word & 0xFF == 0 && whole != 1) {
                return None;
            }
            let mut bytes = whole;
            let mut places = 0;
            let mut joined = word;
            if (word >> (8 * whole)) & 0xFF == POINT {
                let stops = stops & (stops - 1);
                if stops == 0 {
                    return None;
                }
                bytes = stops.trailing_zeros() as usize / 8;
                places = bytes - whole - 1;
                if places == 0 {
                    return None;
                }
                // The digits after the point move over it.
                let before_point = (1 << (8 * whole)) - 1;
                joined = (word & before_point) | ((word >> 8) & !before_point);
            }
            if (word >> (8 * bytes)) & EITHER_CASE == LETTER_E & EITHER_CASE {
                return None;
            }
            let unused = size_of::<$word>() - whole - places;
            Some(Decimal { digits: $join(joined << (8 * unused)), places, bytes })
        }
    };
}

decimal! {
    /// The decimal that eight bytes begin with, and that ends before they do. There is no branch
    /// on how long its parts are: real lengths vary, and each wrong guess would cost more than the
    /// rest.
    short_decimal(u64), eight_digits
}

decimal! {
    /// The decimal that sixteen bytes begin with, and that ends before they do.
    decimal(u128), sixteen_digits
}
