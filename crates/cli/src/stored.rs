//! A stored sweep that is taken up again: what its open trials need prepared, and whether that is what it was.

use std::collections::BTreeMap;

use converge_core::materialise::Cases;
use converge_core::sampler::Sample;
use converge_core::settings::Settings;
use converge_core::sweep::Sweep;
use converge_scheduler::home::Home;
use converge_scheduler::session::Interrupts;
use converge_store::{Reader, SweepRecord};

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
    let sample = Sample { configurations, kinds, skipped: 0, left_out: Vec::new(), dry: None };
    let cases = Cases { settings, of_configuration };
    let prepared = drive::prepare_cases(sweep, sample, cases, home, interrupts).await?;
    check_content(record, &places, &prepared)?;
    Ok(prepared)
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
