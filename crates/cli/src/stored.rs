//! A stored sweep that is taken up again: what its open trials need prepared, and whether that is what it was.

use std::collections::BTreeMap;

use converge_core::extension::KnownCase;
use converge_core::materialise::{Cases, possible_cases};
use converge_core::sampler::Sample;
use converge_core::settings::Settings;
use converge_core::sweep::Sweep;
use converge_core::trial::TrialKind;
use converge_scheduler::home::Home;
use converge_scheduler::session::Interrupts;
use converge_store::{Reader, SweepRecord, TrialRecord};

use crate::drive::{self, Prepared};
use crate::report::Report;

/// Has what the open trials need checked by a worker, and refuses where the content of model or data is no longer
/// what they were made with. `sweep` says where it runs.
///
/// The trials are those that are stored, not those that the definition would give now: a sweep that has grown keeps
/// trials of values that its file no longer has.
pub(crate) async fn prepare(
    record: &SweepRecord,
    reader: &Reader,
    sweep: &Sweep,
    home: &Home,
    interrupts: &mut Interrupts,
) -> Result<Prepared, Report> {
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    let mut settings: Vec<Settings> = Vec::new();
    let (mut configurations, mut of_configuration) = (Vec::new(), Vec::new());
    let mut kinds = Vec::new();
    for trial in &record.open_trials {
        let place = match places.get(&trial.facts_index) {
            Some(place) => *place,
            None => {
                let stored = reader.settings(trial.id)?;
                settings.push(stored.unwrap_or_else(|| sweep.settings_of(&trial.configuration)));
                places.insert(trial.facts_index, settings.len() - 1);
                settings.len() - 1
            }
        };
        configurations.push(trial.configuration.clone());
        of_configuration.push(place);
        kinds.push(trial.kind);
    }
    // Whatever may be drawn, or may get further seeds.
    if sweep.grows() {
        let all = reader.trials(record.id)?;
        for (index, case) in (0..).zip(known_cases(reader, record, &all, sweep)?) {
            let of = |trial: &&TrialRecord| trial.facts_index == index;
            let (trial, beside) = (all.iter().find(of), TrialKind::BESIDE);
            if places.contains_key(&index) || trial.is_some_and(|one| beside.contains(&one.kind)) {
                continue;
            }
            settings.push(case.settings);
            places.insert(index, settings.len() - 1);
            configurations.push(trial.map(|one| one.configuration.clone()).unwrap_or_default());
            of_configuration.push(settings.len() - 1);
            kinds.push(trial.map_or(TrialKind::Random, |one| one.kind));
        }
    }
    let sample = Sample { configurations, kinds, skipped: 0, left_out: Vec::new(), dry: None };
    let cases = Cases { settings, of_configuration };
    let prepared = drive::prepare_cases(sweep, sample, cases, home, interrupts).await?;
    check_content(record, &places, &prepared)?;
    Ok(prepared)
}

/// Returns settings and facts of each case that the sweep has, in the order of its facts.
pub(crate) fn known_cases(
    reader: &Reader,
    record: &SweepRecord,
    trials: &[TrialRecord],
    sweep: &Sweep,
) -> Result<Vec<KnownCase>, Report> {
    let possible = match sweep.method.is_adaptive() {
        true => possible_cases(sweep),
        false => Vec::new(),
    };
    let mut known = Vec::new();
    for (index, facts) in record.facts.iter().enumerate() {
        let one = trials.iter().find(|trial| trial.facts_index == index as u64);
        let settings = match one {
            Some(trial) => reader.settings(trial.id)?,
            // Not drawn yet.
            None => possible.get(index).cloned(),
        };
        let settings = settings.unwrap_or_else(|| sweep.settings.clone());
        known.push(KnownCase { settings, facts: facts.clone() });
    }
    Ok(known)
}

fn check_content(
    record: &SweepRecord,
    places: &BTreeMap<u64, usize>,
    prepared: &Prepared,
) -> Result<(), Report> {
    let mut changed: Vec<String> = Vec::new();
    for (index, place) in places {
        let old = usize::try_from(*index).ok().and_then(|index| record.facts.get(index));
        let Some((old, new)) = old.zip(prepared.facts.get(*place)) else { continue };
        for (role, hash) in &old.content_hashes {
            if new.content_hashes.get(role) != Some(hash) && !changed.contains(role) {
                changed.push(role.clone());
            }
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the content of {} is not what sweep `{}` was started with",
        changed.join(", "),
        record.name
    );
    Err(Report::usage(
        message,
        "put the old files back, or start a new sweep with `converge run FILE --name NEW`",
    ))
}
