//! Strandline: exact event-time windows from Kafka, with timely's frontiers as watermarks.
//!
//! This crate is the face of the library: it names the layers in one place, and turns a job into a
//! program ([`program`]): options, signals, a status line, outputs, a page.
//!
//! # Layout
//!
//! | module | what it is |
//! |---|---|
//! | [`operators`] | event time on timely: pure |
//! | [`engine`] | runs jobs: sources, workers, sinks, views |
//! | [`dashboard`] | the live page |
//! | [`sim`] | the world around a job: devices, an embedded broker, an oracle |
//! | [`options`] | what a program can be told |
//! | [`kafka_options`] | properties of the Kafka client, and secrets among them |
//! | [`program`] | a job as a program |
//! | [`commands`] | the command line of the program `strandline` |
//! | [`doctor`] | says whether a job would run, and if not, what to do |
//! | [`supervise`] | starts a program again that failed |
//! | [`checkpoints`] | shows and verifies what a job would continue |

pub mod byte_size;
pub mod checkpoints;
pub mod commands;
mod deferred_outputs;
pub mod demonstration;
pub mod doctor;
mod entry;
mod introduction;
pub mod kafka_options;
pub mod options;
mod page;
mod panics;
mod places;
pub mod program;
mod signals;
mod status;
pub mod supervise;

pub use strandline_dashboard as dashboard;
pub use strandline_engine as engine;
pub use strandline_operators as operators;
pub use strandline_sim as sim;
pub use strandline_sim::duration;

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct ReadmeDoctests;
