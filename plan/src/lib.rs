//! What a pipeline is, as a value: its sources, operators and sinks by name, the expressions in
//! them, and everything that can be known of it before it runs.
//!
//! This crate knows no dataflow, does no I/O and parses nothing. The builder in [`pipeline`] makes
//! such a value; other front ends, such as a query language, make the same. The engine runs nothing
//! else.
//!
//! # Layout
//!
//! Each module knows only those above it:
//!
//! | module | what it is |
//! |---|---|
//! | [`types`] | the types of columns, and what two of them have in common |
//! | [`literal`] | constants |
//! | [`expr`] | expressions over the columns of a row; the functions in them |
//! | [`error`] | what is wrong with a node, and what would be right |
//! | [`aggregate`] | what is computed from the rows of a window |
//! | [`window`] | stretches of event time |
//! | [`flow`] | what is known of the rows between two nodes |
//! | [`node`] | the kinds of nodes: sources, operators, sinks |
//! | [`pipeline`] | nodes by name: the builder |
//! | [`operator`] | the operators that there are |
//! | [`plan`] | a pipeline that has been checked |

pub mod aggregate;
pub mod error;
pub mod expr;
pub mod flow;
pub mod literal;
pub mod node;
pub mod operator;
pub mod pipeline;
pub mod plan;
mod suggest;
pub mod types;
pub mod window;
