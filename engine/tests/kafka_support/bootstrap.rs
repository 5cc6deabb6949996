//! The broker that tests find running, also those of other packages, which include this file.

/// Its address.
pub(crate) fn bootstrap() -> String {
    match std::env::var("STRANDLINE_KAFKA") {
        Ok(bootstrap) if !bootstrap.is_empty() => bootstrap,
        _ => panic!(
            "STRANDLINE_KAFKA does not name a broker: run scripts/test, which starts one (or \
             scripts/kafka start, and set it to 127.0.0.1:9092)"
        ),
    }
}
