//! What a pattern matches, replaced, in no more room than a column has.

use std::borrow::Cow;

use regex::Regex;

use crate::expr::failed::Reason;
use crate::expr::room::fits;

/// As [`Regex::replace_all`].
///
/// # Errors
///
/// No column has room for the result: it is not made.
pub(super) fn replace_all<'a>(
    regex: &Regex,
    text: &'a str,
    replacement: &str,
) -> Result<Cow<'a, str>, Reason> {
    // What is matched does not overlap, so that each reference to a group repeats the text once at most.
    let references = replacement.matches('$').count();
    let most = (text.len() + 1)
        .saturating_mul(replacement.len())
        .saturating_add(text.len().saturating_mul(references + 1));
    if fits(most).is_ok() {
        return Ok(regex.replace_all(text, replacement));
    }
    let (mut replaced, mut rest) = (String::new(), 0);
    for captures in regex.captures_iter(text) {
        let Some(whole) = captures.get(0) else { continue };
        replaced.push_str(&text[rest..whole.start()]);
        for part in parts(replacement) {
            captures.expand(part, &mut replaced);
            fits(replaced.len())?;
        }
        rest = whole.end();
    }
    fits(replaced.len() + text.len() - rest)?;
    replaced.push_str(&text[rest..]);
    Ok(replaced.into())
}

/// The parts of a replacement, of which each refers to one group at most.
fn parts(replacement: &str) -> impl Iterator<Item = &str> {
    let mut rest = replacement;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // `$$` is a dollar sign, and between braces one is part of a name.
        let begun = match rest.get(..2) {
            Some("$$") => 2,
            Some("${") => rest.find('}').map_or(2, |end| end + 1),
            _ => usize::from(rest.starts_with('$')),
        };
        let end = rest[begun..].find('$').map_or(rest.len(), |dollar| begun + dollar);
        let (part, more) = rest.split_at(end);
        rest = more;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_replacement_expand_to_what_it_expands_to() {
        let regex = Regex::new("(?<first>a+)(b*)").unwrap();
        let captures = regex.captures("aabbb").unwrap();
        let replacements = [
            "", "x", "$1", "$1$2", "$$1", "$$$1", "${1}x$2", "${a$b}$1", "${1$2", "é$é$", "$first-",
        ];
        for replacement in replacements {
            let (mut whole, mut in_parts) = (String::new(), String::new());
            captures.expand(replacement, &mut whole);
            parts(replacement).for_each(|part| captures.expand(part, &mut in_parts));
            assert_eq!(in_parts, whole, "{replacement}");
        }
    }
}
