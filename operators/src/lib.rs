//! Event time on timely dataflow: records, watermarks that are frontiers, windows, aggregates.
//!
//! This crate is pure: it does no I/O, reads no clock, starts no threads. What an operator emits
//! depends on its input alone, which is what makes a job's rows reproducible.
//!
//! # Layout
//!
//! The modules in the order in which a record meets them:
//!
//! | module | what it is |
//! |---|---|
//! | [`time`] | [`EventTime`](time::EventTime), and [`Time`](time::Time), the product that a dataflow counts progress in |
//! | [`record`] | a message of a partition, an event, a batch of events |
//! | [`decode`] | bytes to an event, or a reason why not |
//! | [`rejected`] | records that were not accepted |
//! | [`watermark`] | how far each partition is in event time, and what is late |
//! | [`epochs`] | stepping through epochs: what operators with state have in common |
//! | [`window`] | windows over a stream of events: local partials, exchange by key, merge |
//! | [`aggregate`] | what is computed in a window |
//!
//! Beside them, with the feature `batch` (which brings Arrow):
//!
//! | module | what it is |
//! |---|---|
//! | `batch` | rows in columns, with the event time and the origin of each |
//! | `row_format` | values of any columns as bytes that compare as they do |
//! | `row_order` | which of two rows comes first, by event time and by where they come from |
//! | `expr` | expressions of a plan, evaluated over batches of columns |
//! | `key` | what rows are grouped by |
//! | `aggregate::columns` | aggregates over columns, for many groups |
//! | `stateless` | operators that keep no rows |
//! | `stateful` | operators that keep rows, and the frame that runs them |
//! | `build` | what computes a node of a plan |

pub mod aggregate;
#[cfg(feature = "batch")]
pub mod batch;
#[cfg(feature = "batch")]
pub mod build;
pub mod decode;
pub mod epochs;
#[cfg(feature = "batch")]
pub mod expr;
#[cfg(feature = "batch")]
pub mod key;
pub mod record;
pub mod rejected;
#[cfg(feature = "batch")]
mod row_format;
#[cfg(feature = "batch")]
mod row_order;
#[cfg(feature = "batch")]
pub mod stateful;
#[cfg(feature = "batch")]
pub mod stateless;
pub mod time;
pub mod watermark;
pub mod window;
