//! What computes a node of a plan.
//!
//! [`build`] makes it of the node and of what it reads; where it runs, and how rows get to the worker
//! that has their key, is up to who runs it: [`stateful::frame::run`](crate::stateful::frame::run) and
//! [`stateless::run::run`](crate::stateless::run::run), behind [`by_key`](crate::stateful::exchange::by_key)
//! where the node has keys.

use std::any::Any;

use strandline_plan::error::Problem;
use strandline_plan::flow::FlowType;
use strandline_plan::node::Operator;
use strandline_plan::operator as plan;
use strandline_plan::window::Window;

use crate::expr::EvaluateError;
use crate::key::Key;
use crate::stateful::{
    AsOfJoin, IntervalJoin, MakeError, SessionAggregate, SourceNames, Stateful, Top,
    WindowAggregate, WindowJoin,
};
use crate::stateless::{Filter, Project, Route, Stateless, Union, Unnest};

/// What computes a node.
pub enum Built {
    /// It keeps no rows: any worker may have any row.
    Stateless(Box<dyn Stateless>),
    /// It keeps rows by key.
    Stateful {
        /// What is run.
        operator: Box<dyn Stateful>,
        /// For each input, the key whose group says which worker has a row.
        keys: Vec<Key>,
    },
}

/// Makes what computes `node`, which reads rows of such flows. `sources` are the names of the plan's
/// sources, by their numbers.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow_schema::{DataType, Field, Schema};
/// use strandline_operators::build::{Built, build};
/// use strandline_plan::expr::{col, lit};
/// use strandline_plan::flow::{FlowType, Mode};
/// use strandline_plan::operator::Filter;
///
/// let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, true)]));
/// let (of_log, reproducible, bounded) = (true, true, true);
/// let input = FlowType { schema, mode: Mode::Append, time: None, of_log, reproducible, bounded };
/// let node = Filter { condition: col("x").gt(lit(3)) };
/// assert!(matches!(build(&node, &[&input], Arc::from([]))?, Built::Stateless(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// If the node does not fit the flows, or nothing here computes it: it is a program's own.
pub fn build(
    node: &dyn Operator,
    inputs: &[&FlowType],
    sources: SourceNames,
) -> Result<Built, MakeError> {
    let any: &dyn Any = node;
    let input = |i: usize| inputs.get(i).copied().ok_or_else(|| missing(node, i));
    let stateless = |operator| Ok(Built::Stateless(operator));
    if let Some(node) = any.downcast_ref::<plan::Filter>() {
        stateless(Box::new(Filter::new(node, input(0)?)?))
    } else if let Some(node) = any.downcast_ref::<plan::Project>() {
        stateless(Box::new(Project::new(node, input(0)?)?))
    } else if let Some(node) = any.downcast_ref::<plan::Unnest>() {
        stateless(Box::new(Unnest::new(node, input(0)?)?))
    } else if let Some(node) = any.downcast_ref::<plan::Route>() {
        stateless(Box::new(Route::new(node, input(0)?)?))
    } else if let Some(node) = any.downcast_ref::<plan::Union>() {
        stateless(Box::new(Union::new(node, inputs)?))
    } else if let Some(node) = any.downcast_ref::<plan::WindowAggregate>() {
        let input = input(0)?;
        let operator: Box<dyn Stateful> = match node.window {
            Window::Session { .. } => Box::new(SessionAggregate::new(node, input, sources)?),
            _ => Box::new(WindowAggregate::new(node, input, sources)?),
        };
        Ok(Built::Stateful { operator, keys: vec![key_of(&node.key, input)?] })
    } else if let Some(node) = any.downcast_ref::<plan::Top>() {
        let input = input(0)?;
        let operator = Box::new(Top::new(node, input, sources)?);
        Ok(Built::Stateful { operator, keys: vec![key_of(&node.key, input)?] })
    } else if let Some(node) = any.downcast_ref::<plan::WindowJoin>() {
        let (left, right) = (input(0)?, input(1)?);
        let operator = Box::new(WindowJoin::new(node, left, right, sources)?);
        Ok(Built::Stateful { operator, keys: keys_of(&node.of, left, right)? })
    } else if let Some(node) = any.downcast_ref::<plan::IntervalJoin>() {
        let (left, right) = (input(0)?, input(1)?);
        let operator = Box::new(IntervalJoin::new(node, left, right, sources)?);
        Ok(Built::Stateful { operator, keys: keys_of(&node.of, left, right)? })
    } else if let Some(node) = any.downcast_ref::<plan::AsOfJoin>() {
        let (left, right) = (input(0)?, input(1)?);
        let operator = Box::new(AsOfJoin::new(node, left, right, sources)?);
        Ok(Built::Stateful { operator, keys: keys_of(&node.of, left, right)? })
    } else {
        Err(MakeError::Unknown(node.kind().into()))
    }
}

fn missing(node: &dyn Operator, input: usize) -> MakeError {
    Problem::new(format!("a {} reads {} flows, and not fewer", node.kind(), input + 1)).into()
}

fn key_of(key: &[strandline_plan::expr::NamedExpr], input: &FlowType) -> Result<Key, MakeError> {
    let bound = key.iter().map(|column| column.expr.bind(&input.schema));
    let bound = bound.collect::<Result<Vec<_>, _>>().map_err(Problem::from)?;
    Ok(Key::new(&bound)?)
}

fn keys_of(of: &plan::JoinOf, left: &FlowType, right: &FlowType) -> Result<Vec<Key>, MakeError> {
    let on = of.bind(left, right)?;
    let keys = [Key::new(on.iter().map(|on| &on.left)), Key::new(on.iter().map(|on| &on.right))];
    Ok(keys.into_iter().collect::<Result<_, EvaluateError>>()?)
}

#[cfg(test)]
mod tests;
