//! What the terminal can show.

/// What the terminal can show; the caller knows about `NO_COLOR`, the locale and where the text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Escape codes for colours may be written.
    pub colour: bool,
    /// Characters beyond ASCII may be written.
    pub unicode: bool,
}

/// A colour, by its place in the terminal's palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Red.
    Red,
    /// Green.
    Green,
    /// Yellow.
    Yellow,
    /// Blue.
    Blue,
    /// Magenta.
    Magenta,
    /// Cyan.
    Cyan,
    /// Fainter than the rest.
    Dim,
}

impl Colour {
    /// Colours of curves, in order of use.
    pub(crate) const SERIES: [Self; 6] =
        [Self::Cyan, Self::Yellow, Self::Magenta, Self::Green, Self::Blue, Self::Red];

    fn code(self) -> u8 {
        match self {
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Blue => 34,
            Self::Magenta => 35,
            Self::Cyan => 36,
            Self::Dim => 2,
        }
    }
}

impl Style {
    /// Unicode without colour: for files and tests.
    pub const PLAIN: Self = Self { colour: false, unicode: true };

    /// Returns `text` in `colour` where colours are allowed; empty text stays empty.
    pub fn paint(self, colour: Colour, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", colour.code())
        } else {
            text.to_owned()
        }
    }

    /// Returns `text` in a colour from dark blue (0) to yellow (1) where colours are allowed.
    ///
    /// The steps lie along viridis, which is told apart without seeing colours too, in the terminal's cube of 256.
    pub fn heat(self, share: f64, text: &str) -> String {
        const STEPS: [u8; 8] = [54, 60, 61, 67, 73, 72, 113, 185];
        if !self.colour {
            return text.to_owned();
        }
        let step = STEPS[((share.clamp(0.0, 1.0) * 8.0) as usize).min(7)];
        format!("\x1b[38;5;{step}m{text}\x1b[0m")
    }

    /// Returns a bar of `width` characters of which `share` is filled.
    pub fn bar(self, share: f64, width: usize) -> String {
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        // Full only when all is done.
        let filled = (share * width as f64).floor() as usize;
        let (full, empty) = if self.unicode { ("━", "─") } else { ("#", ".") };
        self.paint(Colour::Cyan, &full.repeat(filled))
            + &self.paint(Colour::Dim, &empty.repeat(width - filled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_only_at_the_end() {
        assert_eq!(Style::PLAIN.bar(0.0, 4), "────");
        assert_eq!(Style::PLAIN.bar(0.5, 4), "━━──");
        assert_eq!(Style::PLAIN.bar(0.999, 4), "━━━─");
        assert_eq!(Style::PLAIN.bar(1.0, 4), "━━━━");
        assert_eq!(Style::PLAIN.bar(f64::NAN, 4), "────");
        assert_eq!(Style { colour: false, unicode: false }.bar(0.5, 4), "##..");
    }

    #[test]
    fn colours_are_written_only_where_they_are_allowed() {
        assert_eq!(Style::PLAIN.paint(Colour::Red, "x"), "x");
        let colour = Style { colour: true, unicode: true };
        assert_eq!(colour.paint(Colour::Red, "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(colour.paint(Colour::Red, ""), "");
    }
}
