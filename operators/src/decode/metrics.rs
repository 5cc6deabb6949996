//! What a decoder reads of a record besides its key and its time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The metrics of one record: `N` numbers, each of which may be absent.
///
/// It takes 8 bytes a metric. Two are equal if they are equal to the last bit (`0.0` is not
/// `-0.0`).
///
/// ```
/// use strandline_operators::decode::Metrics;
///
/// let metrics = Metrics::from([Some(24.7), None]);
/// assert_eq!((metrics.get(0), metrics.get(1)), (Some(24.7), None));
/// ```
#[derive(Copy, Clone, Serialize, Deserialize)]
#[serde(into = "Vec<f64>", try_from = "Vec<f64>")]
pub struct Metrics<const N: usize> {
    // NaN stands for absent: JSON has no NaN.
    values: [f64; N],
}

impl<const N: usize> Metrics<N> {
    /// The metric of the field that was named at `index`; `None` if it is absent.
    ///
    /// # Panics
    ///
    /// If `index` is not below `N`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<f64> {
        let value = self.values[index];
        (!value.is_nan()).then_some(value)
    }

    pub(super) const ABSENT: Metrics<N> = Metrics { values: [f64::NAN; N] };

    #[inline]
    pub(super) fn set(&mut self, index: usize, value: Option<f64>) {
        self.values[index] = value.unwrap_or(f64::NAN);
    }
}

impl<const N: usize> From<[Option<f64>; N]> for Metrics<N> {
    /// NaN counts as absent.
    fn from(values: [Option<f64>; N]) -> Metrics<N> {
        Metrics { values: values.map(|value| value.unwrap_or(f64::NAN)) }
    }
}

impl<const N: usize> From<Metrics<N>> for Vec<f64> {
    /// NaN stands for an absent metric.
    fn from(metrics: Metrics<N>) -> Vec<f64> {
        metrics.values.to_vec()
    }
}

impl<const N: usize> TryFrom<Vec<f64>> for Metrics<N> {
    type Error = String;

    fn try_from(values: Vec<f64>) -> Result<Metrics<N>, String> {
        let found = values.len();
        let values =
            values.try_into().map_err(|_| format!("{N} metrics, and {found} were sent"))?;
        Ok(Metrics { values })
    }
}

impl<const N: usize> PartialEq for Metrics<N> {
    fn eq(&self, other: &Self) -> bool {
        let bits = |metrics: &Self, index| metrics.get(index).map(f64::to_bits);
        (0..N).all(|index| bits(self, index) == bits(other, index))
    }
}

impl<const N: usize> Eq for Metrics<N> {}

impl<const N: usize> fmt::Debug for Metrics<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..N).map(|index| self.get(index))).finish()
    }
}
