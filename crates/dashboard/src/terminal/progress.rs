//! The live display of a running sweep: bars on a terminal, plain lines elsewhere.

use std::io::Write;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::escaped::escaped;
use super::progress_line;
use super::style::Style;
use crate::view::pace::LinePace;
use crate::view::progress::{EndedTrial, StepRate, SweepProgress};

/// The live display of a running sweep. A failure to write is ignored: it must not disturb the sweep.
pub struct ProgressDisplay {
    surface: Surface,
    style: Style,
    rate: StepRate,
}

enum Surface {
    Bars(Bars),
    Lines { out: Box<dyn Write + Send>, pace: LinePace },
}

/// The lines at the bottom of the terminal, from top to bottom; those without text are not there.
struct Bars {
    all: MultiProgress,
    overall: ProgressBar,
    best: Option<ProgressBar>,
    running: Vec<ProgressBar>,
}

impl ProgressDisplay {
    /// Makes a display that redraws a few lines at the bottom of standard error, which is a terminal.
    pub fn on_terminal(style: Style) -> Self {
        let all = MultiProgress::new();
        let overall = all.add(line());
        let bars = Bars { all, overall, best: None, running: Vec::new() };
        Self { surface: Surface::Bars(bars), style, rate: StepRate::default() }
    }

    /// Makes a display that appends lines without escape codes to `out`, few enough for a log.
    pub fn plain(out: Box<dyn Write + Send>, style: Style) -> Self {
        let style = Style { colour: false, ..style };
        let surface = Surface::Lines { out, pace: LinePace::default() };
        Self { surface, style, rate: StepRate::default() }
    }

    /// Shows where the sweep stands; can be called as often as there is something new.
    pub fn show(&mut self, progress: &SweepProgress) {
        self.rate.observe(progress.elapsed_seconds, progress.steps_done);
        let rate = self.rate.per_second();
        match &mut self.surface {
            Surface::Bars(bars) => bars.show(progress, rate, self.style),
            Surface::Lines { out, pace } => {
                if let Some(ends) = pace.summary(progress.elapsed_seconds) {
                    write_skipped(out, progress.elapsed_seconds, ends);
                    let line = progress_line::summary(progress, rate, self.style);
                    write_line(out, &progress_line::logged(progress.elapsed_seconds, &line));
                }
            }
        }
    }

    /// Tells that a trial has ended; `progress` counts it already.
    pub fn trial_ended(&mut self, trial: &EndedTrial, progress: &SweepProgress) {
        let line = progress_line::ended(trial, progress, self.style);
        match &mut self.surface {
            Surface::Bars(bars) => _ = bars.all.println(line),
            Surface::Lines { out, pace } => {
                if let Some(ends) = pace.end(progress.elapsed_seconds) {
                    write_skipped(out, progress.elapsed_seconds, ends);
                    write_line(out, &progress_line::logged(progress.elapsed_seconds, &line));
                }
            }
        }
    }

    /// Writes a line above the bars, or just a line.
    pub fn println(&mut self, text: &str) {
        let text = escaped(text);
        match &mut self.surface {
            Surface::Bars(bars) => _ = bars.all.println(&*text),
            Surface::Lines { out, .. } => write_line(out, &text),
        }
    }

    /// Takes the bars away and leaves the lines above them; `progress` is the last that is known.
    pub fn finish(self, progress: &SweepProgress) {
        match self.surface {
            Surface::Bars(bars) => _ = bars.all.clear(),
            Surface::Lines { mut out, pace } => {
                write_skipped(&mut out, progress.elapsed_seconds, pace.finish());
            }
        }
    }
}

impl Bars {
    fn show(&mut self, progress: &SweepProgress, rate: Option<f64>, style: Style) {
        self.overall.set_message(progress_line::overall(progress, rate, style));
        if let Some(best) = &progress.best {
            let bar = self.best.get_or_insert_with(|| self.all.insert_after(&self.overall, line()));
            bar.set_message(progress_line::best(best, &progress.objective, style));
        }
        while self.running.len() > progress.running.len() {
            if let Some(bar) = self.running.pop() {
                self.all.remove(&bar);
            }
        }
        while self.running.len() < progress.running.len() {
            self.running.push(self.all.add(line()));
        }
        for (bar, trial) in self.running.iter().zip(&progress.running) {
            let (objective, total) = (&progress.objective, progress.trials_total);
            bar.set_message(progress_line::running(trial, objective, total, style));
        }
    }
}

/// A line that is cut at the width of the terminal. Its text, bar included, is made by [`progress_line`].
fn line() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_msg}");
    let bar = ProgressBar::no_length();
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

fn write_skipped(out: &mut Box<dyn Write + Send>, elapsed_seconds: f64, ends: u64) {
    if ends > 0 {
        let line = progress_line::skipped(ends);
        write_line(out, &progress_line::logged(elapsed_seconds, &line));
    }
}

fn write_line(out: &mut Box<dyn Write + Send>, line: &str) {
    _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::view::progress::Outcome;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn progress(completed: u64, elapsed_seconds: f64) -> SweepProgress {
        SweepProgress {
            objective: "validation/accuracy".into(),
            trials_total: 24,
            completed,
            diverged: 0,
            failed: 0,
            cancelled: 0,
            stopped: 0,
            waiting: 0,
            running: vec![],
            steps_done: (elapsed_seconds * 2.0) as u64,
            steps_total: 24 * 40,
            best: None,
            elapsed_seconds,
        }
    }

    fn ended(number: u64) -> EndedTrial {
        EndedTrial {
            number,
            outcome: Outcome::Completed,
            configuration: format!("learning_rate={number}e-5"),
            objective: Some(0.8),
            seconds: 20.0,
            message: None,
        }
    }

    #[test]
    fn a_log_gets_plain_lines() {
        let buffer = Buffer::default();
        let colour = Style { colour: true, unicode: true };
        let mut display = ProgressDisplay::plain(Box::new(buffer.clone()), colour);
        for second in 0..=40 {
            let completed = second / 20;
            let progress = progress(completed, second as f64);
            if second % 20 == 0 && second > 0 {
                display.trial_ended(&ended(completed), &progress);
            }
            display.show(&progress);
        }
        display.println("stopping: a checkpoint is being written");
        display.finish(&progress(2, 40.0));
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        insta::assert_snapshot!(text, @r"
        [0:00:15] 0/24 trials · 2.0 steps/s, about 7 min 45 s left
        [0:00:20] trial 1 completed (1/24) · accuracy 80.0 % · 20 s · learning_rate=1e-5
        [0:00:35] 1/24 trials · 2.0 steps/s, about 7 min 25 s left
        [0:00:40] trial 2 completed (2/24) · accuracy 80.0 % · 20 s · learning_rate=2e-5
        stopping: a checkpoint is being written
        ");
    }

    #[test]
    fn a_flood_of_trials_loses_no_count() {
        let buffer = Buffer::default();
        let mut display = ProgressDisplay::plain(Box::new(buffer.clone()), Style::PLAIN);
        for trial in 1..=24 {
            display.trial_ended(&ended(trial), &progress(trial, 1.0));
        }
        display.finish(&progress(24, 1.0));
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 21);
        insta::assert_snapshot!(text.lines().last().unwrap(), @"[0:00:01] and 4 trials more ended");
    }
}
