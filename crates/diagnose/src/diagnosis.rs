//! From signals and siblings to one headline.

use std::collections::BTreeSet;
use std::sync::Arc;

use converge_core::key::Key;
use converge_core::objective::Objective;
use converge_core::value::Value;
use serde::Serialize;

use crate::cause::{Cause, Confidence};
use crate::chance::Chance;
use crate::curve::median;
use crate::record::{End, Record};
use crate::rules::{Case, Claim, Evidence, Fix, claims};
use crate::siblings::{Counterfactual, Family, signed};
use crate::signals::Signals;
use crate::standing::{By, Judged, Standing, judge};
use crate::thresholds::Thresholds;

/// Other causes that are named beside the headline, at most.
const ALTERNATES: usize = 2;

/// Why a trial did not converge, or that it did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnosis {
    /// The trial.
    pub trial: u64,
    /// How it stands.
    pub judged: Judged,
    /// What it comes to.
    pub verdict: Verdict,
    /// Other causes that something speaks for.
    pub alternates: Vec<Claim>,
    /// Otherwise equal trials, whether they help or not.
    pub counterfactuals: Vec<Counterfactual>,
    /// The numbers behind all of it.
    pub signals: Signals,
}

/// What a diagnosis comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It learnt what is known to be possible.
    Converged,
    /// It did not, for this reason.
    Cause(Claim),
    /// It did not, and nothing tells why.
    Inconclusive {
        /// What would have to be known.
        missing: Vec<String>,
    },
    /// There is nothing to judge yet, or its process failed.
    NotJudged {
        /// Why.
        reason: String,
    },
}

/// A sweep's trials, read and judged.
#[derive(Debug, Clone)]
pub struct Cases<'a> {
    cases: Vec<Case<'a>>,
    family: Family,
    thresholds: Thresholds,
}

impl<'a> Cases<'a> {
    /// Reads and judges trials. A single one is judged by itself.
    pub fn new(records: &'a [Record], thresholds: Thresholds) -> Self {
        let best = records
            .iter()
            .filter(|record| record.end == End::Completed)
            .filter_map(|record| Some((record, record.value()?)))
            .reduce(|best, one| {
                let better = signed(one.0, Some(one.1)) > signed(best.0, Some(best.1));
                if better { one } else { best }
            })
            .map(|(record, value)| (record.number, value));
        let mut cases: Vec<Case<'a>> = records
            .iter()
            .map(|record| {
                let chance = Chance::of(&record.facts, record.train());
                let signals = Signals::of(record, chance.as_ref());
                let best = best.filter(|_| records.len() > 1);
                let judged = judge(record, chance.as_ref(), best, &thresholds);
                Case { record, chance, signals, judged, usual_travel: None }
            })
            .collect();
        let works = |case: &&Case<'_>| case.judged.standing == Standing::Converged;
        let travels: Vec<f64> =
            cases.iter().filter(works).filter_map(|case| case.signals.travel).collect();
        if records.len() > 1 {
            let usual = median(&travels);
            cases.iter_mut().for_each(|case| case.usual_travel = usual);
        }
        let family = Family::new(&cases);
        Self { cases, family, thresholds }
    }

    /// Returns the trials as they were judged.
    pub fn all(&self) -> &[Case<'a>] {
        &self.cases
    }

    /// Diagnoses a trial; none where it is not among them.
    pub fn diagnose(&self, number: u64) -> Option<Diagnosis> {
        let case = self.cases.iter().find(|case| case.record.number == number)?;
        let mut claims = claims(case, &self.thresholds);
        let counterfactuals = self.family.counterfactuals(case, &self.cases);
        let hopeless = !matches!(case.judged.standing, Standing::Unknown | Standing::Converged);
        // Without a sign in the trial itself, a seed that works says more than any setting.
        let unlucky_first = claims.is_empty();
        if hopeless {
            raise(&mut claims, &counterfactuals);
            for counterfactual in &counterfactuals {
                weigh(&mut claims, counterfactual, &case.record.objective);
            }
            if self.data_suffice(case) {
                doubt(&mut claims, &counterfactuals);
                // Who knows its few examples by heart has too few for itself, whatever others make of them.
                claims.retain(|claim| {
                    !lies_in_the_data(claim.cause)
                        || claim.cause == Cause::TooLittleData
                            && claim.confidence > Confidence::Suspected
                });
            }
            claims.iter_mut().for_each(|claim| tidy(claim, case.record));
        }
        claims.sort_by_key(|claim| {
            let unlucky = unlucky_first && claim.cause == Cause::UnluckySeed;
            (!unlucky, std::cmp::Reverse(claim.confidence), claim.cause.priority())
        });
        let verdict = self.verdict(case, &mut claims);
        claims.truncate(ALTERNATES);
        Some(Diagnosis {
            trial: number,
            judged: case.judged,
            verdict,
            alternates: claims,
            counterfactuals,
            signals: case.signals.clone(),
        })
    }

    /// Returns whether another trial works on the very same data.
    fn data_suffice(&self, case: &Case<'_>) -> bool {
        let same = |other: &&Case<'_>| Arc::ptr_eq(&other.record.facts, &case.record.facts);
        let mut others = self.cases.iter().filter(same);
        others.any(|other| other.judged.standing == Standing::Converged)
    }

    /// Takes the headline out of the claims, which are sorted.
    fn verdict(&self, case: &Case<'_>, claims: &mut Vec<Claim>) -> Verdict {
        match case.judged.standing {
            Standing::Converged => {
                claims.clear();
                Verdict::Converged
            }
            Standing::Unknown => {
                claims.clear();
                let reason = match case.record.end {
                    End::Cancelled => "it was cancelled",
                    End::Failed => "its process failed: `converge show` has the message",
                    End::Stopped => {
                        "it was stopped early, when others were better: what it would have reached is not known"
                    }
                    _ if case.record.last_step() == 0 => "it has not begun",
                    End::Open => "it has not ended, and is not beyond hope",
                    _ => "it has no evaluation",
                };
                Verdict::NotJudged { reason: reason.to_owned() }
            }
            _ if claims.is_empty() => Verdict::Inconclusive { missing: self.missing(case) },
            _ => Verdict::Cause(claims.remove(0)),
        }
    }

    /// Returns what would have to be known of a trial that nothing explains.
    fn missing(&self, case: &Case<'_>) -> Vec<String> {
        let signals = &case.signals;
        let mut missing = Vec::new();
        if signals.travel.is_none() {
            missing.push(
                "how far the weights moved (`travel/…`): the trial was never evaluated".to_owned(),
            );
        }
        if signals.straightness.is_none() || signals.update_ratio.is_none() {
            missing.push(
                "what single updates did (`train/update_ratio/…`): recorded by newer versions of converge"
                    .to_owned(),
            );
        }
        if signals.train_skill.is_none() {
            missing.push("how it does on its own training examples (`train_subset/…`)".to_owned());
        }
        if self.cases.len() < 2 {
            missing.push(
                "a trial that differs in one setting: run a sweep over the learning rate"
                    .to_owned(),
            );
        } else if !self.cases.iter().any(|other| other.judged.standing == Standing::Converged) {
            missing.push("a trial that works: none of this sweep does".to_owned());
        } else {
            missing.push(
                "a trial that differs from this one in a single setting and works".to_owned(),
            );
        }
        missing
    }
}

/// Returns whether a cause would keep every trial on the same data from converging.
fn lies_in_the_data(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::NoSignal | Cause::TooLittleData | Cause::UnknownWords | Cause::Truncation
    )
}

/// Raises what otherwise equal trials that work speak for: one step, however many there are.
fn raise(claims: &mut [Claim], siblings: &[Counterfactual]) {
    for claim in claims {
        if siblings.iter().any(|one| one.helps && one.cause == Some(claim.cause)) {
            claim.confidence = match claim.confidence {
                Confidence::Suspected => Confidence::Likely,
                Confidence::Likely | Confidence::Proven => Confidence::Proven,
            };
        }
    }
}

/// Takes out fixes that change nothing, and rules of thumb about settings for which another trial shows what works.
fn tidy(claim: &mut Claim, record: &Record) {
    let shown: BTreeSet<String> = claim
        .fixes
        .iter()
        .filter(|fix| fix.shown_by.is_some())
        .flat_map(|fix| fix.change.keys().cloned())
        .collect();
    let has = |(name, value): (&String, &Value)| {
        current(record, name).is_some_and(|current| current.means(value))
    };
    claim.fixes.retain(|fix| {
        fix.change.is_empty()
            || fix.shown_by.is_some()
            || !fix.change.iter().all(has) && !fix.change.keys().any(|name| shown.contains(name))
    });
}

/// Returns what a trial has of a setting; none where that is left open.
fn current(record: &Record, name: &str) -> Option<Value> {
    let (section, field) = Key::find(name)?.section();
    let settings = serde_json::to_value(&record.settings).ok()?;
    serde_json::from_value(settings.get(section)?.get(field)?.clone()).ok()
}

/// Lets a sibling speak: for a cause that is claimed already, or for one of its own.
fn weigh(claims: &mut Vec<Claim>, sibling: &Counterfactual, objective: &Objective) {
    let Some(cause) = sibling.cause.filter(|_| sibling.helps) else { return };
    let text = told(sibling, objective);
    let mut fix = Fix::new(match sibling.to.is_empty() {
        true => format!("another seed: trial {} has one that works", sibling.trial),
        false => format!("{}, as trial {} has it", with(sibling), sibling.trial),
    });
    fix.shown_by = Some(sibling.trial);
    let values = sibling.to.iter().filter_map(|(name, to)| Some((name.clone(), to.clone()?)));
    fix.change = values.collect();
    let again = sibling.helped >= 2 && sibling.helped * 2 > sibling.pairs;
    match claims.iter_mut().find(|claim| claim.cause == cause) {
        Some(claim) => {
            claim.evidence.push(Evidence::new(text));
            // What was proposed as a rule of thumb is now shown.
            claim.fixes.retain(|other| other.shown_by.is_some() || other.change != fix.change);
            let shown = claim.fixes.iter().filter(|fix| fix.shown_by.is_some()).count();
            claim.fixes.insert(shown, fix);
        }
        None => claims.push(Claim {
            cause,
            confidence: if again { Confidence::Likely } else { Confidence::Suspected },
            evidence: vec![Evidence::new(text)],
            fixes: vec![fix],
        }),
    }
}

/// Takes back what siblings contradict: where the setting that a claim would change first was changed, otherwise equal, and
/// never helped, it is no more than a suspicion.
fn doubt(claims: &mut [Claim], counterfactuals: &[Counterfactual]) {
    for claim in claims.iter_mut().filter(|claim| claim.confidence == Confidence::Likely) {
        let first = claim.fixes.first();
        let tried: Vec<&Counterfactual> = counterfactuals
            .iter()
            .filter(|sibling| sibling.cause == Some(claim.cause) && sibling.is_judged)
            .filter(|sibling| first.is_some_and(|fix| fix.change.contains_key(&sibling.parameter)))
            .collect();
        if !tried.is_empty() && tried.iter().all(|sibling| !sibling.helps) {
            claim.confidence = Confidence::Suspected;
            let numbers: Vec<String> =
                tried.iter().take(3).map(|sibling| sibling.trial.to_string()).collect();
            claim.evidence.push(Evidence::new(format!(
                "but another {} did not help: trial{} {}",
                tried[0].parameter,
                if numbers.len() > 1 { "s" } else { "" },
                numbers.join(", ")
            )));
        }
    }
}

/// Returns what a sibling has, the parameter itself ahead of what it brings with it.
fn with(sibling: &Counterfactual) -> String {
    let mut values: Vec<_> = sibling.to.iter().collect();
    values.sort_by_key(|(name, _)| **name != sibling.parameter);
    let text = |(name, to): (&String, &Option<Value>)| match to {
        Some(to @ Value::Text(_)) => Some(format!("{name} = \"{to}\"")),
        Some(Value::Float(value)) => {
            let short: f64 = format!("{value:.2e}").parse().unwrap_or(*value);
            let about = if short == *value { "" } else { "about " };
            Some(format!("{name} = {about}{}", Value::Float(short)))
        }
        Some(to) => Some(format!("{name} = {to}")),
        // What does not apply there needs no word.
        None => None,
    };
    let texts: Vec<String> = values.into_iter().filter_map(text).collect();
    match texts.is_empty() {
        true => format!("without {}", sibling.parameter),
        false => texts.join(" with "),
    }
}

fn told(sibling: &Counterfactual, objective: &Objective) -> String {
    let value = value_text(objective, sibling.value);
    let what = match sibling.to.is_empty() {
        true => "the same with another seed".to_owned(),
        false => format!("the same but {}", with(sibling)),
    };
    let mut text = format!("trial {}, {what}, reached {value}", sibling.trial);
    if sibling.pairs > 1 {
        text += &format!(
            " (the same change helped in {} of {} such pairs of this sweep)",
            sibling.helped, sibling.pairs
        );
    }
    text
}

/// Writes a value of the objective.
pub fn value_text(objective: &Objective, value: f64) -> String {
    match converge_core::metric::is_share(&objective.metric) {
        true => format!("{:.1} %", value * 100.0),
        false => format!("{value:.4}"),
    }
}

impl Diagnosis {
    /// Returns how the trial stands, as a sentence.
    pub fn standing(&self, objective: &Objective) -> String {
        let name = converge_core::metric::name_of(&objective.metric);
        let of = |value: f64| value_text(objective, value);
        let value = self.judged.value.map_or("no value".to_owned(), of);
        let constant = self.judged.constant.map(of);
        match (self.judged.standing, constant, self.judged.possible) {
            (Standing::Diverged, ..) => "its numbers became infinite or undefined".to_owned(),
            (Standing::AtChance, Some(constant), _) => {
                format!("{name} {value}: no better than a constant answer, {constant}")
            }
            (Standing::Poor, _, Some(possible)) if possible.by != By::Trial(self.trial) => {
                let by = match possible.by {
                    By::Trial(trial) => format!("trial {trial} reached {}", of(possible.value)),
                    By::BagOfWords => format!("a count of words gets {}", of(possible.value)),
                };
                format!("{name} {value}, where {by}")
            }
            (Standing::Converged | Standing::Poor, Some(constant), _) => {
                format!("{name} {value}; a constant answer gets {constant}")
            }
            _ => format!("{name} {value}"),
        }
    }

    /// Returns the cause of the headline.
    pub fn cause(&self) -> Option<Cause> {
        match &self.verdict {
            Verdict::Cause(claim) => Some(claim.cause),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
