//! What makes a plan of a pipeline: names, then each node held against what it reads.

use std::collections::HashMap;

use super::{Plan, PlannedNode};
use crate::error::{PlanError, PlanErrors, Problem};
use crate::flow::{FlowType, StateBound};
use crate::pipeline::{Node, Pipeline, Port, What};
use crate::types;

impl Pipeline {
    /// Everything that is wrong with it, or what can be run.
    ///
    /// # Errors
    ///
    /// All that is wrong, by node.
    pub fn check(&self) -> Result<Plan, PlanErrors> {
        let written = self.nodes();
        let names = names(&written);
        let mut errors = wrong_names(&written, &names);
        let mut say = |name: &str, problem| errors.push(PlanError { node: name.into(), problem });
        if !written.iter().any(|node| matches!(node.what, What::Sink(_) | What::Table(_))) {
            let problem =
                "nothing is written or shown; add `.to(…)` or `.show(…)` to what is to be seen";
            say("the pipeline", Problem::new(problem));
        }
        // None for a node that is wrong, or reads one that is.
        let mut checked: Vec<Option<PlannedNode>> = Vec::with_capacity(written.len());
        for (node, name) in written.iter().zip(&names) {
            let planned = match inputs_of(node, &checked, &names) {
                Ok(inputs) => inputs.map(|inputs| check_node(node, name, &inputs)).transpose(),
                Err(problem) => Err(problem),
            };
            checked.push(planned.unwrap_or_else(|problem| {
                say(name, problem);
                None
            }));
        }
        errors.extend(places_met_twice(&written, &names));
        if let Some(errors) = PlanErrors::of(errors) {
            return Err(errors);
        }
        let mut nodes: Vec<PlannedNode> = checked.into_iter().flatten().collect();
        number_components(&mut nodes);
        Ok(Plan { nodes })
    }
}

/// What each node is called: as it was named, or else by what it reads and its kind.
fn names(written: &[Node]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(written.len());
    for node in written {
        let derived = || {
            let reads = node.inputs.iter().map(|input| match input.port {
                Port::Rows => names[input.node].clone(),
                Port::Branch(way) => format!("{}.{way}", names[input.node]),
                Port::Late => format!("{}.late", names[input.node]),
                Port::LateRight => format!("{}.late_right", names[input.node]),
                Port::DeadLetters => format!("{}.dead_letters", names[input.node]),
                Port::Errors => format!("{}.errors", names[input.node]),
            });
            format!("{}.{}", reads.collect::<Vec<_>>().join("+"), node.what.kind())
        };
        let name = node.name.clone().unwrap_or_else(derived);
        names.push(name);
    }
    names
}

/// Nodes whose name another one has, or whose name cannot be one.
fn wrong_names(written: &[Node], names: &[String]) -> Vec<PlanError> {
    let mut wrong = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let mut say = |problem: &str| {
            wrong.push(PlanError { node: name.clone(), problem: Problem::new(problem) });
        };
        if names[..i].contains(name) {
            say("another node has this name; give one of them its own with `.named(…)`");
        }
        let plain = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        let given = written[i].name.is_some();
        if given && !((1..=128).contains(&name.chars().count()) && name.chars().all(plain)) {
            say("a name is made of 1 to 128 letters, digits, `_`, `-` and `.`");
        }
    }
    wrong
}

/// What a node reads; None if that is wrong already.
fn inputs_of<'a>(
    node: &Node,
    checked: &'a [Option<PlannedNode>],
    names: &[String],
) -> Result<Option<Vec<&'a FlowType>>, Problem> {
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for input in &node.inputs {
        let Some(read) = &checked[input.node] else { return Ok(None) };
        let Some(flow) = read.output(input.port) else {
            let has_none = match input.port {
                Port::Late | Port::LateRight => {
                    "leaves out no late rows: windows and joins do, of rows that come from a source with nothing but filters and projections between"
                }
                Port::DeadLetters => "has no dead letters: only a source that decodes has some",
                Port::Errors => "has no rows that it cannot compute",
                Port::Rows | Port::Branch(_) => "gives no rows",
            };
            let (name, kind) = (&names[input.node], read.what.kind());
            return Err(Problem::new(format!("`{name}` ({kind}) {has_none}")));
        };
        inputs.push(flow);
    }
    Ok(Some(inputs))
}

fn check_node(node: &Node, name: &str, inputs: &[&FlowType]) -> Result<PlannedNode, Problem> {
    let mut outputs = Vec::new();
    let (mut state, mut replayable) = (StateBound::None, true);
    match &node.what {
        What::Source(source) => {
            let output = source.check()?;
            replayable = output.replayable;
            outputs.push((Port::Rows, output.rows));
            outputs.extend(output.dead_letters.map(|flow| (Port::DeadLetters, flow)));
        }
        What::Operator(operator) => {
            let output = operator.check(inputs)?;
            let branches =
                (1..=output.branches).map(|way| (Port::Branch(way), output.rows.clone()));
            outputs.extend(branches);
            outputs.insert(0, (Port::Rows, output.rows));
            outputs.extend(output.late.map(|flow| (Port::Late, flow)));
            outputs.extend(output.late_right.map(|flow| (Port::LateRight, flow)));
            outputs.extend(output.errors.map(|flow| (Port::Errors, flow)));
            state = output.state;
        }
        What::Sink(sink) => sink.check(inputs[0])?,
        What::Table(table) => {
            if table.windows == 0 {
                return Err(Problem::new("a table shows at least one window"));
            }
        }
    }
    let mut fields = outputs.iter().flat_map(|(_, flow)| flow.schema.fields());
    if let Some(field) = fields.find(|field| !types::is_supported(field.data_type())) {
        let (name, found) = (field.name(), types::name(field.data_type()));
        let problem = format!("`{name}` would be {found}, which no column can be; cast it");
        return Err(Problem::of_column(name, problem));
    }
    Ok(PlannedNode {
        name: name.into(),
        what: node.what.clone(),
        inputs: node.inputs.clone(),
        outputs,
        state,
        component: 0,
        replayable,
    })
}

/// Sinks that write where another one does, and sources that read what the pipeline itself writes.
fn places_met_twice(written: &[Node], names: &[String]) -> Vec<PlanError> {
    let mut errors = Vec::new();
    let mut writers: HashMap<String, &str> = HashMap::new();
    for (node, name) in written.iter().zip(names) {
        let What::Sink(sink) = &node.what else { continue };
        let Some(place) = sink.place() else { continue };
        if let Some(other) = writers.get(&place) {
            let problem = format!(
                "`{other}` writes to {place} too; give each sink a place of its own, or write the union of both"
            );
            errors.push(PlanError { node: name.clone(), problem: Problem::new(problem) });
        } else {
            writers.insert(place, name);
        }
    }
    for (node, name) in written.iter().zip(names) {
        let What::Source(source) = &node.what else { continue };
        // One that is wrong has been said.
        let Some(place) = source.check().ok().and_then(|output| output.place) else { continue };
        if let Some(writer) = writers.get(&place) {
            let problem = format!(
                "it reads {place}, which `{writer}` writes: each row would come back for ever"
            );
            errors.push(PlanError { node: name.clone(), problem: Problem::new(problem) });
        }
    }
    errors
}

/// Numbers the parts of the pipeline whose event time is one: nodes that are connected by edges with
/// event time.
fn number_components(nodes: &mut [PlannedNode]) {
    // For each node, the first node that is known to be in its part.
    let mut first: Vec<usize> = (0..nodes.len()).collect();
    for i in 0..nodes.len() {
        for input in nodes[i].inputs.clone() {
            nodes[i].replayable &= nodes[input.node].replayable;
            let read = &nodes[input.node];
            if read.output(input.port).is_some_and(|flow| flow.time.is_some()) {
                let (one, other) =
                    (first[i].min(first[input.node]), first[i].max(first[input.node]));
                first.iter_mut().filter(|first| **first == other).for_each(|first| *first = one);
            }
        }
    }
    let mut parts = first.clone();
    parts.sort_unstable();
    parts.dedup();
    for (node, first) in nodes.iter_mut().zip(first) {
        node.component = parts.partition_point(|part| *part < first);
    }
}
