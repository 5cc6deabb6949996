//! Which rows of the window are asked for: a page of those whose key contains a text.
//!
//! A job may have a hundred thousand keys; a browser that is sent them all every second freezes.
//! So `/` and `/api/view` give one page of rows, and only `/metrics` gives all.

use std::borrow::Cow;

use strandline_engine::table::CellRow;

/// Rows a page, unless `limit` says otherwise.
pub(crate) const ROWS_BY_DEFAULT: usize = 50;

/// Most rows that one answer holds.
pub(crate) const ROWS_MAX: usize = 200;

/// The query of `/` and `/api/view`: `find`, `page` (from 1), `limit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// What keys must contain, whatever its case; empty for all.
    pub(crate) find: String,
    /// Which page, counted from 1.
    pub(crate) page: usize,
    /// Rows a page.
    pub(crate) limit: usize,
}

/// The rows that were asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selection<'a> {
    /// How many rows the window has.
    pub(crate) total: usize,
    /// How many of them match.
    pub(crate) matching: usize,
    /// Which page this is, counted from 1.
    pub(crate) page: usize,
    /// How many pages there are; at least 1.
    pub(crate) pages: usize,
    /// Where the first row stands among those that match, counted from 0.
    pub(crate) first: usize,
    /// The rows of the page.
    pub(crate) rows: Vec<&'a CellRow>,
}

impl Query {
    /// Reads a query string. What cannot be read counts as not given, so that an old link works.
    pub(crate) fn parse(query: &str) -> Query {
        let mut parsed = Query { find: String::new(), page: 1, limit: ROWS_BY_DEFAULT };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "find" => parsed.find = value.trim().to_owned(),
                "page" => parsed.page = positive(&value).unwrap_or(1),
                "limit" => {
                    parsed.limit = positive(&value).unwrap_or(ROWS_BY_DEFAULT).min(ROWS_MAX);
                }
                _ => {}
            }
        }
        parsed
    }

    /// The query string of another page of the same rows.
    pub(crate) fn of_page(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.find.is_empty() {
            query.append_pair("find", &self.find);
        }
        if self.limit != ROWS_BY_DEFAULT {
            query.append_pair("limit", &self.limit.to_string());
        }
        query.append_pair("page", &page.to_string()).finish()
    }

    /// The rows of the page; of the last page, where there are fewer pages than that. Time is
    /// linear in the number of rows where there is a text to find, else in the page's length.
    pub(crate) fn select<'a>(&self, rows: &'a [CellRow]) -> Selection<'a> {
        if self.find.is_empty() {
            let (page, pages, first) = self.place(rows.len());
            let rows_of_page = rows.iter().skip(first).take(self.limit).collect();
            let (total, matching) = (rows.len(), rows.len());
            return Selection { total, matching, page, pages, first, rows: rows_of_page };
        }
        let find = self.find.to_lowercase();
        let matches: Vec<&CellRow> =
            rows.iter().filter(|row| lowercase(&row.key).contains(&find)).collect();
        let (page, pages, first) = self.place(matches.len());
        let rows_of_page = matches.iter().skip(first).take(self.limit).copied().collect();
        let (total, matching) = (rows.len(), matches.len());
        Selection { total, matching, page, pages, first, rows: rows_of_page }
    }

    /// Page, number of pages, and index of the page's first row.
    fn place(&self, matching: usize) -> (usize, usize, usize) {
        let pages = matching.div_ceil(self.limit).max(1);
        let page = self.page.min(pages);
        (page, pages, (page - 1) * self.limit)
    }
}

fn positive(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| 0 < *number)
}

/// Most keys have no upper case, and need no copy.
fn lowercase(key: &str) -> Cow<'_, str> {
    if key.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        Cow::Borrowed(key)
    } else {
        Cow::Owned(key.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(keys: impl Iterator<Item = String>) -> Vec<CellRow> {
        keys.map(|key| CellRow { key: key.into(), cells: Vec::new() }).collect()
    }

    fn keys<'a>(selection: &Selection<'a>) -> Vec<&'a str> {
        selection.rows.iter().map(|row| &*row.key).collect()
    }

    #[test]
    fn an_answer_is_bounded_whatever_is_asked() {
        let rows = rows((0..1000).map(|number| format!("device-{number:03}")));
        assert_eq!(Query::parse("").select(&rows).rows.len(), ROWS_BY_DEFAULT);
        assert_eq!(Query::parse("limit=100000").select(&rows).rows.len(), ROWS_MAX);
        assert_eq!(Query::parse("find=device&limit=100000").select(&rows).rows.len(), ROWS_MAX);
    }

    #[test]
    fn what_cannot_be_read_counts_as_not_given() {
        for query in ["page=0&limit=-1", "page=x", "page=99999999999999999999", "&&=&%zz", "x=1"] {
            assert_eq!(Query::parse(query), Query::parse(""), "{query}");
        }
    }

    #[test]
    fn a_page_beyond_the_end_is_the_last() {
        let rows = rows((0..101).map(|number| format!("device-{number:03}")));
        let selection = Query::parse("page=9").select(&rows);
        assert_eq!((selection.page, selection.pages, selection.first), (3, 3, 100));
        assert_eq!(keys(&selection), ["device-100"]);
        let none = Query::parse("page=9").select(&[]);
        assert_eq!((none.page, none.pages, none.rows.len()), (1, 1, 0));
    }

    #[test]
    fn keys_are_found_whatever_their_case() {
        let rows =
            rows(["Kitchen", "KITCHEN-É", "cellar", "kitchen\0"].map(str::to_owned).into_iter());
        let selection = Query::parse("find=kitchen").select(&rows);
        assert_eq!((selection.total, selection.matching), (4, 3));
        assert_eq!(keys(&Query::parse("find=-%C3%A9").select(&rows)), ["KITCHEN-É"]);
        assert_eq!(keys(&Query::parse("find=n%00").select(&rows)), ["kitchen\0"]);
    }

    #[test]
    fn a_link_to_another_page_keeps_what_was_looked_for() {
        let query = Query::parse("find=a%26b%3D%22%3C&page=2&limit=7");
        assert_eq!(query.of_page(3), "find=a%26b%3D%22%3C&limit=7&page=3");
        assert_eq!(Query::parse(&query.of_page(2)), query);
    }
}
