//! `converge refit`: a trial's configuration once more, on training and validation data together.

use std::collections::BTreeMap;

use converge_core::fingerprint::fingerprint;
use converge_core::materialise::{Cases, PlannedTrial};
use converge_core::refit;
use converge_core::sampler::Sample;
use converge_core::settings::Settings;
use converge_core::steps::total_steps;
use converge_core::sweep::{Sweep, Workers};
use converge_core::trial::{Retries, TrialEvent, TrialKind, TrialState};
use converge_dashboard::terminal::number::{count, of_metric, plural};
use converge_scheduler::clock;
use converge_scheduler::home::Home;
use converge_scheduler::reactor::Ending;
use converge_scheduler::session::Interrupts;
use converge_scheduler::trials::definition;
use converge_store::{Change, Extension, Store, SweepRecord, TrialDetail};

use crate::arguments::RefitArguments;
use crate::drive::{self, Prepared};
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{home as homes, output, stored, winner};

/// Runs the command.
pub(crate) fn run(arguments: &RefitArguments, home: &Home) -> Result<ExitCode, Report> {
    homes::expect(home)?;
    let _lock = drive::lock(home)?;
    let mut store = drive::open(home)?;
    let summary = homes::sweep(store.read(), arguments.sweep.as_deref())?;
    let origin = winner::one(home, store.read(), &summary, &arguments.trial)?;
    let record = drive::record(&store, &summary.name)?;
    // Nothing but the refit runs, and nothing of the budget is used.
    let mut sweep = definition(&record)?;
    sweep.run.workers = Workers::Count(1);
    let plan = Plan::new(&record, &sweep, &origin)?;
    let there = store.read().number_of(record.id, &plan.fingerprint, origin.trial.replicate)?;
    drive::runtime()?.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        let number = match there {
            Some(number) => {
                if let Some(code) = done(&mut store, &record, &plan, number)? {
                    return Ok(code);
                }
                number
            }
            None => {
                let prepared = plan.prepare(&sweep, home, &mut interrupts).await?;
                plan.store(&mut store, &record, &sweep, prepared)?
            }
        };
        let mut record = drive::record(&store, &record.name)?;
        record.open_trials.retain(|trial| trial.number == number);
        let prepared = stored::prepare(&record, store.read(), &sweep, home, &mut interrupts).await?;
        output::talk(&plan.announcement(number, &prepared));
        let store = drive::alone(home, store, &record, &prepared, &mut interrupts).await?;
        match store {
            (store, Ending::Finished { .. }) => conclude(&store, &record, &plan, number),
            (_, Ending::Interrupted { at_once, reason }) => {
                let why = reason.unwrap_or_else(|| "interrupted".into());
                output::talk(&format!(
                    "{why}: trial {number}, the refit of trial {}, is not done; go on with `converge refit {}`\n",
                    plan.origin, plan.origin
                ));
                Ok(if at_once { ExitCode::Killed } else { ExitCode::Interrupted })
            }
        }
    })
}

/// A trial to train again.
struct Plan {
    /// Number of the trial that it repeats.
    origin: u64,
    planned: PlannedTrial,
    fingerprint: String,
    hashes: BTreeMap<String, String>,
    best_step: u64,
    /// Examples of training and of validation.
    examples: [u64; 2],
}

impl Plan {
    fn new(record: &SweepRecord, sweep: &Sweep, origin: &TrialDetail) -> Result<Self, Report> {
        let trial = &origin.trial;
        let number = trial.number;
        let refusal = |why: &str, hint: &str| Report::usage(format!("trial {number} {why}"), hint);
        if !trial.kind.is_ranked() {
            let word = trial.kind.word();
            return Err(refusal(
                &format!("is a {word} itself"),
                "name the trial that is to be trained again",
            ));
        }
        if trial.state != TrialState::Completed {
            let state = trial.state.word();
            return Err(refusal(
                &format!("is {state}"),
                "a trial that has completed can be trained again",
            ));
        }
        let Some(objective) = &trial.objective else {
            return Err(refusal(
                "never had a value of the objective",
                "`converge show` tells what it has",
            ));
        };
        let facts =
            usize::try_from(trial.facts_index).ok().and_then(|index| record.facts.get(index));
        let Some(facts) = facts else {
            return Err(refusal(
                "has no facts stored",
                "`converge repair` looks for what is wrong",
            ));
        };
        let settings =
            refit::settings(&origin.settings, facts, objective.step).map_err(|error| {
                refusal(
                    &format!("cannot be refitted: {error}"),
                    "`converge save` takes it as it is",
                )
            })?;
        let validation = facts.validation.as_ref().map_or(0, |split| split.examples);
        let examples = [facts.train.examples, validation];
        let fingerprint =
            fingerprint(&settings, &facts.content_hashes, sweep.seed, &refit::objective());
        Ok(Self {
            origin: number,
            planned: PlannedTrial {
                configuration: trial.configuration.clone(),
                total_steps: total_steps(examples.iter().sum(), &settings.train),
                settings,
                fingerprint: fingerprint.clone(),
                replicate: trial.replicate,
                case: 0,
                kind: TrialKind::Refit,
            },
            fingerprint,
            hashes: facts.content_hashes.clone(),
            best_step: objective.step,
            examples,
        })
    }

    fn settings(&self) -> &Settings {
        &self.planned.settings
    }

    /// Has model and data checked, which have to be what the trial was made with.
    async fn prepare(
        &self,
        sweep: &Sweep,
        home: &Home,
        interrupts: &mut Interrupts,
    ) -> Result<Prepared, Report> {
        let configurations = vec![self.planned.configuration.clone()];
        let sample = Sample {
            configurations,
            kinds: vec![TrialKind::Refit],
            skipped: 0,
            left_out: Vec::new(),
            dry: None,
        };
        let cases = Cases { settings: vec![self.settings().clone()], of_configuration: vec![0] };
        let prepared = drive::prepare_cases(sweep, sample, cases, home, interrupts).await?;
        let found = &prepared.facts[0].content_hashes;
        let changed: Vec<&str> = self
            .hashes
            .iter()
            .filter(|(role, hash)| found.get(*role) != Some(hash))
            .map(|(role, _)| role.as_str())
            .collect();
        if changed.is_empty() {
            return Ok(prepared);
        }
        Err(Report::usage(
            format!(
                "the content of {} is not what trial {} was trained on",
                changed.join(", "),
                self.origin
            ),
            "put the old files back",
        ))
    }

    /// Makes the trial, and returns its number.
    fn store(
        &self,
        store: &mut Store,
        record: &SweepRecord,
        sweep: &Sweep,
        prepared: Prepared,
    ) -> Result<u64, Report> {
        let index = record.facts.len() as u64;
        let extension = Extension {
            facts: prepared.facts,
            trials: vec![drive::new_trial(sweep, self.planned.clone(), index)],
            ..Extension::default()
        };
        store.extend_sweep(record.id, &extension, clock::unix_ms())?;
        let replicate = self.planned.replicate;
        let number = store.read().number_of(record.id, &self.fingerprint, replicate)?;
        number.ok_or_else(|| Report::usage("the refit was not stored", "please report it"))
    }

    fn announcement(&self, number: u64, prepared: &Prepared) -> String {
        let [train, validation] = self.examples;
        format!(
            "trial {number}: refit of trial {} on {} + {} examples, {} ({} at its best, as many passes over the data), \
             1 worker on {}\n",
            self.origin,
            count(train),
            count(validation),
            plural(self.planned.total_steps, "step"),
            count(self.best_step),
            prepared.chosen.device
        )
    }
}

/// Says that there is nothing left to do, or has a refit that failed tried again.
fn done(
    store: &mut Store,
    record: &SweepRecord,
    plan: &Plan,
    number: u64,
) -> Result<Option<ExitCode>, Report> {
    let Some(TrialDetail { trial, .. }) = store.read().trial(record.id, number)? else {
        return Ok(None);
    };
    match trial.state {
        // It is no trial of the search: it waits at no rung and is stopped at none.
        TrialState::Queued
        | TrialState::Running(_)
        | TrialState::Waiting
        | TrialState::Stopped(_) => Ok(None),
        TrialState::Completed => {
            output::talk(&format!(
                "trial {number} is the refit of trial {}: nothing left to do\n",
                plan.origin
            ));
            conclude(store, record, plan, number).map(Some)
        }
        TrialState::Diverged => Err(Report::usage(
            format!("the refit of trial {}, trial {number}, has diverged", plan.origin),
            "the same steps would diverge again: refit another trial",
        )),
        TrialState::Failed(_) | TrialState::Cancelled => {
            let state =
                trial.state.next(&TrialEvent::Requeued, &BTreeMap::new(), &Retries::default())?;
            store.apply(&[Change::TrialState { trial: trial.id, state }], clock::unix_ms())?;
            output::talk(&format!(
                "trial {number} was {}: it is tried again\n",
                trial.state.word()
            ));
            Ok(None)
        }
    }
}

/// Tells what came of it.
fn conclude(
    store: &Store,
    record: &SweepRecord,
    plan: &Plan,
    number: u64,
) -> Result<ExitCode, Report> {
    let Some(detail) = store.read().trial(record.id, number)? else { return Ok(ExitCode::Failure) };
    match &detail.trial.state {
        TrialState::Completed => {}
        TrialState::Failed(failure) => {
            output::talk(&format!(
                "trial {number} failed ({}): `converge show {number}` tells more\n",
                failure.class.word()
            ));
            return Ok(ExitCode::FailedTrials);
        }
        other => {
            output::talk(&format!("trial {number} is {}\n", other.word()));
            return Ok(if other.is_final() { ExitCode::Done } else { ExitCode::Interrupted });
        }
    }
    output::data(&format!("trial {number} is the refit of trial {}\n", plan.origin));
    let whole = |name: &str| {
        ["train_subset/", "test/"].iter().any(|split| name.starts_with(split))
            && !name.contains("/recall/")
            && !name.contains("/predicted/")
    };
    for metric in detail.metrics.iter().filter(|metric| whole(&metric.metric)) {
        output::data(&format!("  {} {}\n", metric.metric, of_metric(&metric.metric, metric.last)));
    }
    output::talk(&format!(
        "no validation data are left to score it by: what the configuration is worth is told by trial {}\n\
         save it with `converge save refit DIR`, or use it as it is: `converge predict {number} FILE`\n",
        plan.origin
    ));
    Ok(ExitCode::Done)
}
