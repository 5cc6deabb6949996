//! The world around a Strandline job, seeded: what it reads, and what it must write.
//!
//! Nothing in the operators or the engine knows about devices and rooms; that lives here.
//!
//! # Layout
//!
//! | module | what it is |
//! |---|---|
//! | [`fleet`] | devices that measure rooms and send messages: good, late, malformed ones |
//! | [`producer`] | sends a fleet's messages to Kafka |
//! | [`embedded`] | a Kafka broker in this process, for the demonstration |
//! | [`log`] | what a fleet sends, as a log in memory: for tests |
//! | [`oracle`] | what a job's outputs must be, computed the naive way |
//! | [`judge`] | reads a job's outputs back and holds them against the oracle's |
//! | [`command_line`] | what all programs' command lines have in common |
//! | [`duration`] | durations as all programs take them |
//! | [`arguments`] | the command line of `strandline-sim` |
//! | [`random`] | random numbers that are the same everywhere |
//! | [`simulation`] | a whole job under one seeded scheduler, crashed anywhere |
//!
//! The program `strandline-sim` is [`fleet`] and [`producer`] behind a command line.

pub mod arguments;
pub mod command_line;
pub mod duration;
pub mod embedded;
pub mod fleet;
#[cfg(feature = "simulation")]
pub mod judge;
#[cfg(feature = "simulation")]
pub mod log;
#[cfg(feature = "simulation")]
pub mod oracle;
pub mod producer;
pub mod random;
#[cfg(feature = "simulation")]
pub mod simulation;
