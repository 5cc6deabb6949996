//! A plan as text: what each node does, gives and keeps.

use std::fmt::{self, Write};

use super::{Plan, PlannedNode};
use crate::flow::{FlowType, StateBound};
use crate::pipeline::{Port, What};
use crate::types;

/// A paragraph for each node. What is not worth a word (no state, no second output) has no line.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, node) in self.nodes.iter().enumerate() {
            if i > 0 {
                f.write_char('\n')?;
            }
            self.explain(node, f)?;
        }
        Ok(())
    }
}

impl Plan {
    fn explain(&self, node: &PlannedNode, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} {}", node.name, node.what.kind(), node.what.describe())?;
        if !node.inputs.is_empty() {
            let inputs = node.inputs.iter().map(|input| {
                let name = &self.nodes[input.node].name;
                match output_name(input.port) {
                    Some(port) => format!("{name} ({port})"),
                    None => name.clone(),
                }
            });
            writeln!(f, "  reads  {}", inputs.collect::<Vec<_>>().join(", "))?;
        }
        if let Some(rows) = node.output(Port::Rows) {
            writeln!(f, "  gives  {}", Columns(rows))?;
            writeln!(f, "  as     {}", Meaning(rows, node))?;
        }
        if node.state != StateBound::None {
            writeln!(f, "  keeps  {}", node.state)?;
        }
        let others = node.outputs.iter().filter_map(|(port, _)| output_name(*port));
        let others = others.collect::<Vec<_>>().join(", ");
        if !others.is_empty() {
            writeln!(f, "  also   {others}")?;
        }
        Ok(())
    }
}

fn output_name(port: Port) -> Option<String> {
    Some(match port {
        Port::Rows => return None,
        Port::Branch(way) => format!("way {way}"),
        Port::Late => "late rows".into(),
        Port::LateRight => "late rows of the right side".into(),
        Port::DeadLetters => "dead letters".into(),
        Port::Errors => "errors".into(),
    })
}

struct Columns<'a>(&'a FlowType);

impl fmt::Display for Columns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, field) in self.0.schema.fields().iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let null = if field.is_nullable() { "" } else { " NOT NULL" };
            write!(f, "{comma}{} {}{null}", field.name(), types::name(field.data_type()))?;
        }
        Ok(())
    }
}

/// Whether rows are final, by which time, and what can be relied on.
struct Meaning<'a>(&'a FlowType, &'a PlannedNode);

impl fmt::Display for Meaning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(flow, node) = self;
        write!(f, "{}", flow.mode)?;
        match &flow.time {
            Some(time) => match &time.column {
                Some(column) => write!(f, "; event time {column}")?,
                None => f.write_str("; event time beside the columns")?,
            },
            None => f.write_str("; no event time")?,
        }
        if !flow.reproducible {
            f.write_str("; not reproducible")?;
        }
        if matches!(node.what, What::Source(_)) && !node.replayable {
            f.write_str("; cannot be read again, so nothing behind it is exactly once")?;
        }
        Ok(())
    }
}
