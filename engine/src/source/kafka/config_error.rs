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
        KafkaError::ClientCreation(description) if is_no_room(&description) => {
            return SourceError::NoResources(one_line(&description));
        }
        KafkaError::ClientCreation(description) => format!("Kafka options: {description}"),
        other => format!("Kafka options: {other}"),
    };
    // The client leaves the blank out.
    SourceError::Config(one_line(&line).replace("`must", "` must"))
}

/// Whether the system refused what the client needs besides its settings.
fn is_no_room(description: &str) -> bool {
    ["create thread", "allocate"].iter().any(|what| description.contains(what))
}

fn one_line(text: &str) -> String {
    text.trim_end_matches(['\0', '\n']).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_refuses_is_no_fault_of_an_option() {
        let of = |description: &str| config_error(KafkaError::ClientCreation(description.into()));
        let refused = of("Failed to create thread: Resource temporarily unavailable (11)\n");
        assert!(matches!(refused, SourceError::NoResources(_)), "{refused}");
        let said = refused.to_string();
        assert!(said.contains("ulimit -u") && !said.contains("option"), "{said}");
        let refused = of("`max.poll.interval.ms`must be >= `session.timeout.ms`");
        assert!(matches!(refused, SourceError::Config(_)), "{refused}");
        assert!(refused.to_string().contains("`max.poll.interval.ms` must be"), "{refused}");
    }
}
