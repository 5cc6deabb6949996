//! What all aggregates do alike: a state for each slot, added to by columns.

use std::any::Any;

use arrow_array::ArrayRef;
use arrow_schema::ArrowError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Contributions;

/// One aggregate: how its state grows, and what it gives.
///
/// `combine` is associative and commutative exactly; adding a row is combining with the state of that
/// row alone.
pub(super) trait Fold: Any {
    /// The partial result of a group. Its default is that of no rows.
    type State: Default + Serialize + DeserializeOwned + 'static;

    /// Adds each row that contributes to the state of its slot. The argument is not null there.
    fn add(
        &self,
        states: &mut [Self::State],
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError>;

    /// Adds another group.
    fn combine(&self, into: &mut Self::State, other: &Self::State);

    /// A value for each state. One that does not fit its type is null, and its place is noted.
    fn results(
        &self,
        states: &[&Self::State],
        unfit: &mut Vec<usize>,
    ) -> Result<ArrayRef, ArrowError>;

    /// About how many bytes a state takes beside itself.
    fn heap(&self, _state: &Self::State) -> usize {
        0
    }
}

/// An aggregate with the states of all slots, whatever they are.
pub(super) trait Accumulator {
    /// Makes empty slots, so that there are so many.
    fn grow(&mut self, slots: usize);
    /// Makes a slot empty.
    fn clear(&mut self, slot: usize);
    /// See [`Fold::add`].
    fn add(
        &mut self,
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError>;
    /// Adds the first slot of each pair to the second.
    fn combine(&mut self, pairs: &[(u32, u32)]);
    /// See [`Fold::results`].
    fn results(&self, slots: &[u32], unfit: &mut Vec<usize>) -> Result<ArrayRef, ArrowError>;
    /// The states of some slots as bytes.
    fn save(&self, slots: &[u32]) -> Vec<u8>;
    /// Adds states that were saved to some slots.
    fn load(&mut self, slots: &[u32], saved: &[u8]) -> Result<(), String>;
    /// About how many bytes all states take.
    fn size(&self) -> usize;
}

/// The states of an aggregate, by slot.
pub(super) struct States<F: Fold> {
    fold: F,
    states: Vec<F::State>,
}

impl<F: Fold> States<F> {
    pub(super) fn of(fold: F) -> Box<dyn Accumulator> {
        Box::new(Self { fold, states: Vec::new() })
    }

    fn some(&self, slots: &[u32]) -> Vec<&F::State> {
        slots.iter().map(|slot| &self.states[*slot as usize]).collect()
    }
}

impl<F: Fold> Accumulator for States<F> {
    fn grow(&mut self, slots: usize) {
        self.states.resize_with(slots, Default::default);
    }

    fn clear(&mut self, slot: usize) {
        self.states[slot] = F::State::default();
    }

    fn add(
        &mut self,
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        self.fold.add(&mut self.states, rows, column)
    }

    fn combine(&mut self, pairs: &[(u32, u32)]) {
        for (from, into) in pairs {
            let states = self.states.get_disjoint_mut([*from as usize, *into as usize]);
            let [from, into] = states.expect("a slot is combined with another");
            self.fold.combine(into, from);
        }
    }

    fn results(&self, slots: &[u32], unfit: &mut Vec<usize>) -> Result<ArrayRef, ArrowError> {
        self.fold.results(&self.some(slots), unfit)
    }

    fn save(&self, slots: &[u32]) -> Vec<u8> {
        postcard::to_stdvec(&self.some(slots)).expect("what is in memory can be written to memory")
    }

    fn load(&mut self, slots: &[u32], saved: &[u8]) -> Result<(), String> {
        let saved: Vec<F::State> = postcard::from_bytes(saved)
            .map_err(|e| format!("the state of an aggregate cannot be read: {e}"))?;
        if saved.len() != slots.len() {
            let (found, wanted) = (saved.len(), slots.len());
            return Err(format!("{found} states of an aggregate were stored for {wanted} groups"));
        }
        for (slot, state) in slots.iter().zip(&saved) {
            self.fold.combine(&mut self.states[*slot as usize], state);
        }
        Ok(())
    }

    fn size(&self) -> usize {
        let heap: usize = self.states.iter().map(|state| self.fold.heap(state)).sum();
        heap + self.states.capacity() * size_of::<F::State>()
    }
}
