//! Files of the page, compiled in: the page needs nothing but this program.

use xxhash_rust::xxh3::xxh3_64;

/// One file of the page.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Asset {
    /// Its path after `/assets/`.
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) bytes: &'static [u8],
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! asset {
    ($path:literal, $content_type:expr) => {
        Asset {
            path: $path,
            content_type: $content_type,
            bytes: include_bytes!(concat!("../assets/", $path)),
        }
    };
}

/// All files of the page.
pub(crate) const ASSETS: [Asset; 10] = [
    asset!("page.css", "text/css; charset=utf-8"),
    asset!("plain.css", "text/css; charset=utf-8"),
    asset!("page.js", JAVASCRIPT),
    asset!("poll.js", JAVASCRIPT),
    asset!("panels.js", JAVASCRIPT),
    asset!("charts.js", JAVASCRIPT),
    asset!("tide.js", JAVASCRIPT),
    asset!("text.js", JAVASCRIPT),
    asset!("vendor/chart.umd.min.js", JAVASCRIPT),
    asset!("mark.svg", "image/svg+xml"),
];

impl Asset {
    /// The file at a path after `/assets/`.
    pub(crate) fn at(path: &str) -> Option<&'static Asset> {
        const { &ASSETS }.iter().find(|asset| asset.path == path)
    }

    /// A tag that changes with the contents.
    pub(crate) fn etag(&self) -> String {
        format!("\"{:016x}\"", xxh3_64(self.bytes))
    }
}
