//! Amounts of memory as they are written on a command line: an integer and a unit.

/// Units, the largest that divides first when an amount is written.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads `256MiB`, `1GB`, `64KiB`.
///
/// ```
/// assert_eq!(strandline::byte_size::parse("256MiB"), Ok(256 << 20));
/// assert!(strandline::byte_size::parse("256").is_err());
/// ```
///
/// # Errors
///
/// One line that says how an amount is written.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let each = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()));
    let (Some((_, each)), false) = (each, number.is_empty()) else {
        return Err("an integer and one of B kB MB GB KiB MiB GiB, such as 256MiB".into());
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*each));
    bytes.ok_or_else(|| "that is more than there is".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_an_integer_and_a_unit() {
        for (written, bytes) in
            [("0B", 0), ("64KiB", 65_536), ("1mb", 1_000_000), ("2 GiB", 2 << 30)]
        {
            assert_eq!(parse(written), Ok(bytes), "{written}");
        }
        for wrong in ["", "5", "MiB", "-1B", "1.5GiB", "10MBs", "99999999999999GiB"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
