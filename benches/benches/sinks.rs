//! Sinks: what the committer does with rows and rejected records, to files that are synced; and the
//! document of `latest.json`.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use strandline::engine::clock::Clock;
use strandline::engine::outputs::{Output, Visibility};
use strandline::engine::report::Report;
use strandline::engine::sink::{
    FinalRowsFiles, ParquetCodec, RejectedFiles, Roll, RunId, SinkOptions,
};
use strandline::engine::store::Directory;
use strandline::engine::table::CellRow;
use strandline::engine::view::{Snapshot, WindowView};
use strandline::operators::decode::DeadReason;
use strandline::operators::record::{Offset, Partition, SmolStr};
use strandline::operators::rejected::{Rejected, Rejection};
use strandline::operators::time::EventTime;
use strandline::operators::window::{Row, Span};
use strandline_benches::workload::{Spread, Workload, scaled, windows};
use strandline_benches::{MainRow, main_table};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BEGIN_MS: i64 = 1_730_638_570_000;
const KEYS: u64 = 1_000;
/// Rows and records come from a worker in pieces of about this many.
const PIECE: usize = 100;

fn options(there: &Path) -> SinkOptions {
    SinkOptions {
        out: Directory::local(there),
        run: RunId::fresh(&Clock::system()),
        process: 0,
        visibility: Visibility::AsTheyCome,
        roll: Roll::default(),
        codec: ParquetCodec::default(),
        clock: Clock::system(),
        report: Report::to_stderr(),
    }
}

fn rows(count: u64) -> Vec<Row<MainRow>> {
    let keys: Vec<SmolStr> =
        (0..KEYS).map(|key| SmolStr::from(format!("device-{key:06x}"))).collect();
    let row = |number: u64| {
        let (window_number, key) = (number / KEYS, number % KEYS);
        let start = BEGIN_MS + (window_number * 10_000) as i64;
        let partition = Partition((key % 4) as u32);
        let first = Offset(number * 10);
        let span = Span { partition, first, last: Offset(number * 10 + 9), records: 10 };
        let tenths = |bits: u64| Some((bits % 1_000) as f64 / 30.0);
        let output = (10, tenths(number * 7), tenths(number * 11), tenths(key), tenths(key + 3));
        let window = windows().window_at(EventTime::from_millis(start));
        let key = keys[key as usize].clone();
        Row { key, window, output, spans: [span].into_iter().collect() }
    };
    (0..count).map(row).collect()
}

fn rejected(count: u64, rejection: Rejection) -> Vec<Rejected> {
    let workload = Workload { keys: KEYS, spread: Spread::Uniform, records: count, windows: 2 };
    let payloads = workload.payloads().into_iter().zip(0..);
    payloads
        .map(|(payload, number)| {
            let time = Some(EventTime::from_millis(BEGIN_MS + number as i64));
            Rejected {
                partition: Partition((number % 4) as u32),
                offset: Offset(number),
                log_timestamp: time,
                event_time: time.filter(|_| rejection == Rejection::Late),
                rejection,
                payload: Some(payload),
            }
        })
        .collect()
}

/// Writes everything and makes it visible.
fn write<R>(mut output: impl Output<R>, records: &[R]) {
    for piece in records.chunks(PIECE) {
        output.write(piece).expect("a disk");
    }
    output.finish().expect("a disk");
}

fn sinks(criterion: &mut Criterion) {
    let there = tempfile::tempdir().expect("a directory");
    let options = options(there.path());
    let mut group = criterion.benchmark_group("sinks");
    group.sample_size(10);

    let count = scaled(200_000);
    group.throughput(Throughput::Elements(count));
    let all = rows(count);
    group.bench_function("final rows to Parquet", |bencher| {
        bencher.iter_batched(
            || FinalRowsFiles::open(&options, &main_table()),
            |output| write(output, &all),
            BatchSize::PerIteration,
        );
    });
    for (name, rejection) in
        [("late records", Rejection::Late), ("dead letters", Rejection::Dead(DeadReason::NotJson))]
    {
        let all = rejected(count, rejection);
        let open = || match rejection {
            Rejection::Late => {
                let start = |time| windows().window_at(time).start;
                RejectedFiles::late(&options, "bench", start)
            }
            Rejection::Dead(_) => RejectedFiles::dead_letters(&options, "bench"),
        };
        group.bench_function(format!("{name} to Parquet"), |bencher| {
            bencher.iter_batched(open, |output| write(output, &all), BatchSize::PerIteration);
        });
    }

    group.throughput(Throughput::Elements(KEYS));
    let shown = rows(KEYS);
    let now = EventTime::from_millis(BEGIN_MS);
    let snapshot = Snapshot {
        window: Some(Arc::new(WindowView {
            window: windows().window_at(now),
            is_final: false,
            rows: shown.iter().map(CellRow::from).collect(),
        })),
        ..Snapshot::empty("bench", Arc::new(main_table()), now)
    };
    group.bench_function("document of latest.json", |bencher| {
        bencher.iter(|| black_box(serde_json::to_vec(&snapshot.document()).expect("plain data")));
    });
    group.finish();
}

criterion_group!(benches, sinks);
criterion_main!(benches);
