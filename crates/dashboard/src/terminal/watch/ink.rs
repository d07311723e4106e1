//! How text looks on the screen: colours where they are allowed, and words always.

use converge_store::Standing;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style as Look};
use ratatui_core::text::{Line, Span};
use unicode_width::UnicodeWidthStr as _;

use super::super::escaped::printable;
use super::super::style::{Colour, Style};
use super::super::table::cut;

/// How text looks.
pub(super) struct Ink {
    /// Colours and characters.
    pub(super) style: Style,
}

impl Ink {
    pub(super) fn new(style: Style) -> Self {
        Self { style }
    }

    pub(super) fn is_unicode(&self) -> bool {
        self.style.unicode
    }

    /// Returns a look; without colour, that of all text.
    pub(super) fn look(&self, colour: Colour) -> Look {
        if !self.style.colour {
            return Look::new();
        }
        match colour {
            Colour::Red => Look::new().fg(Color::Red),
            Colour::Green => Look::new().fg(Color::Green),
            Colour::Yellow => Look::new().fg(Color::Yellow),
            Colour::Blue => Look::new().fg(Color::Blue),
            Colour::Magenta => Look::new().fg(Color::Magenta),
            Colour::Cyan => Look::new().fg(Color::Cyan),
            Colour::Dim => Look::new().add_modifier(Modifier::DIM),
        }
    }

    pub(super) fn paint(&self, colour: Colour, text: &str) -> Span<'static> {
        Span::styled(printable(text).into_owned(), self.look(colour))
    }

    pub(super) fn dim(&self, text: &str) -> Span<'static> {
        self.paint(Colour::Dim, text)
    }

    pub(super) fn bold(&self, text: &str) -> Span<'static> {
        Span::styled(printable(text).into_owned(), Look::new().add_modifier(Modifier::BOLD))
    }

    pub(super) fn plain(&self, text: &str) -> Span<'static> {
        Span::raw(printable(text).into_owned())
    }

    /// Returns a sign and the word of a standing, both in its colour.
    pub(super) fn standing(&self, standing: Standing) -> Span<'static> {
        let text = format!("{} {}", self.sign(standing), standing.word());
        Span::styled(text, self.look(colour_of(standing)))
    }

    pub(super) fn sign(&self, standing: Standing) -> &'static str {
        let (unicode, ascii) = match standing {
            Standing::Running => ("●", ">"),
            Standing::Queued => ("○", "."),
            Standing::Completed => ("✓", "+"),
            Standing::Diverged => ("≈", "~"),
            Standing::Failed => ("✗", "x"),
            Standing::Cancelled => ("–", "-"),
            Standing::Waiting => ("◐", "="),
            Standing::Stopped => ("■", "!"),
        };
        if self.style.unicode { unicode } else { ascii }
    }

    pub(super) fn dot(&self) -> &'static str {
        if self.style.unicode { " · " } else { " - " }
    }

    /// Writes a line; what does not fit ends in an ellipsis.
    pub(super) fn line(&self, buffer: &mut Buffer, area: Rect, spans: Vec<Span<'static>>) {
        if area.height == 0 || area.y >= buffer.area.bottom() {
            return;
        }
        let width = usize::from(area.width);
        let mut kept = Vec::new();
        let mut used = 0;
        for span in spans {
            let room = width - used;
            let wide = span.content.width();
            if wide > room {
                let text = cut(&span.content, room);
                kept.push(Span::styled(text, span.style));
                break;
            }
            used += wide;
            kept.push(span);
        }
        if !self.style.unicode {
            for span in kept.iter_mut().filter(|span| span.content.contains('…')) {
                span.content = span.content.replace('…', ".").into();
            }
        }
        buffer.set_line(area.x, area.y, &Line::from(kept), area.width);
    }

    /// Writes two texts, at the left and at the right of a line; the right one goes where there is no room for both.
    pub(super) fn ends(
        &self,
        buffer: &mut Buffer,
        area: Rect,
        left: Vec<Span<'static>>,
        right: Vec<Span<'static>>,
    ) {
        let width =
            |spans: &[Span<'_>]| -> usize { spans.iter().map(|span| span.content.width()).sum() };
        let (taken, wanted) = (width(&left), width(&right));
        let all = usize::from(area.width);
        self.line(buffer, area, left);
        if taken + wanted + 2 <= all {
            let x = area.x + area.width - u16::try_from(wanted).unwrap_or(area.width) - 1;
            self.line(buffer, Rect { x, width: area.right() - x, ..area }, right);
        }
    }
}

pub(super) fn colour_of(standing: Standing) -> Colour {
    match standing {
        Standing::Running => Colour::Cyan,
        Standing::Completed => Colour::Green,
        Standing::Diverged => Colour::Yellow,
        Standing::Failed => Colour::Red,
        Standing::Waiting => Colour::Cyan,
        Standing::Queued | Standing::Cancelled | Standing::Stopped => Colour::Dim,
    }
}

/// Returns text in so many columns: cut, or filled up at its left.
pub(super) fn right(text: &str, width: usize) -> String {
    let text = cut(text, width);
    " ".repeat(width - text.width()) + &text
}

/// Returns text in so many columns: cut, or filled up at its right.
pub(super) fn left(text: &str, width: usize) -> String {
    let text = cut(text, width);
    let padding = " ".repeat(width - text.width());
    text + &padding
}
