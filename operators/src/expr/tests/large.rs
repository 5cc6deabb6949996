//! Columns that have no room for all rows: each that does not fit fails, and no other.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, ListArray, StringArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use strandline_plan::expr::{Expr, call, col, lit, when};

use super::super::room::COLUMN_BYTES_MAX;
use super::{batch, null, outcomes};

const ROWS: usize = 5;

/// So long that a column has room for three of them.
fn long(letter: &str) -> String {
    letter.repeat(COLUMN_BYTES_MAX / 3 - 10)
}

/// The rows that failed because there was no room.
fn without_room(expr: &Expr, columns: Vec<(&str, ArrayRef)>) -> Vec<usize> {
    let outcomes = outcomes(expr, &batch(columns, ROWS));
    let all = outcomes.iter().enumerate();
    all.filter(|(_, outcome)| outcome.contains("more than 2 GiB")).map(|(row, _)| row).collect()
}

#[test]
fn rows_that_have_no_room_in_a_column_fail_alone() {
    let constant = lit(long("a").as_str());
    assert_eq!(without_room(&constant, vec![]), [3, 4]);
    let coalesced = call("coalesce", [null(), constant.clone()]);
    assert_eq!(without_room(&coalesced, vec![]), [3, 4]);
    let chosen = when(col("a"), constant.clone()).otherwise(lit(long("b").as_str()));
    let a: ArrayRef = Arc::new(BooleanArray::from(vec![true, false, true, false, true]));
    assert_eq!(without_room(&chosen, vec![("a", a)]), [3, 4]);
    let texts: ArrayRef = Arc::new(StringArray::from(vec![long("a"); ROWS]));
    let lists = call("split", [col("t"), lit(",")]);
    assert_eq!(without_room(&lists, vec![("t", texts)]), [3, 4]);
    let lists = call("split", [constant, lit(",")]);
    assert_eq!(without_room(&lists, vec![]), [3, 4]);
}

#[test]
fn lists_whose_items_have_no_room_fail_alone() {
    let lists = || -> ArrayRef {
        Arc::new(ListArray::new(
            Arc::new(Field::new_list_field(DataType::Utf8, true)),
            OffsetBuffer::from_lengths([2, 0, 1, 1, 1]),
            Arc::new(StringArray::from_iter_values([
                &*long("a"),
                "b",
                &long("a"),
                &long("a"),
                &long("a"),
            ])),
            None,
        ))
    };
    let bytes = col("l").cast(DataType::new_list(DataType::Binary, true));
    assert_eq!(without_room(&bytes, vec![("l", lists())]), [4]);
    let joined = call("array_join", [col("l"), lit("-")]);
    assert_eq!(without_room(&joined, vec![("l", lists())]), [4]);
    // A text that no column has room for is not made: this one would be of hundreds of gigabytes.
    let separated = call("array_join", [col("l"), lit(long("-").as_str())]);
    const MANY: usize = 10_000;
    let many: ArrayRef = Arc::new(ListArray::new(
        Arc::new(Field::new_list_field(DataType::Utf8, true)),
        OffsetBuffer::from_lengths([MANY, 1, 0, 0, 0]),
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n("a", MANY + 1))),
        None,
    ));
    assert_eq!(without_room(&separated, vec![("l", many)]), [0]);
}

/// Each would be of hundreds of gigabytes.
#[test]
fn a_text_that_no_column_has_room_for_is_not_made_by_replacing() {
    let (letters, long_text) = ("a".repeat(10_000), lit(long("b").as_str()));
    let many = || lit(letters.as_str());
    let all: Vec<usize> = (0..ROWS).collect();
    let replaced = call("replace", [many(), lit("a"), long_text.clone()]);
    assert_eq!(without_room(&replaced, vec![]), all);
    let replaced = call("regexp_replace", [many(), lit("."), long_text.clone()]);
    assert_eq!(without_room(&replaced, vec![]), all);
    let whole = lit("$0".repeat(10_000).as_str());
    let replaced = call("regexp_replace", [long_text, lit("(?s).*"), whole]);
    assert_eq!(without_room(&replaced, vec![]), all);
}

#[test]
fn the_greater_of_two_columns_may_have_no_room_where_both_have() {
    let long = long("z");
    let texts = |is_long: [bool; ROWS]| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(
            is_long.map(|is_long| if is_long { &long } else { "" }),
        ))
    };
    let columns = vec![
        ("x", texts([true, true, true, false, false])),
        ("y", texts([false, false, false, true, false])),
    ];
    let greatest = call("greatest", [col("x"), col("y")]);
    assert_eq!(without_room(&greatest, columns), [3], "an empty text fits");
}
