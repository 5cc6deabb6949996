use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use strandline_engine::background::{Bell, Join, Step, Task};
use timely::dataflow::operators::{Exchange, Input, Inspect, Probe};

use super::*;
use crate::simulation::Trace;

const ME: ProcessId = ProcessId(0);

fn scheduler(seed: u64) -> (Scheduler, Outside, Trace) {
    let trace = Trace::default();
    let outside = Outside::new(seed, trace.clone());
    (Scheduler::new(seed, Pace::default(), 100_000, &outside), outside, trace)
}

/// Adds up what it is sent; ends at 0.
struct Adding {
    numbers: std::sync::mpsc::Receiver<u64>,
    sum: Arc<AtomicU64>,
    trace: Trace,
}

impl Task for Adding {
    fn step(&mut self) -> Step {
        match self.numbers.try_recv() {
            Ok(0) => Step::Done,
            Ok(number) => {
                let sum = self.sum.fetch_add(number, Ordering::SeqCst) + number;
                self.trace.line(format_args!("sum {sum}"));
                Step::Again
            }
            Err(_) => Step::Wait(None),
        }
    }
}

/// Each worker brings some numbers, which are exchanged and added up by a task.
fn exchange_numbers(seed: u64, workers: usize) -> (u64, String) {
    let (scheduler, _, trace) = scheduler(seed);
    let (sender, numbers) = std::sync::mpsc::channel();
    let (bell, sum) = (Bell::default(), Arc::new(AtomicU64::new(0)));
    let task = Adding { numbers, sum: Arc::clone(&sum), trace: trace.clone() };
    let join = scheduler.background(ME, None).spawn("adding", bell.clone(), task).unwrap();
    let (line, to_task) = (trace.clone(), Mutex::new((sender.clone(), bell.clone())));
    let open = move |worker: &mut Worker| -> Work {
        let index = worker.index() as u64;
        let (line, to_task) = (line.clone(), to_task.lock().unwrap().clone());
        let (input, probe) = worker.dataflow(|scope| {
            let (input, stream) = scope.new_input::<Vec<u64>>();
            let probe = stream
                .exchange(|number| *number)
                .inspect(move |number| {
                    line.line(format_args!("{index} has {number}"));
                    to_task.0.send(*number).unwrap();
                    to_task.1.ring();
                })
                .probe()
                .0;
            (input, probe)
        });
        let mut round = 0;
        let mut input = Some(input);
        Box::new(move |worker| {
            if let Some(open) = &mut input {
                open.send(1 + index + round);
                round += 1;
                open.advance_to(round);
            }
            if round == 10 {
                input = None;
            }
            worker.step();
            !probe.done()
        })
    };
    scheduler.start(ME, workers, WorkerConfig::default(), open).unwrap();
    assert_eq!(scheduler.conduct(), Ok(Interrupt::Left(ME)));
    sender.send(0).unwrap();
    bell.ring();
    assert!(join.join());
    scheduler.end(ME).unwrap();
    (sum.load(Ordering::SeqCst), trace.text())
}

#[test]
fn a_seed_is_one_run_to_the_last_byte() {
    let mut distinct = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let (sum, trace) = exchange_numbers(seed, 3);
        assert_eq!(sum, (0..3).map(|index| 10 * (1 + index) + 45).sum::<u64>());
        assert_eq!(exchange_numbers(seed, 3), (sum, trace.clone()));
        distinct.insert(trace);
    }
    assert_eq!(distinct.len(), 20);
}

#[test]
fn a_panic_of_a_worker_ends_the_run_with_its_message() {
    for workers in 1..4 {
        let (scheduler, outside, _) = scheduler(1);
        let open = move |_: &mut Worker| -> Work {
            let mut steps = 0;
            Box::new(move |worker| {
                steps += 1;
                assert!(steps < 5 || worker.index() + 1 < workers, "step {steps} was too much");
                true
            })
        };
        scheduler.start(ME, workers, WorkerConfig::default(), open).unwrap();
        let error = scheduler.conduct().unwrap_err();
        assert_eq!(
            error,
            format!("process 0: worker {} panicked: step 5 was too much", workers - 1)
        );
        outside.kill(ME);
        assert_eq!(scheduler.end(ME).unwrap_err(), error);
    }
}

#[test]
fn a_panic_of_a_task_ends_the_run_and_whoever_waits_for_it() {
    struct Panicking;
    impl Task for Panicking {
        fn step(&mut self) -> Step {
            panic!("no disk")
        }
    }
    let (scheduler, _, _) = scheduler(2);
    let join = scheduler.background(ME, None).spawn("writer", Bell::default(), Panicking).unwrap();
    assert!(!join.join());
    assert_eq!(scheduler.conduct().unwrap_err(), "process 0: writer panicked: no disk");
}

#[test]
fn a_run_that_makes_no_end_is_a_failure() {
    let (scheduler, outside, _) = scheduler(3);
    let open = |_: &mut Worker| -> Work { Box::new(|_| true) };
    scheduler.start(ME, 2, WorkerConfig::default(), open).unwrap();
    assert_eq!(scheduler.conduct().unwrap_err(), "no end after 100000 moves");
    outside.kill(ME);
    scheduler.end(ME).unwrap_err();
}

#[test]
fn a_step_that_does_not_come_back_is_a_failure() {
    let (scheduler, _, _) = scheduler(4);
    let scheduler = scheduler.with_step_limit(Duration::from_millis(50));
    let open = |_: &mut Worker| -> Work {
        Box::new(|_| {
            loop {
                std::thread::park();
            }
        })
    };
    scheduler.start(ME, 2, WorkerConfig::default(), open).unwrap();
    let error = scheduler.conduct().unwrap_err();
    assert!(error.ends_with("took more than 0.05 s"), "{error}");
    scheduler.end(ME).unwrap_err();
}

#[test]
fn a_dead_process_is_taken_down_and_another_goes_on() {
    let (scheduler, outside, _) = scheduler(5);
    let dropped = Arc::new(AtomicU64::new(0));
    struct Counted(Arc<AtomicU64>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let counter = Arc::clone(&dropped);
    let open = move |_: &mut Worker| -> Work {
        let counted = Counted(Arc::clone(&counter));
        Box::new(move |_| {
            let _ = &counted;
            true
        })
    };
    scheduler.start(ME, 3, WorkerConfig::default(), open).unwrap();
    let asks = AtomicBool::new(true);
    scheduler.set_nature(Some(Box::new(move || {
        if asks.swap(false, Ordering::SeqCst) { Act::Interrupt } else { Act::GoOn }
    })));
    assert_eq!(scheduler.conduct(), Ok(Interrupt::Asked));
    outside.kill(ME);
    scheduler.end(ME).unwrap();
    assert!(dropped.load(Ordering::SeqCst) <= 3);

    let steps = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&steps);
    let open = move |_: &mut Worker| -> Work {
        let counter = Arc::clone(&counter);
        Box::new(move |_| counter.fetch_add(1, Ordering::SeqCst) < 20)
    };
    scheduler.start(ProcessId(1), 2, WorkerConfig::default(), open).unwrap();
    assert_eq!(scheduler.conduct(), Ok(Interrupt::Left(ProcessId(1))));
    assert_eq!(steps.load(Ordering::SeqCst), 22);
    scheduler.end(ProcessId(1)).unwrap();
}

#[test]
fn a_task_that_waits_hears_its_bell_and_the_time() {
    struct Waiting(Arc<AtomicU64>, Clock);
    impl Task for Waiting {
        fn step(&mut self) -> Step {
            self.0.fetch_add(1, Ordering::SeqCst);
            if self.1.elapsed() < Duration::from_secs(1) {
                Step::Wait(Some(Duration::from_secs(1)))
            } else {
                Step::Done
            }
        }
    }
    let (scheduler, _, _) = scheduler(6);
    let steps = Arc::new(AtomicU64::new(0));
    let clock = scheduler.clock(EventTime::from_millis(0));
    let task = Waiting(Arc::clone(&steps), clock);
    let join: Box<dyn Join> =
        scheduler.background(ME, None).spawn("waiting", Bell::default(), task).unwrap();
    assert!(join.join());
    assert!(Duration::from_secs(1) <= scheduler.elapsed());
    assert!(steps.load(Ordering::SeqCst) < 20);
}
