//! Which trained model a user means: a trial's number, `best`, `refit`, or a folder that `save` made.

use std::collections::BTreeMap;
use std::path::Path;

use converge_core::seed::{Seed, TrialSeeds};
use converge_core::settings::{Pooling, Settings};
use converge_core::trial::{TrialKind, TrialState};
use converge_protocol::inference::{Model, Origin};
use converge_scheduler::home::Home;
use converge_scheduler::trials::definition;
use converge_store::{Reader, SweepRecord, SweepSummary, TrialDetail};
use serde::{Deserialize, Serialize};

use crate::commands::best;
use crate::home as homes;
use crate::report::Report;
use crate::selector::{self, Known, ranges};

/// Counted up when `converge.json` means something else than before.
pub(crate) const FORMAT: u64 = 1;

/// A trained model that can be asked.
pub(crate) struct Trained {
    /// Where it is.
    pub(crate) model: Model,
    /// How it was made.
    pub(crate) settings: Settings,
    split_seed: Seed,
    hashes: BTreeMap<String, String>,
}

/// What of a saved model's `converge.json` is read again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) format: u64,
    pub(crate) settings: Settings,
    pub(crate) seeds: TrialSeeds,
    /// SHA-256 by role.
    pub(crate) hashes: BTreeMap<String, String>,
}

impl Trained {
    /// Finds the model that `named` means; numbers and words go before folders, for which `./best` is another name.
    pub(crate) fn find(home: &Home, sweep: Option<&str>, named: &str) -> Result<Self, Report> {
        let is_word = ["best", "last", "refit"].contains(&named);
        let is_number = !named.is_empty() && named.chars().all(|c| c.is_ascii_digit());
        if !is_word && !is_number {
            return Self::in_folder(named);
        }
        let reader = homes::open(home)?;
        let summary = homes::sweep(&reader, sweep)?;
        Self::of_trial(home, &reader, &summary, named).map(|(trained, _)| trained)
    }

    /// Returns the model of a trial, with all that is stored of the trial.
    pub(crate) fn of_trial(
        home: &Home,
        reader: &Reader,
        summary: &SweepSummary,
        named: &str,
    ) -> Result<(Self, Winner), Report> {
        let detail = with_weights(home, reader, summary, named)?;
        let record = reader.sweep(summary.id)?;
        let record = record.ok_or_else(|| no_trial(detail.trial.number))?;
        let weights = detail.trial.best_weights.as_ref().map(|weights| &weights.directory);
        let directory = weights.map(|directory| home.root().join(directory)).unwrap_or_default();
        let facts = usize::try_from(detail.trial.facts_index).ok();
        let facts = facts.and_then(|index| record.facts.get(index));
        let seed = definition(&record)?.seed;
        let trained = Self {
            model: Model { directory: directory.display().to_string(), weights: None },
            settings: detail.settings.clone(),
            split_seed: TrialSeeds::new(seed, detail.trial.replicate).split,
            hashes: facts.map(|facts| facts.content_hashes.clone()).unwrap_or_default(),
        };
        Ok((trained, Winner { detail, record }))
    }

    fn in_folder(named: &str) -> Result<Self, Report> {
        let folder = homes::working_directory()?.join(named);
        if !folder.is_dir() {
            return Err(Report::usage(
                format!("`{named}` is neither a trial nor a folder"),
                "give a trial's number, `best`, `refit`, or a folder that `converge save` made",
            ));
        }
        let path = folder.join("converge.json");
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Report::error(&error)
                .exit(crate::exit_code::ExitCode::Usage)
                .hint(format!("`{}` is not a folder that `converge save` made", folder.display()))
        })?;
        let found: Result<Description, _> = serde_json::from_str(&text);
        let found = found.map_err(|error| {
            Report::usage(
                format!("`{}` cannot be read: {error}", path.display()),
                "save the model again with this version of converge",
            )
        })?;
        if found.format != FORMAT {
            return Err(Report::usage(
                format!(
                    "`{}` has format {}, this converge reads {FORMAT}",
                    path.display(),
                    found.format
                ),
                "use the version of converge that wrote it, or save the model again",
            ));
        }
        let Description { settings, seeds, mut hashes, .. } = found;
        let weights = hashes.remove("weights");
        let model = Model { directory: folder.display().to_string(), weights };
        Ok(Self { model, settings, split_seed: seeds.split, hashes })
    }

    /// Returns what it was trained on.
    pub(crate) fn origin(&self, cache_directory: &Path) -> Origin {
        Origin {
            settings: self.settings.clone(),
            split_seed: self.split_seed,
            hashes: self.hashes.clone(),
            cache_directory: cache_directory.display().to_string(),
        }
    }

    /// Returns whether Hugging Face's classifier computes what it computes.
    pub(crate) fn fits_transformers(&self) -> bool {
        self.settings.train.pooling == Pooling::Cls
    }
}

/// A trial whose weights are there, and its sweep.
pub(crate) struct Winner {
    pub(crate) detail: TrialDetail,
    pub(crate) record: SweepRecord,
}

/// Returns the one trial that a selector means. `best`: the best replicate of the best configuration, of those whose
/// weights are on disk if there are any.
pub(crate) fn one(
    home: &Home,
    reader: &Reader,
    summary: &SweepSummary,
    named: &str,
) -> Result<TrialDetail, Report> {
    let ranking = best::ranking(reader, summary, &summary.objective, 1)?;
    let known = Known {
        last: summary.last_number,
        refit: reader.newest_refit(summary.id)?,
        ranking: &ranking.ranked,
    };
    let numbers = selector::numbers(named, &known)?;
    let mut found = Vec::new();
    for number in &numbers {
        found.push(reader.trial(summary.id, *number)?.ok_or_else(|| no_trial(*number))?);
    }
    if named == "best" {
        let value = |detail: &TrialDetail| {
            let objective = detail.trial.objective.as_ref();
            objective.map_or(f64::NAN, |objective| objective.value)
        };
        let completed = |detail: &TrialDetail| detail.trial.state == TrialState::Completed;
        let mut best: Option<TrialDetail> = None;
        for detail in found.into_iter().filter(completed) {
            let better = best.as_ref().is_none_or(|best| {
                let here = (has_weights(home, &detail), has_weights(home, best));
                match here {
                    (true, false) => true,
                    (false, true) => false,
                    _ => summary.objective.improves(value(&detail), value(best)),
                }
            });
            if better {
                best = Some(detail);
            }
        }
        return best.ok_or_else(|| no_trial(0));
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        count => Err(Report::usage(
            format!("`{named}` means {count} trials: one is wanted"),
            "give one number, `best` or `refit`",
        )),
    }
}

/// Returns the trial that a selector means, or says why its weights are not there and how to get them.
fn with_weights(
    home: &Home,
    reader: &Reader,
    summary: &SweepSummary,
    named: &str,
) -> Result<TrialDetail, Report> {
    let detail = one(home, reader, summary, named)?;
    if has_weights(home, &detail) {
        return Ok(detail);
    }
    let number = detail.trial.number;
    let state = detail.trial.state.word();
    if detail.trial.state != TrialState::Completed {
        return Err(Report::usage(
            format!("trial {number} is {state}: weights are kept of trials that complete"),
            "`converge best` ranks those that have",
        ));
    }
    if detail.trial.kind == TrialKind::Probe {
        return Err(Report::usage(
            format!(
                "trial {number} is a probe: it climbs through learning rates, and keeps no weights"
            ),
            "`converge best` ranks the trials of a search",
        ));
    }
    let mut there = Vec::new();
    for trial in reader.trials(summary.id)? {
        let directory = trial.best_weights.as_ref().map(|weights| &weights.directory);
        if directory.is_some_and(|directory| home.inside(directory).is_some()) {
            there.push(trial.number);
        }
    }
    let there = match there.as_slice() {
        [] => "no trial's weights are there".to_string(),
        numbers => format!("weights are there of trial {}", ranges(numbers)),
    };
    Err(Report::usage(
        format!(
            "the weights of trial {number} are gone: a sweep keeps those of its best `keep_best` trials"
        ),
        format!(
            "{there}; `converge refit {number}` trains it again, on its validation data too; \
             `run.keep_best=N` keeps more of the trials that are still to come"
        ),
    ))
}

fn has_weights(home: &Home, detail: &TrialDetail) -> bool {
    let weights = detail.trial.best_weights.as_ref();
    weights.is_some_and(|weights| home.inside(&weights.directory).is_some())
}

fn no_trial(number: u64) -> Report {
    Report::usage(format!("there is no trial {number}"), "`converge trials` lists them")
}
