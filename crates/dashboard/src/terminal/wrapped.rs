//! Sentences in lines.

use unicode_width::UnicodeWidthStr as _;

/// Breaks a sentence into lines of so many columns. It begins with `lead`; further lines are indented as far.
pub(super) fn wrapped(lead: &str, sentence: &str, width: usize) -> String {
    let indent = visible(lead);
    let (mut text, mut used) = (lead.to_owned(), indent);
    for (place, word) in sentence.split(' ').enumerate() {
        if place > 0 {
            if used + 1 + word.width() > width && used > indent {
                text += &format!("\n{:indent$}", "");
                used = indent;
            } else {
                text.push(' ');
                used += 1;
            }
        }
        text += word;
        used += word.width();
    }
    text + "\n"
}

/// Returns the columns of a text that may have colours in it.
fn visible(text: &str) -> usize {
    let (mut width, mut rest) = (0, text);
    while let Some(begin) = rest.find('\u{1b}') {
        width += rest[..begin].width();
        rest = rest[begin..].find('m').map_or("", |end| &rest[begin + end + 1..]);
    }
    width + rest.width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_indented_under_the_first_and_colours_take_no_room() {
        assert_eq!(wrapped("- ", "one two three", 9), "- one two\n  three\n");
        assert_eq!(
            wrapped("\u{1b}[31m 8\u{1b}[0m  ", "a b", 5),
            "\u{1b}[31m 8\u{1b}[0m  a\n    b\n"
        );
        assert_eq!(wrapped("", "unbreakable", 4), "unbreakable\n");
    }
}
