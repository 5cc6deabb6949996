//! The main job as a user runs it: the program itself, on its embedded broker and on a real Kafka.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../../engine/tests/kafka_support/bootstrap.rs"]
mod bootstrap;
#[path = "../../../engine/tests/kafka_support/broker.rs"]
mod broker;
mod condition;
mod crashes;
mod doctor;
mod new_partitions;
mod places;
mod process;
mod program;
mod real_kafka;
mod topics;
mod wrong_times;
