//! A pipeline that has been checked: what is run, and what explanations show.

mod check;
mod explain;

use std::sync::Arc;

use crate::flow::{FlowType, StateBound};
use crate::pipeline::{Input, Port, What};

/// A pipeline that has been checked.
///
/// Its nodes are in the order in which they were written, so that a node comes after all that it
/// reads. Every worker and every process makes the same of it.
#[derive(Clone, Debug)]
pub struct Plan {
    nodes: Vec<PlannedNode>,
}

/// A node, and what is known of it before it runs.
#[derive(Clone, Debug)]
pub struct PlannedNode {
    /// Its name, which no other node has.
    pub name: String,
    /// What it is.
    pub what: What,
    /// What it reads.
    pub inputs: Vec<Input>,
    /// What leaves it, by output.
    pub outputs: Vec<(Port, FlowType)>,
    /// What bounds the rows that it keeps.
    pub state: StateBound,
    /// Which part of the pipeline it belongs to: event time of one part does not depend on another.
    pub component: usize,
    /// For a source: whether it can be read again from a position. Otherwise whether all sources
    /// that it reads can.
    pub replayable: bool,
}

impl Plan {
    /// Its nodes; a node comes after all that it reads.
    pub fn nodes(&self) -> &[PlannedNode] {
        &self.nodes
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&PlannedNode> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// What travels along this edge.
    ///
    /// # Panics
    ///
    /// If the node has no such output: of the edges of a plan, every one is there.
    pub fn flow(&self, input: Input) -> &FlowType {
        self.nodes[input.node].output(input.port).expect("a checked plan has all its edges")
    }

    /// Whether all of its sources have an end.
    pub fn is_bounded(&self) -> bool {
        self.nodes.iter().flat_map(|node| &node.outputs).all(|(_, flow)| flow.bounded)
    }
}

impl PlannedNode {
    /// What leaves one of its outputs, if it has that.
    pub fn output(&self, port: Port) -> Option<&FlowType> {
        self.outputs.iter().find(|(there, _)| *there == port).map(|(_, flow)| flow)
    }
}

/// A plan is sent to every worker.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Arc<Plan>>();
};
