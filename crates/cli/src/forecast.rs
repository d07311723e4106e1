//! `resume --dry-run`: what would be done with each trial, and why.

use std::collections::BTreeMap;

use converge_core::failure::FailureClass;
use converge_core::resumption::{Ended, Outlook, Retry, outlook};
use converge_dashboard::terminal::number::count;
use converge_dashboard::terminal::table::{Align, Table};
use converge_scheduler::foresight::{Foresight, foresee};
use converge_scheduler::growing;
use converge_scheduler::home::Home;
use converge_scheduler::reactor::Trial;
use converge_scheduler::trials::definition;
use converge_store::{Reader, SweepSummary};
use serde_json::json;

use crate::budget::{self, Spent};
use crate::exit_code::ExitCode;
use crate::output;
use crate::report::Report;

/// Trials that the text shows.
const SHOWN: usize = 40;
/// Numbers of skipped trials that a line shows.
const NAMED: usize = 10;

/// What becomes of a trial.
struct Line {
    trial: Trial,
    outlook: Outlook,
}

/// Shows what `resume` would do. `words` are those of `--retry`.
pub(crate) fn show(
    home: &Home,
    reader: &Reader,
    summary: &SweepSummary,
    retry: &Retry,
    words: &str,
    as_json: bool,
) -> Result<ExitCode, Report> {
    let Some(record) = reader.sweep(summary.id)? else {
        return Err(Report::usage("there is no sweep yet", "start one with `converge run FILE`"));
    };
    let sweep = definition(&record)?;
    let holder = home.holder();
    if let Some(pid) = holder {
        output::talk(&format!(
            "pid {pid} works in this home: this is what `resume` would do if it stopped now\n"
        ));
    }
    let ahead = foresee(home, reader, &record, &sweep)?;
    for directory in &ahead.unreadable {
        output::talk(&format!(
            "the log in `{directory}` cannot be read: its trial goes on from what is stored\n"
        ));
    }
    let spent = Spent::of(sweep.budget, home, reader, summary.id, holder.is_some())?
        .with_steps(ahead.steps);
    let raise = budget::raise_from(&spent, reader, summary.id)?;
    // Whether more will follow from what is in unread logs is not known before they are read.
    let over = ahead.steps == 0 && growing::is_over(&record, &sweep, reader)?;
    let forecast = Forecast::new(&summary.name, &ahead, retry, words, sweep.grows() && !over);
    if as_json {
        output::json(&forecast.json(&spent, raise.as_deref()))?;
    } else {
        output::data(&forecast.text(&spent, raise.as_deref()));
    }
    Ok(ExitCode::Done)
}

struct Forecast<'a> {
    name: &'a str,
    lines: Vec<Line>,
    /// Workers that a dead scheduler left behind.
    workers: u64,
    /// Whether trials may be added to those that there are.
    grows: bool,
    /// The command that does it; none where nothing is to be done.
    command: Option<String>,
}

impl<'a> Forecast<'a> {
    fn new(name: &'a str, ahead: &Foresight, retry: &Retry, words: &str, grows: bool) -> Self {
        let line = |trial: &Trial| {
            let checkpoint = trial.resume_point.as_ref().map(|point| point.step);
            Line { outlook: outlook(&trial.state, checkpoint, retry), trial: trial.clone() }
        };
        let lines: Vec<Line> = ahead.trials.iter().map(|(_, trial)| line(trial)).collect();
        let retries = lines.iter().any(|line| matches!(line.outlook, Outlook::Retry { .. }));
        let again = if retries { format!(" --retry {words}") } else { String::new() };
        let open = lines.iter().any(|line| !matches!(line.outlook, Outlook::Skip(_)));
        let command =
            (open || grows).then(|| format!("converge resume {}{again}", budget::quoted(name)));
        Self { name, lines, workers: ahead.workers, grows, command }
    }

    fn count(&self, word: &str) -> u64 {
        self.lines.iter().filter(|line| line.outlook.word() == word).count() as u64
    }

    fn open(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !matches!(line.outlook, Outlook::Skip(_)))
    }

    /// How many trials there are, those beside the search apart.
    fn trials(&self) -> String {
        let beside = self.lines.iter().filter(|line| !line.trial.kind.is_ranked()).count();
        let search = self.lines.len() - beside;
        match beside {
            0 => format!("{search} trials"),
            _ => format!("{search} trials and {beside} beside the search"),
        }
    }

    fn steps_left(&self) -> u64 {
        self.open().map(Line::steps_left).sum()
    }

    fn text(&self, spent: &Spent, raise: Option<&str>) -> String {
        let open = self.open().count();
        let read = match self.workers {
            0 => String::new(),
            1 => ", after reading what the last session left (1 worker)".into(),
            workers => format!(", after reading what the last session left ({workers} workers)"),
        };
        let mut text = format!("sweep `{}`: {}, {open} to do{read}\n", self.name, self.trials());
        if open > 0 {
            text += &self.table();
        }
        text += &self.skipped();
        if self.grows {
            text += "more trials may follow from the results\n";
        }
        let of = |word: &str| format!("{} {word}", count(self.count(word)));
        let words = ["continue", "start", "retry", "skip"].map(of).join(", ");
        text += &format!("in all   {words}; {} steps left\n", count(self.steps_left()));
        if let Some(budget) = spent.text() {
            text += &format!("budget   {budget}\n");
        }
        match (&self.command, spent.exhausted()) {
            (None, _) => text += "nothing left to do\n",
            (Some(_), Some(reason)) => {
                let raise = raise.unwrap_or("converge run FILE");
                text += &format!("nothing would run: {reason}; raise it: {raise}\n");
            }
            (Some(command), None) => text += &format!("to do it: {command}\n"),
        }
        text
    }

    fn table(&self) -> String {
        let right = |header| (header, Align::Right);
        let mut table = Table::new([
            right("trial"),
            ("what", Align::Left),
            right("from step"),
            right("steps left"),
            ("why", Align::Left),
        ]);
        for line in self.open().take(SHOWN) {
            table.push([
                line.trial.number.to_string(),
                line.outlook.word().to_string(),
                line.outlook.from_step().unwrap_or(0).to_string(),
                line.steps_left().to_string(),
                line.why(),
            ]);
        }
        let mut text = table.render(output::width());
        let more = self.open().count().saturating_sub(SHOWN);
        if more > 0 {
            text += &format!("... and {more} more (--json lists all)\n");
        }
        text
    }

    /// A line for each reason, the numbers of failed trials with it.
    fn skipped(&self) -> String {
        let (mut completed, mut diverged, mut cancelled) = (0, 0, 0);
        let (mut stopped, mut waiting) = (0, 0);
        let mut failed: BTreeMap<FailureClass, Vec<String>> = BTreeMap::new();
        for line in &self.lines {
            match &line.outlook {
                Outlook::Skip(Ended::Completed) => completed += 1,
                Outlook::Skip(Ended::Diverged) => diverged += 1,
                Outlook::Skip(Ended::Cancelled) => cancelled += 1,
                Outlook::Skip(Ended::Stopped) => stopped += 1,
                Outlook::Wait { .. } => waiting += 1,
                Outlook::Skip(Ended::Failed(failure)) => {
                    let times = times(line.trial.failures.get(&failure.class));
                    let named = format!("{} ({times})", line.trial.number);
                    failed.entry(failure.class).or_default().push(named);
                }
                Outlook::Continue { .. } | Outlook::Start | Outlook::Retry { .. } => {}
            }
        }
        let mut text = String::new();
        for (number, why) in [
            (completed, "completed"),
            (stopped, "stopped at a rung: a result"),
            (diverged, "diverged: a result"),
            (cancelled, "cancelled; `--retry cancelled` tries again"),
        ] {
            if number > 0 {
                text += &format!("skipped  {} {why}\n", count(number));
            }
        }
        if waiting > 0 {
            text += &format!(
                "waiting  {} at a rung: they go on, or are stopped, once the others have come\n",
                count(waiting)
            );
        }
        for (class, named) in failed {
            let word = class.word();
            let more = named.len().saturating_sub(NAMED);
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            let first: Vec<_> = named.iter().take(NAMED).cloned().collect();
            text += &format!(
                "skipped  {} failed, {word}: trial {}{rest}; `--retry {word}` tries again\n",
                named.len(),
                first.join(", ")
            );
        }
        text
    }

    fn json(&self, spent: &Spent, raise: Option<&str>) -> serde_json::Value {
        let trials: Vec<_> = self.lines.iter().map(Line::json).collect();
        json!({
            "sweep": self.name,
            "left_behind_workers": self.workers,
            "trials": trials,
            "counts": {
                "continue": self.count("continue"), "start": self.count("start"),
                "retry": self.count("retry"), "skip": self.count("skip"), "wait": self.count("wait"),
            },
            "steps_left": self.steps_left(),
            "budget": spent.json(),
            "exhausted": spent.exhausted(),
            "raise": raise,
            "command": self.command,
        })
    }
}

impl Line {
    fn steps_left(&self) -> u64 {
        self.outlook.from_step().map_or(0, |from| self.trial.total_steps.saturating_sub(from))
    }

    fn why(&self) -> String {
        let kind = self.trial.kind;
        let why = self.reason();
        if kind.is_ranked() { why } else { format!("{why} ({})", kind.word()) }
    }

    fn reason(&self) -> String {
        let attempts = self.trial.attempts;
        match &self.outlook {
            Outlook::Continue { from_step } => {
                format!("checkpoint of step {from_step}, attempt {attempts}")
            }
            Outlook::Start if attempts == 0 => "never started".into(),
            Outlook::Start => format!("no checkpoint, attempt {attempts}"),
            Outlook::Wait { at_step } => format!("waits at the rung of step {at_step}"),
            Outlook::Retry { after, .. } | Outlook::Skip(after) => match after {
                Ended::Completed => "completed".into(),
                Ended::Diverged => "diverged".into(),
                Ended::Cancelled => "cancelled".into(),
                Ended::Stopped => "stopped at a rung".into(),
                Ended::Failed(failure) => {
                    let word = failure.class.word();
                    format!("failed: {word}, {}", times(self.trial.failures.get(&failure.class)))
                }
            },
        }
    }

    fn json(&self) -> serde_json::Value {
        let failure = match &self.outlook {
            Outlook::Retry { after: Ended::Failed(failure), .. }
            | Outlook::Skip(Ended::Failed(failure)) => Some(failure),
            Outlook::Continue { .. }
            | Outlook::Start
            | Outlook::Retry { .. }
            | Outlook::Wait { .. }
            | Outlook::Skip(
                Ended::Completed | Ended::Diverged | Ended::Cancelled | Ended::Stopped,
            ) => None,
        };
        let failures: BTreeMap<&str, u64> =
            self.trial.failures.iter().map(|(class, times)| (class.word(), *times)).collect();
        json!({
            "trial": self.trial.number,
            "kind": self.trial.kind.word(),
            "action": self.outlook.word(),
            "why": self.why(),
            "from_step": self.outlook.from_step(),
            "total_steps": self.trial.total_steps,
            "steps_left": self.steps_left(),
            "attempts": self.trial.attempts,
            "failure": failure,
            "failures": failures,
        })
    }
}

fn times(number: Option<&u64>) -> String {
    match number.copied().unwrap_or(0) {
        1 => "once".into(),
        times => format!("{times} times"),
    }
}
