//! From runs to figures, and from figures to a document and a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::rounds::{Run, Topic};

/// Everything of one bench: what a file in `results/` holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Document {
    pub(crate) title: String,
    pub(crate) machine: Machine,
    /// The topics, the largest first; rates come from the largest.
    pub(crate) topics: Vec<Topic>,
    /// What others are held against.
    pub(crate) baseline: String,
    pub(crate) figures: Vec<Figures>,
    pub(crate) runs: Vec<Run>,
}

/// What the runs of one contender come to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) contender: String,
    pub(crate) records: u64,
    pub(crate) rows: u64,
    /// Messages a second from the start of the process to its exit.
    pub(crate) whole: Spread,
    /// Messages a second without what start-up costs: the difference of the two topics by the
    /// difference of the times.
    pub(crate) steady: Option<Spread>,
    /// How many times the baseline's rate, round by round.
    pub(crate) whole_ratio: Option<Spread>,
    pub(crate) steady_ratio: Option<Spread>,
    pub(crate) wall_seconds: Spread,
    pub(crate) cpu_seconds_per_million: Spread,
    pub(crate) broker_cpu_seconds_per_million: Option<Spread>,
    pub(crate) peak_mib: Spread,
}

/// The least, the middle and the greatest of some values.
#[derive(Copy, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        Some(Spread { min, median, max })
    }
}

/// The runs of one round of one contender: of the largest topic, and of the smallest if there is
/// another one.
struct Pair<'a> {
    large: &'a Run,
    small: Option<&'a Run>,
}

impl Pair<'_> {
    fn whole(&self) -> f64 {
        self.large.messages as f64 / self.large.wall_seconds
    }

    fn steady(&self) -> Option<f64> {
        let small = self.small?;
        let messages = self.large.messages - small.messages;
        Some(messages as f64 / (self.large.wall_seconds - small.wall_seconds))
    }
}

impl Document {
    pub(crate) fn new(
        title: String,
        machine: Machine,
        topics: Vec<Topic>,
        baseline: String,
        runs: Vec<Run>,
    ) -> Document {
        let largest = topics.iter().map(|topic| topic.messages).max().unwrap_or(0);
        let smallest = topics.iter().map(|topic| topic.messages).min().unwrap_or(0);
        let mut names: Vec<&str> = Vec::new();
        for run in &runs {
            if !names.contains(&&*run.contender) {
                names.push(&run.contender);
            }
        }
        let pairs = |name: &str| -> BTreeMap<usize, Pair<'_>> {
            let of = |round: usize, messages: u64| {
                runs.iter().find(|run| {
                    run.contender == name && run.round == round && run.messages == messages
                })
            };
            let rounds = runs.iter().map(|run| run.round).max().map_or(0, |round| round + 1);
            let pair = |round| {
                let large = of(round, largest)?;
                let small = (smallest < largest).then(|| of(round, smallest)).flatten();
                Some((round, Pair { large, small }))
            };
            (0..rounds).filter_map(pair).collect()
        };
        let base = pairs(&baseline);
        let figures = names.iter().filter_map(|name| figures(name, &pairs(name), &base)).collect();
        Document { title, machine, topics, baseline, figures, runs }
    }

    /// The figures as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let sizes: Vec<String> = self.topics.iter().map(|topic| millions(topic.messages)).collect();
        let rounds = self.runs.iter().map(|run| run.round).max().map_or(0, |round| round + 1);
        let _ = writeln!(
            text,
            "{}: topics of {} messages, {rounds} rounds; medians, in brackets least and \
             greatest. {}\n",
            self.title,
            sizes.join(" and "),
            self.machine
        );
        let _ = writeln!(
            text,
            "| | M messages/s, start-up included | steady | of {} | steady, of it | wall, s | CPU \
             s a million | broker's | peak MiB | rows |",
            self.baseline
        );
        text.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
        for figures in &self.figures {
            let number = |spread: &Spread, scale: f64, digits: usize| {
                let [least, median, greatest] =
                    [spread.min, spread.median, spread.max].map(|value| value / scale);
                format!("{median:.digits$} ({least:.digits$}–{greatest:.digits$})")
            };
            let some = |spread: &Option<Spread>, scale, digits| {
                spread.as_ref().map_or("–".to_owned(), |spread| number(spread, scale, digits))
            };
            let rows = if figures.records == self.largest() || figures.records == 0 {
                figures.rows.to_string()
            } else {
                format!("{} ({} records)", figures.rows, figures.records)
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {:.0} | {rows} |",
                figures.contender,
                number(&figures.whole, 1e6, 2),
                some(&figures.steady, 1e6, 2),
                some(&figures.whole_ratio, 1.0, 2),
                some(&figures.steady_ratio, 1.0, 2),
                number(&figures.wall_seconds, 1.0, 2),
                number(&figures.cpu_seconds_per_million, 1.0, 2),
                some(&figures.broker_cpu_seconds_per_million, 1.0, 2),
                figures.peak_mib.median,
            );
        }
        text
    }

    fn largest(&self) -> u64 {
        self.topics.iter().map(|topic| topic.messages).max().unwrap_or(0)
    }
}

fn figures(
    name: &str,
    own: &BTreeMap<usize, Pair<'_>>,
    base: &BTreeMap<usize, Pair<'_>>,
) -> Option<Figures> {
    let large: Vec<&Run> = own.values().map(|pair| pair.large).collect();
    let per_million = |value: f64, run: &Run| value * 1e6 / run.messages as f64;
    let beside = |of: &dyn Fn(&Pair<'_>) -> Option<f64>| {
        let ratio = |(round, pair): (&usize, &Pair<'_>)| Some(of(pair)? / of(base.get(round)?)?);
        Spread::of(own.iter().filter_map(ratio))
    };
    let last = large.last()?;
    Some(Figures {
        contender: name.to_owned(),
        records: last.records,
        rows: last.rows,
        whole: Spread::of(own.values().map(Pair::whole))?,
        steady: Spread::of(own.values().filter_map(Pair::steady)),
        whole_ratio: beside(&|pair| Some(pair.whole())),
        steady_ratio: beside(&|pair| pair.steady()),
        wall_seconds: Spread::of(large.iter().map(|run| run.wall_seconds))?,
        cpu_seconds_per_million: Spread::of(
            large.iter().map(|run| per_million(run.cpu_seconds, run)),
        )?,
        broker_cpu_seconds_per_million: Spread::of(
            large.iter().filter_map(|run| Some(per_million(run.broker_cpu_seconds?, run))),
        ),
        peak_mib: Spread::of(large.iter().map(|run| run.peak_mib))?,
    })
}

fn millions(messages: u64) -> String {
    let millions = messages as f64 / 1e6;
    format!("{millions} M")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(contender: &str, round: usize, messages: u64, wall_seconds: f64) -> Run {
        Run {
            contender: contender.to_owned(),
            round,
            messages,
            records: messages,
            rows: 7,
            wall_seconds,
            cpu_seconds: 2.0,
            peak_mib: 1.0,
            broker_cpu_seconds: None,
        }
    }

    #[test]
    fn a_steady_rate_leaves_out_what_start_up_costs() {
        let topics = [10_000_000, 1_000_000];
        let topics = topics.map(|messages| Topic { name: String::new(), messages });
        let runs = vec![
            run("base", 0, 10_000_000, 6.0),
            run("base", 0, 1_000_000, 1.5),
            run("other", 0, 10_000_000, 3.0),
            run("other", 0, 1_000_000, 1.5),
        ];
        let document = Document::new(
            "a bench".into(),
            Machine::of_tests(),
            topics.into(),
            "base".into(),
            runs,
        );
        let [base, other] = &document.figures[..] else { panic!("two contenders") };
        assert_eq!(base.steady.unwrap().median, 2e6);
        assert_eq!(other.steady_ratio.unwrap().median, 3.0);
        assert_eq!(other.whole_ratio.unwrap().median, 2.0);
        assert_eq!(other.cpu_seconds_per_million.median, 0.2);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let topics = vec![Topic { name: String::new(), messages: 1_000_000 }];
        let runs = vec![
            run("base", 0, 1_000_000, 1.0),
            run("other", 0, 1_000_000, 2.0),
            run("base", 1, 1_000_000, 4.0),
            run("other", 1, 1_000_000, 8.0),
        ];
        let document =
            Document::new(String::new(), Machine::of_tests(), topics, "base".into(), runs);
        let ratio = document.figures[1].whole_ratio.unwrap();
        assert_eq!((ratio.min, ratio.max), (0.5, 0.5));
    }
}
