//! The dashboard over a real socket: what a browser, a scraper and an attacker get.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod client;
mod condition;
mod fleet;
mod hostile;
mod http;
mod metrics;
mod monitoring;
mod page;
mod view;

use std::net::SocketAddr;

use strandline_dashboard::Dashboard;
use strandline_engine::view::{Snapshot, View};

use fleet::Fleet;

/// Serves a snapshot on a free port.
fn serve(first: Snapshot) -> (Dashboard, View) {
    let view = View::new(first);
    let dashboard = Dashboard::bind(any_port(), view.clone(), Fleet::page()).unwrap();
    (dashboard, view)
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}
