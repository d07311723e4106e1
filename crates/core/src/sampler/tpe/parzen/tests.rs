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

const SCALES: [Scale; 3] = [Scale::Continuous, Scale::Cells(100), Scale::Categories(4)];

/// Optuna's whole numbers as the middles of cells.
fn places([range, cell, word]: [f64; 3]) -> Vec<f64> {
    vec![range, (cell + 0.5) / 100.0, word]
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
    // Cells that divide the space: 10 of the range, 10 of the cells and 4 words.
    let mut counts = vec![0u32; 400];
    let draws = 40_000;
    for _ in 0..draws {
        let point = density.draw(&mut random);
        let (range, cell) = (cell_of(point[0], 10), cell_of(point[1], 10));
        counts[(range * 10 + cell) * 4 + point[2] as usize] += 1;
    }
    for (place, count) in counts.iter().enumerate() {
        let (range, tenth, word) = (place / 40, place / 4 % 10, place % 4);
        let density_at = |within: f64, cell: usize| {
            let range = (range as f64 + within) / 10.0;
            density.log_density(&places([range, cell as f64, word as f64])).exp()
        };
        let cells = tenth * 10..tenth * 10 + 10;
        let sum: f64 = cells
            .flat_map(|cell| (0..20).map(move |one| ((f64::from(one) + 0.5) / 20.0, cell)))
            .map(|(within, cell)| density_at(within, cell))
            .sum();
        let expected = sum / 20.0 / 10.0 * f64::from(draws);
        let off = (f64::from(*count) - expected).abs();
        assert!(off < 5.0 * expected.max(1.0).sqrt() + 1.0, "{place}: {count} {expected}");
    }
}

#[test]
fn the_cells_of_a_density_sum_to_one_however_many_there_are() {
    for cells in [2, 6, FEW, FEW + 1, 500] {
        let observations: Vec<_> = [0.01, 0.3, 0.35, 0.99].map(|place| vec![place]).into();
        let density = Parzen::new(&[Scale::Cells(cells)], &observations);
        let middle = |cell: usize| [(cell as f64 + 0.5) / cells as f64];
        let sum: f64 = (0..cells).map(|cell| density.log_density(&middle(cell)).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{cells}: {sum}");
    }
}
