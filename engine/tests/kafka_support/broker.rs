//! A Kafka of one test, also of other packages, which include this file.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A broker of one test, which may be killed.
pub(crate) struct Broker {
    port: u16,
    data: tempfile::TempDir,
}

impl Broker {
    pub(crate) fn start() -> Broker {
        let broker = Broker { port: free_ports(), data: tempfile::tempdir().unwrap() };
        broker.run("start");
        broker
    }

    /// Where its data is: in a folder whose name a program can misread.
    fn folder(&self) -> PathBuf {
        self.data.path().join("größer, anders")
    }

    /// Runs `scripts/kafka` with a command.
    pub(crate) fn run(&self, command: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/kafka");
        let output = Command::new(script)
            .arg(command)
            .env("STRANDLINE_KAFKA_PORT", self.port.to_string())
            .env("STRANDLINE_KAFKA_DATA", self.folder())
            .env("STRANDLINE_KAFKA_HEAP", "512m")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Its address.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.run("kill");
    }
}

/// A port that is free, and so is the next.
fn free_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX - 1 && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}
