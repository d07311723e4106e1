//! Curves of one line of text.

use super::style::Style;

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Where nothing else can be shown.
const ASCII: [char; 8] = ['_', '.', '-', ':', '=', '+', '*', '#'];

/// Returns a character for each value, from their smallest to their largest; a space where there is none.
pub fn sparkline(values: &[Option<f64>], style: Style) -> String {
    let known = || values.iter().flatten().copied().filter(|value| value.is_finite());
    let min = known().fold(f64::INFINITY, f64::min);
    let max = known().fold(f64::NEG_INFINITY, f64::max);
    let levels = if style.unicode { LEVELS } else { ASCII };
    let character = |value: &Option<f64>| match value {
        Some(value) if value.is_finite() => levels[level(*value, min, max)],
        Some(_) => '!',
        None => ' ',
    };
    values.iter().map(character).collect()
}

/// Returns the place of a value among the eight; one in the middle where all are one.
fn level(value: f64, min: f64, max: f64) -> usize {
    // What differs in the last digits only is flat: a sparkline has no axis that would tell.
    if max - min <= max.abs().max(min.abs()) * 1e-6 {
        return 3;
    }
    // Divided first: the difference of two huge ends would not be finite.
    let share = (value / 2.0 - min / 2.0) / (max / 2.0 - min / 2.0);
    ((share * 7.0).round().max(0.0) as usize).min(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_goes_from_the_smallest_to_the_largest() {
        let values: Vec<_> = (0..8).map(|value| Some(f64::from(value))).collect();
        assert_eq!(sparkline(&values, Style::PLAIN), "▁▂▃▄▅▆▇█");
        let ascii = Style { colour: false, unicode: false };
        assert_eq!(sparkline(&values, ascii), "_.-:=+*#");
        assert_eq!(sparkline(&[Some(f64::MAX), Some(f64::MIN)], Style::PLAIN), "█▁");
    }

    #[test]
    fn a_sparkline_has_room_for_what_is_missing() {
        assert_eq!(sparkline(&[Some(0.5), None, Some(f64::NAN)], Style::PLAIN), "▄ !");
        assert_eq!(sparkline(&[Some(0.5), Some(0.5)], Style::PLAIN), "▄▄");
        assert_eq!(sparkline(&[None; 3], Style::PLAIN), "   ");
        assert_eq!(sparkline(&[], Style::PLAIN), "");
    }
}
