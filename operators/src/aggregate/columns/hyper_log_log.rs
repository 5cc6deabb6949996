//! How many different values there are, to about two percent, in at most 4 KiB.
//!
//! HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007), with the estimator of O. Ertl, "New
//! cardinality estimation algorithms for HyperLogLog sketches" (arXiv:1702.01284, 2017), which needs
//! no tables of corrections. A register keeps a maximum, so neither order nor combining matters. As
//! long as few registers are set, only those are kept.

use std::collections::BTreeMap;

use arrow_array::ArrayRef;
use arrow_schema::{ArrowError, DataType};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::Contributions;
use super::count::counts;
use super::state::Fold;
use crate::row_format::{RowFormat, equal_floats_alike};

/// Bits of the hash that choose a register: the standard error is 1.04 / sqrt(2^12), 1.6 percent.
const PRECISION: u32 = 12;
const REGISTERS: usize = 1 << PRECISION;
/// The other bits of a hash.
const RANKS: u32 = u64::BITS - PRECISION;
/// More registers than this are kept as a table.
const SPARSE_REGISTERS: usize = REGISTERS / 16;

/// A sketch of values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub(super) enum Sketch {
    Sparse(BTreeMap<u16, u8>),
    Dense(Box<[u8]>),
}

/// As it is stored.
#[derive(Serialize, Deserialize)]
enum Written {
    Sparse(BTreeMap<u16, u8>),
    Dense(Vec<u8>),
}

impl From<Sketch> for Written {
    fn from(sketch: Sketch) -> Self {
        match sketch {
            Sketch::Sparse(registers) => Self::Sparse(registers),
            Sketch::Dense(registers) => Self::Dense(registers.into()),
        }
    }
}

impl TryFrom<Written> for Sketch {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        let (fits, sketch) = match written {
            Written::Sparse(registers) => (
                registers.iter().all(|(place, rank)| {
                    usize::from(*place) < REGISTERS && u32::from(*rank) <= RANKS + 1
                }),
                Self::Sparse(registers),
            ),
            Written::Dense(registers) => (
                registers.len() == REGISTERS
                    && registers.iter().all(|rank| u32::from(*rank) <= RANKS + 1),
                Self::Dense(registers.into()),
            ),
        };
        fits.then_some(sketch).ok_or_else(|| {
            format!("a sketch has {REGISTERS} registers of {RANKS} ranks, and another was stored")
        })
    }
}

impl Default for Sketch {
    fn default() -> Self {
        Self::Sparse(BTreeMap::new())
    }
}

impl Sketch {
    fn add(&mut self, hash: u64) {
        let place = (hash >> RANKS) as u16;
        // The ones at the end bound the rank.
        let rank = ((hash << PRECISION) | ((1 << PRECISION) - 1)).leading_zeros() + 1;
        self.raise(place, rank as u8);
    }

    fn raise(&mut self, place: u16, rank: u8) {
        match self {
            Self::Dense(registers) => {
                let register = &mut registers[usize::from(place)];
                *register = rank.max(*register);
            }
            Self::Sparse(registers) => {
                let register = registers.entry(place).or_default();
                *register = rank.max(*register);
                if registers.len() > SPARSE_REGISTERS {
                    let mut dense = vec![0; REGISTERS].into_boxed_slice();
                    for (place, rank) in registers {
                        dense[usize::from(*place)] = *rank;
                    }
                    *self = Self::Dense(dense);
                }
            }
        }
    }

    fn combine(&mut self, other: &Sketch) {
        match other {
            Self::Sparse(registers) => {
                registers.iter().for_each(|(place, rank)| self.raise(*place, *rank));
            }
            Self::Dense(registers) => {
                for (place, rank) in registers.iter().enumerate().filter(|(_, rank)| **rank > 0) {
                    self.raise(place as u16, *rank);
                }
            }
        }
    }

    /// How many different values there were, about.
    fn estimate(&self) -> u64 {
        let mut of_rank = [0_u32; RANKS as usize + 2];
        match self {
            Self::Dense(registers) => {
                registers.iter().for_each(|rank| of_rank[usize::from(*rank)] += 1);
            }
            Self::Sparse(registers) => {
                of_rank[0] = (REGISTERS - registers.len()) as u32;
                registers.values().for_each(|rank| of_rank[usize::from(*rank)] += 1);
            }
        }
        let m = REGISTERS as f64;
        let last = of_rank.len() - 1;
        let mut z = m * tau(1.0 - f64::from(of_rank[last]) / m);
        for count in of_rank[1..last].iter().rev() {
            z = 0.5 * (z + f64::from(*count));
        }
        z += m * sigma(f64::from(of_rank[0]) / m);
        (m * m / (2.0 * std::f64::consts::LN_2) / z).round() as u64
    }
}

/// Ertl's σ: registers that are still zero.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// Ertl's τ: registers that cannot rise any more.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// Counts different values by a sketch.
pub(super) struct ApproximateDistinct(RowFormat);

impl ApproximateDistinct {
    pub(super) fn new(data_type: &DataType) -> Result<Self, ArrowError> {
        Ok(Self(RowFormat::new([data_type])?))
    }
}

impl Fold for ApproximateDistinct {
    type State = Sketch;

    fn add(
        &self,
        states: &mut [Sketch],
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        let Some(column) = column else { return Ok(()) };
        let values = self.0.encode(&[equal_floats_alike(column)])?;
        rows.each(|row, slot| states[slot].add(xxh3_64(values.row(row).data())));
        Ok(())
    }

    fn combine(&self, into: &mut Sketch, other: &Sketch) {
        into.combine(other);
    }

    fn results(&self, states: &[&Sketch], _unfit: &mut Vec<usize>) -> Result<ArrayRef, ArrowError> {
        Ok(counts(states.iter().map(|sketch| sketch.estimate())))
    }

    fn heap(&self, state: &Sketch) -> usize {
        match state {
            Sketch::Sparse(registers) => registers.len() * 8,
            Sketch::Dense(registers) => registers.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(values: impl Iterator<Item = u64>) -> Sketch {
        let mut sketch = Sketch::default();
        values.for_each(|value| sketch.add(xxh3_64(&value.to_le_bytes())));
        sketch
    }

    #[test]
    fn counts_of_all_sizes_are_within_some_percent() {
        for count in [0, 1, 2, 10, 100, 250, 260, 1000, 5000, 20_000, 100_000, 1_000_000] {
            let estimate = sketch(0..count).estimate();
            // Three standard errors.
            let bound = count / 20;
            assert!(estimate.abs_diff(count) <= bound, "{count} as {estimate}");
        }
    }

    #[test]
    fn a_sketch_is_a_function_of_its_values() {
        let mut halves = sketch(0..400);
        halves.combine(&sketch((200..900).rev()));
        assert_eq!(halves, sketch(0..900));
        let mut few = sketch(0..100);
        few.combine(&sketch(50..200));
        assert_eq!(few, sketch((0..200).rev()));
        assert!(matches!(few, Sketch::Sparse(_)));
        let mut into_few = sketch(0..3);
        into_few.combine(&halves);
        assert_eq!(into_few, halves);
    }

    #[test]
    fn a_sketch_of_another_size_is_refused() {
        let stored = postcard::to_stdvec(&Written::Dense(vec![0; 17])).unwrap();
        assert!(postcard::from_bytes::<Sketch>(&stored).is_err());
        let stored = postcard::to_stdvec(&Written::Sparse(BTreeMap::from([(5000, 1)]))).unwrap();
        assert!(postcard::from_bytes::<Sketch>(&stored).is_err());
    }
}
