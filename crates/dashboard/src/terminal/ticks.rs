//! Where an axis has its numbers, and how they are written.

use super::number::{self, Kind};

/// Returns about `count` round values in [min, max], ascending, with the distance between them.
pub(crate) fn linear(min: f64, max: f64, count: usize) -> (Vec<f64>, f64) {
    let raw = (max - min) / count.max(1) as f64;
    let power = 10f64.powf(raw.log10().floor());
    let factor = match raw / power {
        ..1.5 => 1.0,
        ..3.5 => 2.0,
        ..7.5 => 5.0,
        _ => 10.0,
    };
    let distance = factor * power;
    let first = (min / distance - 1e-9).ceil() as i64;
    let last = (max / distance + 1e-9).floor() as i64;
    ((first..=last).map(|index| index as f64 * distance).collect(), distance)
}

/// Returns about `count` round values between 10^`min` and 10^`max`, ascending.
pub(crate) fn logarithmic(min: f64, max: f64, count: usize) -> Vec<f64> {
    let within = |value: &f64| (min - 1e-9..=max + 1e-9).contains(&value.log10());
    let decades = min.floor() as i32..=max.ceil() as i32;
    for factors in [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]] {
        let values: Vec<f64> = decades
            .clone()
            .flat_map(|decade| factors.iter().map(move |factor| factor * 10f64.powi(decade)))
            .filter(within)
            .collect();
        if values.len() <= count.max(2) && (values.len() >= 2 || factors.len() == 3) {
            return if values.len() < 2 {
                linear(10f64.powf(min), 10f64.powf(max), count).0
            } else {
                values
            };
        }
    }
    let stride = ((max - min) / count.max(1) as f64).ceil().max(1.0) as usize;
    decades.step_by(stride).map(|decade| 10f64.powi(decade)).filter(within).collect()
}

/// Returns the texts of ticks that are `distance` apart; with as many decimals as they need.
pub(crate) fn texts(ticks: &[f64], distance: f64, kind: Kind) -> Vec<String> {
    let (scale, unit) = if kind == Kind::Share { (100.0, " %") } else { (1.0, "") };
    let distance = distance * scale;
    let largest = ticks.iter().fold(0.0, |largest: f64, tick| largest.max(tick.abs())) * scale;
    let decimals = (-(distance * 1.001).log10().floor()).max(0.0) as usize;
    if largest >= 1e6 || decimals > 5 {
        return ticks.iter().map(|tick| number::general(tick * scale) + unit).collect();
    }
    // Adding zero turns -0 into 0.
    ticks.iter().map(|tick| format!("{:.decimals$}{unit}", tick * scale + 0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear_texts(min: f64, max: f64, count: usize, kind: Kind) -> String {
        let (ticks, distance) = linear(min, max, count);
        texts(&ticks, distance, kind).join(" ")
    }

    #[test]
    fn linear_ticks_are_round() {
        insta::assert_snapshot!(linear_texts(0.0, 1.0, 5, Kind::Plain), @"0.0 0.2 0.4 0.6 0.8 1.0");
        insta::assert_snapshot!(linear_texts(0.0, 640.0, 6, Kind::Plain), @"0 100 200 300 400 500 600");
        insta::assert_snapshot!(linear_texts(0.512, 0.847, 5, Kind::Share), @"55 % 60 % 65 % 70 % 75 % 80 %");
        insta::assert_snapshot!(linear_texts(-0.3, 0.3, 6, Kind::Plain), @"-0.3 -0.2 -0.1 0.0 0.1 0.2 0.3");
        insta::assert_snapshot!(linear_texts(0.0, 2e-5, 4, Kind::Plain), @"0 5e-6 1e-5 1.5e-5 2e-5");
        insta::assert_snapshot!(linear_texts(0.0, 3e7, 4, Kind::Plain), @"0 1e7 2e7 3e7");
        insta::assert_snapshot!(linear_texts(0.5431, 0.5432, 4, Kind::Plain), @"0.54310 0.54312 0.54314 0.54316 0.54318 0.54320");
    }

    #[test]
    fn logarithmic_ticks_cover_any_range() {
        let line = |min: f64, max: f64, count| {
            logarithmic(min.log10(), max.log10(), count)
                .into_iter()
                .map(number::general)
                .collect::<Vec<_>>()
                .join(" ")
        };
        insta::assert_snapshot!(line(1e-5, 1e-2, 5), @"1e-5 1e-4 0.001 0.01");
        insta::assert_snapshot!(line(1e-3, 0.7, 8), @"0.001 0.003 0.01 0.03 0.1 0.3");
        insta::assert_snapshot!(line(0.3, 0.7, 4), @"0.3 0.4 0.5 0.6 0.7");
        insta::assert_snapshot!(line(0.61, 0.69, 4), @"0.62 0.64 0.66 0.68");
        insta::assert_snapshot!(line(1e-30, 1e30, 5), @"1e-30 1e-18 1e-6 1e6 1e18 1e30");
    }
}
