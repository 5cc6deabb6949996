//! The operators of a pipeline: what each needs to be told, and what it makes of what it reads.
//!
//! An operator here is a description. What computes it is in `operators`. Each is in a file of its
//! own, together with the method of [`Flow`](crate::pipeline::Flow) that adds it to a pipeline.

mod as_of_join;
mod filter;
mod interval_join;
mod join;
mod project;
mod route;
mod top;
mod union;
mod unnest;
mod window_aggregate;
mod window_join;

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};

pub use self::as_of_join::AsOfJoin;
pub use self::filter::Filter;
pub use self::interval_join::IntervalJoin;
pub use self::interval_join::{Bound, after, before};
pub use self::join::{JoinKind, JoinOf, JoinOn, Joining, TypedOn};
pub use self::project::Project;
pub use self::route::Route;
pub use self::top::{Direction, LIMIT_MAX, Order, Rank, Top, ascending, descending};
pub use self::union::Union;
pub use self::unnest::Unnest;
pub use self::window_aggregate::{Overflow, WINDOW_END, WINDOW_START, WindowAggregate, Windowed};
pub use self::window_join::WindowJoin;
use crate::error::Problem;
use crate::flow::{FlowType, Mode, TimeColumn};
pub(crate) use crate::node::{Operator, Output};
use crate::types;

/// The columns that an operator adds to a row that it could not use.
pub mod reject {
    /// Which source the record came from.
    pub const SOURCE: &str = "_source";
    /// Its partition there.
    pub const PARTITION: &str = "_partition";
    /// Its offset in the partition.
    pub const OFFSET: &str = "_offset";
    /// The watermark of its partition when it was read.
    pub const WATERMARK: &str = "_watermark";
    /// Why it could not be used.
    pub const REASON: &str = "_reason";
}

/// What leaves an operator on its late output: the row, where it came from, and the watermark that
/// it was late by. None if its input is behind state, where nothing is late.
pub(crate) fn late(input: &FlowType) -> Option<FlowType> {
    input.of_log.then(|| {
        let added = [
            Field::new(reject::SOURCE, DataType::Utf8, false),
            Field::new(reject::PARTITION, DataType::Int32, false),
            Field::new(reject::OFFSET, DataType::Int64, false),
            Field::new(reject::WATERMARK, types::timestamp(TimeUnit::Millisecond), false),
        ];
        rejected(input, added)
    })
}

/// What leaves an operator on its error output: the row, and why it could not be computed.
pub(crate) fn errors(input: &FlowType) -> FlowType {
    rejected(input, [Field::new(reject::REASON, DataType::Utf8, false)])
}

/// What leaves an operator that computes new rows on its error output: such a row, of which any column
/// may be null, and why it could not be computed.
pub(crate) fn errors_of_results(rows: &FlowType) -> FlowType {
    let fields = rows.schema.fields().iter().map(|field| Field::clone(field).with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Fields>()));
    errors(&FlowType { schema, ..rows.clone() })
}

/// Rows without event time: they can be written and counted, never windowed.
fn rejected(input: &FlowType, added: impl IntoIterator<Item = Field>) -> FlowType {
    let fields = input.schema.fields().iter().cloned().chain(added.into_iter().map(Arc::new));
    FlowType {
        schema: Arc::new(Schema::new(fields.collect::<Fields>())),
        time: None,
        of_log: false,
        mode: Mode::Append,
        ..input.clone()
    }
}

/// Refuses changes where only final rows can be used.
pub(crate) fn only_append(input: &FlowType, operator: &str) -> Result<(), Problem> {
    match &input.mode {
        Mode::Append => Ok(()),
        Mode::Changes { .. } => Err(Problem::new(format!(
            "{operator} takes final rows, and these are {}; window them first, or write them to a sink that takes changes",
            input.mode
        ))),
    }
}

/// The event time of the input, which a window or a join cannot be without.
pub(crate) fn timed<'a>(input: &'a FlowType, operator: &str) -> Result<&'a TimeColumn, Problem> {
    input.time.as_ref().ok_or_else(|| {
        Problem::new(format!(
            "{operator} needs event time, and these rows have none; it comes from a source with a time column, and rows on a late or error output have lost it"
        ))
    })
}

/// The columns of a row, each name once.
pub(crate) fn schema_of(fields: Vec<Field>) -> Result<Arc<Schema>, Problem> {
    for (i, field) in fields.iter().enumerate() {
        if field.name().is_empty() {
            return Err(Problem::new(format!("column {} has an empty name", i + 1)));
        }
        if fields[..i].iter().any(|before| before.name() == field.name()) {
            let name = field.name();
            return Err(Problem::of_column(
                name,
                format!("two columns are called `{name}`; give one another name with `.named(…)`"),
            ));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}
