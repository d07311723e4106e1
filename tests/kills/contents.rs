//! What a run has to leave behind: in the database, in the logs, on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use converge_protocol::frame::Reader;
use converge_protocol::message::Up;
use converge_tests::Sandbox;

/// All that must be equal to the last bit between two runs of a sweep: everything but times, attempts and workers.
const QUERIES: [(&str, &str); 5] = [
    // Its identity covers the paths of its files, and each sandbox has its own.
    ("sweep", "select name, definition, facts, state from sweeps"),
    (
        "trials",
        "select number, kind, fingerprint, replicate, facts_index, total_steps, state, failure_class, objective_value,
             objective_step, best_weights_step, best_weights_value, best_weights_directory is not null, resume_step,
             configuration, settings
         from sweep_trials order by number",
    ),
    (
        "curves",
        "select trial, metric, step, value from curves where metric <> 'train/seconds'
         order by trial, metric, step",
    ),
    (
        "rungs",
        "select trial, rung, step, value, hex(marks), decision, rank, among, place from rungs order by trial, rung",
    ),
    (
        "extremes",
        "select number, name, min, min_step, max, max_step, last, last_step
         from trial_metrics join sweep_trials on sweep_trials.id = trial join metrics on metrics.id = metric
         where name <> 'train/seconds' order by number, name",
    ),
];

/// What no run may show, each with a query that finds it.
const VIOLATIONS: [(&str, &str); 8] = [
    ("the database is damaged", "select * from pragma_integrity_check where integrity_check <> 'ok'"),
    ("rows point to nothing", "select * from pragma_foreign_key_check"),
    (
        "a trial has not exactly one completed attempt",
        "select number from sweep_trials
         where (select count(*) from attempts where trial = sweep_trials.id and ending = 'completed') <> (state <> 'stopped')",
    ),
    ("an attempt is open", "select id from attempts where ending is null"),
    ("a worker is open", "select id from workers where ended_at_ms is null"),
    (
        "an observation came after the fence",
        "select attempt, step from observations join attempts on attempts.id = attempt
         where seq > closed_seq or seq < opened_seq",
    ),
    (
        "a curve has holes",
        "select number from
             (select number, iif(state = 'stopped', (select max(step) from rungs where trial = id), total_steps) as steps
              from sweep_trials)
         where steps <> (select count(distinct step) from curves where trial = number)
            or steps <> (select max(step) from curves where trial = number)",
    ),
    (
        "an attempt began without a checkpoint",
        "select a.id from attempts a where a.from_step > 0 and not exists (
             select 1 from checkpoints c join attempts b on b.id = c.attempt
             where b.trial = a.trial and b.number < a.number and c.step = a.from_step)",
    ),
];

/// What a run left.
pub(crate) struct Contents {
    rows: BTreeMap<&'static str, Vec<String>>,
    /// Best weights that are kept, by trial and file.
    weights: BTreeMap<(String, String), Vec<u8>>,
    /// Whether logs must hold what the database holds; not after a power cut.
    pub(crate) with_logs: bool,
}

impl Contents {
    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        let place = sandbox.path().display().to_string();
        let neutral = |row: String| row.replace(&place, "<sandbox>");
        let rows = |query: &str| sandbox.rows(query).into_iter().map(neutral).collect();
        let rows = QUERIES.iter().map(|(name, query)| (*name, rows(query))).collect();
        let mut weights = BTreeMap::new();
        let kept = "select number || '|' || best_weights_directory from sweep_trials
                    where best_weights_directory is not null";
        for row in sandbox.rows(kept) {
            let (trial, directory) = row.split_once('|').unwrap();
            let directory = sandbox.home().join(directory);
            for name in ["model.safetensors", "config.json", "tokenizer.json"] {
                let content = std::fs::read(directory.join(name)).unwrap_or_default();
                weights.insert((trial.to_owned(), name.to_owned()), content);
            }
        }
        Self { rows, weights, with_logs: true }
    }

    /// Returns in what this run differs from another.
    pub(crate) fn differences(&self, expected: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, rows) in &self.rows {
            let other = &expected.rows[name];
            if rows != other {
                let first = rows.iter().zip(other).find(|(row, other)| row != other);
                let counts = (rows.len(), other.len());
                let mut text = format!("{name} differ: {counts:?} rows, the first: {first:?}");
                text.truncate(1_000);
                found.push(text);
            }
        }
        if self.weights != expected.weights {
            let names = |contents: &Self| {
                let sizes =
                    contents.weights.iter().map(|(name, bytes)| (name.clone(), bytes.len()));
                sizes.collect::<Vec<_>>()
            };
            found.push(format!(
                "weights differ: {:?}, expected {:?}",
                names(self),
                names(expected)
            ));
        }
        found
    }

    /// Returns what is wrong with a home whatever happened to it.
    pub(crate) fn violations(&self, sandbox: &Sandbox) -> Vec<String> {
        let mut found = Vec::new();
        for (what, query) in VIOLATIONS {
            let rows = sandbox.rows(query);
            if !rows.is_empty() {
                found.push(format!("{what}: {rows:?}"));
            }
        }
        if self.with_logs {
            found.extend(log_violations(sandbox));
        }
        found.extend(litter(sandbox));
        found
    }
}

/// Compares the database with the workers' logs: each accepted frame is stored, and nothing else is.
pub(crate) fn log_violations(sandbox: &Sandbox) -> Vec<String> {
    let mut found = Vec::new();
    let stored: BTreeSet<String> =
        sandbox.rows("select distinct attempt, step, seq from observations").into_iter().collect();
    let closed: BTreeMap<(String, String), u64> = sandbox
        .rows("select worker, id, coalesce(closed_seq, 0) from attempts")
        .iter()
        .map(|row| {
            let mut columns = row.split('|').map(str::to_owned);
            let mut next = || columns.next().unwrap();
            ((next(), next()), next().parse().unwrap())
        })
        .collect();
    let mut written = BTreeSet::new();
    for row in sandbox.rows("select id, directory from workers") {
        let (worker, directory) = row.split_once('|').unwrap();
        let bytes =
            std::fs::read(sandbox.home().join(directory).join("up.log")).unwrap_or_default();
        let read = Reader::default().feed::<Up>(&bytes);
        if read.repeats > 0 || read.hold.is_some() {
            let (repeats, hold) = (read.repeats, read.hold);
            found.push(format!("log of worker {worker}: {repeats} repeated frames, {hold:?}"));
        }
        let births = read.frames.iter().filter(|frame| matches!(frame.message, Up::Born { .. }));
        if births.count() > 1 {
            found.push(format!("worker {worker} was born more than once"));
        }
        for frame in &read.frames {
            let Up::Step { attempt, step, .. } = &frame.message else { continue };
            let closed = closed.get(&(worker.to_owned(), attempt.0.to_string()));
            if closed.is_some_and(|closed| frame.seq <= *closed) {
                written.insert(format!("{}|{step}|{}", attempt.0, frame.seq));
            }
        }
    }
    let lost: Vec<_> = written.difference(&stored).collect();
    let made_up: Vec<_> = stored.difference(&written).collect();
    if !(lost.is_empty() && made_up.is_empty()) {
        found.push(format!("only in logs: {lost:?}; only in the database: {made_up:?}"));
    }
    found
}

/// Returns folders of attempts that nobody needs.
fn litter(sandbox: &Sandbox) -> Vec<String> {
    let kept: BTreeSet<String> = sandbox
        .rows("select best_weights_directory from sweep_trials where best_weights_directory is not null")
        .into_iter()
        .collect();
    let home = sandbox.home();
    let mut there = BTreeSet::new();
    for attempt in entries(&home.join("attempts")) {
        for path in entries(&attempt) {
            let name = path.strip_prefix(&home).unwrap().display().to_string();
            if !name.ends_with("/log.txt") {
                there.insert(name);
            }
        }
    }
    if there == kept {
        return Vec::new();
    }
    vec![format!("in the folders of attempts: {there:?}; kept: {kept:?}")]
}

fn entries(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}
