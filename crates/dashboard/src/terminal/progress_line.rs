//! The lines of a running sweep, each as text of one line.

use converge_core::metric::name_of;

use super::escaped::printable;
use super::number;
use super::sparkline::sparkline;
use super::style::{Colour, Style};
use crate::view::progress::{BestTrial, EndedTrial, Outcome, RunningTrial, SweepProgress};
use crate::view::watch_curve::SampledCurve;

/// Returns the line of the whole sweep: bar, trials, speed and the time left.
pub fn overall(progress: &SweepProgress, steps_per_second: Option<f64>, style: Style) -> String {
    let bar = style.bar(progress.share(), 24);
    let mut parts = vec![format!("{bar} {}", trials(progress))];
    parts.push(speed(progress, steps_per_second));
    parts.join(separator(style))
}

/// Returns the line of the best trial so far.
pub fn best(best: &BestTrial, objective: &str, style: Style) -> String {
    let value = style.paint(Colour::Green, &number::of_metric(objective, best.value));
    format!(
        "best {} {value}{dot}trial {}{dot}{}",
        printable(objective),
        best.number,
        printable(&best.configuration),
        dot = separator(style),
    )
}

/// Returns the line of a running trial; numbers are padded as if `trials_total` were the largest.
pub fn running(trial: &RunningTrial, objective: &str, trials_total: u64, style: Style) -> String {
    let share = trial.step as f64 / trial.total_steps.max(1) as f64;
    let (step, total) = (trial.step.to_string(), trial.total_steps.to_string());
    let number_width = trials_total.to_string().len();
    let loss = trial.loss.map_or("-".into(), |loss| number::of_metric("train/loss", loss));
    let value = trial.objective.map_or("-".into(), |value| number::of_metric(objective, value));
    let speed = trial.steps_per_second.filter(|rate| *rate > 0.0).map_or("-".into(), rate_text);
    format!(
        "trial {:<number_width$} {} {step:>step_width$}/{total} {speed:>4} steps/s  loss {loss:<7} {} {value:<7} {}",
        trial.number,
        curve(&trial.losses, share, 12, style),
        short_name(objective),
        style.paint(Colour::Dim, &printable(&trial.configuration)),
        step_width = total.len(),
    )
}

/// Returns the line of a trial that has just ended; `progress` counts it already.
pub fn ended(trial: &EndedTrial, progress: &SweepProgress, style: Style) -> String {
    let colour = match trial.outcome {
        Outcome::Completed => Colour::Green,
        Outcome::Diverged => Colour::Yellow,
        Outcome::Failed => Colour::Red,
    };
    let dot = separator(style);
    let mut line = format!(
        "trial {} {} ({}/{})",
        trial.number,
        style.paint(colour, trial.outcome.word()),
        progress.ended(),
        progress.trials_total,
    );
    if let Some(value) = trial.objective {
        let value = number::of_metric(&progress.objective, value);
        line += &format!("{dot}{} {value}", short_name(&progress.objective));
    }
    if trial.seconds > 0.0 {
        line += &format!("{dot}{}", number::duration(trial.seconds));
    }
    line += &format!("{dot}{}", printable(&trial.configuration));
    if let Some(message) = &trial.message {
        line += &format!("{dot}{}", printable(message));
    }
    line
}

/// Returns the line that sums up a sweep in a log.
pub fn summary(progress: &SweepProgress, steps_per_second: Option<f64>, style: Style) -> String {
    let dot = separator(style);
    let mut line = format!("{}{dot}{}", trials(progress), speed(progress, steps_per_second));
    if let Some(best) = &progress.best {
        let value = number::of_metric(&progress.objective, best.value);
        line += &format!("{dot}best {value} (trial {})", best.number);
    }
    line
}

/// Returns the line about ends that had no line of their own.
pub fn skipped(ends: u64) -> String {
    format!("and {} more ended", number::plural(ends, "trial"))
}

/// Returns a line of a log: when, and what.
pub fn logged(elapsed_seconds: f64, line: &str) -> String {
    format!("[{}] {line}", number::clock(elapsed_seconds))
}

fn trials(progress: &SweepProgress) -> String {
    let mut text = format!(
        "{}/{} trials",
        number::count(progress.ended()),
        number::count(progress.trials_total)
    );
    let others = [
        (progress.stopped, "stopped"),
        (progress.waiting, "waiting"),
        (progress.diverged, "diverged"),
        (progress.failed, "failed"),
        (progress.cancelled, "cancelled"),
    ];
    for (count, word) in others.into_iter().filter(|(count, _)| *count > 0) {
        text += &format!(", {} {word}", number::count(count));
    }
    text
}

fn speed(progress: &SweepProgress, steps_per_second: Option<f64>) -> String {
    let rate = steps_per_second.filter(|rate| *rate > 0.0);
    match (rate, progress.seconds_left(rate)) {
        (Some(rate), Some(seconds)) => {
            let rate = rate_text(rate);
            // An estimate has no tenths of a second.
            let left = if seconds < 10.0 {
                format!("{} s", seconds.ceil())
            } else {
                number::duration(seconds)
            };
            format!("{rate} steps/s, about {left} left")
        }
        _ => format!("running for {}", number::duration(progress.elapsed_seconds.floor())),
    }
}

/// Returns a speed in few characters.
fn rate_text(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

/// Returns a bar whose filled part is the curve so far.
fn curve(losses: &SampledCurve, share: f64, width: usize, style: Style) -> String {
    let means = losses.means(width);
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let filled = (share * width as f64).floor() as usize;
    if !style.unicode || filled == 0 || means[0].is_none() {
        return style.bar(share, width);
    }
    let mut last = None;
    // A curve that was looked at seldom ends before the bar does.
    let known = means.into_iter().take(filled).map(|mean| {
        last = mean.or(last);
        last
    });
    let line = sparkline(&known.collect::<Vec<_>>(), style);
    style.paint(Colour::Cyan, &line) + &style.paint(Colour::Dim, &"─".repeat(width - filled))
}

fn short_name(objective: &str) -> String {
    printable(name_of(objective)).into_owned()
}

fn separator(style: Style) -> &'static str {
    if style.unicode { " · " } else { " - " }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(number: u64, step: u64, objective: Option<f64>) -> RunningTrial {
        RunningTrial {
            number,
            worker: "local-1".into(),
            configuration: "learning_rate=2e-4 optimizer=adamw batch_size=16".into(),
            step,
            total_steps: 128,
            loss: objective.map(|_| 0.432_19),
            losses: losses(step),
            steps_per_second: objective.map(|_| 1.04),
            objective,
        }
    }

    /// A loss that falls, as far as it was looked at.
    fn losses(steps: u64) -> SampledCurve {
        let mut losses = SampledCurve::new(128, 24);
        (0..steps / 4).for_each(|index| losses.push(index * 4 + 1, 1.0 / (1.0 + index as f64)));
        losses
    }

    fn progress() -> SweepProgress {
        SweepProgress {
            objective: "validation/accuracy".into(),
            trials_total: 24,
            completed: 5,
            diverged: 1,
            failed: 0,
            cancelled: 0,
            stopped: 0,
            waiting: 0,
            running: vec![trial(7, 3, None), trial(12, 100, Some(0.8123))],
            steps_done: 700,
            steps_total: 2304,
            best: Some(BestTrial {
                number: 4,
                value: 0.8125,
                configuration: "learning_rate=2e-4 optimizer=adamw batch_size=16".into(),
            }),
            elapsed_seconds: 350.0,
        }
    }

    fn ended_trial(outcome: Outcome, objective: Option<f64>, message: Option<&str>) -> EndedTrial {
        EndedTrial {
            number: 4,
            outcome,
            configuration: "learning_rate=2e-4 optimizer=adamw".into(),
            objective,
            seconds: if outcome == Outcome::Diverged { 0.0 } else { 63.2 },
            message: message.map(str::to_owned),
        }
    }

    fn screen(style: Style) -> String {
        let progress = progress();
        let mut lines = vec![overall(&progress, Some(2.04), style)];
        lines.extend(progress.best.iter().map(|trial| best(trial, &progress.objective, style)));
        let show = |trial| running(trial, &progress.objective, progress.trials_total, style);
        lines.extend(progress.running.iter().map(show));
        lines.join("\n")
    }

    #[test]
    fn a_running_sweep_is_a_few_lines() {
        insta::assert_snapshot!(screen(Style::PLAIN), @r"
        ━━━━━━━───────────────── 6/24 trials, 1 diverged · 2.0 steps/s, about 13 min 06 s left
        best validation/accuracy 81.2 % · trial 4 · learning_rate=2e-4 optimizer=adamw batch_size=16
        trial 7  ────────────   3/128    - steps/s  loss -       accuracy -       learning_rate=2e-4 optimizer=adamw batch_size=16
        trial 12 █▃▂▂▁▁▁▁▁─── 100/128  1.0 steps/s  loss 0.4322  accuracy 81.2 %  learning_rate=2e-4 optimizer=adamw batch_size=16
        ");
    }

    #[test]
    fn ascii_serves_where_nothing_else_does() {
        let text = screen(Style { colour: false, unicode: false });
        assert!(text.is_ascii());
        insta::assert_snapshot!(text, @r"
        #######................. 6/24 trials, 1 diverged - 2.0 steps/s, about 13 min 06 s left
        best validation/accuracy 81.2 % - trial 4 - learning_rate=2e-4 optimizer=adamw batch_size=16
        trial 7  ............   3/128    - steps/s  loss -       accuracy -       learning_rate=2e-4 optimizer=adamw batch_size=16
        trial 12 #########... 100/128  1.0 steps/s  loss 0.4322  accuracy 81.2 %  learning_rate=2e-4 optimizer=adamw batch_size=16
        ");
    }

    #[test]
    fn no_rate_no_promise() {
        insta::assert_snapshot!(overall(&progress(), None, Style::PLAIN), @"━━━━━━━───────────────── 6/24 trials, 1 diverged · running for 5 min 50 s");
        insta::assert_snapshot!(overall(&progress(), Some(0.0), Style::PLAIN), @"━━━━━━━───────────────── 6/24 trials, 1 diverged · running for 5 min 50 s");
    }

    #[test]
    fn every_outcome_has_its_line() {
        let ends = [
            ended_trial(Outcome::Completed, Some(0.8125), None),
            ended_trial(Outcome::Diverged, None, Some("loss is nan at step 17")),
            ended_trial(Outcome::Failed, None, Some("killed by signal 9\n(six times)")),
        ];
        let lines: Vec<String> =
            ends.iter().map(|end| logged(350.9, &ended(end, &progress(), Style::PLAIN))).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        [0:05:50] trial 4 completed (6/24) · accuracy 81.2 % · 1 min 03 s · learning_rate=2e-4 optimizer=adamw
        [0:05:50] trial 4 diverged (6/24) · learning_rate=2e-4 optimizer=adamw · loss is nan at step 17
        [0:05:50] trial 4 failed (6/24) · 1 min 03 s · learning_rate=2e-4 optimizer=adamw · killed by signal 9 (six times)
        ");
    }

    #[test]
    fn a_summary_says_where_the_sweep_stands() {
        insta::assert_snapshot!(logged(350.9, &summary(&progress(), Some(12.4), Style::PLAIN)), @"[0:05:50] 6/24 trials, 1 diverged · 12 steps/s, about 2 min 09 s left · best 81.2 % (trial 4)");
        assert_eq!(skipped(1), "and 1 trial more ended");
    }
}
