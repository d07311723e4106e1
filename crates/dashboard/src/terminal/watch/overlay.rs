//! What lies over the screen: help, questions, the choice of a metric.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::text::Span;

use super::super::number::{of_metric, plural};
use super::super::style::Colour;
use super::ink::{Ink, left, right};
use crate::view::watch::Watched;
use crate::view::watch_state::{Overlay, Wish};

/// All keys, as the help and the documentation have them.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("up down, k j", "the trial before, the next; on a page: scroll"),
    ("page up, down", "a screen of trials; on a page: ten lines"),
    ("home end, g G", "the first trial, the last; on a page: top, bottom"),
    ("left right", "parameters that have no room; on a page: back"),
    ("enter, esc", "open the trial; back, or show all trials"),
    ("b", "open the best trial"),
    ("s, r", "sort by state, rank or number; reverse"),
    ("f F", "only trials of one state: the next, the one before"),
    ("space", "mark the trial, to cancel several"),
    ("n N", "on a page: the next trial, the one before"),
    ("tab, m, l", "on a page: the other plot; its metric; log scale"),
    ("c", "cancel the trial or those that are marked; asks"),
    ("p", "pause the sweep, or let it go on; asks"),
    ("S", "stop the sweep, as `converge stop` does; asks"),
    ("q, ctrl-c", "leave: the sweep goes on"),
];

pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    overlay: &Overlay,
    watched: &Watched,
    ink: &Ink,
) {
    match overlay {
        Overlay::Help => help(buffer, area, ink),
        Overlay::Confirm(wish) => confirm(buffer, area, wish, watched, ink),
        Overlay::Metrics(place) => metrics(buffer, area, *place, watched, ink),
    }
}

fn help(buffer: &mut Buffer, area: Rect, ink: &Ink) {
    let widest = KEYS.iter().map(|(keys, _)| keys.len()).max().unwrap_or(0);
    // On the lowest screens the last line closes the list without a word about it.
    let lines = KEYS.iter().map(|(keys, does)| {
        vec![ink.paint(Colour::Cyan, &left(keys, widest)), ink.plain(&format!("  {does}"))]
    });
    window(buffer, area, "keys (any closes)", lines.collect(), ink);
}

fn confirm(buffer: &mut Buffer, area: Rect, wish: &Wish, watched: &Watched, ink: &Ink) {
    let name = &watched.sweep.name;
    let (title, text): (String, [String; 2]) = match wish {
        Wish::Cancel(numbers) => {
            let named: Vec<String> = numbers.iter().take(8).map(u64::to_string).collect();
            let more = numbers.len().saturating_sub(8);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            (
                format!("cancel {}?", plural(numbers.len() as u64, "trial")),
                [
                    format!("trials: {}{more}", named.join(", ")),
                    "their checkpoints go, their curves stay".into(),
                ],
            )
        }
        Wish::Stop => (
            format!("stop sweep {name}?"),
            [
                "its workers checkpoint and leave".into(),
                format!("`converge resume {name}` goes on"),
            ],
        ),
        Wish::Pause => (
            format!("pause sweep {name}?"),
            ["its workers checkpoint and leave; the scheduler waits".into(), "p goes on".into()],
        ),
        Wish::Unpause => {
            (format!("go on with sweep {name}?"), ["its workers start again".into(), String::new()])
        }
        Wish::Quit | Wish::Suspend | Wish::Redraw => (String::new(), Default::default()),
    };
    let mut lines: Vec<Vec<Span<'static>>> =
        text.iter().filter(|line| !line.is_empty()).map(|line| vec![ink.plain(line)]).collect();
    lines.push(Vec::new());
    lines.push(vec![ink.bold("y"), ink.plain(" yes    "), ink.bold("n"), ink.plain(" no")]);
    window(buffer, area, &title, lines, ink);
}

fn metrics(buffer: &mut Buffer, area: Rect, place: usize, watched: &Watched, ink: &Ink) {
    let metrics = watched.page.as_ref().map_or(&[][..], |page| &page.detail.metrics[..]);
    let room = usize::from(area.height).saturating_sub(4).max(1);
    let first = place.saturating_sub(room / 2).min(metrics.len().saturating_sub(room));
    let widest = metrics.iter().map(|metric| metric.metric.len()).max().unwrap_or(0).min(40);
    let lines = metrics.iter().enumerate().skip(first).take(room).map(|(index, metric)| {
        let (is_chosen, name) = (index == place, left(&metric.metric, widest));
        let value = right(&of_metric(&metric.metric, metric.last), 9);
        let arrow = if ink.is_unicode() { "▸ " } else { "> " };
        let sign = ink.paint(Colour::Yellow, if is_chosen { arrow } else { "  " });
        vec![sign, if is_chosen { ink.bold(&name) } else { ink.plain(&name) }, ink.dim(&value)]
    });
    window(buffer, area, "metric of this plot", lines.collect(), ink);
}

/// Draws a frame with a title in the middle of the screen, and lines in it.
fn window(buffer: &mut Buffer, area: Rect, title: &str, lines: Vec<Vec<Span<'static>>>, ink: &Ink) {
    use unicode_width::UnicodeWidthStr as _;
    let widest = lines.iter().map(|line| line.iter().map(|span| span.content.width()).sum());
    let widest: usize = widest.max().unwrap_or(0).max(title.width() + 4);
    let width = u16::try_from(widest + 4).unwrap_or(area.width).min(area.width);
    // One row of the list stays in view above and below, if there is room.
    let height = u16::try_from(lines.len() + 2).unwrap_or(area.height).min(area.height);
    let frame = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    for y in frame.top()..frame.bottom() {
        for x in frame.left()..frame.right() {
            buffer[(x, y)].reset();
        }
    }
    let (corners, across, down) = if ink.is_unicode() {
        (["╭", "╮", "╰", "╯"], "─", "│")
    } else {
        (["+"; 4], "-", "|")
    };
    let inside = usize::from(width) - 2;
    let top = format!("{across} {title} ");
    let top = format!("{top}{}", across.repeat(inside.saturating_sub(top.width())));
    let row = |y: u16| Rect { x: frame.x, y, width, height: 1 };
    let look = ink.look(Colour::Dim);
    let edge = |text: String| vec![Span::styled(text, look)];
    ink.line(buffer, row(frame.y), edge(format!("{}{top}{}", corners[0], corners[1])));
    for (y, line) in (frame.y + 1..frame.bottom() - 1).zip(lines) {
        ink.line(buffer, row(y), edge(down.to_owned()));
        ink.line(buffer, Rect { x: frame.x + 2, width: width - 4, y, height: 1 }, line);
        buffer.set_string(frame.right() - 1, y, down, look);
    }
    let bottom = format!("{}{}{}", corners[2], across.repeat(inside), corners[3]);
    ink.line(buffer, row(frame.bottom() - 1), edge(bottom));
}
