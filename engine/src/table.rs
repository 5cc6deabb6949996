//! How a row becomes columns: names, types, cells.
//!
//! A job's row is a tuple of whatever its aggregates compute. Outputs (Parquet, JSON, the page)
//! need names and types for it; [`Cells`] gives the types, [`Table`] the names.

use strandline_operators::record::SmolStr;
use strandline_operators::window::Row;

/// The type of a column.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// A 64-bit integer, never null.
    Int,
    /// A 64-bit float, null where nothing contributed.
    Float,
}

/// One value of one row.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Cell {
    /// Of an [`ColumnType::Int`] column.
    Int(i64),
    /// Of a [`ColumnType::Float`] column.
    Float(Option<f64>),
}

impl serde::Serialize for Cell {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Int(value) => serializer.serialize_i64(*value),
            Cell::Float(value) => value.serialize(serializer),
        }
    }
}

/// A value that fills one cell.
pub trait ToCell: Send + Sync {
    /// Its column's type.
    const TYPE: ColumnType;
    /// The cell.
    fn to_cell(&self) -> Cell;
}

impl ToCell for u64 {
    const TYPE: ColumnType = ColumnType::Int;
    fn to_cell(&self) -> Cell {
        Cell::Int(i64::try_from(*self).unwrap_or(i64::MAX))
    }
}

impl ToCell for Option<f64> {
    const TYPE: ColumnType = ColumnType::Float;
    fn to_cell(&self) -> Cell {
        Cell::Float(*self)
    }
}

/// What the aggregates of a row computed, as cells. Workers and the committer read the same rows.
pub trait Cells: Send + Sync {
    /// How many cells there are.
    const COUNT: usize;
    /// The types of the cells, in order.
    fn types() -> Vec<ColumnType>;
    /// Appends the cells, in order.
    fn append_to(&self, cells: &mut Vec<Cell>);
}

macro_rules! tuple_cells {
    ($($name:ident $index:tt),+) => {
        impl<$($name: ToCell),+> Cells for ($($name,)+) {
            const COUNT: usize = [$($index),+].len();
            fn types() -> Vec<ColumnType> {
                vec![$($name::TYPE),+]
            }
            fn append_to(&self, cells: &mut Vec<Cell>) {
                $(cells.push(self.$index.to_cell());)+
            }
        }
    };
}
tuple_cells!(A 0);
tuple_cells!(A 0, B 1);
tuple_cells!(A 0, B 1, C 2);
tuple_cells!(A 0, B 1, C 2, D 3);
tuple_cells!(A 0, B 1, C 2, D 3, E 4);
tuple_cells!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_cells!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_cells!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// The names under which rows appear in outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The key's column, such as `device_id`.
    pub key: String,
    /// The list of rows in JSON, such as `devices`.
    pub rows: String,
    /// The aggregates' columns with their types, in order.
    pub columns: Vec<(String, ColumnType)>,
}

impl Table {
    /// Names for rows whose aggregates compute an `O`.
    ///
    /// # Panics
    ///
    /// If there are not as many names as `O` has cells.
    pub fn new<O: Cells>(key: &str, rows: &str, columns: &[&str]) -> Table {
        let types = O::types();
        assert_eq!(types.len(), columns.len(), "one name a column");
        let columns = columns.iter().map(ToString::to_string).zip(types).collect();
        Table { key: key.to_owned(), rows: rows.to_owned(), columns }
    }
}

/// A row whose output has been turned to cells.
#[derive(Clone, Debug, PartialEq)]
pub struct CellRow {
    /// The key.
    pub key: SmolStr,
    /// The cells, in the order of [`Table::columns`].
    pub cells: Vec<Cell>,
}

impl<O: Cells> From<&Row<O>> for CellRow {
    fn from(row: &Row<O>) -> CellRow {
        let mut cells = Vec::with_capacity(O::COUNT);
        row.output.append_to(&mut cells);
        CellRow { key: row.key.clone(), cells }
    }
}
