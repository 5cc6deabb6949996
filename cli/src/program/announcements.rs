//! What a program says before and after its job runs.

use std::io::{self, Write as _};

use serde_json::json;
use strandline_dashboard::Dashboard;
use strandline_engine::clock::Clock;
use strandline_engine::job::Summary;
use strandline_engine::reason_words::ReasonWords;
use strandline_engine::source::kafka::LeftOut;
use strandline_operators::decode::DeadReason;

use super::keeping::Keeping;
use super::trouble::Trouble;
use crate::demonstration::{self, World};
use crate::duration;
use crate::options::{Checkpoint, Options};
use crate::status::Voice;

/// What runs where, in lines.
pub(super) fn introduction(
    options: &Options,
    world: &World,
    keeping: Option<&Keeping>,
    page: Option<&Dashboard>,
    name: &str,
) -> Vec<String> {
    let mut lines = Vec::new();
    let topic = &options.topic;
    if world.is_embedded() {
        let miss = demonstration::near_miss().map(|miss| format!(" ({miss})"));
        lines.push(format!(
            "broker   none was given{}: this is the demonstration, on a broker in this process at {}, topic {topic}",
            miss.unwrap_or_default(),
            world.bootstrap
        ));
    } else {
        lines.push(format!("broker   {}, topic {topic}", world.bootstrap));
    }
    if options.simulate || world.is_embedded() {
        lines.push(format!(
            "fleet    {} simulated devices, {} messages a second each",
            options.devices, options.rate
        ));
    }
    lines.push(format!(
        "job      {} worker{}, windows of {}, records up to {} late (--watermark)",
        options.workers(),
        if options.workers() == 1 { "" } else { "s" },
        duration::text(options.window),
        duration::text(options.watermark)
    ));
    lines.push(format!(
        "outputs  {}: latest.json, parquet/, late/, dead_letters/",
        options.out.display()
    ));
    match keeping {
        Some(Keeping { place, continues: Some(continued), .. }) => {
            lines.push(format!("keeping  checkpoints in {place}: resumes from {continued}"));
        }
        Some(Keeping { place, .. }) => lines.push(format!("keeping  checkpoints in {place}")),
        None if world.is_embedded() => {
            lines.push(
                "keeping  no checkpoints: the embedded broker ends with this process".to_owned(),
            );
        }
        None => lines.push("keeping  no checkpoints".to_owned()),
    }
    if let Some(page) = page {
        lines.push(format!("page     http://{}", page.local_addr()));
    }
    if world.is_embedded() {
        lines.push(format!(
            "         with a real Kafka: {name} --bootstrap localhost:9092 (or KAFKA_BOOTSTRAP)"
        ));
    }
    lines.push("         Ctrl-C stops".to_owned());
    if options.process == 0 {
        lines.append(&mut options.without_effect());
        if keeping.is_some_and(|keeping| keeping.continues.is_some()) {
            lines.append(&mut options.without_effect_on_a_checkpoint());
        }
    }
    lines
}

/// Says what the run came to.
///
/// # Errors
///
/// What is to be said by the exit code, too.
pub(super) fn conclude(
    options: &Options,
    summary: &Summary,
    left_out: &[LeftOut],
    words: &ReasonWords,
    clock: &Clock,
    voice: &Voice,
) -> Result<(), Trouble> {
    summarize(options, summary, left_out, clock, voice).map_err(|error| {
        Trouble::Failed(format!(
            "the summary cannot be written to the standard output: {error}; all outputs are complete"
        ))
    })?;
    if let Some(line) = nothing_readable(options, summary, words) {
        return Err(Trouble::Unreadable(line));
    }
    match stopped_early(options, summary) {
        Some(line) => Err(Trouble::StoppedEarly(line)),
        None => Ok(()),
    }
}

/// Says it; of a bounded run, one JSON object on the standard output stream.
fn summarize(
    options: &Options,
    summary: &Summary,
    left_out: &[LeftOut],
    clock: &Clock,
    voice: &Voice,
) -> io::Result<()> {
    let ledger = &summary.ledger;
    let seconds = clock.elapsed().as_secs_f64();
    voice.say(&format!(
        "read {} records: {} windowed, {} late, {} dead letters; {} final rows",
        ledger.read,
        ledger.windowed,
        ledger.late,
        ledger.dead_letters(),
        summary.final_rows
    ));
    if !summary.finished && 0 < summary.open_windows {
        let continuation = match summary.continues {
            true => "continue at the next start",
            false => "do not continue (no checkpoints)",
        };
        let open = summary.open_windows;
        voice.say(&format!("open windows: {open}; they are not final and {continuation}"));
    }
    let left_out: u64 = left_out.iter().map(LeftOut::offsets).sum();
    if 0 < left_out {
        voice.say(&format!(
            "left out: {left_out} offsets behind transactions that were open at the start"
        ));
    }
    if options.bounded && summary.finished {
        let line = json!({
            "records": ledger.read,
            "records_of_this_run": ledger.read - summary.read_before,
            "late": ledger.late,
            "dead_letters": ledger.dead_letters(),
            "final_rows": summary.final_rows,
            "left_out": left_out,
            "seconds": seconds,
            "records_per_second": (ledger.read - summary.read_before) as f64 / seconds,
        });
        let mut stdout = io::stdout();
        writeln!(stdout, "{line}")?;
        stdout.flush()?;
    }
    Ok(())
}

/// What to say of a bounded run of which not a single record could be read.
fn nothing_readable(options: &Options, summary: &Summary, words: &ReasonWords) -> Option<String> {
    let ledger = &summary.ledger;
    if !options.bounded || !summary.finished || ledger.read == 0 {
        return None;
    }
    if ledger.dead_letters() < ledger.read {
        return None;
    }
    let counts = DeadReason::ALL.iter().zip(ledger.dead).filter(|(_, count)| *count > 0);
    let counts = counts.map(|(reason, count)| format!("{count} {}", words.code_and_words(*reason)));
    Some(format!(
        "none of the {} records could be read: {}. There are no rows; what they are is in {}",
        ledger.read,
        counts.collect::<Vec<_>>().join(", "),
        options.out.join("dead_letters").display(),
    ))
}

/// What to say of a bounded run that was stopped before its end.
fn stopped_early(options: &Options, summary: &Summary) -> Option<String> {
    if !options.bounded || summary.finished {
        return None;
    }
    let then = match &options.checkpoint {
        Checkpoint::At(_) => "start it again with the same options, and it goes on to the same end",
        Checkpoint::Nowhere => {
            "without checkpoints it cannot go on: start it again with --replace, or with another --out"
        }
    };
    let read = summary.ledger.read;
    Some(format!("stopped before the end of this bounded run, after {read} records: {then}"))
}

#[cfg(test)]
mod tests {
    use strandline_engine::view::Ledger;
    use strandline_operators::decode::JsonFields;

    use super::*;

    #[test]
    fn a_bounded_run_of_which_nothing_could_be_read_is_not_silent() {
        let options = |arguments: &[&str]| {
            let arguments = ["job"].iter().chain(arguments).map(std::ffi::OsString::from);
            Options::read("job", "", arguments).unwrap()
        };
        let words = ReasonWords::of(&JsonFields::new("id", "ts", []));
        let mut dead = [0; DeadReason::ALL.len()];
        (dead[1], dead[5]) = (2, 3);
        let ledger = Ledger { read: 5, dead, ..Ledger::default() };
        let summary = Summary { ledger, finished: true, ..Summary::default() };
        let bounded = options(&["--bounded", "--bootstrap", "kafka:9092", "--out", "rows"]);
        let said = nothing_readable(&bounded, &summary, &words).unwrap();
        assert!(said.contains("none of the 5 records"), "{said}");
        assert!(
            said.contains("2 not_json (not a JSON object), 3 bad_time (`ts` is not a")
                && said.contains("rows/dead_letters"),
            "{said}"
        );

        let live = options(&["--bootstrap", "kafka:9092"]);
        assert_eq!(nothing_readable(&live, &summary, &words), None);
        let empty = Summary { ledger: Ledger::default(), ..summary };
        assert_eq!(nothing_readable(&bounded, &empty, &words), None, "an empty topic");
        let late = Summary { ledger: Ledger { read: 6, late: 1, dead, ..ledger }, ..summary };
        assert_eq!(nothing_readable(&bounded, &late, &words), None);
        let stopped = Summary { finished: false, ..summary };
        assert_eq!(nothing_readable(&bounded, &stopped, &words), None);
        assert_eq!(
            (stopped_early(&live, &stopped), stopped_early(&bounded, &summary)),
            (None, None)
        );
        assert!(stopped_early(&bounded, &stopped).unwrap().contains("same options"));
        let nowhere = ["--bounded", "--bootstrap", "kafka:9092", "--checkpoint", "none"];
        assert!(stopped_early(&options(&nowhere), &stopped).unwrap().contains("--replace"));
    }
}
