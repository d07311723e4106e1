//! Whatever kills the writer, each batch is there whole or not at all, and none that was acknowledged is missing.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use converge_core::ids::TrialId;
use converge_store::{Change, Store};

use crate::home::{Home, METRIC, OTHER, dump, observed, query};

/// Set in the process that is to be killed: the database to write to.
const VICTIM: &str = "CONVERGE_STORE_VICTIM";

/// Observations of one batch: steps, each with two metrics.
const STEPS: u64 = 50;

fn batch(number: u64, worker: converge_core::ids::WorkerId) -> Vec<Change> {
    let steps = number * STEPS + 1..=(number + 1) * STEPS;
    let mut batch: Vec<Change> =
        steps.map(|step| observed(1, step, &[(METRIC, 0.5), (OTHER, step as f64)])).collect();
    batch.push(Change::LogRead { worker, offset: number + 1, next_seq: number + 2, torn_lines: 0 });
    batch
}

/// Writes batches for ever, and says each number after it was committed.
fn write_until_killed(path: &str) -> ! {
    let mut store = Store::create_or_open(path).unwrap();
    let sweep = store.read().latest_sweep().unwrap().unwrap().id;
    let worker = store.read().sweep(sweep).unwrap().unwrap().open_workers[0].id;
    for number in 0.. {
        store.apply(&batch(number, worker), 1).unwrap();
        println!("committed {number}");
    }
    unreachable!("killed before");
}

#[test]
fn a_writer_that_is_killed_leaves_whole_batches() {
    if let Ok(path) = std::env::var(VICTIM) {
        write_until_killed(&path);
    }
    for kill_after in [1, 7, 30] {
        let mut home = Home::new(1);
        let lease = home.lease(TrialId(1), 1, 0);
        home.apply(&[lease]);
        let path = home.path();
        drop(home.store);
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "durability::a_writer_that_is_killed_leaves_whole_batches"])
            .arg("--nocapture")
            .env(VICTIM, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = 0;
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        while said < kill_after {
            let line = lines.next().unwrap().unwrap();
            said += u64::from(line.contains("committed "));
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        said +=
            lines.map_while(Result::ok).filter(|line| line.contains("committed ")).count() as u64;

        // First a reader, which has to make sense of the log that was left.
        let reader = converge_store::Reader::open(&path).unwrap();
        let there = reader.curve(TrialId(1), METRIC).unwrap().len() as u64;
        assert_eq!(there % STEPS, 0, "half a batch");
        let batches = there / STEPS;
        assert!(batches == said || batches == said + 1, "{said} were said, {batches} are there");
        let mut store = Store::create_or_open(&path).unwrap();
        assert_eq!(query(&path, "PRAGMA integrity_check"), ["ok"]);
        assert_eq!(query(&path, "SELECT up_offset FROM workers"), [batches.to_string()]);
        let last = "SELECT last_step FROM attempts UNION ALL SELECT last_step FROM trial_metrics";
        assert_eq!(query(&path, last), vec![there.to_string(); 3]);
        store.apply(&batch(batches, home.worker), 1).unwrap();
    }
}

#[test]
fn an_observation_takes_less_than_forty_bytes() {
    let mut home = Home::new(1);
    let lease = home.lease(TrialId(1), 1, 0);
    home.apply(&[lease]);
    let names: Vec<String> = (0..10).map(|metric| format!("train/metric/{metric}")).collect();
    for part in 0..100 {
        let steps = part * 100 + 1..=(part + 1) * 100;
        let batch: Vec<Change> = steps
            .map(|step| {
                let values = names.iter().zip(1..);
                let metrics: Vec<(&str, f64)> = values
                    .map(|(name, metric)| (name.as_str(), (step as f64 / metric as f64).sqrt()))
                    .collect();
                observed(1, step, &metrics)
            })
            .collect();
        home.apply(&batch);
    }
    let path = home.path();
    assert_eq!(query(&path, "SELECT count(*) FROM observations"), ["100000"]);
    let bytes = query(&path, "SELECT sum(pgsize) FROM dbstat WHERE name = 'observations'");
    let each = bytes[0].parse::<f64>().unwrap() / 100_000.0;
    println!("{each:.1} bytes an observation");
    assert!(each < 40.0, "{each:.1} bytes an observation");
}

#[test]
fn a_sync_changes_nothing() {
    let mut home = Home::new(1);
    home.complete(1, &[0.5]);
    let before = dump(&home.path());
    let log = std::fs::metadata(home.path().with_extension("db-wal")).unwrap().len();
    home.store.sync().unwrap();
    assert_eq!(dump(&home.path()), before);
    // It has something to write, or SQLite would not sync.
    assert!(std::fs::metadata(home.path().with_extension("db-wal")).unwrap().len() > log);
}
