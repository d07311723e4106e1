//! Two parameters of a sweep as a map: shades, values, and what failed.

use converge_core::effects::heat_map::{HeatCell, HeatMap};
use converge_core::effects::ladder::Level;
use converge_core::objective::{Goal, Objective};
use unicode_width::UnicodeWidthStr as _;

use super::escaped::printable;
use super::number::{general, of_metric, of_parameter};
use super::style::Style;
use super::table::cut;

/// Between two columns.
const GAP: &str = "  ";

/// Returns the map as text, no line wider than `width`; values give way where it is too wide.
pub fn heat_map(map: &HeatMap, objective: &Objective, style: Style, width: usize) -> String {
    let shades = Shades::new(map, objective, style);
    // First the values give way, then the names of the columns.
    let layouts = [(true, false), (false, false), (false, true)];
    let mut layouts = layouts.map(|(values, letters)| Layout::new(map, &shades, values, letters));
    let fitting = layouts.iter().position(|layout| layout.width() <= width).unwrap_or(2);
    layouts.swap(0, fitting);
    layouts[0].draw(map, &shades, width)
}

/// Returns a level as text: its value, or the ends of its bin; when it applies, where levels differ in that.
pub fn level_name(level: &Level, differ: bool) -> String {
    let value = match (&level.value, level.low.zip(level.high)) {
        (Some(value), _) => of_parameter(value),
        (None, Some((low, high))) => format!("{} to {}", short(low), short(high)),
        (None, None) => "-".to_owned(),
    };
    let when =
        if differ && !level.when.is_empty() { format!(" ({})", level.when) } else { String::new() };
    printable(&(value + &when)).into_owned()
}

/// Returns a number with two significant digits: the ends of bins are nobody's choice.
pub fn short(value: f64) -> String {
    general(format!("{value:.1e}").parse().unwrap_or(value))
}

/// Returns whether levels apply under different conditions.
pub fn differ(levels: &[Level]) -> bool {
    levels.windows(2).any(|pair| pair[0].when != pair[1].when)
}

/// How good a value is, as a shade: darker, or in colour brighter, is better.
struct Shades<'a> {
    objective: &'a Objective,
    style: Style,
    worst: f64,
    best: f64,
}

impl<'a> Shades<'a> {
    fn new(map: &HeatMap, objective: &'a Objective, style: Style) -> Self {
        let values = || map.cells.iter().flatten().flatten().filter_map(|cell| cell.best);
        let min = values().fold(f64::INFINITY, f64::min);
        let max = values().fold(f64::NEG_INFINITY, f64::max);
        let (worst, best) = match objective.goal {
            Goal::Maximize => (min, max),
            Goal::Minimize => (max, min),
        };
        Self { objective, style, worst, best }
    }

    /// Returns two characters for a value.
    fn shade(&self, value: f64) -> String {
        let span = self.best - self.worst;
        let share = if span == 0.0 { 1.0 } else { ((value - self.worst) / span).clamp(0.0, 1.0) };
        if self.style.colour {
            return self.style.heat(share, "██");
        }
        let shades =
            if self.style.unicode { ["░", "▒", "▓", "█"] } else { [".", ":", "+", "#"] };
        shades[((share * 4.0) as usize).min(3)].repeat(2)
    }

    fn value(&self, value: f64) -> String {
        of_metric(&self.objective.metric, value)
    }

    fn cross(&self) -> &'static str {
        if self.style.unicode { "×" } else { "x" }
    }

    /// Returns the shade, and what stands behind it: a value, a star for the best, crosses for what came to nothing.
    fn cell(&self, cell: Option<&HeatCell>, values: bool) -> (String, String) {
        let Some(cell) = cell else { return (" -".to_owned(), String::new()) };
        let lost = match cell.counts.lost() {
            0 => String::new(),
            lost => format!(" {}{lost}", self.cross()),
        };
        let Some(best) = cell.best else { return (self.cross().repeat(2), lost) };
        let star = if cell.holds_best { "*" } else { "" };
        let value = if values { " ".to_owned() + &self.value(best) } else { String::new() };
        (self.shade(best), value + star + &lost)
    }

    /// Returns what the signs mean, on as many lines as it takes.
    fn legend(&self, width: usize) -> String {
        let cross = self.cross();
        // A shade is two characters, whatever escape codes are around it.
        let shaded = |value: f64| (self.shade(value), format!(" {}", self.value(value)));
        let plain = |text: String| (String::new(), text);
        let mut items = Vec::new();
        if self.worst.is_finite() {
            items.extend([
                shaded(self.worst),
                shaded(self.best),
                plain("* best of all".to_owned()),
            ]);
        }
        items.extend([
            plain(format!("{cross}{cross} no value")),
            plain(format!("{cross}N: N trials came to nothing")),
            plain("- not tried".to_owned()),
        ]);
        let (mut text, mut used) = (String::new(), 0);
        for (shade, rest) in items {
            let wide = if shade.is_empty() { 0 } else { 2 } + rest.width();
            if used > 0 && used + 3 + wide > width {
                text.push('\n');
                used = 0;
            }
            if used > 0 {
                text += "   ";
                used += 3;
            }
            text += &(shade + &rest);
            used += wide;
        }
        text + "\n"
    }
}

/// Texts and widths of the map.
struct Layout {
    rows: Vec<String>,
    columns: Vec<String>,
    /// What stands behind the shades.
    texts: Vec<Vec<(String, String)>>,
    row_width: usize,
    column_widths: Vec<usize>,
    /// What the letters of columns stand for.
    key: Vec<String>,
}

impl Layout {
    fn new(map: &HeatMap, shades: &Shades<'_>, values: bool, letters: bool) -> Self {
        let names = |levels: &[Level]| -> Vec<String> {
            let differ = differ(levels);
            levels.iter().map(|level| level_name(level, differ)).collect()
        };
        let (rows, mut columns) = (names(&map.row_levels), names(&map.column_levels));
        let mut key = Vec::new();
        if letters {
            let letter = |place: usize| char::from(b'a' + (place % 26) as u8).to_string();
            for (place, name) in columns.iter_mut().enumerate() {
                key.push(format!("{}: {name}", letter(place)));
                *name = letter(place);
            }
        }
        let texts: Vec<Vec<(String, String)>> = map
            .cells
            .iter()
            .map(|row| row.iter().map(|cell| shades.cell(cell.as_ref(), values)).collect())
            .collect();
        let row_width = rows.iter().map(|name| name.width()).max().unwrap_or(0);
        let row_width = row_width.max(printable(&map.rows).width());
        let column_widths = columns
            .iter()
            .enumerate()
            .map(|(place, name)| {
                let cells = texts.iter().map(|row| 2 + row[place].1.width()).max().unwrap_or(0);
                cells.max(name.width())
            })
            .collect();
        Self { rows, columns, texts, row_width, column_widths, key }
    }

    fn width(&self) -> usize {
        self.row_width + self.column_widths.iter().map(|width| width + GAP.len()).sum::<usize>()
    }

    fn draw(&self, map: &HeatMap, shades: &Shades<'_>, width: usize) -> String {
        let pad =
            |text: &str, to: usize| text.to_owned() + &" ".repeat(to.saturating_sub(text.width()));
        let line = |text: &str| cut(text.trim_end(), width) + "\n";
        let mut text = line(&format!(
            "{}: best for each pair of values, over all others",
            printable(&shades.objective.metric)
        ));
        text += &line(&(" ".repeat(self.row_width + GAP.len()) + &printable(&map.columns)));
        let mut header = pad(&printable(&map.rows), self.row_width);
        for (name, column) in self.columns.iter().zip(&self.column_widths) {
            header += &(GAP.to_owned() + &pad(name, *column));
        }
        text += &line(&header);
        for (name, cells) in self.rows.iter().zip(&self.texts) {
            let mut row = cut(&pad(name, self.row_width), width);
            let mut used = self.row_width;
            for ((shade, rest), column) in cells.iter().zip(&self.column_widths) {
                // Escape codes cannot be cut: a column that does not fit is left out.
                used += GAP.len() + column;
                if used > width {
                    break;
                }
                row += &(GAP.to_owned() + shade + &pad(rest, column - 2));
            }
            text += row.trim_end();
            text.push('\n');
        }
        for key in &self.key {
            text += &line(&(" ".repeat(self.row_width + GAP.len()) + key));
        }
        text + &shades.legend(width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use converge_core::effects::candidate::Counts;
    use converge_core::objective::At;
    use converge_core::value::Value;

    fn level(value: Value, when: &str) -> Level {
        Level {
            value: Some(value),
            low: None,
            high: None,
            when: when.into(),
            configurations: 1,
            counts: Counts { trials: 1, ..Counts::default() },
            best: None,
            median: None,
            holds_best: false,
        }
    }

    fn cell(best: Option<f64>, lost: u64, holds_best: bool) -> Option<HeatCell> {
        let counts = Counts { trials: 2, diverged: lost, ..Counts::default() };
        Some(HeatCell { best, counts, holds_best })
    }

    fn map() -> HeatMap {
        HeatMap {
            rows: "learning_rate".into(),
            columns: "batch_size".into(),
            row_levels: vec![
                level(Value::Float(2e-5), "optimizer=adamw"),
                level(Value::Float(2e-4), "optimizer=adamw"),
                level(Value::Float(0.1), "optimizer=sgd"),
            ],
            column_levels: vec![level(Value::Integer(16), ""), level(Value::Integer(32), "")],
            cells: vec![
                vec![cell(Some(0.61), 0, false), cell(Some(0.652), 0, false)],
                vec![cell(Some(0.81), 0, true), cell(Some(0.78), 1, false)],
                vec![cell(None, 2, false), None],
            ],
        }
    }

    fn drawn(style: Style, width: usize) -> String {
        let objective =
            Objective { metric: "validation/accuracy".into(), goal: Goal::Maximize, at: At::Best };
        heat_map(&map(), &objective, style, width)
    }

    #[test]
    fn a_map_has_shades_values_and_what_failed() {
        insta::assert_snapshot!(drawn(Style::PLAIN, 100), @r"
        validation/accuracy: best for each pair of values, over all others
                                batch_size
        learning_rate           16          32
        2e-5 (optimizer=adamw)  ░░ 61.0 %   ░░ 65.2 %
        2e-4 (optimizer=adamw)  ██ 81.0 %*  ██ 78.0 % ×1
        0.1 (optimizer=sgd)     ×× ×2        -
        ░░ 61.0 %   ██ 81.0 %   * best of all   ×× no value   ×N: N trials came to nothing   - not tried
        ");
    }

    #[test]
    fn a_narrow_map_has_no_values() {
        let text = drawn(Style::PLAIN, 40);
        insta::assert_snapshot!(text, @r"
        validation/accuracy: best for each pair…
                                batch_size
        learning_rate           16     32
        2e-5 (optimizer=adamw)  ░░     ░░
        2e-4 (optimizer=adamw)  ██*    ██ ×1
        0.1 (optimizer=sgd)     ×× ×2   -
        ░░ 61.0 %   ██ 81.0 %   * best of all
        ×× no value
        ×N: N trials came to nothing
        - not tried
        ");
    }

    #[test]
    fn colours_are_written_only_where_they_are_allowed() {
        assert!(!drawn(Style::PLAIN, 100).contains('\x1b'));
        let coloured = drawn(Style { colour: true, unicode: true }, 100);
        assert!(coloured.contains("\x1b[38;5;"), "{coloured}");
        assert!(!coloured.contains('░'), "{coloured}");
        let ascii = drawn(Style { colour: false, unicode: false }, 100);
        assert!(ascii.is_ascii(), "{ascii}");
    }

    #[test]
    fn names_of_strangers_do_not_reach_the_terminal() {
        let mut map = map();
        map.row_levels[0].value = Some(Value::Text("a\x1b[31m".into()));
        map.rows = "x\x1b[2J".into();
        let objective =
            Objective { metric: "validation/accuracy".into(), goal: Goal::Maximize, at: At::Best };
        assert!(!heat_map(&map, &objective, Style::PLAIN, 100).contains('\x1b'));
    }
}
