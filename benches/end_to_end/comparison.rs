//! The table of engines beside each other, and what has to be said under it.

use std::fmt::Write as _;

use strandline_benches::spread::text_of;

use crate::counts::Difference;
use crate::description::Description;
use crate::report::{Document, Figures};

/// What a column is about, and whether more of it is better.
struct Measure {
    name: &'static str,
    more_is_better: bool,
    /// In the unit of `digits`; `None` where it is not known.
    of: fn(&Figures, &Description) -> Option<f64>,
    digits: usize,
}

const MEASURES: [Measure; 7] = [
    Measure {
        name: "M messages/s, whole",
        more_is_better: true,
        of: |figures, _| Some(figures.whole.median / 1e6),
        digits: 2,
    },
    Measure {
        name: "M messages/s, steady",
        more_is_better: true,
        of: |figures, _| Some(figures.steady?.median / 1e6),
        digits: 2,
    },
    Measure {
        name: "CPU seconds a million",
        more_is_better: false,
        of: |figures, _| Some(figures.cpu_seconds_per_million.median),
        digits: 2,
    },
    Measure {
        name: "the broker's CPU seconds",
        more_is_better: false,
        of: |figures, _| Some(figures.broker_cpu_seconds_per_million?.median),
        digits: 2,
    },
    Measure {
        name: "peak MiB",
        more_is_better: false,
        of: |figures, _| Some(figures.peak_mib.median),
        digits: 0,
    },
    Measure {
        name: "lines to write",
        more_is_better: false,
        of: |_, description| Some(description.lines as f64),
        digits: 0,
    },
    Measure {
        name: "MB to install",
        more_is_better: false,
        of: |_, description| match description.installed_bytes {
            0 => None,
            bytes => Some(bytes as f64 / 1e6),
        },
        digits: 0,
    },
];

/// A row for each contender, and the notes.
pub(crate) fn table(document: &Document) -> String {
    let mut of = format!("whole, of {}", document.baseline);
    if let Some(direct) = &document.direct_baseline {
        let _ = write!(of, " | whole, of {direct}");
    }
    let more = if document.direct_baseline.is_some() { "---|" } else { "" };
    let mut text = format!(
        "| | version | M messages/s, whole | steady | {of} | wall, s | CPU s a million | broker's | \
         peak MiB | lines to write | to install | rows |\n\
         |---|---|---|---|---|{more}---|---|---|---|---|---|---|\n",
    );
    for figures in &document.figures {
        let about = document.descriptions.get(&figures.contender);
        let [version, lines, to_install] = match about {
            Some(about) => [about.version.clone(), about.lines.to_string(), about.to_install()],
            None => ["–"; 3].map(str::to_owned),
        };
        let mut ratio = text_of(figures.whole_ratio.as_ref(), 1.0, 2);
        if document.direct_baseline.is_some() {
            let of_direct = text_of(figures.whole_ratio_of_direct.as_ref(), 1.0, 2);
            let _ = write!(ratio, " | {of_direct}");
        }
        let _ = writeln!(
            text,
            "| {} | {version} | {} | {} | {} | {} | {} | {} | {} | {lines} | {to_install} | {} |",
            shown(document, &figures.contender),
            figures.whole.text(1e6, 2),
            text_of(figures.steady.as_ref(), 1e6, 2),
            ratio,
            figures.wall_seconds.text(1.0, 2),
            figures.cpu_seconds_per_million.text(1.0, 2),
            text_of(figures.broker_cpu_seconds_per_million.as_ref(), 1.0, 2),
            figures.peak_mib.text(1.0, 0),
            rows(figures.rows, figures.difference),
        );
    }
    let notes = [
        waited(document),
        memory(document),
        left_open(document),
        better(document),
        wrong(document),
        fewer_rounds(document),
        dropped_out(document),
    ];
    for note in notes.into_iter().flatten() {
        let _ = write!(text, "\n{note}\n");
    }
    text
}

/// Strandline has several rows, so its rows keep what tells them apart.
fn shown<'a>(document: &'a Document, contender: &'a str) -> &'a str {
    match document.descriptions.get(contender) {
        Some(about) if !is_ours(contender) => &about.name,
        _ => contender,
    }
}

fn is_ours(contender: &str) -> bool {
    contender.starts_with("Strandline")
}

fn rows(rows: u64, difference: Option<Difference>) -> String {
    difference.map_or_else(|| rows.to_string(), |difference| difference.text(rows))
}

fn waited(document: &Document) -> Option<String> {
    let mut waited = Vec::new();
    for figures in &document.figures {
        let about = document.descriptions.get(&figures.contender);
        let quiet = about.map_or(0, |about| about.quiet_seconds_at_end);
        if 0 < quiet {
            waited.push(format!("{} {quiet} s", shown(document, &figures.contender)));
        }
    }
    (!waited.is_empty()).then(|| {
        format!(
            "Subtracted from the wall time of each run, because it waits so long at the end of the \
             topic to see that nothing more comes: {}. If it still reads in those seconds, after \
             its last row, that is not counted, which is in its favour.",
            waited.join(", ")
        )
    })
}

/// What the memory of several processes is, if somebody was several.
fn memory(document: &Document) -> Option<String> {
    let mut several = Vec::new();
    for figures in &document.figures {
        let runs = document.runs.iter().filter(|run| run.contender == figures.contender);
        if let Some(processes) = runs.filter_map(|run| run.processes).max().filter(|of| 1 < *of) {
            several.push(format!("{} ({processes})", shown(document, &figures.contender)));
        }
    }
    (!several.is_empty()).then(|| {
        format!(
            "Peak memory is the kernel's own figure where a run is one process. Several, at most: {}. \
             Theirs is the greatest sum of resident memory that was seen, looked at 40 times a \
             second; memory that they share counts for each.",
            several.join(", ")
        )
    })
}

fn left_open(document: &Document) -> Option<String> {
    let mut differences = document.figures.iter().filter_map(|figures| figures.difference);
    differences.any(|difference| 0 < difference.windows_left_open).then(|| {
        "Windows left open: their records were read and aggregated, but the watermark has not \
         passed their ends, and the engine does not take the end of the topic for the end of time. \
         So their rows were not written."
            .to_owned()
    })
}

fn better(document: &Document) -> Option<String> {
    let figures = &document.figures;
    let ours = figures.iter().find(|figures| is_ours(&figures.contender))?;
    let about = document.descriptions.get(&ours.contender)?;
    let mut columns = Vec::new();
    for measure in &MEASURES {
        let Some(our_value) = (measure.of)(ours, about) else { continue };
        let text = |value: f64| format!("{value:.*}", measure.digits);
        let better: Vec<String> = figures
            .iter()
            .filter(|figures| !is_ours(&figures.contender))
            .filter_map(|figures| {
                let value = (measure.of)(figures, document.descriptions.get(&figures.contender)?)?;
                let is_better =
                    if measure.more_is_better { our_value < value } else { value < our_value };
                let name = shown(document, &figures.contender);
                is_better.then(|| format!("{name} {}", text(value)))
            })
            .collect();
        if !better.is_empty() {
            let (name, our_value) = (measure.name, text(our_value));
            columns.push(format!("{name} ({our_value}): {}", better.join(", ")));
        }
    }
    let ours = &ours.contender;
    Some(if columns.is_empty() {
        format!("No peer is better than {ours} in any column.")
    } else {
        format!("Peers that are better than {ours}, by medians: {}.", columns.join("; "))
    })
}

fn wrong(document: &Document) -> Option<String> {
    let mut wrong = Vec::new();
    for contender in document.contenders() {
        let runs = document.runs.iter().filter(|run| run.contender == contender);
        let faulty =
            runs.clone().filter(|run| run.difference.is_some_and(|found| found.is_wrong()));
        let (faulty, all) = (faulty.count(), runs.count());
        if 0 < faulty {
            let name = shown(document, contender);
            wrong.push(format!("{name} in {faulty} of {all} runs"));
        }
    }
    (!wrong.is_empty()).then(|| {
        format!(
            "Wrong results: {}. The table has what the worst run of the largest topic wrote.",
            wrong.join(", ")
        )
    })
}

fn fewer_rounds(document: &Document) -> Option<String> {
    let mut fewer = Vec::new();
    for figures in &document.figures {
        let of_largest = document.topics.iter().map(|topic| topic.messages).max()?;
        let runs = document.runs.iter();
        let ran = runs
            .filter(|run| run.contender == figures.contender && run.messages == of_largest)
            .count();
        if ran < document.rounds() {
            fewer.push(format!("{} {ran}", shown(document, &figures.contender)));
        }
    }
    (!fewer.is_empty()).then(|| format!("Fewer rounds than the others: {}.", fewer.join(", ")))
}

fn dropped_out(document: &Document) -> Option<String> {
    let failures: Vec<String> = document
        .failures
        .iter()
        .map(|failure| format!("{} ({})", shown(document, &failure.contender), failure.at))
        .collect();
    (!failures.is_empty()).then(|| format!("Dropped out: {}.", failures.join(", ")))
}

#[cfg(test)]
mod tests {
    use crate::counts::Window;
    use crate::peers::Failure;
    use crate::report::Document;
    use crate::report::tests::{description, document, run};

    const OURS: &str = "Strandline -w 2, no checkpoints";

    fn of_a_peer() -> Document {
        let runs = vec![
            run("base", 0, 2_000_000, 1.0),
            run(OURS, 0, 2_000_000, 1.0),
            run("slow", 0, 2_000_000, 9.0),
            run("base", 1, 2_000_000, 1.0),
            run(OURS, 1, 2_000_000, 1.0),
        ];
        let mut document = document(&[2_000_000], runs);
        document.descriptions.insert(OURS.into(), description("Strandline", 59, 0));
        document.descriptions.insert("slow".into(), description("Slow Streams", 24, 5));
        document
    }

    fn table(mut document: Document, rows: u64) -> String {
        document.hold_against(|_| vec![Window { rows, records: 2_000_000 }]);
        document.computed().table()
    }

    #[test]
    fn a_row_says_what_an_engine_is_and_what_it_needs() {
        let table = table(of_a_peer(), 7);
        let row = "| Slow Streams | 1.2.3 | 0.50 (0.50–0.50) | – | 0.25 (0.25–0.25) | 4.00 \
                   (4.00–4.00) | 1.00 (1.00–1.00) | – | 1 (1–1) | 24 | Python 3 | 7 |";
        assert!(table.lines().any(|line| line == row), "{table}");
        assert!(table.lines().any(|line| line.starts_with("| base | – |")), "{table}");
    }

    #[test]
    fn who_was_helped_and_who_is_better_is_said() {
        let table = table(of_a_peer(), 7);
        assert!(table.contains("to see that nothing more comes: Slow Streams 5 s."), "{table}");
        let better = "no checkpoints, by medians: lines to write (59): Slow Streams 24.";
        assert!(table.contains(better), "{table}");
        assert!(table.contains("Fewer rounds than the others: Slow Streams 1."), "{table}");
        assert!(!table.contains("Wrong results") && !table.contains("Dropped out"), "{table}");
    }

    #[test]
    fn memory_of_several_processes_is_said_to_be_a_sum() {
        let mut of_a_peer = of_a_peer();
        of_a_peer.runs[2].processes = Some(3);
        assert!(table(of_a_peer, 7).contains("Several, at most: Slow Streams (3)."));
        assert!(!table(self::of_a_peer(), 7).contains("Several"));
    }

    #[test]
    fn lost_rows_are_said() {
        let mut of_a_peer = of_a_peer();
        of_a_peer.runs[2].rows = 5;
        let table = table(of_a_peer, 7);
        assert!(table.contains("| **wrong**: 5; 2 rows missing |"), "{table}");
        assert!(table.contains("Wrong results: Slow Streams in 1 of 1 runs."), "{table}");
    }

    #[test]
    fn who_dropped_out_is_said_without_what_is_about_one_computer() {
        let mut of_a_peer = of_a_peer();
        let why = "no such file: /home/somebody".to_owned();
        let at = "being installed".to_owned();
        of_a_peer.failures.push(Failure { contender: "heavy".into(), at, why });
        let json = serde_json::to_string(&of_a_peer).unwrap();
        assert!(json.contains("heavy") && !json.contains("somebody"), "{json}");
        assert!(table(of_a_peer, 7).contains("Dropped out: heavy (being installed)."));
    }
}
