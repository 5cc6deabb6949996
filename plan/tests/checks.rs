//! What is refused before anything is opened, and what explanations say: by the builder alone.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use strandline_plan::aggregate::{avg, count, max, sum};
use strandline_plan::error::Problem;
use strandline_plan::expr::{col, lit};
use strandline_plan::flow::{FlowType, Mode, TimeColumn};
use strandline_plan::node::{Sink, Source, SourceOutput};
use strandline_plan::operator::{Bound, JoinKind, Rank, after, descending};
use strandline_plan::pipeline::{Flow, Pipeline};
use strandline_plan::types::timestamp;
use strandline_plan::window::Window;

/// A source of rows with these columns.
#[derive(Debug)]
struct Rows(&'static str, Vec<Field>, bool);

impl Source for Rows {
    fn kind(&self) -> &'static str {
        "rows"
    }
    fn describe(&self) -> String {
        self.0.into()
    }
    fn check(&self) -> Result<SourceOutput, Problem> {
        let time =
            self.2.then(|| TimeColumn { column: Some("ts".into()), unit: TimeUnit::Millisecond });
        let rows = FlowType {
            schema: Arc::new(Schema::new(self.1.clone())),
            mode: Mode::Append,
            time,
            of_log: true,
            reproducible: true,
            bounded: true,
        };
        Ok(SourceOutput {
            rows,
            dead_letters: None,
            replayable: true,
            place: Some(format!("topic {}", self.0)),
        })
    }
}

#[derive(Debug)]
struct Discard(Option<&'static str>);

impl Sink for Discard {
    fn kind(&self) -> &'static str {
        "discard"
    }
    fn describe(&self) -> String {
        "nowhere".into()
    }
    fn check(&self, _input: &FlowType) -> Result<(), Problem> {
        Ok(())
    }
    fn place(&self) -> Option<String> {
        self.0.map(Into::into)
    }
}

fn bids(pipeline: &Pipeline) -> Flow {
    let ts = Field::new("ts", timestamp(TimeUnit::Millisecond), false);
    let fields = vec![
        Field::new("auction", DataType::Int64, false),
        Field::new("price", DataType::Float64, true),
        Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
        ts,
    ];
    pipeline.source("bids", Rows("bids", fields, true))
}

fn rooms(pipeline: &Pipeline, timed: bool) -> Flow {
    let ts = Field::new("ts", timestamp(TimeUnit::Millisecond), false);
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("price", DataType::Utf8, true),
        ts,
    ];
    pipeline.source("rooms", Rows("rooms", fields, timed))
}

const TEN: Duration = Duration::from_secs(10);

/// What is said of a pipeline whose `flow` is written.
fn refused(build: impl FnOnce(&Pipeline) -> Flow) -> String {
    let pipeline = Pipeline::new();
    build(&pipeline).to("out", Discard(None));
    pipeline.check().unwrap_err().to_string()
}

fn columns(build: impl FnOnce(&Pipeline) -> Flow) -> Vec<String> {
    let pipeline = Pipeline::new();
    build(&pipeline).to("out", Discard(None));
    let plan = pipeline.check().unwrap();
    let out = plan.node("out").unwrap();
    plan.flow(out.inputs[0]).schema.fields().iter().map(|field| field.name().clone()).collect()
}

#[test]
fn all_that_is_wrong_is_said_at_once_and_what_only_follows_is_not() {
    let said = refused(|p| {
        let bids = bids(p);
        bids.filter(col("prise").gt(lit(3))).named("cheap").to("one", Discard(None));
        bids.window(Window::tumbling(Duration::ZERO)).aggregate([count().into()])
    });
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(
        lines[0]
            .starts_with("cheap: in `prise`: there is no column `prise`; did you mean `price`?")
    );
    assert!(lines[1].starts_with("bids.window: the size of a window is a whole number"));
}

#[test]
fn two_nodes_of_one_name_are_refused() {
    let said = refused(|p| {
        let bids = bids(p);
        bids.filter(col("price").gt(lit(3))).union(&[&bids.filter(col("price").lt(lit(1)))])
    });
    assert!(
        said.contains("bids.filter: another node has this name; give one of them its own"),
        "{said}"
    );
    let said = refused(|p| bids(p).filter(lit(true)).named("a b"));
    assert!(said.contains("a b: a name is made of"), "{said}");
}

#[test]
fn a_window_needs_event_time() {
    let said =
        refused(|p| rooms(p, false).window(Window::tumbling(TEN)).aggregate([count().into()]));
    assert!(said.contains("a window needs event time, and these rows have none"), "{said}");
    let said = refused(|p| {
        let summary = bids(p).window(Window::tumbling(TEN)).aggregate([count().into()]);
        summary.late().window(Window::tumbling(TEN)).aggregate([count().into()]).named("again")
    });
    assert!(said.contains("again: a window needs event time"), "{said}");
}

#[test]
fn event_time_survives_a_projection_that_drops_its_column() {
    let build = |p: &Pipeline| {
        bids(p)
            .select(["auction".into()])
            .window(Window::tumbling(TEN))
            .by(["auction".into()])
            .aggregate([count().into()])
    };
    assert_eq!(columns(build), ["auction", "window_start", "window_end", "count"]);
}

#[test]
fn late_rows_of_each_side_of_a_join_have_a_place_of_their_own() {
    let joined = |p: &Pipeline| {
        let joining = bids(p).join(&rooms(p, true)).on([("auction", "id").into()]);
        joining.right_prefix("room_").within(Duration::ZERO, TEN)
    };
    let left = columns(|p| joined(p).late());
    assert_eq!(left[..4], ["auction", "price", "tags", "ts"]);
    let right = columns(|p| joined(p).late_right());
    assert_eq!(right[..3], ["id", "price", "ts"]);
    assert_eq!(right[3..], ["_source", "_partition", "_offset", "_watermark"]);
    let windows = |p: &Pipeline| {
        let joining = bids(p).join(&rooms(p, true)).on([("auction", "id").into()]);
        joining.right_prefix("room_").window(Window::tumbling(TEN))
    };
    assert_eq!(columns(|p| windows(p).late_right()), right);
    let said =
        refused(|p| bids(p).window(Window::tumbling(TEN)).aggregate([count().into()]).late_right());
    assert!(said.contains("leaves out no late rows"), "{said}");
}

#[test]
fn what_has_no_equality_is_compared_by_no_join() {
    let said =
        refused(|p| bids(p).join(&bids(p)).on(["tags".into()]).window(Window::tumbling(TEN)));
    assert!(said.contains("in `tags = tags`: values of LIST<TEXT> have no equality"), "{said}");
}

#[test]
fn only_what_decides_lateness_has_late_rows() {
    let said = refused(|p| bids(p).filter(lit(true)).late());
    assert!(said.contains("out: `bids.filter` (filter) leaves out no late rows"), "{said}");
    // Behind a window nothing is late any more.
    let said = refused(|p| {
        let counts = bids(p).window(Window::tumbling(TEN)).aggregate([count().into()]);
        counts.window(Window::tumbling(TEN)).aggregate([max(col("count")).into()]).late()
    });
    assert!(said.contains("leaves out no late rows"), "{said}");
    let late =
        columns(|p| bids(p).window(Window::tumbling(TEN)).aggregate([count().into()]).late());
    assert_eq!(late[4..], ["_source", "_partition", "_offset", "_watermark"]);
}

#[test]
fn columns_of_both_sides_of_a_join_are_told_apart() {
    let join = |p: &Pipeline| bids(p).join(&rooms(p, true)).on([("auction", "id").into()]);
    let said = refused(|p| join(p).window(Window::tumbling(TEN)));
    assert!(
        said.contains("both sides have a column `price`; tell them apart with `.right_prefix"),
        "{said}"
    );
    let joined = columns(|p| join(p).right_prefix("room_").window(Window::tumbling(TEN)));
    let expected = [
        "auction",
        "price",
        "tags",
        "ts",
        "room_id",
        "room_price",
        "room_ts",
        "window_start",
        "window_end",
    ];
    assert_eq!(joined, expected);
    let semi = columns(|p| join(p).kind(JoinKind::Semi).window(Window::tumbling(TEN)));
    assert_eq!(semi, ["auction", "price", "tags", "ts", "window_start", "window_end"]);
    let said = refused(|p| join(p).kind(JoinKind::Full).right_prefix("r_").as_of(None));
    assert!(said.contains("an as-of join is inner or left, not full"), "{said}");
    let said = refused(|p| join(p).right_prefix("r_").between(after(TEN), after(Duration::ZERO)));
    assert!(said.contains("no time lies between left + 10s and left + 0ns"), "{said}");
    let said = refused(|p| join(p).right_prefix("r_").between(Bound::At(col("ts")), after(TEN)));
    assert!(said.contains("right rows would be kept for ever"), "{said}");
    let late = columns(|p| join(p).right_prefix("r_").within(TEN, TEN).late_right());
    assert_eq!(late[0], "id");
    // Of a column that both sides have there is one, which a right row alone fills too.
    let narrow = |p: &Pipeline| bids(p).select([col("auction").cast(DataType::Int32).named("id")]);
    let full = |p: &Pipeline| {
        let joined = rooms(p, true).select(["id".into()]).join(&narrow(p)).on(["id".into()]);
        joined.kind(JoinKind::Full)
    };
    let said = refused(|p| full(p).window(Window::tumbling(TEN)));
    assert!(said.contains("`id` is BIGINT in the left side and INT in the right"), "{said}");
    let said = refused(|p| bids(p).join(&rooms(p, true)).right_prefix("r_").within(TEN, TEN));
    assert!(said.contains("a join compares at least one column"), "{said}");
}

#[test]
fn a_union_has_the_same_columns_on_every_input() {
    let said = refused(|p| bids(p).union(&[&rooms(p, true)]));
    assert!(
        said.contains(
            "input 2 has the columns id, price, ts, and the first auction, price, tags, ts"
        ),
        "{said}"
    );
    let said = refused(|p| {
        let bids = bids(p);
        bids.select(["price".into()]).union(&[&rooms(p, true).select(["price".into()])])
    });
    assert!(said.contains("`price` is DOUBLE in the first input and TEXT in input 2"), "{said}");
}

#[test]
fn two_sinks_of_one_place_and_circles_are_refused() {
    let pipeline = Pipeline::new();
    let bids = bids(&pipeline);
    bids.to("one", Discard(Some("folder x")));
    bids.to("two", Discard(Some("folder x")));
    bids.to("three", Discard(Some("topic bids")));
    let said = pipeline.check().unwrap_err().to_string();
    assert!(said.contains("two: `one` writes to folder x too"), "{said}");
    assert!(said.contains("bids: it reads topic bids, which `three` writes"), "{said}");
}

#[test]
fn a_pipeline_that_nobody_sees_is_refused() {
    let pipeline = Pipeline::new();
    bids(&pipeline);
    let said = pipeline.check().unwrap_err().to_string();
    assert!(said.contains("nothing is written or shown; add `.to(…)` or `.show(…)`"), "{said}");
}

#[test]
fn what_shares_event_time_is_one_component() {
    let pipeline = Pipeline::new();
    let (bids, rooms) = (bids(&pipeline), rooms(&pipeline, true));
    let quiet = rooms.filter(lit(true)).named("quiet");
    quiet.show("quiet_table");
    let counts = bids.window(Window::tumbling(TEN)).aggregate([count().into()]).named("counts");
    counts.show("table");
    counts.late().to("late", Discard(None));
    let component =
        |plan: &strandline_plan::plan::Plan, name: &str| plan.node(name).unwrap().component;
    let plan = pipeline.check().unwrap();
    assert_eq!(component(&plan, "bids"), component(&plan, "table"));
    assert_ne!(component(&plan, "bids"), component(&plan, "quiet_table"));
    // An edge without event time joins nothing.
    assert_ne!(component(&plan, "bids"), component(&plan, "late"));
    counts.join(&quiet).on([("count", "id").into()]).window(Window::tumbling(TEN)).show("both");
    let plan = pipeline.check().unwrap();
    assert_eq!(component(&plan, "bids"), component(&plan, "quiet_table"));
}

#[test]
fn an_explanation_says_what_each_node_gives_and_keeps() {
    let pipeline = Pipeline::new();
    let dear = bids(&pipeline).filter(col("price").gt(lit(100.0))).named("dear");
    dear.window(Window::sliding(TEN, Duration::from_secs(2)))
        .by(["auction".into()])
        .aggregate([
            sum(col("price")).named("total"),
            avg(col("price")).filter(col("auction").gt(lit(7))).into(),
        ])
        .named("totals")
        .to("files", Discard(None));
    dear.unnest("tags")
        .window(Window::tumbling(TEN))
        .by(["tags".into()])
        .top_ranked(3, [descending(col("price"))], Rank::Ties, Some("rank"))
        .named("best")
        .show("best_bids");
    let text = pipeline.check().unwrap().to_string();
    let expected = "\
bids: rows bids
  gives  auction BIGINT NOT NULL, price DOUBLE, tags LIST<TEXT>, ts TIMESTAMP(3) NOT NULL
  as     append; event time ts

dear: filter price > 100.0
  reads  bids
  gives  auction BIGINT NOT NULL, price DOUBLE, tags LIST<TEXT>, ts TIMESTAMP(3) NOT NULL
  as     append; event time ts
  also   errors

totals: window sliding 10s by 2s by auction; sum(price) AS total, avg(price) FILTER (WHERE auction > 7) AS avg_price
  reads  dear
  gives  auction BIGINT NOT NULL, window_start TIMESTAMP(3) NOT NULL, window_end TIMESTAMP(3) NOT NULL, total DOUBLE, avg_price DOUBLE
  as     append; event time beside the columns
  keeps  keys (auction) × 6 windows
  also   late rows, errors

files: discard nowhere
  reads  totals

dear.unnest: unnest tags
  reads  dear
  gives  auction BIGINT NOT NULL, price DOUBLE, tags TEXT, ts TIMESTAMP(3) NOT NULL
  as     append; event time ts

best: top tumbling 10s by tags; first 3 by price DESC, with ties
  reads  dear.unnest
  gives  auction BIGINT NOT NULL, price DOUBLE, tags TEXT, ts TIMESTAMP(3) NOT NULL, rank BIGINT NOT NULL
  as     append; event time beside the columns
  keeps  keys (tags) × 2 windows
  also   late rows, errors

best_bids: table the newest 3 windows
  reads  best
";
    assert_eq!(text, expected, "{text}");
}
