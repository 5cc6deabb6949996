//! The live page of a running job, and its numbers for other programs.
//!
//! A [`Dashboard`] looks at a [`View`](strandline_engine::view::View) and answers HTTP requests
//! about it. It can neither hold up nor change a worker: all it holds is plain data. It knows
//! nothing of what the job computes; names and units come as [`PageOptions`].
//!
//! | path | what it answers |
//! |---|---|
//! | `/` | the page, with the numbers of this moment already in it: it works without JavaScript |
//! | `/api/view` | what the page polls: everything it shows, bounded in size |
//! | `/metrics` | the whole document of `latest.json`, or Prometheus' text format |
//! | `/healthz` | 200: the process lives |
//! | `/readyz` | 200 if the job makes progress or waits for nothing but new records; 503 and why, if not |
//! | `/assets/…` | the page's script, style and chart library, compiled in |
//!
//! # Layout
//!
//! The modules in the order in which a request meets them:
//!
//! | module | what it is |
//! |---|---|
//! | `server` | the thread, its connections and their limits |
//! | `connections` | which connection goes when there are too many |
//! | `patience` | a limit on how long a response may take to leave |
//! | `site` | from a request to a response |
//! | `host` | which names a page answers to |
//! | `readiness` | the answer of `/readyz` |
//! | `accept` | which format of `/metrics` is asked for |
//! | `query` | which rows are asked for |
//! | `shown` | what the page shows of a snapshot: the document of `/api/view` |
//! | `page` | the same as HTML |
//! | `text` | how counts, times and durations are written |
//! | `exposition` | the same for Prometheus |
//! | `process` | what the system says of this process |
//! | `documents` | documents of any size, kept within a budget |
//! | `assets` | files of the page |
//! | `options` | titles and units |

mod accept;
mod assets;
mod connections;
mod documents;
mod exposition;
mod host;
mod options;
mod page;
mod patience;
mod process;
mod query;
mod readiness;
mod server;
mod shown;
mod site;
mod text;

pub use options::{Chart, Column, Follower, PageOptions, ServeOptions};
pub use server::{Dashboard, DashboardError};
