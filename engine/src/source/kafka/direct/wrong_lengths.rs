//! Lengths as a broken or hostile broker sends them, for tests.

/// An unsigned number in as many bytes as it needs.
pub(super) fn varint(mut value: u64) -> Vec<u8> {
    let mut written = Vec::new();
    while 0x80 <= value {
        written.push(0x80 | u8::try_from(value & 0x7f).unwrap());
        value >>= 7;
    }
    written.push(value.try_into().unwrap());
    written
}

/// How many [`wrong_length`]s there are.
pub(super) const WRONG_LENGTHS: usize = 22;

/// A length from the edges of what it can be, with `left` bytes behind it.
pub(super) fn wrong_length(which: usize, left: usize) -> i64 {
    let left = i64::try_from(left).unwrap();
    let max = i64::from(i32::MAX);
    let lengths: [i64; WRONG_LENGTHS] = [
        -2,
        -1,
        0,
        1,
        2,
        left - 1,
        left,
        left + 1,
        left / 6,
        left / 37,
        0x7f,
        0x80,
        0x3fff,
        0x7fff,
        0x8000,
        max - 1,
        max,
        max + 1,
        i64::from(u32::MAX),
        i64::from(i32::MIN),
        i64::MAX,
        i64::MIN,
    ];
    lengths[which % WRONG_LENGTHS]
}
