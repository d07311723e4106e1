//! The values of a parameter in order, each with the configurations that have it: single values, or bins of a range.

use serde::Serialize;

use super::candidate::{Candidate, Counts, Space, cost};
use crate::objective::Goal;
use crate::search_space::Domain;
use crate::value::Value;

/// Values of a range that are shown one by one.
const SINGLE: usize = 10;

/// A parameter with its levels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ladder {
    /// Its name.
    pub parameter: String,
    /// By case, ascending where they are numbers.
    pub levels: Vec<Level>,
    /// For each configuration its level.
    #[serde(skip)]
    pub(crate) of: Vec<Option<usize>>,
    /// Levels that belong together.
    #[serde(skip)]
    pub(crate) runs: Vec<Run>,
}

/// One value of a parameter, or a bin of its range, and what came of it.
///
/// The best over all other parameters is what the Tuning Playbook's isolation plots show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Level {
    /// The value; none: a bin.
    pub value: Option<Value>,
    /// Lower end of a bin.
    pub low: Option<f64>,
    /// Upper end of a bin.
    pub high: Option<f64>,
    /// When it applies; empty: always.
    pub when: String,
    /// Configurations that have it and have ended.
    pub configurations: u64,
    /// Their trials.
    #[serde(flatten)]
    pub counts: Counts,
    /// The best mean of a configuration.
    pub best: Option<f64>,
    /// The median of the configurations that have a mean.
    pub median: Option<f64>,
    /// Whether the best configuration of all has it.
    pub holds_best: bool,
}

/// The levels of one case.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) case: usize,
    pub(crate) levels: std::ops::Range<usize>,
    /// Their order means something.
    pub(crate) ordered: bool,
    /// Bins of a range.
    pub(crate) binned: bool,
}

/// How the values of a case become levels.
enum Rule {
    Values(Vec<Value>),
    Bins { low: f64, high: f64, logarithmic: bool, count: usize },
}

impl Ladder {
    /// Returns the levels of a parameter.
    pub(crate) fn new(
        space: &Space,
        place: usize,
        candidates: &[Candidate<'_>],
        goal: Goal,
    ) -> Self {
        let parameter = &space.parameters[place];
        let mut ladder = Self {
            parameter: parameter.name.clone(),
            levels: Vec::new(),
            of: vec![None; candidates.len()],
            runs: Vec::new(),
        };
        for case in 0..parameter.cases.len() {
            let members: Vec<(usize, &Value)> = candidates
                .iter()
                .enumerate()
                .filter(|(_, candidate)| candidate.cases[place] == Some(case))
                .filter_map(|(index, one)| Some((index, one.configuration.get(&parameter.name)?)))
                .collect();
            let values: Vec<&Value> = members.iter().map(|(_, value)| *value).collect();
            let rule = rule(&parameter.cases[case].domain, &values);
            let first = ladder.levels.len();
            ladder.levels.extend(rule.levels(&parameter.when(case)));
            for (index, value) in &members {
                ladder.of[*index] = rule.place(value).map(|level| first + level);
            }
            let (ordered, binned) = match &rule {
                Rule::Values(values) => (values.iter().all(|one| one.number().is_some()), false),
                Rule::Bins { .. } => (true, true),
            };
            ladder.runs.push(Run { case, levels: first..ladder.levels.len(), ordered, binned });
        }
        ladder.fill(candidates, goal);
        ladder
    }

    fn fill(&mut self, candidates: &[Candidate<'_>], goal: Goal) {
        let best = best(candidates);
        let mut costs: Vec<Vec<f64>> = vec![Vec::new(); self.levels.len()];
        for (index, (level, candidate)) in self.of.iter().zip(candidates).enumerate() {
            let Some(place) = level else { continue };
            let level = &mut self.levels[*place];
            level.configurations += 1;
            level.counts.add(candidate.counts);
            costs[*place].extend(candidate.cost);
            level.holds_best |= best == Some(index);
        }
        for (level, costs) in self.levels.iter_mut().zip(&mut costs) {
            costs.sort_by(f64::total_cmp);
            level.best = costs.first().map(|best| cost(*best, goal));
            level.median = median(costs).map(|median| cost(median, goal));
        }
    }

    /// Returns how far apart the best values of the levels are.
    pub(crate) fn spread(&self) -> f64 {
        let best = || self.levels.iter().filter_map(|level| level.best);
        let (min, max) = (best().reduce(f64::min), best().reduce(f64::max));
        max.zip(min).map_or(0.0, |(max, min)| max - min)
    }
}

/// Returns the place of the best configuration.
pub(crate) fn best(candidates: &[Candidate<'_>]) -> Option<usize> {
    let costs = candidates.iter().enumerate().filter_map(|(place, one)| Some((place, one.cost?)));
    costs.min_by(|left, right| left.1.total_cmp(&right.1)).map(|(place, _)| place)
}

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + upper) / 2.0 } else { upper })
}

fn rule(domain: &Domain, seen: &[&Value]) -> Rule {
    let mut values: Vec<Value> = match domain {
        Domain::Values(values) => values.clone(),
        _ => Vec::new(),
    };
    let is_list = matches!(domain, Domain::Values(_));
    for value in seen {
        if !values.iter().any(|known| known.means(value)) {
            values.push((*value).clone());
        }
        if !is_list && values.len() > SINGLE {
            break;
        }
    }
    // A grid over a range has few points; so few draws that each is one of its own are not a grid.
    let few = (1..=SINGLE).contains(&domain.stepped_len())
        || (values.len() <= SINGLE && 2 * values.len() <= seen.len());
    let range = match domain {
        Domain::Values(_) => None,
        _ if few => None,
        Domain::Integers { min, max, .. } => Some((*min as f64, *max as f64, false)),
        Domain::Steps { min, max, .. } | Domain::Uniform { min, max, .. } => {
            Some((*min, *max, false))
        }
        Domain::LogUniform { min, max, .. } => Some((*min, *max, true)),
    };
    match range {
        Some((low, high, logarithmic)) if low < high => {
            let stepped = domain.stepped_len().max(1);
            let count = if seen.len() < 24 { 4 } else { 6 };
            let count = if stepped > 1 { count.min(stepped) } else { count };
            Rule::Bins { low, high, logarithmic, count }
        }
        _ => {
            if values.iter().all(|value| value.number().is_some()) {
                let number = |value: &Value| value.number().unwrap_or(f64::NAN);
                values.sort_by(|left, right| number(left).total_cmp(&number(right)));
            }
            Rule::Values(values)
        }
    }
}

impl Rule {
    fn levels(&self, when: &str) -> Vec<Level> {
        let level = |value: Option<Value>, ends: Option<(f64, f64)>| Level {
            value,
            low: ends.map(|ends| ends.0),
            high: ends.map(|ends| ends.1),
            when: when.to_owned(),
            configurations: 0,
            counts: Counts::default(),
            best: None,
            median: None,
            holds_best: false,
        };
        match self {
            Self::Values(values) => {
                values.iter().map(|value| level(Some(value.clone()), None)).collect()
            }
            Self::Bins { count, .. } => (0..*count)
                .map(|bin| level(None, Some((self.edge(bin), self.edge(bin + 1)))))
                .collect(),
        }
    }

    /// Returns the lower end of a bin.
    fn edge(&self, bin: usize) -> f64 {
        match self {
            Self::Values(_) => f64::NAN,
            Self::Bins { low, high, logarithmic, count } => {
                let share = bin as f64 / *count as f64;
                if bin == 0 {
                    *low
                } else if bin == *count {
                    *high
                } else if *logarithmic {
                    (low.ln() + (high.ln() - low.ln()) * share).exp()
                } else {
                    low + (high - low) * share
                }
            }
        }
    }

    fn place(&self, value: &Value) -> Option<usize> {
        match self {
            Self::Values(values) => values.iter().position(|known| known.means(value)),
            Self::Bins { low, high, logarithmic, count } => {
                let number = value.number()?;
                let share = if *logarithmic {
                    (number.ln() - low.ln()) / (high.ln() - low.ln())
                } else {
                    (number - low) / (high - low)
                };
                // A user's own configuration may lie outside.
                (0.0..=1.0)
                    .contains(&share)
                    .then(|| ((share * *count as f64) as usize).min(count - 1))
            }
        }
    }
}
