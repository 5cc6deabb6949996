//! What the client says about settings that it does not take.

use rdkafka::error::KafkaError;

use crate::source::SourceError;

/// One line for what the client says about its settings.
pub(super) fn config_error(error: KafkaError) -> SourceError {
    let line = match error {
        // The description names the property, and the value where it is at fault.
        KafkaError::ClientConfig(_, description, name, _) if description.is_empty() => {
            format!("Kafka option `{name}` is not accepted")
        }
        KafkaError::ClientConfig(_, description, name, _) => {
            format!("Kafka option `{name}`: {description}")
        }
        KafkaError::ClientCreation(description) => format!("Kafka options: {description}"),
        other => format!("Kafka options: {other}"),
    };
    SourceError::Config(line.trim_end_matches(['\0', '\n']).replace('\n', " "))
}
