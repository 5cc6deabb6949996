//! Checkpoints: what makes results exact across crashes.

pub mod blobs;
pub mod lock;
pub mod object;
