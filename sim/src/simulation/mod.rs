//! Simulation.
pub mod blobs;
pub mod disk;
pub mod outside;
pub mod scheduler;
pub mod trace;
