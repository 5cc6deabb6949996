//! How the functions of the library are computed, under the names that the plan gives them.

mod number;
mod other;
mod pattern;
mod replacement;
mod round;
mod text;
mod time;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_schema::DataType;

use self::pattern::Constant;
use super::EvaluateError;
use super::column::Column;
use super::failed::Failed;

/// A function of the library, ready to be called.
pub(super) struct Function {
    compute: Compute,
    /// The regular expression, where it is a constant.
    pattern: Option<Constant>,
}

/// What a function is called for.
pub(super) struct Call<'a> {
    /// A column for each argument, of the types that the plan gave them.
    pub(super) arguments: &'a [Column],
    /// How many rows there are.
    pub(super) rows: usize,
    /// The type of the result.
    pub(super) result: &'a DataType,
    /// The rows that cannot be computed.
    pub(super) failed: &'a mut Failed,
}

type Computed = Result<ArrayRef, EvaluateError>;

/// What computes a function.
#[derive(Clone, Copy)]
enum Compute {
    Plain(fn(&mut Call<'_>) -> Computed),
    /// The second argument is a regular expression.
    Pattern(fn(&mut Call<'_>, Option<&Constant>) -> Computed),
}

/// A name and what computes it.
type Entry = (&'static str, Compute);

/// All functions but `coalesce`, which is no function: it does not look at all of its arguments.
fn all() -> impl Iterator<Item = &'static Entry> {
    [text::FUNCTIONS, pattern::FUNCTIONS, number::FUNCTIONS, time::FUNCTIONS, other::FUNCTIONS]
        .into_iter()
        .flatten()
}

impl Function {
    /// The function of this name; `second` is its second argument, where that is a constant.
    pub(super) fn new(name: &str, second: Option<&ArrayRef>) -> Result<Self, EvaluateError> {
        let compute = all().find(|(known, _)| *known == name).map(|(_, compute)| *compute);
        let compute = compute.ok_or_else(|| EvaluateError::Unknown(format!("{name}()")))?;
        let pattern = match (compute, second) {
            (Compute::Pattern(_), Some(array)) => {
                let texts = array.as_string::<i32>();
                texts.iter().next().flatten().map(pattern::compiled)
            }
            _ => None,
        };
        Ok(Self { compute, pattern })
    }

    pub(super) fn call(&self, call: &mut Call<'_>) -> Computed {
        match self.compute {
            Compute::Plain(compute) => compute(call),
            Compute::Pattern(compute) => compute(call, self.pattern.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strandline_plan::expr::function::ScalarFunction;

    #[test]
    fn every_function_of_the_plan_is_computed_and_no_other() {
        let described: BTreeSet<_> = ScalarFunction::all().map(|function| function.name).collect();
        let mut computed: BTreeSet<_> = super::all().map(|(name, _)| *name).collect();
        assert_eq!(computed.len(), super::all().count(), "each once");
        computed.insert("coalesce");
        assert_eq!(computed, described);
    }
}
