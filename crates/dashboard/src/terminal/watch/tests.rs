//! Screens of every state, as text.

use std::collections::BTreeMap;

use converge_core::failure::{Failure, FailureClass};
use converge_core::ids::{AttemptId, SweepId, TrialId, WorkerId};
use converge_core::objective::{At, Goal, Objective};
use converge_core::settings::{Preset, Settings};
use converge_core::trial::{AttemptEnding, TrialKind, TrialState};
use converge_core::value::Value;
use converge_store::{
    AttemptRecord, MetricExtremes, ObjectiveValue, Standing, TrialCounts, TrialDetail, TrialRecord,
    WatchedTrial,
};
use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;

use super::*;
use crate::view::watch::{
    BestSoFar, PagePart, PlottedCurve, SweepStanding, TrialInHand, WatchedPage, WatchedRow,
    WatchedSweep, WatchedWorker,
};
use crate::view::watch_curve::SampledCurve;
use crate::view::watch_state::{Key, WatchState};

const ACCURACY: &str = "validation/accuracy";

fn curves(until: u64, total: u64, quality: f64) -> (SampledCurve, SampledCurve) {
    let (mut objective, mut loss) = (SampledCurve::new(total, 48), SampledCurve::new(total, 48));
    for step in 1..=until {
        let done = step as f64 / total as f64;
        loss.push(step, 0.7 - 0.6 * quality * done.sqrt() + 0.02 * f64::from((step % 3) as u8));
        if step.is_multiple_of(total / 8) {
            objective.push(step, 0.5 + 0.45 * quality * done);
        }
    }
    (objective, loss)
}

fn row(number: u64, standing: Standing) -> WatchedRow {
    let total_steps = 128;
    let last_step = match standing {
        Standing::Queued | Standing::Cancelled => 0,
        Standing::Waiting | Standing::Stopped => 32,
        Standing::Running => 40 + number,
        Standing::Diverged => 23,
        Standing::Failed => 64,
        Standing::Completed => total_steps,
    };
    let (objective, mut loss) = curves(last_step, total_steps, 1.0 - number as f64 / 20.0);
    if standing == Standing::Diverged {
        loss.push(23, f64::NAN);
    }
    let rate = [1e-5, 2e-4, 3e-3][number as usize % 3];
    let configuration = BTreeMap::from([
        ("learning_rate".to_owned(), Value::Float(rate)),
        ("optimizer".to_owned(), Value::Text(["adamw", "sgd"][number as usize % 2].into())),
        ("batch_size".to_owned(), Value::Integer(16)),
        ("data.train_limit".to_owned(), Value::Integer(1000)),
    ]);
    let failed = standing == Standing::Failed;
    WatchedRow {
        trial: WatchedTrial {
            id: TrialId(number as i64),
            number,
            kind: TrialKind::Grid,
            replicate: 0,
            configuration,
            standing,
            failure: failed.then(|| "oom: the process was killed: 12 GB of 12 GB".into()),
            total_steps,
            attempts: u64::from(last_step > 0),
            last_step,
            objective: (last_step > 23).then_some(0.5 + 0.45 * (1.0 - number as f64 / 20.0)),
            loss: loss.last().map(|(_, value)| value),
        },
        objective,
        loss,
    }
}

fn worker(number: u64) -> WatchedWorker {
    let trial = TrialInHand {
        number,
        attempt: number / 8,
        step: 40 + number,
        total_steps: 128,
        steps_per_second: Some(1.04),
        loss: Some(0.432_1),
        objective: Some(0.75),
    };
    WatchedWorker { device: "cpu".into(), trial: Some(trial) }
}

fn sweep(state: SweepStanding) -> WatchedSweep {
    let held = state.is_held();
    WatchedSweep {
        name: "film-reviews".into(),
        state,
        scheduler: held.then_some(4711),
        objective: Objective { metric: ACCURACY.into(), goal: Goal::Maximize, at: At::Best },
        parameters: ["learning_rate", "optimizer", "batch_size", "data.train_limit"]
            .map(str::to_owned)
            .into(),
        trials: TrialCounts {
            queued: 9,
            running: if held { 2 } else { 0 },
            completed: 9,
            diverged: 1,
            failed: 1,
            cancelled: 0,
            waiting: 0,
            stopped: 0,
        },
        planned: Some(if held { 22 } else { 20 }),
        steps_done: 1_248,
        steps_total: 2_560,
        steps_per_second: held.then_some(2.04),
        elapsed_seconds: 751.4,
        best: Some(BestSoFar {
            mean: 0.9125,
            trials: vec![1],
            configuration: "batch_size=16 learning_rate=2e-4 optimizer=sgd".into(),
        }),
        workers: if held { vec![worker(7), worker(16)] } else { vec![] },
    }
}

fn running() -> Watched {
    use Standing::{Completed, Diverged, Failed, Queued, Running};
    let standings =
        [Running, Running, Failed, Diverged, Completed, Completed, Completed, Queued, Queued];
    let numbers = [7, 16, 5, 4, 1, 2, 3, 17, 18];
    let rows = numbers.into_iter().zip(standings).map(|(number, standing)| row(number, standing));
    Watched {
        sweep: sweep(SweepStanding::Running),
        rows: rows.collect(),
        first: 0,
        listed: 22,
        page: None,
    }
}

fn page(number: u64, standing: Standing) -> WatchedPage {
    let row = row(number, standing);
    let (objective, loss) = (row.objective, row.loss);
    let failure = Failure { class: FailureClass::Oom, message: "killed: 12 GB of 12 GB".into() };
    let failed = standing == Standing::Failed;
    let state = if failed {
        TrialState::Failed(failure.clone())
    } else {
        TrialState::Running(AttemptId(1))
    };
    let metric = |name: &str, last| MetricExtremes {
        metric: name.into(),
        min: Some((0.1, 64)),
        max: Some((0.9, 1)),
        last,
        last_step: row.trial.last_step,
    };
    let attempt = AttemptRecord {
        id: AttemptId(1),
        number: 1,
        worker: WorkerId(1),
        device: "cpu".into(),
        pid: Some(1),
        machine: None,
        directory: "attempts/1".into(),
        from_step: 0,
        until_step: None,
        last_step: row.trial.last_step,
        opened_seq: 1,
        closed_seq: None,
        ending: failed.then_some(AttemptEnding::Failed(failure)),
        peak_memory_bytes: None,
        accumulation_factor: 1,
        worker_exit: None,
        evidence: None,
        leased_at_ms: 0,
        started_at_ms: Some(0),
        ended_at_ms: None,
    };
    let part = |title: &str, lines: &[&str]| PagePart {
        title: title.into(),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    };
    let mut parts = Vec::new();
    if failed {
        parts.push(part("failure", &["oom: killed: 12 GB of 12 GB"]));
        parts.push(part("last lines of the log of attempt 1", &["  step 63", "  step 64"]));
    }
    parts.push(part("attempts", &["attempt  from step  to step  ended"]));
    parts.push(part("settings", &["  optimizer = sgd", "  batch_size = 16", "  epochs = 3"]));
    WatchedPage {
        detail: TrialDetail {
            rungs: vec![],
            trial: TrialRecord {
                id: row.trial.id,
                sweep: SweepId(1),
                number,
                kind: TrialKind::Grid,
                configuration: row.trial.configuration,
                fingerprint: "f".into(),
                replicate: 0,
                facts_index: 0,
                total_steps: 128,
                state,
                attempts: 1,
                failures: BTreeMap::new(),
                accumulation_factor: 1,
                ran_out_of_memory: failed,
                resume: None,
                best_weights: None,
                objective: Some(ObjectiveValue { value: 0.8123, step: 32 }),
                last_step: Some(row.trial.last_step),
                attempts_ms: 0,
                created_at_ms: 0,
                leased_at_ms: Some(0),
                ended_at_ms: None,
            },
            settings: Settings::defaults(Preset::Tiny.into(), "/data/train.tsv"),
            attempts: vec![attempt],
            checkpoints: vec![],
            metrics: vec![
                metric("train/learning_rate", 2e-5),
                metric("train/loss", 0.31),
                metric(ACCURACY, 0.81),
            ],
        },
        standing,
        configuration: "batch_size=16 data.train_limit=1000 learning_rate=2e-4 optimizer=sgd"
            .into(),
        rank: Some((3, 9)),
        plots: [
            PlottedCurve { metric: "train/loss".into(), curve: loss },
            PlottedCurve { metric: ACCURACY.into(), curve: objective },
        ],
        parts,
    }
}

fn on_page(number: u64, standing: Standing) -> (Watched, WatchState) {
    let mut watched = running();
    watched.page = Some(page(number, standing));
    let mut state = state();
    state.screen = Screen::Trial(number);
    (watched, state)
}

fn state() -> WatchState {
    WatchState::new(ACCURACY, true)
}

fn terminal(width: u16, height: u16) -> Terminal<TestBackend> {
    Terminal::new(TestBackend::new(width, height)).unwrap()
}

fn screen_in(style: Style, size: (u16, u16), watched: &Watched, state: &mut WatchState) -> String {
    let mut terminal = terminal(size.0, size.1);
    state.fit(fits(size.0, size.1, watched), watched.listed);
    terminal.draw(|frame| draw(frame.buffer_mut(), watched, state, style)).unwrap();
    text(terminal.backend().buffer())
}

fn screen(size: (u16, u16), watched: &Watched, state: &mut WatchState) -> String {
    screen_in(Style::PLAIN, size, watched, state)
}

#[test]
fn a_running_sweep() {
    insta::assert_snapshot!(screen((100, 24), &running(), &mut state()));
}

#[test]
fn a_narrow_screen_has_less_of_everything() {
    insta::assert_snapshot!(screen((60, 16), &running(), &mut state()));
}

#[test]
fn a_wide_screen_has_longer_curves() {
    insta::assert_snapshot!(screen((160, 30), &running(), &mut state()));
}

#[test]
fn a_finished_sweep() {
    use Standing::Completed;
    let mut watched = running();
    watched.sweep = sweep(SweepStanding::Finished);
    watched.sweep.trials = TrialCounts { completed: 3, diverged: 1, ..TrialCounts::default() };
    watched.sweep.planned = Some(4);
    watched.sweep.best.as_mut().unwrap().trials = vec![1, 2, 3];
    watched.rows = [1, 2, 3].map(|number| row(number, Completed)).into();
    watched.rows.push(row(4, Standing::Diverged));
    watched.listed = 4;
    let mut state = WatchState::new(ACCURACY, false);
    insta::assert_snapshot!(screen((80, 24), &watched, &mut state));
}

#[test]
fn a_sweep_without_a_result_yet() {
    let mut watched = running();
    watched.sweep.best = None;
    watched.sweep.steps_per_second = None;
    watched.sweep.trials = TrialCounts { queued: 22, ..TrialCounts::default() };
    watched.sweep.workers = vec![WatchedWorker { device: "cuda:0".into(), trial: None }];
    watched.sweep.steps_done = 0;
    watched.rows = [1, 2].map(|number| row(number, Standing::Queued)).into();
    watched.listed = 2;
    insta::assert_snapshot!(screen((80, 24), &watched, &mut state()));
}

#[test]
fn an_empty_list_says_so() {
    let mut watched = running();
    (watched.rows, watched.listed) = (vec![], 0);
    let mut state = state();
    state.only = Some(Standing::Cancelled);
    let screen = screen((80, 24), &watched, &mut state);
    assert!(screen.contains("   no trial is cancelled\n"), "{screen}");
}

#[test]
fn a_killed_sweep_says_how_to_go_on() {
    let mut watched = running();
    watched.sweep = sweep(SweepStanding::Killed);
    let screen = screen((80, 24), &watched, &mut state());
    assert!(screen.lines().next().unwrap().contains("go on with `converge resume film-reviews`"));
}

#[test]
fn the_chosen_trial_that_failed_says_why() {
    let (watched, mut state) = (running(), state());
    state.press(Key::Down, &watched);
    state.fit(12, 22);
    state.press(Key::Down, &watched);
    state.press(Key::Char(' '), &watched);
    state.press(Key::Up, &watched);
    insta::assert_snapshot!(screen((80, 24), &watched, &mut state));
}

#[test]
fn a_trial_s_page() {
    let (watched, mut state) = on_page(7, Standing::Running);
    insta::assert_snapshot!(screen((120, 30), &watched, &mut state));
}

#[test]
fn a_narrow_page_shows_the_plot_in_focus() {
    let (watched, mut state) = on_page(7, Standing::Running);
    state.press(Key::Tab, &watched);
    state.press(Key::Char('l'), &watched);
    insta::assert_snapshot!(screen((80, 24), &watched, &mut state));
}

#[test]
fn a_failed_trial_s_page_begins_with_why() {
    let (watched, mut state) = on_page(5, Standing::Failed);
    insta::assert_snapshot!(screen((60, 20), &watched, &mut state));
}

#[test]
fn a_wide_page_has_its_text_beside_the_plots() {
    let (watched, mut state) = on_page(7, Standing::Running);
    insta::assert_snapshot!(screen((160, 24), &watched, &mut state));
}

#[test]
fn help_has_every_key() {
    let (watched, mut state) = (running(), state());
    state.press(Key::Char('?'), &watched);
    let full = screen((80, 24), &watched, &mut state);
    insta::assert_snapshot!(full);
    for (keys, does) in overlay::KEYS {
        assert!(full.contains(keys) && full.contains(does), "{keys}");
    }
}

#[test]
fn the_documentation_has_every_key() {
    let documentation = include_str!("../../../../../docs/watch.md");
    for (keys, does) in overlay::KEYS {
        let line = format!("| {keys} | {does} |");
        assert!(documentation.contains(&line), "docs/watch.md lacks the line\n{line}");
    }
}

#[test]
fn a_question_stands_over_the_list() {
    let (watched, mut state) = (running(), state());
    state.press(Key::Char('c'), &watched);
    insta::assert_snapshot!(screen((80, 24), &watched, &mut state));
}

#[test]
fn metrics_can_be_chosen() {
    let (watched, mut state) = on_page(7, Standing::Running);
    state.press(Key::Char('m'), &watched);
    state.press(Key::Down, &watched);
    insta::assert_snapshot!(screen((80, 24), &watched, &mut state));
}

#[test]
fn no_screen_is_too_small_to_say_so() {
    for width in 1..=62 {
        for height in 1..=18 {
            let text = screen((width, height), &running(), &mut state());
            if width >= 18 && height >= 2 && (width < 60 || height < 16) {
                assert!(text.contains("needs 60 x 16"), "{width} x {height}: {text}");
            }
        }
    }
}

#[test]
fn every_size_draws_every_screen_within_its_width() {
    for width in (60..240).step_by(23) {
        for height in (16..70).step_by(11) {
            let (page, mut on_page) = on_page(7, Standing::Running);
            screen((width, height), &page, &mut on_page);
            screen((width, height), &running(), &mut state());
        }
    }
}

#[test]
fn ascii_serves_where_nothing_else_does() {
    let ascii = Style { colour: false, unicode: false };
    let (watched, mut state) = on_page(7, Standing::Running);
    for text in [
        screen_in(ascii, (100, 24), &running(), &mut self::state()),
        screen_in(ascii, (100, 30), &watched, &mut state),
    ] {
        assert!(text.is_ascii(), "{text}");
    }
}

#[test]
fn colour_is_used_only_where_it_is_allowed_and_never_alone() {
    use ratatui_core::style::Color;
    let colours = |style| {
        let mut terminal = terminal(100, 24);
        let watched = running();
        terminal.draw(|frame| draw(frame.buffer_mut(), &watched, &mut state(), style)).unwrap();
        let cells = &terminal.backend().buffer().content;
        let coloured = cells.iter().filter(|cell| cell.fg != Color::Reset).count();
        (coloured, text(terminal.backend().buffer()))
    };
    let (none, plain) = colours(Style::PLAIN);
    let (some, coloured) = colours(Style { colour: true, unicode: true });
    assert_eq!(none, 0);
    assert!(some > 100, "{some}");
    assert_eq!(plain, coloured, "words say what colours say");
}

#[test]
fn what_strangers_wrote_moves_no_cursor() {
    let mut watched = running();
    watched.sweep.name = "a\x1b[2Jb\n".into();
    watched.rows[0]
        .trial
        .configuration
        .insert("optimizer".into(), Value::Text("日本語\x07".into()));
    let text = screen((100, 24), &watched, &mut state());
    assert!(!text.contains(['\x1b', '\x07']), "{text}");
    assert!(text.contains("日本語"), "{text}");
}

#[test]
fn a_snapshot_is_the_sweep_and_its_first_trials() {
    insta::assert_snapshot!(snapshot(&running(), &mut state(), 80));
}
