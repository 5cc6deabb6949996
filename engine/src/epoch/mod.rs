//! Epochs: how the workers agree where a cut lies.
//!
//! | module | what it is |
//! |---|---|
//! | [`control`] | what worker 0 tells the sources, and what they answer |
//! | [`broadcast`] | how it tells all workers |
//! | [`coordinator`] | collects what epochs came to, and says which are complete |
//! | [`cuts`] | collects what becomes of cuts, and says which are durable |
//! | [`checkpointer`] | asks for cuts, and makes manifests of them |
//! | [`assigner`] | which worker reads which partition |
//! | [`publisher`] | what is shown of it all |
//! | [`leader`] | worker 0's part besides working: turns epochs, ends the run |

pub(crate) mod assigner;
pub(crate) mod broadcast;
pub(crate) mod checkpointer;
pub(crate) mod control;
pub(crate) mod coordinator;
mod cuts;
pub(crate) mod leader;
mod publisher;
