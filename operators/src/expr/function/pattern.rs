//! Functions that look for patterns in text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::Arc;

use arrow_string::like;
use regex::Regex;

use super::Compute::{Pattern, Plain};
use super::replacement::replace_all;
use super::{Call, Computed, Entry};
use crate::expr::column::Column;
use crate::expr::failed::Reason;
use crate::expr::rows::{Row, booleans, some, texts};

pub(super) const FUNCTIONS: &[Entry] = &[
    ("like", Plain(|call| Ok(Arc::new(like::like(&call.arguments[0], &call.arguments[1])?)))),
    ("ilike", Plain(|call| Ok(Arc::new(like::ilike(&call.arguments[0], &call.arguments[1])?)))),
    (
        "starts_with",
        Plain(|call| Ok(Arc::new(like::starts_with(&call.arguments[0], &call.arguments[1])?))),
    ),
    (
        "ends_with",
        Plain(|call| Ok(Arc::new(like::ends_with(&call.arguments[0], &call.arguments[1])?))),
    ),
    (
        "contains",
        Plain(|call| Ok(Arc::new(like::contains(&call.arguments[0], &call.arguments[1])?))),
    ),
    ("regexp_like", Pattern(regexp_like)),
    ("regexp_replace", Pattern(regexp_replace)),
    ("regexp_extract", Pattern(regexp_extract)),
];

/// A regular expression, or why it is none.
pub(super) type Constant = Result<Regex, Reason>;

pub(super) fn compiled(pattern: &str) -> Constant {
    Regex::new(pattern).map_err(|error| {
        // Its message has several lines that point at the place; a reason is a short line.
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        format!("`{pattern}` is no regular expression: {}", last.trim_start_matches("error: "))
            .into()
    })
}

/// The regular expressions of a call: one for all rows, or those that its rows name.
struct Patterns<'a> {
    constant: Option<&'a Constant>,
    seen: HashMap<String, Constant>,
}

impl<'a> Patterns<'a> {
    fn new(constant: Option<&'a Constant>) -> Self {
        Self { constant, seen: HashMap::new() }
    }

    fn get(&mut self, pattern: &str) -> Result<&Regex, Reason> {
        let found = match self.constant {
            Some(constant) => constant,
            None => match self.seen.entry(pattern.to_owned()) {
                Place::Occupied(found) => found.into_mut(),
                Place::Vacant(place) => place.insert(compiled(pattern)),
            },
        };
        found.as_ref().map_err(Clone::clone)
    }
}

fn regexp_like(call: &mut Call<'_>, constant: Option<&Constant>) -> Computed {
    let (text, pattern) = (call.arguments[0].texts(), call.arguments[1].texts());
    let mut patterns = Patterns::new(constant);
    Ok(Arc::new(booleans(call.rows, call.failed, |row| {
        let (text, pattern) = (some!(text.get(row)), some!(pattern.get(row)));
        Ok(Some(patterns.get(pattern)?.is_match(text)))
    })))
}

fn regexp_replace(call: &mut Call<'_>, constant: Option<&Constant>) -> Computed {
    let (text, pattern) = (call.arguments[0].texts(), call.arguments[1].texts());
    let replacement = call.arguments[2].texts();
    let mut patterns = Patterns::new(constant);
    Ok(texts(call.rows, call.failed, |row| -> Row<Cow<'_, str>> {
        let (text, pattern) = (some!(text.get(row)), some!(pattern.get(row)));
        let replacement = some!(replacement.get(row));
        Ok(Some(replace_all(patterns.get(pattern)?, text, replacement)?))
    }))
}

fn regexp_extract(call: &mut Call<'_>, constant: Option<&Constant>) -> Computed {
    let (text, pattern) = (call.arguments[0].texts(), call.arguments[1].texts());
    let group = call.arguments.get(2).map(Column::integers);
    let mut patterns = Patterns::new(constant);
    Ok(texts(call.rows, call.failed, |row| -> Row<&str> {
        let (text, pattern) = (some!(text.get(row)), some!(pattern.get(row)));
        let group = match &group {
            Some(group) => some!(group.get(row)),
            None => 0,
        };
        let regex = patterns.get(pattern)?;
        let index = usize::try_from(group).ok().filter(|group| *group < regex.captures_len());
        let index = index.ok_or_else(|| format!("`{pattern}` has no group {group}"))?;
        if index == 0 {
            return Ok(regex.find(text).map(|found| found.as_str()));
        }
        let captures = some!(regex.captures(text));
        Ok(captures.get(index).map(|found| found.as_str()))
    }))
}
