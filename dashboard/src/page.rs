//! The page as HTML, with the numbers of this moment in it: it works without JavaScript, and does
//! not jump when the script takes over.
//!
//! The template escapes whatever it is given; a key may be anything. What the script needs to know
//! of the layout (which column a heading stands for) is in `data-` attributes.

use askama::Template;
use strandline_engine::table::{Cell, ColumnType};
use strandline_operators::time::EventTime;

use crate::options::Layout;
use crate::query::Query;
use crate::shown::Shown;
use crate::text;

/// Everything that the template asks for.
#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    shown: &'a Shown<'a>,
    layout: &'a Layout,
    query: &'a Query,
}

/// The page for what is shown.
///
/// # Errors
///
/// None that can happen: writing to memory does not fail.
pub(crate) fn html(
    shown: &Shown<'_>,
    layout: &Layout,
    query: &Query,
) -> Result<String, askama::Error> {
    Page { shown, layout, query }.render()
}

/// A heading, its unit, and where its values are.
struct Heading<'a> {
    column: &'a str,
    index: usize,
    kind: &'static str,
    title: &'a str,
    unit: &'a str,
}

/// A cell: its exact value for machines, and its text.
struct CellText {
    value: String,
    text: String,
}

/// A share of a bar, in percent.
struct Share {
    start: String,
    width: String,
}

impl Page<'_> {
    fn title(&self) -> &str {
        &self.layout.options.title
    }

    fn charts(&self) -> Vec<Heading<'_>> {
        let charts = self.layout.options.charts.iter().zip(&self.layout.chart_indices);
        charts
            .map(|(chart, index)| Heading {
                column: &chart.column,
                index: *index,
                kind: "float",
                title: &chart.title,
                unit: &chart.unit,
            })
            .collect()
    }

    fn columns(&self) -> Vec<Heading<'_>> {
        let columns = self.layout.options.columns.iter().zip(&self.layout.column_indices);
        columns
            .map(|(column, (index, kind))| Heading {
                column: &column.column,
                index: *index,
                kind: match kind {
                    ColumnType::Int => "int",
                    ColumnType::Float => "float",
                },
                title: &column.title,
                unit: &column.unit,
            })
            .collect()
    }

    fn cells(&self, cells: &[Cell]) -> Vec<CellText> {
        let cell = |(index, kind): &(usize, ColumnType)| {
            let empty = match kind {
                ColumnType::Int => Cell::Int(0),
                ColumnType::Float => Cell::Float(None),
            };
            let cell = cells.get(*index).copied().unwrap_or(empty);
            let value = match cell {
                Cell::Int(value) => value.to_string(),
                Cell::Float(value) => value.map(|value| value.to_string()).unwrap_or_default(),
            };
            CellText { value, text: text::cell(cell) }
        };
        self.layout.column_indices.iter().map(cell).collect()
    }

    fn window(&self) -> String {
        self.shown.window.map_or_else(
            || text::NOTHING.to_owned(),
            |span| {
                text::window(EventTime::from_millis(span.start), EventTime::from_millis(span.end))
            },
        )
    }

    fn window_date(&self) -> String {
        self.shown.window.map_or_else(String::new, |span| {
            format!("{}, times in UTC", text::date(EventTime::from_millis(span.start)))
        })
    }

    fn page_note(&self) -> String {
        let rows = &self.shown.rows;
        format!("page {} of {}", text::count(rows.page as u64), text::count(rows.pages as u64))
    }

    fn clock(&self, millis: &Option<i64>) -> String {
        millis.map_or_else(
            || text::NOTHING.to_owned(),
            |millis| text::clock_to_the_second(EventTime::from_millis(millis)),
        )
    }

    fn span(&self, start: &i64, end: &i64) -> String {
        text::window(EventTime::from_millis(*start), EventTime::from_millis(*end))
    }

    /// How long before the snapshot.
    fn ago(&self, millis: &Option<i64>) -> String {
        millis.map_or_else(
            || text::NOTHING.to_owned(),
            |millis| {
                let span =
                    EventTime::from_millis(self.shown.at).since(EventTime::from_millis(millis));
                text::duration(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
            },
        )
    }

    fn count(&self, value: &u64) -> String {
        text::count(*value)
    }

    fn count_or_unknown(&self, value: &Option<u64>) -> String {
        value.map_or_else(|| "unknown".to_owned(), text::count)
    }

    fn rate(&self) -> String {
        text::rate(self.shown.records_per_second)
    }

    fn visible(&self, key: &str) -> String {
        text::visible(key).into_owned()
    }

    fn as_of(&self) -> String {
        text::clock_to_the_second(EventTime::from_millis(self.shown.at))
    }

    fn behind(&self) -> String {
        match self.shown.watermark {
            None => String::new(),
            Some(watermark) => {
                // A time of day alone would hide that it stands in another year.
                let [date, today] =
                    [watermark, self.shown.at].map(|at| text::date(EventTime::from_millis(at)));
                let date = if date == today { String::new() } else { format!("{date}, ") };
                format!("{date}{} behind now", self.ago(&Some(watermark)))
            }
        }
    }

    fn rows_heading(&self) -> String {
        text::sentence(&self.layout.options.rows_noun)
    }

    fn key_heading(&self) -> String {
        text::sentence(&self.layout.options.row_noun)
    }

    fn partitions_note(&self) -> String {
        let (shown, all) = (self.shown.partitions.len(), self.shown.partitions_count as u64);
        format!("{}, times in UTC", of_all(shown, all, "furthest behind"))
    }

    fn open_note(&self) -> String {
        of_all(self.shown.open_windows.len(), self.shown.open_windows_count, "oldest")
    }

    /// Where each part of the ledger stands in its bar: windowed, late, dead letters.
    fn shares(&self) -> [(&'static str, Share); 3] {
        let ledger = &self.shown.ledger;
        let parts =
            [("windowed", ledger.windowed), ("late", ledger.late), ("dead", ledger.dead_letters)];
        let all = parts.iter().map(|(_, count)| count).sum::<u64>().max(1) as f64;
        let mut before = 0;
        parts.map(|(part, count)| {
            let start = format!("{:.2}%", 100.0 * before as f64 / all);
            before += count;
            (part, Share { start, width: format!("{:.2}%", 100.0 * count as f64 / all) })
        })
    }
}

/// How many of a list are shown.
fn of_all(shown: usize, all: u64, which: &str) -> String {
    let shown = shown as u64;
    if shown == all {
        text::count(all)
    } else {
        format!("the {} {which} of {}", text::count(shown), text::count(all))
    }
}
