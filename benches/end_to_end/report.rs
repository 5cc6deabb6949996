//! From runs to figures, and from figures to a document and a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use strandline_benches::machine::Machine;
use strandline_benches::spread::{Spread, text_of};

use crate::comparison;
use crate::counts::{Counted, Difference, Window};
use crate::description::Descriptions;
use crate::peers::Failure;
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
    /// The same by the other way of fetching, which others are held against too: a job that fetches
    /// directly is not to owe its rate to a baseline that does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) direct_baseline: Option<String>,
    /// What the order of runs was drawn from, by round and topic; `runs` are in that order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,
    /// The order of the table's rows; those of old documents are in the order of their first runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) order: Vec<String>,
    /// What others are and what they need, if peers took part.
    #[serde(default, skip_serializing_if = "Descriptions::is_empty")]
    pub(crate) descriptions: Descriptions,
    /// The peers that dropped out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) failures: Vec<Failure>,
    /// What the runs come to.
    pub(crate) figures: Vec<Figures>,
    pub(crate) runs: Vec<Run>,
}

/// What the runs of one contender come to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) contender: String,
    /// Of the run of the largest topic that has most at fault.
    pub(crate) records: u64,
    pub(crate) rows: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) difference: Option<Difference>,
    /// Messages a second from the start of the process to its exit, without what it waits at the
    /// end to see that nothing more comes: as are all times on the wall here.
    pub(crate) whole: Spread,
    /// Messages a second without what start-up costs: the difference of the two topics by the
    /// difference of the times.
    pub(crate) steady: Option<Spread>,
    /// How many times the baseline's rate, round by round.
    pub(crate) whole_ratio: Option<Spread>,
    pub(crate) steady_ratio: Option<Spread>,
    /// The same of the direct baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) whole_ratio_of_direct: Option<Spread>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) steady_ratio_of_direct: Option<Spread>,
    pub(crate) wall_seconds: Spread,
    pub(crate) cpu_seconds_per_million: Spread,
    pub(crate) broker_cpu_seconds_per_million: Option<Spread>,
    pub(crate) peak_mib: Spread,
}

/// The runs of one round of one contender: of the largest topic, and of the smallest if there is
/// another one.
struct Pair<'a> {
    large: &'a Run,
    small: Option<&'a Run>,
    /// What each of them waits at the end.
    quiet_seconds: f64,
}

impl Pair<'_> {
    fn wall_seconds(&self, run: &Run) -> f64 {
        // A run that is shorter than its waiting has not waited.
        let waited = if self.quiet_seconds < run.wall_seconds { self.quiet_seconds } else { 0.0 };
        run.wall_seconds - waited
    }

    fn whole(&self) -> f64 {
        self.large.messages as f64 / self.wall_seconds(self.large)
    }

    fn steady(&self) -> Option<f64> {
        let small = self.small?;
        let messages = self.large.messages - small.messages;
        Some(messages as f64 / (self.large.wall_seconds - small.wall_seconds))
    }
}

impl Document {
    /// With the figures of its runs.
    pub(crate) fn computed(mut self) -> Document {
        let base = self.pairs(&self.baseline);
        let direct = self.direct_baseline.as_ref().map(|name| self.pairs(name)).unwrap_or_default();
        let names = self.contenders();
        let figures =
            names.iter().filter_map(|name| figures(name, &self.pairs(name), &base, &direct));
        let figures = figures.collect();
        self.figures = figures;
        self
    }

    /// Says of runs how they differ from what their topics hold, where nobody has said it: a
    /// document of earlier times has the sums only.
    pub(crate) fn hold_against(&mut self, windows: impl Fn(u64) -> Vec<Window>) {
        for topic in &self.topics {
            let is_open =
                |run: &&mut Run| run.messages == topic.messages && run.difference.is_none();
            let mut open = self.runs.iter_mut().filter(is_open).peekable();
            if open.peek().is_none() {
                continue;
            }
            let windows = windows(topic.messages);
            for run in open {
                let Run { records, rows, .. } = *run;
                let counted = Counted { records, rows, windows: None };
                run.difference = Some(Difference::of(&counted, &windows));
            }
        }
    }

    /// The names of those who ran, in the order of the table.
    pub(crate) fn contenders(&self) -> Vec<&str> {
        let ran = |name: &&str| self.runs.iter().any(|run| run.contender == *name);
        let mut names: Vec<&str> = self.order.iter().map(String::as_str).filter(ran).collect();
        for run in &self.runs {
            if !names.contains(&&*run.contender) {
                names.push(&run.contender);
            }
        }
        names
    }

    pub(crate) fn rounds(&self) -> usize {
        self.runs.iter().map(|run| run.round).max().map_or(0, |round| round + 1)
    }

    /// The runs of a contender by round.
    fn pairs(&self, name: &str) -> BTreeMap<usize, Pair<'_>> {
        let sizes = self.topics.iter().map(|topic| topic.messages);
        let (largest, smallest) = (sizes.clone().max(), sizes.min());
        let quiet_seconds = self
            .descriptions
            .get(name)
            .map_or(0.0, |description| description.quiet_seconds_at_end.into());
        let of = |round: usize, messages: Option<u64>| {
            self.runs.iter().find(|run| {
                run.contender == name && run.round == round && Some(run.messages) == messages
            })
        };
        let pair = |round| {
            let large = of(round, largest)?;
            let small = (smallest < largest).then(|| of(round, smallest)).flatten();
            Some((round, Pair { large, small, quiet_seconds }))
        };
        (0..self.rounds()).filter_map(pair).collect()
    }

    /// The figures as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = self.heading();
        if !self.descriptions.is_empty() {
            text += &comparison::table(self);
            return text;
        }
        let mut of = format!("of {} | steady, of it", self.baseline);
        if let Some(direct) = &self.direct_baseline {
            let _ = write!(of, " | of {direct} | steady, of it");
        }
        let _ = writeln!(
            text,
            "| | M messages/s, start-up included | steady | {of} | wall, s | CPU s a million | \
             broker's | peak MiB | rows |",
        );
        let more = if self.direct_baseline.is_some() { "---|---|" } else { "" };
        let _ = writeln!(text, "|---|---|---|---|---|{more}---|---|---|---|---|");
        for figures in &self.figures {
            let ratio = |spread: Option<&Spread>| text_of(spread, 1.0, 2);
            let mut ratios =
                vec![ratio(figures.whole_ratio.as_ref()), ratio(figures.steady_ratio.as_ref())];
            if self.direct_baseline.is_some() {
                ratios.push(ratio(figures.whole_ratio_of_direct.as_ref()));
                ratios.push(ratio(figures.steady_ratio_of_direct.as_ref()));
            }
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {:.0} | {} |",
                figures.contender,
                figures.whole.text(1e6, 2),
                text_of(figures.steady.as_ref(), 1e6, 2),
                ratios.join(" | "),
                figures.wall_seconds.text(1.0, 2),
                figures.cpu_seconds_per_million.text(1.0, 2),
                text_of(figures.broker_cpu_seconds_per_million.as_ref(), 1.0, 2),
                figures.peak_mib.median,
                figures.rows
            );
        }
        text
    }

    /// What was measured, where and when.
    fn heading(&self) -> String {
        let sizes: Vec<String> =
            self.topics.iter().map(|topic| format!("{} M", topic.messages as f64 / 1e6)).collect();
        format!(
            "{}: topics of {} messages, {} rounds; medians, in brackets least and greatest. {}\n\n",
            self.title,
            sizes.join(" and "),
            self.rounds(),
            self.machine.text(", which ran the broker too")
        )
    }
}

fn figures(
    name: &str,
    own: &BTreeMap<usize, Pair<'_>>,
    base: &BTreeMap<usize, Pair<'_>>,
    direct: &BTreeMap<usize, Pair<'_>>,
) -> Option<Figures> {
    let large: Vec<&Run> = own.values().map(|pair| pair.large).collect();
    let per_million = |value: f64, run: &Run| value * 1e6 / run.messages as f64;
    let beside = |base: &BTreeMap<usize, Pair<'_>>, of: fn(&Pair<'_>) -> Option<f64>| {
        let ratio = |(round, pair): (&usize, &Pair<'_>)| Some(of(pair)? / of(base.get(round)?)?);
        Spread::of(own.iter().filter_map(ratio))
    };
    let whole = |pair: &Pair<'_>| Some(pair.whole());
    let steady = |pair: &Pair<'_>| pair.steady();
    let worst = large.iter().max_by_key(|run| run.difference.map(|found| found.badness()))?;
    Some(Figures {
        contender: name.to_owned(),
        records: worst.records,
        rows: worst.rows,
        difference: worst.difference,
        whole: Spread::of(own.values().map(Pair::whole))?,
        steady: Spread::of(own.values().filter_map(Pair::steady)),
        whole_ratio: beside(base, whole),
        steady_ratio: beside(base, steady),
        whole_ratio_of_direct: beside(direct, whole),
        steady_ratio_of_direct: beside(direct, steady),
        wall_seconds: Spread::of(own.values().map(|pair| pair.wall_seconds(pair.large)))?,
        cpu_seconds_per_million: Spread::of(
            large.iter().map(|run| per_million(run.cpu_seconds, run)),
        )?,
        broker_cpu_seconds_per_million: Spread::of(
            large.iter().filter_map(|run| Some(per_million(run.broker_cpu_seconds?, run))),
        ),
        peak_mib: Spread::of(large.iter().map(|run| run.peak_mib))?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use strandline_benches::results;

    use super::*;
    use crate::description::Description;

    pub(crate) fn run(contender: &str, round: usize, messages: u64, wall_seconds: f64) -> Run {
        Run {
            contender: contender.to_owned(),
            round,
            messages,
            records: messages,
            rows: 7,
            difference: None,
            wall_seconds,
            cpu_seconds: 2.0,
            peak_mib: 1.0,
            processes: Some(1),
            broker_cpu_seconds: None,
        }
    }

    /// A document of runs that are held against `base`.
    pub(crate) fn document(sizes: &[u64], runs: Vec<Run>) -> Document {
        let topic = |messages: &u64| Topic {
            name: String::new(),
            messages: *messages,
            windows: Vec::new(),
        };
        Document {
            title: "a bench".into(),
            machine: Machine::default(),
            topics: sizes.iter().map(topic).collect(),
            baseline: "base".into(),
            direct_baseline: None,
            seed: Some(1),
            order: Vec::new(),
            descriptions: Descriptions::new(),
            failures: Vec::new(),
            figures: Vec::new(),
            runs,
        }
    }

    pub(crate) fn description(name: &str, lines: u64, quiet_seconds_at_end: u32) -> Description {
        Description {
            name: name.to_owned(),
            version: "1.2.3".into(),
            language_of_job: "Python".into(),
            lines,
            things_to_install: vec!["Python 3".into()],
            installed_bytes: 0,
            quiet_seconds_at_end,
        }
    }

    #[test]
    fn a_steady_rate_leaves_out_what_start_up_costs() {
        let runs = vec![
            run("base", 0, 10_000_000, 6.0),
            run("base", 0, 1_000_000, 1.5),
            run("other", 0, 10_000_000, 3.0),
            run("other", 0, 1_000_000, 1.5),
        ];
        let document = document(&[10_000_000, 1_000_000], runs).computed();
        let [base, other] = &document.figures[..] else { panic!("two contenders") };
        assert_eq!(base.steady.unwrap().median, 2e6);
        assert_eq!(other.steady_ratio.unwrap().median, 3.0);
        assert_eq!(other.whole_ratio.unwrap().median, 2.0);
        assert_eq!(other.cpu_seconds_per_million.median, 0.2);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let runs = vec![
            run("base", 0, 1_000_000, 1.0),
            run("other", 0, 1_000_000, 2.0),
            run("base", 1, 1_000_000, 4.0),
            run("other", 1, 1_000_000, 8.0),
        ];
        let document = document(&[1_000_000], runs).computed();
        let ratio = document.figures[1].whole_ratio.unwrap();
        assert_eq!((ratio.min, ratio.max), (0.5, 0.5));
    }

    #[test]
    fn a_rate_is_held_against_the_baseline_of_either_way_of_fetching() {
        let runs = vec![
            run("job", 0, 1_000_000, 2.0),
            run("base", 0, 1_000_000, 4.0),
            run("direct", 0, 1_000_000, 1.0),
        ];
        let mut document = document(&[1_000_000], runs);
        document.direct_baseline = Some("direct".into());
        let document = document.computed();
        let job = &document.figures[0];
        assert_eq!(job.whole_ratio.unwrap().median, 2.0);
        assert_eq!(job.whole_ratio_of_direct.unwrap().median, 0.5);
        let table = document.table();
        assert!(table.contains("| of base | steady, of it | of direct | steady, of it |"));
        assert!(table.contains("| 2.00 (2.00–2.00) | – | 0.50 (0.50–0.50) | – |"), "{table}");
    }

    #[test]
    fn rows_of_a_table_do_not_go_by_the_order_of_runs() {
        let runs = vec![run("other", 0, 1, 1.0), run("base", 0, 1, 1.0)];
        let mut document = document(&[1], runs);
        document.order = ["base", "absent", "other"].map(str::to_owned).into();
        assert_eq!(document.contenders(), ["base", "other"]);
    }

    #[test]
    fn waiting_at_the_end_is_no_work() {
        let runs = vec![
            run("base", 0, 10_000_000, 5.0),
            run("other", 0, 10_000_000, 15.0),
            run("other", 0, 1_000_000, 6.0),
        ];
        let mut document = document(&[10_000_000, 1_000_000], runs);
        document.descriptions.insert("other".into(), description("Other", 1, 5));
        let document = document.computed();
        let other = &document.figures[1];
        assert_eq!(other.wall_seconds.median, 10.0);
        assert_eq!(other.whole.median, 1e6);
        assert_eq!(other.whole_ratio.unwrap().median, 0.5);
        // Both runs wait, so their difference is what it was.
        assert_eq!(other.steady.unwrap().median, 1e6);
        assert_eq!(document.runs[1].wall_seconds, 15.0);
    }

    #[test]
    fn the_worst_run_is_shown() {
        let mut lossy = run("base", 0, 20, 1.0);
        lossy.rows = 1;
        let mut document = document(&[20], vec![lossy, run("base", 1, 20, 1.0)]);
        document.descriptions.insert("base".into(), description("Base", 1, 0));
        document.hold_against(|_| vec![Window { rows: 7, records: 20 }]);
        let document = document.computed();
        assert_eq!(document.figures[0].rows, 1);
        assert!(document.figures[0].difference.unwrap().is_wrong());
        assert!(!document.runs[1].difference.unwrap().is_wrong());
    }

    #[test]
    fn tables_of_results_are_those_of_their_documents() {
        let mut documents = 0;
        for (path, json, table) in results::recorded().unwrap() {
            if json.get("runs").is_none() {
                continue; // of another bench
            }
            let document: Document = serde_json::from_value(json).unwrap();
            documents += 1;
            let stale = format!("write it again: end_to_end render {}", path.display());
            assert_eq!(document.computed().table(), table, "{stale}");
        }
        assert!(2 <= documents, "of the job and of peers");
    }
}
