//! Curves in the terminal.

use unicode_width::UnicodeWidthStr;

use super::canvas::{Canvas, MARKS};
use super::escaped::printable;
use super::number::{self, Kind};
use super::style::Style;
use super::table::cut;
use super::ticks;

/// A curve and its name. Values that are not finite leave a gap.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Stands in the legend.
    pub name: String,
    /// (step, value), by ascending step.
    pub points: Vec<(f64, f64)>,
}

/// How curves are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlotSettings<'name> {
    /// Width of the whole in characters, at least 30.
    pub width: usize,
    /// Height of the whole in lines without the legend, at least 6.
    pub height: usize,
    /// Scale of the values.
    pub scale: Scale,
    /// Name of the metric: the title, and how its values are written.
    pub metric: &'name str,
    /// What the points are counted in, such as `step`.
    pub unit: &'name str,
    /// Colours and characters.
    pub style: Style,
}

/// Scale of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally far apart.
    Linear,
    /// Equal ratios are equally far apart; zero and below leave a gap.
    Logarithmic,
}

/// Returns the curves as text: title, axes with round numbers, and a legend with the last values.
pub fn plot(curves: &[Curve], settings: &PlotSettings<'_>) -> String {
    plot_over(curves, settings, None)
}

/// The same over the steps between two ends, whatever steps the curves have.
pub fn plot_over(
    curves: &[Curve],
    settings: &PlotSettings<'_>,
    steps: Option<(f64, f64)>,
) -> String {
    let title = format!("{}{}\n", printable(settings.metric), settings.scale.note());
    match Frame::new(curves, settings, steps) {
        Some(frame) => title + &frame.draw(curves) + &legend(curves, settings),
        None => title + "nothing to plot: no finite value\n" + &legend(curves, settings),
    }
}

/// The same with a mark under the steps between two of them, and what it is.
pub fn plot_marked(
    curves: &[Curve],
    settings: &PlotSettings<'_>,
    (from, to, what): (f64, f64, &str),
) -> String {
    let title = format!("{}{}\n", printable(settings.metric), settings.scale.note());
    match Frame::new(curves, settings, None) {
        Some(frame) => title + &frame.draw(curves) + &frame.mark(from, to, what),
        None => title + "nothing to plot: no finite value\n",
    }
}

/// Returns a curve over learning rates, which stand on a logarithmic axis; under it the range between two of them, with
/// what it is.
pub fn plot_rates(
    points: &[(f64, f64)],
    settings: &PlotSettings<'_>,
    range: Option<(f64, f64, &str)>,
) -> String {
    let title = format!("{}{}\n", printable(settings.metric), settings.scale.note());
    let points = points.iter().map(|(rate, value)| (rate.log10(), *value)).collect();
    let curves = [Curve { name: String::new(), points }];
    match Frame::new(&curves, settings, None) {
        Some(frame) => title + &frame.body(&curves) + &frame.rate_axis(range),
        None => title + "nothing to plot: no finite value\n",
    }
}

impl Scale {
    fn note(self) -> &'static str {
        match self {
            Self::Linear => "",
            Self::Logarithmic => " (log scale)",
        }
    }

    /// Returns where a value stands on the axis; none where it has no place there.
    fn position(self, value: f64) -> Option<f64> {
        match self {
            Self::Linear => Some(value),
            Self::Logarithmic => (value > 0.0).then(|| value.log10()),
        }
        .filter(|position| position.is_finite())
    }
}

/// Ranges and sizes of one plot.
struct Frame<'settings> {
    settings: &'settings PlotSettings<'settings>,
    /// Ends of the axis of steps.
    steps: (f64, f64),
    /// Ends of the axis of values, on its scale.
    values: (f64, f64),
    /// (row from the top, text), texts of one width.
    value_ticks: Vec<(usize, String)>,
    /// Size of the drawing in characters, the column for letters not included.
    columns: usize,
    rows: usize,
}

impl<'settings> Frame<'settings> {
    /// Lays the plot out; none where there is nothing to draw.
    fn new(
        curves: &[Curve],
        settings: &'settings PlotSettings<'settings>,
        over: Option<(f64, f64)>,
    ) -> Option<Self> {
        let points = || {
            let all = curves.iter().flat_map(|curve| &curve.points);
            all.filter(|(step, _)| step.is_finite()).filter_map(|(step, value)| {
                settings.scale.position(*value).map(|value| (*step, value))
            })
        };
        let steps = match over {
            Some(steps) => steps,
            None => range(points().map(|(step, _)| step))?,
        };
        let values = range(points().map(|(_, value)| value))?;
        // Two lines for the axis of steps, one for the title.
        let rows = settings.height.max(6) - 3;
        let value_ticks = value_ticks(values, rows, settings);
        let label = value_ticks.first().map_or(0, |(_, text)| text.width());
        // " ┤" after the labels, and a column at the end for the curves' letters.
        let columns = settings.width.max(30).saturating_sub(label + 3).max(10);
        Some(Self { settings, steps, values, value_ticks, columns, rows })
    }

    fn draw(&self, curves: &[Curve]) -> String {
        self.body(curves) + &self.step_axis()
    }

    /// The curves, with the axis of values.
    fn body(&self, curves: &[Curve]) -> String {
        let mut canvas = Canvas::new(self.columns + 1, self.rows, self.settings.style);
        for (index, curve) in curves.iter().enumerate() {
            self.draw_curve(&mut canvas, index, curve);
        }
        if curves.len() > 1 {
            // The first curves get the places next to their ends.
            for (index, curve) in curves.iter().enumerate() {
                let last = curve.points.iter().rev().find_map(|point| self.dot(*point));
                if let (Some((x, y)), Some(letter)) = (last, letter(index)) {
                    let (across, down) = Canvas::dots_per_cell(self.settings.style);
                    canvas.letter(letter, x / across + 1, y / down, index);
                }
            }
        }
        let label = self.label();
        let (tick, line, ..) = self.axis();
        let mut text = String::new();
        for row in 0..self.rows {
            let at_row = self.value_ticks.iter().find(|(at, _)| *at == row);
            match at_row {
                Some((_, number)) => text += &format!("{number} {tick}"),
                None => text += &format!("{:label$} {line}", ""),
            }
            text += canvas.row(row).trim_end();
            text.push('\n');
        }
        text
    }

    /// Width of the numbers of the axis of values.
    fn label(&self) -> usize {
        self.value_ticks.first().map_or(0, |(_, text)| text.width())
    }

    fn draw_curve(&self, canvas: &mut Canvas, index: usize, curve: &Curve) {
        let mut previous = None;
        for point in &curve.points {
            let dot = self.dot(*point);
            if let Some(dot) = dot {
                canvas.line(previous.unwrap_or(dot), dot, index);
            }
            previous = dot;
        }
    }

    /// Returns the dot of a point, counted from the top left; none for a gap.
    fn dot(&self, (step, value): (f64, f64)) -> Option<(usize, usize)> {
        let value = self.settings.scale.position(value)?;
        if !step.is_finite() {
            return None;
        }
        let (across, down) = Canvas::dots_per_cell(self.settings.style);
        let y = place(value, self.values, self.rows * down);
        Some((place(step, self.steps, self.columns * across), self.rows * down - 1 - y))
    }

    /// The line of the steps and the line of its numbers.
    fn step_axis(&self) -> String {
        // Steps are counted, so no tick stands between two of them.
        let (steps, distance) = ticks::linear(self.steps.0, self.steps.1, self.columns / 12 + 1);
        let whole = distance.max(1.0);
        let steps: Vec<f64> =
            steps.into_iter().filter(|step| (step / whole).fract().abs() < 1e-9).collect();
        let texts = ticks::texts(&steps, whole, Kind::Plain);
        self.axis_of(steps.into_iter().zip(texts).collect())
    }

    /// The same for learning rates, and below it the range between two of them.
    fn rate_axis(&self, range: Option<(f64, f64, &str)>) -> String {
        let powers = self.steps.0.ceil() as i32..=self.steps.1.floor() as i32;
        let axis =
            self.axis_of(powers.map(|power| (f64::from(power), format!("1e{power}"))).collect());
        let Some((min, max, what)) = range else { return axis };
        axis + &self.mark(min.log10(), max.log10(), what)
    }

    /// A line under the axis that marks what lies between two places of it.
    fn mark(&self, from: f64, to: f64, what: &str) -> String {
        let [first, last] = [from, to].map(|end| place(end, self.steps, self.columns));
        let (left, dash, right) =
            if self.settings.style.unicode { ('├', '─', '┤') } else { ('|', '-', '|') };
        let inner: String = std::iter::repeat_n(dash, (last - first).saturating_sub(1)).collect();
        let bar = format!("{left}{inner}{right}");
        let (label, bar) = (self.label(), self.settings.style.paint(Canvas::colour(1), &bar));
        // What would not fit behind it stands before it.
        let after = label + 2 + last + 2 + what.width();
        let before = label + 2 + first;
        if after > self.settings.width && before > what.width() + 1 {
            return format!("{:>1$} {bar}\n", what, before - 1);
        }
        format!("{:before$}{bar} {what}\n", "")
    }

    /// A line with ticks and the line of their numbers.
    fn axis_of(&self, ticks: Vec<(f64, String)>) -> String {
        let (.., corner, dash, tick) = self.axis();
        let label = self.label();
        let mut axis: Vec<char> = vec![dash; self.columns];
        let unit = cut(&printable(self.settings.unit), self.columns / 2);
        let room = self.columns - unit.width();
        let mut numbers = String::new();
        for (step, text) in ticks {
            let column = place(step, self.steps, self.columns);
            axis[column] = tick;
            let start = (column + 1).saturating_sub(text.width().div_ceil(2));
            let fits = start + text.width() < room;
            if fits && (numbers.is_empty() || start > numbers.width()) {
                numbers += &(" ".repeat(start - numbers.width()) + &text);
            }
        }
        let axis: String = axis.into_iter().collect();
        format!("{:label$} {corner}{axis}\n{:label$}  {numbers:room$}{unit}\n", "", "")
    }

    /// Tick and line of the values, corner, line and tick of the steps.
    fn axis(&self) -> (char, char, char, char, char) {
        if self.settings.style.unicode {
            ('┤', '│', '└', '─', '┬')
        } else {
            ('+', '|', '+', '-', '+')
        }
    }
}

/// Returns the smallest and the largest, moved apart where they are one.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (min, max) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), value| {
        (min.min(value), max.max(value))
    });
    if min > max {
        return None;
    }
    if max - min > max.abs().max(min.abs()) * 1e-9 {
        return Some((min, max));
    }
    let margin = if max == 0.0 { 1.0 } else { max.abs() * 0.1 };
    Some((min - margin, max + margin))
}

/// Returns where `value` falls among so many places, from 0.
fn place(value: f64, (min, max): (f64, f64), places: usize) -> usize {
    // Divided first: the difference of two huge ends would not be finite.
    let share = (value / 2.0 - min / 2.0) / (max / 2.0 - min / 2.0);
    ((share * (places - 1) as f64).round().max(0.0) as usize).min(places - 1)
}

/// Returns rows and texts of the ticks of the values, the texts padded to one width.
fn value_ticks(
    values: (f64, f64),
    rows: usize,
    settings: &PlotSettings<'_>,
) -> Vec<(usize, String)> {
    let kind = number::kind_of(settings.metric);
    let (positions, texts): (Vec<f64>, Vec<String>) = match settings.scale {
        Scale::Linear => {
            let (ticks, distance) = ticks::linear(values.0, values.1, (rows / 3).max(2));
            let texts = ticks::texts(&ticks, distance, kind);
            (ticks, texts)
        }
        Scale::Logarithmic => {
            let write = if kind == Kind::Share { number::share } else { number::general };
            let ticks = ticks::logarithmic(values.0, values.1, (rows / 2).max(2));
            let positions = ticks.iter().map(|tick| tick.log10()).collect();
            let distances = ticks.windows(2).map(|pair| pair[1] - pair[0]);
            let nearest = distances.fold(f64::INFINITY, f64::min);
            let texts = match ticks[..] {
                // Close together they differ in digits that short numbers leave out.
                [first, .., last] if last < 2.0 * first => ticks::texts(&ticks, nearest, kind),
                _ => ticks.iter().map(|tick| write(*tick)).collect(),
            };
            (positions, texts)
        }
    };
    let width = texts.iter().map(|text| text.width()).max().unwrap_or(0);
    let row = |position| rows - 1 - place(position, values, rows);
    let pad = |text: String| " ".repeat(width - text.width()) + &text;
    positions.into_iter().map(row).zip(texts.into_iter().map(pad)).collect()
}

/// Returns the letter of a curve; none beyond the alphabet.
fn letter(index: usize) -> Option<char> {
    ('a'..='z').chain('A'..='Z').nth(index)
}

/// One line a curve: its letter, its name, its last value, and where it stopped being finite.
fn legend(curves: &[Curve], settings: &PlotSettings<'_>) -> String {
    let name_width = curves.iter().map(|curve| printable(&curve.name).width()).max().unwrap_or(0);
    let name_width = name_width.min(settings.width.saturating_sub(24).max(16));
    let mut text = String::new();
    for (index, curve) in curves.iter().enumerate() {
        let mut sign = letter(index).unwrap_or(' ').to_string();
        if !settings.style.unicode {
            sign = format!("{sign} {}", MARKS[index % MARKS.len()]);
        }
        if curves.len() > 1 {
            text += &(settings.style.paint(Canvas::colour(index), &sign) + "  ");
        }
        let name = cut(&printable(&curve.name), name_width);
        text += &name;
        text += &" ".repeat(name_width - name.width());
        text += &format!("  {}\n", ending(curve, settings));
    }
    text
}

/// Tells a curve's last finite value, and what came after it.
fn ending(curve: &Curve, settings: &PlotSettings<'_>) -> String {
    let Some(last) = curve.points.iter().rposition(|(_, value)| value.is_finite()) else {
        return "no finite value".to_owned();
    };
    let value = number::of_metric(settings.metric, curve.points[last].1);
    match curve.points.get(last + 1) {
        Some((step, after)) => {
            let after = number::general(*after);
            format!("{value}, then {after} from {} {step}", printable(settings.unit))
        }
        None => value,
    }
}

#[cfg(test)]
mod tests;
