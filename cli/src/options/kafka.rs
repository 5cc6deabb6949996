//! The properties of the Kafka client that the options give, from the files that they name too.

use strandline_engine::text_file;

use super::Options;
use crate::kafka_options::{KafkaOptionFile, listed, properties};

/// How the names begin of properties that concern the connection.
const OF_CONNECTION: [&str; 6] =
    ["sasl.", "ssl.", "enable.ssl.", "enable.sasl.", "security.", "broker."];

impl Options {
    /// All properties of the client, the weakest first: those of `--kafka-config`, of
    /// `--kafka-option-file`, of `--kafka-option`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or a line of it that is no property; in one line, without its text.
    pub fn kafka_properties(&self) -> Result<Vec<(String, String)>, String> {
        let mut all = Vec::new();
        for path in &self.kafka_config {
            let wrong = |what: &str| format!("--kafka-config {}: {what}", path.display());
            let text = text_file::read(path).map_err(|what| wrong(&what.to_string()))?;
            all.extend(properties(&text).map_err(|what| wrong(&what))?);
        }
        for KafkaOptionFile { name, path } in &self.kafka_option_file {
            let text = text_file::read(path)
                .map_err(|what| format!("--kafka-option-file {name}={}: {what}", path.display()))?;
            let value = text.trim_end();
            if value.is_empty() {
                let path = path.display();
                return Err(format!("--kafka-option-file {name}={path}: the file is empty"));
            }
            all.push((name.clone(), value.to_owned()));
        }
        all.extend(self.kafka_option.iter().cloned().flat_map(listed));
        Ok(all)
    }

    /// Those of [`kafka_properties`](Self::kafka_properties) that concern the connection, which every
    /// client of the same broker needs.
    ///
    /// # Errors
    ///
    /// As of [`kafka_properties`](Self::kafka_properties).
    pub fn kafka_connection_properties(&self) -> Result<Vec<(String, String)>, String> {
        let is_of_connection =
            |name: &str| OF_CONNECTION.iter().any(|prefix| name.starts_with(prefix));
        let all = self.kafka_properties()?.into_iter();
        Ok(all.filter(|(name, _)| is_of_connection(name)).collect())
    }
}
