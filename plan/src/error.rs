//! What is wrong with a pipeline, and what would be right.

use std::fmt;

use crate::expr::ExprError;

/// One thing that is wrong with one node, as the node itself knows it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Problem {
    /// The column that it is about, if it is about one.
    pub column: Option<String>,
    /// What is wrong, and what would be right.
    pub text: String,
}

impl Problem {
    /// A problem that is not about one column.
    pub fn new(text: impl Into<String>) -> Self {
        Self { column: None, text: text.into() }
    }

    /// A problem of one column.
    pub fn of_column(column: impl Into<String>, text: impl Into<String>) -> Self {
        Self { column: Some(column.into()), text: text.into() }
    }
}

impl From<ExprError> for Problem {
    fn from(error: ExprError) -> Self {
        Self { text: error.to_string(), column: error.column }
    }
}

/// One thing that is wrong with a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{node}: {problem}")]
pub struct PlanError {
    /// The name of the node.
    pub node: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Everything that is wrong with a pipeline; never empty.
///
/// What only follows from another error is left out: a node behind one that is wrong is not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanErrors(Vec<PlanError>);

impl PlanErrors {
    /// None of no errors.
    pub(crate) fn of(errors: Vec<PlanError>) -> Option<Self> {
        (!errors.is_empty()).then_some(Self(errors))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &PlanError> {
        self.0.iter()
    }
}

impl fmt::Display for PlanErrors {
    /// A line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for PlanErrors {}
