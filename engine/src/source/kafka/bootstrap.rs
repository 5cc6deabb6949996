//! The brokers to ask first, as `--bootstrap` names them.
//!
//! What the client library does with an entry that it cannot read is surprising: it takes port 99999
//! for 34463, and leaves out all that follows an unknown scheme. So entries are read here first.

use std::net::Ipv6Addr;

/// The client library's default.
const PORT: u16 = 9092;
/// Names before `://`; they have to be the security protocol.
const SCHEMES: [&str; 4] = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];

/// The addresses, each as `host:port`. `protocol` is the security protocol that is used.
///
/// # Errors
///
/// What is wrong with an entry, in a line.
pub fn addresses(bootstrap: &str, protocol: &str) -> Result<Vec<String>, String> {
    let entries = bootstrap.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let addresses = entries
        .map(|entry| {
            address(entry, protocol)
                .map_err(|wrong| format!("--bootstrap names `{entry}`, but {wrong}"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    match addresses.is_empty() {
        true => Err("no Kafka broker is named: name one with --bootstrap HOST:PORT".into()),
        false => Ok(addresses),
    }
}

fn address(entry: &str, protocol: &str) -> Result<String, String> {
    let host = match entry.split_once("://") {
        None => entry,
        Some((scheme, _)) if !SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme)) => {
            return Err(format!("`{scheme}` is no protocol of Kafka's: write HOST:PORT"));
        }
        Some((scheme, _)) if !scheme.eq_ignore_ascii_case(protocol) => {
            return Err(format!(
                "the option security.protocol is `{protocol}`: give both the same, or write \
                 HOST:PORT"
            ));
        }
        // What looks like a path is left out, as the client does.
        Some((_, rest)) => rest.split('/').next().unwrap_or(rest),
    };
    let (host, port) = match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let port = match port {
        None => PORT,
        Some(port) => match port.parse() {
            Ok(number @ 1..) if port.bytes().all(|byte| byte.is_ascii_digit()) => number,
            _ => return Err(format!("`{port}` is no port: write a number from 1 to 65535")),
        },
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let bare = inner.unwrap_or(host);
    // An address may name the interface by which it is reached: fe80::1%eth0.
    let ip = bare.split('%').next().unwrap_or(bare);
    if inner.is_some() || host.contains(':') {
        return match ip.parse::<Ipv6Addr>() {
            Ok(_) => Ok(format!("[{bare}]:{port}")),
            Err(_) => {
                Err(format!("`{bare}` is no IPv6 address: write HOST:PORT or [ADDRESS]:PORT"))
            }
        };
    }
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "[]/@".contains(c)) {
        return Err(format!("`{host}` is no host: write HOST:PORT"));
    }
    Ok(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_hosts_with_a_port_or_without() {
        for (entry, wanted) in [
            ("kafka:9093", "kafka:9093"),
            ("kafka", "kafka:9092"),
            ("10.0.0.1:65535", "10.0.0.1:65535"),
            ("[::1]:9093", "[::1]:9093"),
            ("[::1]", "[::1]:9092"),
            ("::1", "[::1]:9092"),
            ("[fe80::1%eth0]:1", "[fe80::1%eth0]:1"),
            ("PLAINTEXT://kafka:9093", "kafka:9093"),
            ("plaintext://kafka/path", "kafka:9092"),
        ] {
            assert_eq!(addresses(entry, "plaintext").as_deref(), Ok(&[wanted.to_owned()][..]));
        }
        assert_eq!(addresses(" a:1, ,b,", "plaintext").unwrap(), ["a:1", "b:9092"]);
        assert_eq!(addresses("SASL_SSL://a", "sasl_ssl").unwrap(), ["a:9092"]);
    }

    #[test]
    fn an_entry_that_is_no_address_is_refused_with_what_is_wrong_with_it() {
        for (entry, wrong) in [
            ("127.0.0.1:99999", "`99999` is no port"),
            ("kafka:0", "`0` is no port"),
            ("kafka:-1", "`-1` is no port"),
            ("kafka:+1", "`+1` is no port"),
            ("kafka:", "`` is no port"),
            ("[::1]:x", "`x` is no port"),
            (":9092", "`` is no host"),
            ("two words:9092", "`two words` is no host"),
            ("a:1:2", "`a:1:2` is no IPv6 address"),
            ("[kafka]:9092", "`kafka` is no IPv6 address"),
            ("http://kafka:9092", "`http` is no protocol"),
            ("ssl://kafka:9092", "security.protocol is `plaintext`"),
        ] {
            let line = addresses(&format!("a:1,{entry}"), "plaintext").unwrap_err();
            assert!(line.contains(wrong) && line.contains(entry) && !line.contains('\n'), "{line}");
        }
        for none in ["", " ", ",, "] {
            assert!(addresses(none, "plaintext").unwrap_err().contains("--bootstrap"));
        }
    }
}
