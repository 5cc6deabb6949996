//! Simulation.
pub mod blobs;
pub mod disk;
pub mod outside;
pub mod plan;
pub mod scheduler;
pub mod topic;
pub mod trace;
