//! What holds for every function.

use arrow_array::Array;
use arrow_schema::{DataType, TimeUnit};
use strandline_plan::expr::function::{Nulls, Parameter, ScalarFunction};
use strandline_plan::expr::{Expr, call, col, lit};
use strandline_plan::types::timestamp;

use super::{batch, constant, null, of, outcomes, over, read};

/// An argument that the parameter takes.
fn example(parameter: Parameter) -> Expr {
    match parameter {
        Parameter::Boolean => lit(true),
        Parameter::Number | Parameter::Float => lit(0.5),
        Parameter::Integer => lit(1),
        // As a regular expression it has a group.
        Parameter::Text | Parameter::TextOrBytes | Parameter::Item => lit("(a)"),
        Parameter::Alike | Parameter::Ordered => lit(7),
        Parameter::Timestamp => read("2024-02-29", timestamp(TimeUnit::Millisecond)),
        Parameter::List | Parameter::Texts => call("split", [lit("a,b"), lit(",")]),
        Parameter::Unit | Parameter::Part => lit("hour"),
    }
}

fn examples(function: &ScalarFunction) -> Vec<Expr> {
    function.parameters.iter().map(|parameter| example(*parameter)).collect()
}

fn is_unit(parameter: Parameter) -> bool {
    matches!(parameter, Parameter::Unit | Parameter::Part)
}

#[test]
fn every_function_is_called_in_a_test_of_its_own() {
    let tests = [
        include_str!("numbers.rs"),
        include_str!("texts.rs"),
        include_str!("times.rs"),
        include_str!("values.rs"),
    ];
    for function in ScalarFunction::all() {
        let called = format!("\"{}\"", function.name);
        assert!(tests.iter().any(|test| test.contains(&called)), "{called}");
    }
}

#[test]
fn every_function_takes_what_its_signature_says_and_gives_its_type() {
    for function in ScalarFunction::all() {
        let outcome = of(function.name, examples(function));
        assert!(!outcome.starts_with("failed"), "{}: {outcome}", function.name);
        let fewer =
            examples(function).into_iter().take(function.parameters.len() - function.optional);
        let outcome = of(function.name, fewer);
        assert!(!outcome.starts_with("failed"), "{}: {outcome}", function.name);
    }
}

#[test]
fn a_function_is_null_where_an_argument_is() {
    for function in ScalarFunction::all().filter(|function| function.nulls != Nulls::OfAllArguments)
    {
        for (index, parameter) in function.parameters.iter().enumerate() {
            if is_unit(*parameter) || (function.name == "nullif" && index == 1) {
                continue;
            }
            let mut arguments = examples(function);
            let data_type = constant(&arguments[index]).data_type().clone();
            arguments[index] = null().cast(data_type);
            assert_eq!(of(function.name, arguments.clone()), "NULL", "{} {index}", function.name);
        }
    }
}

/// No row, no value; and nothing that looks at the first row of none.
#[test]
fn a_batch_without_rows_has_no_values() {
    for function in ScalarFunction::all() {
        let arguments = examples(function);
        let names: Vec<_> = (0..arguments.len()).map(|index| format!("a{index}")).collect();
        let columns = arguments.iter().zip(&names);
        let columns =
            columns.map(|(argument, name)| (name.as_str(), constant(argument).slice(1, 0)));
        let rows = batch(columns.collect(), 0);
        let by_columns = arguments.iter().enumerate().map(|(index, argument)| {
            if is_unit(function.parameters[index]) { argument.clone() } else { col(&names[index]) }
        });
        let evaluated = over(&call(function.name, by_columns), &rows);
        assert_eq!((evaluated.column.len(), evaluated.failed.len()), (0, 0), "{}", function.name);
        let evaluated = over(&call(function.name, arguments), &rows);
        assert_eq!(evaluated.column.len(), 0, "{} of constants", function.name);
    }
}

#[test]
fn a_constant_that_fails_fails_for_each_row_that_asks() {
    let failing = call("abs", [lit(i64::MIN)]);
    let said = "failed: the result does not fit its type";
    assert_eq!(outcomes(&failing, &batch(vec![], 2)), [said, said]);
    assert_eq!(outcomes(&(failing.clone() + lit(1)), &batch(vec![], 1)), [said]);
    assert!(outcomes(&failing, &batch(vec![], 0)).is_empty());
    assert_eq!(constant(&lit(1).cast(DataType::Utf8)).len(), 1);
}
