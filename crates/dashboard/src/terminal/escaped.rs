//! Text of strangers on a terminal: what could move the cursor, hide or reorder is shown, not done.

use std::borrow::Cow;

/// Returns a text of several lines in which only newlines and tabs are left as control characters.
///
/// All others stand as Rust would write them (`\u{1b}`), and so do those that turn the direction of writing.
pub fn escaped(text: &str) -> Cow<'_, str> {
    escape(text, |character| !matches!(character, '\n' | '\t') && is_active(character))
}

/// Returns a text that stays on its line: newlines and tabs become spaces.
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, is_active)
}

fn escape(text: &str, must: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&must) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' | '\t' if must(character) => shown.push(' '),
            '\r' => shown.push_str("\\r"),
            _ if must(character) => shown.extend(character.escape_unicode()),
            _ => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// Returns whether a terminal does something at this character instead of showing it.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_do_is_shown() {
        assert_eq!(escaped("a\tb\nc"), "a\tb\nc");
        assert_eq!(escaped("\x1b[2Jx\r\x07\u{9b}31m"), "\\u{1b}[2Jx\\r\\u{7}\\u{9b}31m");
        assert_eq!(escaped("gpj\u{202e}exe"), "gpj\\u{202e}exe");
        assert_eq!(printable("a\tb\r\nc\x1b"), "a b\\r c\\u{1b}");
    }

    #[test]
    fn ordinary_text_is_left_as_it_is() {
        for text in ["", "validation/accuracy", "日本語 é – 🦀", "a\\nb"] {
            assert!(matches!(printable(text), Cow::Borrowed(_)), "{text}");
            assert_eq!(printable(text), text);
        }
    }
}
