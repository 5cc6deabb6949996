//! Runs Strandline jobs: sources, workers, sinks, and the view that the outside may look at.
//!
//! # Layout
//!
//! The modules in the order in which a record meets them:
//!
//! | module | what it is |
//! |---|---|
//! | [`source`] | logs of partitions: Kafka, or simulated |
//! | [`table`] | how a row becomes columns |
//! | [`sink`] | durable outputs: Parquet, late and dead-letter files, `latest.json` |
//! | [`store`] | every file operation |
//! | [`text_file`] | small files and pipes that options name |
//! | [`clock`] | every look at the time |
//! | [`peers`] | the other processes of a job |
//! | [`reason_words`] | what the reasons for dead letters mean, in words |
//! | [`telemetry`] | what the parts of a job report of themselves |
//! | [`condition`] | in what condition a job is: one value, which everything shows |
//! | [`view`] | snapshots of a running job, and its final rows as they come: its only outward face |

pub mod background;
mod board;
pub mod checkpoint;
pub mod clock;
mod commit;
pub mod condition;
mod epoch;
mod error;
mod failure;
mod feed;
mod finals;
mod ingest;
pub mod job;
mod job_options;
mod ledger;
mod monitor;
mod notice;
pub mod outputs;
mod partition;
pub mod peers;
pub mod reason_words;
pub mod report;
mod run_id;
pub mod sink;
pub mod source;
mod stop;
pub mod store;
mod summary;
pub mod table;
pub mod telemetry;
pub mod text_file;
pub mod view;
