//! The client's own list of its properties, with their types. It is the same that its documentation is
//! made of; it exists as text only.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// What values a property takes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(in crate::source::kafka) enum PropertyType {
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// `true` or `false`.
    Boolean,
    /// Something else, which the client checks by itself.
    Other,
}

/// All properties by name, also those that only concern producers. Empty where the list cannot be had.
pub(in crate::source::kafka) fn properties() -> &'static BTreeMap<String, PropertyType> {
    static PROPERTIES: OnceLock<BTreeMap<String, PropertyType>> = OnceLock::new();
    PROPERTIES.get_or_init(|| parse(&shown()))
}

/// What the client writes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn shown() -> String {
    use std::ffi::{CStr, c_char};
    use std::ptr;

    let (mut text, mut bytes): (*mut c_char, usize) = (ptr::null_mut(), 0);
    // SAFETY: the stream writes to memory of its own, whose address is in `text` after it was closed,
    // with a NUL byte behind it; that is freed here, once, after it was copied.
    unsafe {
        let stream = libc::open_memstream(&raw mut text, &raw mut bytes);
        if stream.is_null() {
            return String::new();
        }
        rdkafka_sys::rd_kafka_conf_properties_show(stream);
        libc::fclose(stream);
        if text.is_null() {
            return String::new();
        }
        let shown = CStr::from_ptr(text).to_string_lossy().into_owned();
        libc::free(text.cast());
        shown
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn shown() -> String {
    String::new()
}

/// A line is `NAME | C/P | RANGE | DEFAULT | IMPORTANCE | DESCRIPTION <br>*Type: TYPE*`.
fn parse(shown: &str) -> BTreeMap<String, PropertyType> {
    let property = |line: &str| {
        let (name, rest) = line.split_once('|')?;
        let (_, kind) = rest.rsplit_once("*Type: ")?;
        let kind = match kind.trim_end().trim_end_matches('*') {
            "integer" => PropertyType::Integer,
            "float" => PropertyType::Float,
            "boolean" => PropertyType::Boolean,
            _ => PropertyType::Other,
        };
        Some((name.trim().to_owned(), kind))
    };
    shown.lines().filter_map(property).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_tells_the_types_of_its_properties() {
        let properties = properties();
        assert!(properties.len() > 100, "{properties:?}");
        for (name, kind) in [
            ("fetch.message.max.bytes", PropertyType::Integer),
            ("max.partition.fetch.bytes", PropertyType::Integer),
            ("check.crcs", PropertyType::Boolean),
            ("queue.buffering.max.ms", PropertyType::Float),
            ("client.id", PropertyType::Other),
            ("security.protocol", PropertyType::Other),
        ] {
            assert_eq!(properties.get(name), Some(&kind), "{name}");
        }
    }
}
