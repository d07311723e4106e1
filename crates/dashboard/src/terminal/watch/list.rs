//! The list of trials: columns of fixed places, curves as sparklines, the parameters in what room is left.

use converge_core::metric::name_of;
use converge_store::{Standing, TrialOrder};
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::Modifier;
use ratatui_core::text::Span;
use unicode_width::UnicodeWidthStr as _;

use super::super::number::{self, count};
use super::super::sparkline::sparkline;
use super::super::style::Colour;
use super::ink::{Ink, left, right};
use crate::view::watch::{Watched, WatchedRow};
use crate::view::watch_state::WatchState;

/// Lines around the trials: a title and the names of the columns above them, and the chosen trial's own below.
pub(super) const AROUND: u16 = 4;

/// A sign and the longest word of a standing.
const STANDING: usize = 11;
/// `100.0 %`, `0.4321`.
const VALUE: usize = 7;

/// Widths of the columns on a screen.
struct Columns {
    number: usize,
    spark: usize,
    /// The last training loss as a number; narrow screens have its curve alone.
    loss: bool,
    /// `100/128`; none on narrow screens.
    steps: usize,
    /// Name, header and width of each visible parameter.
    parameters: Vec<(String, String, usize)>,
    /// Not all parameters are visible.
    more: bool,
}

pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    watched: &Watched,
    state: &mut WatchState,
    ink: &Ink,
) {
    let rows = area.height.saturating_sub(AROUND);
    state.fit(u64::from(rows), watched.listed);
    draw_plain(buffer, Rect { height: area.height - 1, ..area }, watched, state, ink);
    let below = Rect { y: area.bottom() - 1, height: 1, ..area };
    if let Some(row) = chosen(watched, state) {
        ink.line(buffer, below, about(row, watched, ink));
    }
}

/// Draws the list without the line about the chosen trial.
pub(super) fn draw_plain(
    buffer: &mut Buffer,
    area: Rect,
    watched: &Watched,
    state: &WatchState,
    ink: &Ink,
) {
    let columns = Columns::new(usize::from(area.width), watched, state.parameters_before);
    let row = |index: u16| Rect { y: area.y + index, height: 1, ..area };
    ink.line(buffer, row(1), title(watched, state, ink));
    ink.line(buffer, row(2), vec![header(&columns, watched, ink)]);
    let room = usize::from(area.height.saturating_sub(3));
    if watched.rows.is_empty() {
        let word = state.only.map_or("", Standing::word);
        ink.line(buffer, row(3), vec![ink.dim(&format!("   no trial is {word}"))]);
    }
    let number = state.number(watched);
    for (index, shown) in (3u16..).zip(watched.rows.iter().take(room)) {
        let is_chosen = number == Some(shown.trial.number);
        let is_marked = state.marked.contains(&shown.trial.number);
        let mut spans = line(shown, &columns, watched, ink);
        if is_chosen {
            for span in &mut spans {
                span.style = span.style.add_modifier(Modifier::BOLD).remove_modifier(Modifier::DIM);
            }
        }
        let (arrow, mark) = if ink.is_unicode() { ("▸", "•") } else { (">", "*") };
        let sign = format!(
            "{}{}",
            if is_chosen { arrow } else { " " },
            if is_marked { mark } else { " " }
        );
        spans.insert(0, ink.paint(Colour::Yellow, &sign));
        ink.line(buffer, row(index), spans);
    }
}

impl Columns {
    fn new(width: usize, watched: &Watched, before: usize) -> Self {
        let trials = watched.sweep.trials.total();
        let spark = match width {
            ..120 => 8,
            120..160 => 12,
            _ => 16,
        };
        let longest = watched.rows.iter().map(|row| row.trial.total_steps.to_string().len());
        let steps = if width < 96 { 0 } else { 2 * longest.max().unwrap_or(1) + 1 };
        let mut columns = Self {
            number: trials.to_string().len().max(2),
            spark,
            loss: width >= 72,
            steps,
            parameters: Vec::new(),
            more: false,
        };
        let mut room = width.saturating_sub(columns.before_parameters() + 1);
        let widths = |name: &String| {
            let values = watched.rows.iter().map(|row| value(row, name).width()).max().unwrap_or(1);
            (short_parameter(name).width(), values)
        };
        let visible = || watched.sweep.parameters.iter().skip(before);
        // Names are whole where all have room, and else as long as their values, or nearly.
        let whole: usize = visible().map(widths).map(|(name, values)| name.max(values) + 2).sum();
        for parameter in visible() {
            let (name, values) = widths(parameter);
            let name = if whole <= room + 2 { name } else { name.min(values.max(10)) };
            let wanted = name.max(values).min(24);
            // A column that is cut off says little: the next ones are reached with the right arrow.
            if wanted > room && !columns.parameters.is_empty() {
                columns.more = true;
                break;
            }
            let taken = wanted.min(room);
            let header = short_parameter(parameter).to_owned();
            columns.parameters.push((parameter.clone(), header, taken));
            room = room.saturating_sub(taken + 2);
        }
        columns
    }

    /// Returns the columns that are taken before the first parameter.
    fn before_parameters(&self) -> usize {
        let loss = self.spark + if self.loss { VALUE + 1 } else { 0 };
        let steps = if self.steps > 0 { self.steps + 2 } else { 0 };
        2 + self.number + 1 + STANDING + 1 + VALUE + 1 + self.spark + 2 + loss + 2 + steps
    }
}

fn title(watched: &Watched, state: &WatchState, ink: &Ink) -> Vec<Span<'static>> {
    let rows = watched.rows.len() as u64;
    let part = match watched.listed {
        0 => "none".into(),
        listed if rows == listed => count(listed),
        listed => format!(
            "{} to {} of {}",
            count(watched.first + 1),
            count(watched.first + rows),
            count(listed)
        ),
    };
    let order = match state.order {
        TrialOrder::Standing => "by state",
        TrialOrder::Rank => "best first",
        TrialOrder::Number => "by number",
    };
    let turned = if state.reversed { ", reversed" } else { "" };
    let only =
        state.only.map_or(String::new(), |only| format!("{}only {}", ink.dot(), only.word()));
    let marked = match state.marked.len() {
        0 => String::new(),
        marked => format!("{}{marked} marked", ink.dot()),
    };
    let rest = format!("{}{order}{turned}{only}{marked}", ink.dot());
    vec![ink.bold(" trials "), ink.plain(&part), ink.dim(&rest)]
}

fn header(columns: &Columns, watched: &Watched, ink: &Ink) -> Span<'static> {
    let objective = name_of(&watched.sweep.objective.metric);
    let mut text = format!("  {} {}", right("#", columns.number), left("state", STANDING));
    // A name ends where its numbers end; it may begin in the free room before them.
    let until = |text: &mut String, name: &str, end: usize| {
        let room = end.saturating_sub(text.width());
        *text += &right(name, room);
    };
    let first = 2 + columns.number + 1 + STANDING + 1 + VALUE;
    until(&mut text, objective, first);
    let second = first + 1 + columns.spark + 2;
    if columns.loss {
        until(&mut text, "train loss", second + VALUE);
    } else {
        until(&mut text, "", second);
        text += "loss";
    }
    let parameters = columns.before_parameters();
    if columns.steps > 0 {
        until(&mut text, "step", parameters - 2);
    }
    until(&mut text, "", parameters);
    for (_, header, width) in &columns.parameters {
        text += &left(header, *width);
        text += "  ";
    }
    if columns.more {
        text = text.trim_end().to_owned() + if ink.is_unicode() { " →" } else { " >" };
    }
    ink.dim(text.trim_end())
}

fn line(row: &WatchedRow, columns: &Columns, watched: &Watched, ink: &Ink) -> Vec<Span<'static>> {
    let trial = &row.trial;
    let metric = &watched.sweep.objective.metric;
    let objective = trial.objective.map_or("-".into(), |value| number::of_metric(metric, value));
    let loss = trial.loss.map_or("-".into(), |loss| number::of_metric("train/loss", loss));
    let standing = ink.standing(trial.standing);
    let gap = STANDING.saturating_sub(standing.content.width()) + 1;
    let quiet = !matches!(trial.standing, Standing::Running | Standing::Completed);
    let say = |text: String| if quiet { ink.dim(&text) } else { ink.plain(&text) };
    let mut spans = vec![
        ink.plain(&format!("{} ", right(&trial.number.to_string(), columns.number))),
        standing,
        say(format!("{:gap$}{} ", "", right(&objective, VALUE))),
        ink.paint(Colour::Green, &sparkline(&row.objective.means(columns.spark), ink.style)),
    ];
    spans.push(say(if columns.loss { format!("  {} ", right(&loss, VALUE)) } else { "  ".into() }));
    spans.push(ink.paint(Colour::Cyan, &sparkline(&row.loss.means(columns.spark), ink.style)));
    if columns.steps > 0 {
        let steps = match trial.standing {
            Standing::Queued if trial.last_step == 0 => trial.total_steps.to_string(),
            Standing::Completed => trial.total_steps.to_string(),
            _ => format!("{}/{}", trial.last_step, trial.total_steps),
        };
        spans.push(say(format!("  {}", right(&steps, columns.steps))));
    }
    let mut parameters = String::from("  ");
    for (name, _, width) in &columns.parameters {
        parameters += &left(&value(row, name), *width);
        parameters += "  ";
    }
    spans.push(say(parameters.trim_end().to_owned()));
    spans
}

/// What the columns have no room for.
fn about(row: &WatchedRow, watched: &Watched, ink: &Ink) -> Vec<Span<'static>> {
    let trial = &row.trial;
    let values = watched.sweep.parameters.iter().map(|name| (name, value(row, name)));
    let values: Vec<String> = values
        .filter(|(_, value)| value != "-")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut spans = vec![ink.plain(&format!(" trial {}: ", trial.number))];
    if let Some(failure) = &trial.failure {
        spans.push(ink.paint(Colour::Red, failure));
        spans.push(ink.plain(ink.dot()));
    } else if let Some((step, value)) = row.loss.not_finite() {
        let text = format!("train/loss is {} at step {step}", number::general(value));
        spans.push(ink.paint(Colour::Yellow, &text));
        spans.push(ink.plain(ink.dot()));
    }
    let steps = match trial.standing {
        Standing::Completed => String::new(),
        _ => {
            format!("step {} of {}{}", count(trial.last_step), count(trial.total_steps), ink.dot())
        }
    };
    spans.push(ink.plain(&steps));
    spans.push(ink.dim(&values.join(" ")));
    spans
}

fn chosen<'watched>(
    watched: &'watched Watched,
    state: &WatchState,
) -> Option<&'watched WatchedRow> {
    let number = state.number(watched)?;
    watched.rows.iter().find(|row| row.trial.number == number)
}

/// Returns the value of a parameter as it is written; a dash where the trial has none.
fn value(row: &WatchedRow, name: &str) -> String {
    row.trial.configuration.get(name).map_or("-".into(), number::of_parameter)
}

/// `train_limit` of `data.train_limit`.
fn short_parameter(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, name)| name)
}
