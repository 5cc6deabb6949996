//! What a JSON number means, from its text: exactly, however long it is.

/// A number as an event time.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Integral {
    /// A whole number.
    Whole(i64),
    /// A whole number above the range of `i64`.
    AboveRange,
    /// A whole number below the range of `i64`.
    BelowRange,
    /// It has a fraction that is not zero.
    Fraction,
}

/// The whole number that a JSON number is: `5`, `5.0`, `5e3`, `-0`, `1.5e1`.
///
/// `text` follows JSON's grammar.
pub(super) fn integral(text: &str) -> Integral {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));

    // The value is `digits` times ten to the power of `scale`.
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Integral::Whole(0);
    }
    let trailing_zeros = digits.len() - significant.len();
    // An exponent too long for this type is beyond all range, whatever the mantissa's length.
    let exponent: i128 = exponent.parse().unwrap_or(if exponent.starts_with('-') {
        i128::MIN / 2
    } else {
        i128::MAX / 2
    });
    let scale = exponent - fraction.len() as i128 + trailing_zeros as i128;
    if scale < 0 {
        return Integral::Fraction;
    }
    let length = significant.len() as i128 + scale;
    let beyond = if negative { Integral::BelowRange } else { Integral::AboveRange };
    if 19 < length {
        return beyond;
    }
    let zeros = "0".repeat(scale as usize);
    let sign = if negative { "-" } else { "" };
    format!("{sign}{significant}{zeros}").parse().map_or(beyond, Integral::Whole)
}

/// The 64-bit float nearest to a JSON number; `None` if it is beyond their range.
///
/// `text` follows JSON's grammar.
pub(super) fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_in_every_spelling() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("0.000", 0),
            ("0e999999999999999999999999999999999999999999", 0),
            ("5", 5),
            ("5.0", 5),
            ("5e3", 5000),
            ("5E+3", 5000),
            ("1.5e1", 15),
            ("150e-1", 15),
            ("1500.00e-2", 15),
            ("-7", -7),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("0.00000000000000000000001730638574123e35", 1_730_638_574_123),
        ] {
            assert_eq!(integral(text), Integral::Whole(value), "{text}");
        }
    }

    /// Digits that a float would have rounded away decide.
    #[test]
    fn fractions_however_small() {
        for text in
            ["0.5", "5.0000000000000000000000001", "1e-1", "15e-2", "1e-99999999999999999999"]
        {
            assert_eq!(integral(text), Integral::Fraction, "{text}");
        }
        let exponent = "9".repeat(60);
        assert_eq!(integral(&format!("1e-{exponent}")), Integral::Fraction);
        assert_eq!(integral(&format!("-1e{exponent}")), Integral::BelowRange);
    }

    #[test]
    fn beyond_the_range() {
        for text in ["9223372036854775808", "1e19", "1e999", "123456789012345678901234567890"] {
            assert_eq!(integral(text), Integral::AboveRange, "{text}");
            assert_eq!(integral(&format!("-{text}9")), Integral::BelowRange, "-{text}9");
        }
        assert_eq!(integral("-9223372036854775809"), Integral::BelowRange);
    }

    #[test]
    fn floats_are_finite_or_none() {
        assert_eq!(finite("24.7"), Some(24.7));
        assert_eq!(finite("1e308"), Some(1e308));
        assert_eq!(finite("1e309"), None);
        assert_eq!(finite("-1e999"), None);
        assert_eq!(finite("1e-999"), Some(0.0));
        assert!(finite("-0").unwrap().is_sign_negative());
    }
}
