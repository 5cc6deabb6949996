//! The durable outputs as their readers find them: read back with nothing of ours.
#![expect(clippy::disallowed_methods, reason = "looks at the files behind the store's back")]
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod bench;
mod columns;
mod disk;
mod files;
mod latest_json;
mod output_dir;
