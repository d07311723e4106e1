//! `converge probe`: which learning rates are worth a search, by one short training that climbs through them.

use std::path::Path;

use converge_core::fingerprint::{fingerprint, identity_hash};
use converge_core::fit;
use converge_core::key::{KEYS, Key, nearest};
use converge_core::materialise::{Cases, PlannedTrial};
use converge_core::metric::{LEARNING_RATE, TRAIN_LOSS};
use converge_core::probe::{self, Choice, Point};
use converge_core::ramp::Ramp;
use converge_core::sampler::Sample;
use converge_core::search_space::Configuration;
use converge_core::steps::total_steps;
use converge_core::sweep::{Sweep, Workers};
use converge_core::trial::{Retries, TrialEvent, TrialKind, TrialState};
use converge_core::value::Value;
use converge_dashboard::terminal::number::plural;
use converge_scheduler::clock;
use converge_scheduler::home::Home;
use converge_scheduler::reactor::Ending;
use converge_scheduler::session::Interrupts;
use converge_scheduler::trials::{SCRIPTED, definition};
use converge_store::{Change, Extension, NewSweep, NewTrial, Source, Store, SweepRecord};

use crate::arguments::ProbeArguments;
use crate::drive::{self, Prepared};
use crate::exit_code::ExitCode;
use crate::ramp_report::RampReport;
use crate::report::Report;
use crate::sweep_source::{self, SweepSource};
use crate::{home as homes, output, stored};

/// A ramp of fewer steps cannot be read.
const FEWEST_STEPS: u64 = 30;
/// What the name of a sweep that holds a file's probes ends with.
const SUFFIX: &str = "-probe";

/// Runs the command.
pub(crate) fn run(arguments: &ProbeArguments, home: &Home) -> Result<ExitCode, Report> {
    let wishes = Wishes::of(arguments)?;
    let file = Path::new(&arguments.target);
    let origin = if file.is_file() || file.extension().is_some_and(|ending| ending == "toml") {
        // The file is about to change because of what the probe finds: its own name stays free for what it becomes.
        let mut source = sweep_source::read(file, &arguments.overrides, None)?;
        source.sweep.name += SUFFIX;
        Origin::File(Box::new(source))
    } else {
        homes::expect(home)?;
        Origin::Stored(given(&arguments.overrides)?)
    };
    if let Origin::File(source) = &origin {
        check(&source.sweep)?;
    }
    let _lock = drive::lock(home)?;
    let mut store = drive::open(home)?;
    let record = match &origin {
        Origin::File(source) => match store.read().sweep_named(&source.sweep.name)? {
            Some(summary) => store.read().sweep(summary.id)?,
            None => None,
        },
        Origin::Stored(_) => Some(drive::record(&store, &arguments.target)?),
    };
    let mut sweep = match (&origin, &record) {
        (Origin::File(source), Some(record)) => {
            same_seed(&source.sweep, &definition(record)?)?;
            source.sweep.clone()
        }
        (Origin::File(source), None) => source.sweep.clone(),
        (Origin::Stored(_), Some(record)) => definition(record)?,
        (Origin::Stored(_), None) => return Err(Report::usage("there is no such sweep", "")),
    };
    check(&sweep)?;
    // Nothing but the probe runs, and nothing of the budget is used.
    sweep.run.workers = Workers::Count(1);
    drive::runtime()?.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        let plan = Plan::new(&sweep, &origin, wishes, home, &mut interrupts).await?;
        let record = plan.store(&mut store, record, &sweep, &origin)?;
        let number = plan.number(&store, &record)?;
        let train = is_to_be_trained(&mut store, &record, number)?;
        let mut store = store;
        if train {
            let mut record = drive::record(&store, &record.name)?;
            record.open_trials.retain(|trial| trial.number == number);
            let prepared =
                stored::prepare(&record, store.read(), &sweep, home, &mut interrupts).await?;
            output::talk(&plan.announcement(number, &record, &prepared));
            let told = drive::alone(home, store, &record, &prepared, &mut interrupts).await?;
            store = told.0;
            if let Ending::Interrupted { at_once, reason } = told.1 {
                let why = reason.unwrap_or_else(|| "interrupted".into());
                let again = "the same command, or `converge resume`, goes on";
                output::talk(&format!("{why}: the probe, trial {number}, is not done; {again}\n"));
                return Ok(if at_once { ExitCode::Killed } else { ExitCode::Interrupted });
            }
        }
        conclude(&store, &record, &plan.choice, number, arguments)
    })
}

/// What is probed.
enum Origin {
    /// A file; its probes are kept in a sweep of their own.
    File(Box<SweepSource>),
    /// A stored sweep, with values that win over those that it would choose; its probes stand beside its search.
    Stored(Configuration),
}

/// What the user says about the ramp.
#[derive(Clone, Copy)]
struct Wishes {
    steps: u64,
    from: Option<f64>,
    to: Option<f64>,
}

impl Wishes {
    fn of(arguments: &ProbeArguments) -> Result<Self, Report> {
        let ProbeArguments { steps, from, to, .. } = *arguments;
        if steps < FEWEST_STEPS {
            return Err(Report::usage(
                format!("{} cannot be read: batches differ too much", plural(steps, "step")),
                format!("give at least {FEWEST_STEPS}; 100 to 200 are usual"),
            ));
        }
        for (name, rate) in [("--from", from), ("--to", to)] {
            if rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
                return Err(Report::usage(
                    format!("{name} is no learning rate"),
                    "give a number greater than 0, such as 1e-6",
                ));
            }
        }
        Ok(Self { steps, from, to })
    }

    /// Returns the ramp, whose ends are those of the optimizer where the user names none.
    fn ramp(self, usual: Ramp) -> Result<Ramp, Report> {
        let ramp = Ramp { from: self.from.unwrap_or(usual.from), to: self.to.unwrap_or(usual.to) };
        if ramp.to < ramp.from * 10.0 {
            return Err(Report::usage(
                format!("a ramp from {:e} to {:e} is too short", ramp.from, ramp.to),
                "give ends that are a factor of ten apart at least, such as --from 1e-6 --to 1e-1",
            ));
        }
        Ok(ramp)
    }
}

/// Refuses a sweep of which a probe says nothing.
fn check(sweep: &Sweep) -> Result<(), Report> {
    if sweep.run.device == SCRIPTED {
        return Err(Report::usage(
            "device `scripted` trains nothing: its losses follow no learning rate",
            "give another device, such as `run.device=cpu`",
        ));
    }
    crate::device::resolve(&sweep.run).map(|_| ())
}

/// All trials of a sweep share its seed, from which splits and masks follow.
fn same_seed(new: &Sweep, old: &Sweep) -> Result<(), Report> {
    if new.seed == old.seed {
        return Ok(());
    }
    Err(Report::usage(
        format!(
            "the probes in sweep `{}` have seed {}, the file has {}",
            old.name, old.seed.0, new.seed.0
        ),
        "give these ones another name, such as `sweep.name=OTHER`",
    ))
}

/// Reads `KEY=VALUE` as values of settings.
fn given(overrides: &[String]) -> Result<Configuration, Report> {
    let mut values = Configuration::new();
    for text in overrides {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Report::usage(
                format!("`{text}` is not KEY=VALUE"),
                "such as `optimizer=sgd`",
            ));
        };
        let (name, value) = (name.trim(), value.trim());
        let Some(key) = Key::find(name) else {
            let near = nearest(name, KEYS.iter().map(Key::short_name));
            let hint = near
                .map_or("a stored sweep's probe takes settings, one value each".into(), |near| {
                    format!("did you mean `{near}`?")
                });
            return Err(Report::usage(format!("unknown key `{name}`"), hint));
        };
        let read = match (value.parse(), value.parse(), value.parse()) {
            (Ok(number), ..) => Value::Integer(number),
            (_, Ok(number), _) => Value::Float(number),
            (.., Ok(word)) => Value::Boolean(word),
            _ => Value::Text(value.trim_matches(['"', '\'']).into()),
        };
        let checked = key.check(&read).map_err(|message| {
            Report::usage(
                format!("`{name}`: {message}"),
                "one value of one setting, such as `batch_size=32`",
            )
        })?;
        values.insert(key.short_name().into(), checked);
    }
    Ok(values)
}

/// Returns the settings that the command line fixes, the learning rate apart.
fn fixed(source: &SweepSource) -> Configuration {
    let names = source.overrides.iter().filter_map(|text| text.split_once('='));
    let keys = names.filter_map(|(name, _)| Key::find(name.trim())).map(Key::short_name);
    let searched =
        |name: &str| source.sweep.parameters.iter().any(|parameter| parameter.name == name);
    keys.filter(|name| *name != "learning_rate" && !searched(name))
        .filter_map(|name| Some((name.to_string(), source.sweep.fixed(name)?)))
        .collect()
}

/// The probe to train.
struct Plan {
    choice: Choice,
    planned: PlannedTrial,
    prepared: Prepared,
    ramp: Ramp,
}

impl Plan {
    /// Has model and data looked at.
    async fn new(
        sweep: &Sweep,
        origin: &Origin,
        wishes: Wishes,
        home: &Home,
        interrupts: &mut Interrupts,
    ) -> Result<Self, Report> {
        let nothing = Configuration::new();
        let given = match origin {
            Origin::File(_) => &nothing,
            Origin::Stored(given) => given,
        };
        let mut choice = probe::choice(sweep, given);
        if let Origin::File(source) = origin {
            // What the command line fixes tells this probe from others of the file.
            choice.configuration.extend(fixed(source));
        }
        let trial = sweep.settings_of(&choice.configuration);
        let ramp = wishes.ramp(probe::ramp(trial.train.optimizer))?;
        let sample = Sample {
            configurations: vec![choice.configuration.clone()],
            kinds: vec![TrialKind::Probe],
            skipped: 0,
            left_out: Vec::new(),
            dry: None,
        };
        let cases = Cases { settings: vec![trial.clone()], of_configuration: vec![0] };
        let prepared = drive::prepare_cases(sweep, sample, cases, home, interrupts).await?;
        let facts = &prepared.facts[0];
        let problems = fit::of_all([(trial.clone(), facts)].into_iter());
        if !problems.is_empty() {
            return Err(Report::problems(&problems));
        }
        let settings = probe::settings(&trial, facts, ramp, wishes.steps);
        let planned = PlannedTrial {
            configuration: choice.configuration.clone(),
            fingerprint: fingerprint(
                &settings,
                &facts.content_hashes,
                sweep.seed,
                &probe::objective(),
            ),
            total_steps: total_steps(facts.train.examples, &settings.train),
            settings,
            replicate: 0,
            case: 0,
            kind: TrialKind::Probe,
        };
        Ok(Self { choice, planned, prepared, ramp })
    }

    /// Makes the trial where there is none, and the sweep that holds it; returns that sweep.
    fn store(
        &self,
        store: &mut Store,
        record: Option<SweepRecord>,
        sweep: &Sweep,
        origin: &Origin,
    ) -> Result<SweepRecord, Report> {
        let facts = self.prepared.facts.clone();
        let trial =
            |index: u64| -> NewTrial { drive::new_trial(sweep, self.planned.clone(), index) };
        let Some(record) = record else {
            let Origin::File(source) = origin else {
                return Err(Report::usage(
                    "there is no such sweep",
                    "`converge status` lists them",
                ));
            };
            let new = NewSweep {
                name: sweep.name.clone(),
                identity: identity_hash(&source.sweep, &facts),
                definition: serde_json::to_string(&source.sweep)?,
                source_path: Some(source.path.clone()),
                source_text: source.text.clone(),
                overrides: source.overrides.clone(),
                facts,
                objective: source.sweep.objective.clone(),
                version: drive::VERSION.into(),
                trials: vec![trial(0)],
            };
            store.create_sweep(&new, clock::unix_ms())?;
            return drive::record(store, &sweep.name);
        };
        if self.find(store, &record)?.is_some() {
            return Ok(record);
        }
        let mut extension = Extension {
            trials: vec![trial(record.facts.len() as u64)],
            facts,
            ..Extension::default()
        };
        if let Origin::File(source) = origin {
            let identity = identity_hash(&source.sweep, &extension.facts);
            extension.definition = Some((identity, serde_json::to_string(&source.sweep)?));
            extension.source = Some(Source {
                path: source.path.clone(),
                text: source.text.clone(),
                overrides: source.overrides.clone(),
            });
        }
        store.extend_sweep(record.id, &extension, clock::unix_ms())?;
        drive::record(store, &record.name)
    }

    fn find(&self, store: &Store, record: &SweepRecord) -> Result<Option<u64>, Report> {
        Ok(store.read().number_of(record.id, &self.planned.fingerprint, 0)?)
    }

    fn number(&self, store: &Store, record: &SweepRecord) -> Result<u64, Report> {
        self.find(store, record)?
            .ok_or_else(|| Report::usage("the probe was not stored", "please report it"))
    }

    fn announcement(&self, number: u64, record: &SweepRecord, prepared: &Prepared) -> String {
        let mut text = format!(
            "trial {number} of sweep `{}`: a probe of learning rates from {:e} to {:e}, {} at most, 1 worker on {}\n",
            record.name,
            self.ramp.from,
            self.ramp.to,
            plural(self.planned.total_steps, "step"),
            prepared.chosen.device
        );
        let Choice { configuration, of_several } = &self.choice;
        let chosen: Vec<String> = of_several
            .iter()
            .filter_map(|name| Some(format!("{name}={}", configuration.get(name)?)))
            .collect();
        if !chosen.is_empty() {
            text += &format!("one value of several: {}; others by KEY=VALUE\n", chosen.join(" "));
        }
        text
    }
}

/// Says whether a probe is still to be trained; one that failed is tried again.
fn is_to_be_trained(store: &mut Store, record: &SweepRecord, number: u64) -> Result<bool, Report> {
    let Some(detail) = store.read().trial(record.id, number)? else { return Ok(false) };
    let trial = detail.trial;
    match &trial.state {
        TrialState::Failed(_) | TrialState::Cancelled => {
            let none = std::collections::BTreeMap::new();
            let state = trial.state.next(&TrialEvent::Requeued, &none, &Retries::default())?;
            store.apply(&[Change::TrialState { trial: trial.id, state }], clock::unix_ms())?;
            output::talk(&format!(
                "trial {number} was {}: it is tried again\n",
                trial.state.word()
            ));
            Ok(true)
        }
        state if state.is_final() => Ok(false),
        _ => Ok(true),
    }
}

/// Tells what the probe found.
fn conclude(
    store: &Store,
    record: &SweepRecord,
    choice: &Choice,
    number: u64,
    arguments: &ProbeArguments,
) -> Result<ExitCode, Report> {
    let Some(detail) = store.read().trial(record.id, number)? else { return Ok(ExitCode::Failure) };
    if let TrialState::Failed(failure) = &detail.trial.state {
        output::talk(&format!(
            "trial {number} failed ({}): `converge show {number}` tells more\n",
            failure.class.word()
        ));
        return Ok(ExitCode::FailedTrials);
    }
    let rates = store.read().curve(detail.trial.id, LEARNING_RATE)?;
    let losses = store.read().curve(detail.trial.id, TRAIN_LOSS)?;
    let points: Vec<Point> = rates
        .iter()
        .zip(&losses)
        .map(|(rate, loss)| Point { learning_rate: rate.value, loss: loss.value })
        .collect();
    let report = RampReport::new(record, &detail, choice, points);
    if arguments.json {
        output::json(&report.json())?;
    } else {
        output::drawing(&report.text());
    }
    Ok(ExitCode::Done)
}
