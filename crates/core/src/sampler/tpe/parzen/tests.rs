use serde::Deserialize;

use super::*;
use crate::seed::Seed;

#[derive(Deserialize)]
struct Golden {
    name: String,
    observations: Vec<[f64; 3]>,
    points: Vec<[f64; 3]>,
    log_densities: Vec<f64>,
}

const SCALES: [Scale; 3] = [Scale::Continuous, Scale::Cells(6), Scale::Categories(4)];

/// Optuna's whole numbers as the middles of cells.
fn places([range, cell, word]: [f64; 3]) -> Vec<f64> {
    vec![range, (cell + 0.5) / 6.0, word]
}

fn goldens() -> Vec<Golden> {
    serde_json::from_str(include_str!("../../../../tests/goldens/parzen.json")).unwrap()
}

fn density(golden: &Golden) -> Parzen {
    let observations: Vec<_> = golden.observations.iter().copied().map(places).collect();
    Parzen::new(&SCALES, &observations)
}

#[test]
fn the_densities_are_optunas() {
    for golden in goldens() {
        let density = density(&golden);
        for (point, expected) in golden.points.iter().zip(&golden.log_densities) {
            let found = density.log_density(&places(*point));
            assert!((found - expected).abs() < 1e-9, "{}: {found} {expected}", golden.name);
        }
    }
}

#[test]
fn draws_follow_the_density() {
    let golden = goldens().into_iter().find(|golden| golden.observations.len() == 7).unwrap();
    let density = density(&golden);
    let mut random = Stream::new(Seed(1));
    // Cells that divide the space: 10 of the range, 6 and 4.
    let mut counts = vec![0u32; 240];
    let draws = 40_000;
    for _ in 0..draws {
        let point = density.draw(&mut random);
        let range = cell_of(point[0], 10);
        counts[(range * 6 + cell_of(point[1], 6)) * 4 + point[2] as usize] += 1;
    }
    for (place, count) in counts.iter().enumerate() {
        let (range, cell, word) = (place / 24, place / 4 % 6, place % 4);
        let log_density = |within: f64| {
            let range = (range as f64 + within) / 10.0;
            density.log_density(&places([range, cell as f64, word as f64]))
        };
        let middles = (0..50).map(|one| log_density((f64::from(one) + 0.5) / 50.0).exp());
        let expected = middles.sum::<f64>() / 50.0 / 10.0 * f64::from(draws);
        let off = (f64::from(*count) - expected).abs();
        assert!(off < 5.0 * expected.max(1.0).sqrt() + 1.0, "{place}: {count} {expected}");
    }
}
