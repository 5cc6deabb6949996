//! Functions of numbers.

use super::Parameter::{Float, Integer, Number};
use super::{Returns, ScalarFunction};

const fn float(name: &'static str, about: &'static str) -> ScalarFunction {
    ScalarFunction::new(name, &[Float], Returns::Float, about)
}

const fn rounded(name: &'static str, about: &'static str) -> ScalarFunction {
    ScalarFunction::new(name, &[Number], Returns::Rounded, about)
}

const fn same(name: &'static str, about: &'static str) -> ScalarFunction {
    ScalarFunction::new(name, &[Number], Returns::Argument(0), about)
}

pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    same("abs", "The number without its sign."),
    rounded("sign", "-1, 0 or 1."),
    rounded("floor", "The greatest whole number that is not greater."),
    rounded("ceil", "The least whole number that is not less."),
    ScalarFunction::new(
        "round",
        &[Number, Integer],
        Returns::Rounded,
        "To the nearest whole number, or that many digits behind the point; halves away from zero.",
    )
    .optional(1),
    ScalarFunction::new(
        "trunc",
        &[Number, Integer],
        Returns::Argument(0),
        "Cut to a whole number, or to that many digits behind the point.",
    )
    .optional(1),
    float("sqrt", "The square root."),
    float("cbrt", "The cube root."),
    float("exp", "e to this power."),
    float("ln", "The natural logarithm."),
    float("log10", "The logarithm to base 10."),
    float("log2", "The logarithm to base 2."),
    float("sin", "The sine of an angle in radians."),
    float("cos", "The cosine of an angle in radians."),
    float("tan", "The tangent of an angle in radians."),
    float("asin", "The angle of this sine, in radians."),
    float("acos", "The angle of this cosine, in radians."),
    float("atan", "The angle of this tangent, in radians."),
    float("degrees", "An angle in radians, in degrees."),
    float("radians", "An angle in degrees, in radians."),
    ScalarFunction::new(
        "atan2",
        &[Float, Float],
        Returns::Float,
        "The angle of the point (second, first), in radians.",
    ),
    ScalarFunction::new(
        "power",
        &[Float, Float],
        Returns::Float,
        "The first to the power of the second.",
    ),
    ScalarFunction::new(
        "log",
        &[Float, Float],
        Returns::Float,
        "The logarithm to a base, which comes first.",
    ),
    ScalarFunction::new("is_nan", &[Float], Returns::Boolean, "Whether it is not a number."),
];
