//! The document as tables in Markdown.

use std::fmt::Write as _;

use strandline_benches::spread::Spread;

use crate::figures::{Document, Figures, FromBoth, Idle, Measured};

/// One rate and way of fetching, in each round.
type Rounds<'a> = Vec<&'a Measured>;

/// Latencies of one rate and way, from both moments, in each round.
struct Line {
    until: String,
    both: Vec<FromBoth>,
    /// Whether they are of windows or of records.
    of_windows: bool,
}

impl Document {
    /// What was measured and how, a table of final rows, one of live rows, and the idle job.
    pub(crate) fn tables(&self) -> String {
        let settings = &self.settings;
        let counted = settings.seconds - settings.warm_up_seconds.min(settings.seconds);
        let rounds = match self.rounds().iter().map(Vec::len).max() {
            None | Some(1) => String::new(),
            Some(rounds) => format!(" of {rounds} rounds the median (least–greatest);"),
        };
        let mut text = format!(
            "Latencies in milliseconds,{rounds} {counted} s counted of each load; {} devices, {} \
             partitions, `-w {}`, a checkpoint every {} ms, the producer's `linger.ms` {}. {}\n\n",
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
            self.table(&mut text, |rounds| {
                let line = |until: &str, of: fn(&Measured) -> FromBoth| Line {
                    until: until.to_owned(),
                    both: rounds.iter().map(|rate| of(rate)).collect(),
                    of_windows: true,
                };
                vec![
                    line("pushed to a follower", |rate| rate.final_pushed),
                    line("committed in Parquet", |rate| rate.final_committed),
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
            self.table(&mut text, |rounds| {
                let not_shown = rounds.iter().map(|rate| rate.live_not_shown).fold(0.0, f64::max);
                vec![Line {
                    until: format!("in a live row ({:.1} %)", 100.0 * not_shown),
                    both: rounds.iter().map(|rate| rate.live).collect(),
                    of_windows: false,
                }]
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

    /// By rate and way of fetching, in the order in which they first came.
    fn rounds(&self) -> Vec<Rounds<'_>> {
        let mut all: Vec<Rounds<'_>> = Vec::new();
        for rate in &self.rates {
            let is_same =
                |other: &&Measured| (other.rate_hz, &other.fetch) == (rate.rate_hz, &rate.fetch);
            match all.iter_mut().find(|rounds| rounds.first().is_some_and(is_same)) {
                Some(rounds) => rounds.push(rate),
                None => all.push(vec![rate]),
            }
        }
        all
    }

    fn table(&self, text: &mut String, of: fn(&[&Measured]) -> Vec<Line>) {
        text.push_str(
            "| records/s | `--fetch` | until | from | p50 | p99 | p99.99 | max | of |\n\
             |---|---|---|---|---|---|---|---|---|\n",
        );
        for rounds in self.rounds() {
            let kept_up = rounds.iter().all(|rate| rate.producer_kept_up);
            let kept_up = if kept_up { "" } else { " (the producer fell behind)" };
            let windows: u64 = rounds.iter().map(|rate| rate.windows).sum();
            for Line { until, both, of_windows } in of(&rounds) {
                for (moment, from) in ["append", "schedule"].into_iter().enumerate() {
                    let figures = both.iter().map(|both| [both.from_append, both.from_schedule]);
                    let figures: Vec<Figures> = figures.filter_map(|both| both[moment]).collect();
                    if figures.is_empty() {
                        continue;
                    }
                    let [p50, p99, p99_99, max] = cells(&figures);
                    let records: u64 = figures.iter().map(|figures| figures.samples).sum();
                    let of = match of_windows {
                        true => format!("{windows} windows"),
                        false => format!("{records} records"),
                    };
                    let _ = writeln!(
                        text,
                        "| {}{kept_up} | {} | {until} | {from} | {p50} | {p99} | {p99_99} | {max} | {of} |",
                        rounds[0].rate_hz, rounds[0].fetch
                    );
                }
            }
        }
    }
}

/// The p50, p99, p99.99 and maximum: of several rounds the median with least and greatest.
fn cells(rounds: &[Figures]) -> [String; 4] {
    let of: [fn(&Figures) -> f64; 4] = [
        |figures| figures.p50_ms,
        |figures| figures.p99_ms,
        |figures| figures.p99_99_ms,
        |figures| figures.max_ms,
    ];
    of.map(|of| match Spread::of(rounds.iter().map(of)) {
        None => "–".to_owned(),
        Some(spread) if rounds.len() == 1 => format!("{:.1}", spread.median),
        Some(spread) => spread.text(1.0, 1),
    })
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
    fn rounds_are_shown_as_their_median_with_least_and_greatest() {
        let mut document = document();
        let [client, direct] = [0, 1].map(|way| document.rates[way].clone());
        for p99_ms in [205.0, 8.5] {
            let mut round = client.clone();
            round.final_pushed.from_append.as_mut().unwrap().p99_ms = p99_ms;
            document.rates.extend([round, direct.clone()]);
        }
        let tables = document.tables();
        let row = "| 50000 | client | pushed to a follower | append | 2.6 (2.6–2.6) | 8.5 (7.5–205.0) \
                   | 17.3 (17.3–17.3) | 17.3 (17.3–17.3) | 1050 windows |";
        assert!(tables.lines().any(|line| line == row), "{tables}");
        assert!(tables.contains("of 3 rounds the median (least–greatest);"), "{tables}");
    }

    #[test]
    fn a_document_that_is_read_again_has_the_same_tables() {
        let json = serde_json::to_string(&document()).unwrap();
        let again: Document = serde_json::from_str(&json).unwrap();
        assert_eq!(again.tables(), document().tables());
    }

    #[test]
    fn tables_of_results_are_those_of_their_documents() {
        let mut documents = 0;
        for (path, json, tables) in results::recorded().unwrap() {
            if json["bench"] != "latency" {
                continue; // of another bench
            }
            let document: Document = serde_json::from_value(json).unwrap();
            let stale = format!("write it again: latency --render {}", path.display());
            assert_eq!(document.tables(), tables, "{stale}");
            documents += 1;
        }
        assert_ne!(documents, 0);
    }
}
