//! `converge cancel`: trials that are not wanted any more.

use std::collections::BTreeSet;
use std::time::Duration;

use converge_core::trial::TrialState;
use converge_scheduler::cancellation;
use converge_scheduler::home::{Home, HomeError};
use converge_scheduler::requests::Request;
use converge_store::{Reader, SweepSummary, TrialRecord};

use crate::arguments::CancelArguments;
use crate::ask::{Answer, ask};
use crate::commands::{best, trials};
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::selector::{self, Condition, Known};
use crate::{drive, home as homes, output};

/// Between two tries where a scheduler starts or ends just now.
const AGAIN: Duration = Duration::from_millis(50);

/// Runs the command.
pub(crate) fn run(arguments: &CancelArguments, home: &Home) -> Result<ExitCode, Report> {
    let reader = homes::open(home)?;
    let summary = homes::sweep(&reader, arguments.sweep.as_deref())?;
    let before = reader.trials(summary.id)?;
    let chosen = choose(arguments, &reader, &summary, &before)?;
    let open: Vec<u64> = before
        .iter()
        .filter(|trial| chosen.contains(&trial.number) && !trial.state.is_final())
        .map(|trial| trial.number)
        .collect();
    if chosen.is_empty() {
        output::talk("no trial fits: nothing to cancel\n");
        return Ok(ExitCode::Done);
    }
    let carried_out = open.is_empty() || cancel(home, &summary, &open)?;
    tell(&reader.trials(summary.id)?, &chosen, &open);
    Ok(if carried_out { ExitCode::Done } else { ExitCode::Failure })
}

/// Returns the numbers that are named, or all, as far as the conditions hold.
fn choose(
    arguments: &CancelArguments,
    reader: &Reader,
    summary: &SweepSummary,
    trials: &[TrialRecord],
) -> Result<BTreeSet<u64>, Report> {
    let parameters = selector::parameters(trials);
    let (mut conditions, mut numbers) = (Vec::new(), None);
    for text in &arguments.trials {
        if text.contains(['=', '<', '>']) {
            conditions.push(Condition::parse(text, &parameters)?);
        } else {
            let ranking = best::ranking(reader, summary, &summary.objective, 1)?;
            let known = Known {
                last: summary.last_number,
                refit: reader.newest_refit(summary.id)?,
                ranking: &ranking.ranked,
            };
            let named = selector::numbers(text, &known)?;
            numbers.get_or_insert_with(BTreeSet::new).extend(named);
        }
    }
    let fits = |trial: &&TrialRecord| {
        numbers.as_ref().is_none_or(|numbers| numbers.contains(&trial.number))
            && conditions.iter().all(|condition| condition.fits(&trials::subject(trial)))
    };
    Ok(trials.iter().filter(fits).map(|trial| trial.number).collect())
}

/// Asks the scheduler, or does it where there is none; returns whether it is done.
pub(crate) fn cancel(home: &Home, summary: &SweepSummary, numbers: &[u64]) -> Result<bool, Report> {
    loop {
        if let Some(scheduler) = home.holder() {
            let (sweep, trials) = (summary.name.clone(), numbers.to_vec());
            match ask(home, scheduler, &Request::Cancel { sweep, trials })? {
                Answer::Done => return Ok(true),
                Answer::Waiting => return Ok(false),
                Answer::Gone => {}
            }
        }
        match home.create().and_then(|()| home.lock()) {
            Ok(_lock) => {
                let mut store = drive::open(home)?;
                cancellation::cancel(home, &mut store, summary, numbers)?;
                return Ok(true);
            }
            // Somebody was faster: ask.
            Err(HomeError::Held { .. }) => std::thread::sleep(AGAIN),
            Err(error) => return Err(drive::unusable(error)),
        }
    }
}

fn tell(trials: &[TrialRecord], chosen: &BTreeSet<u64>, asked: &[u64]) {
    let of = |fits: &dyn Fn(&TrialRecord) -> bool| -> Vec<u64> {
        let chosen = trials.iter().filter(|trial| chosen.contains(&trial.number) && fits(trial));
        chosen.map(|trial| trial.number).collect()
    };
    let say = |numbers: &[u64], words: &str| {
        if !numbers.is_empty() {
            let noun = if numbers.len() == 1 { "trial" } else { "trials" };
            output::talk(&format!("{noun} {}: {words}\n", selector::ranges(numbers)));
        }
    };
    let now = |trial: &TrialRecord| asked.binary_search(&trial.number).is_ok();
    say(&of(&|trial| trial.state == TrialState::Cancelled && now(trial)), "cancelled");
    let open = of(&|trial| !trial.state.is_final());
    let whose =
        if open.len() == 1 { "its worker lets go of it" } else { "their workers let go of them" };
    say(&open, &format!("to be cancelled once {whose}"));
    for (word, one, many) in [
        ("cancelled", "cancelled before", "cancelled before"),
        (
            "completed",
            "completed already, and keeps its results",
            "completed already, and keep their results",
        ),
        (
            "diverged",
            "diverged already, and keeps its results",
            "diverged already, and keep their results",
        ),
        ("stopped", "stopped early already", "stopped early already"),
        ("failed", "failed already", "failed already"),
    ] {
        let left = |trial: &TrialRecord| {
            trial.state.word() == word && !(word == "cancelled" && now(trial))
        };
        let left = of(&left);
        say(&left, if left.len() == 1 { one } else { many });
    }
}
