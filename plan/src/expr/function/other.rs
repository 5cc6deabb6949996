//! Functions of values of any type, and of lists.

use super::Parameter::{Alike, Boolean, Integer, Item, List, Ordered, Text, TextOrBytes, Texts};
use super::{Nulls, Returns, ScalarFunction};

pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    ScalarFunction::new(
        "coalesce",
        &[Alike],
        Returns::Argument(0),
        "The first value that is not null.",
    )
    .variadic()
    .nulls(Nulls::OfAllArguments),
    ScalarFunction::new(
        "nullif",
        &[Ordered, Ordered],
        Returns::Argument(0),
        "Null where both are equal, otherwise the first.",
    )
    .nulls(Nulls::Own),
    ScalarFunction::new(
        "greatest",
        &[Ordered],
        Returns::Argument(0),
        "The greatest value; NaN is greater than all numbers.",
    )
    .variadic(),
    ScalarFunction::new("least", &[Ordered], Returns::Argument(0), "The least value.").variadic(),
    ScalarFunction::new(
        "xor",
        &[Boolean, Boolean],
        Returns::Boolean,
        "Whether exactly one is true.",
    ),
    ScalarFunction::new(
        "hash",
        &[TextOrBytes],
        Returns::Integer,
        "64 bits of XXH3 of the bytes: equal in every process and version.",
    ),
    ScalarFunction::new("array_length", &[List], Returns::Integer, "The number of items."),
    ScalarFunction::new(
        "element_at",
        &[List, Integer],
        Returns::Item,
        "The item at a position from 1, or from the end if negative; null if there is none.",
    )
    .nulls(Nulls::Own),
    ScalarFunction::new(
        "array_contains",
        &[List, Item],
        Returns::Boolean,
        "Whether the value is one of the items.",
    ),
    ScalarFunction::new(
        "array_join",
        &[Texts, Text],
        Returns::Text,
        "The items as texts with a separator between them; null items are left out.",
    ),
];
