//! The document as tables in Markdown.

use std::fmt::Write as _;

use crate::figures::{Document, Figures, FromBoth, Idle, Measured};

/// Latencies of one rate and way, from both moments.
struct Line {
    until: String,
    both: FromBoth,
    /// Of final rows, how many windows they are of.
    windows: Option<u64>,
}

impl Document {
    /// What was measured and how, a table of final rows, one of live rows, and the idle job.
    pub(crate) fn tables(&self) -> String {
        let settings = &self.settings;
        let counted = settings.seconds - settings.warm_up_seconds.min(settings.seconds);
        let mut text = format!(
            "Latencies in milliseconds, {counted} s counted of each load; {} devices, {} partitions, \
             `-w {}`, a checkpoint every {} ms, the producer's `linger.ms` {}. {}\n\n",
            settings.devices,
            settings.partitions,
            settings.workers,
            settings.checkpoint_every_ms,
            settings.linger_ms,
            self.machine.text(", which ran the broker and the producer too")
        );
        if self.rates.iter().any(|rate| 0 < rate.windows) {
            let _ = writeln!(
                text,
                "Final rows, windows of {} ms and a watermark of 0: from the append of the last record \
                 that a window needs, and from when it was to be sent, which includes the producer and \
                 leaves nothing out. Rows of a window come together, so of fewer than 10 000 windows \
                 the p99.99 is the greatest of all.\n",
                settings.final_window_ms
            );
            self.table(&mut text, |rate| {
                let line = |until: &str, both| Line {
                    until: until.to_owned(),
                    both,
                    windows: Some(rate.windows),
                };
                vec![
                    line("pushed to a follower", rate.final_pushed),
                    line("committed in Parquet", rate.final_committed),
                ]
            });
        }
        if self.rates.iter().any(|rate| rate.live.from_append.is_some()) {
            let _ = writeln!(
                text,
                "\nLive rows, windows of {} s and a watermark of {} s, a view at most every {} ms: from \
                 each record's append, and from when it was to be sent, until the first published \
                 row that holds it. In brackets the records that no live row held, because another \
                 window was shown by then.\n",
                settings.live_window_ms / 1_000,
                settings.live_watermark_ms / 1_000,
                settings.publish_every_ms
            );
            self.table(&mut text, |rate| {
                let until = format!("in a live row ({:.1} %)", 100.0 * rate.live_not_shown);
                vec![Line { until, both: rate.live, windows: None }]
            });
        }
        for Idle { fetch, rate_hz, seconds, share_of_a_core } in &self.idle {
            let _ = writeln!(
                text,
                "\nAt {rate_hz} records a second, with somebody who looks at the page, `--fetch {fetch}` \
                 takes {:.1} % of a core ({seconds:.0} s).",
                100.0 * share_of_a_core
            );
        }
        text
    }

    fn table(&self, text: &mut String, of: fn(&Measured) -> Vec<Line>) {
        text.push_str(
            "| records/s | `--fetch` | until | from | p50 | p99 | p99.99 | max | of |\n\
             |---|---|---|---|---|---|---|---|---|\n",
        );
        for rate in &self.rates {
            let kept_up = if rate.producer_kept_up { "" } else { " (the producer fell behind)" };
            for Line { until, both, windows } in of(rate) {
                for (from, figures) in
                    [("append", both.from_append), ("schedule", both.from_schedule)]
                {
                    let Some(Figures { samples, p50_ms, p99_ms, p99_99_ms, max_ms }) = figures
                    else {
                        continue;
                    };
                    let of = match windows {
                        None => format!("{samples} records"),
                        Some(windows) => format!("{windows} windows"),
                    };
                    let _ = writeln!(
                        text,
                        "| {}{kept_up} | {} | {until} | {from} | {p50_ms:.1} | {p99_ms:.1} | \
                         {p99_99_ms:.1} | {max_ms:.1} | {of} |",
                        rate.rate_hz, rate.fetch
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use strandline_benches::machine::Machine;
    use strandline_benches::results;

    use super::*;
    use crate::figures::Settings;

    fn document() -> Document {
        let figures = |p50_ms| Figures {
            samples: 350_000,
            p50_ms,
            p99_ms: 7.5,
            p99_99_ms: 17.3,
            max_ms: 17.3,
        };
        let both = |p50_ms| FromBoth {
            from_append: Some(figures(p50_ms)),
            from_schedule: Some(figures(p50_ms + 4.0)),
        };
        let measured = |fetch: &str, p50_ms| Measured {
            fetch: fetch.to_owned(),
            rate_hz: 50_000,
            producer_kept_up: fetch == "client",
            windows: 350,
            final_pushed: both(p50_ms),
            live: both(100.0),
            live_not_shown: 0.021,
            ..Measured::default()
        };
        Document {
            bench: "latency".into(),
            machine: Machine::default(),
            settings: Settings {
                workers: 2,
                devices: 1_000,
                partitions: 4,
                seconds: 40,
                warm_up_seconds: 5,
                final_window_ms: 100,
                live_window_ms: 10_000,
                live_watermark_ms: 60_000,
                publish_every_ms: 250,
                checkpoint_every_ms: 1_000,
                linger_ms: 5,
            },
            rates: vec![measured("client", 2.6), measured("direct", 2.5)],
            idle: vec![Idle {
                fetch: "client".into(),
                rate_hz: 32,
                seconds: 30.0,
                share_of_a_core: 0.029,
            }],
        }
    }

    #[test]
    fn both_ways_are_shown_from_the_append_and_from_the_schedule() {
        let tables = document().tables();
        for row in [
            "| 50000 | client | pushed to a follower | append | 2.6 | 7.5 | 17.3 | 17.3 | 350 windows |",
            "| 50000 (the producer fell behind) | direct | pushed to a follower | schedule | 6.5 | 7.5 \
             | 17.3 | 17.3 | 350 windows |",
            "| 50000 | client | in a live row (2.1 %) | append | 100.0 | 7.5 | 17.3 | 17.3 | 350000 \
             records |",
        ] {
            assert!(tables.lines().any(|line| line == row), "{tables}");
        }
        assert!(tables.contains("`--fetch client` takes 2.9 % of a core (30 s)."), "{tables}");
    }

    #[test]
    fn a_document_that_is_read_again_has_the_same_tables() {
        let json = serde_json::to_string(&document()).unwrap();
        let again: Document = serde_json::from_str(&json).unwrap();
        assert_eq!(again.tables(), document().tables());
    }

    #[test]
    fn tables_of_results_are_those_of_their_documents() {
        for (path, json, tables) in results::recorded().unwrap() {
            if json["bench"] != "latency" {
                continue; // of another bench
            }
            let document: Document = serde_json::from_value(json).unwrap();
            let stale = format!("write it again: latency --render {}", path.display());
            assert_eq!(document.tables(), tables, "{stale}");
        }
    }
}
