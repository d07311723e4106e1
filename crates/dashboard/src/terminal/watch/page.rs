//! A trial's page: what it is, two plots, and everything else as text that can be scrolled.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::text::Span;

use super::super::number::{self, count};
use super::super::plot::{Curve, PlotSettings, Scale, plot_over};
use super::super::style::{Colour, Style};
use super::ink::Ink;
use crate::view::watch::{PlottedCurve, Watched, WatchedPage};
use crate::view::watch_state::{PlotChoice, WatchState};

/// Title, configuration, facts.
const LINES: u16 = 3;
/// A plot narrower than this says little.
const NARROWEST_PLOT: u16 = 48;

pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    watched: &Watched,
    page: &WatchedPage,
    state: &mut WatchState,
    ink: &Ink,
) {
    let row = |index: u16| Rect { y: area.y + index, height: 1, ..area };
    let trial = &page.detail.trial;
    let title = vec![
        ink.bold(&format!(" trial {}", trial.number)),
        ink.plain("  "),
        ink.standing(page.standing),
    ];
    let sweep = format!("{}{}{}", watched.sweep.name, ink.dot(), watched.sweep.state.word());
    ink.ends(buffer, row(0), title, vec![ink.dim(&sweep)]);
    ink.line(buffer, row(1), vec![ink.plain(&format!(" {}", page.configuration))]);
    ink.line(buffer, row(2), facts(watched, page, ink));
    let below = Rect { y: area.y + LINES, height: area.height - LINES, ..area };
    // Wide screens have the text beside the plots, others below them.
    let (plots, text) = if area.width >= 150 {
        let wide = area.width * 3 / 5;
        (
            Rect { width: wide, ..below },
            Rect { x: below.x + wide, width: below.width - wide, ..below },
        )
    } else {
        let high = (below.height * 3 / 5).clamp(8, 24).min(below.height);
        (
            Rect { height: high, ..below },
            Rect { y: below.y + high, height: below.height - high, ..below },
        )
    };
    draw_plots(buffer, plots, page, state, ink);
    draw_text(buffer, text, page, state, ink);
}

fn facts(watched: &Watched, page: &WatchedPage, ink: &Ink) -> Vec<Span<'static>> {
    let trial = &page.detail.trial;
    let mut facts = vec![format!(
        "step {} of {}",
        count(trial.last_step.unwrap_or(0)),
        count(trial.total_steps)
    )];
    if let Some(objective) = &trial.objective {
        let metric = &watched.sweep.objective.metric;
        let value = number::of_metric(metric, objective.value);
        facts.push(format!("{metric} {value} at step {}", count(objective.step)));
    }
    if let Some((rank, ranked)) = page.rank {
        facts.push(format!("rank {} of {}", count(rank), count(ranked)));
    }
    facts.push(number::plural(trial.attempts, "attempt"));
    if trial.replicate > 0 {
        facts.push(format!("replicate {}", trial.replicate));
    }
    let mut text = format!(" {}", facts.join(ink.dot()));
    if trial.attempts == 0 {
        text = format!(" has not run yet{}{} steps", ink.dot(), count(trial.total_steps));
    }
    vec![ink.dim(&text)]
}

/// Draws both plots where there is room for two, side by side or one above the other, or else the one in focus.
fn draw_plots(buffer: &mut Buffer, area: Rect, page: &WatchedPage, state: &WatchState, ink: &Ink) {
    let both = [0, 1].map(|index| (&page.plots[index], &state.plots[index], state.focus == index));
    if area.width >= 2 * NARROWEST_PLOT {
        let half = area.width / 2;
        draw_plot(buffer, Rect { width: half, ..area }, both[0], false, ink);
        let right = Rect { x: area.x + half, width: area.width - half, ..area };
        draw_plot(buffer, right, both[1], false, ink);
    } else if area.height >= 20 {
        let half = area.height / 2;
        draw_plot(buffer, Rect { height: half, ..area }, both[0], false, ink);
        let lower = Rect { y: area.y + half, height: area.height - half, ..area };
        draw_plot(buffer, lower, both[1], false, ink);
    } else {
        draw_plot(buffer, area, both[state.focus], true, ink);
    }
}

fn draw_plot(
    buffer: &mut Buffer,
    area: Rect,
    (plotted, choice, focused): (&PlottedCurve, &PlotChoice, bool),
    alone: bool,
    ink: &Ink,
) {
    let (name, dot) = (&plotted.metric, ink.dot());
    let mark = match (focused, ink.is_unicode()) {
        _ if alone => " ",
        (true, true) => "▸",
        (true, false) => ">",
        (false, _) => " ",
    };
    let mut title = vec![ink.paint(Colour::Yellow, mark)];
    title.push(if focused { ink.bold(name) } else { ink.plain(name) });
    if choice.logarithmic {
        title.push(ink.plain(&format!("{dot}log scale")));
    }
    if let Some((step, value)) = plotted.curve.last() {
        let value = number::of_metric(name, value);
        title.push(ink.dim(&format!("{dot}{value} at step {}", count(step))));
    }
    if let Some((step, value)) = plotted.curve.not_finite() {
        let text = format!("{dot}{} from step {}", number::general(value), count(step));
        title.push(ink.paint(Colour::Yellow, &text));
    }
    if alone {
        title.push(ink.dim(&format!("{dot}tab: the other")));
    }
    ink.line(buffer, Rect { height: 1, ..area }, title);
    let curve = Curve { name: String::new(), points: plotted.curve.points() };
    let settings = PlotSettings {
        width: usize::from(area.width.saturating_sub(3)),
        height: usize::from(area.height),
        scale: if choice.logarithmic { Scale::Logarithmic } else { Scale::Linear },
        metric: name,
        unit: "step",
        style: Style { colour: false, ..ink.style },
    };
    // Both plots have one axis, and it stays where it is while the curves grow.
    let steps = (0.0, plotted.curve.total_steps().max(1) as f64);
    let text = plot_over(&[curve], &settings, Some(steps));
    // Its own title and legend say what the line above says.
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let shown = lines.len().saturating_sub(1);
    for (index, line) in (1u16..area.height).zip(&lines[..shown]) {
        let row = Rect { y: area.y + index, height: 1, ..area };
        ink.line(buffer, row, plot_line(line, ink));
    }
}

/// Returns a line of a plot with its axis and its curve in two colours.
fn plot_line(line: &str, ink: &Ink) -> Vec<Span<'static>> {
    let axis =
        line.char_indices().find(|(_, character)| matches!(character, '┤' | '│' | '|' | '+'));
    match axis {
        Some((at, character)) => {
            let (axis, curve) = line.split_at(at + character.len_utf8());
            vec![ink.dim(" "), ink.dim(axis), ink.paint(Colour::Cyan, curve)]
        }
        None => vec![ink.dim(" "), ink.dim(line)],
    }
}

fn draw_text(
    buffer: &mut Buffer,
    area: Rect,
    page: &WatchedPage,
    state: &mut WatchState,
    ink: &Ink,
) {
    let mut lines: Vec<Vec<Span<'static>>> = Vec::new();
    for part in page.parts.iter().filter(|part| !part.lines.is_empty()) {
        if !lines.is_empty() {
            lines.push(Vec::new());
        }
        lines.push(vec![ink.bold(&format!(" {}", part.title))]);
        lines.extend(part.lines.iter().map(|line| vec![ink.plain(&format!(" {line}"))]));
    }
    let room = usize::from(area.height);
    state.scrollable = lines.len().saturating_sub(room);
    state.scrolled = state.scrolled.min(state.scrollable);
    let (above, below) = (state.scrolled, state.scrollable - state.scrolled);
    for (index, line) in (0u16..area.height).zip(lines.into_iter().skip(above)) {
        let row = Rect { y: area.y + index, height: 1, ..area };
        if index + 1 == area.height && below > 0 {
            ink.ends(
                buffer,
                row,
                line,
                vec![ink.dim(&format!("{} more below", number::plural(below as u64, "line")))],
            );
        } else {
            ink.line(buffer, row, line);
        }
    }
}
