//! Several values as three, because runs of one thing differ.

use serde::{Deserialize, Serialize};

/// The least, the middle and the greatest of some values.
#[derive(Copy, Clone, Debug, Serialize, Deserialize)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle, or what is between the two in the middle.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of values, in any order; `None` of none. O(n log n).
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        Some(Spread { min, median, max })
    }

    /// The median, and in brackets the least and the greatest.
    pub fn text(&self, scale: f64, digits: usize) -> String {
        let [least, median, greatest] =
            [self.min, self.median, self.max].map(|value| value / scale);
        format!("{median:.digits$} ({least:.digits$}–{greatest:.digits$})")
    }
}

/// The same of a spread that may be unknown.
pub fn text_of(spread: Option<&Spread>, scale: f64, digits: usize) -> String {
    spread.map_or("–".to_owned(), |spread| spread.text(scale, digits))
}
