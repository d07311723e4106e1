//! The statistics of `explain` against Optuna, statsmodels and numpy: `scripts/reference/make_effects_goldens.py`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use converge_core::effects::expected_best;
use converge_core::effects::factorial::Factorial;
use converge_core::effects::ped_anova::{Axis, Scale, best_quantile};
use serde::Deserialize;

#[derive(Deserialize)]
struct Goldens {
    ped_anova: Vec<PedAnova>,
    anova: Vec<Table>,
    expected_best: Vec<ExpectedBest>,
}

#[derive(Deserialize)]
struct PedAnova {
    name: String,
    maximize: bool,
    objective: Vec<f64>,
    target: f64,
    region: f64,
    axes: Vec<GoldenAxis>,
}

#[derive(Deserialize)]
struct GoldenAxis {
    scales: Vec<GoldenScale>,
    values: Vec<Option<(usize, f64)>>,
    importance: f64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum GoldenScale {
    Choices { choices: usize },
    Range { low: f64, high: f64, logarithmic: bool, step: Option<f64> },
}

#[derive(Deserialize)]
struct Table {
    name: String,
    levels: Vec<usize>,
    replicates: usize,
    cells: Vec<f64>,
    parts: BTreeMap<String, GoldenPart>,
}

#[derive(Deserialize)]
struct GoldenPart {
    degrees: u64,
    squares: f64,
}

#[derive(Deserialize)]
struct ExpectedBest {
    values: Vec<f64>,
    plug_in: Vec<f64>,
    unbiased: Vec<f64>,
}

fn goldens() -> Goldens {
    serde_json::from_str(include_str!("goldens/effects.json")).unwrap()
}

fn scale(golden: &GoldenScale) -> Scale {
    match *golden {
        GoldenScale::Choices { choices } => Scale::Choices(choices),
        GoldenScale::Range { low, high, logarithmic, step } => {
            Scale::Range { low, high, logarithmic, step }
        }
    }
}

#[test]
fn importances_are_those_of_optuna() {
    for case in goldens().ped_anova {
        let sign = if case.maximize { -1.0 } else { 1.0 };
        let costs: Vec<f64> = case.objective.iter().map(|value| sign * value).collect();
        let mut ranked: Vec<usize> = (0..costs.len()).collect();
        ranked.sort_by(|left, right| costs[*left].total_cmp(&costs[*right]));
        let best = |quantile| &ranked[..best_quantile(&costs, &ranked, quantile)];
        for golden in &case.axes {
            let scales: Vec<Scale> = golden.scales.iter().map(scale).collect();
            let place = |value: &Option<(usize, f64)>| {
                value.map(|(scale, value)| (scale, scales[scale].point(value)))
            };
            let places = golden.values.iter().map(place).collect();
            let axis = Axis::new(scales.clone(), places);
            let found = axis.importance(best(case.target), best(case.region));
            let error = (found - golden.importance).abs();
            assert!(
                error < 1e-9 * golden.importance.max(1e-3),
                "{}: {found} is not {}",
                case.name,
                golden.importance
            );
        }
    }
}

#[test]
fn parts_of_the_variance_are_those_of_statsmodels() {
    for table in goldens().anova {
        let cells = table.cells.chunks(table.replicates).map(<[f64]>::to_vec).collect();
        let found = Factorial { levels: table.levels, cells }.decompose();
        let letters = |factors: &[usize]| -> String {
            factors.iter().map(|factor| ["a", "b", "c", "d"][*factor]).collect::<Vec<_>>().join(":")
        };
        let mut parts: BTreeMap<String, (u64, f64)> = BTreeMap::new();
        for part in &found.parts {
            let nested = table.name.starts_with("nested") && part.factors != [0];
            let once = table.replicates == 1 && part.factors.len() > 2;
            let name = if nested {
                // Within the first factor: with it and without it are one.
                let inner: Vec<usize> =
                    part.factors.iter().copied().filter(|factor| *factor > 0).collect();
                "a:".to_owned() + &letters(&inner)
            } else if once {
                "Residual".to_owned()
            } else {
                letters(&part.factors)
            };
            let entry = parts.entry(name.replace(":", "")).or_default();
            entry.0 += part.degrees;
            entry.1 += part.squares;
        }
        if table.replicates > 1 {
            parts.insert("Residual".to_owned(), found.within);
        }
        assert_eq!(parts.len(), table.parts.len(), "{}: {:?}", table.name, parts.keys());
        for (name, golden) in table.parts {
            let name = name.replace(", Sum", "").replace(":", "");
            let (degrees, squares) = parts[&name];
            assert_eq!(degrees, golden.degrees, "{}: {name}", table.name);
            let error = (squares / golden.squares - 1.0).abs();
            assert!(error < 1e-8, "{}: {name}: {squares} is not {}", table.name, golden.squares);
        }
    }
}

#[test]
fn expected_best_values_are_those_of_the_formulas() {
    for case in goldens().expected_best {
        let mut sorted = case.values.clone();
        sorted.sort_by(f64::total_cmp);
        for (index, (plug_in, unbiased)) in case.plug_in.iter().zip(&case.unbiased).enumerate() {
            assert!((expected_best::plug_in(&sorted, index + 1) - plug_in).abs() < 1e-12);
            assert!((expected_best::unbiased(&sorted, index + 1) - unbiased).abs() < 1e-12);
        }
    }
}
