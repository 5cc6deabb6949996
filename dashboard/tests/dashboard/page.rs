//! The page as it is before any script runs.

use strandline_engine::table::Cell;
use strandline_engine::view::{Phase, Snapshot};
use strandline_operators::time::EventTime;

use crate::client::get;
use crate::fleet::{Fleet, hostile_keys};
use crate::serve;

fn page(snapshot: Snapshot, query: &str) -> String {
    let (dashboard, _view) = serve(snapshot);
    get(dashboard.local_addr(), &format!("/{query}")).text().to_owned()
}

/// The text of the element with that id, tags left out.
fn text_of(html: &str, id: &str) -> String {
    let start = html.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no #{id}"));
    let inside = &html[start + html[start..].find('>').unwrap() + 1..];
    let mut text = String::new();
    for piece in inside.split_inclusive('>') {
        match piece.split_once('<') {
            Some((before, tag)) => {
                text.push_str(before);
                if tag.starts_with('/') {
                    return text;
                }
            }
            None => text.push_str(piece),
        }
    }
    text
}

#[test]
fn without_a_script_the_numbers_are_there() {
    let snapshot = Fleet::new(8).snapshot(5);
    let html = page(snapshot.clone(), "");
    assert_eq!(text_of(&html, "window"), "12:01:30 – 12:01:40");
    assert_eq!(text_of(&html, "window-date"), "2026-03-01, times in UTC");
    assert_eq!(text_of(&html, "window-state"), "live");
    assert_eq!(text_of(&html, "rows-count"), "8 devices");
    assert_eq!(text_of(&html, "watermark"), "12:01:04");
    assert_eq!(text_of(&html, "behind"), "35 s behind now");
    assert_eq!(text_of(&html, "watermark-note"), "waits for partition 3");
    assert_eq!(text_of(&html, "rate"), "32");
    assert_eq!(text_of(&html, "read"), "10,811");
    assert_eq!(text_of(&html, "balance"), "Balances, with 34 dead letters of 10,811 records");
    assert_eq!(text_of(&html, "status-text"), "Running");
    assert!(html.contains("data-alarm=\"false\""));
    assert!(html.contains(">Avg temperature <span class=\"unit\">°C</span></th>"));

    let mut exact = html.match_indices("<data value=\"").map(|(at, start)| {
        let value = &html[at + start.len()..];
        &value[..value.find('"').unwrap()]
    });
    for row in &snapshot.window.unwrap().rows {
        assert!(html.contains(&format!("<bdi title=\"{0}\">{0}</bdi>", row.key)));
        for cell in &row.cells {
            let value = exact.next().unwrap();
            match cell {
                Cell::Int(number) => assert_eq!(value.parse(), Ok(*number)),
                Cell::Float(None) => assert_eq!(value, ""),
                Cell::Float(Some(number)) => assert_eq!(value.parse(), Ok(*number)),
            }
        }
    }
    assert_eq!(exact.next(), None);
}

#[test]
fn a_watermark_of_another_day_is_dated() {
    let mut snapshot = Fleet::new(8).snapshot(5);
    snapshot.watermark = Some(EventTime::from_millis(17_000));
    let behind = text_of(&page(snapshot, ""), "behind");
    assert!(behind.starts_with("1970-01-01, 20,5"), "{behind}");
}

/// Whoever may write to the topic chooses the keys.
#[test]
fn no_key_becomes_markup() {
    let fleet = Fleet { keys: hostile_keys(), ..Fleet::new(0) };
    let mut snapshot = fleet.snapshot(1);
    snapshot.topic = "<svg onload=alert(1)>".to_owned();
    let harmless = page(Fleet::new(15).snapshot(1), "");
    let html = page(snapshot, "?find=%22%3E%3Cscript%3E");
    let all = page(fleet.snapshot(1), "");
    for hostile in ["<script>document", "<img", "<b>bold", "</title></table>", "\0", "<svg onload"]
    {
        let allowed = harmless.matches(hostile).count();
        assert_eq!(all.matches(hostile).count(), allowed, "{hostile:?}");
        assert_eq!(html.matches(hostile).count(), allowed, "{hostile:?}");
    }
    let tags = |html: &str| html.matches('<').count();
    assert_eq!(tags(&all), tags(&harmless), "as many tags as with harmless keys");
    assert!(all.contains("&#60;script&#62;document.title=&#39;owned&#39;&#60;/script&#62;"));
    assert!(all.contains("nul\u{2400}in the middle"));
    assert!(html.contains("value=\"&#34;&#62;&#60;script&#62;\""));
}

#[test]
fn without_a_script_rows_can_be_found_and_paged() {
    let html = page(Fleet::new(1000).snapshot(1), "?find=lamp&page=2");
    assert!(html.contains("href=\"/?find=lamp&#38;page=1\""), "a link back");
    assert!(html.contains("href=\"/?find=lamp&#38;page=3\""), "a link on");
    assert_eq!(text_of(&html, "page-note"), "page 2 of 3");
    assert!(html.contains("51–100 of 125 that match, of 1,000 devices"));
    assert!(html.contains("value=\"lamp\""));
    let first = page(Fleet::new(8).snapshot(1), "");
    assert_eq!(first.matches("aria-disabled=\"true\"").count(), 2);
}

#[test]
fn before_the_first_record_it_says_so() {
    let html = page(Fleet { is_empty: true, ..Fleet::new(8) }.snapshot(0), "");
    assert_eq!(text_of(&html, "notice"), "Waiting for the first record");
    assert!(html.contains("id=\"notice\">"), "it is not hidden");
    assert_eq!(text_of(&html, "window"), "–");
    assert_eq!(text_of(&html, "rows-count"), "no devices yet");
    let filled = page(Fleet::new(8).snapshot(1), "");
    assert!(filled.contains("id=\"notice\" hidden>"));
}

#[test]
fn an_alarm_and_an_end_are_seen_without_a_script() {
    let html = page(Fleet { lost: 3, ..Fleet::new(8) }.snapshot(1), "");
    assert!(html.contains("data-alarm=\"true\""));
    assert_eq!(text_of(&html, "balance"), "Does not balance: 3 records lost");
    let fleet = Fleet { phase: Phase::Finished, is_final: true, ..Fleet::new(8) };
    let html = page(fleet.snapshot(1), "");
    assert_eq!(text_of(&html, "status-text"), "Finished");
    assert_eq!(text_of(&html, "window-state"), "final");
    assert_eq!(text_of(&html, "watermark"), "–");
}
