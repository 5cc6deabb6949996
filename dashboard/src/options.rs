//! What a page calls things: titles, units, which columns are drawn.

use std::net::SocketAddr;

use strandline_engine::table::{ColumnType, Table};

use crate::text;

/// A column drawn as bars, one bar a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// The heading, such as `Average temperature`.
    pub title: String,
    /// The column's name in the job's [`Table`].
    pub column: String,
    /// The unit of its values, such as `°C`; empty for none.
    pub unit: String,
}

/// A column of the table of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The column's name in the job's [`Table`].
    pub column: String,
    /// The heading, such as `Lowest battery`.
    pub title: String,
    /// The unit of its values, such as `%`; empty for none.
    pub unit: String,
}

/// Where a page is served, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// The address to listen on.
    pub address: SocketAddr,
    /// Names of hosts that the page answers to, besides those that it knows.
    pub allowed_hosts: Vec<String>,
    /// In a process that does not lead its job: where the job is shown.
    pub follower: Option<Follower>,
}

impl ServeOptions {
    /// At that address, for a process that leads its job.
    pub fn at(address: SocketAddr) -> ServeOptions {
        ServeOptions { address, allowed_hosts: Vec::new(), follower: None }
    }
}

/// A process that works for a job and does not know the whole of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// Its number.
    pub process: usize,
    /// How many processes the job has.
    pub processes: usize,
    /// Where the page of process 0 is, such as `http://host:5000/`.
    pub leader: String,
}

/// What a page calls things.
///
/// ```
/// use strandline_dashboard::{Chart, Column, PageOptions};
/// use strandline_engine::table::Table;
///
/// let table = Table::new::<(u64, Option<f64>)>("device_id", "devices", &["count", "avg_temp"]);
/// let page = PageOptions {
///     title: "Greenhouse".to_owned(),
///     charts: vec![Chart {
///         title: "Average temperature".to_owned(),
///         column: "avg_temp".to_owned(),
///         unit: "°C".to_owned(),
///     }],
///     ..PageOptions::for_table(&table)
/// };
/// assert_eq!(page.columns[1].title, "Avg temp");
/// assert_eq!(page.row_noun, "device");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageOptions {
    /// The heading of the page.
    pub title: String,
    /// What one row is about, such as `device`.
    pub row_noun: String,
    /// What several rows are about, such as `devices`.
    pub rows_noun: String,
    /// The charts, from left to right.
    pub charts: Vec<Chart>,
    /// The columns of the table after the key, from left to right.
    pub columns: Vec<Column>,
}

/// How many charts a page draws where nothing else is asked for.
const CHARTS_BY_DEFAULT: usize = 2;

impl PageOptions {
    /// What can be guessed from the names of a table: all its columns, and a chart for each of the
    /// first two that hold floats.
    pub fn for_table(table: &Table) -> PageOptions {
        let columns: Vec<Column> = table
            .columns
            .iter()
            .map(|(name, _)| Column {
                column: name.clone(),
                title: titled(name),
                unit: String::new(),
            })
            .collect();
        let charts = table
            .columns
            .iter()
            .filter(|(_, kind)| *kind == ColumnType::Float)
            .take(CHARTS_BY_DEFAULT)
            .map(|(name, _)| Chart {
                title: titled(name),
                column: name.clone(),
                unit: String::new(),
            })
            .collect();
        let rows_noun = table.rows.replace('_', " ");
        let row_noun = rows_noun.strip_suffix('s').unwrap_or(&rows_noun).to_owned();
        PageOptions { title: "Strandline".to_owned(), row_noun, rows_noun, charts, columns }
    }
}

/// `avg_temperature` as a heading: `Avg temperature`.
fn titled(name: &str) -> String {
    text::sentence(&name.replace('_', " "))
}

/// A page's options, with every column found in the job's table.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) options: PageOptions,
    /// For each chart, the index of its column in the table.
    pub(crate) chart_indices: Vec<usize>,
    /// For each column, its index in the table, and its type.
    pub(crate) column_indices: Vec<(usize, ColumnType)>,
}

impl Layout {
    /// Finds the columns; `Err` holds the name of one that the table does not have.
    pub(crate) fn of(options: PageOptions, table: &Table) -> Result<Layout, String> {
        let find = |name: &String| {
            let found = table.columns.iter().position(|(column, _)| column == name);
            found.map(|index| (index, table.columns[index].1)).ok_or_else(|| name.clone())
        };
        let chart_indices = options
            .charts
            .iter()
            .map(|chart| find(&chart.column).map(|(index, _)| index))
            .collect::<Result<_, _>>()?;
        let column_indices =
            options.columns.iter().map(|column| find(&column.column)).collect::<Result<_, _>>()?;
        Ok(Layout { options, chart_indices, column_indices })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new::<(u64, Option<f64>, Option<f64>, Option<f64>)>(
            "device_id",
            "devices",
            &["count", "avg_temperature", "avg_humidity", "min_battery"],
        )
    }

    #[test]
    fn the_first_two_floats_are_drawn_and_every_column_is_listed() {
        let options = PageOptions::for_table(&table());
        let drawn: Vec<_> = options.charts.iter().map(|chart| &*chart.column).collect();
        assert_eq!(drawn, ["avg_temperature", "avg_humidity"]);
        assert_eq!(options.columns.len(), 4);
        assert_eq!(options.columns[3].title, "Min battery");
        assert_eq!((&*options.row_noun, &*options.rows_noun), ("device", "devices"));
    }

    #[test]
    fn a_column_that_the_table_lacks_is_named() {
        let mut options = PageOptions::for_table(&table());
        options.charts[1].column = "pressure".to_owned();
        assert_eq!(Layout::of(options, &table()).unwrap_err(), "pressure");
    }
}
