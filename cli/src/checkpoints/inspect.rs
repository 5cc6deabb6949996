//! What one checkpoint holds.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use serde_json::{Value, json};
use strandline_engine::checkpoint::CheckpointError;
use strandline_engine::checkpoint::blobs::{BlobError, Blobs};
use strandline_engine::checkpoint::catalog;
use strandline_engine::checkpoint::manifest::{CutRecord, Manifest, PartitionCut, Pending};
use strandline_engine::checkpoint::section::Section;
use strandline_operators::window::{KEY_GROUPS, KeyGroup};

use super::{Answer, Inspect, Store, millis, or_dash, size, table, utc};

/// Shows a checkpoint after every byte of it has been read.
pub(super) fn inspect(store: &Store, asked: &Inspect) -> Result<Answer, CheckpointError> {
    let loaded = match asked.number {
        Some(number) if !store.numbers().contains(&number) => {
            let (place, reason) = (store.blobs.place(), format!("there is no checkpoint {number}"));
            return Err(BlobError::Failed { place, reason }.into());
        }
        Some(number) => Some(catalog::verified(&store.blobs, number)?),
        None => catalog::find(&store.blobs)?.newest,
    };
    let lines = match loaded {
        Some(manifest) if asked.place.json => {
            object(store, &manifest, asked.groups).to_string() + "\n"
        }
        Some(manifest) => text(store, &manifest, asked.groups),
        None => String::new(),
    };
    Ok(Answer { lines, damaged: false })
}

/// The size of state.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Amount {
    panes: u64,
    bytes: u64,
}

/// The state of each key group, of those without any too.
fn groups(cut: &CutRecord) -> BTreeMap<u16, Amount> {
    let mut groups: BTreeMap<u16, Amount> =
        (0..KEY_GROUPS).map(|group| (group, Amount::default())).collect();
    for (KeyGroup(group), section) in cut.processes.iter().flat_map(|process| &process.state) {
        let amount = groups.entry(*group).or_default();
        amount.panes += section.records;
        amount.bytes += section.bytes;
    }
    groups
}

fn records(pending: &Pending) -> u64 {
    pending.rows.iter().map(|section: &Section| section.records).sum()
}

// --- for people ---

fn text(store: &Store, manifest: &Manifest, all_groups: bool) -> String {
    let mut text = String::new();
    let mut say = |name: &str, what: &dyn Display| {
        let _ = writeln!(text, "{name:<12}{what}");
    };
    let Manifest { number, written_at, topic, .. } = manifest;
    say("checkpoint", &format!("{number}, {}", size(store.bytes(manifest))));
    say("written", &or_dash(utc(*written_at)));
    say("job", &manifest.job);
    let ids = [("cluster", &topic.cluster), ("id", &topic.id)];
    let ids = ids.into_iter().filter_map(|(name, id)| Some(format!(", {name} {}", id.as_ref()?)));
    say("topic", &format!("{}{}", topic.name, ids.collect::<String>()));
    let mut name = "shape";
    for (aspect, value) in &manifest.shape {
        say(std::mem::take(&mut name), &format!("{aspect}: {value}"));
    }
    let Some(cut) = &manifest.cut else {
        say("epoch", &"none: nothing had been read yet");
        return text;
    };
    let finished = if cut.finished { ", the end of a bounded run" } else { "" };
    say("epoch", &format!("{}{finished}", cut.epoch));
    let closed = utc(cut.closed_before).map(|time| format!("up to {time}"));
    say("closed", &closed.unwrap_or_else(|| "no window yet, or all".to_owned()));
    let ledger = cut.ledger();
    let balance = if ledger.balances() { "" } else { "; THIS DOES NOT BALANCE" };
    say(
        "ledger",
        &format!(
            "{} read = {} windowed + {} late + {} dead letters{balance}",
            ledger.read,
            ledger.windowed,
            ledger.late,
            ledger.dead_letters()
        ),
    );
    say("final rows", &cut.final_rows);
    let groups = groups(cut);
    say("state", &state(&groups));
    for process in &cut.processes {
        let outputs = &process.outputs;
        for pending in &outputs.pending {
            let (rows, age) = (records(pending), pending.age_ms / 1_000);
            let place = format!("{}/{}", pending.output, pending.folder);
            say("pending", &format!("{place}: {rows} rows, for {age} s"));
        }
        for staged in &outputs.staged {
            let place = format!("{}/{}/{}", staged.output, staged.folder, staged.name);
            say("staged", &format!("{place}: {} rows", staged.rows));
        }
    }
    let heading = [
        "partition",
        "next offset",
        "end",
        "max event time",
        "watermark",
        "floor",
        "read",
        "late",
        "dead",
        "skipped",
    ];
    let heading = heading.map(ToOwned::to_owned).to_vec();
    let rows = cut.partitions.iter().map(partition_row);
    text.push_str(&table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>()));
    if all_groups {
        let heading = ["key group", "panes", "bytes"].map(ToOwned::to_owned).to_vec();
        let rows = groups.iter().map(|(group, amount)| {
            vec![group.to_string(), amount.panes.to_string(), amount.bytes.to_string()]
        });
        text.push_str(&table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>()));
    }
    text
}

fn partition_row(cut: &PartitionCut) -> Vec<String> {
    vec![
        cut.partition.0.to_string(),
        cut.next_offset.0.to_string(),
        or_dash(cut.end.map(|end| end.0)),
        or_dash(cut.max_event_time.and_then(utc)),
        or_dash(utc(cut.watermark)),
        or_dash(utc(cut.floor)),
        cut.ledger.read.to_string(),
        cut.ledger.late.to_string(),
        cut.ledger.dead_letters().to_string(),
        cut.skipped.to_string(),
    ]
}

fn state(groups: &BTreeMap<u16, Amount>) -> String {
    let [least, median, most] = spread(groups);
    let total = groups.values().fold(Amount::default(), |total, amount| Amount {
        panes: total.panes + amount.panes,
        bytes: total.bytes + amount.bytes,
    });
    let used = groups.values().filter(|amount| 0 < amount.panes).count();
    format!(
        "{} panes, {}, in {used} of {} key groups; panes of a group: least {}, median {}, most {}",
        total.panes,
        size(total.bytes),
        groups.len(),
        least.panes,
        median.panes,
        most.panes
    )
}

/// The least, the median and the most of all groups.
fn spread(groups: &BTreeMap<u16, Amount>) -> [Amount; 3] {
    let mut sorted: Vec<Amount> = groups.values().copied().collect();
    sorted.sort_unstable();
    [0, sorted.len() / 2, sorted.len() - 1].map(|index| sorted[index])
}

// --- for programs ---

fn object(store: &Store, manifest: &Manifest, all_groups: bool) -> Value {
    let mut object = json!({
        "number": manifest.number,
        "bytes": store.bytes(manifest),
        "format": manifest.format,
        "written_at": utc(manifest.written_at),
        "written_at_ms": millis(manifest.written_at),
        "job": manifest.job,
        "topic": manifest.topic,
        "shape": manifest.shape,
    });
    let Some(cut) = &manifest.cut else { return object };
    let groups = groups(cut);
    let [least, median, most] = spread(&groups).map(|amount| amount_object(&amount));
    let total = |of: fn(&Amount) -> u64| groups.values().map(of).sum::<u64>();
    let mut state = json!({
        "panes": total(|amount| amount.panes),
        "bytes": total(|amount| amount.bytes),
        "key_groups": groups.len(),
        "least": least,
        "median": median,
        "most": most,
    });
    if all_groups {
        state["groups"] = groups.values().map(amount_object).collect();
    }
    let ledger = cut.ledger();
    let outputs = || cut.processes.iter().map(|process| &process.outputs);
    let pending = outputs().flat_map(|outputs| &outputs.pending).map(|pending| {
        json!({
            "output": pending.output,
            "folder": pending.folder,
            "rows": records(pending),
            "age_ms": pending.age_ms,
        })
    });
    object["epoch"] = cut.epoch.into();
    object["finished"] = cut.finished.into();
    object["closed_before"] = json!(utc(cut.closed_before));
    object["closed_before_ms"] = json!(millis(cut.closed_before));
    object["ledger"] = json!({
        "read": ledger.read,
        "windowed": ledger.windowed,
        "late": ledger.late,
        "dead_letters": ledger.dead_letters(),
    });
    object["final_rows"] = cut.final_rows.into();
    object["state"] = state;
    object["pending"] = pending.collect();
    object["staged"] = outputs().flat_map(|outputs| &outputs.staged).map(|s| json!(s)).collect();
    object["partitions"] = cut.partitions.iter().map(partition_object).collect();
    object
}

fn amount_object(amount: &Amount) -> Value {
    json!({"panes": amount.panes, "bytes": amount.bytes})
}

fn partition_object(cut: &PartitionCut) -> Value {
    json!({
        "partition": cut.partition.0,
        "next_offset": cut.next_offset.0,
        "end": cut.end.map(|end| end.0),
        "max_event_time": cut.max_event_time.and_then(utc),
        "max_event_time_ms": cut.max_event_time.and_then(millis),
        "watermark": utc(cut.watermark),
        "watermark_ms": millis(cut.watermark),
        "floor": utc(cut.floor),
        "floor_ms": millis(cut.floor),
        "read": cut.ledger.read,
        "windowed": cut.ledger.windowed,
        "late": cut.ledger.late,
        "dead_letters": cut.ledger.dead_letters(),
        "skipped": cut.skipped,
        "untimed": cut.untimed,
    })
}
