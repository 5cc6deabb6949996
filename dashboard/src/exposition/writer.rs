//! How families and samples are written.

use std::fmt::{Display, Write};

use strandline_operators::time::EventTime;

/// What a family of samples counts.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows; its samples end in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A gauge in seconds.
    Seconds,
    /// Always 1: its labels say something; its sample ends in `_info`.
    Info,
}

/// The text so far.
pub(super) struct Exposition {
    text: String,
    open_metrics: bool,
}

/// A family of samples whose head has been written.
pub(super) struct Family<'a> {
    out: &'a mut Exposition,
    sample_name: String,
}

impl Exposition {
    pub(super) fn new(open_metrics: bool) -> Exposition {
        Exposition { text: String::new(), open_metrics }
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        if self.open_metrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    /// Writes the head of a family.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) -> Family<'_> {
        let sample_name = match kind {
            Kind::Counter => format!("{name}_total"),
            Kind::Info => format!("{name}_info"),
            Kind::Gauge | Kind::Seconds => name.to_owned(),
        };
        let (head, word) = match kind {
            Kind::Counter if self.open_metrics => (name, "counter"),
            Kind::Info if self.open_metrics => (name, "info"),
            Kind::Counter => (&*sample_name, "counter"),
            Kind::Info | Kind::Gauge | Kind::Seconds => (&*sample_name, "gauge"),
        };
        let unit = if self.open_metrics && kind == Kind::Seconds {
            format!("# UNIT {head} seconds\n")
        } else {
            String::new()
        };
        self.line(format_args!("# HELP {head} {help}\n# TYPE {head} {word}\n{unit}"));
        Family { out: self, sample_name }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(line);
    }
}

impl Family<'_> {
    /// Writes a sample.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let name = &self.sample_name;
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.out.line(format_args!("{name}{labels} {value}\n"));
    }
}

/// A label's value: in both formats exactly these three are escaped.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A time as seconds, to the millisecond and exactly.
pub(super) struct Seconds(pub(super) EventTime);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = self.0.as_millis();
        let sign = if millis < 0 { "-" } else { "" };
        let millis = millis.unsigned_abs();
        write!(f, "{sign}{}.{:03}", millis / 1000, millis % 1000)
    }
}

/// A float; these formats have words for those that are no number.
pub(super) struct Float(pub(super) f64);

impl Display for Float {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escaped("a\\b\"c\nd{}=,é\0"), "a\\\\b\\\"c\\nd{}=,é\0");
    }

    #[test]
    fn times_are_exact_to_the_millisecond() {
        let written = [1_772_366_410_007, 0, -1, -60_000]
            .map(|millis| Seconds(EventTime::from_millis(millis)).to_string());
        assert_eq!(written, ["1772366410.007", "0.000", "-0.001", "-60.000"]);
    }

    #[test]
    fn floats_that_are_no_number_have_words() {
        let written = [f64::NAN, f64::INFINITY, 12.5].map(|value| Float(value).to_string());
        assert_eq!(written, ["NaN", "+Inf", "12.5"]);
    }
}
