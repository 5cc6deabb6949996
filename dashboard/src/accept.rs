//! Which format of `/metrics` an `Accept` header asks for (RFC 9110, section 12.5.1).

/// The formats of `/metrics`, the one that is preferred among equals first.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The document of `latest.json`.
    Json,
    /// Prometheus' text format 0.0.4.
    Prometheus,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl Format {
    const ALL: [Format; 3] = [Format::Json, Format::Prometheus, Format::OpenMetrics];

    /// The format that a query names: `json`, `prometheus`, `text`, `openmetrics`.
    pub(crate) fn named(name: &str) -> Option<Format> {
        match &*name.to_ascii_lowercase() {
            "json" => Some(Format::Json),
            "prometheus" | "text" => Some(Format::Prometheus),
            "openmetrics" => Some(Format::OpenMetrics),
            _ => None,
        }
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Type, subtype, and the version that a range may name.
    fn media_type(self) -> (&'static str, &'static str, Option<&'static str>) {
        match self {
            Format::Json => ("application", "json", None),
            Format::Prometheus => ("text", "plain", Some("0.0.4")),
            Format::OpenMetrics => ("application", "openmetrics-text", Some("1.0.0")),
        }
    }
}

/// The format that the values of `Accept` like best. JSON where there is none, where several are
/// liked equally and JSON is one of them, and where none that there is would do: an answer is more
/// use than a 406.
pub(crate) fn negotiate<'a>(values: impl Iterator<Item = &'a str>) -> Format {
    let ranges: Vec<Range<'_>> =
        values.flat_map(|value| value.split(',')).filter_map(Range::parse).collect();
    let mut best = (Format::Json, 0);
    for format in Format::ALL {
        let liked = ranges
            .iter()
            .filter_map(|range| range.specificity(format).map(|rank| (rank, range.quality)))
            .max_by_key(|(rank, _)| *rank)
            .map_or(0, |(_, quality)| quality);
        if best.1 < liked {
            best = (format, liked);
        }
    }
    best.0
}

/// One element of `Accept`.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    version: Option<&'a str>,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    /// `None` for what is malformed: it asks for nothing.
    fn parse(element: &'a str) -> Option<Range<'a>> {
        let mut parts = element.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut range = Range { kind, subtype, version: None, quality: 1000 };
        for parameter in parts.filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=')?;
            match name {
                "q" | "Q" => range.quality = quality(value)?,
                name if name.eq_ignore_ascii_case("version") => {
                    range.version = Some(value.trim_matches('"'));
                }
                _ => {}
            }
        }
        Some(range)
    }

    /// How closely the range names the format, if it covers it at all.
    fn specificity(&self, format: Format) -> Option<u8> {
        let (kind, subtype, version) = format.media_type();
        if self.version.is_some() && version.is_some() && self.version != version {
            None
        } else if self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
        {
            Some(if self.version.is_some() { 3 } else { 2 })
        } else if self.kind.eq_ignore_ascii_case(kind) && self.subtype == "*" {
            Some(1)
        } else if self.kind == "*" && self.subtype == "*" {
            Some(0)
        } else {
            None
        }
    }
}

/// `0`, `0.5`, `1.000` in thousandths.
fn quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok().filter(|_| digits)?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(accept: &str) -> Format {
        negotiate(std::iter::once(accept))
    }

    #[test]
    fn json_unless_something_else_is_asked_for() {
        assert_eq!(negotiate(std::iter::empty()), Format::Json);
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let library = "application/json, text/plain, */*";
        for accept in
            ["*/*", "", "image/png", "application/*", "application/json", browser, library]
        {
            assert_eq!(asked(accept), Format::Json, "{accept}");
        }
    }

    #[test]
    fn quality_decides_and_the_closest_range_counts() {
        assert_eq!(asked("text/plain"), Format::Prometheus);
        assert_eq!(asked("TEXT/Plain;charset=utf-8"), Format::Prometheus);
        assert_eq!(asked("text/*"), Format::Prometheus);
        assert_eq!(asked("application/json;q=0.4, text/plain;q=0.5"), Format::Prometheus);
        assert_eq!(asked("application/json;q=0.5, text/plain;q=0.4"), Format::Json);
        assert_eq!(asked("*/*, application/json;q=0"), Format::Prometheus);
        assert_eq!(asked("application/openmetrics-text, text/plain;q=0.9"), Format::OpenMetrics);
        assert_eq!(asked("*/*;q=0.1, application/openmetrics-text;q=0.2"), Format::OpenMetrics);
    }

    #[test]
    fn a_version_that_we_do_not_write_is_not_what_was_asked_for() {
        assert_eq!(asked("text/plain;version=1.0.0, */*;q=0.1"), Format::Json);
        assert_eq!(asked("text/plain; version=\"0.0.4\""), Format::Prometheus);
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,\
            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,\
            */*;q=0.2";
        assert_eq!(asked(prometheus), Format::OpenMetrics);
        let older = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(asked(older), Format::Prometheus);
    }

    #[test]
    fn what_is_malformed_asks_for_nothing() {
        for accept in ["text/plain;q=2", "text/plain;q=x", "text/plain;q=0.1234", "text", ";q=1"] {
            assert_eq!(asked(accept), Format::Json, "{accept}");
        }
    }

    proptest! {
        /// Whatever a client sends, something is answered, and a type with quality 0 is not it
        /// while another would do.
        #[test]
        fn any_header_is_answered(accept in "[a-z*/;=,.0-9 q]{0,60}") {
            asked(&accept);
        }

        #[test]
        fn the_greater_quality_wins(json in 0u16..=1000, text in 0u16..=1000) {
            let q = |thousandths: u16| format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            let accept = format!("application/json;q={}, text/plain;q={}", q(json), q(text));
            let expected = if json < text { Format::Prometheus } else { Format::Json };
            prop_assert_eq!(asked(&accept), expected);
        }
    }
}
