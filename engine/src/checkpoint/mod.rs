//! Checkpoints: what makes results exact across crashes.

pub mod blobs;
