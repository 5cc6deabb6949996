//! `scripts/kafka` itself.

use crate::bootstrap;
use crate::broker::Broker;

/// Java reads a file of properties in Latin-1: a path in it named another folder, and the second start
/// found a folder that was prepared already.
#[test]
fn a_broker_starts_again_in_a_folder_with_letters_beyond_ascii() {
    bootstrap();
    let broker = Broker::start();
    for command in ["stop", "start", "start", "status"] {
        broker.run(command);
    }
}
