//! The kinds of nodes: where rows come from, what computes rows from rows, and where they go.
//!
//! Each is a description that is checked before anything is opened. What reads, computes and writes
//! is elsewhere: in `operators`, in the engine, or in the program that brings its own.

use std::any::Any;
use std::fmt;

use crate::error::Problem;
use crate::flow::{FlowType, StateBound};

/// Where rows come from.
///
/// This is the description; what reads is in the engine, or in the program that brings its own.
pub trait Source: Any + fmt::Debug + Send + Sync {
    /// What kind of source it is, in one word: `kafka`.
    fn kind(&self) -> &'static str;

    /// What it reads and how, as explanations show it. No secrets.
    fn describe(&self) -> String;

    /// Looks at what it was told, without opening anything.
    ///
    /// # Errors
    ///
    /// If it cannot work like this: what would be right.
    fn check(&self) -> Result<SourceOutput, Problem>;
}

/// What a source gives.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceOutput {
    /// Its rows.
    pub rows: FlowType,
    /// The records that it cannot read as asked, if there may be any.
    pub dead_letters: Option<FlowType>,
    /// Whether it can be read again from a position: without that, nothing behind it is exactly once.
    pub replayable: bool,
    /// What it reads, by a name that a sink would have for it too, so that a circle is found.
    pub place: Option<String>,
}

/// A node that computes rows from rows.
///
/// Programs bring their own by implementing it, and in `operators` what computes it.
pub trait Operator: Any + fmt::Debug + Send + Sync {
    /// What kind of node it is, in one word: `filter`. Also the last part of its name, if none is
    /// given.
    fn kind(&self) -> &'static str;

    /// What it is told, as explanations show it: `temperature > 30.0`. State that was kept under
    /// another description belongs to another operator.
    fn describe(&self) -> String;

    /// Holds it against what it reads.
    ///
    /// # Errors
    ///
    /// If it cannot work on that: what would be right.
    fn check(&self, inputs: &[&FlowType]) -> Result<Output, Problem>;
}

/// What an operator gives, and keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The rows that it gives.
    pub rows: FlowType,
    /// How many outputs of such rows it has beside the first.
    pub branches: usize,
    /// The rows that it leaves out because they are late, if it decides that; of a join, those of the
    /// left side.
    pub late: Option<FlowType>,
    /// The rows of a join's right side that it leaves out because they are late.
    pub late_right: Option<FlowType>,
    /// The rows that it cannot compute, if there may be any.
    pub errors: Option<FlowType>,
    /// What bounds the rows that it keeps.
    pub state: StateBound,
}

impl Output {
    /// Rows, and nothing else, of an operator that keeps nothing.
    pub fn stateless(rows: FlowType) -> Self {
        Self {
            rows,
            branches: 0,
            late: None,
            late_right: None,
            errors: None,
            state: StateBound::None,
        }
    }
}

/// Where rows go.
pub trait Sink: Any + fmt::Debug + Send + Sync {
    /// What kind of sink it is, in one word: `parquet`.
    fn kind(&self) -> &'static str;

    /// Where it writes and how, as explanations show it. No secrets.
    fn describe(&self) -> String;

    /// Holds it against the rows that go there, without opening anything.
    ///
    /// # Errors
    ///
    /// If it cannot take them: what would be right.
    fn check(&self, input: &FlowType) -> Result<(), Problem>;

    /// What it writes, so that two sinks of one place are found.
    fn place(&self) -> Option<String> {
        None
    }
}
