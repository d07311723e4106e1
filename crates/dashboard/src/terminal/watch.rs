//! The screen of `converge watch`: what is watched and what was chosen in, cells out.

mod header;
mod ink;
mod list;
mod overlay;
mod page;

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::text::Span;

use super::style::Style;
use crate::view::watch::Watched;
use crate::view::watch_state::{Screen, WatchState};
use ink::Ink;

/// Narrower or lower than this, nothing is drawn but a word about it.
pub const SMALLEST: (u16, u16) = (60, 16);

/// Draws a frame, and takes note of what fits on the screen.
pub fn draw(buffer: &mut Buffer, watched: &Watched, state: &mut WatchState, style: Style) {
    let area = buffer.area;
    let ink = Ink::new(style);
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        too_small(buffer, &ink);
        return;
    }
    let inside = Rect { height: area.height - 1, ..area };
    match (state.screen, &watched.page) {
        (Screen::Trial(number), Some(page)) if page.detail.trial.number == number => {
            page::draw(buffer, inside, watched, page, state, &ink);
        }
        // A page that has not been read yet comes with the next frame.
        (Screen::Trial(_) | Screen::List, _) => {
            let top = header::draw(buffer, inside, &watched.sweep, &ink);
            let below = Rect { y: top, height: inside.bottom() - top, ..inside };
            list::draw(buffer, below, watched, state, &ink);
        }
    }
    let last = Rect { y: area.bottom() - 1, height: 1, ..area };
    footer(buffer, last, state, &ink);
    if let Some(overlay) = &state.overlay {
        overlay::draw(buffer, inside, overlay, watched, &ink);
    }
}

/// Returns how many trials fit into the list on a screen of this size.
pub fn fits(width: u16, height: u16, watched: &Watched) -> u64 {
    if width < SMALLEST.0 || height < SMALLEST.1 {
        return 1;
    }
    let taken = header::height(height - 1, &watched.sweep) + list::AROUND + 1;
    u64::from(height.saturating_sub(taken).max(1))
}

/// Returns the sweep and the first trials of the list as text without colours, for where there is no screen.
pub fn snapshot(watched: &Watched, state: &mut WatchState, width: u16) -> String {
    let rows = u16::try_from(watched.rows.len()).unwrap_or(u16::MAX).max(1);
    let height = header::height(u16::MAX, &watched.sweep).saturating_add(list::AROUND + rows);
    let area = Rect { x: 0, y: 0, width, height };
    let mut buffer = Buffer::empty(area);
    let ink = Ink::new(Style::PLAIN);
    let top = header::draw(&mut buffer, Rect { height: u16::MAX, ..area }, &watched.sweep, &ink);
    let below = Rect { y: top, height: area.bottom() - top, ..area };
    list::draw_plain(&mut buffer, below, watched, state, &ink);
    text(&buffer)
}

/// Returns a screen as text: lines without trailing spaces.
pub fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    let width = usize::from(buffer.area.width).max(1);
    for row in buffer.content.chunks(width) {
        let mut line = String::new();
        let mut covered = 0;
        for cell in row {
            // What a wide character covers is no cell of its own.
            if covered > 0 {
                covered -= 1;
                continue;
            }
            covered = unicode_width::UnicodeWidthStr::width(cell.symbol()).saturating_sub(1);
            line += cell.symbol();
        }
        text += line.trim_end();
        text.push('\n');
    }
    let end = text.trim_end().len();
    text.truncate(end);
    text + "\n"
}

fn too_small(buffer: &mut Buffer, ink: &Ink) {
    let area = buffer.area;
    let (width, height) = SMALLEST;
    for (row, line) in [
        format!("too small: {} x {}", area.width, area.height),
        format!("needs {width} x {height}"),
        "q quits".to_owned(),
    ]
    .into_iter()
    .enumerate()
    .take(usize::from(area.height))
    {
        let y = area.y + u16::try_from(row).unwrap_or(0);
        ink.line(buffer, Rect { y, height: 1, ..area }, vec![Span::raw(line)]);
    }
}

/// The last line: what there is to say, or else what can be done.
fn footer(buffer: &mut Buffer, area: Rect, state: &WatchState, ink: &Ink) {
    if let Some(notice) = &state.notice {
        return ink.line(buffer, area, vec![Span::raw(" "), ink.bold(notice)]);
    }
    let keys: &[(&str, &str)] = match (&state.overlay, state.screen) {
        (Some(_), _) => &[],
        (None, Screen::List) => &[
            ("?", "help"),
            ("q", "quit"),
            ("↑↓", "move"),
            ("enter", "open"),
            ("s", "sort"),
            ("f", "filter"),
            ("c", "cancel"),
            ("p", "pause"),
            ("S", "stop"),
            ("space", "mark"),
            ("b", "best"),
            ("r", "reverse"),
        ],
        (None, Screen::Trial(_)) => &[
            ("?", "help"),
            ("esc", "back"),
            ("↑↓", "scroll"),
            ("tab", "plot"),
            ("m", "metric"),
            ("l", "log scale"),
            ("n/N", "next"),
            ("c", "cancel"),
        ],
    };
    let mut spans = vec![Span::raw(" ")];
    let mut left = usize::from(area.width).saturating_sub(1);
    for (key, does) in keys {
        let key = if ink.is_unicode() || key.is_ascii() { *key } else { "jk" };
        // Half a word about a key is none.
        let taken = key.chars().count() + does.len() + 1;
        if taken > left {
            break;
        }
        left = left.saturating_sub(taken + 2);
        spans.push(ink.bold(key));
        spans.push(ink.dim(&format!(" {does}  ")));
    }
    ink.line(buffer, area, spans);
}

#[cfg(test)]
mod tests;
