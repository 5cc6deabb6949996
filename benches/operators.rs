//! What criterion measured, as one document and a table: `scripts/bench operators` calls this with
//! the folder into which its benches have just written.
#![expect(clippy::disallowed_methods, reason = "it reads the files of criterion")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strandline_benches::machine::Machine;
use strandline_benches::results;

/// Collects what criterion measured.
#[derive(Parser)]
#[command(name = "operators", about = "What criterion measured, as one document and a table.")]
struct Options {
    /// The folder that criterion wrote to (CRITERION_HOME): all that is in it counts
    #[arg(long)]
    criterion: PathBuf,
    /// Where the document and the table go, without an ending
    #[arg(long)]
    out: PathBuf,
}

/// All of one sitting.
#[derive(Serialize, Deserialize)]
struct Document {
    bench: String,
    machine: Machine,
    figures: Vec<Figures>,
}

/// What criterion says of one bench.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Figures {
    group: String,
    name: String,
    /// Of one iteration, if it says so.
    elements: Option<u64>,
    median: Estimate,
    mean: Estimate,
}

/// The time of an iteration.
#[derive(Copy, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Estimate {
    ns: f64,
    /// The confidence interval of 95 %, by resampling the samples of this one run.
    lower_ns: f64,
    upper_ns: f64,
}

fn main() -> anyhow::Result<()> {
    let Options { criterion, out } = Options::parse();
    let mut figures = Vec::new();
    collect(&criterion, &mut figures)?;
    ensure!(!figures.is_empty(), "{} holds nothing that was measured", criterion.display());
    figures.sort_by(|a, b| (&a.group, &a.name).cmp(&(&b.group, &b.name)));
    let document = Document { bench: "operators".to_owned(), machine: Machine::this(), figures };
    results::write_to(&out, &document, &document.table())
        .with_context(|| format!("writing {}", out.display()))?;
    print!("{}", document.table());
    Ok(())
}

/// Reads the latest results of each bench below a folder.
fn collect(folder: &Path, figures: &mut Vec<Figures>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("reading {}, where criterion was to write", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if path.ends_with("new") {
            figures.push(of_bench(&path).with_context(|| format!("reading {}", path.display()))?);
        } else {
            collect(&path, figures)?;
        }
    }
    Ok(())
}

fn of_bench(folder: &Path) -> anyhow::Result<Figures> {
    let json = |name: &str| -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&fs::read(folder.join(name))?)?)
    };
    let (about, estimates) = (json("benchmark.json")?, json("estimates.json")?);
    let text = |name: &str| about[name].as_str().unwrap_or_default().to_owned();
    let estimate = |name: &str| {
        let estimate = &estimates[name];
        let interval = &estimate["confidence_interval"];
        let number = |value: &Value| {
            value
                .as_f64()
                .with_context(|| format!("criterion's estimate of the {name} is not as usual"))
        };
        anyhow::Ok(Estimate {
            ns: number(&estimate["point_estimate"])?,
            lower_ns: number(&interval["lower_bound"])?,
            upper_ns: number(&interval["upper_bound"])?,
        })
    };
    Ok(Figures {
        group: text("group_id"),
        name: text("function_id"),
        elements: about["throughput"]["Elements"].as_u64(),
        median: estimate("median")?,
        mean: estimate("mean")?,
    })
}

impl Document {
    fn table(&self) -> String {
        let mut text = format!(
            "Operators, from memory: medians, in brackets the interval that holds the median with 95 % \
             confidence. The interval is of the samples of one run, so it says nothing of how this \
             machine differs from hour to hour. {}\n\n\
             | | | M elements/s | ns an element | elements |\n|---|---|---|---|---|\n",
            self.machine.text("")
        );
        for Figures { group, name, elements, median, .. } in &self.figures {
            // Without elements, an iteration is one.
            let elements = elements.unwrap_or(1);
            let ns = |ns: f64| ns / elements as f64;
            let (ns, lower, upper) = (ns(median.ns), ns(median.lower_ns), ns(median.upper_ns));
            let rate = |ns: f64| 1e3 / ns;
            let _ = writeln!(
                text,
                "| {group} | {name} | {:.2} ({:.2}–{:.2}) | {ns:.1} ({lower:.1}–{upper:.1}) | \
                 {elements} |",
                rate(ns),
                rate(upper),
                rate(lower)
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BENCHMARK: &str =
        r#"{"group_id":"decode","function_id":"fast path","throughput":{"Elements":10000}}"#;
    const ESTIMATES: &str = r#"{
        "mean":{"confidence_interval":{"lower_bound":1.0,"upper_bound":3.0},"point_estimate":2.0},
        "median":{"confidence_interval":{"lower_bound":1e6,"upper_bound":4e6},"point_estimate":2e6}
    }"#;

    #[test]
    fn what_criterion_measured_is_collected_and_nothing_that_it_measured_before() {
        let there = tempfile::tempdir().unwrap();
        for which in ["new", "base"] {
            let folder = there.path().join("decode/fast path").join(which);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("benchmark.json"), BENCHMARK).unwrap();
            fs::write(folder.join("estimates.json"), ESTIMATES).unwrap();
        }
        let mut figures = Vec::new();
        collect(there.path(), &mut figures).unwrap();
        assert_eq!(figures.len(), 1);
        let document = Document { bench: "operators".into(), machine: Machine::default(), figures };
        let row = "| decode | fast path | 5.00 (2.50–10.00) | 200.0 (100.0–400.0) | 10000 |";
        assert!(document.table().lines().any(|line| line == row), "{}", document.table());
    }
}
