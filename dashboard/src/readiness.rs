//! The answer of `/readyz`: whether the job makes progress, and if not, why.

use serde::Serialize;
use strandline_engine::condition::Conditions;

/// The answer as JSON.
#[derive(Debug, Serialize)]
struct Readiness<'a> {
    ready: bool,
    conditions: &'a Conditions,
}

/// As JSON.
pub(crate) fn json(conditions: &Conditions) -> Option<Vec<u8>> {
    serde_json::to_vec(&Readiness { ready: conditions.is_ready(), conditions }).ok()
}

/// As text: a line for each condition, the most serious first.
pub(crate) fn text(conditions: &Conditions) -> String {
    let mut text = if conditions.is_ready() { "ready\n" } else { "not ready\n" }.to_owned();
    for condition in conditions.all() {
        text.push_str(&condition.to_string());
        text.push('\n');
    }
    text
}
