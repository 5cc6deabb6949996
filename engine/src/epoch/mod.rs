//! Epochs: how the workers agree where a cut lies.
//!
//! | module | what it is |
//! |---|---|
//! | [`control`] | what worker 0 tells the sources, and what they answer |
//! | [`broadcast`] | how it tells all workers |
//! | [`coordinator`] | collects what epochs came to, and says which are complete |
//! | [`checkpointer`] | asks for cuts, and makes manifests of them |
//! | [`leader`] | worker 0's part besides working: turns epochs, publishes the view, ends the run |

pub(crate) mod broadcast;
pub(crate) mod checkpointer;
pub(crate) mod control;
pub(crate) mod coordinator;
pub(crate) mod leader;
