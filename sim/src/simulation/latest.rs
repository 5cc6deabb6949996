//! What `latest.json` of the main job may say.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::judge::{Expected, MAIN_JOB};
use crate::oracle::{OracleRow, Outcome};

/// The rows of each window, by its start and by key.
#[derive(Debug)]
pub(super) struct Documents {
    windows: BTreeMap<i64, BTreeMap<String, OracleRow>>,
}

impl Documents {
    pub(super) fn new(expected: &Outcome) -> Documents {
        let mut windows: BTreeMap<i64, BTreeMap<String, OracleRow>> = BTreeMap::new();
        for row in &expected.rows {
            let rows = windows.entry(row.window_start_ms).or_default();
            rows.insert(row.key.clone(), row.clone());
        }
        Documents { windows }
    }

    /// Whether the rows of a document that calls them final are those of its window.
    pub(super) fn check(&self, document: &Value) -> Result<(), String> {
        let rows = document["devices"].as_array().ok_or("it has no rows")?;
        if document["final"] != Value::Bool(true) {
            return Ok(());
        }
        let start = document["window"]["start"].as_i64().ok_or("it is final, without a window")?;
        let expected = self.windows.get(&start).ok_or("there is no such window")?;
        if rows.len() != expected.len() {
            let (found, right) = (rows.len(), expected.len());
            return Err(format!("{found} final rows of the window at {start}, not {right}"));
        }
        for row in rows {
            let key = row["device_id"].as_str().unwrap_or_default();
            let right = expected.get(key).ok_or_else(|| format!("{key}: there is no such row"))?;
            if let Some(wrong) =
                MAIN_JOB.iter().find(|(name, of)| !is_right(&row[*name], right, *of))
            {
                return Err(format!("{key} in the window at {start}: {wrong:?} in {row}"));
            }
        }
        Ok(())
    }
}

fn is_right(value: &Value, row: &OracleRow, of: Expected) -> bool {
    let right = match of {
        Expected::Count => return value.as_u64() == Some(row.count),
        Expected::Average(metric) => row.metrics[metric].average,
        Expected::Min(metric) => row.metrics[metric].min,
        Expected::Max(metric) => row.metrics[metric].max,
    };
    match (value.as_f64(), right) {
        (Some(found), Some(right)) => (found - right).abs() <= 1e-9 * right.abs(),
        (found, right) => found == right,
    }
}
