//! A pipeline as it is written: sources, operators, sinks and tables, by their names.
//!
//! A [`Pipeline`] only collects. [`plan`](crate::plan) finds whatever is wrong, all of it at once, before
//! anything is opened.

use std::cell::{Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::node::{Operator, Sink, Source};

/// A pipeline that is being written.
///
/// ```
/// use strandline_plan::pipeline::Pipeline;
///
/// let pipeline = Pipeline::new();
/// let error = pipeline.check().unwrap_err();
/// assert!(error.to_string().contains("nothing is written or shown"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Pipeline(Rc<RefCell<Vec<Node>>>);

/// A node, as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// What it was called, if it was.
    pub(crate) name: Option<String>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) what: What,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum What {
    /// Rows come from there.
    Source(Arc<dyn Source>),
    /// Rows are computed from others.
    Operator(Arc<dyn Operator>),
    /// Rows go there.
    Sink(Arc<dyn Sink>),
    /// Rows are shown on the page and by the API.
    Table(Table),
}

impl What {
    /// What kind of node it is, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Source(source) => source.kind(),
            Self::Operator(operator) => operator.kind(),
            Self::Sink(sink) => sink.kind(),
            Self::Table(_) => "table",
        }
    }

    /// What it does, in words. State of another description belongs to another node.
    pub fn describe(&self) -> String {
        match self {
            Self::Source(source) => source.describe(),
            Self::Operator(operator) => operator.describe(),
            Self::Sink(sink) => sink.describe(),
            Self::Table(Table { windows: 1 }) => "the newest window".into(),
            Self::Table(table) => format!("the newest {} windows", table.windows),
        }
    }
}

/// Rows that are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// How many of the newest windows are kept to be shown.
    pub windows: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self { windows: 3 }
    }
}

/// An output of a node, which another one reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Input {
    /// The number of the node: the order in which they were written.
    pub node: usize,
    /// Which of its outputs.
    pub port: Port,
}

/// Which output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Port {
    /// Its rows.
    Rows,
    /// Its rows that took another way; see [`Flow::route`]. The first way is [`Port::Rows`].
    Branch(usize),
    /// Rows that it left out because they were late; of a join, those of its left side.
    Late,
    /// Rows of a join's right side that it left out because they were late.
    LateRight,
    /// Records that a source could not read.
    DeadLetters,
    /// Rows that it could not compute.
    Errors,
}

impl Pipeline {
    /// One without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The nodes as they were written.
    pub(crate) fn nodes(&self) -> Ref<'_, Vec<Node>> {
        self.0.borrow()
    }

    /// Adds a source of this name.
    pub fn source(&self, name: impl Into<String>, source: impl Source) -> Flow {
        self.add(Some(name.into()), Vec::new(), What::Source(Arc::new(source)))
    }

    fn add(&self, name: Option<String>, inputs: Vec<Input>, what: What) -> Flow {
        let mut nodes = self.0.borrow_mut();
        nodes.push(Node { name, inputs, what });
        let output = Input { node: nodes.len() - 1, port: Port::Rows };
        Flow { pipeline: self.clone(), output }
    }
}

/// The rows that leave a node of a pipeline that is being written.
///
/// Its methods add nodes that read them. Each operator has its own, beside its description in
/// [`operator`](crate::operator).
#[derive(Clone, Debug)]
pub struct Flow {
    pipeline: Pipeline,
    output: Input,
}

impl Flow {
    /// Adds an operator that reads these rows.
    #[must_use]
    pub fn then(&self, operator: impl Operator) -> Flow {
        Flow::join_into(&[self], operator)
    }

    /// Adds an operator that reads all of these.
    ///
    /// # Panics
    ///
    /// If `inputs` is empty, or if they are of different pipelines.
    #[must_use]
    pub fn join_into(inputs: &[&Flow], operator: impl Operator) -> Flow {
        let pipeline = &inputs[0].pipeline;
        assert!(
            inputs.iter().all(|input| Rc::ptr_eq(&input.pipeline.0, &pipeline.0)),
            "the inputs of an operator are flows of one pipeline"
        );
        let inputs = inputs.iter().map(|input| input.output).collect();
        pipeline.add(None, inputs, What::Operator(Arc::new(operator)))
    }

    /// Names the node that these rows leave. Its state in checkpoints, its metrics and its place on
    /// the page go by its name. Without one, it is called by its kind and what it reads.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Flow {
        self.pipeline.0.borrow_mut()[self.output.node].name = Some(name.into());
        self
    }

    /// Writes these rows to a sink of this name.
    pub fn to(&self, name: impl Into<String>, sink: impl Sink) {
        self.pipeline.add(Some(name.into()), vec![self.output], What::Sink(Arc::new(sink)));
    }

    /// Shows these rows, by this name, on the page and by the API.
    pub fn show(&self, name: impl Into<String>) {
        self.show_as(name, Table::default());
    }

    /// The same, as `table` says.
    pub fn show_as(&self, name: impl Into<String>, table: Table) {
        self.pipeline.add(Some(name.into()), vec![self.output], What::Table(table));
    }

    /// The rows that the node leaves out because they are late; of a join, those of its left side.
    /// They have no event time any more.
    #[must_use]
    pub fn late(&self) -> Flow {
        self.port(Port::Late)
    }

    /// The rows of a join's right side that it leaves out because they are late. They have no event
    /// time any more.
    #[must_use]
    pub fn late_right(&self) -> Flow {
        self.port(Port::LateRight)
    }

    /// The records that a source cannot read. They have no event time.
    #[must_use]
    pub fn dead_letters(&self) -> Flow {
        self.port(Port::DeadLetters)
    }

    /// The rows that the node cannot compute. They have no event time any more.
    #[must_use]
    pub fn errors(&self) -> Flow {
        self.port(Port::Errors)
    }

    /// The rows that took this way.
    pub(crate) fn branch(&self, way: usize) -> Flow {
        self.port(if way == 0 { Port::Rows } else { Port::Branch(way) })
    }

    fn port(&self, port: Port) -> Flow {
        let output = Input { node: self.output.node, port };
        Flow { pipeline: self.pipeline.clone(), output }
    }
}
